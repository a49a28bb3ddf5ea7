"""Open watches as bytes: lines when something was written, bookmarks when nothing was, an end in time, and faults."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence

import msgspec

from .effects import Bookmarks, CutStream, Effect, HalfOpen, Lag, Refuse, StreamEffect, StreamError
from .faults import Asked, Faults, Strikable
from .history import Change
from .watch import Event, Watch

#: Seconds between bookmarks, to clients that asked for them. Upstream's `defaultBookmarkFrequency`.
BOOKMARK_SECONDS = 60.0
#: A last bookmark goes out this many seconds before a watch ends, as upstream.
FAREWELL_SECONDS = 2.0
#: Longest watch in seconds when the client names no timeout (a real server picks 30 to 60 minutes).
WATCH_SECONDS = 1800.0


class ConnectionCut(Exception):
    """The client's connection breaks here, without an answer or in the middle of one."""


class Streams:
    """The watches of one cluster that are open now."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        # In the order in which they were opened, so that a run can be repeated.
        self._open: dict[Stream, None] = {}
        #: Set when the server stops: nothing waits any longer, not even what was to be silent for ever.
        self.stopping = asyncio.Event()

    def notify(self, change: Change) -> None:
        """Something was written: who watches it is woken, for all others it is as good as seen."""
        for stream in self._open:
            stream.changed(change)

    def restart(self) -> None:
        """Serve again after a stop."""
        self.stopping = asyncio.Event()

    def stop(self) -> None:
        """End every watch, and every silence."""
        self.stopping.set()
        for stream in self._open:
            stream.wake()

    async def run(self, watch: Watch, asked: Asked, effects: Sequence[Effect]) -> AsyncGenerator[bytes, None]:
        """The bytes of one watch until it ends.

        Raises:
            ConnectionCut: a fault ends it without an end.
        """
        stream = Stream(watch, asked, effects, self._faults, self.stopping)
        self._open[stream] = None
        self._faults.streams[stream] = None
        try:
            async for chunk in stream.chunks():
                yield chunk
        finally:
            self._open.pop(stream, None)
            self._faults.streams.pop(stream, None)


class Stream(Strikable):
    """One watch on its way to one client."""

    def __init__(
        self, watch: Watch, asked: Asked, effects: Sequence[Effect], faults: Faults, stopping: asyncio.Event
    ) -> None:
        self.asked = asked
        self._watch = watch
        self._faults = faults
        self._stopping = stopping
        self._woken = asyncio.Event()
        self._started = asyncio.get_running_loop().time()
        self._sent = 0
        # Each with the number of lines and the time from which it is due.
        self._doom: list[tuple[int, float, StreamEffect]] = []
        self._lag = sum(effect.seconds for effect in effects if isinstance(effect, Lag))
        self._held: deque[tuple[float, Event]] = deque()
        self._pause: float | None = BOOKMARK_SECONDS if watch.bookmarks else None
        for effect in effects:
            if isinstance(effect, StreamEffect):
                self.strike(effect)
            elif isinstance(effect, Bookmarks) and watch.bookmarks:
                self._pause = effect.every

    def wake(self) -> None:
        """There may be something to send."""
        self._woken.set()

    def changed(self, change: Change) -> None:
        """Something was written, that it watches or not."""
        if change.resource == self._watch.resource.key:
            self._woken.set()
        else:
            self._watch.passed(change.revision)

    def strike(self, effect: StreamEffect) -> None:
        now = asyncio.get_running_loop().time()
        self._doom.append((self._sent + effect.events, now + effect.seconds, effect))
        self._woken.set()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Lines, as many at a time as there are."""
        loop = asyncio.get_running_loop()
        end = self._started + (self._watch.timeout if self._watch.timeout is not None else WATCH_SECONDS)
        marked = self._started
        while not self._stopping.is_set():
            self._woken.clear()
            now = loop.time()
            self._held.extend((now + self._lag, event) for event in self._watch.poll())
            due = self._next_bookmark(marked, end)
            # A bookmark must not overtake what is held back.
            if not self._held and due is not None and now >= due:
                self._held.append((now, self._watch.bookmark()))
                marked = now
            lines: list[bytes] = []
            while True:
                ready = bool(self._held) and self._held[0][0] <= now
                line = _line(self._held[0][1]) if ready else b""
                effect = self._doomed(now, coming=ready)
                if effect is not None:
                    self._faults.note(effect, self.asked)
                    if isinstance(effect, StreamError):
                        lines.append(
                            _line({"type": "ERROR", "object": Refuse(effect.code).problem().status()})
                        )
                    elif isinstance(effect, CutStream) and effect.mid_line:
                        lines.append(line[: len(line) // 2])
                    if lines:
                        yield b"".join(lines)
                    if isinstance(effect, StreamError):
                        return
                    if isinstance(effect, HalfOpen):
                        await self._faults.silence(self._stopping)
                        if self._stopping.is_set():
                            return
                    raise ConnectionCut
                if not ready:
                    break
                self._held.popleft()
                self._sent += 1
                lines.append(line)
            if lines:
                yield b"".join(lines)
            if now >= end or (self._watch.closed and not self._held):
                return
            await self._wait(min(self._times(marked, end)) - now)

    def _next_bookmark(self, marked: float, end: float) -> float | None:
        if self._pause is None:
            return None
        farewell = end - FAREWELL_SECONDS
        return min(marked + self._pause, farewell) if marked < farewell else marked + self._pause

    def _doomed(self, now: float, *, coming: bool) -> StreamEffect | None:
        for number, since, effect in self._doom:
            if self._sent >= number and now >= since:
                if isinstance(effect, CutStream) and effect.mid_line and not coming:
                    continue
                return effect
        return None

    def _times(self, marked: float, end: float) -> list[float]:
        """When something may be due next, if nothing is written meanwhile."""
        times = [end]
        if self._held:
            times.append(self._held[0][0])
        else:
            bookmark = self._next_bookmark(marked, end)
            times += [] if bookmark is None else [bookmark]
        now = asyncio.get_running_loop().time()
        return times + [since for number, since, _ in self._doom if self._sent >= number and since > now]

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()
        except TimeoutError:
            pass


def _line(event: Event) -> bytes:
    return msgspec.json.encode(event) + b"\n"
