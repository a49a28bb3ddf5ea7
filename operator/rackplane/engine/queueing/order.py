"""Who is asked next of those who wait: by priority, then by the shares of their queues, then by age, then by name.

Those of one queue that ask for the same are a line. Who is refused is refused for all behind it in its line, so that a
pass over the queue costs as much as there are lines, however many wait in them.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from rackplane.engine.queueing.shares import Rank

__all__ = ["Line", "Order", "Place", "Turn"]

K = TypeVar("K")
Member = TypeVar("Member", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Line:
    """A queue, and what those in the line ask for: any value that is equal for equal requests."""

    queue: str
    kind: Hashable


@dataclass(frozen=True, slots=True)
class Place:
    """Where one stands by itself: higher priorities first, then the smaller `since`."""

    line: Line
    priority: int
    since: str | float


#: within a line: (-priority, since, member)
_Entry = tuple[int, Any, Any]
#: among lines: (-priority, rank of the queue, since, member, number of the line)
_Head = tuple[int, Rank, Any, Any, int]


class Order(Generic[Member]):
    """Those who wait, by line; members need an order of their own, which decides last."""

    def __init__(self) -> None:
        self._places: dict[Member, Place] = {}
        self._lines: dict[Line, list[_Entry]] = {}
        #: per queue, how many wait, and a sorted list of (since, member)
        self._queues: dict[str, list[tuple[Any, Any]]] = {}

    def put(self, member: Member, place: Place | None) -> bool:
        """Where the member stands now, None: it waits no more. Returns whether that is news."""
        old = self._places.get(member)
        if old == place:
            return False
        if old is not None:
            _take_out(self._lines, old.line, (-old.priority, old.since, member))
            _take_out(self._queues, old.line.queue, (old.since, member))
            del self._places[member]
        if place is not None:
            insort(self._lines.setdefault(place.line, []), (-place.priority, place.since, member))
            insort(self._queues.setdefault(place.line.queue, []), (place.since, member))
            self._places[member] = place
        return True

    def get(self, member: Member) -> Place | None:
        """Where the member stands; None if it does not wait."""
        return self._places.get(member)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._places)

    def count(self, queue: str) -> int:
        """How many wait in the queue itself."""
        return len(self._queues.get(queue, ()))

    def oldest(self, queue: str) -> Any | None:
        """The smallest `since` of those who wait in the queue itself."""
        waiting = self._queues.get(queue)
        return waiting[0][0] if waiting else None

    def line(self, line: Line) -> Iterator[Member]:
        """Those in a line, first come first."""
        return (entry[-1] for entry in self._lines.get(line, ()))

    def first(self, rank: Callable[[str], Rank], count: int | None = None) -> list[Member]:
        """The members in order, or the first so many, with the shares as they are now.

        Args:
            rank: of a queue.
        """
        if count is None or count * 8 > len(self._places):
            heads = [
                (-place.priority, rank(place.line.queue), place.since, member)
                for member, place in self._places.items()
            ]
            heads.sort()
            return [head[-1] for head in heads[:count]]
        lines = [_ranked(entries, rank(line.queue)) for line, entries in self._lines.items()]
        return [head[-1] for head in islice(heapq.merge(*lines), count)]

    def lines(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    def turn(self, rank: Callable[[str], Rank], among: Iterable[Line] | None = None) -> Turn[Member]:
        """One pass over the lines, all or those. Nobody may be put meanwhile."""
        if among is None:
            return Turn(list(self._lines.items()), rank)
        return Turn([(line, self._lines[line]) for line in among if line in self._lines], rank)


class Turn(Generic[Member]):
    """One pass: :meth:`next` gives the first of those that have not been asked, by the shares as they are by then.

    Shares may grow during a pass, by those who are let go, and must not fall.
    """

    def __init__(self, lines: list[tuple[Line, list[_Entry]]], rank: Callable[[str], Rank]) -> None:
        self._lines = lines
        self._rank = rank
        self._position = [0] * len(self._lines)
        self._heap: list[_Head] = []
        self._at: int | None = None
        for number in range(len(self._lines)):
            self._push(number)

    def next(self) -> tuple[Line, Member] | None:
        """Whom to ask now; None when all have been, or were passed over."""
        if self._at is not None:
            self._position[self._at] += 1
            self._push(self._at)
            self._at = None
        while self._heap:
            head = heapq.heappop(self._heap)
            line = self._lines[head[-1]][0]
            if head[1] != self._rank(line.queue):
                self._push(head[-1])  # its queue has got something since
                continue
            self._at = head[-1]
            return line, head[-2]
        return None

    def close(self) -> None:
        """Who was asked last speaks for all behind it in its line."""
        self._at = None

    def rest(self) -> Iterator[Member]:
        """Those behind the one who was asked last, in its line."""
        assert self._at is not None
        return (entry[-1] for entry in islice(self._lines[self._at][1], self._position[self._at] + 1, None))

    def _push(self, number: int) -> None:
        line, entries = self._lines[number]
        position = self._position[number]
        if position < len(entries):
            minus, since, member = entries[position]
            heapq.heappush(self._heap, (minus, self._rank(line.queue), since, member, number))


def _ranked(entries: list[_Entry], rank: Rank) -> Iterator[tuple[int, Rank, Any, Any]]:
    return ((minus, rank, since, member) for minus, since, member in entries)


def _take_out(lists: dict[K, list[tuple[Any, ...]]], key: K, entry: tuple[Any, ...]) -> None:
    found = lists[key]
    del found[bisect_left(found, entry)]
    if not found:
        del lists[key]
