"""What a reader does with one row: fields out of it, or words about the one that is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rackplane.api.problems import show
from rackplane.simulator.jobs import TraceJob

__all__ = ["Format", "LeftOut", "Row", "RowProblem"]

_LONGEST_SECONDS: Final = 20 * 366 * 86_400
_MOST_GPUS: Final = 10_000_000


class RowProblem(Exception):
    """A row that cannot be used: the field, what is wrong with it, and what to do."""

    def __init__(self, field: str, what: str, remedy: str) -> None:
        super().__init__(f"{field} {what}: {remedy}")
        self.field, self.what, self.remedy = field, what, remedy


class LeftOut(Exception):
    """A row that is right and no job to run, such as one that was cancelled before it started."""


Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of trace.

    Args:
        columns: that a file of it has; by them it is recognised.
        job: a row as a job; raises `RowProblem` and `LeftOut`.
        delimiter: of the columns; "" where the file is JSON.
    """

    name: str
    what: str
    columns: frozenset[str]
    job: Callable[[Row], TraceJob]
    delimiter: str = ","


def text(row: Row, field: str) -> str:
    """The field without spaces around it; "" where it is missing."""
    value = row.get(field)
    return value.strip() if isinstance(value, str) else "" if value is None else str(value)


def number(row: Row, field: str, *, least: float = 0.0, most: float = math.inf) -> float:
    """A number within these bounds.

    Raises:
        RowProblem: it is missing, no number, or outside.
    """
    said = text(row, field)
    if not said:
        raise RowProblem(field, "is empty", f"write a number of {least:g} or more")
    try:
        value = float(said)
    except ValueError:
        raise RowProblem(
            field, f"is {show(said)}, no number", f"write a number of {least:g} or more"
        ) from None
    if not least <= value <= most or math.isnan(value):
        bounds = f"{least:,.0f} or more" if math.isinf(most) else f"{least:,.0f} to {most:,.0f}"
        raise RowProblem(field, f"is {said}", f"write a number of {bounds}")
    return value


def whole(row: Row, field: str, *, least: int = 0, most: int = _MOST_GPUS) -> int:
    """A whole number, as `number`; 8.0 is one too, for some tools write that."""
    value = number(row, field, least=least, most=most)
    if value != int(value):
        raise RowProblem(field, f"is {text(row, field)}", "write a whole number")
    return int(value)


def optional(row: Row, field: str, *, least: int = 0, most: int = _MOST_GPUS) -> int | None:
    """As `whole`; None where it is empty."""
    return whole(row, field, least=least, most=most) if text(row, field) else None


def moment(row: Row, field: str) -> int:
    """Seconds since the epoch, of a number of seconds or of a date and a time; without a zone in UTC.

    Raises:
        RowProblem: it is neither.
    """
    said = text(row, field)
    remedy = "write seconds, or a time such as 2020-06-09 18:41:01"
    if not said:
        raise RowProblem(field, "is empty", remedy)
    try:
        value = float(said)
    except ValueError:
        try:
            found = datetime.fromisoformat(said)
        except ValueError:
            raise RowProblem(field, f"is {show(said)}, no time", remedy) from None
        value = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if math.isnan(value) or math.isinf(value):
        raise RowProblem(field, f"is {said}", remedy)
    return round(value)


def lasting(row: Row, field: str) -> int:
    """A duration in whole seconds, at least 1: what ran for less held its GPUs too."""
    return max(1, round(number(row, field, most=_LONGEST_SECONDS)))


def spent(began: int, ended: int, field: str) -> int:
    """Seconds between two moments, at least 1.

    Raises:
        RowProblem: the second is before the first.
    """
    if ended < began:
        raise RowProblem(field, "is before the start", "correct one of the two")
    return max(1, ended - began)


def gpus_of(row: Row, field: str) -> int:
    """GPUs of a job.

    Raises:
        LeftOut: it asks for none.
    """
    found = whole(row, field)
    if not found:
        raise LeftOut("asks for no GPU")
    return found
