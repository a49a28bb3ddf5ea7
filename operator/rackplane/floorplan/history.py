"""The frames of the last hour, compressed, in a bounded ring: close together just now, further apart before."""

from __future__ import annotations

import gzip
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from rackplane.floorplan import model as m

__all__ = ["Entry", "History", "Moment", "compressed", "decompressed"]

#: gzip's: the fastest, at twice the size, would keep half as many frames of a campus.
_LEVEL: Final = 5


class Moment(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """One entry of the time line: seconds since the epoch, and sums."""

    at: float
    layout: str
    gpus: int = 0
    used: int = 0
    watts: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A frame as it is served: JSON, compressed by gzip."""

    moment: Moment
    body: bytes


def compressed(frame: m.Frame) -> Entry:
    """The frame's entry. It may take 20 ms for a campus, and no lock: call it in a thread."""
    totals = frame.totals
    moment = Moment(
        at=frame.at,
        layout=frame.layout,
        gpus=totals.gpus,
        used=totals.used,
        watts=totals.watts,
        waiting=totals.waiting,
    )
    return Entry(moment, gzip.compress(m.encode(frame), compresslevel=_LEVEL, mtime=0))


def decompressed(entry: Entry) -> m.Frame:
    """The entry's frame."""
    return msgspec.json.decode(gzip.decompress(entry.body), type=m.Frame)


class History:
    """Frames by time. Not thread-safe.

    Args:
        seconds: how far back it reaches.
        dense_seconds: for so long every frame is kept; of older ones one in `spacing_seconds`.
        most_bytes: of all frames together; beyond that the oldest go.
    """

    def __init__(
        self,
        *,
        seconds: float = 3600.0,
        dense_seconds: float = 60.0,
        spacing_seconds: float = 10.0,
        most_bytes: int = 24_000_000,
    ) -> None:
        self._seconds = seconds
        self._dense = dense_seconds
        self._spacing = spacing_seconds
        self._most = most_bytes
        self._entries: list[Entry] = []
        self._layouts: dict[str, m.Layout] = {}
        #: Bytes of all frames.
        self.size = 0

    def add(self, entry: Entry, layout: m.Layout) -> None:
        """Take a frame: of the same moment as the last it replaces that one, of an earlier moment (the clock was set
        back) it begins the history anew.
        """
        last = self._entries[-1].moment.at if self._entries else None
        if last is not None and entry.moment.at < last:
            self._entries.clear()
        elif entry.moment.at == last:
            self._entries.pop()
        self._entries.append(entry)
        self._layouts[layout.id] = layout
        self._thin(entry.moment.at)
        self.size = sum(len(e.body) for e in self._entries)
        while self.size > self._most and len(self._entries) > 1:
            self.size -= len(self._entries.pop(0).body)
        used = {e.moment.layout for e in self._entries}
        self._layouts = {name: kept for name, kept in self._layouts.items() if name in used}

    def moments(self) -> list[Moment]:
        """What there is, the oldest first."""
        return [entry.moment for entry in self._entries]

    def at(self, seconds: float) -> Entry | None:
        """The frame that was in force then, or the first there is; None if there is none."""
        if not self._entries:
            return None
        later = bisect_right(self._entries, seconds, key=_time)
        return self._entries[max(0, later - 1)]

    def layout(self, name: str) -> m.Layout | None:
        """The layout of that id, None if no frame has it."""
        return self._layouts.get(name)

    def frames(self) -> Iterable[m.Frame]:
        """All of them, decoded, the oldest first."""
        for entry in self._entries:
            yield decompressed(entry)

    def layouts(self) -> list[m.Layout]:
        return list(self._layouts.values())

    def _thin(self, now: float) -> None:
        kept: list[Entry] = []
        for entry in self._entries:
            at = entry.moment.at
            if at < now - self._seconds:
                continue
            # Slots of a fixed grid: what was kept once is not dropped when a later one comes.
            old = at < now - self._dense
            if old and kept and at // self._spacing == kept[-1].moment.at // self._spacing:
                continue
            kept.append(entry)
        self._entries = kept


_time: Callable[[Entry], float] = lambda entry: entry.moment.at  # noqa: E731
