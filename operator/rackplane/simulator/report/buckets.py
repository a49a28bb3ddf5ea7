"""Figures over even stretches of time: as the run grows the stretches do, and not the memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Buckets", "How"]

Floats = NDArray[np.float64]


class How(StrEnum):
    """What is kept of the values of one stretch."""

    MEAN = "mean"
    LEAST = "least"
    MOST = "most"
    SUM = "sum"


_OF: Final[Mapping[How, Callable[[float, float], float]]] = {
    How.MEAN: lambda a, b: a + b,
    How.LEAST: min,
    How.MOST: max,
    How.SUM: lambda a, b: a + b,
}


class Buckets:
    """Columns of values by time. A stretch is 1 sample long, then 2, 4, 8, ... as the run goes on.

    Args:
        most: stretches, an even number; once there were so many samples, at least half as many are in use.
    """

    def __init__(self, *, most: int = 480) -> None:
        if most < 2 or most % 2:
            raise ValueError(f"most must be even and at least 2, not {most}")
        self.samples = 1
        """That one stretch is long."""
        self._most, self._used = most, 0
        self._how: dict[Hashable, How] = {}
        self._values: dict[Hashable, Floats] = {}
        self._counts: dict[Hashable, Floats] = {}

    def __len__(self) -> int:
        return self._used

    def add(self, sample: int, column: Hashable, how: How, value: float | None) -> None:
        """A value of a sample, counted from 0; None: it is not known. Of one column `how` is always the same."""
        while sample // self.samples >= self._most:
            self._halve()
        at = sample // self.samples
        self._used = max(self._used, at + 1)
        if value is None:
            return
        values = self._values.get(column)
        if values is None:
            values = self._values[column] = np.full(self._most, np.nan)
            self._how[column] = how
            if how is How.MEAN:
                self._counts[column] = np.zeros(self._most)
        before = float(values[at])
        values[at] = value if math.isnan(before) else _OF[how](before, value)
        if how is How.MEAN:
            self._counts[column][at] += 1

    def column(self, name: Hashable) -> list[float | None]:
        """One value for each stretch, the first one first; None where nothing is known."""
        if name not in self._values:
            return [None] * self._used
        values = self._values[name][: self._used]
        if name in self._counts:
            values = values / np.maximum(self._counts[name][: self._used], 1)
        return [None if math.isnan(value) else value for value in values.tolist()]

    def _halve(self) -> None:
        half = self._most // 2
        for name, values in self._values.items():
            left, right = values[::2], values[1::2]
            match self._how[name]:
                case How.LEAST:
                    merged = np.fmin(left, right)
                case How.MOST:
                    merged = np.fmax(left, right)
                case _:
                    both = np.nan_to_num(left) + np.nan_to_num(right)
                    merged = np.where(np.isnan(left) & np.isnan(right), np.nan, both)
            values[:half], values[half:] = merged.copy(), np.nan
        for counts in self._counts.values():
            counts[:half], counts[half:] = counts[::2] + counts[1::2], 0
        self.samples *= 2
        self._used = (self._used + 1) // 2
