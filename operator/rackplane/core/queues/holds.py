"""Places that are held for gangs that wait: told in `status.reservation`, taken up after a restart, and let go.

All are reservations (`HeldPlace`), and bind others in one way (:mod:`core.queues.beside`). Most are for the first gangs
of the queue that cannot start, from the time at which they could. One that is cleared for a gang by stopping others is
held from the moment it is decided; so is the place of a gang whose commit the API server did not take, until it has
been tried again.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

from rackplane.core.gangs.asking import request_of
from rackplane.core.gangs.decisions import Decision, HeldPlace, Key, booking_key, key_of
from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.parallelism import fewest_slots
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import as_assignment, assignment, seconds, timestamp
from rackplane.core.objects import GangReservation
from rackplane.core.queues.ahead import only
from rackplane.core.queues.following import follow
from rackplane.core.world import World
from rackplane.engine.model import Placement
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.placing.placement import find
from rackplane.engine.queueing.shadow import Reservation

__all__ = [
    "exclusive",
    "held_status",
    "hold",
    "hold_for_retry",
    "is_cleared",
    "know_held",
    "lapse",
    "let_go",
    "made_for",
    "take_up",
]


def is_cleared(world: World, key: Key) -> bool:
    """Whether others are, or were, stopped so that the gang gets its place, or it was stopped to go there."""
    held = world.held_places.get(key)
    return held is not None and bool(held.victims or held.moves or held.moving)


def made_for(record: GangRecord, held: HeldPlace) -> bool:
    """Whether the gang still asks for what the place was found for."""
    return record.gang is not None and held.spec == record.gang.spec


def hold(world: World, record: GangRecord, held: HeldPlace) -> None:
    """Hold this place for the gang, whatever was held for it before."""
    before = world.held_places.get(record.key)
    world.held_places[record.key] = held
    world.reserved.put(held.reservation)
    if before is None or before.reservation != held.reservation or before.why != held.why:
        world.dirty[record.key] = None
    if before is not None and before.reservation != held.reservation:
        world.version += 1  # who was held back by the old one may start now


def exclusive(
    world: World,
    record: GangRecord,
    placement: Placement,
    why: str,
    victims: tuple[Key, ...] = (),
    sizes: tuple[tuple[Key, int], ...] = (),
) -> HeldPlace:
    """A place that nobody else may use from now on, as if the gang were there and its victims gone.

    What those give up that go on with fewer slots counts as theirs too until it is free.
    """
    assert record.gang is not None
    key, until = booking_key(record.key), end_of_start(world, record, world.now)
    going_on = dict(sizes)
    over = frozenset(booking_key(victim) for victim in victims if victim not in going_on)
    reservation = Reservation(key, world.now, until, placement, exclusive=True, over=over)
    return HeldPlace(reservation, why, world.now, world.version, record.gang.spec, victims, sizes)


def hold_for_retry(world: World, record: GangRecord, decision: Decision) -> None:
    """Keep the place of a decision that the API server did not take through the pause until the gang is asked again."""
    pauses = world.now < record.not_before
    if pauses and record.gang is not None and record.gang.metadata.deletion_timestamp is None:
        hold(world, record, exclusive(world, record, decision.placement, "the decision is written anew"))


def let_go(world: World, key: Key, *, starts: bool = False) -> None:
    """Hold nothing for the gang any more; ``starts``: it gets a place now."""
    if world.held_places.pop(key, None) is not None:
        if not starts:
            world.tally.ended(key, started=False)
        world.reserved.drop(booking_key(key))
        world.version += 1  # who was held back by it may start now
        record = world.gangs.get(key)
        if record is not None:
            record.estimate = None if record.estimate is None or record.estimate.held else record.estimate
            world.dirty[key] = None
    world.sought.pop(key, None)


def lapse(world: World) -> None:
    """See to those who hold a place whose time has come, or that waits for a gang which does not end.

    They are asked again, and hold another place if they cannot start.
    """
    times = [r.at for held in world.held_places.values() if not (r := held.reservation).exclusive]
    times += [at for held in world.held_quota.values() if (at := held.share.at) > -math.inf]
    if times and any(time <= world.now for time in [*times, *world.reserved.ends.values()]):
        world.version += 1


# -- as the Gang has it ------------------------------------------------------------------------------


def held_status(world: World, record: GangRecord) -> dict[str, Any] | None:
    """What is held for the gang, as `status.reservation` has it."""
    held = world.held_places.get(record.key)
    if held is None:
        return None
    found: dict[str, Any] = {
        "startTime": timestamp(math.ceil(held.reservation.at)),
        "assignment": assignment(held.reservation.placement),
        "why": held.why,
    }
    if held.victims:
        going_on = dict(held.sizes)
        found |= {
            "forPreemption": True,
            "victims": [booking_key(key) for key in held.victims if key not in going_on],
            "shrunk": [{"gang": booking_key(key), "slots": slots} for key, slots in held.sizes],
        }
    if held.moving:
        found["forMove"] = True
    if held.reservation.kept_free:
        found["keptFree"] = True
    if held.moves:
        found["moves"] = [
            {"gang": booking_key(key), "assignment": as_assignment(groups)} for key, groups in held.moves
        ]
    return found


def know_held(world: World) -> None:
    """Note what the Gangs say that an earlier process held for them; `take_up` makes it hold."""
    for key, record in world.gangs.items():
        known = None if record.gang is None else record.gang.status.reservation
        waits = record.decision is None and record.phase == "Pending"
        waits = waits or (known is not None and known.for_move and record.phase == "Stopping")
        if known is not None and waits and key not in world.held_places:
            world.remembered[key] = known


def take_up(world: World) -> None:
    """Hold what an earlier process did, where the gang could still start there."""
    while world.remembered:
        key, known = world.remembered.popitem()
        record = world.gangs.get(key)
        held = None if record is None else _taken_up(world, record, known)
        if record is not None and held is not None:
            world.held_places[key] = held
            world.dirty[key] = None
            if held.victims and record.gang is not None:
                world.tally.began(key, record.gang.spec.queue)


def _taken_up(world: World, record: GangRecord, known: GangReservation) -> HeldPlace | None:
    assert world.state is not None
    nodes = [node for group in known.assignment for node in group.nodes]
    if record.gang is None or len(nodes) != fewest_slots(record.gang.spec):
        return None
    try:
        since = seconds(known.start_time)
    except ValueError:
        return None
    follow(world)
    stopped = tuple(map(key_of, known.victims)) if known.for_preemption else ()
    sizes = tuple((key_of(s.gang), s.slots) for s in known.shrunk) if known.for_preemption else ()
    victims = (*stopped, *(key for key, _ in sizes))
    if victims:
        at = world.now
        gone = {key for key in map(booking_key, stopped) if world.state.held(key)}
    else:
        at = since
        ends = {key: world.reserved.end_of(key) for key in tuple(world.state.keys())}
        gone = {key for key, end in ends.items() if end is not None and end <= at}
    if at < world.now or (at == world.now and not victims):
        return None
    over = [other for other in world.gangs.values() if booking_key(other.key) in gone]
    with world.state.simulation() as later:
        for key in sorted(gone):
            later.release(key)
        for other_key, slots in sizes:
            name = booking_key(other_key)
            later.release(name, [slot for slot in later.held(name) if slot >= slots])
        request = request_of(world, record, NodeMask(Counter(nodes)), at=at, over=over)
        placement = find(later, only(request, nodes))
    if placement is None:
        return None
    held = exclusive(world, record, placement, known.why, victims, sizes)
    reservation = replace(
        held.reservation,
        at=since,
        until=end_of_start(world, record, at),
        exclusive=bool(victims),
        kept_free=known.kept_free,
    )
    return replace(held, reservation=reservation)
