"""What an adapter makes of a document: sayings about elements, orders, and what is wrong with the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rackplane.api.report import Leak, ReportedState, ReportWhat

__all__ = [
    "AHEAD_SECONDS",
    "TELEMETRY",
    "Fault",
    "Order",
    "Reading",
    "Saying",
    "items",
    "number",
    "record",
    "text",
    "time_of",
]

#: A source's clock may be so far ahead. Beyond, its reports would outlive every later one. Seconds.
AHEAD_SECONDS: Final = 300.0
#: The name of our own questions to a Prometheus as a source; no token may have it.
TELEMETRY: Final = "telemetry"
_LONGEST_TEXT: Final = 253


class Fault(Exception):
    """Something in a document that cannot be taken: where, what is wrong, and what to do."""

    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.where, self.what, self.remedy = where, what, remedy

    def as_data(self) -> dict[str, str]:
        return {"where": self.where, "problem": self.what, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Saying:
    """One report, of what the source calls by a name of its own. Times in seconds since the epoch."""

    #: where in the document it stands, for errors
    where: str
    #: of which kinds the object may be, the likeliest first
    kinds: tuple[str, ...]
    name: str
    what: ReportWhat
    value: ReportedState | Leak | int
    at: float
    id: str
    #: of a cooling zone or of modules, if the source names it apart
    unit: str = ""
    expires: float | None = None
    message: str = ""
    #: the source speaks of much that is none of ours: what is not known is no fault
    may_be_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What a utility or a grid operator asks for. Times in seconds since the epoch."""

    where: str
    #: None: what was ordered of these targets for that time is taken back
    limit_watts: int | None
    feed_tags: tuple[str, ...]
    power_domains: tuple[str, ...]
    starts_at: float
    ends_at: float | None
    best_effort: bool
    at: float
    id: str
    correlation_id: str = ""


@dataclass(slots=True)
class Reading:
    """All that is in one document."""

    sayings: list[Saying] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    #: what is well formed and says nothing that is used, in words
    unused: list[str] = field(default_factory=list)


# -- fields of documents -------------------------------------------------------------------------------


def record(value: object, where: str) -> Mapping[str, Any]:
    """The value as an object.

    Raises:
        Fault: it is something else.
    """
    if isinstance(value, Mapping):
        return value
    raise Fault(where, "is not a JSON object", "Send an object with named fields")


def items(value: object, where: str) -> Iterator[tuple[str, object]]:
    """The entries of a list, each with where it stands.

    Raises:
        Fault: it is no list.
    """
    if not isinstance(value, list):
        raise Fault(where, "is not a list", "Send a list, also of one")
    yield from ((f"{where}[{i}]", entry) for i, entry in enumerate(value))


def text(of: Mapping[str, Any], name: str, where: str, *, default: str | None = None) -> str:
    """A field of text, shortened to what the API takes.

    Raises:
        Fault: it is missing and has no default, or is no text.
    """
    value = of.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or (not value and default is None):
        what = "is missing" if value is None or value == "" else f"is {value!r}, which is no text"
        raise Fault(f"{where}.{name}", what, "Send it as text")
    return value[:_LONGEST_TEXT]


def number(of: Mapping[str, Any], name: str, where: str) -> float:
    """A finite number.

    Raises:
        Fault: it is missing or something else.
    """
    value = of.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        what = "is missing" if value is None else f"is {value!r}, which is no number"
        raise Fault(f"{where}.{name}", what, "Send it as a number")
    return value


def time_of(
    of: Mapping[str, Any], name: str, where: str, now: float, *, optional: bool = False
) -> float | None:
    """An RFC 3339 time as seconds since the epoch; None if it is optional and missing.

    Raises:
        Fault: it is missing, is no time with an offset, or lies further ahead than clocks may differ.
    """
    value = of.get(name)
    if value is None and optional:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError
        found = at.timestamp()
    except (ValueError, OverflowError):
        what = "is missing" if value is None else f"is {value!r}, which is no time"
        raise Fault(f"{where}.{name}", what, "Send RFC 3339 with an offset: 2026-12-01T06:00:00Z") from None
    if not optional and found > now + AHEAD_SECONDS:
        what = f"is {value}, {round(found - now)} s ahead of the operator's clock"
        raise Fault(
            f"{where}.{name}", what, "Set the clock of the sender: later reports could not replace this one"
        )
    return found
