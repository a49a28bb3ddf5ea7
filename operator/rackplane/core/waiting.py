"""The gangs that wait for a place, in their order: kept in order as gangs come and go, not sorted for every event."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping

from rackplane.core.record import GangRecord, Key

__all__ = ["Place", "Waiting"]

#: what gangs are ordered by; the last part tells any two apart
Place = tuple[int, int, str, Key]


class Waiting:
    """Who waits, by the last look at each gang; and whether there is anything to ask them."""

    def __init__(self) -> None:
        self._places: dict[Key, Place] = {}
        self._order: list[Place] = []
        self._stale: dict[Key, None] = {}
        #: version of the machine's state at which all who wait were asked, and none of them was placed
        self.asked_at = -1
        #: when one that was passed over may be asked again, in seconds since the epoch
        self.due = math.inf

    def look(self, gangs: Iterable[Key]) -> None:
        """Something about these has changed, which may have a say in whether or where they wait."""
        self._stale.update(dict.fromkeys(gangs))

    def refresh(self, place: Callable[[Key], Place | None]) -> None:
        """Look at what has changed.

        Args:
            place: of a gang; None if it does not wait.
        """
        for key in self._stale:
            new, old = place(key), self._places.get(key)
            if new is not None:
                self.asked_at = -1  # what it asks for may have changed
            if new == old:
                continue
            self.asked_at = -1
            if old is not None:
                del self._order[bisect_left(self._order, old)]
                del self._places[key]
            if new is not None:
                insort(self._order, new)
                self._places[key] = new
        self._stale.clear()

    def waits(self, gang: Key) -> bool:
        """Whether it waits, by the last look."""
        return gang in self._places

    def in_order(self, gangs: Mapping[Key, GangRecord], first: int | None = None) -> list[GangRecord]:
        """Those who wait, first come first; all, or so many."""
        return [gangs[place[-1]] for place in self._order[:first]]
