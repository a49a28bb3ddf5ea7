"""Entries of the ring as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rackplane.controller.decisions.ring import Entry, Step
from rackplane.core.gangs.explaining import explanation
from rackplane.core.objects import GangSpec
from rackplane.engine.model import Group, Placement

__all__ = ["rendered"]

#: Of a placement so many groups are written out, and of a group so many nodes: the Gang has them all.
_GROUPS: Final = 64
_NODES: Final = 32


def rendered(entry: Entry) -> dict[str, Any]:
    """The entry; what it does not have is left out."""
    found: dict[str, Any] = {
        "id": entry.id,
        "time": _time(entry.at),
        "gang": entry.gang,
        "queue": entry.queue,
        "result": entry.result,
    }
    if entry.count > 1:
        found |= {"count": entry.count, "last": _time(entry.last)}
    if entry.seconds is not None:
        found["milliseconds"] = round(entry.seconds * 1000, 3)
    if entry.spec is not None:
        found["asked"] = _asked(entry.spec)
    if entry.message:
        found["message"] = entry.message
    if entry.placement is not None:
        found["placement"] = _placement(entry.placement)
        found["considered"] = [
            {
                "level": level.level or "anywhere",
                "domains": level.domains,
                "fitting": level.fitting,
                **({"runnerUp": level.runner_up} if level.runner_up else {}),
            }
            for level in entry.placement.considered
        ]
    elif entry.status is not None:
        found["placement"] = _written(entry.status)
    if entry.headroom is not None:
        found["headroomWatts"] = dict(entry.headroom)
    if entry.wait is not None:
        found["message"] = entry.wait.message
        found["waitingHelps"] = not entry.wait.misfit
        if entry.wait.refusal is not None:
            found["proved"] = entry.wait.refusal.kind.value == "Unplaceable"
            found |= explanation(entry.wait.refusal)
        if entry.wait.asks:
            found["asks"] = dict(entry.wait.asks)
    found |= entry.more
    if entry.steps:
        found["steps"] = [_step(step) for step in entry.steps]
    return found


def _asked(spec: GangSpec) -> dict[str, Any]:
    every: Mapping[str, Any] = {
        "slots": spec.slots,
        "minSlots": spec.min_slots,
        "gpusPerSlot": spec.gpus_per_slot,
        "resource": spec.resource_name,
        "required": spec.topology.required,
        "preferred": spec.topology.preferred,
        "segmentSlots": spec.topology.segment_slots,
        "powerProfile": spec.power.profile,
        "strict": spec.power.strict or None,
        "priority": spec.priority,
        "expectedDurationSeconds": spec.expected_duration_seconds,
    }
    return {name: value for name, value in every.items() if value is not None}


def _placement(placement: Placement) -> dict[str, Any]:
    return {
        "groups": _groups(placement.groups),
        "powerProfile": placement.power_profile,
        "nominalWatts": placement.nominal_watts,
        "peakWatts": placement.peak_watts,
        "liquidWatts": placement.liquid_watts,
        "airWatts": placement.air_watts,
    }


def _written(status: Mapping[str, Any]) -> dict[str, Any]:
    """A placement as a commit writes it."""
    groups = [
        Group(each["nvlinkDomain"], each["rack"], tuple(each["nodes"]))
        for each in status.get("assignment") or ()
    ]
    return {
        "groups": _groups(groups),
        "powerProfile": status.get("powerProfile"),
        "nominalWatts": status.get("reservedNominalWatts"),
        "peakWatts": status.get("reservedPeakWatts"),
        **(status.get("heat") or {}),
    }


def _groups(groups: Iterable[Group]) -> list[dict[str, Any]]:
    every = list(groups)
    found: list[dict[str, Any]] = []
    for group in every[:_GROUPS]:
        nodes = list(dict.fromkeys(group.nodes))
        shown: dict[str, Any] = {"rack": group.rack, "slots": len(group.nodes), "nodes": nodes[:_NODES]}
        if group.domain:
            shown["nvlinkDomain"] = group.domain
        if len(nodes) > _NODES:
            shown["moreNodes"] = len(nodes) - _NODES
        found.append(shown)
    if len(every) > _GROUPS:
        found.append({"moreGroups": len(every) - _GROUPS})
    return found


def _step(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {"time": _time(step.at), "what": step.what}
    if step.reason:
        found["reason"] = step.reason
    if step.message:
        found["message"] = step.message
    if step.count > 1:
        found |= {"count": step.count, "last": _time(step.last)}
    return found


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
