"""Takes the floor plan's frames off the machine, keeps those of the last hour, and tells whoever listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from rackplane.core.machine import Machine
from rackplane.floorplan import model as m
from rackplane.floorplan.history import History, compressed
from rackplane.floorplan.taking import frame, layout

__all__ = ["FloorPlanWatch", "Listener", "TooManyListeners"]

#: So many messages may wait for one listener, who is dropped beyond that.
_BACKLOG: Final = 16

log = structlog.stdlib.get_logger(__name__)


class TooManyListeners(Exception):
    """Nobody more is listened to now."""


@dataclass(slots=True, eq=False)
class Listener:
    """Messages for one who listens: the kind and its JSON. `dropped` once it was too slow: no more will come."""

    queue: asyncio.Queue[tuple[str, bytes]] = field(default_factory=lambda: asyncio.Queue(_BACKLOG))
    dropped: asyncio.Event = field(default_factory=asyncio.Event)


class FloorPlanWatch:
    """Frames, of now and of the last hour. Lives on the event loop that owns the machine.

    A standby's machine knows what a leader's knows, so it shows the same and says that it stands by.

    Args:
        machine: whose floor it is.
        seconds: between two frames while somebody listens.
        history_seconds: between two frames while nobody does, and between those that are kept for an hour.
        most_listeners: at one time.
        wall: seconds since the epoch.
        sleep: for tests.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        seconds: float = 2.0,
        history_seconds: float = 10.0,
        most_listeners: int = 64,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[Any]] | None = None,
    ) -> None:
        self.machine = machine
        self.history = History(spacing_seconds=history_seconds)
        self.layout: m.Layout | None = None
        self.frame: m.Frame | None = None
        self._layout_of: tuple[object, object] = (None, None)
        self._seconds = seconds
        self._unwatched = max(seconds, history_seconds)
        self._most = most_listeners
        self._wall = wall
        self._sleep = sleep or self._wait
        self._listeners: set[Listener] = set()
        self._wanted = asyncio.Event()
        self._taking = asyncio.Lock()

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    @property
    def beat_seconds(self) -> float:
        """So often somebody who listens hears something, in seconds."""
        return max(5.0, self._seconds)

    def listen(self) -> Listener:
        """Hear of every frame from now on; end it with `leave`.

        Raises:
            TooManyListeners: there are as many as are allowed.
        """
        if len(self._listeners) >= self._most:
            raise TooManyListeners
        listener = Listener()
        self._listeners.add(listener)
        if self.frame is not None:
            listener.queue.put_nowait(("frame", m.encode(self.frame)))
        self._wanted.set()
        return listener

    def leave(self, listener: Listener) -> None:
        """Not hear any more; once is enough."""
        self._listeners.discard(listener)
        if not self._listeners:
            self._wanted.clear()

    async def run(self) -> None:
        """Take frames until cancelled. What goes wrong here is logged: a page must not stop an operator."""
        while True:
            began = time.monotonic()
            try:
                await self.take()
            except Exception:
                log.exception("the floor plan could not be drawn")
            # Where a look is dear it is had less often, so that it stays below a twentieth of the time.
            await self._sleep(max(self._seconds, 20 * (time.monotonic() - began)))

    async def take(self) -> None:
        """Take a frame now, and tell it. Without anything to see yet nothing happens."""
        if self.machine.state is None or not self.machine.synced:
            return
        # One at a time: an older frame that came second would look as if the clock had been set back.
        async with self._taking:
            plan = self._drawn()
            before, self.frame = self.frame, frame(self.machine, round(self._wall(), 3), plan.id)
            self._tell(before, self.frame)
            # All of it is frozen, so a thread may read it while the machine goes on.
            self.history.add(await asyncio.to_thread(compressed, self.frame), plan)

    def known_layout(self, name: str) -> m.Layout | None:
        """The layout of that id, of now or of some frame of the history."""
        if self.layout is not None and self.layout.id == name:
            return self.layout
        return self.history.layout(name)

    def _drawn(self) -> m.Layout:
        # The machine compiles the facility anew whenever somebody has described it anew.
        assert self.machine.state is not None
        facility, inventory = self.machine.state.facility, self.machine.state.inventory
        if self.layout is None or self._layout_of[0] is not facility or self._layout_of[1] is not inventory:
            self.layout, self._layout_of = layout(self.machine), (facility, inventory)
        return self.layout

    def _tell(self, before: m.Frame | None, now: m.Frame) -> None:
        if not self._listeners:
            return
        kind = "frame" if before is None or before.layout != now.layout else "delta"
        body = m.encode(now if before is None or kind == "frame" else m.changes(before, now))
        for listener in list(self._listeners):
            try:
                listener.queue.put_nowait((kind, body))
            except asyncio.QueueFull:
                # It comes again and begins with a whole frame, which is less than what it has missed.
                listener.dropped.set()
                self.leave(listener)

    async def _wait(self, seconds: float) -> None:
        if self._listeners:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(max(seconds, self._unwatched)):
                await self._wanted.wait()
        except TimeoutError:
            pass
