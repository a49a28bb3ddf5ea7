"""How far gangs come, and how long that takes them: for metrics (:mod:`core.measuring`), read off their changes.

A wait begins when the workload was submitted, or when the gang was queued again after it had a place. That and what a
gang was told first are kept in its record alone: a new process counts from what the Gang says.
"""

from __future__ import annotations

from rackplane.core.gangs.ranks import is_gated
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.slotting import all_there
from rackplane.core.gangs.statuses import seconds
from rackplane.core.measuring import Measured
from rackplane.core.objects import Gang
from rackplane.core.world import ACTIVE, World
from rackplane.engine.reporting.spread import spread

__all__ = ["count_let_go", "count_progress", "follow_wait", "waits_since"]


def waits_since(record: GangRecord) -> float | None:
    """Since when it waits, or waited for the place that it has, in seconds since the epoch."""
    if record.requeued_at is not None or record.gang is None:
        return record.requeued_at
    status, metadata = record.gang.status, record.gang.metadata
    return _time(status.submitted_at) or _time(metadata.creation_timestamp)


def follow_wait(world: World, record: GangRecord, before: Gang | None) -> None:
    """Keep what the Gang's next state will not say any more; a standby does so too."""
    assert record.gang is not None
    now = record.gang.status
    if before is not None and before.status.phase in ACTIVE and now.phase not in ACTIVE:
        record.requeued_at, record.told_start, record.letting_go = world.now, None, False
    if record.told_start is None and now.phase not in ACTIVE:
        record.told_start = _time(now.estimated_start)


def count_progress(world: World, record: GangRecord, before: Gang) -> None:
    """Measure what is new in the Gang."""
    gang, measurements = record.gang, world.measurements
    if not measurements.wanted:
        return
    assert gang is not None
    then, now, queue = before.status, gang.status, gang.spec.queue
    if now.shed is not None and (then.shed is None or then.shed.action != now.shed.action):
        measurements.add(Measured.SHED, 1, now.shed.action)
    decided = _time(now.decision.time) if now.decision is not None else None
    since = waits_since(record)
    if decided is None or now.phase not in ACTIVE:
        return
    if then.phase not in ACTIVE:
        measurements.add(Measured.ADMITTED, 1, queue)
        if since is not None:
            measurements.add(Measured.ADMISSION_WAIT, max(0.0, decided - since), queue)
        if record.told_start is not None:
            late = decided - record.told_start
            measurements.add(Measured.ESTIMATE_ERROR, abs(late), "late" if late >= 0 else "early")
        _count_spread(world, record)
    if now.phase == "Running" and then.phase in ("", "Pending", "Admitted"):
        ready = _time(now.started_at) or world.now
        measurements.add(Measured.ADMITTED_UNTIL_READY, max(0.0, ready - decided), queue)
        if since is not None:
            measurements.add(Measured.READY_WAIT, max(0.0, ready - since), queue)


def count_let_go(world: World, record: GangRecord) -> None:
    """Measure, once, that no pod of a gang that starts is gated any more."""
    if not record.letting_go or record.gang is None:
        return
    if record.phase == "Admitted":
        if not all_there(record) or any(is_gated(pod) for pod in record.live_pods()):
            return
        since = waits_since(record)
        if since is not None:
            queue = record.gang.spec.queue
            world.measurements.add(Measured.UNGATED_WAIT, max(0.0, world.now - since), queue)
    record.letting_go = False


def _count_spread(world: World, record: GangRecord) -> None:
    if world.state is None or record.decision is None:
        return
    found = spread(world.state, record.decision.placement)
    if found is not None:
        world.measurements.add(Measured.OVER_MINIMUM, found.domains - found.fewest_domains, "nvlink")
        world.measurements.add(Measured.OVER_MINIMUM, found.racks - found.fewest_racks, "rack")


def _time(text: str | None) -> float | None:
    try:
        return seconds(text) if text else None
    except ValueError:
        return None
