"""What gangs with a place count against quotas, and what there is to share: the ledger brought up to date."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.ends import planned_end
from rackplane.core.queues.quota import Usage
from rackplane.core.world import World
from rackplane.engine.physics.draw import full_increment
from rackplane.engine.queueing.quotas import GPUS, WATTS

__all__ = [
    "count_usages",
    "counted",
    "counted_by_gang",
    "profiles_of",
    "shape_ledger",
    "usage_held",
]


def count_usages(world: World) -> None:
    """Count again what gangs hold whose usage may be another.

    Whoever asks `counted` in a simulation has called this before it, so that nothing simulated is kept.
    """
    for key in world.stale.usages:
        usage = usage_held(world, key)
        world.ledger.put(key, usage, world.now)
        runs_over = usage is not None and usage.until is None
        planned = planned_end(world, world.gangs[key]) if runs_over else None
        world.lateness.put(booking_key(key), planned)
    world.stale.usages.clear()


def counted(world: World) -> Collection[Usage]:
    """What every gang with a place counts against quotas, whatever is simulated meanwhile."""
    count_usages(world)
    return world.ledger.usages()


def counted_by_gang(world: World) -> Iterable[tuple[Key, Usage]]:
    """As `counted`, with whose each is."""
    count_usages(world)
    return world.ledger.by_gang()


def usage_held(world: World, gang: Key) -> Usage | None:
    """What the gang counts, as the state has it now; None if it has no place."""
    record = world.gangs.get(gang)
    if world.state is None or record is None or record.decision is None or record.gang is None:
        return None
    key = booking_key(gang)
    held = world.state.held_gpus(key)
    return Usage(
        queue=record.gang.spec.queue,
        namespace=gang[0],
        gpus=sum(held.values()),
        nominal_watts=world.state.reserved(key).nominal_watts,
        until=world.state.until(key),
        profiles=profiles_of(world, held.items()),
    )


def profiles_of(world: World, gpus: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """GPUs on nodes, by HardwareProfile; nodes that are not known count for none."""
    assert world.state is not None
    found: dict[str, int] = {}
    for node, count in gpus:
        kind = world.state.node_type(node)
        if kind is not None and count:
            found[kind.name] = found.get(kind.name, 0) + count
    return tuple(sorted(found.items()))


def shape_ledger(world: World) -> None:
    """Quotas and shares as the Queues and the facility are now."""
    assert world.state is not None
    world.stale.ledger = False
    everything = {GPUS: 0, WATTS: 0}
    for spec in world.state.nodes():
        kind = world.state.node_type(spec.name)
        if kind is not None:
            everything[GPUS] += kind.gpus_per_node
            everything[WATTS] += full_increment(kind, kind.max_watts).nominal
    queues = world.catalog.queues()
    statuses = {name: world.catalog.status("Queue", name) for name in queues}
    count_usages(world)
    world.ledger.shape(queues, everything, statuses, world.now)
