"""One gang's way from a Job to placed pods and back: what is to be written next, judged from what is.

Nothing here remembers a step: each look compares the objects with where they should be, so that a process that died
between any two writes goes on where the objects are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from rackplane.api.labels import HOSTNAME_LABEL, PLACEMENT_GATE, POWER_CAP_WATTS
from rackplane.core.asking import desired
from rackplane.core.elastic import (
    give_back,
    growth,
    keep_size,
    note_growable,
    shrink,
    shrinkable,
    size_at_start,
    with_slots,
)
from rackplane.core.explaining import as_patch, explanation, topic
from rackplane.core.instructions import (
    CreateGang,
    Instruction,
    ResumeJob,
    SuspendJob,
    UngatePod,
    UpdateGangSpec,
)
from rackplane.core.jobs import job_outcome, suspended_by_us
from rackplane.core.objects import Condition, Gang, GangGroup, GangReservation, Job, Pod
from rackplane.core.pods import is_ready, is_terminal
from rackplane.core.preempting import STOPPED_FOR_OTHERS, reservation, stop_victims
from rackplane.core.profiles import lowered, running_words
from rackplane.core.proposing import MOVES_PROPOSED, proposed
from rackplane.core.queueing import commit
from rackplane.core.record import GangRecord, is_gated
from rackplane.core.reserving import held_status
from rackplane.core.slots import format_slots
from rackplane.core.statuses import UNPLACED, condition, timestamp
from rackplane.core.together import how_it_ended, outcome, slots_of, stopped_by
from rackplane.core.workload import with_removals
from rackplane.core.world import World, booking_key
from rackplane.core.writing import conditions_of, gang_event, may_write, may_write_job, write
from rackplane.engine.explaining.times import when
from rackplane.engine.reasons import ReliefKind

__all__ = ["reconcile", "unplace", "why_it_waits"]

_WAITS = frozenset({ReliefKind.GANG_END, ReliefKind.BUDGET_END})


def reconcile(world: World, record: GangRecord) -> Iterator[Instruction]:
    """The writes that bring this gang forward now; none while an earlier one is unanswered or has to be waited for."""
    if world.now < record.not_before:
        return
    if record.gang is None:
        yield from _create(world, record)
        return
    if _of_another(record):
        # The Job was made anew under its old name: its Gang follows when the old one is collected.
        return
    match record.phase:
        case "Pending" | "Held":
            yield from _waiting(world, record)
        case "Admitted" | "Running":
            yield from _placed(world, record)
        case "Stopping":
            yield from _stopping(world, record)
        case "Finished" | "Failed":
            yield from give_back(record)
            if record.several and record.phase == "Failed":
                # What its user resumes now would wait for its pods' gates for ever.
                yield from _suspend(record, _awake(record))


def _of_another(record: GangRecord) -> bool:
    assert record.gang is not None
    if record.external():
        # Under the name that a Job's Gang has: the Job waits until it is gone.
        return False
    job = record.job
    return job is not None and not record.several and record.gang.spec.workload.uid != job.metadata.uid


def _create(world: World, record: GangRecord) -> Iterator[Instruction]:
    body = desired(world, record)
    if body is not None and not record.creating:
        record.creating = True
        yield CreateGang(record.key[0], record.key[1], body)


def _waiting(world: World, record: GangRecord) -> Iterator[Instruction]:
    gang, job = record.gang, None if record.external() else record.job
    assert gang is not None
    if record.decision is not None:
        if not record.committing and record.gang_write != gang.metadata.resource_version:
            # It had to wait for another write, or its answer never came and the Gang is as it was: ask again.
            record.committing, record.gang_write = True, gang.metadata.resource_version
            record.deferred = False
            yield commit(world, record)
        return
    if record.finished_by_maker():
        yield from write(record, _finished(world, record))
        return
    if job is not None and job.spec.suspend:
        yield from give_back(record)
    body = desired(world, record)
    if body is None and not record.external():
        if record.jobs and _is_over(record) and not record.live_pods():
            yield from write(record, _finished(world, record))
        return
    if body is not None:
        current = msgspec.to_builtins(gang.spec)
        spec = with_removals(body["spec"], current)
        owners = _new_owners(gang, body)
        if owners is not None or _differs(spec, current):
            if may_write(record):
                version = record.gang_write = gang.metadata.resource_version
                yield UpdateGangSpec(record.key[0], record.key[1], version, spec, owners)
            return
    if record.problems:
        text = "; ".join(f"{p.where}: {p.what.removesuffix('.')}. {p.remedy}" for p in record.problems)
        yield from _say(world, record, phase="Pending", ready=False, reason="InvalidRequest", message=text)
        return
    yield from _suspend(record, _awake(record))
    users = record.suspended_by_user()
    if users is not None:
        name = f"Job {users.metadata.name}" if record.several else "the Job"
        yield from _say(
            world,
            record,
            phase="Held",
            ready=True,
            reason="SuspendedByUser",
            message=f"{name} is suspended by its user: set spec.suspend to false to queue it",
        )
        return
    ungated = record.ungated()
    if ungated is not None:
        text = (
            f"Job {ungated.metadata.name}, spec.template.spec.schedulingGates: {PLACEMENT_GATE} is missing, so its "
            "pods would start anywhere. Install the chart's admission policies and create the Job again."
        )
        yield from _say(world, record, phase="Pending", ready=False, reason="NotGated", message=text)
        return
    if record.several and not record.groups_wanted:
        there = [(each.metadata.name, slots_of(each)) for each in record.jobs.values()]
        record.message = (
            f"the Jobs of {sum(n for _, n in there):,} of the gang's {gang.spec.slots:,} pods exist: "
            + ", ".join(f"{name} {number:,}" for name, number in there)
        )
        record.reason, record.refusal, record.misfit = "Waiting", None, False
    if job is None and not record.external() and len(record.live_pods()) < gang.spec.slots:
        record.message = f"{len(record.live_pods())} of the gang's {gang.spec.slots} pods exist"
        record.reason, record.refusal, record.misfit = "Waiting", None, False
    yield from _say(
        world,
        record,
        phase="Pending",
        ready=not record.misfit,
        reason=record.reason,
        message=why_it_waits(record),
        parts=None if record.refusal is None else explanation(record.refusal),
    )
    yield from stop_victims(world, record)


def why_it_waits(record: GangRecord) -> str:
    """The sentence of a waiting gang's status: the reason, what would help, and when it could start."""
    estimate = record.estimate
    known = record.message or "waits for its turn"
    if estimate is None or not estimate.words:
        return known
    waits = () if record.refusal is None else record.refusal.reliefs
    if estimate.at is not None and any(
        r.kind in _WAITS and r.message in known and when(estimate.at) in r.message for r in waits
    ):
        # It says so already.
        return f"{known}; holds {estimate.held} from then" if estimate.held else known
    return f"{known}; {estimate.words}"


def _placed(world: World, record: GangRecord) -> Iterator[Instruction]:
    decision, job, gang = record.decision, record.job, record.gang
    if decision is None or record.committing or gang is None:
        return
    if not decision.committed or (
        gang.status.decision is not None and gang.status.decision.id != decision.id
    ):
        # The answer to a growth never came; or a former leader's has to be taken back.
        if may_write(record) and (record.previous is not None or decision.committed):
            record.committing, record.gang_write = True, gang.metadata.resource_version
            yield growth(world, record)
        return
    if record.announce:
        record.announce = False
        yield from _tell_of_profile(world, record)
    if record.external():
        # Its maker starts the pods, sees to them, and says when they are over.
        if record.finished_by_maker():
            yield from write(record, _finished(world, record))
        return
    if record.assign_slots():
        world.slots_changed(record)
    live = record.live_pods()
    if job is None and record.of_job():
        # The Job is deleted: what it held is free when its pods are gone, and its Gang is collected after it.
        if not live:
            world.forget(record)
        return
    if _is_over(record) and not live:
        yield from write(record, _finished(world, record))
        return
    if record.several:
        why = None if _is_over(record) else stopped_by(record)
        if why is not None:
            yield from _stop(world, record, why, reason="JobStopped")
            return
    elif job is not None and job.metadata.deletion_timestamp is not None:
        return
    elif job is not None and job.spec.suspend and not record.suspended_by_us():
        if not live:
            yield from unplace(world, record, phase="Held", why="the Job was suspended by its user")
        return
    record.unschedulable = {
        pod.metadata.uid: record.unschedulable.get(pod.metadata.uid, world.now)
        for pod in live
        if _is_unschedulable(pod)
    }
    found = _broken_promises(world, record)
    spared = _without(world, record, found)
    if spared is not None:
        yield from spared
    elif found:
        yield from _stop(world, record, found[0][1], reason="PromiseBroken")
        return
    resume = [job for job in record.jobs.values() if suspended_by_us(job) and job_outcome(job) is None]
    for one in resume:
        if may_write_job(record, one):
            meta = one.metadata
            size = size_at_start(record)
            yield ResumeJob(meta.namespace, meta.name, meta.uid, meta.resource_version, size)
    if resume:
        return
    yield from _ungate(world, record)
    yield from keep_size(world, record)
    if record.phase == "Admitted" and _all_running(record):
        text = f"all {record.slot_count()} slots run"
        if gang.spec.min_slots is not None:
            text = f"runs {with_slots(record, record.slot_count())}"
        yield from write(
            record,
            {
                "phase": "Running",
                "message": text + running_words(gang.status),
                "startedAt": timestamp(world.now),
                "conditions": conditions_of(
                    record, condition("PodsReady", true=True, reason="Running", message=text, now=world.now)
                ),
            },
        )
    elif (record.phase == "Running" or record.several) and not _is_over(record):
        ended = record.ended_slots()
        if ended:
            yield from write(record, {"releasedSlots": format_slots(record.released | ended)})
        note_growable(world, record)


def _is_over(record: GangRecord) -> bool:
    """Whether nothing of it is to run any more, but for pods that are on their way out."""
    if record.several:
        ends = [job_outcome(job) for job in record.jobs.values()]
        return all(ends) and (not record.groups or outcome(record) is not None)
    if record.job is not None:
        return job_outcome(record.job) is not None
    return not record.live_pods()


def _stop(world: World, record: GangRecord, why: str, *, reason: str) -> Iterator[Instruction]:
    """Begin to give its place up: from here on it is stopped, whatever becomes of the cause."""
    if not may_write(record):
        return
    yield from write(
        record,
        {
            "phase": "Stopping",
            "message": why,
            "conditions": conditions_of(
                record, condition("Admitted", true=False, reason=reason, message=why, now=world.now)
            ),
        },
    )
    yield from gang_event(record, warning=True, reason=reason, message=why)


def _stopping(world: World, record: GangRecord) -> Iterator[Instruction]:
    assert record.gang is not None
    why = record.gang.status.message
    if record.external():
        if record.finished_by_maker():
            yield from write(record, _finished(world, record))
        elif record.stopped_by_maker():
            yield from unplace(world, record, phase="Pending", why=why, reason=_reason_to_stop(record))
    elif record.several:
        yield from _stopping_together(world, record, why)
    elif record.job is None:
        if any(not is_gated(pod) for pod in record.live_pods()):
            text = f"{why}; its pods are already let go and cannot be placed anew: delete them and create them again"
            yield from write(record, {**_finished(world, record), "phase": "Failed", "message": text})
            yield from gang_event(record, warning=True, reason="Failed", message=text)
            return
        yield from unplace(world, record, phase="Pending", why=why)
    elif job_outcome(record.job) is not None:
        if not record.live_pods():
            yield from write(record, _finished(world, record))
    elif not record.job.spec.suspend:
        yield from _suspend(record, [record.job])
    elif not record.live_pods():
        yield from unplace(world, record, phase="Pending", why=why, reason=_reason_to_stop(record))


def _reason_to_stop(record: GangRecord) -> str:
    """Why it gives its place up: for another gang, or because it could not keep it."""
    assert record.gang is not None
    known = {c.reason for c in record.gang.status.conditions if c.type == "Admitted"}
    return next(iter(known & STOPPED_FOR_OTHERS), "Requeued")


def _stopping_together(world: World, record: GangRecord, why: str) -> Iterator[Instruction]:
    awake = _awake(record)
    yield from _suspend(record, awake)
    if any(job.metadata.deletion_timestamp is None for job in awake) or record.live_pods():
        return
    if not record.jobs:
        world.forget(record)
    elif outcome(record) is not None:
        yield from write(record, _finished(world, record))
    else:
        phase = "Pending" if record.suspended_by_user() is None else "Held"
        yield from unplace(world, record, phase=phase, why=why, reason=_reason_to_stop(record))


def _awake(record: GangRecord) -> list[Job]:
    """Its Jobs that make pods."""
    return [job for job in record.jobs.values() if not job.spec.suspend and job_outcome(job) is None]


def _suspend(record: GangRecord, jobs: Iterable[Job]) -> Iterator[Instruction]:
    for job in jobs:
        if job.metadata.deletion_timestamp is None and may_write_job(record, job):
            yield SuspendJob(job.metadata.namespace, job.metadata.name, job.metadata.uid)


def _ungate(world: World, record: GangRecord) -> Iterator[Instruction]:
    decision = record.decision
    assert decision is not None
    if not record.started() and len(record.slots) < min(
        record.needed(), record.slot_count() - len(record.released)
    ):
        # A gang starts whole: the first pod is let go when every slot has one.
        return
    waiting = [
        pod
        for pod in record.live_pods()
        if is_gated(pod) and pod.metadata.uid in record.slots and pod.metadata.uid not in record.ungating
    ]
    if not waiting:
        return
    capped = _capped(world, record)
    if not record.started() and not all(capped.values()):
        yield from _tell_of_caps(world, record, capped)
        return
    for pod in sorted(waiting, key=lambda p: record.slots[p.metadata.uid]):
        uid = pod.metadata.uid
        slot = record.slots[uid]
        node = world.nodes[decision.placement.slots[slot]]
        if not capped.get(node.metadata.name, True):
            continue
        cap = node.metadata.annotations.get(POWER_CAP_WATTS) if node.metadata.name in capped else None
        record.ungating.add(uid)
        yield UngatePod(
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            uid=uid,
            hostname=node.metadata.labels.get(HOSTNAME_LABEL, node.metadata.name),
            slot=slot,
            gang=record.key[1],
            power_profile=decision.placement.power_profile,
            tolerations=tuple(msgspec.to_builtins(t) for t in pod.spec.tolerations),
            cap_watts=None if cap is None else int(cap),
        )


def _capped(world: World, record: GangRecord) -> dict[str, bool]:
    """By node that the gang draws watts on: whether its cap is in force, which it must be before the load is."""
    assert record.decision is not None and world.state is not None
    if record.decision.placement.gpus_per_slot == 0:
        return {}
    held = world.state.held_gpus(booking_key(record.key))
    return world.caps.in_force(world, (node for node, gpus in held.items() if gpus))


def _tell_of_profile(world: World, record: GangRecord) -> Iterator[Instruction]:
    """Who asked for more hears at once what the lower profile costs."""
    assert world.state is not None and record.gang is not None and record.decision is not None
    lower = lowered(world.state, record.decision.placement, record.gang.spec.power.profile)
    if lower is not None:
        yield from gang_event(record, warning=False, reason="LowerPowerProfile", message=f"admitted {lower}")


def _tell_of_caps(world: World, record: GangRecord, capped: Mapping[str, bool]) -> Iterator[Instruction]:
    """The start waits for a node whose annotations we may not write: that takes a person."""
    for name, done in capped.items():
        problem = world.caps.problem(name)
        if not done and problem:
            text = f"node {name} does not take its power cap, so no pod is let go: {problem}"
            if text != record.told_of_cap:
                record.told_of_cap = text
                yield from gang_event(record, warning=True, reason="CapNotWritten", message=text)
            return


def _without(
    world: World, record: GangRecord, broken: Sequence[tuple[int | None, str]]
) -> Iterator[Instruction] | None:
    """The writes by which a gang that may run with fewer slots goes on without those; None if it cannot, or need not.

    Their pods are not bound: these are the first that the Job controller deletes. Of ranks only the highest go.
    """
    lost = {slot for slot, _ in broken}
    if not broken or None in lost or record.phase != "Running":
        return None
    leaving = record.slot_count() - len(record.released) - record.target
    more = len(lost) - leaving
    if more <= 0:
        return iter(())
    to = record.target - more
    if more > shrinkable(record) or (record.keyed() and any(slot is not None and slot < to for slot in lost)):
        return None
    return shrink(world, record, to, why=broken[0][1])


def _broken_promises(world: World, record: GangRecord) -> list[tuple[int | None, str]]:
    """Slots whose pods are not bound yet and can no longer have their nodes, and why; None for the gang as a whole."""
    return list(_broken(world, record))


def _broken(world: World, record: GangRecord) -> Iterator[tuple[int | None, str]]:
    assert record.decision is not None and world.state is not None
    by_slot: dict[int, Pod] = {}
    for pod in record.live_pods():
        if pod.metadata.uid in record.slots:
            by_slot[record.slots[pod.metadata.uid]] = pod
    starting = record.phase == "Admitted"
    sound: set[str] = set()
    for slot, name in sorted(world.state.held(booking_key(record.key)).items()):
        holder = by_slot.get(slot)
        if holder is not None and holder.spec.node_name:
            continue
        if holder is None and not starting:
            continue
        if name not in sound:
            node = world.nodes.get(name)
            if node is None:
                yield slot, f"node {name}, promised to slot {slot}, is gone"
                continue
            if not is_ready(node) or node.spec.unschedulable:
                state = "cordoned" if node.spec.unschedulable else "not ready"
                yield slot, f"node {name}, promised to slot {slot}, is {state}"
                continue
            if world.state.is_overbooked(name):
                yield (
                    slot,
                    f"GPUs of node {name}, promised to slot {slot}, were taken by a pod outside every gang",
                )
                continue
            sound.add(name)
        if (
            holder is not None
            and world.now - record.unschedulable.get(holder.metadata.uid, world.now)
            > world.settings.unschedulable_seconds
        ):
            name_of_pod = holder.metadata.name
            yield (
                slot,
                f"kube-scheduler cannot bind pod {name_of_pod} to node {name}, promised to slot {slot}",
            )
    if (
        starting
        and world.now - record.decision.time > world.settings.start_seconds
        and not _all_running(record)
    ):
        bound = sum(1 for pod in record.live_pods() if pod.spec.node_name)
        late = f"{bound} of {record.needed()} pods were bound {world.settings.start_seconds:.0f} s after the decision"
        yield None, f"{late}: {record.told_of_cap}" if record.told_of_cap else late


def _is_unschedulable(pod: Pod) -> bool:
    # The condition's own time says nothing: it is False from the day the pod is gated, and keeps that day's time.
    return (
        not is_gated(pod)
        and not pod.spec.node_name
        and any(
            c.type == "PodScheduled" and c.status == "False" and c.reason == "Unschedulable"
            for c in pod.status.conditions
        )
    )


def _all_running(record: GangRecord) -> bool:
    if record.several:
        return all(
            sum(1 for pod in record.pods_of(job) if pod.status.phase == "Running" or is_terminal(pod))
            >= len(set(slots) - record.released)
            for job, slots in record.parts()
            if job is not None and job_outcome(job) is None
        )
    running = sum(1 for pod in record.pods.values() if pod.status.phase == "Running" or is_terminal(pod))
    return running >= record.slot_count() - len(record.released)


def _finished(world: World, record: GangRecord) -> dict[str, Any]:
    if record.external():
        failed = record.failed_by_maker()
    elif record.several:
        failed = outcome(record) == "Failed"
    elif record.job is not None:
        failed = job_outcome(record.job) == "Failed"
    else:
        failed = any(pod.status.phase == "Failed" for pod in record.pods.values())
    what = f"the {record.gang.spec.workload.kind}" if record.gang and record.external() else "the job"
    text = f"{what} failed" if failed else f"{what} is complete"
    if record.several:
        text = how_it_ended(record)
    return {
        "phase": "Failed" if failed else "Finished",
        "message": text,
        "position": None,
        "estimatedStart": None,
        "reservation": None,
        "finishedAt": timestamp(world.now),
        "conditions": conditions_of(
            record,
            condition(
                "Finished", true=True, reason="Failed" if failed else "Complete", message=text, now=world.now
            ),
        ),
    }


def _new_owners(gang: Gang, body: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The owners that the Gang is to have; None if it has them."""
    owners: list[Mapping[str, Any]] = body["metadata"]["ownerReferences"]
    known = {owner.uid for owner in gang.metadata.owner_references}
    return None if known == {owner["uid"] for owner in owners} else owners


def unplace(
    world: World, record: GangRecord, *, phase: str, why: str, reason: str = "Requeued"
) -> Iterator[Instruction]:
    """Take its place from a gang in the API server; what is booked goes when that is seen."""
    yield from write(
        record,
        {
            **UNPLACED,
            "phase": phase,
            "message": why,
            "conditions": conditions_of(
                record,
                condition("Admitted", true=False, reason=reason, message=why, now=world.now),
                condition("PodsReady", true=False, reason=reason, message=why, now=world.now),
            ),
        },
    )


def _say(
    world: World,
    record: GangRecord,
    *,
    phase: str,
    ready: bool,
    reason: str,
    message: str,
    parts: Mapping[str, Any] | None = None,
) -> Iterator[Instruction]:
    """Write where a waiting gang stands, if that is news; an Event only if it is news of another kind."""
    assert record.gang is not None
    status = record.gang.status
    position = record.position if phase == "Pending" and ready else None
    estimate = record.estimate if position is not None else None
    start = None if estimate is None or estimate.at is None else timestamp(math.ceil(estimate.at))
    known = next((c for c in status.conditions if c.type == "Ready"), None)
    waits = phase == "Pending" and ready  # its position may not be known, far back in a long queue
    held = (reservation(world, record) or held_status(world, record)) if waits else None
    if (
        status.phase == phase
        and status.message == message
        and status.explanation == parts
        and status.position == position
        and status.estimated_start == start
        and _same_reservation(status.reservation, held)
        and known is not None
        and known.status == ("True" if ready else "False")
        and _says(status.conditions, MOVES_PROPOSED) == record.proposal
    ):
        return
    before = next((c.reason for c in status.conditions if c.type == "Admitted" and status.message), "")
    told = topic(before, status.message, status.explanation) == topic(reason, message, parts)
    wrote = False
    for instruction in write(
        record,
        {
            "phase": phase,
            "message": message,
            "position": position,
            "estimatedStart": start,
            "reservation": None if held is None else {"forPreemption": None, "victims": None, **held},
            "explanation": as_patch(parts),
            "submittedAt": status.submitted_at or timestamp(world.now),
            "observedGeneration": record.gang.metadata.generation,
            "conditions": conditions_of(
                record,
                condition(
                    "Ready",
                    true=ready,
                    reason="Accepted" if ready else reason,
                    message="" if ready else message,
                    now=world.now,
                ),
                condition("Admitted", true=False, reason=reason, message=message, now=world.now),
                *proposed(record, world.now),
            ),
        },
    ):
        wrote = True
        yield instruction
    if wrote and not told:
        yield from gang_event(record, warning=not ready, reason=reason, message=message)


def _says(conditions: Iterable[Condition], kind: str) -> str:
    return next((c.message for c in conditions if c.type == kind and c.status == "True"), "")


def _same_reservation(known: GangReservation | None, held: Mapping[str, Any] | None) -> bool:
    if known is None or held is None:
        return known is None and held is None
    return msgspec.convert(held, GangReservation) == known


def _differs(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Whether a field that we set has another value; defaults that the API server filled in do not count."""
    defaults: Mapping[str, Any] = {
        "slots": 1,
        "gpusPerSlot": 0,
        "priority": 0,
        "flexTier": 0,
        "strict": False,
    }
    for key, value in wanted.items():
        have = current.get(key, defaults.get(key))
        if key == "groups" and value:
            if msgspec.convert(value, list[GangGroup]) != msgspec.convert(have or [], list[GangGroup]):
                return True
            continue
        if isinstance(value, Mapping):
            have = have or {}
            if any(_differs({k: v}, have) for k, v in value.items()):
                return True
        elif have != value and not (have is None and value in ("nvidia.com/gpu", "Checkpointable", "MaxP")):
            return True
    return False
