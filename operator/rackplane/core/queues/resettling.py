"""Gangs that move, and those for which others do, are given the places that are held for them (:mod:`relocating`)."""

from __future__ import annotations

from collections.abc import Sequence

from rackplane.core.gangs.asking import mask_of, quota_of, request_of
from rackplane.core.gangs.decisions import HeldPlace, Key, booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.holds import let_go, made_for
from rackplane.core.queues.planned import count, moves_away, pinned, untold
from rackplane.core.world import World
from rackplane.engine.model import Placement
from rackplane.engine.placing.placement import find

__all__ = ["back", "held_answer"]

_NAMED = 3


def held_answer(world: World, record: GangRecord) -> Placement | str | None:
    """The place that is held for a gang that moves, or for which others do; else what it waits for.

    None: nothing is held for it any more, and it is asked like any other.
    """
    held = world.held_places[record.key]
    others = [key for key in _plan_of(world, record.key) if key != record.key]
    left = [booking_key(key) for key in others if moves_away(world, key)]
    late = world.now - held.reservation.at > world.settings.clearing_seconds
    if made_for(record, held) and not late:
        if held.moves and untold(world, held):
            return f"moves to {held.place} {held.why}" if held.moving else held.why
        # Whoever has given its place up comes before whom that was for.
        homeless = [] if held.moving else [world.gangs[k] for k in others if _is_homeless(world, k)]
        if held.moving or not left:
            placement = _own(world, record, held)
            if placement is not None and all(_own(world, r, world.held_places[r.key]) for r in homeless):
                count(world, "placed", held.moving)
                return placement
        if left or homeless:
            soon = held.reservation.at + world.settings.clearing_seconds
            world.waiting.due = min(world.waiting.due, soon if left else world.now + 1.0)
            names = ", ".join((left or [booking_key(r.key) for r in homeless])[:_NAMED])
            return f"moves to {held.place} when {names} has made room" if held.moving else held.why
    let_go(world, record.key)
    count(world, "released", held.moving)
    return None


def back(world: World, record: GangRecord) -> Placement | None:
    """Its old place, for a gang that was stopped to move and finds no other: whom it was cleared for waits again."""
    assert record.gang is not None
    last = record.gang.status.last_move
    cleared = [key for key, held in world.held_places.items() if any(k == record.key for k, _ in held.moves)]
    if last is None or not cleared:
        return None
    for key in cleared:
        let_go(world, key)
    nodes = [node for group in last.before for node in group.nodes]
    placement = _pinned(world, record, nodes, None)
    count(world, "back", placement is not None)
    return placement


def _is_homeless(world: World, key: Key) -> bool:
    held, record = world.held_places.get(key), world.gangs.get(key)
    return held is not None and held.moving and record is not None and record.decision is None


def _plan_of(world: World, key: Key) -> list[Key]:
    """Gangs that move in the same plan, as far as they have not got their places."""
    return [k for k, held in world.held_places.items() if held.moving or k == key]


def _own(world: World, record: GangRecord, held: HeldPlace) -> Placement | None:
    place = held.reservation.placement
    return _pinned(world, record, place.slots, place.power_profile)


def _pinned(world: World, record: GangRecord, nodes: Sequence[str], profile: str | None) -> Placement | None:
    """The gang on just these nodes, if it can start there now beside all that is held for others."""
    assert world.state is not None
    count_usages(world)
    request = pinned(request_of(world, record, mask_of(world, record)), nodes, profile)
    beside = Beside(world)
    return find(
        world.state,
        request,
        lambda offer: quota_of(world, record, offer) is None and beside.leaves_room(record, offer),
    )
