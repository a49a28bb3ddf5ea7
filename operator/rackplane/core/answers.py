"""Answers to writes: what is known once one has succeeded, and what is done after one that failed."""

from __future__ import annotations

from rackplane.core.events import FailureReason
from rackplane.core.gangs.booking import unbook_uncommitted
from rackplane.core.gangs.record import GangRecord
from rackplane.core.instructions import (
    AnswerCheck,
    CapNode,
    CommitGang,
    CreateComputeDomain,
    CreateGang,
    DeleteComputeDomain,
    EvictPod,
    Instruction,
    PublishEvent,
    ResizeJob,
    ResumeJob,
    SendCap,
    SetFinalizers,
    SuspendJob,
    SuspendWorkload,
    TaintNode,
    UngatePod,
    UpdateGangSpec,
    WriteGangStatus,
)
from rackplane.core.queues.holds import hold_for_retry
from rackplane.core.world import World

__all__ = ["failed", "succeeded"]

_VERSIONED = (SuspendJob, ResumeJob, ResizeJob, SuspendWorkload, AnswerCheck, UngatePod)


def succeeded(world: World, instruction: Instruction) -> None:
    if isinstance(instruction, SetFinalizers):
        world.removals.succeeded(instruction)
        return
    if isinstance(instruction, CapNode):
        world.caps.succeeded(world, instruction)
        world.dirty.update(world.gangs_on(instruction.name))
        return
    if isinstance(instruction, SendCap):
        world.confirmations.answered(world, instruction, None)
        return
    if isinstance(instruction, WriteGangStatus):
        world.telling.answered((instruction.namespace, instruction.name))
    record = _record_of(world, instruction)
    if record is None:
        return
    if isinstance(instruction, EvictPod):
        record.refused_eviction = ""
        return
    record.failures, record.not_before = 0, 0.0
    if isinstance(instruction, UngatePod):
        # The pod itself will be seen without its gate, and the gang looked at then: once a pod, not twice.
        return
    if isinstance(instruction, CommitGang):
        record.committing, record.announce = False, True
        world.caps.look(record.decision.placement.slots if record.decision else ())
    world.dirty[record.key] = None


def failed(world: World, instruction: Instruction, reason: FailureReason, message: str) -> None:
    if isinstance(instruction, SetFinalizers):
        world.removals.failed(world, instruction, reason)
        return
    if isinstance(instruction, TaintNode):
        world.taints.failed(world, instruction, reason)
        return
    if isinstance(instruction, CapNode):
        world.caps.failed(world, instruction, reason, message)
        world.dirty.update(world.gangs_on(instruction.name))
        return
    if isinstance(instruction, PublishEvent):
        return
    if isinstance(instruction, SendCap):
        world.confirmations.answered(world, instruction, message)
        return
    if isinstance(instruction, WriteGangStatus):
        world.telling.answered((instruction.namespace, instruction.name))
    record = _record_of(world, instruction)
    if record is None:
        return
    if isinstance(instruction, EvictPod):
        # Whatever keeps one pod from going keeps the gang from nothing else. One that is gone already may be seen for
        # a while longer: it is asked for again after a while, as any other.
        if reason not in (FailureReason.GONE, FailureReason.CONFLICT):
            record.refused_eviction = message
        world.dirty[record.key] = None
        return
    if reason is not FailureReason.CONFLICT or not isinstance(instruction, _VERSIONED):
        # A Job changes whenever one of its pods does, and a pod by others: no reason to wait longer each time.
        record.failures += 1
    if reason is not FailureReason.GONE or isinstance(instruction, CreateComputeDomain):
        pause = world.settings.retry_seconds * 2 ** min(max(record.failures - 1, 0), 10)
        record.not_before = world.now + min(pause, world.settings.longest_retry_seconds)
    world.dirty[record.key] = None
    match instruction:
        case CreateGang():
            record.creating = False
        case CreateComputeDomain() | DeleteComputeDomain():
            record.domain_write = False
        case SuspendJob() | ResumeJob() | ResizeJob() | SuspendWorkload() | AnswerCheck():
            record.job_writes.pop(instruction.name, None)
        case UngatePod(uid=uid):
            record.ungating.discard(uid)
        case CommitGang(resource_version=version):
            record.committing = False
            moved_on = record.gang is None or record.gang.metadata.resource_version != version
            if record.decision is not None and record.decision.committed:
                record.gang_write = None
            elif record.decision is not None:
                if reason is FailureReason.UNAVAILABLE:
                    # It may have happened: keep the booking and ask the same again.
                    record.gang_write = None
                elif moved_on or reason is not FailureReason.CONFLICT:
                    decision, starts = record.decision, record.previous is None
                    unbook_uncommitted(world, record)
                    record.gang_write = None
                    if starts and reason is FailureReason.CONFLICT:
                        hold_for_retry(world, record, decision)
        case UpdateGangSpec() | WriteGangStatus():
            record.gang_write, record.raising = None, False


def _record_of(world: World, instruction: Instruction) -> GangRecord | None:
    match instruction:
        case SuspendJob() | ResumeJob() | ResizeJob():
            return world.gang_of_job((instruction.namespace, instruction.name))
        case UngatePod() | EvictPod() | SuspendWorkload() | AnswerCheck():
            return world.gangs.get((instruction.namespace, instruction.gang))
        case CreateGang() | UpdateGangSpec() | CommitGang() | WriteGangStatus():
            return world.gangs.get((instruction.namespace, instruction.name))
        case CreateComputeDomain() | DeleteComputeDomain():
            return world.gangs.get((instruction.namespace, instruction.name))
    return None
