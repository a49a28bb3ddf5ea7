"""The cheapest choice of one level for each gang that takes enough off every limit: branch and bound.

The bound is that of each limit alone when gangs could be brought down in part: the steps that give most for their
price, down to the last one. Prices are exact integers. Every choice that could be cheaper is looked at or ruled out by
a bound, as long as the steps allowed are not used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["Choices"]

_SCALE = 64
"""Bits after the point of a price per unit: prices are rounded down, so bounds stay bounds."""

Step = tuple[int, int, int]
"""Price per unit, gang, and how much it gives, of one limit."""


@dataclass(slots=True)
class Choices:
    """One question.

    Args:
        weights: by gang and level, the price; level 0 is to leave it alone and costs nothing.
        gives: by gang, level and limit, what it takes off; it grows with the level.
        missing: by limit, how much has to be taken off.
        steps: how much may be looked at.
    """

    weights: Sequence[Sequence[int]]
    gives: Sequence[Sequence[Sequence[int]]]
    missing: Sequence[int]
    steps: int
    best: list[int] | None = None
    """Levels of the cheapest choice found."""
    price: int | None = None
    _levels: list[int] = field(default_factory=list)
    _open: list[bool] = field(default_factory=list)
    _ladders: list[list[Step]] = field(default_factory=list)

    def solve(self, start: Sequence[int] | None = None) -> bool:
        """Look for the cheapest; ``start``, which is enough, is to be undercut.  Whether nothing was left out."""
        self._levels = [0] * len(self.weights)
        self._open = [True] * len(self.weights)
        self._ladders = [self._ladder(k) for k in range(len(self.missing))]
        if start is not None:
            self.best = list(start)
            self.price = sum(w[level] for w, level in zip(self.weights, start, strict=True))
        self._dive(0, list(self.missing))
        return self.steps > 0

    def _ladder(self, limit: int) -> list[Step]:
        """The steps of all gangs for one limit, the best first; those of one gang get worse and worse (convex hull)."""
        found = []
        for g, (prices, gives) in enumerate(zip(self.weights, self.gives, strict=True)):
            points = [(0, 0)]
            for price, given in sorted(zip(prices[1:], (own[limit] for own in gives[1:]), strict=True)):
                if given <= points[-1][0]:
                    continue
                while len(points) > 1 and (price - points[-1][1]) * (points[-1][0] - points[-2][0]) <= (
                    points[-1][1] - points[-2][1]
                ) * (given - points[-1][0]):
                    points.pop()
                points.append((given, price))
            for (had, paid), (given, price) in pairwise(points):
                found.append((((price - paid) << _SCALE) // (given - had), g, given - had))
        return sorted(found)

    def _least(self, limit: int, missing: int) -> tuple[int | None, int]:
        """A lower bound on the price of so much off a limit, and the gang whose step is the best for it."""
        price, first = 0, -1
        for rate, gang, given in self._ladders[limit]:
            self.steps -= 1
            if not self._open[gang]:
                continue
            if first < 0:
                first = gang
            if given >= missing:
                return (price + rate * missing) >> _SCALE, first
            missing -= given
            price += rate * given
        return None, first

    def _dive(self, price: int, missing: list[int]) -> None:
        if self.steps <= 0 or self._too_dear(price):
            return
        dearest, wanted = -1, -1
        for limit, amount in enumerate(missing):
            if amount <= 0:
                continue
            least, first = self._least(limit, amount)
            if least is None or self._too_dear(price + least):
                return
            if least > dearest:
                dearest, wanted = least, first
        if wanted < 0:
            self.best, self.price = list(self._levels), price
            return
        self._open[wanted] = False
        own, gives = self.weights[wanted], self.gives[wanted]
        for level in range(len(own) - 1, -1, -1):
            self._levels[wanted] = level
            left = [m - given for m, given in zip(missing, gives[level], strict=True)]
            self._dive(price + own[level], left)
        self._levels[wanted] = 0
        self._open[wanted] = True

    def _too_dear(self, price: int) -> bool:
        return self.price is not None and price >= self.price
