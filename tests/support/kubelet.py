"""A kubelet as device plugins see it: registrations, devices and who has them, over real gRPC on Unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc

from rackplane.deviceplugin import wire

#: How long anything may take before a test fails; nothing waits for it.
LIMIT_SECONDS = 20.0


async def soon(seconds: float) -> None:
    """A pause between two looks, fifty times shorter than meant."""
    await asyncio.sleep(seconds / 50)


class FakeKubelet:
    """One node's kubelet.

    Its directory, `root`, is made with it and gone when it has been left as a context manager. A path of a socket may
    have 107 characters, and those that pytest makes are too long for it.

    Args:
        on_devices: called when the devices of a resource have changed.
    """

    def __init__(self, on_devices: Callable[[], None] = lambda: None) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="kubelet-"))
        self.sockets = self.root / "device-plugins"
        self.pod_resources = self.root / "pod-resources" / "kubelet.sock"
        #: every registration, as it came
        self.registrations: list[Any] = []
        #: resource -> device -> health
        self.devices: dict[str, dict[str, str]] = {}
        #: options that the plugin told when it was asked
        self.options: Any = None
        self._on_devices = on_devices
        self._held: dict[tuple[str, str, str], tuple[str, list[str]]] = {}
        self._plugins: dict[str, Path] = {}
        self._servers: list[Any] = []
        self._listening: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    async def __aenter__(self) -> FakeKubelet:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        shutil.rmtree(self.root)

    async def start(self) -> None:
        """Empties the directory and knows of no plugin; who has which device it remembers, as by its checkpoint."""
        self.sockets.mkdir(parents=True, exist_ok=True)
        self.pod_resources.parent.mkdir(parents=True, exist_ok=True)
        for path in (*self.sockets.iterdir(), self.pod_resources):
            path.unlink(missing_ok=True)
        for path, handlers in (
            (self.pod_resources, {wire.LIST_PODS: self._list_pods}),
            (self.sockets / "kubelet.sock", {wire.REGISTER: self._register}),
        ):
            server = grpc.aio.server()
            server.add_generic_rpc_handlers(wire.handlers(handlers))
            server.add_insecure_port(f"unix:{path}")
            await server.start()
            self._servers.append(server)

    async def stop(self) -> None:
        """Dies."""
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        for server in self._servers:
            await server.stop(0)
        self._servers.clear()
        self._plugins.clear()
        self.devices.clear()

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait for it; it is asked after each thing that a plugin says."""
        async with asyncio.timeout(LIMIT_SECONDS), self._news:
            await self._news.wait_for(holds)

    def healthy(self, resource: str) -> list[str]:
        return [device for device, health in self.devices.get(resource, {}).items() if health == "Healthy"]

    async def admit(self, namespace: str, pod: str, container: str, resource: str, count: int) -> Any:
        """Give devices to a container and let it start: its ContainerAllocateResponse.

        Raises:
            grpc.aio.AioRpcError: the plugin refuses.
        """
        held = {device for _, devices in self._held.values() for device in devices}
        free = [device for device in self.healthy(resource) if device not in held]
        asked = wire.plugin.ContainerPreferredAllocationRequest(
            available_deviceIDs=free, allocation_size=count
        )
        async with wire.channel(self._plugins[resource]) as channel:
            preferred = await wire.call(channel, wire.PREFER)(
                wire.plugin.PreferredAllocationRequest(container_requests=[asked])
            )
            chosen = list(preferred.container_responses[0].deviceIDs)
            assert len(chosen) == count, f"{count} asked for, {chosen} preferred of {free}"
            answer = await self._allocate(channel, chosen)
            self._held[namespace, pod, container] = resource, chosen
            await self._pre_start(channel, chosen)
        return answer

    async def allocate(self, resource: str, devices: list[str]) -> Any:
        """Allocate alone, of these very devices."""
        async with wire.channel(self._plugins[resource]) as channel:
            return await self._allocate(channel, devices)

    async def start_again(self, namespace: str, pod: str, container: str) -> None:
        """The container has ended and is started once more, on what it was given."""
        resource, devices = self._held[namespace, pod, container]
        async with wire.channel(self._plugins[resource]) as channel:
            await self._pre_start(channel, devices)

    def end(self, namespace: str, pod: str) -> None:
        """All of the pod's containers have ended."""
        self._held = {key: held for key, held in self._held.items() if key[:2] != (namespace, pod)}

    @staticmethod
    async def _allocate(channel: Any, devices: list[str]) -> Any:
        container = wire.plugin.ContainerAllocateRequest(devices_ids=devices)
        answer = await wire.call(channel, wire.ALLOCATE)(
            wire.plugin.AllocateRequest(container_requests=[container])
        )
        [response] = answer.container_responses
        return response

    @staticmethod
    async def _pre_start(channel: Any, devices: list[str]) -> None:
        await wire.call(channel, wire.PRE_START)(wire.plugin.PreStartContainerRequest(devices_ids=devices))

    async def _register(self, request: Any, _: Any) -> Any:
        self.registrations.append(request)
        self._plugins[request.resource_name] = self.sockets / request.endpoint
        task = asyncio.create_task(self._listen(request.resource_name, self.sockets / request.endpoint))
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)
        return wire.plugin.Empty()

    async def _listen(self, resource: str, socket: Path) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            async with wire.channel(socket) as channel:
                self.options = await wire.call(channel, wire.GET_OPTIONS)(wire.plugin.Empty())
                async for said in wire.call(channel, wire.LIST_AND_WATCH)(wire.plugin.Empty()):
                    await self._told(resource, {device.ID: device.health for device in said.devices})
        await self._told(resource, dict.fromkeys(self.devices.get(resource, {}), "Unhealthy"))

    async def _told(self, resource: str, devices: dict[str, str]) -> None:
        async with self._news:
            self.devices[resource] = devices
            self._on_devices()
            self._news.notify_all()

    async def _list_pods(self, _: Any, __: Any) -> Any:
        pods: dict[tuple[str, str], Any] = {}
        for (namespace, pod, container), (resource, devices) in self._held.items():
            it = pods.setdefault((namespace, pod), wire.pods.PodResources(name=pod, namespace=namespace))
            given = wire.pods.ContainerDevices(resource_name=resource, device_ids=devices)
            it.containers.add(name=container, devices=[given])
        return wire.pods.ListPodResourcesResponse(pod_resources=list(pods.values()))


@contextlib.asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    """A coroutine that runs for ever, for as long as the block."""
    task = asyncio.ensure_future(work)
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
