"""The service that the kubelet calls: which GPUs there are, which to prefer, and what a container gets with them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any, Final

import grpc

from rackplane.api.base import GROUP
from rackplane.deviceplugin import wire

__all__ = ["CONTAINER_GPUS", "DevicePlugin", "device_ids"]

CONTAINER_GPUS: Final = f"{GROUP}/mock-gpu-indexes"
"""Annotation on a container for its runtime: the indexes of the GPUs it got."""
_BOARD: Final = 2
"""GPUs beside each other on one board, which share a CPU in GB200 and GB300. A board is not opened needlessly."""
_NAMES: Final = uuid.UUID("3c1b0c0e-6b60-5f0e-9a3f-2a4f3c0d7e11")


def device_ids(node: str, count: int) -> tuple[str, ...]:
    """Names of the node's GPUs, by index. Always the same: the kubelet remembers who has which over restarts."""
    return tuple(f"GPU-{uuid.uuid5(_NAMES, f'{node}/{index}')}" for index in range(count))


class DevicePlugin:
    """The device plugin API over some GPUs.

    Args:
        ids: of the GPUs, by index.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = tuple(ids)
        self.failed: frozenset[int] = frozenset()
        self.listeners = 0
        """Kubelets that are listening now."""
        self._index = {name: index for index, name in enumerate(self.ids)}
        self._changed = asyncio.Event()

    def fail(self, failed: Iterable[int]) -> None:
        """Which are broken from now on. The kubelet is told: it takes them from what the node offers."""
        wanted = frozenset(failed)
        if wanted != self.failed:
            self.failed = wanted
            self._changed.set()
            self._changed = asyncio.Event()

    def handlers(self) -> tuple[Any, ...]:
        """For a grpc.aio server."""
        return wire.handlers(
            {
                wire.GET_OPTIONS: self.get_options,
                wire.LIST_AND_WATCH: self.list_and_watch,
                wire.PREFER: self.prefer,
                wire.ALLOCATE: self.allocate,
                wire.PRE_START: self.pre_start,
            }
        )

    @staticmethod
    def options() -> Any:
        """What of the API the kubelet is to use. PreStartContainer: a container that starts again finds out there that
        a GPU of its has failed meanwhile, for it is allocated only once."""
        return wire.plugin.DevicePluginOptions(
            pre_start_required=True, get_preferred_allocation_available=True
        )

    async def get_options(self, _: Any, __: Any) -> Any:
        return self.options()

    async def list_and_watch(self, _: Any, __: Any) -> AsyncGenerator[Any, None]:
        self.listeners += 1
        try:
            while True:
                changed = self._changed
                yield self._list()
                await changed.wait()
        finally:
            self.listeners -= 1

    async def prefer(self, request: Any, _: Any) -> Any:
        return wire.plugin.PreferredAllocationResponse(
            container_responses=[
                wire.plugin.ContainerPreferredAllocationResponse(
                    deviceIDs=self.preferred(
                        asked.available_deviceIDs, asked.must_include_deviceIDs, asked.allocation_size
                    )
                )
                for asked in request.container_requests
            ]
        )

    def preferred(self, available: Iterable[str], must: Iterable[str], size: int) -> list[str]:
        """`size` of the available GPUs, those that must be in first: whole boards, and of boards that are broken into
        already what is left over. Fewer if there are not so many."""
        chosen = [name for name in must if name in self._index]
        free = sorted(
            {self._index[name] for name in available if name in self._index} - self._indexes(chosen)
        )
        boards: dict[int, list[int]] = {}
        for index in free:
            boards.setdefault(index // _BOARD, []).append(index)
        while boards and len(chosen) < size:
            missing = size - len(chosen)
            # A board's rest that is used up wholly, the largest; else the smallest, of which something stays.
            board = min(boards, key=lambda b: (len(boards[b]) > missing, -len(boards[b]), b))
            chosen += [self.ids[index] for index in boards.pop(board)[:missing]]
        return chosen[:size]

    async def allocate(self, request: Any, context: Any) -> Any:
        return wire.plugin.AllocateResponse(
            container_responses=[
                await self._container(asked.devices_ids, context) for asked in request.container_requests
            ]
        )

    async def pre_start(self, request: Any, context: Any) -> Any:
        await self._usable(request.devices_ids, context)
        return wire.plugin.PreStartContainerResponse()

    async def _container(self, names: Sequence[str], context: Any) -> Any:
        indexes = await self._usable(names, context)
        given: Mapping[str, str] = {CONTAINER_GPUS: ",".join(map(str, indexes))}
        return wire.plugin.ContainerAllocateResponse(
            # The variable that NVIDIA's plugin sets; nothing here acts on it.
            envs={"NVIDIA_VISIBLE_DEVICES": ",".join(self.ids[index] for index in indexes)},
            annotations=given,
        )

    async def _usable(self, names: Sequence[str], context: Any) -> list[int]:
        unknown = [name for name in names if name not in self._index]
        if unknown:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no GPU {', '.join(unknown)} here")
        indexes = sorted(self._index[name] for name in names)
        broken = [f"{index} ({self.ids[index]})" for index in indexes if index in self.failed]
        if broken:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, f"has failed, as was asked for: GPU {', '.join(broken)}"
            )
        return indexes

    def _indexes(self, names: Iterable[str]) -> set[int]:
        return {self._index[name] for name in names}

    def _list(self) -> Any:
        return wire.plugin.ListAndWatchResponse(
            devices=[
                wire.plugin.Device(ID=name, health="Unhealthy" if index in self.failed else "Healthy")
                for index, name in enumerate(self.ids)
            ]
        )
