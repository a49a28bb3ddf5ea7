"""Lines of those who wait by what they ask for and by size: a cut through sorted lists leaves those that may start.

Lines of one queue that differ in nothing but size and duration are a family. What bounds the size of one bounds that of
all, so that whatever the bound cuts off costs nothing, however many it is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterator
from dataclasses import field
from itertools import count
from math import inf

from rackplane.engine.queueing.order import Line
from rackplane.engine.values import dataclass

__all__ = ["Bounds", "Family", "Size", "Sizes"]


@dataclass(frozen=True, slots=True)
class Family:
    """What requests have in common that differ only in how many slots they ask for and for how long."""

    pods: Hashable
    """What decides which nodes take them."""
    rest: Hashable
    """All else."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a line asks for and how much of it: slots, of this many GPUs each."""

    family: Family
    slots: int
    gpus_per_slot: int


@dataclass(slots=True)
class Bounds:
    """How many slots there may be room for at most, as counted for one content of the state."""

    stamp: object = None
    #: by family, and by what families have in common whatever their pods; each with the GPUs of a slot
    most: dict[tuple[Family, int], int] = field(default_factory=dict)
    free: dict[tuple[Hashable, int], int] = field(default_factory=dict)

    def follow(self, stamp: object) -> None:
        """Forget what was counted for another content than that of this stamp."""
        if self.stamp != stamp:
            self.stamp = stamp
            self.most.clear()
            self.free.clear()


_Entry = tuple[float, int, Line]


class Sizes:
    """Lines with their sizes. One of which no size is known may always start."""

    def __init__(self) -> None:
        self._numbers = count()
        self._entries: dict[Line, tuple[_Entry, Size | None]] = {}
        #: queue -> family and GPUs by slot (None: no size is known) -> (slots, number, line), sorted
        self._queues: dict[str, dict[tuple[Family, int] | None, list[_Entry]]] = {}
        #: what families have in common whatever their pods, and GPUs by slot -> families of it -> how many lists
        self._kinds: dict[tuple[Hashable, int], dict[Family, int]] = {}

    def put(self, line: Line, size: Size | None) -> None:
        """There is such a line; one that is known keeps its size."""
        if line in self._entries:
            return
        entry = (0 if size is None else size.slots, next(self._numbers), line)
        self._entries[line] = (entry, size)
        entries = self._queues.setdefault(line.queue, {}).setdefault(_kin(size), [])
        if size is not None and not entries:
            kinds = self._kinds.setdefault((size.family.rest, size.gpus_per_slot), {})
            kinds[size.family] = kinds.get(size.family, 0) + 1
        insort(entries, entry)

    def drop(self, line: Line) -> None:
        """Nobody waits in it any more."""
        entry, size = self._entries.pop(line)
        families = self._queues[line.queue]
        entries = families[_kin(size)]
        del entries[bisect_left(entries, entry)]
        if not entries:
            del families[_kin(size)]
            if not families:
                del self._queues[line.queue]
            if size is not None:
                self._forget(size)

    def _forget(self, size: Size) -> None:
        common = (size.family.rest, size.gpus_per_slot)
        kinds = self._kinds[common]
        kinds[size.family] -= 1
        if not kinds[size.family]:
            del kinds[size.family]
            if not kinds:
                del self._kinds[common]

    def kinds(self, size: Size) -> int:
        """How many families there are, this one among them, that differ from it in nothing but their pods."""
        return len(self._kinds[size.family.rest, size.gpus_per_slot])

    def of(self, line: Line) -> Size | None:
        """The size of a line; None if it is not known."""
        return self._entries[line][1]

    def may_start(
        self, left: Callable[[str], int | None], most: Callable[[Size, Line], float]
    ) -> Iterator[Line]:
        """The lines that neither bound cuts off.

        Args:
            left: the GPUs that a queue may take; None: any number.
            most: the most slots of a family that there may be room for, by the smallest of its lines and its size.
        """
        for queue, families in self._queues.items():
            gpus = left(queue)
            for entries in families.values():
                bound, least = inf, self.of(entries[0][-1])
                if least is not None:
                    if gpus is not None and least.gpus_per_slot:
                        bound = gpus // least.gpus_per_slot
                    if least.slots <= bound:
                        bound = min(bound, most(least, entries[0][-1]))
                yield from (line for _, _, line in entries[: bisect_right(entries, bound, key=_slots)])


def _kin(size: Size | None) -> tuple[Family, int] | None:
    return None if size is None else (size.family, size.gpus_per_slot)


def _slots(entry: _Entry) -> float:
    return entry[0]
