"""The whole path, from a commit to pods that are let go and from a Job to bound pods, beside doing it blindly.

On the API server that RACKPLANE_TEST_KUBECONFIG names, else on the embedded cluster in a process of its own. Runs of
ours and of the other alternate on the same server, and each pair gives one ratio; the median counts, so that a machine
that is busy for a while slows both. The operator is a process of its own and runs only in its own runs.

RACKPLANE_BENCH_PODS (20x512,1000x4: gangs x pods of each), RACKPLANE_BENCH_JOBS (5x512,250x4), RACKPLANE_BENCH_NODES
(2500) and RACKPLANE_BENCH_ROUNDS (2) make it smaller: every round takes its share of the gangs.
"""

from __future__ import annotations

import os
import statistics
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.benchmarks.controlplane import runs
from tests.benchmarks.controlplane.runs import Run
from tests.benchmarks.controlplane.server import KUBECONFIG, Server, server
from tests.benchmarks.controlplane.settings import qps_settings
from tests.benchmarks.controlplane.site import Site, Size, parse_sizes

PODS = parse_sizes(os.environ.get("RACKPLANE_BENCH_PODS", "20x512,1000x4"))
JOBS = parse_sizes(os.environ.get("RACKPLANE_BENCH_JOBS", "5x512,250x4"))
NODES = int(os.environ.get("RACKPLANE_BENCH_NODES", "2500"))
ROUNDS = int(os.environ.get("RACKPLANE_BENCH_ROUNDS", "2"))
OF_RAW, OF_NULL = 0.70, 0.90

pytestmark = [pytest.mark.timeout(3600)]
if KUBECONFIG:
    pytestmark += [
        pytest.mark.real_cluster,
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    ]


@asynccontextmanager
async def built(folder: Path) -> AsyncIterator[tuple[Site, Server]]:
    async with server(folder) as where:
        site = Site(where.client, uuid.uuid4().hex[:6], NODES)
        try:
            await site.build()
            yield site, where
        finally:
            if where.process is None:
                await site.remove()


def share(sizes: list[Size], number: int) -> list[Size]:
    """The gangs of round ``number``, counted from 0."""
    parts = [Size((s.gangs * (number + 1)) // ROUNDS - s.gangs * number // ROUNDS, s.pods) for s in sizes]
    return [size for size in parts if size.gangs]


def tell(what: str, run: Run) -> None:
    print(
        f"  {what:<22} {run.wall:8.2f} s  {run.gangs / run.wall:7.1f} gangs/s {run.rate:7.1f} pods/s"
        f"  CPU {run.cpu:6.2f} s  {run.writes / run.pods:5.2f} writes/pod"
        + "".join(f"  {name} {value:.1f}" for name, value in run.more.items())
    )


def verdict(what: str, others: list[Run], ours: list[Run], limit: float) -> None:
    value = statistics.median(mine.rate / other.rate for mine, other in zip(ours, others, strict=True))
    print(f"  {what}: value {value:.2f}   limit {limit:.2f} at least   ratio {limit / value:.2f}")


def load(sizes: list[Size]) -> str:
    return " and ".join(f"{size.gangs:,} gangs of {size.pods}" for size in sizes)


async def test_from_commit_to_ungated(tmp_path: Path) -> None:
    async with built(tmp_path) as (site, where):
        print(f"\nbare pods: {load(PODS)} on {NODES:,} nodes, {ROUNDS} rounds, {where.name}")
        raw, ours = [], []
        for number in range(ROUNDS):
            sizes = share(PODS, number)
            raw.append(await runs.raw_patches(site, sizes, f"raw{number}"))
            tell("raw patches", raw[-1])
            await site.clear()
            ours.append(await runs.our_pods(site, where, tmp_path, sizes, f"our{number}"))
            tell("commit to ungated", ours[-1])
            await site.clear()
        verdict("pods let go, of the raw patch rate", raw, ours, OF_RAW)


async def test_from_job_to_bound(tmp_path: Path) -> None:
    async with built(tmp_path) as (site, where):
        print(f"\nJobs: {load(JOBS)} on {NODES:,} nodes, {ROUNDS} rounds, {where.name}")
        for line in await qps_settings(where):
            print(f"  {line}")
        null, ours = [], []
        for number in range(ROUNDS):
            sizes = share(JOBS, number)
            null.append(await runs.null_jobs(site, where, tmp_path, sizes, f"null{number}"))
            tell("no decisions", null[-1])
            await site.clear()
            ours.append(await runs.our_jobs(site, where, tmp_path, sizes, f"our{number}"))
            tell("Job to bound", ours[-1])
            await site.clear()
        verdict("pods bound, of the rate without decisions", null, ours, OF_NULL)
