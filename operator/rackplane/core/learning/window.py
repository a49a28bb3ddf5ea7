"""Means of what nodes draw over 15 minutes.

It is the time over which existing loads are demanded to be metered before more is put on the same feeder
(NFPA 70, 220.87).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["FRESH_SECONDS", "WINDOW_SECONDS", "Window"]

WINDOW_SECONDS: Final = 900.0
FRESH_SECONDS: Final = 300.0
"""Readings that are further apart, or older, are none: two questions at the longest pause there may be between them."""


@dataclass(slots=True)
class Window:
    """Readings of some nodes since the last 15 minutes were full.

    Args:
        since: when it began, in seconds since the epoch.
        last: when there last was a reading in it.
    """

    since: float
    last: float
    _sums: dict[str, int] = field(default_factory=dict)
    _looks: dict[str, int] = field(default_factory=dict)

    def take(self, now: float, watts: Mapping[str, int]) -> dict[str, int] | None:
        """Take in one reading of these nodes.

        Returns:
            The mean of each in watts, rounded up, once 15 minutes are full: a new window then begins. Of a node that
            was read less than half as often as another nothing is said. None before.
        """
        if not watts:
            return None
        if now - self.last > FRESH_SECONDS:
            self._begin(now)
        self.last = now
        for node, drawn in watts.items():
            self._sums[node] = self._sums.get(node, 0) + drawn
            self._looks[node] = self._looks.get(node, 0) + 1
        if now - self.since < WINDOW_SECONDS:
            return None
        most = max(self._looks.values())
        means = {
            node: -(-self._sums[node] // looks) for node, looks in self._looks.items() if 2 * looks >= most
        }
        self._begin(now)
        return means

    def _begin(self, now: float) -> None:
        self.since = now
        self._sums, self._looks = {}, {}
