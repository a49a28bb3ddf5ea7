"""What is written into `status`: of a Gang as merge patches (None removes a field), of the facility's objects whole."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from rackplane.api.base import kilowatts
from rackplane.engine.bookings import Reserved
from rackplane.engine.model import Group, Placement

__all__ = [
    "UNPLACED",
    "admitted",
    "as_assignment",
    "assignment",
    "condition",
    "merged_conditions",
    "rated",
    "reserved",
    "seconds",
    "timestamp",
]

#: What a gang without a place has removed from its status.
UNPLACED: Mapping[str, Any] = {
    "decision": None,
    "assignment": None,
    "slots": None,
    "releasedSlots": None,
    "powerProfile": None,
    "requestedPowerProfile": None,
    "shed": None,
    "expectedPerformancePercent": None,
    "reservedNominalWatts": None,
    "reservedPeakWatts": None,
    "heat": None,
    "learned": None,
    "countsInFull": None,
    "domains": None,
    "reservedKilowatts": None,
    "startedAt": None,
}


@lru_cache(maxsize=256)  # one decision asks for the same second several times
def timestamp(seconds: float) -> str:
    """Seconds since the epoch as the API writes times: UTC, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds(text: str) -> float:
    """Seconds since the epoch of an API timestamp.

    Raises:
        ValueError: if `text` is not one.
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def condition(kind: str, *, true: bool, reason: str, message: str, now: float) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True" if true else "False",
        "reason": reason,
        "message": message[:32_000],
        "lastTransitionTime": timestamp(now),
    }


def merged_conditions(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """`new` over `old` by type; the time of a transition stays where the status has not changed."""
    result = {c["type"]: dict(c) for c in old}
    for wanted in new:
        before = result.get(wanted["type"])
        result[wanted["type"]] = dict(wanted)
        if before is not None and before["status"] == wanted["status"]:
            result[wanted["type"]]["lastTransitionTime"] = before["lastTransitionTime"]
    return list(result.values())


def assignment(placement: Placement) -> list[dict[str, Any]]:
    """Where each slot goes."""
    return as_assignment(placement.groups)


def as_assignment(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """Slots by rack and domain, in order."""
    return [{"nvlinkDomain": g.domain, "rack": g.rack, "nodes": list(g.nodes)} for g in groups]


def rated(placement: Placement) -> dict[str, Any]:
    """How fast a gang is at its power profile, and what it draws."""
    return {
        "powerProfile": placement.power_profile,
        "expectedPerformancePercent": placement.relative_performance_percent,
        **reserved(placement),
    }


def reserved(watts: Placement | Reserved) -> dict[str, Any]:
    """What a gang adds to its racks, and where its heat goes."""
    return {
        "reservedNominalWatts": watts.nominal_watts,
        "reservedPeakWatts": watts.peak_watts,
        "heat": {"liquidWatts": watts.liquid_watts, "airWatts": watts.air_watts},
        "reservedKilowatts": kilowatts(watts.nominal_watts),
    }


def admitted(placement: Placement, *, asked: str) -> dict[str, Any]:
    """The decision's part of a Gang's status; `asked` is the power profile that it was asked for."""
    domains = list(dict.fromkeys(group.domain or group.rack for group in placement.groups))
    shown = ",".join(domains[:4]) + (f" and {len(domains) - 4} more" if len(domains) > 4 else "")
    return {
        "assignment": assignment(placement),
        "releasedSlots": None,
        **rated(placement),
        "requestedPowerProfile": asked,
        "domains": shown,
        "position": None,
        "estimatedStart": None,
        "explanation": None,
        "reservation": None,
    }
