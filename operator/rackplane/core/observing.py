"""`mode: Observe`: where gangs would be placed is worked out and told, and nothing of a user's is touched.

Each gang is decided about once, against the cluster as it is when its turn comes: pods that run, its own later ones
included, count where they are. So nothing is held for it, and who comes next is not told of places that it never took.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from rackplane.core.gangs.asking import desired
from rackplane.core.gangs.booking import unbook_uncommitted
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.saying import say, why_it_waits
from rackplane.core.gangs.seen import gang_changed
from rackplane.core.gangs.speccing import respec
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.gangs.stopping import finished, is_over
from rackplane.core.gangs.writing import write
from rackplane.core.instructions import CreateGang, Instruction
from rackplane.core.objects import Gang
from rackplane.core.queues.committing import commit
from rackplane.core.queues.queueing import schedule
from rackplane.core.world import World

__all__ = ["OBSERVED", "observe"]

OBSERVED = "Observed"
"""Reason of the condition of a gang that would have been given a place."""
_STAND_IN = "0"
"""resourceVersion of a Gang that the API server does not show yet; of its own none has this."""


def observe(world: World) -> Iterator[Instruction]:
    """The writes that tell what would be done: Gangs and Events, nothing else."""
    for key in list(world.dirty):
        record = world.gangs.get(key)
        if record is not None and (record.gang is None or _is_stand_in(record)):
            yield from _create(world, record)
    # What it asks to be written is not sent: decisions, and the stops and moves that would go before them.
    deque(schedule(world), maxlen=0)
    for record in world.gangs.values():
        if record.decision is not None and not record.decision.committed:
            record.would = _would(world, record)
            unbook_uncommitted(world, record)
            record.committing = False
            record.gang_write = _STAND_IN if _is_stand_in(record) else None
            world.dirty[record.key] = None
    keys, world.dirty = list(world.dirty), {}
    world.waiting.look(keys)
    for key in keys:
        if key in world.gangs:
            yield from _tell(world, world.gangs[key])


def _create(world: World, record: GangRecord) -> Iterator[Instruction]:
    """The write that makes its Gang; what it is to be is decided about at once, before its pods run anywhere."""
    body = desired(world, record)
    if body is None or record.creating or world.now < record.not_before:
        return
    known = {**body["metadata"], "resourceVersion": _STAND_IN, "creationTimestamp": timestamp(world.now)}
    gang_changed(world, msgspec.convert({**body, "metadata": known}, type=Gang), leading=True)
    record.creating, record.gang_write = True, _STAND_IN
    yield CreateGang(record.key[0], record.key[1], body)


def _is_stand_in(record: GangRecord) -> bool:
    return record.gang is not None and record.gang.metadata.resource_version == _STAND_IN


def _would(world: World, record: GangRecord) -> str:
    assert record.decision is not None
    what = str(commit(world, record).status["message"])
    kilowatts = record.decision.placement.nominal_watts / 1_000
    when = timestamp(world.now)
    return f"at {when} it would have been {what}, for {kilowatts:.1f} kW; mode Observe: nothing was done"


def _tell(world: World, record: GangRecord) -> Iterator[Instruction]:
    if world.now < record.not_before:
        world.dirty[record.key] = None
        return
    if record.gang is None or _is_stand_in(record):
        return
    # One that an operator gave its place before keeps it, and is left alone until it is over.
    if record.phase not in ("Pending", "Held") and not (record.decision and is_over(record)):
        return
    if record.external():
        return
    if record.jobs and is_over(record) and not record.live_pods():
        yield from write(record, finished(world, record))
        return
    if record.decision is not None:
        return
    body = desired(world, record)
    anew = None if body is None else respec(record, body)
    if anew is not None:
        record.would = ""
        yield from anew
        return
    if record.problems:
        text = "; ".join(f"{p.where}: {p.what.removesuffix('.')}. {p.remedy}" for p in record.problems)
        yield from say(world, record, phase="Pending", ready=False, reason="InvalidRequest", message=text)
        return
    reason, text = (OBSERVED, record.would) if record.would else (record.reason, why_it_waits(record))
    if not record.would and not record.message and any(job.status.active for job in record.jobs.values()):
        reason, text = OBSERVED, "its pods ran before it was this gang's turn; mode Observe: nothing is done"
    yield from say(world, record, phase="Pending", ready=not record.misfit, reason=reason, message=text)
