"""NVIDIA DSX: values of the BMS event bus 1.0, and load targets of DSX Flex (power management 1.7), as a bridge posts
them that is subscribed to the broker.

A value comes with the topic that it was published on: `{"topic": "BMS/v1/PUB/Value/UPS/Available/hall-1/ups-a",
"payload": {"value": 0, "timestamp": 1764568800000, "quality": 1}}`. Values are published again every 100 s, so that one
counts as stale after 300 s. A load target is the CloudEvent itself with its `data` as JSON: whoever takes it from the
broker has the keys to verify its signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rackplane.api.report import Leak, ReportedState, ReportWhat
from rackplane.controller.reports.bms import celsius
from rackplane.controller.reports.loadtargets import target
from rackplane.controller.reports.sayings import (
    AHEAD_SECONDS,
    Fault,
    Reading,
    Saying,
    items,
    number,
    record,
    text,
    time_of,
)

__all__ = ["EXPIRES_SECONDS", "read_bms", "read_flex"]

EXPIRES_SECONDS: Final = 300.0
"""Three of the 100 s after which a value is published again."""

_GOOD: Final = 1
_POWER: Final = frozenset({"UPS", "ATS", "Generator", "BESS", "Breaker", "Shunt", "PowerMeter"})
_COOLING: Final = frozenset({"CDU", "CRAH", "CRAC", "AHU", "Chiller", "HX", "CoolingTower", "Pump", "Fan"})
_LOAD_TARGET: Final = "grid.loadtarget.set.v1"


def read_bms(document: object, now: float) -> Reading:
    """What one value, or a list of them, says.

    Args:
        now: seconds since the epoch.
    """
    found = Reading()
    for where, entry in items(document if isinstance(document, list) else [document], "values"):
        try:
            said = _value(record(entry, where), where, now)
        except Fault as fault:
            found.faults.append(fault)
            continue
        if isinstance(said, Saying):
            found.sayings.append(said)
        else:
            found.unused.append(said)
    return found


def _value(entry: Mapping[str, Any], where: str, now: float) -> Saying | str:
    topic = text(entry, "topic", where)
    parts = topic.split("/")
    if len(parts) < 7 or parts[:2] != ["BMS", "v1"] or parts[3] != "Value":
        raise Fault(
            f"{where}.topic",
            f"is {topic}",
            "Send the topic of a value: BMS/v1/PUB/Value/UPS/Available/hall-1/ups-a",
        )
    of, point, name = parts[4], parts[5], "/".join(parts[6:])
    payload = record(entry.get("payload"), f"{where}.payload")
    value = number(payload, "value", f"{where}.payload")
    milliseconds = number(payload, "timestamp", f"{where}.payload")
    at = milliseconds / 1000
    if not 0 <= at <= now + AHEAD_SECONDS:
        what = f"is {milliseconds}, which is not in the past"
        raise Fault(
            f"{where}.payload.timestamp", what, "Send milliseconds since 1970, by a clock that is set"
        )
    meant = _meant(of, point, value, where)
    if meant is None:
        return f"{where}: {of}/{point} says nothing that is used"
    if payload.get("quality") != _GOOD:
        # Not to be believed, also if it is good; what was said before goes stale by itself.
        return f"{where}: quality {payload.get('quality')!r} is not good"
    kinds, what, said = meant
    return Saying(
        where=where,
        kinds=kinds,
        name=name[:253],
        what=what,
        value=said,
        at=at,
        id=f"{point}-{round(milliseconds)}",
        expires=at + EXPIRES_SECONDS,
        message=f"{of} {point} is {value:g}",
    )


def _meant(
    of: str, point: str, value: float, where: str
) -> tuple[tuple[str, ...], ReportWhat, ReportedState | Leak | int] | None:
    state = ReportedState.ONLINE if value else ReportedState.OFFLINE
    if point == "Available" and of in _POWER:
        return ("PowerDomain",), ReportWhat.STATE, state
    if point == "Available" and of in _COOLING:
        return ("CoolingZone",), ReportWhat.STATE, state
    if of != "Rack":
        return None
    rack = ("Rack",)
    match point:
        case "RackLeakDetect":
            return rack, ReportWhat.LEAK, Leak.CRITICAL if value else Leak.DRY
        case "RackLeakDetectTray":
            return rack, ReportWhat.LEAK, Leak.WARNING if value else Leak.DRY
        case "RackLiquidIsolationStatus" | "RackElectricalIsolationStatus":
            # Closed off, by hand or by the building: nothing may run there.
            return rack, ReportWhat.STATE, ReportedState.OFFLINE if value else ReportedState.ONLINE
        case "RackLiquidSupplyTemperature":
            return rack, ReportWhat.SUPPLY_CELSIUS, celsius(value, f"{where}.payload.value")
    return None


def read_flex(document: object, now: float) -> Reading:
    """The load targets of one CloudEvent.

    Args:
        now: seconds since the epoch.
    """
    found = Reading()
    try:
        event = record(document, "event")
        kind, identity = text(event, "type", "event"), text(event, "id", "event")
        at = time_of(event, "time", "event", now)
        assert at is not None
        if kind != _LOAD_TARGET:
            found.unused.append(f"event: {kind} says nothing that is used")
            return found
        data = event.get("data")
        if isinstance(data, str):
            what = "is signed (JWS), and the operator has no keys"
            raise Fault("event.data", what, "Let the bridge verify it, and post the payload as JSON")
        entries = list(items(record(data, "event.data").get("targets"), "event.data.targets"))
        correlation = text(event, "correlationid", "event", default="")
    except Fault as fault:
        found.faults.append(fault)
        return found
    for where, entry in entries:
        try:
            found.orders.append(
                target(record(entry, where), where, at=at, id=identity, correlation_id=correlation)
            )
        except Fault as fault:
            found.faults.append(fault)
    return found
