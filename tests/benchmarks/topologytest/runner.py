"""Who creates the gangs on their schedule, and ends each when it has been admitted for its run time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rackplane.core.objects import Gang
from rackplane.kube.client import ApiError, KubeClient
from rackplane.kube.informer import Informer
from rackplane.kube.resources import GANGS
from tests.benchmarks.topologytest.load import Hall, Planned

__all__ = ["Runner"]

IN_FLIGHT = 32
PATIENCE_SECONDS = 3_600.0


@dataclass(slots=True)
class Runner:
    """One run. Times are of the monotonic clock, by the gang's name."""

    client: KubeClient
    namespace: str
    planned: list[Planned]
    created: dict[str, float] = field(default_factory=dict)
    admitted: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    #: changes of Gangs that were seen: creation, deletion, and everything that the operator wrote
    changes: int = 0
    _ends: set[asyncio.Task[None]] = field(default_factory=set)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, check: Callable[[], None]) -> float:
        """Seconds from the first creation until the last gang has ended.

        Args:
            check: raises if the operator is gone.

        Raises:
            TimeoutError: it takes longer than an hour.
        """
        kinds = {p.name: p.kind for p in self.planned}

        def seen(gang: Gang) -> None:
            name = gang.metadata.name
            if gang.metadata.namespace != self.namespace:
                return
            self.changes += 1
            if gang.status.phase == "Admitted" and name not in self.admitted:
                self.admitted[name] = time.monotonic()
                end = asyncio.create_task(self._end(name, kinds[name].run_seconds))
                self._ends.add(end)
                end.add_done_callback(self._ends.discard)

        def gone(namespace: str, name: str) -> None:
            if namespace != self.namespace:
                return
            self.changes += 1
            self.ended[name] = time.monotonic()
            if len(self.ended) == len(self.planned):
                self._over.set()

        sight: Informer[Gang] = Informer(self.client, GANGS, Gang, on_change=seen, on_delete=gone)
        watching = asyncio.create_task(sight.run())
        try:
            await sight.synced.wait()
            began = time.monotonic()
            creating = asyncio.create_task(self._create_all(began))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not self._over.is_set():
                    check()
                    if creating.done():
                        creating.result()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1.0):
                            await self._over.wait()
            return max(self.ended.values()) - min(self.created.values())
        finally:
            watching.cancel()

    async def _create_all(self, began: float) -> None:
        waiting = iter(self.planned)

        async def work() -> None:
            for planned in waiting:
                await asyncio.sleep(max(0.0, began + planned.at - time.monotonic()))
                self.created[planned.name] = time.monotonic()
                await self.client.request("POST", GANGS.path(self.namespace), body=Hall.gang(planned))

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work())

    async def _end(self, name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with self._slots:
            with contextlib.suppress(ApiError):
                await self.client.request("DELETE", GANGS.path(self.namespace, name))
