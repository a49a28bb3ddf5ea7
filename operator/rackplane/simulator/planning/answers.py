"""What a question is answered with: a sentence, tables for people, and the same figures for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Table", "hours", "percent"]


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


def hours(seconds: float) -> str:
    """ "12.34" """
    return f"{seconds / 3600:,.2f}"


def percent(part: float, whole: float) -> str:
    """ "12.3 %"; of nothing "-"."""
    return f"{100 * part / whole:.1f} %" if whole else "-"
