"""What the benchmark puts into the cluster, under names of its own, and takes out again.

Halls of DGX-like nodes: 8 GPUs a node, 8 nodes a rack, 8 racks a leaf, two busways a row under two UPS, either of which
may be lost. The power would carry every node at its most: what is measured is the path, not the search.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from rackplane.api.kinds import BY_KIND
from rackplane.kube.client import MERGE_PATCH, ApiError, KubeClient
from rackplane.kube.resources import GANGS, JOBS, NODES, PODS, facility

__all__ = ["GPU", "GPUS_A_NODE", "IN_FLIGHT", "Site", "Size", "every", "parse_sizes"]

GPU = "nvidia.com/gpu"
GPUS_A_NODE = 8
NODES_A_RACK = 8
RACKS_A_LEAF = 8
NODE_WATTS = 10_200
IN_FLIGHT = 32
"""Requests under way at a time, of the raw client as of the operator."""
GATE = "rackplane.dev/placement"

Body = dict[str, Any]
_AT_ONCE = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}


@dataclass(frozen=True, slots=True)
class Size:
    """So many gangs of so many pods."""

    gangs: int
    pods: int


def parse_sizes(text: str) -> list[Size]:
    """`20x512,1000x4`. Raises ValueError for anything else."""
    return [
        Size(int(gangs), int(pods)) for gangs, _, pods in (part.partition("x") for part in text.split(","))
    ]


async def every(count: int, do: Callable[[int], Awaitable[object]], *, in_flight: int = IN_FLIGHT) -> None:
    """Do something for 0, 1, ... count - 1, at most `in_flight` at once."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await do(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())


class Site:
    """A namespace, a queue, a hall of nodes; `word` is part of every name."""

    def __init__(self, client: KubeClient, word: str, nodes: int) -> None:
        self.client = client
        self.word = word
        self.namespace = f"bench-{word}"
        self.node_names = [f"bench-{word}-{number:05d}" for number in range(nodes)]
        self.pods_path = PODS.path(self.namespace)
        self.jobs_path = JOBS.path(self.namespace)

    # -- made once

    async def build(self) -> None:
        await self.client.request("POST", "/api/v1/namespaces", body={"metadata": {"name": self.namespace}})
        things = list(self.facility())
        await every(len(things), lambda n: self._create(things[n]))
        await every(
            len(self.node_names), lambda n: self.client.request("POST", NODES.path(), body=self.node(n))
        )
        # Pods are refused until the namespace has its account.
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(ApiError):
                    await self.client.request(
                        "GET", f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default"
                    )
                    return
                await asyncio.sleep(0.1)

    async def _create(self, body: Body) -> None:
        path = facility(BY_KIND[body["kind"]].info.plural).path()
        await self.client.request("POST", path, body=body)

    def facility(self) -> Iterator[Body]:
        word, racks = self.word, -(-len(self.node_names) // NODES_A_RACK)
        rated = (racks * (NODES_A_RACK * NODE_WATTS + 2_000)) * 5 // 4

        def thing(kind: str, name: str, **spec: Any) -> Body:
            return {
                "apiVersion": "rackplane.dev/v1alpha1",
                "kind": kind,
                "metadata": {"name": name, "labels": {"bench": word}},
                "spec": spec,
            }

        yield thing(
            "HardwareProfile", word, gpuModel="bench", gpusPerNode=GPUS_A_NODE, resourceName=GPU,
            nvlinkScope="Node", idleWatts=2_100, maxWatts=NODE_WATTS, liquidHeatPercent=0,
        )  # fmt: skip
        yield thing("Queue", word, hold=True)
        for side in "ab":
            yield thing("PowerDomain", f"{word}-{side}", type="UPS", ratedWatts=rated, survivable=True)
        for row in range(-(-racks // RACKS_A_LEAF)):
            for side in "ab":
                yield thing(
                    "PowerDomain", f"{word}-{row}-{side}", type="Busway", ratedWatts=1_000_000,
                    parents=[{"powerDomain": f"{word}-{side}", "weight": 1}],
                )  # fmt: skip
        for rack in range(racks):
            row = rack // RACKS_A_LEAF
            yield thing(
                "Rack", f"{word}-r{rack:04d}", profile=word, nodeSelector={"bench-rack": f"{word}-{rack}"},
                overheadWatts=2_000, limitWatts=100_000,
                location={"site": word, "hall": word, "row": f"{word}-{row}", "position": str(rack)},
                feeds=[{"powerDomain": f"{word}-{row}-{side}", "weight": 1} for side in "ab"],
            )  # fmt: skip

    def node(self, number: int) -> Body:
        name = self.node_names[number]
        rack = number // NODES_A_RACK
        room = {
            "cpu": "192",
            "memory": "2Ti",
            "pods": "110",
            "ephemeral-storage": "20Ti",
            GPU: str(GPUS_A_NODE),
        }
        labels = {
            "bench": self.word,
            "bench-rack": f"{self.word}-{rack}",
            "kubernetes.io/hostname": name,
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "network.topology.nvidia.com/leaf": f"{self.word}-{rack // RACKS_A_LEAF}",
        }
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        status = {"capacity": room, "allocatable": room, "conditions": [condition]}
        return {"metadata": {"name": name, "labels": labels}, "status": status}

    # -- the load

    def pod(self, name: str, *, gang: str | None, size: int) -> Body:
        """A gated pod of one GPU; without a gang it is nobody's."""
        metadata: Body = {"name": name, "labels": {"bench": self.word}}
        if gang is not None:
            metadata["labels"] |= {"rackplane.dev/queue": self.word, "rackplane.dev/gang": gang}
            metadata["annotations"] = {"rackplane.dev/gang-size": str(size), **self._topology(size)}
        return {"metadata": metadata, "spec": self._pod_spec()}

    def job(self, name: str, *, size: int, ours: bool) -> Body:
        """A Job as the admission policy leaves it: suspended, its pods gated. Only ours waits in the queue."""
        labels = {"bench": self.word, **({"rackplane.dev/queue": self.word} if ours else {})}
        annotations = {"rackplane.dev/suspended-by": "rackplane", **self._topology(size)} if ours else {}
        return {
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
            "spec": {
                "parallelism": size,
                "completions": size,
                "completionMode": "Indexed",
                "backoffLimit": 0,
                "suspend": True,
                "template": {"metadata": {"labels": labels}, "spec": self._pod_spec()},
            },
        }

    def _pod_spec(self) -> Body:
        asked = {GPU: "1", "cpu": "4", "memory": "32Gi"}
        return {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "schedulingGates": [{"name": GATE}],
            "containers": [
                {"name": "train", "image": "train:1", "resources": {"requests": asked, "limits": asked}}
            ],
        }

    @staticmethod
    def _topology(size: int) -> Body:
        if size <= GPUS_A_NODE:
            return {"rackplane.dev/required-topology": "nvlink"}
        if size <= GPUS_A_NODE * NODES_A_RACK * RACKS_A_LEAF:
            return {"rackplane.dev/required-topology": "leaf"}
        return {}

    async def hold(self, hold: bool) -> None:
        path = facility("queues").path(None, self.word)
        await self.client.request("PATCH", path, body={"spec": {"hold": hold}}, content_type=MERGE_PATCH)

    # -- taken out again

    async def clear(self) -> None:
        """Delete the load and wait until it is gone."""
        await self._delete_all(self.jobs_path)
        await self._delete_all(GANGS.path(self.namespace))
        await self._delete_all(self.pods_path)
        async with asyncio.timeout(900):
            for path in (self.jobs_path, GANGS.path(self.namespace), self.pods_path):
                while await self._count(path):
                    await asyncio.sleep(0.3)
                    if path == self.pods_path:
                        await self._delete_all(path)

    async def _delete_all(self, path: str) -> None:
        # In pages: one request for everything outlasts what a server gives a request.
        while names := await self._names(path):

            async def drop(number: int, names: list[str] = names) -> None:
                with contextlib.suppress(ApiError):
                    await self.client.request("DELETE", f"{path}/{names[number]}", body=_AT_ONCE)

            await every(len(names), drop)

    async def _names(self, path: str) -> list[str]:
        answer = await self.client.request("GET", path, query={"limit": "2000"})
        return [item["metadata"]["name"] for item in msgspec.json.decode(answer)["items"]]

    async def _count(self, path: str) -> int:
        answer = msgspec.json.decode(await self.client.request("GET", path, query={"limit": "1"}))
        return len(answer["items"])

    async def remove(self) -> None:
        """Everything; the operator, which would take its finalizers off, is gone by now."""
        await self.clear()
        things = [
            (facility(BY_KIND[b["kind"]].info.plural).path(None, b["metadata"]["name"]))
            for b in self.facility()
        ]
        paths = [*things, *(NODES.path(None, name) for name in self.node_names)]

        async def drop(number: int) -> None:
            path = paths[number]
            with contextlib.suppress(ApiError):
                await self.client.request("DELETE", path)
                if path.startswith("/apis/rackplane.dev"):
                    body = {"metadata": {"finalizers": None}}
                    await self.client.request("PATCH", path, body=body, content_type=MERGE_PATCH)

        await every(len(paths), drop)
        with contextlib.suppress(ApiError):
            await self.client.request("DELETE", f"/api/v1/namespaces/{self.namespace}")
