"""What gaining and losing the Lease means for the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from rackplane.controller.executor import Verifier
from rackplane.core.events import Event, LeadershipGained, LeadershipLost
from rackplane.kube.client import ApiError

__all__ = ["Leadership"]

#: Seconds between attempts to list the Gangs, or to read the Lease.
_RETRY: Final = 1.0

log = structlog.stdlib.get_logger(__name__)


class Leadership:
    """Turns the elector's calls into events; `gained` and `lost` are made for `Elector.run`.

    Args:
        relist: lists every Gang; a new leader decides on nothing older than its Lease.
        feed: takes events, in order.
        abandon: drops the writes that were not sent yet.
        ready: set once every watched kind has been listed.
    """

    def __init__(
        self,
        *,
        relist: Callable[[], Awaitable[None]],
        feed: Callable[[Event], None],
        abandon: Callable[[], None],
        ready: asyncio.Event,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._relist = relist
        self._feed = feed
        self._abandon = abandon
        self._ready = ready
        self._sleep = sleep
        self._doubt = asyncio.Event()
        self.elector: Verifier | None = None
        self.leading = False

    async def gained(self, term: int) -> None:
        """Lead until cancelled.

        A commit after which the Lease could not be shown to be ours stops the machine at once (`outcome`). If that
        was a passing failure the Lease is still ours: then it starts over, from a new list, in the same term.
        """
        await self._ready.wait()
        while True:
            await self._list_gangs()
            self._doubt.clear()
            self.leading = True
            self._feed(LeadershipGained(term))
            log.info("leading", term=term)
            await self._doubt.wait()
            while self.elector is not None and not await self.elector.verify():
                await self._sleep(_RETRY)

    async def lost(self) -> None:
        """Stop deciding and acting."""
        self._stop()

    def outcome(self, event: Event) -> None:
        """Pass an outcome of the executor on; `LeadershipLost` among them is the doubt that `gained` waits for."""
        if isinstance(event, LeadershipLost):
            log.warning("a commit could not be shown to be ours: not acting on it")
            self._stop()
            self._doubt.set()
        else:
            self._feed(event)

    def _stop(self) -> None:
        self.leading = False
        self._abandon()
        self._feed(LeadershipLost())

    async def _list_gangs(self) -> None:
        while True:
            try:
                return await self._relist()
            except ApiError as error:
                log.warning("the Gangs could not be listed", error=str(error))
                await self._sleep(_RETRY)
