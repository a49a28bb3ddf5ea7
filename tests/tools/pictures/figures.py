"""Numbers and series as a panel shows them: units, colours, ticks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["PALETTE", "Series", "colour", "named", "read", "text", "ticks"]

#: Told apart by people who see no red and green, too (Okabe and Ito).
PALETTE: Final = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"),
    *("#7f6a00", "#5b5b9a", "#6b8e23", "#8b4a62", "#3f7f7f", "#999999"),
)
#: Steps of time that people count in, in seconds.
_LONG: Final = (30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400)
_COLOURS: Final = {"green": "#1a7f37", "orange": "#bc6c00", "red": "#cf222e", "blue": "#1f5fbf"}


@dataclass(frozen=True)
class Series:
    name: str
    points: Sequence[tuple[float, float]]
    labels: Mapping[str, str]

    @property
    def last(self) -> float:
        return self.points[-1][1]


def read(series: Sequence[Mapping[str, Any]], legend: str) -> list[Series]:
    """Answers of Prometheus' query_range; what is no finite number is left out."""
    found = []
    for each in series:
        points = [(float(at), float(value)) for at, value in each["values"]]
        points = [point for point in points if math.isfinite(point[1])]
        if points:
            found.append(Series(named(legend, each["metric"]), points, each["metric"]))
    return sorted(found, key=lambda s: s.name)


def named(legend: str, labels: Mapping[str, str]) -> str:
    """What a legend makes of a series' labels."""
    if legend == "__auto":
        return ", ".join(value for name, value in labels.items() if name != "__name__")
    return re.sub(r"{{\s*(\w+)\s*}}", lambda found: labels.get(found[1], ""), legend)


def text(value: float, unit: str) -> str:
    """ "1.2 MW", "93 %", "4 min"."""
    match unit:
        case "watt" | "bytes":
            letter = "W" if unit == "watt" else "B"
            for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
                if abs(value) >= factor:
                    return f"{_short(value / factor)} {prefix}{letter}"
            return f"{_short(value)} {letter}"
        case "percentunit":
            return f"{_short(value * 100)} %"
        case "s":
            if 0 < abs(value) < 1:
                return f"{_short(value * 1000)} ms"
            for factor, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
                if abs(value) >= factor:
                    return f"{_short(value / factor)} {word}"
            return f"{_short(value)} s"
        case "cpm":
            return f"{_short(value)} /min"
        case "ops":
            return f"{_short(value)} /s"
    return _short(value)


def _short(value: float) -> str:
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    rounded = f"{value:.{min(digits, 3)}f}"
    return rounded.rstrip("0").rstrip(".") if "." in rounded else rounded


def colour(value: float, steps: Sequence[Mapping[str, Any]]) -> str:
    """Of the last step that the value has reached."""
    reached = [step for step in steps if step["value"] is None or value >= step["value"]]
    return _COLOURS[str(reached[-1]["color"])] if reached else _COLOURS["blue"]


def ticks(low: float, high: float, count: int = 4, *, seconds: bool = False) -> list[float]:
    """Round values from below the lowest to above the highest; seconds are round as minutes, hours and days."""
    if high <= low:
        high = low + 1
    rough = (high - low) / count
    size = 10 ** math.floor(math.log10(rough))
    steps = [size * k for k in (1, 2, 2.5, 5, 10)]
    if seconds and rough > 20:
        steps = [*_LONG, *(86_400 * k for k in steps)]
    step = next(each for each in steps if each >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [k * step for k in range(first, last + 1)]
