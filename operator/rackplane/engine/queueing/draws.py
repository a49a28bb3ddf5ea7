"""What some gangs draw above idle at any later time, by their expected ends."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Mapping

__all__ = ["Draws"]


class Draws:
    """Told gang by gang; a question costs two bisections, and after a change one sum over all of them.

    Times are in seconds on one clock; watts are nominal, above what idle nodes draw.
    """

    def __init__(self) -> None:
        self._of: dict[str, tuple[float, int]] = {}
        self._order: list[tuple[float, str]] = []
        #: of those that end with the first so many, or later; None: to be counted anew
        self._left: list[int] | None = None

    def put(self, key: str, watts: int, until: float | None) -> None:
        """What the gang draws from now on; ``until``: when it is expected to be over, None if that is not foreseen."""
        self.drop(key)
        end = math.inf if until is None else until
        self._of[key] = end, watts
        insort(self._order, (end, key))
        self._left = None

    def drop(self, key: str) -> None:
        """The gang draws nothing any more."""
        old = self._of.pop(key, None)
        if old is not None:
            del self._order[bisect_left(self._order, (old[0], key))]
            self._left = None

    def at(self, time: float, gone: Collection[str] = ()) -> int:
        """Watts of all that are not over by then.

        Args:
            gone: gangs that draw nothing any more, whatever their expected end.
        """
        held = (self._of[key] for key in dict.fromkeys(gone) if key in self._of)
        less = sum(watts for end, watts in held if end > time)
        return self._sums()[bisect_right(self._order, time, key=lambda end: end[0])] - less

    def falls_to(self, watts: int, after: float) -> float:
        """The first time from ``after`` on at which no more than that is left; infinite if there is none."""
        sums = self._sums()
        first = bisect_right(self._order, after, key=lambda end: end[0])
        # The sums fall along the order.
        index = bisect_left(sums, -watts, lo=first, key=lambda left: -left)
        if index == first:
            return after
        return self._order[index - 1][0] if index < len(sums) else math.inf

    @property
    def held(self) -> Mapping[str, tuple[float, int]]:
        """By gang: when it is over, infinite if that is not foreseen, and its watts."""
        return self._of

    def _sums(self) -> list[int]:
        if self._left is None:
            self._left = [0]
            for _, key in reversed(self._order):
                self._left.append(self._left[-1] + self._of[key][1])
            self._left.reverse()
        return self._left
