"""How a gang gives its place up, and how it ends: suspended first, its place taken away when its pods are gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rackplane.core.gangs.booking import unbook
from rackplane.core.gangs.jobs import job_outcome
from rackplane.core.gangs.ranks import is_gated
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import UNPLACED, condition, timestamp
from rackplane.core.gangs.switching import suspend_workload
from rackplane.core.gangs.together import how_it_ended, outcome
from rackplane.core.gangs.writing import (
    conditions_of,
    gang_event,
    is_being_written,
    may_write,
    may_write_job,
    write,
)
from rackplane.core.instructions import (
    Instruction,
    SuspendJob,
)
from rackplane.core.objects import Job
from rackplane.core.queues.planned import MOVED
from rackplane.core.queues.preempting import STOPPED_FOR_OTHERS
from rackplane.core.repair.rules import replaced_only_when_ended
from rackplane.core.world import World

NODE_LOST = "NodeLost"
"""Stopped because nodes are lost under it, as the reason of its conditions and Events."""
SHED = "Shed"
"""Stopped so that an element comes back under its limit, as the reason of its conditions and Events."""

DRAINED = "Drained"
"""Stopped because what it ran on is being emptied."""

__all__ = [
    "DRAINED",
    "NODE_LOST",
    "SHED",
    "awake_jobs",
    "finished",
    "is_over",
    "nothing_runs",
    "stop",
    "stopping",
    "suspend",
    "unplace",
]


def stop(
    world: World, record: GangRecord, why: str, *, reason: str, also: Sequence[dict[str, Any]] = ()
) -> Iterator[Instruction]:
    """Begin to give its place up: from here on it is stopped, whatever becomes of the cause.

    Args:
        also: further conditions that change with it.
    """
    if not may_write(record):
        return
    yield from write(
        record,
        {
            "phase": "Stopping",
            "message": why,
            "conditions": conditions_of(
                record, condition("Admitted", true=False, reason=reason, message=why, now=world.now), *also
            ),
        },
    )
    yield from gang_event(record, warning=True, reason=reason, message=why)


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


def finished(world: World, record: GangRecord) -> dict[str, Any]:
    """The status of a gang whose work is over, complete or failed."""
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


def is_over(record: GangRecord) -> bool:
    """Whether nothing of it is to run any more, but for pods that are on their way out."""
    if record.several:
        ends = [job_outcome(job) for job in record.jobs.values()]
        return all(ends) and (not record.groups or outcome(record) is not None)
    if record.job is not None:
        return job_outcome(record.job) is not None
    return not record.live_pods()


def nothing_runs(world: World, record: GangRecord) -> bool:
    """Whether all its pods are gone, but for those that a lost node keeps from going and that are replaced anyway.

    What these may draw goes on to count where they are.
    """
    live = record.live_pods()
    if not live:
        return True
    return bool(world.losses) and all(
        pod.metadata.deletion_timestamp is not None
        and world.losses.silent(world, pod.spec.node_name)
        and not any(replaced_only_when_ended(job) for job in record.jobs.values())
        for pod in live
    )


def awake_jobs(record: GangRecord) -> list[Job]:
    """Its Jobs that make pods."""
    return [job for job in record.jobs.values() if not job.spec.suspend and job_outcome(job) is None]


def suspend(record: GangRecord, jobs: Iterable[Job]) -> Iterator[Instruction]:
    """Suspend those Jobs that we may, or the workload that they stand for."""
    if record.workload is not None:
        if any(True for _ in jobs):
            yield from suspend_workload(record, record.workload)
        return
    for job in jobs:
        if job.metadata.deletion_timestamp is None and may_write_job(record, job):
            meta = job.metadata
            of = record.key[1], record.decision_id
            yield SuspendJob(meta.namespace, meta.name, meta.uid, meta.resource_version, *of)


def stopping(world: World, record: GangRecord) -> Iterator[Instruction]:
    """The next write of a gang that gives its place up: its Jobs suspended, and without pods back to the queue."""
    assert record.gang is not None
    why = record.gang.status.message
    if record.external():
        if record.finished_by_maker():
            yield from write(record, finished(world, record))
        elif record.stopped_by_maker():
            yield from unplace(world, record, phase="Pending", why=why, reason=_reason_to_stop(record))
    elif record.several:
        yield from _stopping_together(world, record, why)
    elif record.job is None:
        if any(not is_gated(pod) for pod in record.live_pods()):
            text = f"{why}; its pods are already let go and cannot be placed anew: delete them and create them again"
            yield from write(record, {**finished(world, record), "phase": "Failed", "message": text})
            yield from gang_event(record, warning=True, reason="Failed", message=text)
            return
        yield from unplace(world, record, phase="Pending", why=why)
    elif job_outcome(record.job) is not None:
        if nothing_runs(world, record):
            yield from write(record, finished(world, record))
    elif not record.job.spec.suspend:
        yield from suspend(record, [record.job])
    elif nothing_runs(world, record) and not is_being_written(record, record.job):
        # Resumed after that, the Job would make pods without a place.
        yield from unplace(world, record, phase="Pending", why=why, reason=_reason_to_stop(record))


def _reason_to_stop(record: GangRecord) -> str:
    """Why it gives its place up: for another gang, or because it could not keep it."""
    assert record.gang is not None
    known = {c.reason for c in record.gang.status.conditions if c.type == "Admitted"}
    return next(iter(known & {*STOPPED_FOR_OTHERS, MOVED, NODE_LOST, SHED, DRAINED}), "Requeued")


def _stopping_together(world: World, record: GangRecord, why: str) -> Iterator[Instruction]:
    awake = awake_jobs(record)
    yield from suspend(record, awake)
    if any(job.metadata.deletion_timestamp is None for job in awake) or not nothing_runs(world, record):
        return
    if any(is_being_written(record, job) for job in record.jobs.values()):
        return
    if not record.jobs:
        unbook(world, record)
    elif outcome(record) is not None:
        yield from write(record, finished(world, record))
    else:
        phase = "Pending" if record.suspended_by_user() is None else "Held"
        yield from unplace(world, record, phase=phase, why=why, reason=_reason_to_stop(record))
