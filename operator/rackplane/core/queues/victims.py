"""Who may be stopped for a gang, and what that would cost.

A gang may be stopped if it is a Job's or another controller's, runs or starts, is not Protected, and is not on its way
out already. Bare pods never are: they cannot be suspended, and to delete them would fail what nobody asked to fail.

Within a queue only a gang of lower priority may be stopped, and only if the queue says `withinQueue: LowerPriority`. Of
other queues only one that borrows, and only by a queue that keeps within its quota and says `reclaim`
(:mod:`rackplane.engine.preempting.reclaiming`). Priorities are compared as in the order of the queue: with what the
queue of each adds.
"""

from __future__ import annotations

from collections.abc import Collection

from rackplane.api.gang import Disruption
from rackplane.api.labels import LAST_CHECKPOINT
from rackplane.api.queue import QueuePreemption, Reclaim, WithinQueue
from rackplane.core.gangs.asking import usage_of
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.parallelism import fewest_gpus
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.gangs.together import outcome, stopped_by
from rackplane.core.gangs.workload import job_outcome
from rackplane.core.queues.counting import counted_by_gang
from rackplane.core.queues.priorities import standing
from rackplane.core.world import World
from rackplane.engine.model import Placement
from rackplane.engine.preempting.costs import Victim
from rackplane.engine.preempting.preemption import Need
from rackplane.engine.preempting.reclaiming import Reclaiming
from rackplane.engine.queueing.quotas import GPUS

__all__ = ["Candidates", "is_leaving", "may_be_stopped", "victim_of"]


class Candidates:
    """Whom one gang may stop now."""

    def __init__(self, world: World, record: GangRecord) -> None:
        """Whoever is stopped for others is left out; whoever is stopped for it already is not."""
        assert record.gang is not None
        self._world, self._record = world, record
        self._spec = record.gang.spec
        queue = world.catalog.queue(self._spec.queue)
        self._policy = QueuePreemption() if queue is None else queue.spec.preemption
        taken = {v for key, held in world.held_places.items() if key != record.key for v in held.victims}
        possible = [
            other for other in world.gangs.values() if other.key not in taken and may_be_stopped(other)
        ]
        usages = dict(counted_by_gang(world))
        held = {
            booking_key(o.key): (usages[o.key].queue, usages[o.key].amounts())
            for o in possible
            if o.key in usages
        }
        self._reclaiming = Reclaiming(world.ledger.tree, self._spec.queue, held)
        self.gangs = [other for other in possible if booking_key(other.key) in held and self._may_stop(other)]
        self._others = {booking_key(o.key) for o in self.gangs if self._of_another_queue(o)}

    @staticmethod
    def asked_by(world: World, record: GangRecord) -> bool:
        """Whether its queue lets it stop anybody at all."""
        assert record.gang is not None
        queue = world.catalog.queue(record.gang.spec.queue)
        return queue is not None and queue.spec.preemption != QueuePreemption()

    @property
    def nobody(self) -> str:
        """Why there is none, in words."""
        name, priority = self._spec.queue, self._spec.priority
        within = f"queue {name} has no gang that may be stopped for one of priority {priority}"
        others = "no queue that borrows has a gang that may be stopped for it"
        if self._policy.reclaim is Reclaim.NEVER:
            return within
        return others if self._policy.within_queue is WithinQueue.NEVER else f"{within}, and {others}"

    def _of_another_queue(self, other: GangRecord) -> bool:
        assert other.gang is not None
        return other.gang.spec.queue != self._spec.queue

    def _may_stop(self, other: GangRecord) -> bool:
        assert other.gang is not None
        queue = self._world.catalog.queue
        lower = standing(other.gang.spec, queue) < standing(self._spec, queue)
        if not self._of_another_queue(other):
            return lower and self._policy.within_queue is WithinQueue.LOWER_PRIORITY
        match self._policy.reclaim:
            case Reclaim.ANY:
                return self._reclaiming.borrows(booking_key(other.key))
            case Reclaim.LOWER_PRIORITY:
                return lower and self._reclaiming.borrows(booking_key(other.key))
        return False

    def allowed(self, keys: Collection[str]) -> bool:
        """Whether all of these may be stopped together: of queues that borrow, only so many."""
        return self._reclaiming.allowed([key for key in keys if key in self._others])

    def keeps_within(self, placement: Placement, gone: Collection[str]) -> bool:
        """Whether its queue stays within its quota, as it must for quota that it takes back."""
        taken_back = [key for key in gone if key in self._others]
        asked = usage_of(self._world, self._record, placement).amounts()
        return not taken_back or self._reclaiming.within(asked, gone, taken_back)

    def needs(self) -> list[Need]:
        """What its quotas lack, and who gives how much of it back."""
        asked = fewest_gpus(self._spec)
        tree = self._world.ledger.tree
        found = []
        for level, left in tree.rooms(self._spec.queue, GPUS):
            below = {
                booking_key(key): usage.gpus
                for key, usage in counted_by_gang(self._world)
                if level in tree.path(usage.queue)
            }
            found.append(Need(asked - left, below))
        return found

    def victim(self, record: GangRecord) -> Victim:
        """What stopping the gang would cost now."""
        return victim_of(self._world, record)


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
    lost = max(0.0, world.now - _saved_at(record)) + world.settings.restart_seconds
    return Victim(
        booking_key(record.key),
        priority=standing(spec, world.catalog.queue),
        sheddable=spec.disruption == Disruption.SHEDDABLE,
        lost_gpu_seconds=int(gpus * lost),
    )


def _saved_at(record: GangRecord) -> float:
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
