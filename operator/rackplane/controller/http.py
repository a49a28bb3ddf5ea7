"""What the operator serves: /metrics for Prometheus, /healthz and /readyz for the kubelet."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Self

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from rackplane.controller.listening import listening
from rackplane.controller.metrics.exposition import Exposition

__all__ = ["Health", "HttpServer"]


class Health:
    """What the probes look at.

    Args:
        ages: by name, the monotonic second of the last sign of life of something that must not fall silent.
        limits: by the same names, the seconds of silence that are too many.
        ready: whether this process has seen the cluster and could take over.
    """

    def __init__(
        self,
        *,
        ages: Mapping[str, Callable[[], float]],
        limits: Mapping[str, float],
        ready: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ages = ages
        self._limits = limits
        self._ready = ready
        self._clock = clock

    def silent(self) -> dict[str, int]:
        """What has been silent for too long, and for how many seconds."""
        now = self._clock()
        ages = {name: now - last() for name, last in self._ages.items()}
        return {name: int(age) for name, age in ages.items() if age > self._limits[name]}

    def ready(self) -> bool:
        return self._ready()


class HttpServer:
    """Serves metrics and probes; an async context manager. Equal ports share one listener.

    Args:
        registry: what /metrics shows.
        health: what the probes ask.
        host: address to listen on.
        metrics_port, health_port: 0 takes any free port.

    Raises:
        OSError: on entering, if a port cannot be had.
    """

    def __init__(
        self, *, registry: CollectorRegistry, health: Health, host: str, metrics_port: int, health_port: int
    ) -> None:
        self._exposition = Exposition(registry)
        self._health = health
        self._host = host
        self._wanted = (metrics_port, health_port)
        self._stack = AsyncExitStack()
        #: The ports in use once entered: of metrics, of health.
        self.ports = (0, 0)

    async def __aenter__(self) -> Self:
        metrics, health = self._wanted
        try:
            if metrics == health:
                port = await self._listen(metrics, self._metrics_routes() + self._health_routes())
                self.ports = (port, port)
            else:
                self.ports = (
                    await self._listen(metrics, self._metrics_routes()),
                    await self._listen(health, self._health_routes()),
                )
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self._stack.aclose()

    async def _listen(self, port: int, routes: list[web.RouteDef]) -> int:
        app = web.Application()
        app.add_routes(routes)
        return await self._stack.enter_async_context(listening(app, self._host, port))

    def _metrics_routes(self) -> list[web.RouteDef]:
        return [web.get("/metrics", self._metrics)]

    def _health_routes(self) -> list[web.RouteDef]:
        return [web.get("/healthz", self._healthz), web.get("/readyz", self._readyz)]

    async def _metrics(self, _: web.Request) -> web.Response:
        # On the event loop, not in a thread: the collector reads the machine.
        return web.Response(
            body=await self._exposition.text(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    async def _healthz(self, _: web.Request) -> web.Response:
        # That this runs at all says that the event loop does.
        silent = self._health.silent()
        if not silent:
            return web.Response(text="ok\n")
        lines = [f"{name}: no sign of life for {seconds} s\n" for name, seconds in silent.items()]
        return web.Response(status=503, text="".join(lines))

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._health.ready():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="not every watched kind has been listed yet\n")
