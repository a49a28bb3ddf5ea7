"""One run each: raw patches, our operator on bare pods and on Jobs, and the ungater of no decisions on Jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rackplane.controller.requests import requests_for
from rackplane.core.instructions import UngatePod
from rackplane.kube.resources import GANGS
from tests.benchmarks.controlplane.server import Operator, Server, operator, running
from tests.benchmarks.controlplane.site import GPUS_A_NODE, IN_FLIGHT, Site, Size, every
from tests.benchmarks.controlplane.watching import PATIENCE, Sight, watched

__all__ = ["Run", "null_jobs", "our_jobs", "our_pods", "raw_patches"]


@dataclass(slots=True)
class Run:
    pods: int
    gangs: int
    wall: float
    """Seconds of the path that is compared."""
    cpu: float
    """CPU seconds of the process that writes."""
    writes: float
    """Writes that it sent."""
    more: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Pods a second."""
        return self.pods / self.wall


def _names(sizes: Sequence[Size], word: str) -> list[tuple[str, int]]:
    """Name and size of each gang, the large ones first."""
    return [(f"{word}-{size.pods}-{n:04d}", size.pods) for size in sizes for n in range(size.gangs)]


async def _make_pods(site: Site, sizes: Sequence[Size], word: str, *, ours: bool) -> list[str]:
    gangs = _names(sizes, word)
    bodies = [
        site.pod(f"{name}-{slot}", gang=name if ours else None, size=size)
        for name, size in gangs
        for slot in range(size)
    ]
    await every(len(bodies), lambda n: site.client.request("POST", site.pods_path, body=bodies[n]))
    return [body["metadata"]["name"] for body in bodies]


async def raw_patches(site: Site, sizes: Sequence[Size], word: str) -> Run:
    """The patches that let the same number of pods go, one after another as fast as the server takes them."""
    names = await _make_pods(site, sizes, word, ours=False)
    async with watched(site.client, site.pods_path) as sight:
        cpu, began = time.process_time(), time.perf_counter()

        async def patch(number: int) -> None:
            write = requests_for(
                UngatePod(
                    namespace=site.namespace,
                    name=names[number],
                    uid="",
                    resource_version="",
                    hostname=site.node_names[number // GPUS_A_NODE],
                    slot=number,
                    gang=word,
                    power_profile="MaxP",
                    tolerations=(),
                    cap_watts=10_200,
                ),
                now=0.0,
            )
            body = {**write.body, "metadata": {"annotations": write.body["metadata"]["annotations"]}}
            await site.client.request(write.method, write.path, body=body, content_type=write.content_type)

        await every(len(names), patch, in_flight=IN_FLIGHT)
        await sight.until(sight.ungated, len(names))
        wall, cpu = max(sight.ungated.values()) - began, time.process_time() - cpu
    return Run(len(names), sum(size.gangs for size in sizes), wall, cpu, len(names))


async def our_pods(site: Site, where: Server, folder: Path, sizes: Sequence[Size], word: str) -> Run:
    """Gangs of bare pods that wait behind a held queue; then the queue is let go, and the operator does the rest."""
    gangs = sum(size.gangs for size in sizes)
    await site.hold(True)
    await _make_pods(site, sizes, word, ours=True)
    async with (
        watched(site.client, site.pods_path, GANGS.path(site.namespace)) as sight,
        operator(folder, where, site.namespace) as ours,
    ):
        await _all_wait(sight, gangs)
        before = await _quiet(ours)
        released = time.perf_counter()
        await site.hold(False)
        pods = sum(size.gangs * size.pods for size in sizes)
        await sight.until(sight.ungated, pods, ours.process.check)
        after = await ours.figures()
        end, first, last = (
            max(sight.ungated.values()),
            min(sight.admitted.values()),
            max(sight.admitted.values()),
        )
    changes = {name: after[name] - before.get(name, 0.0) for name in after}
    return Run(
        pods, gangs, end - first, changes["cpu"], changes["writes"],
        {
            "released to ungated": end - released,
            "first to last commit": last - first,
            "refused writes": changes["refused"],
            **{verb: changes.get(verb, 0.0) for verb in ("POST", "PATCH", "PUT")},
        },
    )  # fmt: skip


async def _all_wait(sight: Sight, gangs: int) -> None:
    await sight.until(sight.phases, gangs)
    end = time.monotonic() + PATIENCE
    while sum(phase == "Pending" for phase in sight.phases.values()) < gangs:
        if time.monotonic() > end:
            raise RuntimeError("not every Gang says that it waits")
        await asyncio.sleep(0.1)


async def _quiet(ours: Operator) -> dict[str, float]:
    """Its figures once it has written nothing for two seconds."""
    last = await ours.figures()
    while True:
        await asyncio.sleep(2)
        now = await ours.figures()
        if now["writes"] == last["writes"]:
            return now
        last = now


async def _make_jobs(site: Site, sizes: Sequence[Size], word: str, *, ours: bool) -> None:
    gangs = _names(sizes, word)
    bodies = [site.job(name, size=size, ours=ours) for name, size in gangs]
    await every(len(bodies), lambda n: site.client.request("POST", site.jobs_path, body=bodies[n]))


async def our_jobs(site: Site, where: Server, folder: Path, sizes: Sequence[Size], word: str) -> Run:
    """From the first Job's creation until the last pod is bound, with the operator."""
    await site.hold(False)
    async with operator(folder, where, site.namespace) as ours:
        process = ours.process
        before = await _quiet(ours)
        async with watched(site.client, site.pods_path) as sight:
            began = time.perf_counter()
            await _make_jobs(site, sizes, word, ours=True)
            pods = sum(size.gangs * size.pods for size in sizes)
            await sight.until(sight.bound, pods, process.check)
            wall = max(sight.bound.values()) - began
            after = await ours.figures()
    gangs = sum(size.gangs for size in sizes)
    refused = {"refused writes": after["refused"] - before["refused"]}
    return Run(pods, gangs, wall, after["cpu"] - before["cpu"], after["writes"] - before["writes"], refused)


async def null_jobs(site: Site, where: Server, folder: Path, sizes: Sequence[Size], word: str) -> Run:
    """The same with the ungater that decides nothing."""
    nodes = folder / "nodes"
    nodes.write_text("\n".join(site.node_names), encoding="utf-8")
    module = "tests.benchmarks.controlplane.ungater"
    async with running(
        folder / "ungater.log", "-m", module, where.kubeconfig, site.namespace, str(nodes)
    ) as process:
        await asyncio.sleep(3)
        process.check()
        cpu = process.cpu_seconds()
        async with watched(site.client, site.pods_path) as sight:
            began = time.perf_counter()
            await _make_jobs(site, sizes, word, ours=False)
            pods = sum(size.gangs * size.pods for size in sizes)
            await sight.until(sight.bound, pods, process.check)
            wall = max(sight.bound.values()) - began
            cpu = process.cpu_seconds() - cpu
    gangs = sum(size.gangs for size in sizes)
    return Run(pods, gangs, wall, cpu, pods + gangs)
