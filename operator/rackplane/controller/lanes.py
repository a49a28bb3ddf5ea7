"""Which write is sent next: lanes of their own for what nobody waits for, and in each the urgent ones first."""

from __future__ import annotations

import heapq
from typing import Final

from rackplane.api.kinds import KINDS
from rackplane.core.instructions import (
    CommitGang,
    CreateGang,
    Instruction,
    UpdateGangSpec,
    WriteGangStatus,
)

__all__ = ["Lane", "Lanes", "Subject"]

Subject = tuple[str, ...]
"""What an instruction writes to (`requests.subject`)."""

#: Kinds of which only the status and the finalizers are written.
_FACILITY: Final = tuple(model.info.kind for model in KINDS if model.info.kind != "Gang")
#: So many writes that were asked for later may go before one of this kind. When the server is the bottleneck, gangs
#: that have a place start before others are given one, and words come last. Never for ever: that is why it is a number.
_YIELDS: Final[dict[type[Instruction], int]] = {
    CreateGang: 256,
    UpdateGangSpec: 256,
    CommitGang: 256,
    WriteGangStatus: 1024,
}


class Lane:
    """Subjects whose next write may be sent.

    Args:
        places: so many writes are under way at a time.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken = 0
        self._next = 0
        self._waiting: list[tuple[int, int, Subject]] = []

    def add(self, key: Subject, instruction: Instruction) -> None:
        """Line a subject up, whose next write is this one."""
        self._next += 1
        rank = self._next + _YIELDS.get(type(instruction), 0)
        heapq.heappush(self._waiting, (rank, self._next, key))

    def take(self) -> Subject | None:
        """The subject whose turn it is; None if none waits."""
        return heapq.heappop(self._waiting)[2] if self._waiting else None

    def enter(self) -> bool:
        """Take a place, if one is free."""
        if self._taken >= self._places:
            return False
        self._taken += 1
        return True

    def leave(self) -> None:
        """Give a place back."""
        self._taken -= 1


class Lanes:
    """Args: ``concurrency``: the most requests at a time; Events and the facility's status have a few of their own."""

    def __init__(self, concurrency: int) -> None:
        aside = max(1, concurrency // 8)
        self._main = Lane(concurrency)
        # By the first word of a subject.
        self._aside = {"Event": Lane(aside)} | dict.fromkeys(_FACILITY, Lane(aside))

    def of(self, key: Subject) -> Lane:
        """The lane of a subject."""
        return self._aside.get(key[0], self._main)
