"""Reports in our own shape, for a building management system that can send JSON of any shape, and for scripts.

    {"id": "7f3a", "at": "2026-12-01T06:00:00Z", "kind": "PowerDomain", "name": "ups-a", "state": "Offline"}

One object, a list of them, or `{"reports": [...], "orders": [...]}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rackplane.api.report import Leak, ReportedState, ReportWhat
from rackplane.controller.reports.sayings import (
    Fault,
    Order,
    Reading,
    Saying,
    items,
    number,
    record,
    text,
    time_of,
)

__all__ = ["read"]

KINDS: Final = ("PowerDomain", "CoolingZone", "Rack")
_VALUES: Final = ("state", "supplyCelsius", "leak")
_COLDEST, _HOTTEST = -50, 150


def read(document: object, now: float) -> Reading:
    """What the document says; what is wrong with some of it is in `faults`.

    Args:
        now: seconds since the epoch.
    """
    found = Reading()
    reports, orders = _parts(document)
    try:
        entries = [*items(reports, "reports"), *items(orders, "orders")]
    except Fault as fault:
        found.faults.append(fault)
        return found
    if not entries:
        found.faults.append(Fault("reports", "is empty", "Send at least one report or order"))
    for where, entry in entries:
        try:
            if where.startswith("orders"):
                found.orders.append(_order(record(entry, where), where, now))
            else:
                found.sayings.append(_report(record(entry, where), where, now))
        except Fault as fault:
            found.faults.append(fault)
    return found


def _parts(document: object) -> tuple[object, object]:
    if isinstance(document, Mapping) and ("reports" in document or "orders" in document):
        return document.get("reports", []), document.get("orders", [])
    return (document if isinstance(document, list) else [document]), []


def _report(entry: Mapping[str, Any], where: str, now: float) -> Saying:
    kind = entry.get("kind")
    if kind is not None and kind not in KINDS:
        raise Fault(f"{where}.kind", f"is {kind!r}", f"Send one of {', '.join(KINDS)}, or leave it out")
    at = time_of(entry, "at", where, now)
    assert at is not None
    what, value = _value(entry, where)
    return Saying(
        where=where,
        kinds=KINDS if kind is None else (kind,),
        name=text(entry, "name", where),
        what=what,
        value=value,
        at=at,
        id=text(entry, "id", where),
        unit=text(entry, "unit", where, default=""),
        expires=time_of(entry, "expires", where, now, optional=True),
        message=text(entry, "message", where, default=""),
    )


def _value(entry: Mapping[str, Any], where: str) -> tuple[ReportWhat, ReportedState | Leak | int]:
    given = [name for name in _VALUES if entry.get(name) is not None]
    if len(given) != 1:
        has = " and ".join(given) if given else "none of them"
        raise Fault(where, f"has {has}", f"Send exactly one of {', '.join(_VALUES)}")
    value = entry[given[0]]
    try:
        match given[0]:
            case "state":
                return (ReportWhat.UNIT if entry.get("unit") else ReportWhat.STATE), ReportedState(value)
            case "leak":
                return ReportWhat.LEAK, Leak(value)
    except ValueError:
        choices = [each.value for each in (ReportedState if given[0] == "state" else Leak)]
        raise Fault(f"{where}.{given[0]}", f"is {value!r}", f"Send one of {', '.join(choices)}") from None
    return ReportWhat.SUPPLY_CELSIUS, celsius(number(entry, "supplyCelsius", where), f"{where}.supplyCelsius")


def celsius(value: float, where: str) -> int:
    """Whole degrees, rounded up: towards less capacity.

    Raises:
        Fault: no supply temperature is that cold or that hot.
    """
    whole = -int(-value // 1)
    if not _COLDEST <= whole <= _HOTTEST:
        raise Fault(where, f"is {value}", f"Send degrees Celsius, {_COLDEST} to {_HOTTEST}")
    return whole


def _order(entry: Mapping[str, Any], where: str, now: float) -> Order:
    at = time_of(entry, "at", where, now)
    assert at is not None
    limit = None if entry.get("limitWatts", 0) is None else int(number(entry, "limitWatts", where))
    if limit is not None and limit < 0:
        raise Fault(
            f"{where}.limitWatts", f"is {limit}", "Send watts, 0 or more, or null to take the order back"
        )
    start = time_of(entry, "start", where, now, optional=True)
    best_effort = entry.get("bestEffort", False)
    if not isinstance(best_effort, bool):
        raise Fault(f"{where}.bestEffort", f"is {best_effort!r}", "Send true or false")
    return Order(
        where=where,
        limit_watts=limit,
        feed_tags=names(entry, "feedTags", where),
        power_domains=names(entry, "powerDomains", where),
        starts_at=at if start is None else start,
        ends_at=time_of(entry, "end", where, now, optional=True),
        best_effort=best_effort,
        at=at,
        id=text(entry, "id", where),
        correlation_id=text(entry, "correlationId", where, default=""),
    )


def names(entry: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    """A list of names, each once, in order.

    Raises:
        Fault: it is something else.
    """
    found = [value for _, value in items(entry.get(name, []), f"{where}.{name}")]
    if not all(isinstance(value, str) and value for value in found):
        raise Fault(f"{where}.{name}", "has an entry that is no name", "Send names as text")
    return tuple(sorted({str(value) for value in found}))
