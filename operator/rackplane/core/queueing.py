"""Who is asked next, and what the engine and the quotas answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from rackplane.api.labels import GANG_SIZE, QUEUE_LABEL
from rackplane.core.asking import desired, mask_of, quota_of, request_of
from rackplane.core.estimates import estimate, without_estimate
from rackplane.core.explaining import OVER_BUDGET, OVER_QUOTA, RESERVED, Explainer, reason
from rackplane.core.holds import Beside
from rackplane.core.instructions import CommitGang, Instruction
from rackplane.core.narrowing import waits_for_claim
from rackplane.core.preempting import Clearing, review, take_up
from rackplane.core.profiles import lowered
from rackplane.core.quota import queue_path
from rackplane.core.record import Decision, GangRecord, Key
from rackplane.core.reserving import Backfill, lapse, let_go
from rackplane.core.statuses import admitted, condition, timestamp
from rackplane.core.waiting import Place
from rackplane.core.world import World
from rackplane.core.writing import conditions_of
from rackplane.engine.model import Placement, Refusal
from rackplane.engine.placing.placement import find

__all__ = ["commit", "pending", "schedule", "waiting_in_order"]


@dataclass(frozen=True, slots=True)
class _Wait:
    """Why a gang is not placed now. `misfit`: waiting alone will not help, somebody has to change something."""

    message: str
    reason: str = "Waiting"
    misfit: bool = False
    foreseeable: bool = False
    """It waits for watts, nodes or quota, which others will give back."""
    refusal: Refusal | None = None

    @property
    def wants_place(self) -> bool:
        """It waits for room, and for nothing that only its queue or its user can give."""
        return self.foreseeable and (self.refusal is not None or self.reason == RESERVED)


def pending(world: World) -> list[GangRecord]:
    """Gangs that wait for a place, in order: priority, then the queue's, then age, then name. A look at all gangs."""
    places = sorted(place for key in world.gangs if (place := _place(world, key)) is not None)
    return [world.gangs[place[-1]] for place in places]


def _place(world: World, key: Key) -> Place | None:
    """Where in the queue the gang stands; None if it does not wait for a place."""
    record = world.gangs.get(key)
    if (
        record is None
        or record.gang is None
        or record.decision is not None
        or record.phase != "Pending"
        or record.problems
        or record.gang.metadata.deletion_timestamp is not None
        or not _can_start(record)
    ):
        return None
    queue = world.catalog.queue(record.gang.spec.queue)
    own = queue.spec.priority if queue is not None else 0
    created = record.gang.status.submitted_at or record.gang.metadata.creation_timestamp or ""
    return (-record.gang.spec.priority, -own, created, record.key)


def waiting_in_order(world: World) -> list[GangRecord]:
    """As `pending`, by a look at the gangs that have changed since."""
    _look(world)
    return world.waiting.in_order(world.gangs)


def _look(world: World) -> None:
    world.waiting.look(world.dirty)
    world.waiting.refresh(partial(_place, world))


def schedule(world: World) -> Iterator[Instruction]:
    """One pass over the queue. What fits is booked at once and committed by the instruction that is returned.

    Where nothing has changed for any who wait, there is nothing to ask.
    """
    assert world.state is not None
    _look(world)
    _give_up_places(world)
    lapse(world)
    queue = world.waiting
    if queue.asked_at != world.version or world.now >= queue.due:
        queue.due, version = math.inf, world.version
        waiting = queue.in_order(world.gangs)
        yield from _ask(world, waiting)
        without_estimate(world, waiting)
        # Those refused before one was placed are asked again.
        queue.asked_at = version if world.version == version else -1
    estimate(world, queue.in_order(world.gangs, world.settings.estimated_gangs))


def _give_up_places(world: World) -> None:
    """Hold nothing for gangs that do not wait any more."""
    for key in list(world.holds):
        record = world.gangs.get(key)
        if record is None or (record.decision is None and _place(world, key) is None):
            world.give_up(key)
    take_up(world)


def _ask(world: World, waiting: Sequence[GangRecord]) -> Iterator[Instruction]:
    explainer, backfill = Explainer(world), Backfill(world)
    beside, clearing = Beside(world, backfill.delays_nobody), Clearing(world)
    for position, record in enumerate(waiting, start=1):
        if record.position != position:
            record.position = position
            world.dirty[record.key] = None
        if record.refused_at == world.version and world.now < record.ask_again:
            world.waiting.due = min(world.waiting.due, record.ask_again)
            backfill.keep(record)
            continue
        if world.now < record.not_before:
            world.waiting.due = min(world.waiting.due, record.not_before)
            continue
        if not record.judged and desired(world, record) is not None and not _as_wanted(record):
            world.dirty[record.key] = None
            continue
        answer = _answer(world, record, explainer, beside, backfill)
        # Nobody is stopped for one that only has to let others go first.
        if isinstance(answer, _Wait) and answer.foreseeable and answer.reason != RESERVED:
            answer = _or_by_force(record, answer, clearing, beside)
        if isinstance(answer, _Wait):
            told = (record.message, record.reason, record.refusal)
            if told != (answer.message, answer.reason, answer.refusal):
                record.message, record.reason, record.misfit = answer.message, answer.reason, answer.misfit
                record.refusal = answer.refusal
                world.dirty[record.key] = None
            record.foreseeable = answer.foreseeable
            if answer.wants_place:
                backfill.reserve(record)
            elif record.key in world.held_places:
                let_go(world, record.key)
            record.refused_at = world.version
            continue
        let_go(world, record.key)
        record.foreseeable, record.estimate, record.refusal, record.no_room = False, None, None, ""
        yield from _commit(world, record, answer)


def _can_start(record: GangRecord) -> bool:
    if record.external():
        return not record.finished_by_maker()
    if record.job is not None:
        return record.suspended_by_us() and record.template_is_gated() and not record.live_pods()
    assert record.gang is not None
    return len(record.live_pods()) >= record.gang.spec.slots and (not record.judged or _as_wanted(record))


def _as_wanted(record: GangRecord) -> bool:
    """Whether its Gang says of its pods what they are; if not, it is written anew first."""
    return not record.problems and record.groups == record.groups_wanted


def _answer(
    world: World, record: GangRecord, explainer: Explainer, beside: Beside, backfill: Backfill
) -> Placement | _Wait:
    """As `_decide`, for one whose place is being cleared once nobody is in its way any more."""
    barred = _barred(world, record)
    if record.key in world.holds and barred is None:
        waits = review(world, record, beside)
        if waits is not None:
            return _Wait(waits, reason="Preempting")
    answer = barred or _decide(world, record, explainer, beside, backfill)
    if isinstance(answer, _Wait):
        world.give_up(record.key)
    return answer


def _or_by_force(record: GangRecord, wait: _Wait, clearing: Clearing, beside: Beside) -> _Wait:
    """What it waits for if others are stopped for it; else the same as before, and why they are not."""
    found = clearing.make_room(record, beside)
    if found is not None:
        return _Wait(found.why, reason="Preempting")
    return wait if not record.no_room else replace(wait, message=f"{wait.message}; {record.no_room}")


def _barred(world: World, record: GangRecord) -> _Wait | None:
    """Why its queue takes no gang, or not this one, whatever is free."""
    assert record.gang is not None
    spec = record.gang.spec
    queue = world.catalog.queue(spec.queue)
    if queue is None:
        return _Wait(
            f"{_workload(record)}, metadata.labels[{QUEUE_LABEL}]: queue {spec.queue!r} does not exist; create it, "
            "or change the label",
            reason="QueueNotFound",
            misfit=True,
        )
    for level in queue_path(spec.queue, world.catalog.queue):
        if level.spec.hold:
            return _Wait(f"queue {level.metadata.name} is on hold: set spec.hold to false to let it go on")
    for level in queue_path(spec.queue, world.catalog.queue):
        if level.spec.parent is not None and world.catalog.queue(level.spec.parent) is None:
            # Not knowing a parent's quota is not the same as its having none.
            return _Wait(
                f"queue {level.spec.parent}, parent of {level.metadata.name}, does not exist or is not valid"
            )
    if queue.spec.namespaces and record.key[0] not in queue.spec.namespaces:
        allowed = ", ".join(queue.spec.namespaces)
        return _Wait(f"namespace {record.key[0]} may not use queue {spec.queue}: it is open to {allowed}")
    if record.external() and record.groups:
        return _Wait(
            f"Gang {record.key[1]}, spec.groups: of a gang that another controller made, all slots are alike; make one "
            "Gang for each kind of pod, or leave spec.groups out",
            reason="InvalidRequest",
            misfit=True,
        )
    claim = waits_for_claim(world, record)
    if claim is not None:
        return _Wait(f"{_workload(record)}: {claim}", reason="ResourceClaim", misfit=True)
    return None


def _decide(
    world: World, record: GangRecord, explainer: Explainer, beside: Beside, backfill: Backfill
) -> Placement | _Wait:
    assert world.state is not None and record.gang is not None
    spec = record.gang.spec
    request = beside.request(record, request_of(world, record, mask_of(world, record)))
    answer = explainer.place(record, request)
    if isinstance(answer, Refusal):
        own = backfill.own_place(record, request)
        answer = answer if own is None else own
    if isinstance(answer, Refusal):
        text, why = f"{answer.message}; {answer.relief}", reason(answer)
        if answer.misfit:
            text = f"{_size_field(record)}: {text}"
            return _Wait(text, reason=why, misfit=True, refusal=answer)
        return _Wait(text, reason=why, foreseeable=True, refusal=answer)

    def admits(offer: Placement) -> bool:
        return quota_of(world, record, offer) is None and beside.leaves_room(record, offer)

    refusal = quota_of(world, record, answer)
    if refusal is not None and refusal.of_watts and not spec.power.strict:
        lower = find(world.state, request, lambda offer: quota_of(world, record, offer) is None)
        if lower is not None:
            answer, refusal = lower, None
    if refusal is not None:
        why = OVER_BUDGET if refusal.of_budget else OVER_QUOTA
        return _Wait(refusal.message, reason=why, foreseeable=True)
    if not beside.leaves_room(record, answer):
        world.usages()
        other = find(world.state, request, admits)
        if other is None:
            return _Wait(
                f"what it would take is kept for {beside.names(record)}, for which others are being stopped"
            )
        answer = other
    placed = backfill.place(record, request, answer, admits)
    return placed if isinstance(placed, Placement) else _Wait(placed, reason=RESERVED, foreseeable=True)


def _workload(record: GangRecord) -> str:
    assert record.gang is not None
    return f"{record.gang.spec.workload.kind} {record.gang.spec.workload.name}"


def _size_field(record: GangRecord) -> str:
    """Where the user wrote how large the gang is."""
    if record.external():
        return f"Gang {record.key[1]}, spec.slots"
    where = "spec.parallelism" if record.of_job() else f"metadata.annotations[{GANG_SIZE}]"
    return f"{_workload(record)}, {where}"


def _commit(world: World, record: GangRecord, placement: Placement) -> Iterator[Instruction]:
    assert record.gang is not None
    version = record.gang.metadata.resource_version
    # Term and resourceVersion together name one attempt: no two decisions of a gang share them.
    decision = Decision(
        id=f"{world.term}-{version}", term=world.term, time=world.now, placement=placement, committed=False
    )
    world.decide(record, decision)
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
    status = {
        **admitted(decision.placement, asked=asked),
        "phase": "Admitted",
        "decision": {"id": decision.id, "term": decision.term, "time": timestamp(decision.time)},
        "message": text,
        # Its age is kept if it has to give its place up.
        "submittedAt": record.gang.status.submitted_at or record.gang.metadata.creation_timestamp,
        "observedGeneration": record.gang.metadata.generation,
        "conditions": conditions_of(
            record,
            condition("Ready", true=True, reason="Accepted", message="", now=world.now),
            condition("Admitted", true=True, reason="Placed", message=text, now=world.now),
        ),
    }
    return CommitGang(
        namespace=record.key[0],
        name=record.key[1],
        resource_version=record.gang.metadata.resource_version,
        decision_id=decision.id,
        status=status,
    )
