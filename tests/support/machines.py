"""Nodes with mock GPUs whose kubelets are fake, on any API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from rackplane.deviceplugin.mocknode import MockNode
from rackplane.kube.client import MERGE_PATCH, KubeClient
from tests.support.kubelet import FakeKubelet, running, soon

GPU = "nvidia.com/gpu"


class Machine:
    """A node: a kubelet that writes what its device plugin offers, and the plugin."""

    def __init__(self, client: KubeClient, name: str) -> None:
        self.name = name
        self._client = client
        self._told = asyncio.Event()
        self.kubelet = FakeKubelet(self._told.set)
        self.mock = MockNode(
            client,
            node=name,
            sockets=self.kubelet.sockets,
            pod_resources=self.kubelet.pod_resources,
            sleep=soon,
        )

    @property
    def path(self) -> str:
        return f"/api/v1/nodes/{self.name}"

    async def room(self, capacity: int | None, allocatable: int | None) -> None:
        status = {
            "capacity": {GPU: None if capacity is None else str(capacity)},
            "allocatable": {GPU: None if allocatable is None else str(allocatable)},
        }
        body = {"status": status}
        await self._client.request("PATCH", f"{self.path}/status", body=body, content_type=MERGE_PATCH)

    @contextlib.asynccontextmanager
    async def on(self) -> AsyncIterator[None]:
        async with self.kubelet, running(self._report()), running(self.mock.run()):
            yield

    async def _report(self) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            devices = self.kubelet.devices.get(GPU, {})
            await self.room(len(devices), len(self.kubelet.healthy(GPU)))
