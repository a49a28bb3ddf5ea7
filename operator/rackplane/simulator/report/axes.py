"""Axes: where the ticks of a scale are, and how the figures on it are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["SHARE", "Scale", "Tick", "counted", "linear", "places_of_waits", "time_ticks", "watts"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How values are written: divided by ``size``, with at most so many digits behind the point, and the unit."""

    size: float
    unit: str
    digits: int

    def words(self, value: float) -> str:
        """ "1,234.5 kW"; never "-0 kW"."""
        return f"{self.figure(value)} {self.unit}".rstrip()

    def figure(self, value: float) -> str:
        """The same without the unit."""
        text = f"{round(value / self.size, self.digits) + 0.0:,.{self.digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


SHARE: Final = Scale(0.01, "%", 1)


def counted(unit: str) -> Scale:
    """Whole things."""
    return Scale(1, unit, 0)


def watts(largest: float) -> Scale:
    """W, kW or MW, so that the largest value has one to four digits before the point."""
    largest = abs(largest)
    if largest >= 10_000_000:
        return Scale(1e6, "MW", 2)
    return Scale(1e3, "kW", 1) if largest >= 1_000 else Scale(1, "W", 0)


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, from 0 to 1, and what stands there; ``minor`` ones give way where there is no room."""

    place: float
    text: str
    minor: bool = False


def linear(low: float, high: float, scale: Scale, *, most: int = 5) -> tuple[float, float, list[Tick]]:
    """An axis that holds low and high and 0: its ends, and ticks at round figures; the last one says the unit.

    Args:
        most: parts between ticks.
    """
    low, high = min(0.0, low), max(0.0, high)
    if high - low <= 0:
        high = low + scale.size
    step = _step(low / scale.size, high / scale.size, most, whole=not scale.digits) * scale.size
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    bottom, top = first * step, last * step
    ticks = []
    for i in range(first, last + 1):
        said = scale.words(i * step) if i == last else scale.figure(i * step)
        ticks.append(Tick((i * step - bottom) / (top - bottom), said))
    return bottom, top, ticks


def _step(low: float, high: float, most: int, *, whole: bool) -> float:
    """1, 2, 2.5 or 5 times a power of ten: the one that leaves least of the axis empty, with 3 to ``most`` parts."""
    power = 10.0 ** (math.floor(math.log10(high - low)) - 1)
    steps = [power * part for part in (1, 2, 2.5, 5, 10, 20, 25, 50, 100)]
    if whole:
        steps = sorted({float(math.ceil(step - 1e-9)) for step in steps})
    parts = {step: math.ceil(high / step - 1e-9) - math.floor(low / step + 1e-9) for step in steps}
    fitting = [step for step in steps if parts[step] <= most] or steps[-1:]
    return min(
        fitting, key=lambda s: (parts[s] * s / (high - low) + 0.02 * parts[s] + 0.3 * max(0, 3 - parts[s]), s)
    )


_STEPS: Final[Sequence[tuple[int, str, int]]] = (
    *((n, "second", 1) for n in (1, 5, 15, 30)),
    *((60 * n, "minute", 60) for n in (1, 5, 10, 30)),
    *((3_600 * n, "hour", 3_600) for n in (1, 2, 6, 12)),
    *((86_400 * n, "day", 86_400) for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
)


_COUNTED: Final = 120
"""Of a unit: 300 minutes are five hours."""


def time_ticks(seconds: float, *, most: int = 10) -> list[Tick]:
    """Ticks of an axis of time from 0; the first one says what is counted."""
    step, unit, size = next(
        (s for s in _STEPS if seconds / s[0] <= most and seconds / s[2] <= _COUNTED), _STEPS[-1]
    )
    ticks = []
    for i in range(int(seconds // step) + 1):
        count = f"{i * step // size:,}"
        ticks.append(Tick(i * step / seconds if seconds else 0.0, count if i else f"{unit} 0", bool(i % 2)))
    return ticks


_WAITS: Final = (
    *(
        (60, "1 min"),
        (600, "10 min"),
        (3_600, "1 h"),
        (6 * 3_600, "6 h"),
        (86_400, "1 d"),
        (7 * 86_400, "1 wk"),
    ),
    *((30 * 86_400, "30 d"), (365 * 86_400, "1 y")),
)
_NONE: Final = 0.08
"""The part of the axis for waits of less than a minute: a logarithm has no 0."""


def places_of_waits(longest: float) -> tuple[list[Tick], float]:
    """A logarithmic axis from a minute to the longest wait, with a place for none; and the seconds at its end."""
    end = max(longest * 1.15, 3_600.0)
    ticks = [Tick(0.0, "none")]
    ticks += [
        Tick(place_of_wait(at, end), text, text in ("1 min", "6 h", "1 wk", "1 y"))
        for at, text in _WAITS
        if at <= end
    ]
    return ticks, end


def place_of_wait(seconds: float, end: float) -> float:
    """Where a wait is on that axis, from 0 to 1."""
    if seconds < 1:
        return 0.0
    if seconds < 60:
        return _NONE * seconds / 60
    return _NONE + (1 - _NONE) * math.log(seconds / 60) / math.log(end / 60)
