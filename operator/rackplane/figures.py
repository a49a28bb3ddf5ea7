"""Figures as they stand in a column: kW, how long, and how many."""

from __future__ import annotations

__all__ = ["count", "kilowatts", "lasting"]


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
