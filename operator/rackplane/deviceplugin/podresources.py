"""What runs on the GPUs: the kubelet says so, by its pod resources API.

Allocate alone does not do: it names no pod, and nobody tells a plugin that a GPU is free again. Pods of the API server
do not say which GPUs they have, and the right to read them cannot be held to one node's. The kubelet's own list has
both, needs no right at all, and is what NVIDIA's exporter reads. Since Kubernetes 1.34 it leaves out pods that ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import structlog

from rackplane.deviceplugin import wire

__all__ = ["POD_RESOURCES", "PodResources", "Use"]

log = structlog.get_logger(__name__)

POD_RESOURCES: Final = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
LOOK_SECONDS: Final = 1.0
_CALL_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Use:
    """The container that has a GPU."""

    namespace: str
    pod: str
    container: str


class PodResources:
    """Asks the kubelet once a second.

    Args:
        socket: where it answers.
        resource: the extended resource that is looked for.
        on_change: called with the uses by device id when they have changed. While nobody answers they stay.
        sleep: for tests.
    """

    def __init__(
        self,
        *,
        resource: str,
        on_change: Callable[[Mapping[str, Use]], None],
        socket: Path = POD_RESOURCES,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._socket = socket
        self._resource = resource
        self._on_change = on_change
        self._sleep = sleep
        self._last: Mapping[str, Use] | None = None
        self._silent = False

    async def run(self) -> None:
        """Work until cancelled."""
        async with wire.channel(self._socket) as channel:
            ask = wire.call(channel, wire.LIST_PODS)
            while True:
                try:
                    answer = await ask(wire.pods.ListPodResourcesRequest(), timeout=_CALL_SECONDS)
                except grpc.aio.AioRpcError as error:
                    if not self._silent:
                        log.warning(
                            "the kubelet does not say what runs",
                            socket=str(self._socket),
                            error=error.details(),
                        )
                    self._silent = True
                else:
                    self._silent = False
                    self._take(self._uses(answer))
                await self._sleep(LOOK_SECONDS)

    def _take(self, uses: Mapping[str, Use]) -> None:
        if uses != self._last:
            self._last = uses
            self._on_change(uses)

    def _uses(self, answer: Any) -> dict[str, Use]:
        return {
            device: Use(pod.namespace, pod.name, container.name)
            for pod in answer.pod_resources
            for container in pod.containers
            for devices in container.devices
            if devices.resource_name == self._resource
            for device in devices.device_ids
        }
