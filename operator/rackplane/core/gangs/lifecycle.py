"""One gang's way from a Job to placed pods and back: what is to be written next, judged from what is.

Nothing here remembers a step: each look compares the objects with where they should be, so that a process that died
between any two writes goes on where the objects are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rackplane.api.labels import PLACEMENT_GATE
from rackplane.core.gangs.answering import tell_check
from rackplane.core.gangs.asking import desired
from rackplane.core.gangs.booking import unbook
from rackplane.core.gangs.computedomains import keep_domain, tell_of_domain
from rackplane.core.gangs.domainwaits import missing
from rackplane.core.gangs.elastic import (
    give_back,
    keep_size,
    note_growable,
    size_at_start,
)
from rackplane.core.gangs.explaining import explanation
from rackplane.core.gangs.jobs import job_outcome, suspended_by_us
from rackplane.core.gangs.profiles import running_words
from rackplane.core.gangs.progress import count_let_go
from rackplane.core.gangs.promises import broken_promises, is_unschedulable, next_deadline, without_broken
from rackplane.core.gangs.reassigning import reassignment, with_slots
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.saying import say, why_it_waits
from rackplane.core.gangs.slotting import assign_slots, ended_slots, released
from rackplane.core.gangs.speccing import respec
from rackplane.core.gangs.statuses import condition, timestamp
from rackplane.core.gangs.stopping import (
    awake_jobs,
    finished,
    is_over,
    nothing_runs,
    stop,
    stopping,
    suspend,
    unplace,
)
from rackplane.core.gangs.switching import resume_workload
from rackplane.core.gangs.together import slots_of, stopped_by
from rackplane.core.gangs.ungating import all_let_go, all_running, tell_of_place, ungate
from rackplane.core.gangs.withdrawing import has_room, withdraw
from rackplane.core.gangs.writing import conditions_of, may_write, may_write_job, write
from rackplane.core.instructions import (
    CreateGang,
    Instruction,
    ResumeJob,
)
from rackplane.core.objects import Job
from rackplane.core.queues.committing import commit
from rackplane.core.queues.preempting import stop_victims
from rackplane.core.repair.mending import evict_left, repair
from rackplane.core.repair.warning import warn_of_rules
from rackplane.core.world import World

__all__ = ["reconcile"]


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
    yield from keep_domain(world, record)
    match record.phase:
        case "Pending" | "Held":
            yield from _waiting(world, record)
            yield from tell_check(record)
        case "Admitted" | "Running":
            yield from _placed(world, record)
        case "Stopping":
            yield from stopping(world, record)
        case "Finished" | "Failed":
            yield from give_back(record)
            if record.several and record.phase == "Failed":
                # What its user resumes now would wait for its pods' gates for ever.
                yield from suspend(record, awake_jobs(record))


def _of_another(record: GangRecord) -> bool:
    assert record.gang is not None
    if record.external():
        # Under the name that a Job's Gang has: the Job waits until it is gone.
        return False
    job = record.job
    if record.several and record.workload is None:
        return False
    return job is not None and record.gang.spec.workload.uid != job.metadata.uid


def _create(world: World, record: GangRecord) -> Iterator[Instruction]:
    if record.workload is not None and record.workload.check is not None and record.workload.check.held:
        return  # thousands may wait for quota in Kueue, which orders them
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
            if not has_room(world, record):
                yield from withdraw(record)
                return
            record.committing, record.gang_write = True, gang.metadata.resource_version
            record.deferred = False
            yield commit(world, record)
        return
    if record.finished_by_maker():
        yield from write(record, finished(world, record))
        return
    if job is not None and job.spec.suspend:
        yield from give_back(record)
    body = desired(world, record)
    if body is None and not record.external():
        if record.jobs and is_over(record) and not record.live_pods():
            yield from write(record, finished(world, record))
        elif not record.pods and world.pod_groups.apart(record.key):
            text = "its PodGroup is no gang: its pods queue each by itself, and this Gang is collected after them"
            yield from say(world, record, phase="Pending", ready=False, reason="NoGang", message=text)
        return
    if body is not None:
        anew = respec(record, body)
        if anew is not None:
            yield from anew
            return
    yield from warn_of_rules(world, record)
    if record.problems:
        text = "; ".join(f"{p.where}: {p.what.removesuffix('.')}. {p.remedy}" for p in record.problems)
        yield from say(world, record, phase="Pending", ready=False, reason="InvalidRequest", message=text)
        return
    yield from suspend(record, awake_jobs(record))
    users = record.suspended_by_user()
    if users is not None:
        yield from say(
            world, record, phase="Held", ready=True, reason="SuspendedByUser", message=_held(record, users)
        )
        return
    ungated = record.ungated()
    if ungated is not None:
        text = _not_gated(record, ungated)
        yield from say(world, record, phase="Pending", ready=False, reason="NotGated", message=text)
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
    yield from say(
        world,
        record,
        phase="Pending",
        ready=not record.misfit,
        reason=record.reason,
        message=why_it_waits(record),
        parts=None if record.refusal is None else explanation(record.refusal),
    )
    yield from stop_victims(world, record)


def _not_gated(record: GangRecord, job: Job) -> str:
    """What to do about pods that would not wait for their slots."""
    workload = record.workload
    if workload is None:
        return (
            f"Job {job.metadata.name}, spec.template.spec.schedulingGates: {PLACEMENT_GATE} is missing, so its "
            "pods would start anywhere. Install the chart's admission policies and create the Job again."
        )
    if workload.check is not None:
        return (
            f"{workload.title} stands for pods that exist and lack the scheduling gate {PLACEMENT_GATE}, so they would "
            "start anywhere. Write it into their spec.schedulingGates and create them again."
        )
    return (
        f"{workload.title}, pod template of {job.metadata.name}, spec.schedulingGates: {PLACEMENT_GATE} is missing, so "
        "its pods would start anywhere. Install the chart's admission policies with this kind in workloads.kinds and "
        "create it again."
    )


def _held(record: GangRecord, by: Job) -> str:
    """Who keeps it from being queued, and how that ends."""
    if record.workload is not None and record.workload.check is not None:
        return f"{record.workload.title}: {record.workload.check.held}"
    name = record.called(by) if record.several else "the Job"
    return f"{name} is suspended by its user: set {record.suspend_field()} to false to queue it"


def _placed(world: World, record: GangRecord) -> Iterator[Instruction]:
    decision, job, gang = record.decision, record.job, record.gang
    if record.committing or gang is None:
        return
    if decision is None:
        if gang.status.decision is None or not gang.status.assignment:
            text = f"its status says {record.phase} and names no nodes: it is stopped and placed again"
            yield from stop(world, record, text, reason="NoAssignment")
        return
    if not decision.committed or (
        gang.status.decision is not None and gang.status.decision.id != decision.id
    ):
        # The answer to a change never came; or a former leader's has to be taken back.
        if may_write(record) and record.previous is not None and not has_room(world, record):
            yield from withdraw(record)
        elif may_write(record) and (record.previous is not None or decision.committed):
            record.committing, record.gang_write = True, gang.metadata.resource_version
            yield reassignment(world, record)
        return
    if record.announce:
        record.announce = False
        yield from tell_of_place(world, record)
    if record.external():
        # Its maker starts the pods, sees to them, and says when they are over.
        if record.finished_by_maker():
            yield from write(record, finished(world, record))
        else:
            yield from repair(world, record, ()) or ()
        return
    yield from warn_of_rules(world, record)
    if assign_slots(world, record):
        world.slots_changed(record)
    live, over = record.live_pods(), nothing_runs(world, record)
    if job is None and record.of_job():
        # The Job is deleted: what it held is free when its pods are gone, and its Gang is collected after it.
        if not live:
            unbook(world, record)
        return
    if is_over(record) and over:
        yield from write(record, finished(world, record))
        return
    if record.several:
        why = None if is_over(record) else stopped_by(record)
        if why is not None:
            yield from stop(world, record, why, reason="JobStopped")
            return
    elif job is not None and job.metadata.deletion_timestamp is not None:
        return
    elif job is not None and job.spec.suspend and not record.suspended_by_us():
        if over:
            yield from unplace(world, record, phase="Held", why="the Job was suspended by its user")
        return
    record.unschedulable = {
        pod.metadata.uid: record.unschedulable.get(pod.metadata.uid, world.now)
        for pod in live
        if is_unschedulable(pod)
    }
    yield from evict_left(world, record)
    found = broken_promises(world, record)
    repaired = repair(world, record, found)
    if repaired is not None:
        yield from repaired
        if record.committing or not may_write(record):
            return
    else:
        spared = without_broken(world, record, found)
        if spared is not None:
            yield from spared
        elif found:
            yield from stop(world, record, found[0][1], reason="PromiseBroken")
            return
    why = missing(world, record)
    if why:
        # Pods that were there before it would be tried again by other controllers later and later.
        yield from tell_of_domain(world, record, why)
        record.due = -math.inf
        return
    record.told_of_domain = ""
    resume = [job for job in record.jobs.values() if suspended_by_us(job) and job_outcome(job) is None]
    if resume and record.workload is not None:
        yield from resume_workload(world, record, record.workload)
        return
    for one in resume:
        if may_write_job(record, one):
            meta = one.metadata
            size = size_at_start(record)
            of = record.key[1], decision.id
            yield ResumeJob(meta.namespace, meta.name, meta.uid, meta.resource_version, size, *of)
    if resume:
        return
    yield from ungate(world, record)
    count_let_go(world, record)
    record.due = next_deadline(world, record) if all_let_go(record) else -math.inf
    yield from keep_size(world, record)
    if record.phase == "Admitted" and all_running(record):
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
    elif (record.phase == "Running" or record.several) and not is_over(record):
        ended = ended_slots(record)
        if ended:
            yield from write(record, released(world, record, ended))
        note_growable(world, record)
