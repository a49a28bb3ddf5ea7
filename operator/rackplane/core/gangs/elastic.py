"""Gangs that may run with fewer slots than they ask for: the most at the start, more when room appears, fewer at need.

How many slots such a gang is to run with is `status.slots` of its Gang; all else follows from that, so that a process
that dies between any two writes goes on where the objects are.

- It grows: the Gang gets the larger assignment, one compare-and-swap write, booked from the moment it is asked for.
  When the API server has it, the Job's parallelism is raised; its new pods are gated and get the new slots.
- It shrinks: `status.slots` is lowered, then the Job's parallelism; the Job controller deletes pods, which counts as no
  failure. A slot is given up when its pod is gone.

Who waits goes before who grows: room is looked for at the end of a pass over the queue, beside all that is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from rackplane.api.common import NVLINK_LEVEL
from rackplane.core.gangs.asking import mask_of, quota_of, request_of
from rackplane.core.gangs.booking import book_changed
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.ends import expected_end
from rackplane.core.gangs.feeding import feeding_of
from rackplane.core.gangs.parallelism import fewest_slots, follows, full_size, own_slots, size_for
from rackplane.core.gangs.ranks import is_gated
from rackplane.core.gangs.reassigning import reassignment, with_slots
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.workload import job_outcome
from rackplane.core.gangs.writing import gang_event, may_write, may_write_job, write
from rackplane.core.instructions import CommitGang, Instruction, JobSize, ResizeJob
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.deciding import barred
from rackplane.core.queues.priorities import standing
from rackplane.core.queues.reserving import Backfill
from rackplane.core.world import World
from rackplane.engine.model import NodeSpec, Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.placing.growing import allowed_counts, enlarged, most_that_fit
from rackplane.engine.placing.placement import find

__all__ = [
    "fullest",
    "give_back",
    "grow",
    "keep_size",
    "note_growable",
    "shrink",
    "shrinkable",
    "size_at_start",
]


# -- start and growth --------------------------------------------------------------------------------


def fullest(
    world: World, record: GangRecord, placement: Placement, beside: Beside, backfill: Backfill
) -> Placement:
    """The gang with the most slots that find a place now, at the power profile at which its fewest have found one."""
    assert world.state is not None and record.gang is not None
    spec, fewest = record.gang.spec, len(placement.slots)
    if spec.min_slots is None or spec.groups or fewest >= spec.slots:
        return placement
    counts = [c for c in allowed_counts(fewest, spec.slots, spec.topology.segment_slots) if c > fewest]
    request = replace(
        beside.request(record, request_of(world, record, mask_of(world, record))),
        power_profile=placement.power_profile,
        strict=True,
        feeding=feeding_of(world, record),
    )
    found = most_that_fit(counts, partial(_found, world, record, beside, backfill, request))
    return placement if found is None else found


def note_growable(world: World, record: GangRecord) -> None:
    """See to it that the gang is asked whether it can grow, if it could use more slots."""
    if _may_grow(record) and record.key not in world.elastic:
        world.elastic[record.key] = None
        world.waiting.due = min(world.waiting.due, world.now)


def grow(world: World, backfill: Backfill) -> Iterator[Instruction]:
    """Give more slots to gangs that run with fewer than they could: by priority, then the oldest first."""
    left, beside = world.settings.growing_gangs, Beside(world, goes_on=True)
    for record in sorted(_growable(world), key=partial(_rank, world)):
        due = max(record.grown_at + world.settings.resize_seconds, record.not_before)
        if world.now < due:
            world.waiting.due = min(world.waiting.due, due)
        elif record.stays_at == world.version:
            continue
        elif barred(world, record) is not None:
            record.stays_at = world.version
        elif not left:
            world.waiting.due = min(world.waiting.due, world.now)
            return
        else:
            left -= 1
            more = _room(world, record, beside, backfill)
            if more is None:
                record.stays_at = world.version
            else:
                yield _grow(world, record, more)


def _growable(world: World) -> Iterator[GangRecord]:
    for key in list(world.elastic):
        record = world.gangs.get(key)
        if record is not None and _may_grow(record):
            yield record
        else:
            del world.elastic[key]


def _rank(world: World, record: GangRecord) -> tuple[int, str, tuple[str, str]]:
    assert record.gang is not None
    return (
        -standing(record.gang.spec, world.catalog.queue),
        record.gang.status.submitted_at or "",
        record.key,
    )


def _may_grow(record: GangRecord) -> bool:
    """Whether it runs, with no change under way, and could use more slots than it has."""
    gang, decision, job = record.gang, record.decision, record.job
    return (
        gang is not None
        and gang.spec.min_slots is not None
        and not gang.spec.groups
        and not record.external()
        and record.phase == "Running"
        and decision is not None
        and decision.committed
        and not record.committing
        and may_write(record)
        # Else it shows a former leader's growth, which is to be taken back first.
        and gang.status.decision is not None
        and gang.status.decision.id == decision.id
        and record.slot_count() - len(record.released) == record.target
        and (job is None or (not job.spec.suspend and job.metadata.deletion_timestamp is None))
        and record.target < _most(record)
    )


def _most(record: GangRecord) -> int:
    """The slots that the gang could use now."""
    job = record.job
    if job is None:
        assert record.gang is not None
        waits = [p for p in record.live_pods() if is_gated(p) and p.metadata.uid not in record.slots]
        return 0 if record.of_job() else min(record.gang.spec.slots, record.target + len(waits))
    if job_outcome(job) is not None:
        return 0
    if job.spec.completions is None or follows(job):
        # After the first success no pod is made anew, or the ranks are about to end.
        return 0 if job.status.succeeded else own_slots(job)
    return min(own_slots(job), job.spec.completions - job.status.succeeded)


def _room(world: World, record: GangRecord, beside: Beside, backfill: Backfill) -> Placement | None:
    """The most slots that find a place beside those of the gang, as near to them as so many do."""
    assert world.state is not None and record.gang is not None and record.decision is not None
    spec, placement, target = record.gang.spec, record.decision.placement, record.target
    segment = spec.topology.segment_slots
    if segment is not None and target % segment:
        return None  # its last segment is short already
    counts = [c - target for c in allowed_counts(target + 1, _most(record), segment)]
    request = replace(
        beside.request(record, request_of(world, record, mask_of(world, record))),
        power_profile=placement.power_profile,
        strict=True,
        required=None,
        preferred=None,
        until=expected_end(world, record),
    )
    mask = NodeMask.of(request.capacity or {})
    there = [
        node
        for name in set(world.state.held(booking_key(record.key)).values())
        if (node := world.state.node(name))
    ]
    allowed = _within(world, there, spec.topology.required)

    def placed(count: int, level: str | None = None) -> Placement | None:
        near = allowed if level is None else allowed & _within(world, there, level)
        only = NodeMask({name: mask.get(name) for name in near})
        return _found(world, record, beside, backfill, replace(request, capacity=only), count)

    best = most_that_fit(counts, placed)
    if best is None:
        return None
    for level in dict.fromkeys((NVLINK_LEVEL, spec.topology.preferred)):
        if level is not None and level != spec.topology.required:
            near = placed(len(best.slots), level)
            if near is not None:
                return near
    return best


def _within(world: World, there: list[NodeSpec], level: str | None) -> set[str]:
    """The nodes that share a domain of the level with these; all of them for no level."""
    assert world.state is not None
    if level is None:
        return {node.name for node in world.state.nodes()}
    domains = {_domain(node, level) for node in there} - {None}
    return {node.name for node in world.state.nodes() if _domain(node, level) in domains}


def _domain(node: NodeSpec, level: str) -> str | None:
    return node.domain if level == NVLINK_LEVEL else dict((*node.fabric, *node.inner)).get(level)


def _found(
    world: World, record: GangRecord, beside: Beside, backfill: Backfill, request: Request, count: int
) -> Placement | None:
    """A place for so many slots of the gang that quotas allow, and that delays nobody for whom one is held."""
    assert world.state is not None
    count_usages(world)
    asked = replace(request, slots=count)

    def admits(offer: Placement) -> bool:
        refusal = quota_of(world, record, offer, goes_on=record.decision is not None)
        return refusal is None and beside.leaves_room(record, offer)

    offer = find(world.state, asked, admits)
    placed = None if offer is None else backfill.place(record, asked, offer, admits)
    return placed if isinstance(placed, Placement) else None


def _grow(world: World, record: GangRecord, more: Placement) -> CommitGang:
    assert world.state is not None and record.gang is not None and record.decision is not None
    decision, version = record.decision, record.gang.metadata.resource_version
    gpus = dict(world.state.held_gpus(booking_key(record.key)))
    for slot, node in enumerate(more.slots):
        gpus[node] = gpus.get(node, 0) + more.gpus_of(slot)
    watts = world.state.increments(gpus, decision.placement.power_profile, decision.placement.metered)
    placement, slots = enlarged(decision.placement, more, sorted(record.released), watts)
    larger = replace(
        decision,
        id=f"{world.term}-{version}",
        term=world.term,
        placement=placement,
        committed=False,
        released=record.released - slots,
    )
    book_changed(world, record, larger)
    record.committing, record.gang_write, record.grown_at = True, version, world.now
    return reassignment(world, record)


# -- shrinking ---------------------------------------------------------------------------------------


def shrinkable(record: GangRecord) -> int:
    """How many slots the gang could give up and run on.

    Of a Job whose indexes are slots the highest go. Of another the Job controller chooses: pods that are not bound,
    then those that became ready last. So segments cannot be kept whole there, and none may go. Bare pods cannot be let
    go without failing what they belong to.
    """
    gang, job = record.gang, record.job
    if gang is None or job is None or gang.spec.min_slots is None or gang.spec.groups or record.external():
        return 0
    if (
        record.phase != "Running"
        or record.decision is None
        or job_outcome(job) is not None
        or job.spec.suspend
    ):
        return 0
    if gang.spec.topology.segment_slots is not None and not follows(job):
        return 0
    if follows(job) and job.status.succeeded:
        return 0  # its ranks are about to end
    return max(0, record.target - fewest_slots(gang.spec))


def shrink(
    world: World, record: GangRecord, to: int, *, why: str, reason: str = "Shrunk"
) -> Iterator[Instruction]:
    """Let the gang run with fewer slots, at least the fewest it can run with; it is told why.

    Nothing is free before the pods are gone: `Gang.status.releasedSlots` says so.
    """
    assert record.gang is not None
    spec = record.gang.spec
    counts = allowed_counts(fewest_slots(spec), spec.slots, spec.topology.segment_slots)
    allowed = [count for count in counts if count <= max(to, counts[0])]
    if shrinkable(record) and allowed[-1] < record.target:
        yield from _set_slots(world, record, allowed[-1], why=why, reason=reason)


def _set_slots(world: World, record: GangRecord, to: int, *, why: str, reason: str) -> Iterator[Instruction]:
    text = f"runs {with_slots(record, to)}: {why}"
    wrote = False
    for instruction in write(record, {"slots": to, "message": text}):
        wrote = True
        yield instruction
    if wrote:
        record.grown_at = world.now  # what was given up is not taken back at once
        yield from gang_event(record, warning=True, reason=reason, message=text)


# -- the Job -----------------------------------------------------------------------------------------


def size_at_start(record: GangRecord) -> JobSize | None:
    """What the Job needs to start with the slots that its gang was given; None if it has it, and for several Jobs."""
    if record.several:
        return None
    assert record.job is not None and record.gang is not None
    if record.gang.spec.min_slots is None:
        return full_size(record.job)
    return size_for(record.job, record.target)


def keep_size(world: World, record: GangRecord) -> Iterator[Instruction]:
    """Bring the Job's parallelism in line with the gang's slots; its user's own number is never lost."""
    gang, job = record.gang, record.job
    if gang is None or job is None or record.external() or record.several:
        return
    if gang.spec.min_slots is None or job_outcome(job) is not None:
        return
    own = own_slots(job)
    if own == 0:
        return  # its user stopped it that way
    if own < record.target and record.phase == "Running":
        why = f"its user lowered spec.parallelism to {own}"
        yield from _set_slots(world, record, own, why=why, reason="Shrunk")
        return
    size = size_for(job, record.target)
    if size is not None:
        yield from _resize(record, size)


def give_back(record: GangRecord) -> Iterator[Instruction]:
    """Give the Job of a gang without a place its user's numbers back; but for the completions of one that is over."""
    job = record.job
    if job is None or record.external() or record.several or (job_outcome(job) is not None and follows(job)):
        return
    size = full_size(job)
    if size is not None:
        yield from _resize(record, size)


def _resize(record: GangRecord, size: JobSize) -> Iterator[Instruction]:
    job = record.job
    assert job is not None
    meta = job.metadata
    if meta.deletion_timestamp is None and may_write_job(record, job):
        of = record.key[1], record.decision_id
        yield ResizeJob(meta.namespace, meta.name, meta.uid, meta.resource_version, size, *of)
