"""Who is asked next, and what the engine and the quotas answer."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from rackplane.core.gangs.asking import desired, shape_of, shortest_alike, size_of
from rackplane.core.gangs.booking import book
from rackplane.core.gangs.decisions import Decision, Key
from rackplane.core.gangs.elastic import fullest, grow, with_slots
from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.explaining import Explainer, Renewal
from rackplane.core.gangs.profiles import lowered
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import admitted, condition, timestamp
from rackplane.core.gangs.writing import conditions_of
from rackplane.core.instructions import CommitGang, Instruction
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.deciding import barred, decide, refused, renewed
from rackplane.core.queues.estimates import estimate, without_estimate
from rackplane.core.queues.gates import Gates, Left
from rackplane.core.queues.holds import is_cleared, lapse, let_go, take_up
from rackplane.core.queues.planned import MOVING, follow_moves, keeps
from rackplane.core.queues.preempting import Clearing, review
from rackplane.core.queues.priorities import standing
from rackplane.core.queues.proposing import Proposals, proposed, withdraw
from rackplane.core.queues.quotaholds import let_quota_go
from rackplane.core.queues.relocating import carry_out, take_up_moves
from rackplane.core.queues.reserving import Backfill
from rackplane.core.queues.resettling import back, held_answer
from rackplane.core.queues.rights import stops_others
from rackplane.core.queues.waiting import PREEMPTING, RESERVED, Answer, Kind, Wait
from rackplane.core.world import World
from rackplane.engine.model import Placement
from rackplane.engine.queueing.order import Line, Place, Turn

__all__ = ["commit", "pending", "reasons", "schedule", "waiting_in_order"]

_OVERDUE = 5
"""What can wait for a pass in which nobody is placed waits for so many `status_seconds` at most."""


def pending(world: World) -> list[GangRecord]:
    """Gangs that wait for a place, in the order in which they are asked. A look at all gangs."""
    count_usages(world)
    found = [(key, place) for key in world.gangs if (place := _place(world, key)) is not None]
    found.sort(key=lambda f: (-f[1].priority, world.rank(f[1].line.queue), f[1].since, f[0]))
    return [world.gangs[key] for key, _ in found]


def _place(world: World, key: Key) -> Place | None:
    """Where in the queue the gang stands; None if it does not wait for a place."""
    record = world.gangs.get(key)
    if (
        record is None
        or record.gang is None
        or record.decision is not None
        or record.phase != "Pending"
        or record.gang.metadata.deletion_timestamp is not None
        or not _can_start(record)
    ):
        return None
    if not record.judged and desired(world, record) is not None and not _as_wanted(record):
        world.dirty[key] = None
    if not _as_wanted(record):
        return None
    spec = record.gang.spec
    created = record.gang.status.submitted_at or record.gang.metadata.creation_timestamp or ""
    alone = key if key in world.held_places else None
    kind = Kind(key[0], alone, shape_of(world, record), is_cleared(world, key), size_of(world, record))
    return Place(Line(spec.queue, kind), standing(spec, world.catalog.queue), created)


def waiting_in_order(world: World) -> list[GangRecord]:
    """As `pending`, by a look at the gangs that have changed since."""
    _look(world)
    count_usages(world)
    return [world.gangs[key] for key in world.waiting.order.first(world.rank)]


def reasons(world: World) -> Iterator[tuple[str, str, int]]:
    """Queue, reason and how many gangs wait there for it."""
    _look(world)
    waiting = world.waiting
    for key in waiting.order:
        place, record = waiting.order.get(key), world.gangs[key]
        assert place is not None
        answer = waiting.answer(place.line, end_of_start(world, record, world.now))
        yield place.line.queue, record.reason if answer is None else answer.wait.reason, 1


def _look(world: World) -> None:
    if world.waiting.refusing_terms != world.neighbours.revision:
        # Who asks for the same may be told another thing now, by pods that refuse some of them as neighbours.
        world.waiting.refusing_terms = world.neighbours.revision
        world.waiting.look(world.gangs)
    world.waiting.look(world.dirty)
    world.waiting.refresh(partial(_place, world))


def schedule(world: World) -> Iterator[Instruction]:
    """One pass over the queue. What fits is booked at once and committed by the instruction that is returned.

    Where nothing has been freed for any who wait, only those who are new are asked.
    """
    assert world.state is not None
    waiting, before = world.waiting, world.placements
    _look(world)
    _give_up_places(world)
    lapse(world)
    whole = waiting.to_ask(world.version, world.now)
    if whole is not None:
        yield from _ask(world, whole=whole)
        _look(world)  # who was placed waits no more
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
        _look(world)  # each is asked by itself
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
    wanted = _Wanted(world, backfill, clearing, proposals, gates)
    new, moved = waiting.begin(world.version, world.now, whole=whole)
    freshly, considered = set[Line](), set[Key]()
    lines = _with_holders(world, [*new, *(gates.may_start() if moved else ())])
    asked = waiting.order.turn(world.rank, lines)
    while (found := wanted.next(asked) if whole else asked.next()) is not None:
        line, record = found[0], world.gangs[found[1]]
        until = end_of_start(world, record, world.now)
        answer = waiting.refused(line, until, world.version, world.rules)
        if answer is None or world.now >= record.ask_again:
            is_shut = line not in new and not (gates.has_quota(line) and gates.has_room(line))
            if is_shut and not wanted.is_wanted(line, record):
                asked.close()  # refused as before
                continue
            if world.now < record.not_before:
                waiting.ask_at(record.key, record.not_before)
                continue
            waiting.asked += 1
            given = turn.ask(record)
            if isinstance(given, Placement):
                let_go(world, record.key, starts=True)
                let_quota_go(world, record.key)
                record.foreseeable, record.estimate, record.refusal, record.no_room = False, None, None, ""
                withdraw(world, record)
                yield from _commit(world, record, fullest(world, record, given, beside, backfill))
                follow_moves(world)
                continue
            # Nobody is stopped for one that only has to let others go first.
            if given.foreseeable and given.reason != RESERVED:
                _by_force(world, record, clearing, beside)
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
        waiting.ask_at(record.key, record.ask_again)
        holds_for_all = answer.stage < math.floor(world.now) + shortest_alike(world, record)
        if holds_for_all and not (line in freshly and answer.wait.wants_place and backfill.may_reserve):
            asked.close()
    if whole:
        waiting.due = min(waiting.due, wanted.due)
        for key in [key for key in waiting.proposed if key not in considered and key in world.gangs]:
            withdraw(world, world.gangs[key])
    waiting.prune()
    if whole:
        proposals.free_domains(beside)
    yield from grow(world, beside, backfill)


class _Wanted:
    """Who is looked at though there is no room or no quota: it may be held for them, or others may make way."""

    def __init__(
        self, world: World, backfill: Backfill, clearing: Clearing, proposals: Proposals, gates: Gates
    ) -> None:
        self._world, self._backfill, self._gates = world, backfill, gates
        self._clearing, self._proposals = clearing, proposals
        queues = world.waiting.order.queues()
        self._stopping = {queue for queue in queues if stops_others(world, queue)}
        #: queues of which somebody may hold quota, and what they had left of it at the last look; those to look at
        self._seeking: dict[str, Left] = {}
        self._unseen = dict.fromkeys(queues)
        self._stamp = world.stamp

    def next(self, asked: Turn[Key]) -> tuple[Line, Key] | None:
        """Whom to look at next, of the lines that are asked in any case and of these."""
        clears = bool(self._stopping) and self._clearing.is_open
        if clears or self._backfill.may_reserve or self._proposals.is_open:
            return asked.next(others=True)
        self._seek_quota(asked)
        return asked.next()

    def _seek_quota(self, asked: Turn[Key]) -> None:
        """Of each queue the first behind those who were looked at that its quota refuses."""
        if self._stamp != self._world.stamp:
            self._stamp = self._world.stamp
            changed = (queue for queue, left in self._seeking.items() if left != self._gates.left(queue))
            self._unseen.update(dict.fromkeys(changed))
        for queue in self._unseen:
            if not self._backfill.seeks_quota(queue):
                self._seeking.pop(queue, None)
                continue
            self._seeking[queue] = self._gates.left(queue)
            short = (line for line in asked.behind(queue) if not self._gates.has_quota(line))
            line = next(short, None)
            if line is not None:
                asked.add(line)
        self._unseen.clear()

    def is_wanted(self, line: Line, record: GangRecord) -> bool:
        """Whether the gang may be one."""
        world = self._world
        if self._backfill.seeks_quota(line.queue):
            self._unseen[line.queue] = None  # if it holds none, the next may
            if not self._gates.has_quota(line):
                return True
        return (
            self._backfill.may_reserve
            or self._proposals.is_open
            or record.key in world.held_places
            or record.key in world.held_quota
            or (self._clearing.is_open and line.queue in self._stopping)
        )

    @property
    def due(self) -> float:
        """When it may be worked out for more of them whom to stop, in seconds since the epoch."""
        return self._clearing.reopens_at if self._stopping and not self._clearing.is_open else math.inf


def _renew(world: World) -> None:
    """Tell few of those who were refused what would help, and the first of the queue the numbers as they are now."""
    waiting, settings, turns = world.waiting, world.settings, _coming(world)
    renewal = Renewal(world)

    def renew(gang: Key) -> None:
        place = waiting.order.get(gang)
        if place is None:
            return
        until = end_of_start(world, world.gangs[gang], world.now)
        answer = waiting.answer(place.line, until)
        if answer is not None and answer.stage < until:
            stage = _last_before(turns, until)
            wait = renewed(world, world.gangs[gang], answer.wait, renewal, stage)
            waiting.renew(place.line, replace(answer, wait=wait))

    for gang in waiting.to_recount(world.placements, world.now, settings.status_seconds):
        renew(gang)
    for asked, gang in list(waiting.unexplained.items()):
        if not renewal.may_explain:
            break
        del waiting.unexplained[asked]
        renew(gang)


def _with_holders(world: World, among: Iterable[Line]) -> list[Line]:
    """These lines, and those of the gangs that hold a place or quota: who comes after them must mind it."""
    places = (world.waiting.order.get(key) for key in [*world.held_places, *world.held_quota])
    return list(dict.fromkeys([*among, *(place.line for place in places if place is not None)]))


class _Turn:
    """Asks one gang after the other in one pass."""

    def __init__(self, world: World, explainer: Explainer, beside: Beside, backfill: Backfill) -> None:
        self._world = world
        self._explainer, self._beside, self._backfill = explainer, beside, backfill
        self._barred: dict[tuple[str, str], Wait | None] = {}
        self._coming = _coming(world)

    def ask(self, record: GangRecord) -> Placement | Wait:
        """The decision; of one whose place is being cleared, once nobody is in its way any more."""
        world = self._world
        assert record.gang is not None
        where = (record.gang.spec.queue, record.key[0])
        if where not in self._barred:
            self._barred[where] = barred(world, record)
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
        stage = _last_before(self._coming, end_of_start(world, record, world.now))
        found = closed or decide(world, record, self._explainer, self._backfill, stage)
        if gave_up and isinstance(found, Wait):
            found = back(world, record) or found
        held = world.held_places.get(record.key)
        if isinstance(found, Wait) and held is not None and held.reservation.exclusive:
            let_go(world, record.key)  # the place is free, and not what the gang needs any more
        return found

    def note_unexplained(self, record: GangRecord) -> None:
        """The gang was refused, and is to be told what would help."""
        for asked in self._explainer.unexplained:
            self._world.waiting.unexplained.setdefault(asked, record.key)
        self._explainer.unexplained.clear()

    def stage(self, wait: Wait, until: float) -> float:
        """Whoever runs past it is told the same."""
        if wait in self._barred.values():
            return -math.inf
        times = self._coming
        if wait.reason == RESERVED:
            held = self._world.quota_ahead.values()
            times = sorted([*times, *(r.at for r in self._world.reserved), *(h.share.at for h in held)])
        return _last_before(times, until)


def _by_force(world: World, record: GangRecord, clearing: Clearing, beside: Beside) -> None:
    """Hold a place for the gang that others make for it, if somebody may be stopped for it."""
    held = clearing.make_room(record, beside)
    if held is not None:
        # It waits for that alone from now on, in a line of its own.
        record.message, record.reason, record.refusal = held.why, PREEMPTING, None
        record.misfit = record.foreseeable = False
        world.dirty[record.key] = None


def _coming(world: World) -> list[float]:
    """When budgets or maintenance start that who still runs then must fit beside, in order."""
    assert world.state is not None
    budgets = world.catalog.budgets.groups(world.now)
    maintenance = world.catalog.maintenance_times(world.now)
    return sorted(
        {
            *world.state.facility.windows,
            *maintenance,
            *(b.starts_at for b in budgets if b.starts_at is not None),
        }
    )


def _last_before(times: Sequence[float], until: float) -> float:
    at = bisect_left(times, until)
    return times[at - 1] if at else -math.inf


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
        record.message, record.reason, record.misfit = words, wait.reason, wait.misfit
        record.refusal, record.foreseeable = wait.refusal, wait.foreseeable
    if before == (record.position, record.message, record.reason, record.refusal):
        return False
    world.dirty[record.key] = None
    return True


def _can_start(record: GangRecord) -> bool:
    if record.external():
        return not record.finished_by_maker()
    if record.job is not None:
        ready = record.suspended_by_us() and record.ungated() is None and not record.live_pods()
        if not record.several:
            return ready
        # Groups are there once all Jobs are.
        return ready and bool(record.groups) and (not record.judged or _as_wanted(record))
    assert record.gang is not None
    return len(record.live_pods()) >= record.gang.spec.slots and (not record.judged or _as_wanted(record))


def _as_wanted(record: GangRecord) -> bool:
    """Whether its Gang says of its pods what they are; if not, it is written anew first."""
    assert record.gang is not None
    spec = record.gang.spec
    return (
        not record.problems
        and record.groups == record.groups_wanted
        and record.priority_wanted in (None, spec.priority)
        and record.accelerators_wanted in (None, (spec.resource_name, spec.gpus_per_slot))
    )


def _commit(world: World, record: GangRecord, placement: Placement) -> Iterator[Instruction]:
    assert record.gang is not None
    version = record.gang.metadata.resource_version
    # Term and resourceVersion together name one attempt: no two decisions of a gang share them.
    decision = Decision(
        id=f"{world.term}-{version}", term=world.term, time=world.now, placement=placement, committed=False
    )
    record.position = None
    book(world, record, decision)
    count_usages(world)  # the share of its queue is larger from here on, for who is asked next
    if record.gang_write == version:
        record.deferred = True
        return
    record.committing, record.gang_write = True, version
    yield commit(world, record)


def commit(world: World, record: GangRecord) -> CommitGang:
    """The write that makes a booked decision the gang's."""
    assert world.state is not None and record.gang is not None and record.decision is not None
    decision, asked = record.decision, record.gang.spec.power.profile
    where = ", ".join(dict.fromkeys(group.rack for group in decision.placement.groups))
    domains = {group.domain for group in decision.placement.groups} - {""}
    if len(domains) > 1:
        where = f"{where}, over {len(domains)} NVLink domains"
    lower = lowered(world.state, decision.placement, asked)
    text = f"placed on {where}" if lower is None else f"placed on {where} {lower}"
    if record.gang.spec.min_slots is not None:
        text = f"{text}, {with_slots(record, len(decision.placement.slots))}"
    status = {
        **admitted(decision.placement, asked=asked),
        "phase": "Admitted",
        "slots": len(decision.placement.slots),
        "decision": {"id": decision.id, "term": decision.term, "time": timestamp(decision.time)},
        "message": text,
        # Its age is kept if it has to give its place up.
        "submittedAt": record.gang.status.submitted_at or record.gang.metadata.creation_timestamp,
        "observedGeneration": record.gang.metadata.generation,
        "conditions": conditions_of(
            record,
            condition("Ready", true=True, reason="Accepted", message="", now=world.now),
            condition("Admitted", true=True, reason="Placed", message=text, now=world.now),
            *proposed(record, world.now),
        ),
    }
    return CommitGang(
        namespace=record.key[0],
        name=record.key[1],
        resource_version=record.gang.metadata.resource_version,
        decision_id=decision.id,
        status=status,
    )
