"""Events of a Redfish EventService (DSP0266; messages of the registries Power, Environmental and ResourceEvent).

An EventDestination with this address posts them by itself. What an event is of is its `OriginOfCondition`; a power
supply or a pump stands below the equipment that it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rackplane.api.report import Leak, ReportedState, ReportWhat
from rackplane.controller.reports.sayings import Fault, Reading, Saying, items, record, text, time_of

__all__ = ["read"]

_OFF, _ON = ReportedState.OFFLINE, ReportedState.ONLINE
_ANY: Final = ("PowerDomain", "CoolingZone", "Rack")
_POWER: Final = ("PowerDomain",)
_COOLING: Final = ("CoolingZone",)
_MESSAGES: Final[Mapping[tuple[str, str], tuple[tuple[str, ...], ReportedState | Leak]]] = {
    **{
        ("Power", key): (_POWER, _OFF)
        for key in (
            *(
                "BreakerFault",
                "BreakerTripped",
                "CircuitPoweredOff",
                "LineInputPowerFault",
                "LossOfInputPower",
            ),
            *("PowerSupplyFailed", "PowerSupplyRemoved", "PowerSupplyGroupCritical"),
        )
    },
    **{
        ("Power", key): (_POWER, _ON)
        for key in (
            *("BreakerReset", "CircuitPoweredOn", "LineInputPowerRestored"),
            *("PowerSupplyInserted", "PowerSupplyRestored", "PowerSupplyGroupNormal"),
        )
    },
    **{("Environmental", key): (_COOLING, _OFF) for key in ("PumpFailed", "FanFailed")},
    **{("Environmental", key): (_COOLING, _ON) for key in ("PumpRestored", "FanRestored")},
    ("Environmental", "LeakDetectedCritical"): (("Rack", "CoolingZone"), Leak.CRITICAL),
    ("Environmental", "LeakDetectedWarning"): (("Rack", "CoolingZone"), Leak.WARNING),
    ("Environmental", "LeakDetectedNormal"): (("Rack", "CoolingZone"), Leak.DRY),
    ("ResourceEvent", "ResourceStatusChangedCritical"): (_ANY, _OFF),
    ("ResourceEvent", "ResourceStatusChangedOK"): (_ANY, _ON),
    ("ResourceEvent", "ResourcePoweredOff"): (_ANY, _OFF),
    ("ResourceEvent", "ResourcePoweredOn"): (_ANY, _ON),
}


def read(document: object, now: float) -> Reading:
    """What the events say.

    Args:
        now: seconds since the epoch.
    """
    found = Reading()
    try:
        events = list(items(record(document, "event").get("Events"), "Events"))
    except Fault as fault:
        found.faults.append(fault)
        return found
    for where, entry in events:
        try:
            said = _event(record(entry, where), where, now)
        except Fault as fault:
            found.faults.append(fault)
            continue
        if isinstance(said, Saying):
            found.sayings.append(said)
        else:
            found.unused.append(said)
    return found


def _event(event: Mapping[str, Any], where: str, now: float) -> Saying | str:
    """The report; words for a message that takes nothing out of service and brings nothing back."""
    message_id = text(event, "MessageId", where)
    # Registry.Major.Minor[.Errata].Key
    registry, _, rest = message_id.partition(".")
    key = (registry, rest.rpartition(".")[2])
    if key not in _MESSAGES:
        return f"{where}: {message_id} says nothing that is used"
    kinds, value = _MESSAGES[key]
    at = time_of(event, "EventTimestamp", where, now)
    assert at is not None
    origin = event.get("OriginOfCondition")
    path = origin.get("@odata.id") if isinstance(origin, Mapping) else origin
    if not isinstance(path, str) or not path.strip("/"):
        remedy = "Send the resource that the event is of: {'@odata.id': '/redfish/v1/...'}"
        raise Fault(f"{where}.OriginOfCondition", "names no resource", remedy)
    return Saying(
        where=where,
        kinds=kinds,
        name=path[:253],
        what=ReportWhat.LEAK if isinstance(value, Leak) else ReportWhat.STATE,
        value=value,
        at=at,
        id=text(event, "EventId", where),
        message=text(event, "Message", where, default=message_id),
        may_be_unknown=registry == "ResourceEvent",
    )
