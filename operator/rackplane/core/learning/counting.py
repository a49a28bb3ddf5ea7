"""Lets gangs count at what earlier runs drew, where their queue allows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rackplane.core.gangs.record import GangRecord
from rackplane.core.learning.names import family_name
from rackplane.core.world import World
from rackplane.engine.model import Metered, NodeType, Placement
from rackplane.engine.physics.draw import find_cap, full_increment

__all__ = ["learned_of", "may_count_so", "metered_of", "words"]


def metered_of(world: World, record: GangRecord) -> tuple[tuple[str, Metered], ...]:
    """By power profile, in order of name, what a node of the gang counts at no more than.

    Empty where nothing is allowed or known.
    """
    assert record.gang is not None
    spec = record.gang.spec
    queue = world.catalog.queue(spec.queue)
    allowed = None if queue is None else queue.spec.learned_power
    if allowed is None or not world.settings.telemetry or not world.learning.fresh(world):
        return ()
    if spec.groups or spec.min_slots is not None or not spec.gpus_per_slot or world.state is None:
        return ()
    known = world.learning.memory.enough(spec.queue, record.key[0], family_name(spec.workload.name))
    if not known:
        return ()
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
    return tuple((profile, tuple(watts)) for profile, watts in sorted(found.items()))


def may_count_so(world: World, record: GangRecord, placement: Placement) -> bool:
    """Whether the gang, if it were placed now, might count as it does in a place that was found for it before."""
    if not placement.metered:
        return True
    return set(placement.metered) <= set(dict(metered_of(world, record)).get(placement.power_profile, ()))


def learned_of(world: World, record: GangRecord, placement: Placement) -> list[dict[str, Any]] | None:
    """`status.learned` of a gang that is placed there; None if it counts by its power profile alone."""
    assert record.gang is not None
    name = family_name(record.gang.spec.workload.name)
    known = world.learning.memory.enough(record.gang.spec.queue, record.key[0], name)
    runs = {
        f.hardware_profile: r.runs for f, r in known.items() if f.power_profile == placement.power_profile
    }
    found = [
        {"hardwareProfile": kind, "nodeWatts": watts, "name": name, "runs": runs.get(kind, 0)}
        for kind, watts in placement.metered
    ]
    return found or None


def words(learned: Iterable[Mapping[str, Any]] | None) -> str:
    """What a sentence about its place adds; empty if it counts by its power profile alone."""
    return "".join(
        f", counted at {each['nodeWatts']:,} W a node: {each['runs']} runs of {each['name']} drew no more"
        for each in learned or ()
    )


def _nominal(node_type: NodeType, profile: str) -> int | None:
    """Nominal watts of a whole node at that power profile, idle included; None if it has none of that name."""
    cap = find_cap(node_type, profile)
    return None if cap is None else node_type.idle_watts + full_increment(node_type, cap.node_watts).nominal
