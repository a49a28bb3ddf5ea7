"""Names and limits as a reader wants them: runs of numbered names in short, the nearest limit and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rackplane.figures import kilowatts

if TYPE_CHECKING:
    from rackplane.engine.reporting.reports import WorstCase

__all__ = ["names", "nearest_limit"]


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
