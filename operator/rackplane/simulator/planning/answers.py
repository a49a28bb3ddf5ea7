"""What a question is answered with: a sentence, tables for people, and the same figures for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Table", "hours", "kilowatts", "lasting", "percent", "plural"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; ``right`` are the columns of figures, the last column may be wrapped."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    right: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Args:
        answer: in one sentence.
        notes: what must be known to read it, a sentence each.
        data: for programs: watts are integers, times are seconds unless the name says hours.
    """

    question: str
    answer: str
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        return {"question": self.question, "answer": self.answer, **self.data, "notes": list(self.notes)}


def kilowatts(watts: float) -> str:
    """ "1,150.0" """
    return f"{round(watts / 1000, 1) + 0.0:,.1f}"


def hours(seconds: float) -> str:
    """ "12.34" """
    return f"{seconds / 3600:,.2f}"


def lasting(seconds: float) -> str:
    """ "45 s", "12 min", "2.8 h", "3.2 d" """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"


def percent(part: float, whole: float) -> str:
    """ "12.3 %"; of nothing "-"."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def plural(number: int, noun: str) -> str:
    """ "1 rack", "12 racks"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
