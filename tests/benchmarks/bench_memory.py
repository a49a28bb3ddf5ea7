"""What the whole operator keeps in memory: 25,000 nodes and 100,000 pods on the embedded cluster, informers included.

`rackplane operator` as a process of its own, leading, with half of the nodes running gangs of 16 whole-node pods
that it takes over as it finds them, and pods of nobody's (system pods of a few kinds) on every node. Resident memory
is that of the process, after everything was listed and its statuses were written, and the most it ever was.
RACKPLANE_BENCH_NODES and RACKPLANE_BENCH_PODS make it smaller. Always on the embedded cluster, which is filled
in its own process: 125,000 objects over HTTP would only take longer.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rackplane.kube.client import KubeClient
from tests.benchmarks.controlplane.filled import KUBECONFIG_NAME
from tests.benchmarks.controlplane.server import Operator, Server, operator, running

NODES = int(os.environ.get("RACKPLANE_BENCH_NODES", "25000"))
PODS = int(os.environ.get("RACKPLANE_BENCH_PODS", "100000"))
LIMIT_GB = 1.0
SETTLE_SECONDS = 20.0
PATIENCE = 600.0
"""Seconds after which it is measured even if it still writes: a machine that is too busy may cost it the Lease."""


@pytest.mark.timeout(3600)
async def test_resident_memory_of_the_whole_operator(tmp_path: Path) -> None:
    log = tmp_path / "cluster.log"
    module = "tests.benchmarks.controlplane.filled"
    async with running(log, "-m", module, str(tmp_path), str(NODES), str(PODS)) as process:
        kubeconfig = tmp_path / KUBECONFIG_NAME
        while not kubeconfig.exists():
            process.check()
            await asyncio.sleep(0.5)
        client = await KubeClient.connect(str(kubeconfig))
        try:
            where = Server(client, str(kubeconfig), process)
            async with operator(tmp_path, where, "default", wait_seconds=900) as ours:
                await _settle(ours)
                value, most = (ours.process.resident_bytes(what) / 1e9 for what in ("VmRSS", "VmHWM"))
                text = await ours.metrics()
        finally:
            await client.close()
    gangs = sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "rackplane_admitted_active_gangs"
    )
    print(
        f"\n{NODES:,} nodes, {PODS:,} pods, {gangs:,.0f} gangs at work: {value:.2f} GB   "
        f"limit {LIMIT_GB:.2f} GB   ratio {value / LIMIT_GB:.2f}   the most it ever was {most:.2f} GB"
    )


async def _settle(ours: Operator) -> None:
    """Wait until it writes nothing more, and whatever a batch of events needed for itself is given back."""
    last, end = -1.0, time.monotonic() + PATIENCE
    while (now := (await ours.figures())["writes"]) != last and time.monotonic() < end:
        last = now
        await asyncio.sleep(SETTLE_SECONDS)
