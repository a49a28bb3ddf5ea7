"""Others are stopped so that a gang can start: decided once, kept in its Gang, carried out by what is seen.

A gang that finds no place may have gangs stopped that :mod:`core.queues.victims` lets it stop: the cheapest set after
which the engine and the quotas take it. From that moment the place is held for it (:mod:`core.queues.holds`). First the
Gang gets `status.reservation`, with the place and the victims; when the API server has it the victims are told to stop,
one write each, and go the usual way: suspended, pods gone, back in the queue with their age. When all are gone, the
gang is placed like any other. A process that dies in between finds the reservation and goes on from what it sees.

Nobody is stopped who does not make room: as long as one victim still runs, every pass asks again whether the gang would
start with the rest gone too. If not, or if it does not wait any more, the place is given up and nobody else is stopped.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from rackplane.core.gangs.asking import mask_of, quota_of, request_of, slots_without
from rackplane.core.gangs.decisions import HeldPlace, Key, booking_key, key_of
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import condition
from rackplane.core.gangs.writing import conditions_of, gang_event, write
from rackplane.core.instructions import Instruction
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.following import follow
from rackplane.core.queues.holds import exclusive, hold, let_go
from rackplane.core.queues.victims import Candidates, is_leaving
from rackplane.core.world import World
from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.placing.placement import find
from rackplane.engine.preempting.costs import Victim
from rackplane.engine.preempting.preemption import cheapest

__all__ = [
    "PREEMPTED",
    "RECLAIMED",
    "STOPPED_FOR_OTHERS",
    "Clearing",
    "review",
    "stop_victims",
]

PREEMPTED = "Preempted"
RECLAIMED = "Reclaimed"
STOPPED_FOR_OTHERS = frozenset({PREEMPTED, RECLAIMED})
"""Why a gang was stopped, as the reason of its conditions and Events."""

_NAMED = 3


class Clearing:
    """Works out, for few gangs in one pass over the queue, whom to stop for them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._left = world.settings.preempting_gangs

    def make_room(self, record: GangRecord, beside: Beside) -> HeldPlace | None:
        """The place that is held for the gang from now on; None if nobody is stopped for it."""
        world, settings = self._world, self._world.settings
        record.ask_again = math.inf
        if not Candidates.asked_by(world, record):
            record.no_room = ""
            return None
        if record.preempted_version == world.version:
            return None
        due = max(record.preempted_at + settings.preempting_seconds, world.clearing_due)
        if world.now < due or not self._left:
            record.ask_again = max(due, world.now + settings.preempting_pause_seconds)
            world.waiting.due = min(world.waiting.due, record.ask_again)
            return None
        self._left -= 1
        record.preempted_at, record.preempted_version = world.now, world.version
        found = _find_room(world, record, beside)
        if isinstance(found, HeldPlace):
            record.no_room, record.estimate = "", None
            hold(world, record, found)
            return found
        record.no_room = found
        world.clearing_due = world.now + settings.preempting_pause_seconds
        return None


def _find_room(world: World, record: GangRecord, beside: Beside) -> HeldPlace | str:
    """Whom to stop so that the gang starts, and where it would; else why nobody is, in words."""
    assert world.state is not None and record.gang is not None
    candidates = Candidates(world, record)
    if record.never_preempts(world.priority_classes):
        return "it stops nobody: the preemptionPolicy of its PriorityClass is Never"
    if record.groups:
        return "it stops nobody: that is done for gangs whose pods are alike"
    gangs = {booking_key(other.key): other for other in candidates.gangs}
    if not gangs:
        return candidates.nobody
    victims = [candidates.victim(other) for other in gangs.values()]
    asking = _Asking(world, record, beside, gangs)
    plan = cheapest(
        world.state,
        asking.request,
        victims,
        needs=candidates.needs(),
        allowed=candidates.allowed,
        admits=lambda offer, gone: asking.admits(offer, gone) and candidates.keeps_within(offer, gone),
    )
    if plan is None or not plan.victims:
        which = "the gang that it may stop" if len(gangs) == 1 else f"the {len(gangs)} gangs that it may stop"
        return f"to stop {which} would not let it start"
    keys = tuple(gangs[v.key].key for v in plan.victims)
    why = _why(plan.placement, plan.victims)
    return exclusive(world, record, plan.placement, why, keys)


class _Asking:
    """The gang's request and its quotas with some of these gangs gone."""

    def __init__(
        self, world: World, record: GangRecord, beside: Beside, gangs: Mapping[str, GangRecord]
    ) -> None:
        self.world, self.record, self.beside, self.gangs = world, record, beside, gangs
        count_usages(world)  # whoever asks in a simulation has asked before it
        follow(world)
        self._now = mask_of(world, record)
        #: one mask for all questions, so that the engine follows it instead of counting every node for each
        self._later = self._now.changed({})
        self._differing: dict[str, None] = {}

    def request(self, gone: Collection[str]) -> Request:
        freed = slots_without(self.world, self.record, (self.gangs[key] for key in gone)) if gone else {}
        less = self.beside.less(self.record, lambda node: freed.get(node, self._now.get(node)), gone)
        changed = {**freed, **less}
        for node in {**self._differing, **changed}:
            self._later.set(node, changed[node] if node in changed else self._now.get(node))
        self._differing = dict.fromkeys(changed)
        return request_of(self.world, self.record, self._later)

    def admits(self, placement: Placement, gone: Collection[str]) -> bool:
        return quota_of(self.world, self.record, placement, without=gone) is None and self.beside.leaves_room(
            self.record, placement, gone
        )


def _why(placement: Placement, victims: tuple[Victim, ...]) -> str:
    hours = sum(v.lost for v in victims) / 3600
    names = ", ".join(v.key for v in victims[:_NAMED])
    more = f" and {len(victims) - _NAMED} more" if len(victims) > _NAMED else ""
    racks = list(dict.fromkeys(group.rack for group in placement.groups))
    where = ", ".join(racks[:_NAMED]) + (f" and {len(racks) - _NAMED} more" if len(racks) > _NAMED else "")
    return (
        f"its place on {where} is cleared: {'gangs' if len(victims) > 1 else 'gang'} {names}{more} "
        f"{'stop' if len(victims) > 1 else 'stops'}, {hours:,.1f} GPU-hours lost"
    )


# -- afterwards --------------------------------------------------------------------------------------


def review(world: World, record: GangRecord, beside: Beside) -> str | None:
    """What the gang with a held place waits for; None if nobody is in its way any more, or the place is given up."""
    assert world.state is not None
    held = world.held_places[record.key]
    left = [world.gangs[key] for key in held.victims if _is_there(world, key)]
    if not left:
        return None
    candidates = Candidates(world, record)
    eligible = {other.key for other in candidates.gangs}
    in_time = world.now - held.reservation.at <= world.settings.clearing_seconds
    if in_time and all(other.key in eligible or is_leaving(other) for other in left):
        placement = _as_held(world, record, held, beside, left)
        if placement is not None:
            if placement != held.reservation.placement:
                reservation = replace(held.reservation, placement=placement)
                hold(world, record, replace(held, reservation=reservation))
            return held.why
    let_go(world, record.key)
    return None


def _is_there(world: World, key: Key) -> bool:
    other = world.gangs.get(key)
    return other is not None and other.decision is not None


def _as_held(
    world: World, record: GangRecord, held: HeldPlace, beside: Beside, left: list[GangRecord]
) -> Placement | None:
    """The placement on the held nodes with these gangs gone; None if the gang does not fit there any more."""
    assert world.state is not None
    gangs = {booking_key(other.key): other for other in left}
    asking = _Asking(world, record, beside, gangs)
    request = asking.request(list(gangs))
    mask = NodeMask.of(request.capacity or {})
    count: dict[str, int] = {}
    for node in held.reservation.placement.slots:
        count[node] = count.get(node, 0) + 1
    only = NodeMask({node: min(n, mask.get(node)) for node, n in count.items()})
    with world.state.simulation() as later:
        for key in gangs:
            later.release(key)
        return find(later, replace(request, capacity=only), lambda offer: asking.admits(offer, list(gangs)))


def stop_victims(world: World, record: GangRecord) -> Iterator[Instruction]:
    """The writes that stop whoever is still in the way, once the API server has the reservation that names them."""
    assert record.gang is not None
    held, known = world.held_places.get(record.key), record.gang.status.reservation
    if held is None or known is None or [key_of(v) for v in known.victims] != list(held.victims):
        return
    candidates = Candidates(world, record)
    eligible = {other.key for other in candidates.gangs}
    left = [world.gangs[key] for key in held.victims if _is_there(world, key)]
    if not all(other.key in eligible or is_leaving(other) for other in left):
        return  # the next pass gives the place up
    for other in left:
        if other.key in eligible and world.now >= other.not_before:
            yield from _stop(world, other, record)


def _stop(world: World, victim: GangRecord, preemptor: GangRecord) -> Iterator[Instruction]:
    assert victim.gang is not None and preemptor.gang is not None
    ours, theirs = victim.gang.spec, preemptor.gang.spec
    name = booking_key(preemptor.key)
    if ours.queue == theirs.queue:
        reason = PREEMPTED
        text = f"stopped for gang {name}, whose priority {theirs.priority} is above its own, {ours.priority}"
    else:
        reason = RECLAIMED
        text = (
            f"stopped for gang {name}: queue {theirs.queue} takes back quota that queue {ours.queue} borrows"
        )
    stopped = False
    for instruction in write(
        victim,
        {
            "phase": "Stopping",
            "message": text,
            "conditions": conditions_of(
                victim, condition("Admitted", true=False, reason=reason, message=text, now=world.now)
            ),
        },
    ):
        stopped = True
        yield instruction
    if stopped:
        yield from gang_event(victim, warning=True, reason=reason, message=text)
