"""Load targets as NVIDIA's grid interfaces describe them: an interval, feeds, a limit with its unit, a strategy.

DSX Flex and NvGrid mean the same by them: null takes a target back, no end is until another one comes, no feeds is all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rackplane.controller.reports.bms import names
from rackplane.controller.reports.sayings import Fault, Order, number, record, time_of

__all__ = ["target", "watts"]

_UNITS: Final = {"watt": 1, "kilowatt": 1_000, "megawatt": 1_000_000}


def watts(constraint: Mapping[str, Any], where: str) -> int:
    """A value with its unit in whole watts, rounded down.

    Raises:
        Fault: it is no power, or below 0.
    """
    unit = constraint.get("unit")
    if not isinstance(unit, str) or unit not in _UNITS:
        raise Fault(f"{where}.unit", f"is {unit!r}", f"Send one of {', '.join(_UNITS)}")
    value = number(constraint, "value", where)
    if value < 0:
        raise Fault(f"{where}.value", f"is {value:g}", "Send 0 or more")
    return int(value * _UNITS[unit])


def target(entry: Mapping[str, Any], where: str, *, at: float, id: str, correlation_id: str) -> Order:
    """One load target as an order.

    Raises:
        Fault: something in it cannot be read.
    """
    interval = record(entry.get("interval") or {}, f"{where}.interval")
    constraint = entry.get("load_constraint")
    strategy = record(entry.get("strategy") or {}, f"{where}.strategy")
    best_effort = strategy.get("best_effort", False)
    if not isinstance(best_effort, bool):
        raise Fault(f"{where}.strategy.best_effort", f"is {best_effort!r}", "Send true or false")
    if constraint is None and "load_constraint" not in entry:
        raise Fault(
            f"{where}.load_constraint", "is missing", "Send the limit, or null to take the target back"
        )
    start = time_of(interval, "start_time", f"{where}.interval", at, optional=True)
    return Order(
        where=where,
        limit_watts=None
        if constraint is None
        else watts(record(constraint, f"{where}.load_constraint"), f"{where}.load_constraint"),
        feed_tags=names(entry, "feed_tags", where) if entry.get("feed_tags") is not None else (),
        power_domains=(),
        starts_at=at if start is None else start,
        ends_at=time_of(interval, "end_time", f"{where}.interval", at, optional=True),
        best_effort=best_effort,
        at=at,
        id=id,
        correlation_id=correlation_id,
    )
