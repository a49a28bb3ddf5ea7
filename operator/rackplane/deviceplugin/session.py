"""The mock GPUs of a node for as long as their hardware stays the same, and all that works on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from rackplane.api.labels import FAIL_GPUS
from rackplane.deviceplugin.dcgm import GpuState
from rackplane.deviceplugin.failures import parse_failures
from rackplane.deviceplugin.hardware import Hardware
from rackplane.deviceplugin.kubelet import Registrar
from rackplane.deviceplugin.plugin import DevicePlugin, device_ids
from rackplane.deviceplugin.podresources import PodResources, Use
from rackplane.kube.client import Client
from rackplane.nodeagent.agent import NodeAgent
from rackplane.nodeagent.gpus import MockGpus
from rackplane.nodeagent.node import Node

__all__ = ["Session"]

log = structlog.get_logger(__name__)


class Session:
    """One set of GPUs.

    Args:
        client: sends the agent's requests.
        node: the Node's name.
        hardware: what they are.
        sockets: directory of the kubelet's device plugins.
        pod_resources: socket of the kubelet's pod resources.
        clock: monotonic seconds.
        sleep: between looks at the kubelet's sockets.
    """

    def __init__(
        self,
        client: Client,
        *,
        node: str,
        hardware: Hardware,
        sockets: Path,
        pod_resources: Path,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[Any]],
    ) -> None:
        self.hardware = hardware
        self._node = node
        self._gpus = MockGpus(
            count=hardware.count,
            idle_watts=hardware.idle_watts,
            # As low as they can get anyway: a cap of the node is kept down to its idle watts.
            least_watts=hardware.idle_watts,
            most_watts=hardware.most_watts,
            busy_percent=hardware.busy_percent,
            clock=clock,
        )
        self._plugin = DevicePlugin(device_ids(node, hardware.count))
        self._agent = NodeAgent(
            client, node=node, gpus=self._gpus, host_watts=hardware.host_watts, monotonic=clock
        )
        self._registrar = Registrar(self._plugin, resource=hardware.resource, directory=sockets, sleep=sleep)
        self._resources = PodResources(
            resource=hardware.resource, on_change=self._used, socket=pod_resources, sleep=sleep
        )
        self._uses: Mapping[str, Use] = {}
        self._failures: dict[int, int] = {}
        self._asked = ""
        self._wrong = ""

    @property
    def ready(self) -> bool:
        """The kubelet has taken the plugin and listens to it."""
        return self._registrar.registered and self._plugin.listeners > 0

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._agent.work(), name="hold to the cap")
            tasks.create_task(self._registrar.run(), name="kubelet")
            tasks.create_task(self._resources.run(), name="pod resources")

    def see(self, node: Node) -> None:
        """The Node as it is now: its cap, and which GPUs are to be broken."""
        self._fail(node.metadata.annotations.get(FAIL_GPUS, ""))
        self._agent.see(node)

    def gone(self) -> None:
        """There is no Node."""
        self._agent.gone()

    def summary(self) -> str:
        """For the annotation on the Node."""
        count = self.hardware.count
        if self._wrong:
            return self._wrong
        if not self._failures:
            return f"all {count} well"
        broken = ", ".join(f"{gpu} (XID {xid})" for gpu, xid in sorted(self._failures.items()))
        return f"{count - len(self._failures)} of {count} well; failed: {broken}"

    def states(self) -> list[GpuState]:
        """Of the GPUs by index, for the metrics."""
        limit = self._gpus.limited_to()
        return [
            GpuState(
                id=name,
                model=self.hardware.model,
                limit_watts=limit,
                reading=reading,
                use=self._uses.get(name),
                xid=self._failures.get(index, 0),
            )
            for index, (name, reading) in enumerate(zip(self._plugin.ids, self._gpus.readings(), strict=True))
        ]

    def _fail(self, text: str) -> None:
        if text == self._asked:
            return
        self._asked = text
        try:
            self._failures, self._wrong = parse_failures(text, self.hardware.count), ""
        except ValueError as error:
            # What is broken stays so.
            self._wrong = str(error)
            log.warning("no failures that could be made", node=self._node, error=str(error))
            return
        log.info("failures", node=self._node, gpus=sorted(self._failures))
        self._gpus.fail(self._failures)
        self._plugin.fail(self._failures)

    def _used(self, uses: Mapping[str, Use]) -> None:
        self._uses = uses
        self._gpus.run(index for index, name in enumerate(self._plugin.ids) if name in uses)
