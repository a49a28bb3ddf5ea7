"""Whether a place that is held is still good, and the first, without working it out anew.

A place is held from a time at which the gang could start, by all that was known. Bookings that end leave it at least as
much. Whoever starts beside it has been asked to leave it (:meth:`core.queues.reserving.Backfill.place`). Anything else
(nodes, pods of others, expected ends, starts of gangs that come before the one that holds it) may have taken of it.

Nor does a place come earlier because a gang ends when it was expected to, or because one starts: when the place was
found, what ends had been taken to end then.
"""

from __future__ import annotations

from dataclasses import replace

from rackplane.core.gangs.decisions import HeldPlace, booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.ahead import fits_then
from rackplane.core.queues.following import follow
from rackplane.core.queues.groupbudgets import counts_anywhere
from rackplane.core.world import World
from rackplane.engine.model import InvariantViolation

__all__ = ["AsOf", "as_first", "as_of", "check", "is_first", "is_sound", "keep_sound"]

AsOf = tuple[int, int, int, int]


def as_of(world: World) -> AsOf:
    """Another one whenever something but the end of bookings may have changed when and where gangs can start."""
    assert world.state is not None
    follow(world)
    return world.rules, world.state.taken, world.room.taken, world.lateness.revision


def is_sound(world: World, record: GangRecord, held: HeldPlace) -> bool:
    """Whether the place is known to be as good as it was, beside nothing else that is reserved or bounded."""
    return held.found_at is not None and _is_alone(world, record) and held.found_at == as_of(world)


def is_first(world: World, record: GangRecord, held: HeldPlace) -> bool:
    """Whether it is known that there is no earlier place than the one that it holds."""
    return held.first_at is not None and held.first_at == as_first(world, record)


def as_first(world: World, record: GangRecord) -> tuple[int, int] | None:
    """Another one whenever the gang might get an earlier place; None where it is not known when it might."""
    if not _is_alone(world, record):
        return None
    follow(world)
    return world.version - world.foreseen, world.lateness.revision


def _is_alone(world: World, record: GangRecord) -> bool:
    """Whether nothing is reserved for others, and no quota has a say."""
    assert record.gang is not None
    own = booking_key(record.key)
    return (
        all(r.key == own for r in world.reserved)
        and not world.quota_ahead
        and not counts_anywhere(world, record.gang.spec.queue)
    )


def keep_sound(world: World, before: AsOf) -> None:
    """A gang has started that has left all that is reserved now.

    Args:
        before: what `as_of` said just before.
    """
    now = as_of(world)
    for key, held in world.held_places.items():
        if held.found_at == before and world.reserved.get(booking_key(key)) == held.reservation:
            world.held_places[key] = replace(held, found_at=now)


def check(world: World) -> None:
    """Work out anew what is known.

    Raises:
        InvariantViolation: a gang could not start where and when it holds a place that is known to be good.
    """
    for key, held in world.held_places.items():
        record = world.gangs.get(key)
        if record is None or record.gang is None or record.decision is not None or record.pod_class is None:
            continue
        if held.spec != record.gang.spec or held.reservation.at <= world.now:
            continue
        if not is_sound(world, record, held):
            continue
        if not fits_then(world, record, held.reservation.placement, held.reservation.at):
            raise InvariantViolation(f"{key} holds a place that is known to be good, where it does not fit")
