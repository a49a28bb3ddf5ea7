"""Moves under way: which gangs move, where their places are held, and who has made room already."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import replace

from rackplane.core.gangs.decisions import HeldPlace, Key, booking_key, key_of
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.queues.ahead import only
from rackplane.core.queues.holds import exclusive
from rackplane.core.world import World
from rackplane.engine.model import Group, Placement, Request

__all__ = [
    "MOVED",
    "MOVE_RESULTS",
    "MOVING",
    "count",
    "follow_moves",
    "held_for_move",
    "is_told",
    "is_under_way",
    "keeps",
    "moves_away",
    "pinned",
    "untold",
]

MOVED = "Moved"
"""Why a gang was stopped, as the reason of its conditions and Events."""
MOVING = "Moving"
"""Why a gang waits: for itself or for others to be moved."""

MOVE_RESULTS = ("placed", "released", "back", "given up")
"""What becomes of a gang that is to move: it gets the new place; or that is lost, and it queues like any other; or it
gets the old one back; or it is not stopped at all."""


def is_under_way(world: World) -> bool:
    """Whether gangs are being moved."""
    return any(held.moves or held.moving for held in world.held_places.values())


def held_for_move(
    world: World,
    record: GangRecord,
    placement: Placement,
    why: str,
    movers: Sequence[Key],
    *,
    at: float | None = None,
    moves: tuple[tuple[Key, tuple[Group, ...]], ...] = (),
    moving: bool = False,
) -> HeldPlace:
    """A place of a plan, in which these gangs move: nobody else may use it from now on.

    Args:
        at: when the plan was made, in seconds since the epoch; None: now.
        moves: the whole plan, with the one place that has it.
        moving: it is where the gang moves to; else it is freed for it.
    """
    held = exclusive(world, record, placement, why)
    at = math.floor(world.now) if at is None else at  # as the API server will have it
    reservation = replace(held.reservation, at=at, over=frozenset(map(booking_key, movers)))
    return replace(held, reservation=reservation, moves=moves, moving=moving)


def moves_away(world: World, key: Key) -> bool:
    """Whether the gang is to move, or moves, and still has its old place."""
    held, record = world.held_places.get(key), world.gangs.get(key)
    return held is not None and held.moving and record is not None and record.decision is not None


def is_told(record: GangRecord, since: float) -> bool:
    """Whether the API server has it that the gang was stopped for the plan of that time."""
    if record.gang is None or record.gang.status.last_move is None:
        return False
    with contextlib.suppress(ValueError):
        return seconds(record.gang.status.last_move.time) >= since
    return False


def untold(world: World, held: HeldPlace) -> list[GangRecord]:
    """Gangs of the plan that are still to be stopped."""
    return [
        world.gangs[key]
        for key, _ in held.moves
        if moves_away(world, key) and not is_told(world.gangs[key], held.reservation.at)
    ]


def keeps(world: World, key: Key) -> bool:
    """Whether a gang that does not wait in the queue keeps the place that it moves to."""
    held, record = world.held_places[key], world.gangs.get(key)
    if not held.moving or record is None or record.gang is None:
        return False
    late = world.now - held.reservation.at > world.settings.clearing_seconds
    if late or record.gang.metadata.deletion_timestamp is not None:
        return False
    if record.phase in ("Stopping", "Pending"):
        return True
    planned = any(key == moved for other in world.held_places.values() for moved, _ in other.moves)
    return planned and record.decision is not None and not is_told(record, held.reservation.at)


def follow_moves(world: World) -> None:
    """Let held places mind those who have moved since: where they are now they stay."""
    for key, held in list(world.held_places.items()):
        if held.moves or held.moving:
            over = frozenset(b for b in held.reservation.over if moves_away(world, key_of(b)))
            if over != held.reservation.over:
                reservation = replace(held.reservation, over=over)
                world.held_places[key] = replace(held, reservation=reservation)
                if world.reserved.get(booking_key(key)) is not None:
                    world.reserved.put(reservation)


def pinned(request: Request, nodes: Sequence[str], profile: str | None) -> Request:
    """The request for so many slots on just these nodes; at that power profile and no other, if there is one."""
    if profile is not None:
        request = replace(request, power_profile=profile, strict=True)
    return only(replace(request, slots=len(nodes)), nodes)


def count(world: World, result: str, gangs: int) -> None:
    """So many gangs that were to move came to that (`MOVE_RESULTS`)."""
    world.move_results[result] = world.move_results.get(result, 0) + int(gangs)
