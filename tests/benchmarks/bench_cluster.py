"""The embedded cluster under the load of a large one, and the real API server's figures beside it where one is named.

25,000 Nodes and 100,000 Pods (RACKPLANE_BENCH_NODES and RACKPLANE_BENCH_PODS for fewer) are put in over HTTP, listed in
pages, read, patched and watched by the operator's own client. Rates are of this client on this machine: a server whose
rate is above the informer's own is not the bottleneck. With RACKPLANE_TEST_KUBECONFIG the same is done there; the Nodes
and Pods it makes are removed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackplane.core.objects import Node, Pod
from rackplane.kube.client import MERGE_PATCH, ApiError, KubeClient
from rackplane.kube.informer import Informer
from rackplane.kube.resources import NODES, PODS

COUNT_NODES = int(os.environ.get("RACKPLANE_BENCH_NODES", 25_000))
COUNT_PODS = int(os.environ.get("RACKPLANE_BENCH_PODS", 100_000))
KUBECONFIG = os.environ.get("RACKPLANE_TEST_KUBECONFIG")
NAMESPACE = "rackplane-bench"
IN_FLIGHT = 32
WATCHERS = 10
WRITES = 2_000
PODS_PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"


def node(number: int) -> dict[str, Any]:
    name = f"bench-{number:05d}"
    room = {"cpu": "128", "memory": "960Gi", "pods": "110", "nvidia.com/gpu": "4"}
    labels = {"kubernetes.io/hostname": name, "rackplane.dev/rack": f"r{number // 18}", "bench": "true"}
    status = {
        "capacity": room,
        "allocatable": room,
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": status,
    }


def pod(number: int) -> dict[str, Any]:
    container = {"name": "main", "image": "train:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    spec = {
        # Held by a gate: the schedulers are not what is measured.
        "schedulingGates": [{"name": "rackplane.dev/placement"}],
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    metadata = {"name": f"bench-{number:06d}", "labels": {"bench": "true", "gang": f"g{number // 64}"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def every(count: int, do: Callable[[int], Awaitable[object]]) -> float:
    """Do something `count` times, at most IN_FLIGHT at once; the rate per second."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await do(number)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())
    return count / (time.perf_counter() - began)


class PageMetadata(msgspec.Struct):
    continue_: str = msgspec.field(name="continue", default="")


class Page(msgspec.Struct):
    metadata: PageMetadata


class Replay:
    """A client that gives the pages of a list from memory: what an informer costs without any server."""

    def __init__(self, pages: list[bytes]) -> None:
        self._pages = iter(pages)

    async def request(self, method: str, path: str, **more: Any) -> bytes:
        return next(self._pages)

    def lines(self, path: str, **more: Any) -> AsyncGenerator[bytes, None]:
        raise AssertionError("nobody watches")


async def make_namespace(client: KubeClient) -> None:
    """Pods are refused until the namespace has its default service account."""
    await client.request("POST", "/api/v1/namespaces", body={"metadata": {"name": NAMESPACE}})
    async with asyncio.timeout(30):
        while True:
            try:
                await client.request("GET", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default")
                return
            except ApiError as problem:
                if problem.status != 404:
                    raise
                await asyncio.sleep(0.1)


async def measure(client: KubeClient) -> dict[str, float]:
    figures: dict[str, float] = {}
    figures["nodes created/s"] = await every(
        COUNT_NODES, lambda n: client.request("POST", NODES.path(), body=node(n))
    )
    figures["pods created/s"] = await every(
        COUNT_PODS, lambda n: client.request("POST", PODS_PATH, body=pod(n))
    )

    began = time.perf_counter()
    pages: list[bytes] = []
    query = {"limit": "500"}
    while True:
        pages.append(await client.request("GET", PODS_PATH, query=query))
        # Only where the next page starts: what an informer makes of the objects is measured below.
        more = msgspec.json.decode(pages[-1], type=Page).metadata.continue_
        if not more:
            break
        query["continue"] = more
    seconds = time.perf_counter() - began
    figures["pods listed/s, pages of 500"] = COUNT_PODS / seconds
    figures["megabytes listed/s"] = sum(map(len, pages)) / 1e6 / seconds

    alone = Informer(Replay(pages), PODS, Pod, on_change=lambda pod: None, on_delete=lambda *key: None)
    began = time.perf_counter()
    await alone.relist()
    figures["pods/s an informer takes from memory"] = COUNT_PODS / (time.perf_counter() - began)
    del pages, alone

    informer = Informer(client, PODS, Pod, on_change=lambda pod: None, on_delete=lambda *key: None)
    began = time.perf_counter()
    await informer.relist()
    assert len(informer.cache) >= COUNT_PODS
    figures["pods/s into an informer"] = COUNT_PODS / (time.perf_counter() - began)
    nodes = Informer(client, NODES, Node, on_change=lambda node: None, on_delete=lambda *key: None)
    began = time.perf_counter()
    await nodes.relist()
    assert len(nodes.cache) >= COUNT_NODES
    figures["nodes/s into an informer"] = COUNT_NODES / (time.perf_counter() - began)

    path = PODS_PATH + "/bench-{:06d}"
    figures["pods read/s"] = await every(WRITES, lambda n: client.request("GET", path.format(n)))
    figures.update(await watched(client, path))
    return figures


async def watched(client: KubeClient, path: str) -> dict[str, float]:
    """Patches while watchers look on: rates, and how long after its patch's answer was due an event arrives."""
    first = msgspec.json.decode(await client.request("GET", PODS_PATH, query={"limit": "1"}))
    version = first["metadata"]["resourceVersion"]
    sent: dict[str, float] = {}
    delays: list[float] = []
    open_ = asyncio.Barrier(WATCHERS + 1)

    async def look() -> None:
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
        seen = 0
        async with aclosing(client.lines(PODS_PATH, query=query, timeout=600)) as lines:
            await open_.wait()
            async for line in lines:
                name = msgspec.json.decode(line)["object"]["metadata"]["name"]
                delays.append(time.perf_counter() - sent[name])
                seen += 1
                if seen == WRITES:
                    return

    async def write(number: int) -> None:
        name = f"bench-{number:06d}"
        sent[name] = time.perf_counter()
        body = {"metadata": {"annotations": {"bench": str(sent[name])}}}
        await client.request("PATCH", path.format(number), body=body, content_type=MERGE_PATCH)

    async with asyncio.TaskGroup() as group:
        for _ in range(WATCHERS):
            group.create_task(look())
        await open_.wait()
        began = time.perf_counter()
        rate = await every(WRITES, write)
    seconds = time.perf_counter() - began
    delays.sort()
    return {
        f"pods patched/s, {WATCHERS} watchers": rate,
        f"events delivered/s, {WATCHERS} watchers": WRITES * WATCHERS / seconds,
        "event delay, median, ms": delays[len(delays) // 2] * 1000,
        "event delay, 99 %, ms": delays[len(delays) * 99 // 100] * 1000,
    }


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[tuple[KubeClient, Callable[[], float]]]:
    """The embedded cluster in a process of its own, as the real one is; and its memory in megabytes."""
    kubeconfig = folder / "kubeconfig"
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, str(kubeconfig))
    try:
        while not kubeconfig.exists() or not kubeconfig.read_text(encoding="utf-8"):
            assert process.returncode is None
            await asyncio.sleep(0.05)
        client = await KubeClient.connect(str(kubeconfig))
        try:
            yield client, lambda: resident(process.pid)
        finally:
            await client.close()
    finally:
        process.terminate()
        await process.wait()


def resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def remove(client: KubeClient) -> None:
    async def gone(path: str) -> None:
        try:
            await client.request("DELETE", path, body={"gracePeriodSeconds": 0})
        except ApiError as problem:
            if problem.status != 404:
                raise

    await every(COUNT_PODS, lambda n: gone(f"{PODS_PATH}/bench-{n:06d}"))
    await every(COUNT_NODES, lambda n: gone(f"{NODES.path()}/bench-{n:05d}"))
    await gone(f"/api/v1/namespaces/{NAMESPACE}")


@pytest.mark.timeout(3600)
async def test_rates_at_full_size(tmp_path: Path) -> None:
    beside: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        client, memory = await stack.enter_async_context(embedded(tmp_path))
        await make_namespace(client)
        figures = await measure(client)
        megabytes = memory()
    if KUBECONFIG:
        real = await KubeClient.connect(KUBECONFIG)
        try:
            await make_namespace(real)
            beside = await measure(real)
        finally:
            await remove(real)
            await real.close()
    print(f"\n{COUNT_NODES} nodes, {COUNT_PODS} pods; memory of the embedded cluster {megabytes:.0f} MB")
    for name, value in figures.items():
        other = beside.get(name)
        tail = f"   real {other:10.1f}   ratio {value / other:6.2f}" if other else ""
        print(f"{name:<36}{value:10.1f}{tail}")


async def serve(kubeconfig: Path) -> None:
    from rackplane.localcluster import LocalCluster

    async with LocalCluster() as cluster:
        cluster.kubeconfig(kubeconfig)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
