"""What is written of one gang: its status, once on what was last seen of it, its conditions, and Events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import merged_conditions
from rackplane.core.gangs.workload import API_VERSION
from rackplane.core.instructions import PublishEvent, WriteGangStatus
from rackplane.core.objects import Job, Metadata

__all__ = [
    "conditions_of",
    "gang_event",
    "is_being_written",
    "may_write",
    "may_write_job",
    "may_write_version",
    "write",
]


def write(record: GangRecord, status: Mapping[str, Any]) -> Iterator[WriteGangStatus]:
    """The write, unless one is under way on the same version."""
    assert record.gang is not None
    if may_write(record):
        record.gang_write = record.gang.metadata.resource_version
        version = record.gang.metadata.resource_version
        yield WriteGangStatus(record.key[0], record.key[1], version, status, record.decision_id)


def may_write(record: GangRecord) -> bool:
    """Whether nothing of ours is under way on the Gang as it was last seen."""
    assert record.gang is not None
    return (
        record.gang_write != record.gang.metadata.resource_version
        and record.gang.metadata.deletion_timestamp is None
    )


def may_write_job(record: GangRecord, job: Job) -> bool:
    """Whether this is another state of the Job than that of our last write to it; from now on it is not."""
    return may_write_version(record, job.metadata.name, job.metadata.resource_version)


def may_write_version(record: GangRecord, name: str, version: str) -> bool:
    """As `may_write_job`, of what has that name and version."""
    known, record.job_writes[name] = record.job_writes.get(name), version
    return known != version


def is_being_written(record: GangRecord, job: Job) -> bool:
    """Whether our last write to the Job may still happen: it is not answered, or what came of it is not seen."""
    return record.job_writes.get(job.metadata.name) == job.metadata.resource_version


def conditions_of(record: GangRecord, *new: dict[str, object]) -> list[dict[str, object]]:
    """The gang's conditions with these changed."""
    old: list[dict[str, object]] = []
    for c in record.gang.status.conditions if record.gang else []:
        old.append(
            {
                "type": c.type,
                "status": c.status,
                "reason": c.reason,
                "message": c.message,
                "lastTransitionTime": c.last_transition_time,
            }
        )
    return merged_conditions(old, new)


def gang_event(
    record: GangRecord, *, warning: bool, reason: str, message: str, once: bool = False
) -> Iterator[PublishEvent]:
    """The same words on the Gang and on its Jobs, where their user looks.

    Args:
        once: on one object alone: on its workload or its one Job, else on the Gang.
    """
    about: list[tuple[str, str, Metadata]] = []
    if record.gang is not None:
        about.append((API_VERSION, "Gang", record.gang.metadata))
    if record.workload is not None:
        about.append((record.workload.api_version, record.workload.kind.kind, record.workload.metadata))
    else:
        about.extend(("batch/v1", "Job", job.metadata) for job in record.jobs.values())
    for version, kind, meta in about[len(about) == 2 :][:1] if once else about:
        yield PublishEvent(
            version,
            kind,
            meta.namespace,
            meta.name,
            meta.uid,
            warning,
            reason,
            message,
            record.decision_id,
        )
