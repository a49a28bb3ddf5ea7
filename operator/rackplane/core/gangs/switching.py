"""Suspending and resuming a workload: one write for all its sets of pods, or our answer to who does that."""

from __future__ import annotations

from collections.abc import Iterator

from rackplane.core.gangs.answering import pass_check, retry_check
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.writing import may_write_version
from rackplane.core.instructions import AnswerCheck, SuspendWorkload
from rackplane.core.workloads.view import Workload
from rackplane.core.world import World

__all__ = ["resume_workload", "suspend_workload"]


def suspend_workload(record: GangRecord, workload: Workload) -> Iterator[SuspendWorkload | AnswerCheck]:
    """Stop its pods, unless it is being deleted or a write of ours to it is under way."""
    if workload.check is not None:
        yield from retry_check(record, workload)
    elif workload.metadata.deletion_timestamp is None:
        yield from _switch(record, workload, suspend=True)


def resume_workload(
    world: World, record: GangRecord, workload: Workload
) -> Iterator[SuspendWorkload | AnswerCheck]:
    """Let it make its pods, unless a write of ours to it is under way."""
    if workload.check is not None:
        yield from pass_check(world, record, workload)
        return
    yield from _switch(record, workload, suspend=False)


def _switch(record: GangRecord, workload: Workload, *, suspend: bool) -> Iterator[SuspendWorkload]:
    meta = workload.metadata
    if may_write_version(record, meta.name, meta.resource_version):
        yield SuspendWorkload(
            workload.kind.kind,
            workload.version,
            meta.namespace,
            meta.name,
            meta.uid,
            meta.resource_version,
            record.key[1],
            suspend,
            record.decision_id,
        )
