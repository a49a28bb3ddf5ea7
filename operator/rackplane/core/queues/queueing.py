"""Who is asked next, and what the engine and the quotas answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from rackplane.core.gangs.asking import shortest_alike
from rackplane.core.gangs.decisions import Key
from rackplane.core.gangs.elastic import fullest, grow
from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.explaining import OVER_QUOTA, Explainer, Renewal
from rackplane.core.gangs.occupying import occupied_words
from rackplane.core.gangs.record import GangRecord
from rackplane.core.instructions import Instruction
from rackplane.core.measuring import INADMISSIBLE, SUCCESS, Measured
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.committing import start
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.deciding import (
    barred,
    decide,
    is_told_again,
    lacks_quota,
    plain_request,
    refused,
    renewed,
)
from rackplane.core.queues.estimates import estimate, without_estimate
from rackplane.core.queues.gates import Gates
from rackplane.core.queues.holds import is_cleared, lapse, let_go, take_up
from rackplane.core.queues.lining_up import look
from rackplane.core.queues.planned import MOVING, follow_moves, keeps
from rackplane.core.queues.preempting import Clearing, review
from rackplane.core.queues.proposing import Proposals, withdraw
from rackplane.core.queues.quotaholds import let_quota_go
from rackplane.core.queues.relocating import carry_out, take_up_moves
from rackplane.core.queues.reserving import Backfill
from rackplane.core.queues.resettling import back, held_answer
from rackplane.core.queues.sound import as_of, keep_sound
from rackplane.core.queues.stages import coming, last_before
from rackplane.core.queues.waiting import PREEMPTING, RESERVED, Answer, Kind, Wait, request_key
from rackplane.core.queues.wanted import Wanted, with_holders
from rackplane.core.world import World
from rackplane.engine.model import Placement
from rackplane.engine.queueing.order import Line

__all__ = ["schedule"]

_OVERDUE = 5
"""What can wait for a pass in which nobody is placed waits for so many `status_seconds` at most."""


def schedule(world: World) -> Iterator[Instruction]:
    """One pass over the queue. What fits is booked at once and committed by the instruction that is returned.

    Where nothing has been freed for any who wait, only those who are new are asked.
    """
    assert world.state is not None
    waiting, before = world.waiting, world.placements
    look(world)
    _give_up_places(world)
    lapse(world)
    whole = waiting.to_ask(world.version, world.now)
    if whole is not None:
        yield from _ask(world, whole=whole)
        if world.trace is not None:
            world.trace.passed(world)
        look(world)  # who was placed waits no more
    _tell(world)
    # Who was placed is to be told first: the rest takes longer, and is of no use to them.
    overdue = world.now - waiting.renewed_at >= _OVERDUE * world.settings.status_seconds
    if world.placements == before or overdue:
        waiting.renewed_at = world.now
        _renew(world)
        _tell(world)
        first = waiting.ahead[: world.settings.estimated_gangs]
        ahead = [world.gangs[key] for key in first if key in world.gangs]
        without_estimate(world, ahead)
        estimate(world, ahead)
    yield from carry_out(world)


def _give_up_places(world: World) -> None:
    """Hold nothing for gangs that do not wait any more."""
    if world.remembered:
        take_up_moves(world)
        take_up(world)
        look(world)  # each is asked by itself
    # First the places of plans, then those of the gangs that move for them.
    for key in sorted(world.held_places, key=lambda key: world.held_places[key].moving):
        if not world.waiting.waits(key) and not keeps(world, key):
            let_go(world, key)
    for key in list(world.held_quota):
        if not world.waiting.waits(key):
            let_quota_go(world, key)
    follow_moves(world)


def _ask(world: World, *, whole: bool) -> Iterator[Instruction]:
    """Ask the lines, each from its first gang on, and the first of all by the shares as they are by then.

    Args:
        whole: all who may start, and of the others the first, for which places may be held or cleared; else only those
            who are new.
    """
    count_usages(world)
    waiting, backfill, gates = world.waiting, Backfill(world), Gates(world)
    beside, clearing, proposals = Beside(world), Clearing(world), Proposals(world)
    turn = _Turn(world, Explainer(world), beside, backfill)
    in_any_case, moved = waiting.begin(world.version, world.now, whole=whole)
    new = frozenset(in_any_case)
    wanted = Wanted(world, backfill, clearing, proposals, gates, new, turn.lacks_room)
    freshly, considered = set[Line](), set[Key]()
    lines = with_holders(world, [*in_any_case, *(gates.may_start() if moved else ())])
    asked = waiting.order.turn(partial(world.ledger.shares.rank, now=world.now), lines)
    while (found := wanted.next(asked) if whole else asked.next()) is not None:
        line, record = found[0], world.gangs[found[1]]
        is_new = line in new
        until = end_of_start(world, record, world.now)
        answer = waiting.refused(line, until, world.version, world.rules)
        over_quota = answer is not None and answer.wait.reason == OVER_QUOTA
        if over_quota and backfill.may_reserve and turn.lacks_room(line, record):
            answer = None  # others have taken the room meanwhile, so it may hold a place now
        elif answer is not None and answer.wait.wants_place and lacks_quota(world, record, backfill):
            answer = None  # others have taken the quota meanwhile, so it may hold that now
        if answer is None or world.now >= record.ask_again:
            told = None if is_new else waiting.answer(line, until)
            kept_out = (
                told is not None
                and told.wait.reason == RESERVED
                and not clearing.stops_others(line.queue)
                and backfill.keeps_out(record, line, until, gates, told.wait.message)
            )
            lacks_quota_now = not (is_new or kept_out or gates.has_quota(line))
            lacks_room = not (is_new or kept_out or lacks_quota_now or gates.has_room(line))
            if (lacks_quota_now or lacks_room) and not wanted.is_wanted(line, record):
                asked.close()  # refused as before
                continue
            if world.now < record.not_before:
                waiting.ask_at(record.key, record.not_before)
                continue
            record.ask_again = math.inf
            if world.trace is not None:
                world.trace.begin()
            if told is not None and (kept_out or is_told_again(world, record, backfill, told)):
                given: Placement | Wait = told.wait
            else:
                given = turn.ask(line, record, lacks_room=lacks_room)
            if isinstance(given, Placement):
                found_at = None if record.key in world.held_places else as_of(world)
                let_go(world, record.key, starts=True)
                let_quota_go(world, record.key)
                record.foreseeable, record.estimate, record.refusal, record.no_room = False, None, None, ""
                withdraw(world, record)
                asked.shares_grow(wanted.queues_beside(line.queue))
                yield from start(world, record, fullest(world, record, given, beside, backfill))
                if found_at is not None:
                    keep_sound(world, found_at)
                if world.trace is not None:
                    world.trace.placed(world, record)
                follow_moves(world)
                continue
            # Nobody is stopped for one that only has to let others go first.
            if given.foreseeable and given.reason != RESERVED:
                _by_force(world, record, clearing, beside)
            if world.trace is not None:
                world.trace.refused(world, record, line, given)
            answer = Answer(given, world.version, turn.stage(given, until), world.rules)
            waiting.refuse(line, answer)
            turn.note_unexplained(record)
            freshly.add(line)
        cleared, holds = is_cleared(world, record.key), record.key in world.held_places
        if cleared:
            pass
        elif not answer.wait.wants_place:
            if holds:
                let_go(world, record.key)
        elif holds or line in freshly or backfill.may_reserve:
            backfill.reserve(record)
        backfill.hold_quota(record, answer.wait)
        if answer.wait.foreseeable and not cleared:
            considered.add(record.key)
            yield from proposals.consider(record, beside)
        holds_for_all = answer.stage < math.floor(world.now) + shortest_alike(world, record)
        if holds_for_all and not (line in freshly and answer.wait.wants_place and backfill.may_reserve):
            asked.close()
    backfill.let_unasked_quota_go()
    if whole:
        waiting.due = min(waiting.due, wanted.due)
        for key in [key for key in waiting.proposed if key not in considered and key in world.gangs]:
            withdraw(world, world.gangs[key])
    waiting.prune()
    if whole:
        proposals.free_domains(beside)
    yield from grow(world, backfill)


def _renew(world: World) -> None:
    """Tell few of those who were refused what would help, and the first of the queue the numbers as they are now."""
    waiting, settings, turns = world.waiting, world.settings, coming(world)
    renewal = Renewal(world)

    def renew(gang: Key) -> None:
        place = waiting.order.get(gang)
        if place is None:
            return
        until = end_of_start(world, world.gangs[gang], world.now)
        answer = waiting.answer(place.line, until)
        if answer is not None and answer.stage < until:
            stage = last_before(turns, until)
            wait = renewed(world, world.gangs[gang], answer.wait, renewal, stage)
            waiting.renew(place.line, replace(answer, wait=wait))

    for gang in waiting.to_recount(world.placements, world.now, settings.status_seconds):
        renew(gang)
    for asked, gang in list(waiting.unexplained.items()) if renewal.may_explain else ():
        if not renewal.may_explain:
            break
        del waiting.unexplained[asked]
        renew(gang)


class _Turn:
    """Asks one gang after the other in one pass."""

    def __init__(self, world: World, explainer: Explainer, beside: Beside, backfill: Backfill) -> None:
        self._world = world
        self._explainer, self._beside, self._backfill = explainer, beside, backfill
        self._barred: dict[tuple[str, str], Wait | None] = {}
        self._shut: list[Wait] = []
        self._coming = coming(world)

    def ask(self, line: Line, record: GangRecord, *, lacks_room: bool) -> Placement | Wait:
        """The decision; of one whose place is being cleared, once nobody is in its way any more.

        Args:
            lacks_room: a bound says already that there is no room for it.
        """
        world = self._world
        world.waiting.asked += 1
        began = world.measurements.stopwatch()
        given = self._asked(line, record, lacks_room=lacks_room)
        took = world.measurements.stopwatch() - began
        result = SUCCESS if isinstance(given, Placement) else INADMISSIBLE
        world.measurements.add(Measured.ATTEMPT, took, result)
        return given

    def _asked(self, line: Line, record: GangRecord, *, lacks_room: bool) -> Placement | Wait:
        world = self._world
        assert record.gang is not None and isinstance(line.kind, Kind)
        where = (record.gang.spec.queue, record.key[0])
        if where not in self._barred:
            self._barred[where] = shut = barred(world, record)
            if shut is not None:
                self._shut.append(shut)
        closed, gave_up = self._barred[where], False
        held = world.held_places.get(record.key)
        if closed is None and held is not None and (held.moves or held.moving):
            given = held_answer(world, record)
            if given is not None:
                return given if isinstance(given, Placement) else Wait(given, reason=MOVING)
            gave_up = held.moving
        elif closed is None and is_cleared(world, record.key):
            waits = review(world, record, self._beside)
            if waits is not None:
                return Wait(waits, reason=PREEMPTING)
        stage = last_before(self._coming, end_of_start(world, record, world.now))
        found = closed or decide(
            world,
            record,
            self._explainer,
            self._backfill,
            stage,
            shape=line.kind.shape,
            lacks_room=lacks_room,
        )
        if gave_up and isinstance(found, Wait):
            found = back(world, record) or found
        held = world.held_places.get(record.key)
        if isinstance(found, Wait) and held is not None and held.reservation.exclusive:
            let_go(world, record.key)  # the place is free, and not what the gang needs any more
        return found

    def lacks_room(self, line: Line, record: GangRecord) -> bool:
        """Whether the engine refuses the gang, as things are now: asked once for all who ask the same."""
        assert isinstance(line.kind, Kind)
        stage = last_before(self._coming, end_of_start(self._world, record, self._world.now))
        asked = request_key(line.kind.shape), stage
        return self._explainer.refuses(asked, lambda: plain_request(self._world, record))

    def note_unexplained(self, record: GangRecord) -> None:
        """The gang was refused, and is to be told what would help."""
        for asked in self._explainer.unexplained:
            self._world.waiting.unexplained.setdefault(asked, record.key)
        self._explainer.unexplained.clear()

    def stage(self, wait: Wait, until: float) -> float:
        """Whoever runs past it is told the same."""
        if wait in self._shut:
            return -math.inf
        times = self._coming
        if wait.reason == RESERVED:
            held = self._world.quota_ahead.values()
            times = sorted([*times, *(r.at for r in self._world.reserved), *(h.share.at for h in held)])
        return last_before(times, until)


def _by_force(world: World, record: GangRecord, clearing: Clearing, beside: Beside) -> None:
    """Hold a place for the gang that others make for it, if somebody may be stopped for it."""
    held = clearing.make_room(record, beside)
    if held is not None:
        # It waits for that alone from now on, in a line of its own.
        record.message, record.reason, record.refusal = held.why, PREEMPTING, None
        record.misfit = record.foreseeable = False
        world.dirty[record.key] = None


def _tell(world: World) -> None:
    """Note where those who wait stand, and why, for their status."""
    settings, waiting = world.settings, world.waiting
    first = max(settings.told_gangs, settings.estimated_gangs)
    for key, position in waiting.told(world.rank, first):
        _note(world, world.gangs[key], position)
    left = settings.queue_writes
    for key, position in waiting.renewals(
        world.rank, world.now, first=first, pause=settings.queue_seconds, period=settings.status_seconds
    ):
        left -= _note(world, world.gangs[key], position)
        if not left:
            break


def _note(world: World, record: GangRecord, position: int | None) -> bool:
    """Take down what the gang is to be told; whether that is news."""
    before = (record.position, record.message, record.reason, record.refusal)
    record.position = position if position is not None else record.position
    place = world.waiting.order.get(record.key)
    end = math.inf if place is None else end_of_start(world, record, world.now)
    answer = None if place is None else world.waiting.answer(place.line, end)
    if answer is not None and place is not None:
        verdict = world.waiting.verdict(place.line, answer)
        wait = answer.wait if verdict is None else refused(verdict.refusal)
        words = wait.words(record)
        if wait.foreseeable and record.no_room:
            words = f"{words}; {record.no_room}"
        if wait.refusal is not None and record.asks_for_domain():
            words = "; ".join(filter(None, (words, occupied_words(world))))
        record.message, record.reason, record.misfit = words, wait.reason, wait.misfit
        record.refusal, record.foreseeable = wait.refusal, wait.foreseeable
    if before == (record.position, record.message, record.reason, record.refusal):
        return False
    world.dirty[record.key] = None
    return True
