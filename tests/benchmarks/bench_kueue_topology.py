"""Kueue's topology performance test, like for like: Gang objects of another controller, and no pods.

On the API server that RACKPLANE_TEST_KUBECONFIG names, else on the embedded cluster in a process of its own; the
operator is a process of its own too. 15,000 gangs in 30 queues on 640 nodes; RACKPLANE_BENCH_SHARE=0.1 takes a tenth of
every set. The runner creates them on the test's schedule, answers those that are to stop, and deletes each when it has
been admitted for its run time. Published for Kueue: 401 s; measured on two cores shared with the API server: 547 s, 27
workloads/s, 135 CPU seconds. Kueue's process sends at most 50 requests a second in that test, ours as many as it can.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rackplane.api.kinds import BY_KIND
from rackplane.kube.client import MERGE_PATCH, ApiError, KubeClient
from rackplane.kube.resources import GANGS, NODES, facility
from tests.benchmarks.controlplane.server import KUBECONFIG, operator, server, with_token
from tests.benchmarks.controlplane.site import every
from tests.benchmarks.topologytest.load import QUOTA_SECONDS, SETS, Hall, plan
from tests.benchmarks.topologytest.runner import Runner

SHARE = float(os.environ.get("RACKPLANE_BENCH_SHARE", "1"))
LIMIT_SECONDS = 250.0
KUEUE_SECONDS, KUEUE_CPU_SECONDS = 547.0, 135.0
KUEUE_WAITS = {
    "small-required": 246.8, "small-preferred": 246.1, "small-segments": 237.8,
    "medium-required": 107.1, "medium-preferred": 106.3, "medium-segments": 106.3,
    "large-required": 39.6, "large-preferred": 39.6, "large-segments": 37.9,
}  # fmt: skip
"""Mean seconds to admission as Kueue publishes them (rangespec.yaml); "segments" is its "balanced"."""

pytestmark = [pytest.mark.timeout(3600)]
if KUBECONFIG:
    pytestmark += [
        pytest.mark.real_cluster,
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    ]


@asynccontextmanager
async def built(client: KubeClient, hall: Hall, namespace: str) -> AsyncIterator[None]:
    """The hall in the cluster for as long as the block lasts."""
    things, nodes = list(hall.facility()), list(hall.nodes())
    plural = {b["kind"]: facility(BY_KIND[b["kind"]].info.plural) for b in things}
    await client.request("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}})
    try:
        await every(
            len(things),
            lambda n: client.request("POST", plural[things[n]["kind"]].path(), body=things[n]),
        )
        await every(len(nodes), lambda n: client.request("POST", NODES.path(), body=nodes[n]))
        yield
    finally:
        paths = [plural[b["kind"]].path(None, b["metadata"]["name"]) for b in things]
        paths += [NODES.path(None, b["metadata"]["name"]) for b in nodes]

        async def drop(number: int) -> None:
            with contextlib.suppress(ApiError):
                await client.request("DELETE", paths[number])
                if number < len(things):
                    # The operator is gone, and with it who would take its finalizers off.
                    gone = {"metadata": {"finalizers": None}}
                    await client.request("PATCH", paths[number], body=gone, content_type=MERGE_PATCH)

        with contextlib.suppress(ApiError):
            await client.request("DELETE", GANGS.path(namespace))
        await every(len(paths), drop)
        with contextlib.suppress(ApiError):
            await client.request("DELETE", f"/api/v1/namespaces/{namespace}")


def spread(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return f"mean {statistics.mean(values):7.2f} s   median {statistics.median(values):7.2f} s   p95 {cuts[-1]:7.2f} s"


async def test_topology_performance(tmp_path: Path) -> None:
    word = uuid.uuid4().hex[:6]
    hall, namespace = Hall(word), f"bench-{word}"
    gangs = plan(hall, SHARE)
    async with server(tmp_path) as where, built(where.client, hall, namespace):
        async with (
            with_token(tmp_path, where, namespace) as reached,
            operator(tmp_path, reached, namespace) as ours,
        ):
            runner = Runner(where.client, namespace, gangs)
            before = await ours.figures()
            wall = await runner.run(ours.process.check)
            after = await ours.figures()
        cpu = after["cpu"] - before["cpu"]
        writes, refused = (after[name] - before[name] for name in ("writes", "refused"))
    print(f"\n{len(gangs):,} gangs in {len(hall.queues)} queues on 640 nodes, {where.name}")
    print(
        f"  quota alone needs {QUOTA_SECONDS * SHARE:.0f} s; wall {wall:.1f} s, {len(gangs) / wall:.1f} gangs/s"
    )
    print(
        f"  operator: {cpu:.1f} CPU seconds, {1000 * cpu / len(gangs):.1f} ms a gang, {writes / len(gangs):.2f} writes "
        f"a gang, {refused:.0f} refused; {runner.changes / len(gangs):.2f} changes of a Gang seen"
    )
    began = min(runner.created.values())
    for what, times in (("created", runner.created), ("admitted", runner.admitted), ("ended", runner.ended)):
        tenths = statistics.quantiles((t - began for t in times.values()), n=10, method="inclusive")
        last = max(times.values()) - began
        print(f"  {what:<9} by tenths, s: " + " ".join(f"{t:6.1f}" for t in [*tenths, last]))
    print(f"  stopped for others: {runner.stops.total():,}, of them {len(runner.stops):,} gangs")
    for kind in SETS:
        names = [p.name for p in gangs if p.kind is kind]
        waits = [runner.admitted[name] - runner.created[name] for name in names]
        print(
            f"  to admission, {kind.name:<16} {len(names):>6,} gangs   {spread(waits)}   "
            f"(Kueue, published: mean {KUEUE_WAITS[kind.name]:.1f} s)"
        )
    limit = LIMIT_SECONDS * SHARE
    print(f"  wall: value {wall:.1f} s   limit {limit:.0f} s   ratio {wall / limit:.2f}")
    if SHARE == 1:
        print(f"  of Kueue's, measured: wall {wall / KUEUE_SECONDS:.2f}, CPU {cpu / KUEUE_CPU_SECONDS:.2f}")
    assert len(runner.ended) == len(gangs)
