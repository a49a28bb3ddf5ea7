"""When gangs are taken to be over that have run past their expected end, kept in step gang by gang."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rackplane.engine.queueing.reservations import extended_end

__all__ = ["Lateness"]


class Lateness:
    """Costs something when a gang comes to run over, is over, or is taken to need longer still; else nothing."""

    def __init__(self) -> None:
        self._planned: dict[str, float] = {}
        self._ends: dict[str, float] = {}
        #: counts how often they have become others
        self.revision = 0
        #: the first of these ends, at which that gang is taken to need longer
        self._next = math.inf

    def put(self, booking: str, planned: float | None) -> None:
        """The booking runs, though it was expected to be over at ``planned``; None: it does not."""
        if self._planned.get(booking) == planned:
            return
        if planned is None:
            del self._planned[booking]
        else:
            self._planned[booking] = planned
            self._next = -math.inf
        if booking in self._ends:
            self._ends = {key: end for key, end in self._ends.items() if key != booking}
            self.revision += 1

    def ends(self, now: float) -> Mapping[str, float]:
        """When each is taken to be over; another object for every other content, and never changed afterwards."""
        if now >= self._next:
            found, known = {}, self._ends
            for booking, planned in self._planned.items():
                end = known.get(booking, -math.inf)
                found[booking] = end if end > now else extended_end(planned, now)
            if found != known:
                self._ends = found
                self.revision += 1
            self._next = min(found.values(), default=math.inf)
        return self._ends
