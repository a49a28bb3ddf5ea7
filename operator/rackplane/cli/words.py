"""Names and figures as a reader wants them: kW with one digit, runs of numbered names in short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rackplane.engine.reporting.reports import WorstCase

__all__ = ["count", "kilowatts", "lasting", "names", "nearest_limit"]


def kilowatts(watts: float) -> str:
    """ "1,150.0", for a column that says kW; never "-0.0"."""
    return f"{round(watts / 1000, 1) + 0.0:,.1f}"


def lasting(seconds: float) -> str:
    """How long, for a column: "45 s", "12 min", "2.8 h", "3.2 d"; never "60 min"."""
    if round(seconds) < 60:
        return f"{max(0, round(seconds))} s"
    if round(seconds / 60) < 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if round(seconds / 3600, 1) < 48 else f"{seconds / 86_400:.1f} d"


def count(number: int, noun: str) -> str:
    """ "1 node", "1,056 nodes"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def names(items: Sequence[str], most: int = 8) -> str:
    """ "r1..r3, r5": sorted, runs of numbered names in short, at most so many parts."""
    parts: list[str] = []
    run: list[str] = []
    for name in [*sorted(items, key=_number), ""]:
        if run and _follows(run[-1], name):
            run.append(name)
            continue
        if run:
            parts.extend(run if len(run) < 3 else [f"{run[0]}..{run[-1]}"])
        run = [name]
    shown = ", ".join(parts[:most])
    return f"{shown} and {len(parts) - most} more" if len(parts) > most else shown


def nearest_limit(worst: WorstCase | None, *, of: str = "") -> str:
    """Which limit is nearest and under which loss: "losing ups-b: power domain ups-a 2,400.0 of 2,400.0 kW".

    Args:
        of: name of the element that the words stand beside; it is not said again.
    """
    if worst is None:
        return ""
    figures = f"{kilowatts(worst.load_watts)} of {kilowatts(worst.limit_watts)} kW"
    own = worst.row.element == of
    if worst.loss.normal:
        return f"own {worst.row.kind}" if own else f"{worst.row.label}: {figures}"
    label = (f"{worst.row.kind} " if worst.row.basis else "") if own else f"{worst.row.label} "
    second = f" (a second loss: {', '.join(worst.second_to)} out)" if worst.second_to else ""
    return f"losing {worst.loss.label}{second}: {label}{figures}"


def _number(name: str) -> tuple[str, int]:
    digits = len(name) - len(name.rstrip("0123456789"))
    return (name[:-digits], int(name[-digits:])) if digits else (name, -1)


def _follows(before: str, after: str) -> bool:
    (left, first), (right, second) = _number(before), _number(after)
    return left == right and first >= 0 and second == first + 1
