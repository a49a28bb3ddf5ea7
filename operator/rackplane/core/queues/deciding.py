"""What one gang is told when it is its turn: a place, or why it and all who ask for the same in its queue wait."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import partial

from rackplane.api.labels import GANG_SIZE, QUEUE_LABEL
from rackplane.core.gangs.asking import (
    least_of,
    least_there,
    mask_of,
    quota_of,
    request_of,
    shape_of,
    usage_of,
)
from rackplane.core.gangs.domainwaits import waits_for_domain
from rackplane.core.gangs.explaining import OVER_BUDGET, OVER_QUOTA, Explainer, Renewal, reason
from rackplane.core.gangs.feeding import feeding_of
from rackplane.core.gangs.podgroups import group_of_gang
from rackplane.core.gangs.record import GangRecord
from rackplane.core.pods.narrowing import waits_for_claim
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.quota import queue_path
from rackplane.core.queues.reserving import Backfill
from rackplane.core.queues.waiting import RESERVED, Answer, Wait, request_key
from rackplane.core.world import World
from rackplane.engine.explaining.explanation import may_be_too_large
from rackplane.engine.model import Cause, Placement, Refusal, Request
from rackplane.engine.placing.placement import find
from rackplane.engine.queueing.quotas import profile_of
from rackplane.engine.queueing.words import sentence

__all__ = ["barred", "decide", "is_told_again", "lacks_quota", "plain_request", "refused", "renewed"]


def barred(world: World, record: GangRecord) -> Wait | None:
    """Why nobody of the gang's namespace gets anything from its queue now; None: whoever there is room for."""
    assert record.gang is not None
    waiting, where = world.waiting, (record.gang.spec.queue, record.key[0])
    if waiting.barred_at != world.catalog.revision:
        waiting.barred.clear()
        waiting.barred_at = world.catalog.revision
    if where not in waiting.barred:
        waiting.barred[where] = _barred(world, *where)
    return waiting.barred[where]


def _barred(world: World, name: str, namespace: str) -> Wait | None:
    queue = world.catalog.queue(name)
    if queue is None:
        return Wait(
            f"queue {name!r} does not exist; create it, or change the label",
            reason="QueueNotFound",
            misfit=True,
            subject=_label_field,
        )
    path = list(queue_path(name, world.catalog.queue))
    for level in path:
        if level.spec.hold:
            return Wait(f"queue {level.metadata.name} is on hold: set spec.hold to false to let it go on")
    above = path[-1].spec.parent
    if above is not None:
        # Not knowing a parent's quota is not the same as its having none.
        last = path[-1].metadata.name
        if world.catalog.queue(above) is None:
            return Wait(f"queue {above}, parent of {last}, does not exist or is not valid")
        return Wait(f"queue {above} is above itself, by way of {last}: correct spec.parent of one of them")
    if queue.spec.namespaces and namespace not in queue.spec.namespaces:
        allowed = ", ".join(queue.spec.namespaces)
        return Wait(f"namespace {namespace} may not use queue {name}: it is open to {allowed}")
    return None


def decide(
    world: World,
    record: GangRecord,
    explainer: Explainer,
    backfill: Backfill,
    stage: float,
    *,
    shape: Hashable,
    lacks_room: bool = False,
) -> Placement | Wait:
    """The place of the gang, and of nobody else, or why all who ask for the same in its queue wait.

    Args:
        shape: of its line (:func:`core.gangs.asking.shape_of`).
        stage: the last time at which a budget starts that the gang would outlast.
        lacks_room: a bound says already that the engine refuses it.
    """
    assert world.state is not None and record.gang is not None
    spec = record.gang.spec
    if record.groups and record.external():
        return Wait(
            "of a gang that another controller made, all slots are alike; make one Gang for each kind of pod, or leave "
            "spec.groups out",
            reason="InvalidRequest",
            misfit=True,
            subject=_groups_field,
        )
    claim = waits_for_claim(world, record)
    if claim is not None:
        return Wait(claim, reason="ResourceClaim", misfit=True, subject=_workload)
    domain = waits_for_domain(world, record)
    if domain is not None:
        return Wait(domain[0], reason="ComputeDomain", misfit=domain[1], subject=_workload)
    count_usages(world)
    short = _over_quota(world, spec.queue, least_of(world, record))
    may_hold = short is None or backfill.may_reserve or record.key in world.held_places
    asks_anew = may_hold or backfill.would_hold_quota(record)
    used_up = frozenset[str]()
    if short is not None:
        # Cheaper than the engine; but one that lacks room too may hold a place, and is told so.
        asked, plain = (request_key(shape), stage), partial(plain_request, world, record)
        if asks_anew and not may_hold and _may_be_too_large(world, asked[0], plain):
            # Quota is not held for one that no quota would let start.
            never = explainer.place(asked, plain)
            if isinstance(never, Refusal) and never.misfit and never.cause is Cause.NODES:
                return refused(never)
        if not may_hold or not explainer.refuses(asked, plain):
            return short
    while True:
        request = _once(partial(_request, world, record, used_up))  # most often it is needed twice
        answer = explainer.place((request_key(shape, used_up), stage), request, is_refused=lacks_room)
        if isinstance(answer, Refusal):
            own = backfill.own_place(record, request) if record.key in world.held_places else None
            if own is None:
                return refused(answer)
            answer = own
        refusal = quota_of(world, record, answer)
        if refusal is not None and request().feeding is not None:
            # What is only preferred keeps nobody from a place that quotas take.
            answer = find(world.state, replace(request(), feeding=None)) or answer
            refusal = quota_of(world, record, answer)
        profile = None if refusal is None else profile_of(refusal.resource)
        if refusal is None or profile is None:
            break
        # Nodes of other hardware profiles may do: the queue has no more of this one.
        if find(world.state, _request(world, record, used_up | {profile})) is None:
            return Wait(
                refusal.message, reason=OVER_QUOTA, foreseeable=True, asks=_asks(world, record, answer)
            )
        used_up |= {profile}

    def admits(offer: Placement) -> bool:
        return quota_of(world, record, offer) is None

    if refusal is not None and refusal.of_watts and not spec.power.strict:
        lower = find(world.state, request(), admits)
        if lower is not None:
            answer, refusal = lower, None
    if refusal is not None:
        if refusal.budget:
            asks = tuple(least_there(world, record, answer).items())
            return Wait(
                refusal.message, reason=OVER_BUDGET, foreseeable=True, asks=asks, budget=refusal.budget
            )
        return Wait(refusal.message, reason=OVER_QUOTA, foreseeable=True, asks=_asks(world, record, answer))
    placed = backfill.place(record, request(), answer, admits)
    return placed if isinstance(placed, Placement) else Wait(placed, reason=RESERVED, foreseeable=True)


def _may_be_too_large(world: World, asked: Hashable, request: Callable[[], Request]) -> bool:
    """As :func:`may_be_too_large`, looked up once for all who ask so."""
    assert world.state is not None
    site, known = (world.state.facility, world.state.inventory), world.waiting.too_large.get(asked)
    if known is None or known[0] is not site[0] or known[1] is not site[1]:
        known = world.waiting.too_large[asked] = *site, may_be_too_large(world.state, request())
    return known[2]


def is_told_again(world: World, record: GangRecord, backfill: Backfill, told: Answer) -> bool:
    """Whether `decide` would answer the same, though others may start by now: its queue's quota is as it was.

    Not known of one that may get a place or quota to hold, for which it counts what the engine says too.
    """
    assert record.gang is not None
    if told.wait.reason != OVER_QUOTA or told.rules != world.rules or record.asks_for_domain():
        return False
    if backfill.may_reserve or record.key in world.held_places or backfill.would_hold_quota(record):
        return False
    count_usages(world)
    # The very answer that is kept for as long as the tree of quotas stays as it is.
    return _over_quota(world, record.gang.spec.queue, least_of(world, record)) is told.wait


def lacks_quota(world: World, record: GangRecord, backfill: Backfill) -> bool:
    """Whether `decide` would find that its queue's quota does not take the gang, which would then hold that."""
    assert record.gang is not None
    if backfill.may_reserve or record.key in world.held_places or not backfill.would_hold_quota(record):
        return False
    return _over_quota(world, record.gang.spec.queue, least_of(world, record)) is not None


def _over_quota(world: World, queue: str, least: Mapping[str, int]) -> Wait | None:
    """Why the queue's quota does not take that; None if it does. Found once for each state of the tree of quotas."""
    asks, tree = tuple(least.items()), world.ledger.tree
    stamp, known = tree.stamp(queue), world.waiting.over_quota.get((queue, asks))
    if known is not None and known[0] is tree and known[1] == stamp:
        return known[2]
    short = tree.check(queue, least)
    wait = None
    if short is not None:
        wait = Wait(sentence(short), reason=OVER_QUOTA, foreseeable=True, asks=asks)
    world.waiting.over_quota[queue, asks] = tree, stamp, wait
    return wait


def _asks(world: World, record: GangRecord, placement: Placement) -> tuple[tuple[str, int], ...]:
    return tuple(usage_of(world, record, placement).amounts().items())


def renewed(world: World, record: GangRecord, wait: Wait, renewal: Renewal, stage: float) -> Wait:
    """What the gang was told, with the numbers as they are now; the same if it might start by now.

    Args:
        stage: as `decide` takes it.
    """
    if wait.refusal is not None:
        asked = (request_key(shape_of(world, record)), stage)
        answer = renewal.renewed(asked, partial(plain_request, world, record))
        return wait if answer is None else refused(answer)
    if wait.reason == OVER_QUOTA and record.gang is not None:
        short = world.ledger.tree.check(record.gang.spec.queue, least_of(world, record))
        return wait if short is None else replace(wait, message=sentence(short))
    return wait


def plain_request(world: World, record: GangRecord) -> Request:
    """What the gang asks of the engine, for a start now."""
    return request_of(world, record, mask_of(world, record))


def _once(make: Callable[[], Request]) -> Callable[[], Request]:
    """As `functools.cache`, which takes ten times as long to set up: it is for each gang that is asked."""
    made: list[Request] = []

    def request() -> Request:
        if not made:
            made.append(make())
        return made[0]

    return request


def _request(world: World, record: GangRecord, used_up: frozenset[str]) -> Request:
    """The gang's request for nodes of other hardware profiles than those."""
    assert world.state is not None
    mask = mask_of(world, record)
    if used_up:
        types = ((spec.name, world.state.node_type(spec.name)) for spec in world.state.nodes())
        mask = mask.changed({name: 0 for name, kind in types if kind is not None and kind.name in used_up})
    return request_of(world, record, mask, feeding=feeding_of(world, record))


def refused(answer: Refusal) -> Wait:
    """What those are told whom the engine refuses."""
    text, why = f"{answer.message}; {answer.relief}", reason(answer)
    if answer.misfit:
        return Wait(text, reason=why, misfit=True, refusal=answer, subject=_size_field)
    return Wait(text, reason=why, foreseeable=True, refusal=answer)


def _label_field(record: GangRecord) -> str:
    """Where the user wrote the name of the queue."""
    return f"{_workload(record)}, metadata.labels[{QUEUE_LABEL}]"


def _size_field(record: GangRecord) -> str:
    """Where the user wrote how large the gang is."""
    if record.external():
        return f"Gang {record.key[1]}, spec.slots"
    if record.workload is not None:
        return f"{_workload(record)}, spec"
    group = group_of_gang(record.key[1])
    if group is not None:
        return f"PodGroup {group}, spec.schedulingPolicy.gang.minCount"
    alone = record.of_job() and not record.several
    where = "spec.parallelism" if alone else f"metadata.annotations[{GANG_SIZE}]"
    return f"{_workload(record)}, {where}"


def _groups_field(record: GangRecord) -> str:
    return f"Gang {record.key[1]}, spec.groups"


def _workload(record: GangRecord) -> str:
    assert record.gang is not None
    workload = record.gang.spec.workload
    if record.several and record.workload is None:
        return f"Jobs of gang {workload.name}"
    return f"{workload.kind} {workload.name}"
