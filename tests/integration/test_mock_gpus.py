"""Nodes whose GPUs come from the device plugin, under the operator, over HTTP: a GPU fails on command."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.integration.test_any_cluster import GPU, GROUP, LIMIT_SECONDS, Body, Site, endless
from tests.integration.test_any_cluster import pytestmark as pytestmark
from tests.integration.test_any_cluster import site as site
from tests.integration.test_node_loss import nodes_of
from tests.support.kubelet import soon
from tests.support.machines import Machine


@pytest.mark.parametrize("site", [{"node_loss_seconds": 1.0}], indirect=True)
async def test_a_gpu_that_fails_costs_its_node_and_the_slot_goes_to_a_spare(site: Site) -> None:
    for rack in "ab":
        await site.patch(f"{GROUP}/nvlinkdomains/{site.word}-{rack}", {"spec": {"spareNodes": 1}})
    machines = {name: Machine(site.client, name) for name in site.nodes}
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
