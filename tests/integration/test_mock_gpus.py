"""Nodes whose GPUs come from the device plugin, under the operator, over HTTP: a GPU fails on command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rackplane.deviceplugin.mocknode import MockNode
from rackplane.kube.client import MERGE_PATCH
from tests.integration.test_any_cluster import GPU, GROUP, LIMIT_SECONDS, Body, Site, endless
from tests.integration.test_any_cluster import pytestmark as pytestmark
from tests.integration.test_any_cluster import site as site
from tests.integration.test_node_loss import nodes_of
from tests.support.kubelet import FakeKubelet, running, soon


class Machine:
    """A node of the site: a kubelet that writes what its device plugin offers, and the plugin."""

    def __init__(self, site: Site, name: str, root: Path) -> None:
        self.name = name
        self._site = site
        self._told = asyncio.Event()
        self.kubelet = FakeKubelet(root, self._told.set)
        self.mock = MockNode(
            site.client,
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
        await self._site.client.request("PATCH", f"{self.path}/status", body=body, content_type=MERGE_PATCH)

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


@pytest.mark.parametrize("site", [{"node_loss_seconds": 1.0}], indirect=True)
async def test_a_gpu_that_fails_costs_its_node_and_the_slot_goes_to_a_spare(
    site: Site, tmp_path: Path
) -> None:
    for rack in "ab":
        await site.patch(f"{GROUP}/nvlinkdomains/{site.word}-{rack}", {"spec": {"spareNodes": 1}})
    machines = {name: Machine(site, name, tmp_path / name[-3:]) for name in site.nodes}
    async with contextlib.AsyncExitStack() as stack:
        for machine in machines.values():
            await machine.room(None, None)
        for machine in machines.values():
            await stack.enter_async_context(machine.on())
        for machine in machines.values():
            node = await site.until(machine.path, lambda n: n["status"]["allocatable"].get(GPU) == "4")
            assert node["metadata"]["labels"]["nvidia.com/gpu.count"] == "4"
        job = endless(site.job("train", backoffLimit=6))
        await site.create(site.jobs, job)

        def runs(gang: Body) -> bool:
            return bool(gang.get("status", {}).get("phase") == "Running")

        gang = await site.until(site.gang("job-train"), runs)
        first, lost, third = nodes_of(gang)
        [rack] = {group["rack"] for group in gang["status"]["assignment"]}
        [spare] = {name for name in site.nodes if name.startswith(f"{rack}-")} - {first, lost, third}
        for name in (first, lost, third):
            await machines[name].kubelet.admit(site.namespace, f"train-{name}", "train", GPU, 4)
            async with asyncio.timeout(LIMIT_SECONDS):
                while sum(state.reading.busy for state in machines[name].mock.states()) < 4:
                    await soon(1)
        await site.patch(machines[lost].path, {"metadata": {"annotations": {"rackplane.dev/fail-gpus": "2"}}})
        await site.until(site.gang("job-train"), lambda g: nodes_of(g) == [first, spare, third])
        events = await site.get(f"/api/v1/namespaces/{site.namespace}/events")
        said = f"node {lost} (slot 1) offers 3 {GPU}, and its pods hold 4"
        assert {e["reason"] for e in events["items"] if said in e["message"]} == {"NodeLost", "NodesReplaced"}
        node = await site.get(machines[lost].path)
        assert node["metadata"]["annotations"]["rackplane.dev/mock-gpus"] == "3 of 4 well; failed: 2 (XID 79)"
        assert [state.reading.failed for state in machines[lost].mock.states()] == [False, False, True, False]
