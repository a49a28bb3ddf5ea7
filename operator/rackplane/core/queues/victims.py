"""Which gangs can be stopped at all, and what that would cost.

A gang can be stopped if it is a Job's or another controller's, runs or starts, is not Protected, and is not on its way
out already. Bare pods never are: they cannot be suspended, and to delete them would fail what nobody asked to fail.
By whom is another question (:mod:`core.queues.rights`).
"""

from __future__ import annotations

from rackplane.api.gang import Disruption
from rackplane.api.labels import LAST_CHECKPOINT
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.gangs.together import outcome, stopped_by
from rackplane.core.gangs.workload import job_outcome
from rackplane.core.queues.priorities import standing
from rackplane.core.world import World
from rackplane.engine.preempting.costs import Victim

__all__ = ["is_leaving", "may_be_stopped", "saved_at", "victim_of"]


def is_leaving(record: GangRecord) -> bool:
    """Whether the gang gives its place up by itself: it is stopping, or over, or suspended, or being deleted."""
    if record.external():
        assert record.gang is not None
        deleted = record.gang.metadata.deletion_timestamp is not None
        return record.phase == "Stopping" or deleted or record.finished_by_maker()
    job = record.job
    if record.several and record.phase != "Stopping":
        return outcome(record) is not None or stopped_by(record) is not None
    return (
        record.phase == "Stopping"
        or job is None
        or job.metadata.deletion_timestamp is not None
        or job_outcome(job) is not None
        or (job.spec.suspend and not record.suspended_by_us())
    )


def may_be_stopped(record: GangRecord) -> bool:
    """Whether the gang could be stopped and would queue again by itself."""
    job = record.job
    could = (
        record.gang is not None
        and record.decision is not None
        and record.decision.committed
        and record.phase in ("Admitted", "Running")
        and record.gang.spec.disruption != Disruption.PROTECTED
        and record.gang.metadata.deletion_timestamp is None
    )
    if record.external():
        return could and not record.finished_by_maker()
    return could and job is not None and not is_leaving(record)


def victim_of(world: World, record: GangRecord) -> Victim:
    """What stopping the gang would cost now."""
    assert record.gang is not None and record.decision is not None and world.state is not None
    spec = record.gang.spec
    gpus = sum(world.state.held_gpus(booking_key(record.key)).values())
    lost = max(0.0, world.now - saved_at(record)) + world.settings.restart_seconds
    return Victim(
        booking_key(record.key),
        priority=standing(spec, world.catalog.queue),
        sheddable=spec.disruption == Disruption.SHEDDABLE,
        lost_gpu_seconds=int(gpus * lost),
    )


def saved_at(record: GangRecord) -> float:
    """Since when its work would be lost, in seconds since the epoch: its last checkpoint, or its start."""
    assert record.gang is not None and record.decision is not None
    workloads = [record.gang] if record.external() or not record.jobs else list(record.jobs.values())
    began = _time(record.gang.status.started_at) or record.decision.time
    # One of an earlier run says nothing of what this one has done.
    said = (_time(each.metadata.annotations.get(LAST_CHECKPOINT)) for each in workloads)
    return max([began, *(time for time in said if time is not None)])


def _time(text: str | None) -> float | None:
    try:
        return None if not text else seconds(text)
    except ValueError:
        return None
