"""The cheapest set that gives enough of several things: branch and bound over subsets, with exact integers.

The bound is that of each demand alone when victims could be stopped in part: those that give most for their price, down
to the last one. Every subset that could be cheaper is either looked at or ruled out by a bound, as long as the work
allowed is not used up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

_SCALE = 64
"""Bits after the point of a price per unit: prices are rounded down, so bounds stay bounds."""


class Gains:
    """What each victim gives of one thing, and the order in which they are worth it."""

    def __init__(self, amounts: Mapping[int, int], weights: Sequence[int]) -> None:
        self.amounts = {v: n for v, n in amounts.items() if n > 0}
        self.total = sum(self.amounts.values())
        self._weights = weights

    @cached_property
    def order(self) -> list[tuple[int, int, int]]:
        """Victim, amount and price per unit, the best first."""
        priced = sorted(((self._weights[v] << _SCALE) // n, v) for v, n in self.amounts.items())
        return [(v, self.amounts[v], price) for price, v in priced]

    @cached_property
    def _most(self) -> list[int]:
        return list(accumulate(sorted(self.amounts.values(), reverse=True), initial=0))

    def most(self, count: int) -> int:
        """What so many of them give at most."""
        return self._most[min(count, len(self.amounts))]

    def least(self, deficit: int, decided: Collection[int]) -> tuple[int | None, int, int]:
        """A lower bound on the price of so much from the undecided; the first of them; and how many were looked at.

        The bound is None if they do not have as much.
        """
        price, first, steps = 0, -1, 0
        for v, amount, rate in self.order:
            steps += 1
            if v in decided:
                continue
            if first < 0:
                first = v
            if amount >= deficit:
                return (price + rate * deficit) >> _SCALE, first, steps
            deficit -= amount
            price += rate * amount
        return None, first, steps


Demand = tuple[Gains, int]
"""How much of it is missing, and who can give it."""


@dataclass(slots=True)
class Work:
    """How much may still be looked at; ``spent`` says that something was not."""

    steps: int
    spent: bool = False

    def take(self, steps: int) -> bool:
        """Whether there is still some left after so much."""
        self.steps -= steps
        if self.steps < 0:
            self.spent = True
        return not self.spent


@dataclass(slots=True)
class Cover:
    """One search: ``weights`` by victim, what is asked for, and who else has a say.

    ``allowed``: whether all of these may be stopped together; if they may, any part of them may. ``accepts`` has the
    last word on a set that meets all demands; what it refuses is extended by victims of ``others``.
    """

    weights: Sequence[int]
    demands: Sequence[Demand]
    allowed: Callable[[Collection[int]], bool]
    accepts: Callable[[frozenset[int]], bool]
    work: Work
    others: Sequence[int] = ()
    below: int | None = None
    """Only what is cheaper is of interest."""
    best: frozenset[int] | None = None
    _decided: set[int] = field(default_factory=set)

    def cheapest(self, start: Iterable[int] = ()) -> frozenset[int] | None:
        """The cheapest acceptable set that contains ``start``; None if there is none below."""
        chosen = list(start)
        self._decided.update(chosen)
        missing = [d - sum(g.amounts.get(v, 0) for v in chosen) for g, d in self.demands]
        self._dive(chosen, sum(self.weights[v] for v in chosen), missing)
        return self.best

    def exclude(self, victims: Iterable[int]) -> None:
        """Do not look at sets with these."""
        self._decided.update(victims)

    def _dive(self, chosen: list[int], price: int, missing: list[int]) -> None:
        """All sets that contain the chosen ones and none of the others decided on."""
        passed_over: list[int] = []
        refused = False
        while not self._too_dear(price):
            victim = self._most_wanted(price, missing)
            if victim is None:
                break
            if victim < 0:
                if not refused and self.accepts(frozenset(chosen)):
                    self.best, self.below = frozenset(chosen), price
                    break
                refused = True
                victim = next((v for v in self.others if v not in self._decided), -1)
                if victim < 0 or not self.work.take(1):
                    break
            self._decided.add(victim)
            chosen.append(victim)
            if self.allowed(chosen):
                left = [m - g.amounts.get(victim, 0) for m, (g, _) in zip(missing, self.demands, strict=True)]
                self._dive(chosen, price + self.weights[victim], left)
            chosen.pop()
            passed_over.append(victim)
        self._decided.difference_update(passed_over)

    def _too_dear(self, price: int) -> bool:
        return self.below is not None and price >= self.below

    def _most_wanted(self, price: int, missing: Sequence[int]) -> int | None:
        """The victim to decide on next, the best for what is dearest; -1: nothing is missing; None: it is no use."""
        dearest, wanted = -1, -1
        for (gains, _), amount in zip(self.demands, missing, strict=True):
            if amount <= 0:
                continue
            least, first, steps = gains.least(amount, self._decided)
            if not self.work.take(steps) or least is None or self._too_dear(price + least):
                return None
            if least > dearest:
                dearest, wanted = least, first
        return wanted
