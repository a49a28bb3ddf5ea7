"""Watches its own Node, holds the GPUs to the cap that is written there, and writes what is in force and drawn.

What it says to be in force is never below what is: a lower cap is set before it is reported, a higher one reported
before it is set. When it cannot reach the API server the last cap stays, as with a BMC whose controller is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from rackplane.api.labels import POWER_CAP_APPLIED_WATTS, POWER_CAP_WATTS, POWER_OBSERVED_WATTS
from rackplane.api.numbers import whole_number
from rackplane.kube.client import MERGE_PATCH, ApiError, Client
from rackplane.kube.resources import NODES
from rackplane.nodeagent.gpus import Gpus
from rackplane.nodeagent.node import Node, watch

__all__ = ["NodeAgent"]

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
"""How often the GPUs are read, and what failed is tried again."""
REPORT_SECONDS: Final = 300.0
"""The watts that are drawn are written at most this often, for each write reaches everybody who watches nodes: on
20,000 nodes that is 67 a second at the worst."""
_WORTH_TELLING: Final = 0.05
"""A change of the draw by less than this share is not written."""


class NodeAgent:
    """The agent of one node.

    Args:
        client: sends its requests.
        node: the Node's name.
        gpus: what it limits.
        host_watts: what the rest of the node draws at most: CPUs, memory, network, fans. Caps are of the whole node.
        on_node: told of the Node before it is acted on, whenever it changed.
        monotonic, sleep: for tests.
    """

    def __init__(
        self,
        client: Client,
        *,
        node: str,
        gpus: Gpus,
        host_watts: int,
        on_node: Callable[[Node], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._node = node
        self._gpus = gpus
        self._host_watts = host_watts
        self._on_node = on_node
        self._monotonic = monotonic
        self._sleep = sleep
        self._wanted: int | None = None
        self._known = False
        self._have: dict[str, str] = {}
        self._reported_at = float("-inf")
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled. Errors of the API server and of the GPUs are logged, and tried again."""
        informer = watch(self._client, self._node, on_change=self.see, on_delete=self.gone, sleep=self._sleep)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(informer.run(), name="watch node")
            tasks.create_task(self.work(), name="work")

    async def work(self) -> None:
        """The same without a watch, for who has one: tell `see` and `gone` of the Node."""
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self.step()

    async def step(self) -> None:
        """Bring the GPUs in line with the Node, and say so."""
        if not self._known:
            return  # what is there stays until the Node has been read
        try:
            await self._limit()
            await self._report()
        except ApiError as error:
            log.warning("not reported", node=self._node, error=str(error))
        except OSError as error:
            log.warning("GPUs do not answer", node=self._node, error=str(error))

    def see(self, node: Node) -> None:
        """The Node as it is now."""
        self._on_node(node)
        self._have = dict(node.metadata.annotations)
        text = self._have.get(POWER_CAP_WATTS, "")
        wanted = whole_number(text)
        if text and wanted is None:
            log.warning("no number of watts", node=self._node, annotation=POWER_CAP_WATTS, value=text)
            return  # the last one stays
        self._wanted, self._known = wanted, True
        self._changed.set()

    def gone(self) -> None:
        """There is no Node any more: what is set stays."""
        self._known = False

    async def _limit(self) -> None:
        gpus = self._gpus
        wanted = gpus.most_watts
        if self._wanted is not None:
            wanted = (self._wanted - self._host_watts) // gpus.count
            wanted = min(max(wanted, gpus.least_watts), gpus.most_watts)
        now = gpus.limited_to()
        if wanted > now:
            await self._write({POWER_CAP_APPLIED_WATTS: self._applied(wanted)})
        if wanted != now:
            gpus.limit(wanted)
            log.info("limit", node=self._node, gpu_watts=gpus.limited_to(), cap_watts=self._wanted)
        await self._write({POWER_CAP_APPLIED_WATTS: self._applied(gpus.limited_to())})

    def _applied(self, gpu_watts: int) -> str | None:
        """Of the whole node; nothing where no cap is asked for."""
        return None if self._wanted is None else str(self._host_watts + self._gpus.count * gpu_watts)

    async def _report(self) -> None:
        drawn = self._host_watts + self._gpus.draw_watts()
        last = whole_number(self._have.get(POWER_OBSERVED_WATTS)) or 0
        due = self._monotonic() >= self._reported_at + REPORT_SECONDS
        if due and abs(drawn - last) > _WORTH_TELLING * last:
            await self._write({POWER_OBSERVED_WATTS: str(drawn)})
            self._reported_at = self._monotonic()

    async def _write(self, annotations: dict[str, str | None]) -> None:
        if all(self._have.get(key) == value for key, value in annotations.items()):
            return
        path, body = NODES.path(None, self._node), {"metadata": {"annotations": annotations}}
        await self._client.request("PATCH", path, body=body, content_type=MERGE_PATCH)
        for key, value in annotations.items():
            if value is None:
                self._have.pop(key, None)
            else:
                self._have[key] = value
