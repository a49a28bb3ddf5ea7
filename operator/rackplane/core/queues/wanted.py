"""Who is looked at in a pass though there is no room or no quota: it may be held for them, or others may make way."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable

from rackplane.core.gangs.decisions import Key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.gates import Gates
from rackplane.core.queues.preempting import Clearing
from rackplane.core.queues.proposing import Proposals
from rackplane.core.queues.reserving import Backfill
from rackplane.core.queues.waiting import Left
from rackplane.core.world import World
from rackplane.engine.queueing.order import Line, Turn

__all__ = ["Wanted", "with_holders"]


class Wanted:
    """Whom to look at next in one pass over the queue, beside those who may start."""

    def __init__(
        self,
        world: World,
        backfill: Backfill,
        clearing: Clearing,
        proposals: Proposals,
        gates: Gates,
        new: Collection[Line],
        lacks_room: Callable[[Line, GangRecord], bool],
    ) -> None:
        """Args:
        new: lines that are asked in any case.
        lacks_room: whether the engine refuses the gang, which its queue's quota does too.
        """
        self._world, self._backfill, self._gates, self._new = world, backfill, gates, new
        self._clearing, self._proposals, self._lacks_room = clearing, proposals, lacks_room
        queues = world.waiting.order.queues()
        self._stopping = {queue for queue in queues if clearing.stops_others(queue)}
        self._roots = {queue: world.ledger.tree.root(queue) for queue in queues}
        #: queues of which somebody may hold quota, and what they had left of it at the last look; those to look at
        self._seeking: dict[str, Left] = {}
        self._unseen = dict.fromkeys(queues)
        self._stamp = world.stamp

    def next(self, asked: Turn[Key]) -> tuple[Line, Key] | None:
        """Whom to look at next, of the lines that are asked in any case and of these."""
        clears = bool(self._stopping) and self._clearing.is_open
        if clears or self._backfill.may_reserve or self._proposals.is_open:
            return asked.next(others=True)
        self._seek_quota(asked)
        return asked.next(shut=self._is_shut)

    def _is_shut(self, line: Line, gang: Key) -> bool:
        """Whether the line, whose next is the gang, would be closed unasked when its turn comes.

        Others have taken the quota, nobody of its queue is sought to hold it any more, and nothing is held for the
        gang. To be asked while places are neither reserved nor cleared, nor moves proposed: none will be again.
        """
        world = self._world
        return (
            gang not in world.held_quota
            and not self._backfill.seeks_quota(line.queue)
            and self._gates.lacks_quota(line)
            and line not in self._new
            and gang not in world.held_places
            and not world.waiting.has_answer(line, world.version)
        )

    def queues_beside(self, queue: str) -> list[str]:
        """Those in which anybody waits, and whose shares change with that of the queue: all of its tree."""
        root = self._roots[queue]
        return [other for other, of in self._roots.items() if of == root]

    def _seek_quota(self, asked: Turn[Key]) -> None:
        """Of each queue the first behind those who were looked at that its quota refuses."""
        if not self._backfill.seeks_any_quota:
            return
        if self._stamp != self._world.stamp:
            self._stamp = self._world.stamp
            changed = (queue for queue, left in self._seeking.items() if left != self._gates.left(queue))
            self._unseen.update(dict.fromkeys(changed))
        for queue in self._unseen:
            if not self._backfill.seeks_quota(queue):
                self._seeking.pop(queue, None)  # who comes behind is only asked if there is quota for it
                continue
            left = self._seeking[queue] = self._gates.left(queue)
            if left == (None, None):
                continue  # nothing bounds it
            line = next(filter(self._gates.lacking_quota(queue), asked.behind(queue)), None)
            if line is not None:
                asked.add(line)
        self._unseen.clear()

    def is_wanted(self, line: Line, record: GangRecord) -> bool:
        """Whether the gang, which would be refused, may be one."""
        world = self._world
        if self._backfill.seeks_quota(line.queue):
            self._unseen[line.queue] = None  # if it holds none, the next may
            if self._gates.lacks_quota(line):
                return True
        return (
            self._proposals.is_open
            or record.key in world.held_places
            or record.key in world.held_quota
            or (self._clearing.is_open and line.queue in self._stopping and self._may_clear(record))
            or (
                self._backfill.may_reserve
                and (not self._gates.has_room(line) or self._lacks_room(line, record))
            )
        )

    def _may_clear(self, record: GangRecord) -> bool:
        """Whether it may be worked out now whom to stop for the gang; if that is too early, it is asked then."""
        due = self._clearing.due(record)
        if due > self._world.now:
            self._world.waiting.ask_at(record.key, due)
        return due <= self._world.now

    @property
    def due(self) -> float:
        """When it may be worked out for more of them whom to stop, in seconds since the epoch."""
        return self._clearing.reopens_at if self._stopping and not self._clearing.is_open else math.inf


def with_holders(world: World, among: Iterable[Line]) -> list[Line]:
    """These lines, and those of the gangs that hold a place or quota: who comes after them must mind it."""
    places = (world.waiting.order.get(key) for key in [*world.held_places, *world.held_quota])
    return list(dict.fromkeys([*among, *(place.line for place in places if place is not None)]))
