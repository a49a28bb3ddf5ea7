"""Serves the plugin's socket, and registers the plugin whenever there is a new kubelet.

A kubelet that starts empties the directory of the sockets and makes its own anew, and knows of no plugin until one
registers. That is looked for once a second: the standard library knows no inotify, and a second is short here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import grpc
import structlog

from rackplane.deviceplugin import wire
from rackplane.deviceplugin.plugin import DevicePlugin

__all__ = ["DIRECTORY", "SOCKET", "Registrar"]

log = structlog.get_logger(__name__)

DIRECTORY: Final = Path("/var/lib/kubelet/device-plugins")
"""Where kubelets look for plugins; fixed in their code."""
SOCKET: Final = "rackplane-mock-gpus.sock"
_KUBELET: Final = "kubelet.sock"
LOOK_SECONDS: Final = 1.0
_CALL_SECONDS: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 30.0

_Identity = tuple[int, int]


class Registrar:
    """Keeps one plugin registered.

    Args:
        plugin: what is served.
        resource: the extended resource that it offers, as nvidia.com/gpu.
        directory: of the sockets.
        sleep: for tests.
    """

    def __init__(
        self,
        plugin: DevicePlugin,
        *,
        resource: str,
        directory: Path = DIRECTORY,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._plugin = plugin
        self._resource = resource
        self._kubelet = directory / _KUBELET
        self._own = directory / SOCKET
        self._sleep = sleep
        self.registered = False

    async def run(self) -> None:
        """Work until cancelled. What goes wrong is logged, and tried again after growing pauses."""
        pause = LOOK_SECONDS
        while True:
            try:
                await self._serve()
                pause = LOOK_SECONDS
            except (OSError, RuntimeError, grpc.aio.AioRpcError) as error:
                # RuntimeError is what gRPC raises where it cannot bind.
                said = error.details() if isinstance(error, grpc.aio.AioRpcError) else error
                log.warning("not registered with the kubelet", socket=str(self._kubelet), error=str(said))
                await self._sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _serve(self) -> None:
        """Serve and register once, until the kubelet that took it is gone."""
        while (kubelet := _identity(self._kubelet)) is None:
            await self._sleep(LOOK_SECONDS)
        self._own.unlink(missing_ok=True)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(self._plugin.handlers())
        server.add_insecure_port(f"unix:{self._own}")
        try:
            await server.start()
            own = _identity(self._own)
            await self._register()
            self.registered = True
            log.info("registered", resource=self._resource, gpus=len(self._plugin.ids))
            while _identity(self._kubelet) == kubelet and _identity(self._own) == own:
                await self._sleep(LOOK_SECONDS)
            log.info("the kubelet has started anew", socket=str(self._kubelet))
        finally:
            self.registered = False
            # Streams of a kubelet that is gone need no time to end.
            await server.stop(0)

    async def _register(self) -> None:
        async with wire.channel(self._kubelet) as channel:
            await wire.call(channel, wire.REGISTER)(
                wire.plugin.RegisterRequest(
                    version=wire.VERSION,
                    endpoint=self._own.name,
                    resource_name=self._resource,
                    options=self._plugin.options(),
                ),
                timeout=_CALL_SECONDS,
            )


def _identity(path: Path) -> _Identity | None:
    """Tells a file from another that came in its place: inode numbers are used again, times of creation are not."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_ctime_ns
