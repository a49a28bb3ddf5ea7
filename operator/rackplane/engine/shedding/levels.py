"""What gangs give and lose at each level, by place: a gang draws on few limits, and only those have a place with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ABSENT", "Offers", "numbered", "summed"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ABSENT = 1 << 30
"""The stage of a level that a gang does not have."""


def numbered(chosen: Ints, count: int) -> Ints:
    """By number up to ``count``, its place among the chosen; how many they are if it is none of them."""
    found = np.full(count + 1, len(chosen), dtype=np.int64)
    found[chosen] = np.arange(len(chosen))
    return found


def summed(values: Floats, limits: Ints, count: int) -> Floats:
    """By limit, the sum of what is given there; ``limits`` says which each value is of, ``count`` stands for none."""
    if count == 1:  # NumPy sums a single row pairwise, with less of an error than one by one
        return np.array([np.where(limits == 0, values, 0.0).sum(axis=1).sum()])
    return np.asarray(np.bincount(limits.ravel(), values.ravel(), count + 1)[:-1])


@dataclass(frozen=True, slots=True)
class Offers:
    """By gang and level, what a measure gives and loses, and in which stage; level 0 is to leave the gang alone.

    ``gives`` is by gang, level and place, in watts, and ``limits`` by gang and place the limit that it is given on: in
    rising order, and ``count``, the number of limits, at places that the gang has no limit for. ``losses`` and
    ``stages`` are by gang and level. Stages rise with the level, the mildest is 0; level 0 is of stage -1, and levels
    that a gang does not have are ``ABSENT``.
    """

    gives: Floats
    limits: Ints
    count: int
    losses: Floats
    stages: Ints

    def within(self, stage: int) -> Ints:
        """By gang, the highest level whose stage is at most this one."""
        return np.asarray((self.stages <= stage).sum(axis=1) - 1, dtype=np.int64)

    def given(self, levels: Ints) -> Floats:
        """By limit, what is taken off at these levels of the gangs."""
        return summed(self.gives[np.arange(len(levels)), levels], self.limits, self.count)

    def touches(self) -> Bools:
        """By gang and limit, whether anything is given."""
        gang, place = np.nonzero(self.gives.max(axis=1) > 0)
        found = np.zeros((len(self.gives), self.count), dtype=np.bool_)
        found[gang, self.limits[gang, place]] = True
        return found

    def part(self, gangs: Ints, limits: Ints) -> Offers:
        """Of these gangs, for these limits."""
        if len(gangs) == len(self.gives):
            return self.of(limits)
        gives, named = self.gives[gangs], self.limits[gangs]
        return Offers(gives, named, self.count, self.losses[gangs], self.stages[gangs]).of(limits)

    def of(self, limits: Ints) -> Offers:
        """For these limits, which are in order."""
        if len(limits) == self.count:
            return self
        own = numbered(limits, self.count)[self.limits]
        width = int((own < len(limits)).sum(axis=1).max(initial=0))
        place = np.argsort(own, axis=1, kind="stable")[:, :width]
        gives = np.take_along_axis(self.gives, place[:, None, :], axis=2)
        # What is given on other limits counts for nothing.
        own = np.take_along_axis(own, place, axis=1)
        gives = np.where((own < len(limits))[:, None, :], gives, 0.0)
        return Offers(gives, own, len(limits), self.losses, self.stages)
