"""The maker of the gangs: creates them on schedule, runs them, lets them go when they are to stop, ends them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from rackplane.api.labels import STOPPED_BY_MAKER
from rackplane.core.objects import Gang
from rackplane.kube.client import MERGE_PATCH, ApiError, KubeClient
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
    #: by the last decision, as Kueue's recorder has it
    admitted: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    #: how often each was stopped for another
    stops: Counter[str] = field(default_factory=Counter)
    #: changes of Gangs that were seen: creation, deletion, and everything that anybody wrote
    changes: int = 0
    #: gangs that run: by name the decision, and who ends them
    _running: dict[str, tuple[str, asyncio.TimerHandle]] = field(default_factory=dict)
    _answered: set[tuple[str, str]] = field(default_factory=set)
    _requests: set[asyncio.Task[None]] = field(default_factory=set)
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
        loop = asyncio.get_running_loop()

        def seen(gang: Gang) -> None:
            name, status = gang.metadata.name, gang.status
            if gang.metadata.namespace != self.namespace:
                return
            self.changes += 1
            decision = "" if status.decision is None else status.decision.id
            runs = self._running.get(name)
            if status.phase == "Admitted" and (runs is None or runs[0] != decision):
                self.admitted[name] = time.monotonic()
                self._running[name] = decision, loop.call_later(kinds[name].run_seconds, self._end, name)
            elif status.phase == "Stopping" and (name, decision) not in self._answered:
                self._answered.add((name, decision))
                self.stops[name] += 1
                if runs is not None:
                    runs[1].cancel()
                self._send(self._let_go(name, decision))

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

    def _send(self, request: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(request)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    def _end(self, name: str) -> None:
        self._send(self._delete(name))

    async def _delete(self, name: str) -> None:
        async with self._slots:
            with contextlib.suppress(ApiError):
                await self.client.request("DELETE", GANGS.path(self.namespace, name))

    async def _let_go(self, name: str, decision: str) -> None:
        """It has no pods, so it has stopped at once."""
        body = {"metadata": {"annotations": {STOPPED_BY_MAKER: decision}}}
        async with self._slots:
            with contextlib.suppress(ApiError):
                await self.client.request(
                    "PATCH", GANGS.path(self.namespace, name), body=body, content_type=MERGE_PATCH
                )
