"""What one gang may be given beside all that is held for others (:mod:`core.queues.holds`).

A reserved place binds whoever would still run when its time comes; one that is held already binds everybody. Nodes,
every limit and the quotas are asked about the time at which the other gang is to run, with what is over by then gone,
and all else that is held by then in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from rackplane.core.gangs.asking import usage_of
from rackplane.core.gangs.decisions import booking_key, key_of
from rackplane.core.gangs.ends import end_of_start, expected_end
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.ahead import apart, bounded, has_quota_then
from rackplane.core.queues.following import follow, share_of
from rackplane.core.queues.groupbudgets import counts_anywhere
from rackplane.core.queues.quota import Usage
from rackplane.core.queues.quotaholds import InWay, in_way
from rackplane.core.world import World
from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.queueing.later import Share
from rackplane.engine.queueing.shadow import Shadow

__all__ = ["Beside"]


class Beside:
    """Questions about what is held now, of those who come before in the queue and of those who hold it already."""

    def __init__(self, world: World, *, but: str | None = None, goes_on: bool = False) -> None:
        """Of gangs that would start now.

        Args:
            but: a gang whose place need not be minded; None: that of the gang that is asked about.
            goes_on: gangs that run are asked about, for what they would have beside; they end when they were to end.
        """
        self._world = world
        self._but = but
        self._goes_on = goes_on

    def shadows(
        self, record: GangRecord, until: float | None, gone: Collection[str] = ()
    ) -> tuple[Shadow, ...]:
        """The times at which the gang must fit beside others.

        Args:
            until: when it would be over.
            gone: bookings that would make way for it; in a simulation, all that are released there.
        """
        world = self._world
        follow(world)
        return world.reserved.beside(world.now, until, but=self._except(record), gone=frozenset(gone))

    def less(
        self, record: GangRecord, room: Callable[[str], int], gone: Collection[str] = ()
    ) -> dict[str, int]:
        """Node -> pods of the gang that it takes beside what is held, of the nodes where something is.

        Args:
            room: what a node takes without that.
        """
        shadows = self.shadows(record, self._end(record), gone)
        return bounded(self._world, record, shadows, room) if shadows else {}

    def request(self, record: GangRecord, request: Request) -> Request:
        """The gang's request with nodes bounded to what they take beside what is held."""
        shadows = self.shadows(record, request.until)
        if not shadows:
            return request
        if request.groups:
            return apart(request, shadows)
        mask = NodeMask.of(request.capacity or {})
        return replace(request, capacity=mask.changed(bounded(self._world, record, shadows, mask.get)))

    def leaves_room(self, record: GangRecord, placement: Placement, gone: Collection[str] = ()) -> bool:
        """Whether the gang, there from now on with these bookings gone, leaves all that is held for others."""
        end = self._end(record)
        shadows = self.shadows(record, end, gone)
        return all(shadow.takes(placement, end) for shadow in shadows) and self.leaves_quota(
            record, placement, gone
        )

    def leaves_quota(self, record: GangRecord, placement: Placement, gone: Collection[str] = ()) -> bool:
        """Whether queues and their budgets will still take those for whom places are held, with this one running."""
        world = self._world
        but = self._except(record)
        asked: Share | None = None
        for r in world.reserved:
            other = world.gangs.get(key_of(r.key))
            if other is None or other.gang is None or r.key == but:
                continue
            if not counts_anywhere(world, other.gang.spec.queue):
                continue
            if asked is None:
                asked = share_of(booking_key(record.key), self._usage(record, placement))
            if not (r.blocks or r.at < asked.until):
                continue
            at = max(r.at, world.now)
            if not has_quota_then(world, other, r.placement, at, plus=[asked], without=gone, but=but):
                return False
        return self.quota_in_way(record, placement, gone) is None

    def quota_in_way(
        self, record: GangRecord, placement: Placement, gone: Collection[str] = ()
    ) -> InWay | None:
        """What is held of quota or budgets for a gang that would not have it in time with this one running."""
        if not self._world.quota_ahead:
            return None
        asked, but = self._usage(record, placement), self._except(record)
        return in_way(self._world, asked, self._world.now, key=booking_key(record.key), but=but, gone=gone)

    def _end(self, record: GangRecord) -> float | None:
        world = self._world
        return expected_end(world, record) if self._goes_on else end_of_start(world, record, world.now)

    def _usage(self, record: GangRecord, placement: Placement) -> Usage:
        return usage_of(self._world, record, placement, goes_on=self._goes_on)

    def _except(self, record: GangRecord) -> str:
        return booking_key(record.key) if self._but is None else self._but
