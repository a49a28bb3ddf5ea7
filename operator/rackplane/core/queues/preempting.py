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
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from rackplane.core.gangs.asking import mask_of, quota_of, request_of, slots_without
from rackplane.core.gangs.decisions import HeldPlace, booking_key, key_of
from rackplane.core.gangs.elastic import shrink
from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import condition
from rackplane.core.gangs.writing import conditions_of, gang_event, write
from rackplane.core.instructions import Instruction
from rackplane.core.objects import Gang
from rackplane.core.queues.ahead import apart, only
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.counting import count_usages, counted_by_gang
from rackplane.core.queues.following import follow
from rackplane.core.queues.holds import exclusive, hold, let_go
from rackplane.core.queues.rights import Rights, stops_others
from rackplane.core.queues.victims import is_leaving, victim_of
from rackplane.core.queues.ways import Way, is_in_the_way, may_shrink
from rackplane.core.world import World
from rackplane.engine.model import Placement, Request
from rackplane.engine.placing.placement import find
from rackplane.engine.preempting.preemption import cheapest

__all__ = [
    "PREEMPTED",
    "RECLAIMED",
    "STOPPED_FOR_OTHERS",
    "Clearing",
    "count_stop",
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
        self._stopping: dict[str, bool] = {}

    def stops_others(self, queue: str) -> bool:
        """Whether gangs of the queue may have any gang stopped."""
        if queue not in self._stopping:
            self._stopping[queue] = stops_others(self._world, queue)
        return self._stopping[queue]

    @property
    def is_open(self) -> bool:
        """Whether it may be worked out for another gang in this pass."""
        return self._left > 0 and self._world.now >= self._world.clearing_due

    @property
    def reopens_at(self) -> float:
        """When it may be worked out for the next one, in seconds since the epoch."""
        pause = self._world.settings.preempting_pause_seconds
        return max(self._world.clearing_due, self._world.now + pause)

    def due(self, record: GangRecord) -> float:
        """When it may be worked out for the gang, in seconds since the epoch; inf: not before anything changes."""
        if record.preempted_version == self._world.version:
            return math.inf
        return record.preempted_at + self._world.settings.preempting_seconds

    def make_room(self, record: GangRecord, beside: Beside) -> HeldPlace | None:
        """The place that is held for the gang from now on; None if nobody is stopped for it."""
        world, settings = self._world, self._world.settings
        record.ask_again = math.inf
        assert record.gang is not None
        if not self.stops_others(record.gang.spec.queue):
            record.no_room = ""
            return None
        due = self.due(record)
        if due == math.inf:
            return None
        if world.now < due:
            record.ask_again = max(due, world.now + settings.preempting_pause_seconds)
            world.waiting.ask_at(record.key, record.ask_again)
            return None
        if not self.is_open:
            # Then they are looked at in the order of the queue: no timer of its own for each of thousands.
            record.ask_again = self.reopens_at
            world.waiting.due = min(world.waiting.due, record.ask_again)
            return None
        self._left -= 1
        record.preempted_at, record.preempted_version = world.now, world.version
        found = _find_room(world, record, beside)
        if isinstance(found, HeldPlace):
            record.no_room, record.estimate = "", None
            hold(world, record, found)
            world.tally.began(record.key, record.gang.spec.queue)
            return found
        record.no_room = found
        world.clearing_due = world.now + settings.preempting_pause_seconds
        return None


def _find_room(world: World, record: GangRecord, beside: Beside) -> HeldPlace | str:
    """Whom to stop so that the gang starts, and where it would; else why nobody is, in words."""
    assert world.state is not None and record.gang is not None
    rights = Rights(world, record)
    if record.never_preempts(world.priority_classes):
        return "it stops nobody: the preemptionPolicy of its PriorityClass is Never"
    if not rights.ways:
        return rights.nobody
    asking = _Asking(world, record, beside, rights.ways)
    # What pods of several kinds leave each other beside some slots of another gang is not worked out.
    among = [way for way in rights.ways.values() if not (record.groups and way.to)]
    plan = cheapest(
        world.state,
        asking.request,
        [way.victim for way in among],
        needs=rights.needs(),
        allowed=rights.allowed,
        admits=lambda offer, gone: asking.admits(offer, gone) and rights.keeps_within(offer, gone),
    )
    if plan is None or not plan.victims:
        gangs = len(rights.gangs)
        return f"to stop {f'the {gangs} gangs' if gangs > 1 else 'the gang'} that it may stop would not let it start"
    chosen = sorted((rights.ways[v.key] for v in plan.victims), key=lambda way: way.to > 0)
    return exclusive(
        world,
        record,
        plan.placement,
        _why(plan.placement, chosen),
        tuple(way.record.key for way in chosen),
        tuple((way.record.key, way.to) for way in chosen if way.to),
    )


class _Asking:
    """The gang's request and its quotas with others gone, or smaller, in some of these ways."""

    def __init__(self, world: World, record: GangRecord, beside: Beside, among: Mapping[str, Way]) -> None:
        self.world, self.record, self.beside, self.among = world, record, beside, among
        count_usages(world)  # whoever asks in a simulation has asked before it
        follow(world)
        self._now = mask_of(world, record)
        #: one mask for all questions, so that the engine follows it instead of counting every node for each
        self._later = self._now.changed({})
        self._differing: dict[str, None] = {}

    def request(self, gone: Collection[str]) -> Request:
        over = [self.among[key].record for key in gone if not self.among[key].to]
        if self.record.groups:
            until = end_of_start(self.world, self.record, self.world.now)
            shadows = self.beside.shadows(self.record, until, self._stopped(gone))
            return apart(request_of(self.world, self.record, self._now, over=over), shadows)
        fewer = [(way.record, way.slots) for key in gone if (way := self.among[key]).to]
        freed = slots_without(self.world, self.record, over, fewer) if gone else {}
        less = self.beside.less(
            self.record, lambda node: freed.get(node, self._now.get(node)), self._stopped(gone)
        )
        changed = {**freed, **less}
        for node in {**self._differing, **changed}:
            self._later.set(node, changed[node] if node in changed else self._now.get(node))
        self._differing = dict.fromkeys(changed)
        return request_of(self.world, self.record, self._later)

    def admits(self, placement: Placement, gone: Collection[str]) -> bool:
        chosen = [self.among[key] for key in gone]
        without = [way.booking for way in chosen]
        left = [(way.booking, way.rest) for way in chosen if way.rest is not None]
        if quota_of(self.world, self.record, placement, without=without, plus=left) is not None:
            return False
        return self.beside.leaves_room(self.record, placement, self._stopped(gone))

    def _stopped(self, gone: Collection[str]) -> list[str]:
        return [self.among[key].booking for key in gone if not self.among[key].to]


def _why(placement: Placement, chosen: Sequence[Way]) -> str:
    hours = sum(way.victim.lost for way in chosen) / 3600
    stopped, smaller = [w for w in chosen if not w.to], [w for w in chosen if w.to]
    racks = list(dict.fromkeys(group.rack for group in placement.groups))
    where = ", ".join(racks[:_NAMED]) + (f" and {len(racks) - _NAMED} more" if len(racks) > _NAMED else "")
    done = [
        f"{_named(some)} {verb if len(some) > 1 else verb + 's'}{how}"
        for some, verb, how in ((stopped, "stop", ""), (smaller, "give", " slots up"))
        if some
    ]
    return f"its place on {where} is cleared: {', '.join(done)}, {hours:,.1f} GPU-hours lost"


def _named(some: Sequence[Way]) -> str:
    names = ", ".join(way.booking for way in some[:_NAMED])
    more = f" and {len(some) - _NAMED} more" if len(some) > _NAMED else ""
    return f"{'gangs' if len(some) > 1 else 'gang'} {names}{more}"


# -- afterwards --------------------------------------------------------------------------------------


def review(world: World, record: GangRecord, beside: Beside) -> str | None:
    """What the gang with a held place waits for; None if nobody is in its way any more, or the place is given up."""
    assert world.state is not None
    held = world.held_places[record.key]
    left = _left(world, held)
    if not left:
        return None
    in_time = world.now - held.reservation.at <= world.settings.clearing_seconds
    if in_time and _may_all(world, record, left):
        placement = _as_held(world, record, held, beside, left)
        if placement is not None:
            if placement != held.reservation.placement:
                reservation = replace(held.reservation, placement=placement)
                hold(world, record, replace(held, reservation=reservation))
            return held.why
    let_go(world, record.key)
    return None


def _left(world: World, held: HeldPlace) -> list[Way]:
    """Who is still in the way, and how each makes room."""
    found, usages = [], dict(counted_by_gang(world))
    for key in held.victims:
        to = held.size_of(key)
        if is_in_the_way(world, key, to) and key in usages:
            found.append(Way(world, world.gangs[key], to, usages[key]))
    return found


def _may_all(world: World, record: GangRecord, left: Collection[Way]) -> bool:
    """Whether all who are in the way still may be stopped, or made smaller, or go by themselves."""
    if not left:
        return True
    eligible = {other.key for other in Rights(world, record).gangs}
    return all(
        is_leaving(way.record)
        or (way.record.key in eligible and (not way.to or may_shrink(way.record, way.to)))
        for way in left
    )


def _as_held(
    world: World, record: GangRecord, held: HeldPlace, beside: Beside, left: Collection[Way]
) -> Placement | None:
    """The placement on the held nodes with these gone, or smaller; None if the gang does not fit there any more."""
    assert world.state is not None
    keys = [way.key for way in left]
    asking = _Asking(world, record, beside, {way.key: way for way in left})
    request = only(asking.request(keys), held.reservation.placement.slots)
    given_up = [(way.booking, way.slots or None) for way in left]
    with world.state.simulation() as later:
        for booking, slots in given_up:
            later.release(booking, slots)
        return find(later, request, lambda offer: asking.admits(offer, keys))


def stop_victims(world: World, record: GangRecord) -> Iterator[Instruction]:
    """The writes that stop whoever is still in the way, once the API server has the reservation that names them."""
    assert record.gang is not None
    held, known = world.held_places.get(record.key), record.gang.status.reservation
    if held is None or known is None:
        return
    told = {key_of(v): 0 for v in known.victims} | {key_of(s.gang): s.slots for s in known.shrunk}
    if told != {key: held.size_of(key) for key in held.victims}:
        return
    left = _left(world, held)
    if not _may_all(world, record, left):
        return  # the next pass gives the place up
    for way in left:
        if world.now < way.record.not_before or is_leaving(way.record):
            continue
        if way.to:
            reason, text = _cause(way.record, record, "gives slots to gang")
            yield from shrink(world, way.record, way.to, why=text, reason=reason)
        else:
            yield from _stop(world, way.record, record)


def _cause(victim: GangRecord, preemptor: GangRecord, what: str) -> tuple[str, str]:
    """The reason of its Event and its conditions, and the sentence that goes with it."""
    assert victim.gang is not None and preemptor.gang is not None
    ours, theirs = victim.gang.spec, preemptor.gang.spec
    name = f"{what} {booking_key(preemptor.key)}"
    if ours.queue == theirs.queue:
        return PREEMPTED, f"{name}, whose priority {theirs.priority} is above its own, {ours.priority}"
    return RECLAIMED, f"{name}: queue {theirs.queue} takes back quota that queue {ours.queue} borrows"


def _stop(world: World, victim: GangRecord, preemptor: GangRecord) -> Iterator[Instruction]:
    reason, text = _cause(victim, preemptor, "stopped for gang")
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


def count_stop(world: World, record: GangRecord, before: Gang) -> None:
    """Count that the gang gives its place up, or some of its slots for others, if that is what is new in it."""
    gang = record.gang
    assert gang is not None
    known = record.decision is not None and world.state is not None
    by = {
        key: held.size_of(record.key) for key, held in world.held_places.items() if record.key in held.victims
    }
    if gang.status.phase == "Stopping" and before.status.phase != "Stopping":
        reason = next((c.reason for c in gang.status.conditions if c.type == "Admitted"), "")
        lost = victim_of(world, record).lost_gpu_seconds if known else 0
        for_others = by if reason in STOPPED_FOR_OTHERS else None
        world.tally.stopped(gang.spec.queue, reason, lost=lost, stopped_for=for_others)
    elif known and gang.status.slots in by.values() and gang.status.slots != before.status.slots:
        usage = dict(counted_by_gang(world)).get(record.key)
        if usage is None:
            return
        lost = Way(world, record, gang.status.slots or 0, usage).victim.lost_gpu_seconds
        preemptor = world.gangs.get(next(iter(by)))
        reason = PREEMPTED
        if preemptor is not None and preemptor.gang is not None:
            reason = _cause(record, preemptor, "")[0]
        world.tally.shrunk(gang.spec.queue, reason, lost=lost, shrunk_for=by)
