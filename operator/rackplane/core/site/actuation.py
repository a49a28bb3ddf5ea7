"""How long it takes from the writing of a lower power cap until it is confirmed."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

__all__ = ["BUCKETS", "ActuationTimes"]

BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, math.inf)
"""Upper bounds of the histogram, in seconds; what was not confirmed in time is in the last."""
KEPT: Final = 1000
ENOUGH: Final = 100
"""So many are needed for a 99th percentile: with fewer it would be the longest of them."""


@dataclass(slots=True)
class ActuationTimes:
    """The latest times, in seconds; infinite for a cap that was not confirmed in time.

    A new process has none: nothing of them is kept over a restart.
    """

    counts: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    """Since this process began, by bucket."""
    total_seconds: float = 0.0
    """Of those that were confirmed."""
    _latest: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _p99: float | None = None

    def add(self, seconds: float) -> None:
        """Of one node; ``math.inf``: not confirmed in time."""
        self._latest.append(seconds)
        self._p99 = None
        self.counts[next(i for i, most in enumerate(BUCKETS) if seconds <= most)] += 1
        if math.isfinite(seconds):
            self.total_seconds += seconds

    def p99(self, assumed: float) -> float:
        """The 99th percentile (nearest rank) of the latest; with too few, the longest or ``assumed`` if that is longer.

        So a new process counts on what is set until it has measured enough itself.
        """
        measured = self.measured_p99()
        return max([assumed, *self._latest]) if measured is None else measured

    def measured_p99(self) -> float | None:
        """The same, only if enough have been measured."""
        if len(self._latest) < ENOUGH:
            return None
        if self._p99 is None:  # asked after every batch of events, and for every power domain
            self._p99 = sorted(self._latest)[math.ceil(0.99 * len(self._latest)) - 1]
        return self._p99
