"""Whom a gang may have stopped, or made to go on with fewer slots, by its priority and by the policy of its queue.

Within a queue only a gang of lower priority, and only if the queue says `withinQueue: LowerPriority`. Of other queues
only one that borrows, and only by a queue that keeps within its quota and says `reclaim`
(:mod:`rackplane.engine.preempting.reclaiming`). Priorities are compared as in the order of the queue: with what the
queue of each adds.
"""

from __future__ import annotations

from collections.abc import Collection

from rackplane.api.queue import QueuePreemption, Reclaim, WithinQueue
from rackplane.core.gangs.asking import usage_of
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.parallelism import fewest_gpus
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.counting import counted_by_gang
from rackplane.core.queues.priorities import standing
from rackplane.core.queues.victims import may_be_stopped
from rackplane.core.queues.ways import ways
from rackplane.core.world import World
from rackplane.engine.model import Placement
from rackplane.engine.preempting.preemption import Need
from rackplane.engine.preempting.reclaiming import Reclaiming
from rackplane.engine.queueing.quotas import GPUS

__all__ = ["Rights", "stops_others"]


class Rights:
    """Whom one gang may stop now, and in which ways they can make room for it."""

    def __init__(self, world: World, record: GangRecord) -> None:
        """Whoever is stopped for others is left out; whoever is stopped for it already is not."""
        assert record.gang is not None
        self._world, self._record = world, record
        self._spec = record.gang.spec
        queue = world.catalog.queue(self._spec.queue)
        self._policy = QueuePreemption() if queue is None else queue.spec.preemption
        taken = {v for key, held in world.held_places.items() if key != record.key for v in held.victims}
        usages = dict(counted_by_gang(world))
        # Of many gangs most wait, and hold nothing.
        possible = [
            other
            for key, other in world.gangs.items()
            if key in usages and key not in taken and may_be_stopped(other)
        ]
        self._ways = {way.key: way for other in possible for way in ways(world, other, usages[other.key])}
        held = {way.key: (way.usage.queue, way.freed) for way in self._ways.values()}
        self._reclaiming = Reclaiming(world.ledger.tree, self._spec.queue, held)
        self.gangs = [other for other in possible if booking_key(other.key) in held and self._may_stop(other)]
        keys = {other.key for other in self.gangs}
        self.ways = {key: way for key, way in self._ways.items() if way.record.key in keys}
        self._others = {key for key, way in self.ways.items() if self._of_another_queue(way.record)}

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
                key: way.freed.get(GPUS, 0)
                for key, way in self.ways.items()
                if level in tree.path(way.usage.queue)
            }
            found.append(Need(asked - left, below))
        return found


def stops_others(world: World, queue: str) -> bool:
    """Whether gangs of the queue may have any gang stopped."""
    found = world.catalog.queue(queue)
    if found is None:
        return False
    policy = found.spec.preemption
    return policy.within_queue is not WithinQueue.NEVER or policy.reclaim is not Reclaim.NEVER
