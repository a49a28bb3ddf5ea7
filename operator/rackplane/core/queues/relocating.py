"""Gangs are moved so that another starts, or so that whole domains come free: one plan at a time, each gang as a whole.

From the moment of the decision all places of the plan are held: the one that is freed for whom it is freed, and for
each moved gang the one that it goes to. First the plan is written, in one write: as `status.reservation` of the gang
that waits, or, if the moves are for no gang, with the stop of the first that moves. When the API server has it, the
others are told to stop, one write each, which names the gang's own new place. Each goes the usual way: suspended, pods
gone, back in the queue with its age; there it is given the place that is held for it, as soon as that is free. So a
process that dies in between finds in the Gangs what is left to do.

Nobody is stopped any more once the gang that waits is gone, or something does not fit as planned. Who has been stopped
then goes on to its new place; if that is lost, anywhere else; and if there is none, back to where it was, before the
place goes to whom it was cleared for.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence

from rackplane.core.gangs.asking import request_of
from rackplane.core.gangs.decisions import HeldPlace, Key, booking_key, key_of
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import as_assignment, condition, seconds, timestamp
from rackplane.core.gangs.writing import conditions_of, gang_event, write
from rackplane.core.instructions import Instruction
from rackplane.core.objects import GangAssignment, GangReservation
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.holds import held_status, hold, let_go, made_for
from rackplane.core.queues.moving import as_planned, may_be_moved
from rackplane.core.queues.planned import MOVED, count, held_for_move, is_told, moves_away, pinned, untold
from rackplane.core.queues.victims import is_leaving, victim_of
from rackplane.core.world import World
from rackplane.engine.model import Group, Placement
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.placing.placement import find
from rackplane.engine.planning.moves import MovePlan

__all__ = ["begin", "carry_out", "take_up_moves"]

_NAMED = 3


def begin(world: World, plan: MovePlan, waiting: GangRecord | None) -> str:
    """Hold the places of the plan; what is to be written follows from that. Why, in words, for the gang that waits."""
    movers = [(world.gangs[key_of(move.key)], move.after) for move in plan.moves]
    keys = tuple(record.key for record, _ in movers)
    moves = tuple((record.key, place.groups) for record, place in movers)
    names = ", ".join(f"{booking_key(r.key)} to {_racks(place)}" for r, place in movers[:_NAMED])
    more = f" and {len(movers) - _NAMED} more" if len(movers) > _NAMED else ""
    hours = f"{plan.lost_gpu_seconds / 3600:,.1f} GPU-hours lost"
    if waiting is not None and plan.placement is not None:
        why = (
            f"its place on {_racks(plan.placement)} is cleared: {'gang' if len(movers) == 1 else 'gangs'} "
            f"{names}{more} {'moves' if len(movers) == 1 else 'move'}, {hours}"
        )
        hold(world, waiting, held_for_move(world, waiting, plan.placement, why, keys, moves=moves))
        purpose = f"so that gang {booking_key(waiting.key)} can start on {_racks(plan.placement)}"
        moves = ()
    else:
        why = ""
        purpose = (
            f"so that {', '.join(plan.domains[:_NAMED])} {'is' if len(plan.domains) == 1 else 'are'} whole"
        )
    for record, place in movers:
        # Without a gang that waits the first of them has the plan.
        hold(world, record, held_for_move(world, record, place, purpose, keys, moves=moves, moving=True))
        moves = ()
    return why


# -- after a restart ---------------------------------------------------------------------------------


def take_up_moves(world: World) -> None:
    """Hold what an earlier process held for moves, as the Gangs say, as far as it still fits."""
    found = {key: known for key, known in world.remembered.items() if known.for_move or known.moves}
    for key in found:
        del world.remembered[key]
    found = {key: known for key, known in found.items() if key in world.gangs}
    places: dict[Key, tuple[GangReservation, list[GangAssignment], bool]] = {}
    for key, known in found.items():
        with contextlib.suppress(ValueError):
            since = seconds(known.start_time)
            places[key] = (known, known.assignment, known.for_move)
            for to in known.moves:
                other = world.gangs.get(key_of(to.gang))
                # Of those who have been told the own Gang says where they go.
                if other is not None and other.phase in ("Admitted", "Running") and not is_told(other, since):
                    places[other.key] = (known, to.assignment, True)
    # The one that waits has its place first, as when it was planned.
    order = sorted(places, key=lambda key: (places[key][2], list(places).index(key)))
    movers = tuple(key for key in order if places[key][2])
    assert world.state is not None
    fits: dict[Key, Placement] = {}
    with world.state.simulation() as later:
        for key in movers:
            later.release(booking_key(key))
        for key in order:
            record = world.gangs[key]
            if record.gang is None or (record.decision is not None and key not in movers):
                continue
            nodes = [node for group in places[key][1] for node in group.nodes]
            request = request_of(world, record, NodeMask(Counter(nodes)))
            place = find(later, pinned(request, nodes, record.gang.status.power_profile or None))
            if place is not None:
                later.book(booking_key(key), place)
                fits[key] = place
    for key, place in fits.items():
        known, _, moving = places[key]
        why = known.why
        if key not in found:  # who has not been told yet learns it from the plan
            why = _purpose(known, carrier=next(k for k in found if found[k] is known))
        moves = tuple((key_of(to.gang), _groups(to.assignment)) for to in known.moves) if key in found else ()
        at = seconds(known.start_time)
        hold(
            world,
            world.gangs[key],
            held_for_move(world, world.gangs[key], place, why, movers, at=at, moves=moves, moving=moving),
        )


def _purpose(known: GangReservation, *, carrier: Key) -> str:
    """What gangs of the plan move for."""
    if known.for_move:
        return known.why
    racks = ", ".join(dict.fromkeys(group.rack for group in known.assignment))
    return f"so that gang {booking_key(carrier)} can start on {racks}"


def _groups(assignment: Sequence[GangAssignment]) -> tuple[Group, ...]:
    return tuple(Group(a.nvlink_domain, a.rack, tuple(a.nodes)) for a in assignment)


# -- stopping ----------------------------------------------------------------------------------------


def carry_out(world: World) -> Iterator[Instruction]:
    """The writes that stop whoever is to move and runs still, once the API server has the plan."""
    for key, held in list(world.held_places.items()):
        if held.moves and key in world.gangs:
            yield from _carry_out(world, world.gangs[key], held)


def _carry_out(world: World, carrier: GangRecord, held: HeldPlace) -> Iterator[Instruction]:
    assert carrier.gang is not None
    due, known = untold(world, held), carrier.gang.status.reservation
    has_plan = known is not None and [m.gang for m in known.moves] == [booking_key(k) for k, _ in held.moves]
    if not due:
        return
    if not has_plan and all(record is not carrier for record in due):
        return  # it is being written
    if not _stands(world, carrier, held, due):
        let_go(world, carrier.key)  # and with it the places of those who have not been stopped
        count(world, "given up", len(due))
        return
    for record in due if has_plan else [carrier]:
        if not is_leaving(record) and world.now >= record.not_before:
            yield from _stop(world, record)


def _stands(world: World, carrier: GangRecord, held: HeldPlace, due: Sequence[GangRecord]) -> bool:
    """Whether all that is planned can still be done as planned."""
    if world.now - held.reservation.at > world.settings.clearing_seconds or not made_for(carrier, held):
        return False
    if not all(is_leaving(record) or may_be_moved(world, record) for record in due):
        return False
    starts = None if held.moving else carrier
    ending = {record.key for record in due if is_leaving(record)}
    movers = [
        (world.gangs[key], world.held_places[key].reservation.placement)
        for key, _ in held.moves
        if key in world.held_places and world.held_places[key].moving and key not in ending
    ]
    first = [] if starts is None else [(carrier, held.reservation.placement)]
    mine = [r for r in world.reserved if r.key in {booking_key(record.key) for record, _ in first + movers}]
    leaving = [world.gangs[key] for key, _ in held.moves if moves_away(world, key)]
    for r in mine:
        world.reserved.drop(r.key)  # what is simulated has these places
    try:
        return as_planned(world, Beside(world), starts, first + movers, leaving)
    finally:
        for r in mine:
            world.reserved.put(r)


def _stop(world: World, record: GangRecord) -> Iterator[Instruction]:
    assert record.gang is not None and record.decision is not None
    held, lost = world.held_places[record.key], victim_of(world, record).lost
    text = f"moves to {held.place} {held.why}: {lost / 3600:,.1f} GPU-hours of its work are done again"
    wrote = False
    status = {
        "phase": "Stopping",
        "message": text,
        "reservation": held_status(world, record),
        "lastMove": {
            "time": timestamp(world.now),
            "lostGpuSeconds": lost,
            "why": held.why,
            "before": as_assignment(record.decision.placement.groups),
        },
        "conditions": conditions_of(
            record, condition("Admitted", true=False, reason=MOVED, message=text, now=world.now)
        ),
    }
    for instruction in write(record, status):
        wrote = True
        world.moved[record.key] = (world.now, lost)
        yield instruction
    if wrote:
        yield from gang_event(record, warning=True, reason=MOVED, message=text)


def _racks(placement: Placement) -> str:
    racks = list(dict.fromkeys(group.rack for group in placement.groups))
    return ", ".join(racks[:_NAMED]) + (f" and {len(racks) - _NAMED} more" if len(racks) > _NAMED else "")
