"""Whom an event could unblock: told by few bounds, without a look at those who wait.

A line is asked only if, as things are now, it is within what its queue and the queues above it may still take, in GPUs,
and within the slots of its kind that free nodes and the limits of racks leave at most
(:mod:`engine.placing.ceiling`). The bounds are of the present: there is no cause of waiting to remember, and none to
forget. Whoever exceeds one would be refused if asked. So would a gang that outlasts the start of what is reserved, and
for which free GPUs beside that are too few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from rackplane.core.gangs.asking import least_of, mask_of, request_of
from rackplane.core.queues.waiting import Kind, Left
from rackplane.core.world import World
from rackplane.engine.placing.ceiling import most_now
from rackplane.engine.queueing.order import Line
from rackplane.engine.queueing.quotas import GPUS, WATTS
from rackplane.engine.queueing.shadow import Reservation, slots_lost
from rackplane.engine.queueing.sizes import Size

__all__ = ["Gates"]


class Gates:
    """The bounds during one pass over the queue. Whoever is let go meanwhile only lowers them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._bounds = world.waiting.bounds
        self._left = world.waiting.left
        self._draws: dict[Size, int] = {}
        #: slots by free GPUs alone, by GPUs of a slot; and as of what
        self._free: dict[int, int] = {}
        self._free_at: tuple[int, int] | None = None
        #: the same beside places that are held, by whose those are too
        self._beside: dict[tuple[int, tuple[str, ...]], float] = {}
        self._beside_at: tuple[tuple[int, int], int] | None = None

    def may_start(self) -> list[Line]:
        """The lines that neither bound rules out."""
        self._look()
        return list(self._world.waiting.sizes.may_start(self._gpus_left, self._slots_left))

    def left(self, queue: str) -> Left:
        """What the queue may still take."""
        tree = self._world.ledger.tree
        stamp, known = tree.stamp(queue), self._left.get(queue)
        if known is None or known[0] is not tree or known[1] != stamp:
            known = self._left[queue] = tree, stamp, (tree.left(queue, GPUS), tree.left(queue, WATTS))
        return known[2]

    def has_quota(self, line: Line) -> bool:
        """Whether what the line's gangs take at least is within what its queue may take."""
        return not self.lacks_quota(line)

    def lacks_quota(self, line: Line) -> bool:
        """Whether it is not, so that the first such line of a queue may hold quota."""
        return self._exceeds(line, self.left(line.queue))

    def lacking_quota(self, queue: str) -> Callable[[Line], bool]:
        """As `lacks_quota`, of many lines of one queue while nobody is let go."""
        return partial(self._exceeds, left=self.left(queue))

    def _exceeds(self, line: Line, left: Left) -> bool:
        size = _size(line)
        if size is None:
            return False
        gpus, watts = left
        if gpus is not None and size.slots * size.gpus_per_slot > gpus:
            return True
        return watts is not None and self._least_watts(line, size) > watts

    def has_room(self, line: Line) -> bool:
        """Whether so many slots might find a place."""
        self._look()
        size = _size(line)
        return size is None or size.slots <= self._slots_left(size, line)

    def leaves_room(self, line: Line, others: Sequence[Reservation]) -> bool:
        """Whether so many slots might find a place that is left to them when these others start, who are not there yet.

        By free GPUs alone, each node by itself.
        """
        size = _size(line)
        if size is None or size.gpus_per_slot <= 0 or not others:
            return True
        as_of = self._world.stamp, self._world.reserved.revision
        if self._beside_at != as_of:
            self._beside_at = as_of
            self._beside.clear()
        asked = size.gpus_per_slot, tuple(r.key for r in others)
        if asked not in self._beside:
            assert self._world.state is not None
            free = self._free_slots(size.gpus_per_slot)
            self._beside[asked] = free - slots_lost(self._world.state, others, size.gpus_per_slot)
        return size.slots <= self._beside[asked]

    def _look(self) -> None:
        self._bounds.follow(self._world.stamp)

    def _gpus_left(self, queue: str) -> int | None:
        return self.left(queue)[0]

    def _least_watts(self, line: Line, size: Size) -> int:
        if size not in self._draws:
            record = self._world.gangs[next(self._world.waiting.order.line(line))]
            self._draws[size] = least_of(self._world, record).get(WATTS, 0)
        return self._draws[size]

    def _slots_left(self, size: Size, line: Line) -> float:
        """A bound for all of the family that ask for as many slots or more."""
        asked, known = (size.family, size.gpus_per_slot), self._bounds.most
        if asked not in known:
            free = self._free_slots(size.gpus_per_slot)
            if free < size.slots:
                return free  # a bound too, and most often this says it already
            # One question for gangs of many kinds of pods, as if every node took them; for one kind it is one more.
            if self._world.waiting.sizes.kinds(size) > 1:
                free = self._whatever_pods(size, line)
                if free < size.slots:
                    return free
            known[asked] = self._counted(line, masked=True)
        return known[asked]

    def _free_slots(self, gpus: int) -> float:
        """Slots of so many GPUs that free GPUs make, wherever they are."""
        if gpus <= 0:
            return math.inf
        state = self._world.state
        assert state is not None
        if self._free_at != self._world.stamp:
            self._free_at = self._world.stamp
            self._free.clear()
        if gpus not in self._free:
            self._free[gpus] = int((state.free // gpus).sum())
        return self._free[gpus]

    def _whatever_pods(self, size: Size, line: Line) -> int:
        asked, known = (size.family.rest, size.gpus_per_slot), self._bounds.free
        if asked not in known:
            known[asked] = self._counted(line, masked=False)
        return known[asked]

    def _counted(self, line: Line, *, masked: bool) -> int:
        world = self._world
        assert world.state is not None
        record = world.gangs[next(world.waiting.order.line(line))]
        mask = mask_of(world, record) if masked else None
        # One that ends at once: no coming budget is in its way.
        return most_now(world.state, request_of(world, record, mask, until=world.now))


def _size(line: Line) -> Size | None:
    """What it asks for; None if that is not known."""
    return line.kind.size if isinstance(line.kind, Kind) else None
