"""What has changed since somebody last looked, kept for as long as it is shorter than looking at everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT = 8_192
"""Entries: whoever is further behind is better off counting anew."""
_SPANS = 64
"""Stretches that came to nothing: of more of them the oldest are read like any other."""


class ChangeLog(Generic[T]):
    """A list of what changed, in order, of which each reader remembers how far it has read.

    Args:
        kept: how many entries a reader may be behind; the oldest half goes when there are more.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._entries: list[T] = []
        self._forgotten = 0
        #: from and to which position what changed was taken back; none lies in another
        self._undone: list[tuple[int, int]] = []

    def add(self, entry: T) -> None:
        """Note one change."""
        self.extend((entry,))

    def extend(self, entries: Sequence[T]) -> None:
        """Note several changes."""
        self._entries.extend(entries)
        if len(self._entries) > self._kept:
            gone = len(self._entries) - self._kept // 2
            del self._entries[:gone]
            self._forgotten += gone

    def undone(self, since: int) -> None:
        """All that changed since that position is as it was there: who stood there, or before, need not look at it."""
        while self._undone and self._undone[-1][0] >= since:
            self._undone.pop()
        if since < self.position:
            self._undone.append((since, self.position))
            del self._undone[:-_SPANS]

    @property
    def position(self) -> int:
        """How many changes there have been."""
        return self._forgotten + len(self._entries)

    def since(self, position: int) -> dict[T, None] | None:
        """What has changed since that position, each once; None if that is no longer known."""
        if position < self._forgotten:
            return None
        if not self._undone or self._undone[-1][0] < position:
            return dict.fromkeys(self._entries[position - self._forgotten :])
        found: dict[T, None] = {}
        for begin, end in self._undone:
            if begin >= position:
                found.update(
                    dict.fromkeys(self._entries[position - self._forgotten : begin - self._forgotten])
                )
                position = end
        found.update(dict.fromkeys(self._entries[position - self._forgotten :]))
        return found
