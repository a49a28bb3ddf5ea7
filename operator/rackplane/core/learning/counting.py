"""Lets gangs count at what earlier runs drew, where their queue allows it, and in full once they draw more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rackplane.core.gangs.booking import count_at
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import rated
from rackplane.core.gangs.writing import gang_event, may_write, write
from rackplane.core.instructions import Instruction
from rackplane.core.learning.names import family_name
from rackplane.core.world import World
from rackplane.engine.model import Metered, NodeType, Placement
from rackplane.engine.physics.draw import find_cap, full_increment

__all__ = ["count_in_full", "learned_of", "metered_of", "words"]


def metered_of(world: World, record: GangRecord) -> Mapping[str, Metered]:
    """By power profile, what a node of the gang counts at no more than; empty where nothing is allowed or known."""
    assert record.gang is not None
    spec = record.gang.spec
    queue = world.catalog.queue(spec.queue)
    allowed = None if queue is None else queue.spec.learned_power
    if allowed is None or not world.settings.telemetry or not world.learning.fresh(world):
        return {}
    if spec.groups or spec.min_slots is not None or not spec.gpus_per_slot or world.state is None:
        return {}
    known = world.learning.memory.enough(spec.queue, record.key[0], family_name(spec.workload.name))
    types = {t.name: t for t in world.state.facility.types}
    found: dict[str, list[tuple[str, int]]] = {}
    for family, runs in sorted(known.items()):
        node_type = types.get(family.hardware_profile)
        nominal = None if node_type is None else _nominal(node_type, family.power_profile)
        if nominal is None:
            continue
        watts = max(runs.node_watts, -(-nominal * allowed.floor_percent // 100))
        if watts < nominal:
            found.setdefault(family.power_profile, []).append((family.hardware_profile, watts))
    return {profile: tuple(watts) for profile, watts in found.items()}


def learned_of(world: World, record: GangRecord, placement: Placement) -> list[dict[str, Any]] | None:
    """`status.learned` of a gang that is placed there; None if it counts by its power profile alone."""
    assert record.gang is not None and world.state is not None
    name = family_name(record.gang.spec.workload.name)
    known = world.learning.memory.enough(record.gang.spec.queue, record.key[0], name)
    runs = {
        f.hardware_profile: r.runs for f, r in known.items() if f.power_profile == placement.power_profile
    }
    used = {t.name for node in placement.slots if (t := world.state.node_type(node)) is not None}
    found = [
        {"hardwareProfile": kind, "nodeWatts": watts, "name": name, "runs": runs.get(kind, 0)}
        for kind, watts in placement.metered
        if kind in used
    ]
    return found or None


def words(learned: Iterable[Mapping[str, Any]] | None) -> str:
    """What a sentence about its place adds; empty if it counts by its power profile alone."""
    return "".join(
        f", counted at {each['nodeWatts']:,} W a node: {each['runs']} runs of {each['name']} drew no more"
        for each in learned or ()
    )


def count_in_full(world: World) -> Iterator[Instruction]:
    """Gangs that have drawn more than they count at count by their power profile again, and stay so."""
    for key in list(world.learning.exceeded):
        record = world.gangs.get(key)
        if record is None or record.gang is None or record.decision is None or world.state is None:
            del world.learning.exceeded[key]
            continue
        decision = record.decision
        if decision.placement.metered:
            plain = replace(decision.placement, metered=())
            held = world.state.held_gpus(booking_key(key))
            drawn = world.state.increments(held, plain.power_profile)
            plain = replace(
                plain,
                nominal_watts=drawn.nominal_watts,
                liquid_watts=drawn.liquid_watts,
                air_watts=drawn.air_watts,
            )
            record.decision = replace(decision, placement=plain)
            count_at(world, record, record.counts_at)
        if not record.gang.status.learned:
            del world.learning.exceeded[key]
        elif may_write(record) and world.now >= record.not_before:
            text = "counts by its power profile again: it has drawn more than its earlier runs"
            yield from write(record, {**rated(record.decision.placement), "learned": None, "message": text})
            yield from gang_event(record, warning=True, reason="DrawsMore", message=text)


def _nominal(node_type: NodeType, profile: str) -> int | None:
    """Nominal watts of a whole node at that power profile, idle included; None if it has none of that name."""
    cap = find_cap(node_type, profile)
    return None if cap is None else node_type.idle_watts + full_increment(node_type, cap.node_watts).nominal
