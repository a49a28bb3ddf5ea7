"""The facility's status as its people read it: what is carried, what is left, and what is wrong with an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rackplane.api.base import kilowatts
from rackplane.core.instructions import Instruction, PublishEvent, WriteFacilityStatus
from rackplane.core.queueing import pending
from rackplane.core.quota import group_watts
from rackplane.core.statuses import condition, merged_conditions
from rackplane.core.workload import API_VERSION
from rackplane.core.world import World
from rackplane.engine.checks import node_without_rack
from rackplane.engine.model import Problem
from rackplane.engine.reports import BudgetReport, FacilityReport

__all__ = ["facility_status"]

_BUDGET_FIGURES = (
    "reservedNominalWatts", "headroomWatts", "limitKilowatts", "reservedKilowatts", "headroomKilowatts",
)  # fmt: skip


class Publisher:
    """Writes a status when it differs from what was last written or seen."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._conditions: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._told: dict[tuple[str, str], str] = {}

    def forget(self, kind: str, name: str) -> None:
        """The write failed or the object went: say it again when there is something to say it of."""
        self._written.pop((kind, name), None)

    def run(self, world: World) -> Iterator[Instruction]:
        assert world.state is not None
        problems = world.catalog.problems(world.state.facility)
        report = world.state.report()
        for kind, name in world.catalog.objects():
            found = problems.get((kind, name), [])
            numbers = facility_status(world, report, kind, name)
            ready = _ready(found, world.now)
            old = self._conditions.get((kind, name)) or world.catalog.conditions(kind, name)
            conditions = merged_conditions(old, [ready])
            status = {
                **numbers,
                "observedGeneration": world.catalog.generation(kind, name),
                "conditions": conditions,
            }
            if self._written.get((kind, name)) == status:
                continue
            first = (kind, name) not in self._written
            self._written[kind, name] = status
            if first and _stored(world.catalog.status(kind, name), status):
                # A predecessor wrote it: a restart repeats nothing.
                continue
            self._conditions[kind, name] = conditions
            yield WriteFacilityStatus(kind, name, status)
            text = str(ready["message"])
            if found and self._told.get((kind, name)) != text:
                uid = world.catalog.uid(kind, name)
                yield PublishEvent(API_VERSION, kind, "", name, uid, True, str(ready["reason"]), text)
            self._told[kind, name] = text
        yield from self._tell_unclaimed(world)

    def _tell_unclaimed(self, world: World) -> Iterator[PublishEvent]:
        """GPU nodes that no rack claims hold no gang and no limit: their owner hears of it once."""
        for name in sorted(world.catalog.unclaimed):
            node = world.nodes.get(name)
            if node is None or self._told.get(("Node", name)):
                continue
            problem = node_without_rack(name)
            self._told["Node", name] = text = (
                f"Node {name}, {problem.field}: {problem.message}; {problem.remedy}"
            )
            yield PublishEvent("v1", "Node", "", name, node.metadata.uid, True, "NoRack", text)


def _stored(seen: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the API server already has this status, but for when a condition last changed."""
    for key, value in wanted.items():
        have = seen.get(key)
        if key != "conditions":
            if have != value:
                return False
            continue
        known = {c.get("type"): c for c in have or ()}
        for c in value:
            old = known.get(c["type"], {})
            if any(old.get(part, "") != c[part] for part in ("status", "reason", "message")):
                return False
    return True


def _ready(problems: list[Problem], now: float) -> dict[str, Any]:
    if not problems:
        return condition("Ready", true=True, reason="Valid", message="", now=now)
    text = "; ".join(f"{p.kind} {p.name}, {p.field}: {p.message} {p.remedy}" for p in problems)
    return condition("Ready", true=False, reason="Invalid", message=text, now=now)


def facility_status(world: World, report: FacilityReport, kind: str, name: str) -> dict[str, Any]:
    """The numbers of one object; empty for what the engine does not know, because it is not valid."""
    match kind:
        case "Rack":
            rack = report.racks.get(name)
            return (
                {}
                if rack is None
                else {
                    "nodes": rack.nodes,
                    "gpus": rack.gpus,
                    "freeGpus": rack.free_gpus,
                    "reservedNominalWatts": rack.nominal_watts,
                    "reservedPeakWatts": rack.peak_watts,
                    "headroomWatts": rack.headroom_watts,
                    "limitKilowatts": kilowatts(rack.limit_watts),
                    "reservedKilowatts": kilowatts(rack.nominal_watts),
                }
            )
        case "PowerDomain":
            power = report.powers.get(name)
            return (
                {}
                if power is None
                else {
                    "usableWatts": power.usable_watts,
                    "reservedNominalWatts": power.nominal_watts,
                    "reservedPeakWatts": power.peak_watts,
                    "headroomWatts": power.headroom_watts,
                    "usableKilowatts": kilowatts(power.usable_watts),
                    "reservedKilowatts": kilowatts(power.nominal_watts),
                    "headroomKilowatts": kilowatts(power.headroom_watts),
                }
            )
        case "CoolingZone":
            zone = report.coolings.get(name)
            return (
                {}
                if zone is None
                else {
                    "usableWatts": zone.usable_watts,
                    "heatWatts": zone.heat_watts,
                    "headroomWatts": zone.headroom_watts,
                    "usableKilowatts": kilowatts(zone.usable_watts),
                    "heatKilowatts": kilowatts(zone.heat_watts),
                    "headroomKilowatts": kilowatts(zone.headroom_watts),
                }
            )
        case "NVLinkDomain":
            domain = report.domains.get(name)
            return (
                {"nodes": 0, "freeNodes": 0, "gpus": 0}
                if domain is None
                else {"nodes": domain.nodes, "freeNodes": domain.free_nodes, "gpus": domain.gpus}
            )
        case "PowerBudget":
            return _budget_status(world, report.budgets.get(name), name)
        case "Queue":
            mine = [u for u in world.usages() if u.queue == name]
            return {
                "pending": sum(r.gang is not None and r.gang.spec.queue == name for r in pending(world)),
                "admitted": len(mine),
                "usedGpus": sum(u.gpus for u in mine),
                "usedWatts": sum(u.nominal_watts for u in mine),
            }
    return {}


def _budget_status(world: World, budget: BudgetReport | None, name: str) -> dict[str, Any]:
    """Of a budget on power by the engine's sums, of one on queues or namespaces by what their gangs add over idle."""
    if budget is not None:
        used, left = budget.nominal_watts, budget.headroom_watts
    else:
        groups = {b.name: b for b in world.catalog.budgets.groups(world.now) if b.starts_at is None}
        if name not in groups:
            # Figures of the time when it held would read as if they were of now: None removes them.
            active = world.catalog.budgets.in_force(name, world.now)
            return {"active": active, **dict.fromkeys(_BUDGET_FIGURES)}
        group = groups[name]
        used = group_watts(
            world.usages(), queues=group.queues, namespaces=group.namespaces, queue=world.catalog.queue
        )
        left = group.limit_watts - used
    return {
        "active": True,
        "reservedNominalWatts": used,
        "headroomWatts": left,
        "limitKilowatts": kilowatts(used + left),
        "reservedKilowatts": kilowatts(used),
        "headroomKilowatts": kilowatts(left),
    }
