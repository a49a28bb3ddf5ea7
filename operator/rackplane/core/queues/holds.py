"""Places that are being cleared: nobody else gets them while those who were there are still stopping."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np

from rackplane.core.gangs.asking import quota_of, usage_of
from rackplane.core.gangs.decisions import Hold, Key, booking_key
from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.record import GangRecord
from rackplane.core.world import World
from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.state import State

__all__ = ["Beside"]


DelaysNobody = Callable[[GangRecord, Placement, Collection[str]], bool]
"""Whether the gang, placed there with these bookings gone, delays none for which a place is reserved."""


class Beside:
    """What is held, for the other gangs of one pass over the queue."""

    def __init__(self, world: World, delays_nobody: DelaysNobody = lambda *_: True) -> None:
        """``delays_nobody``: of a gang that is placed there with these bookings gone."""
        self._world = world
        self.delays_nobody = delays_nobody
        self._masks: dict[tuple[Key, ...], dict[int, tuple[NodeMask, NodeMask]]] = {}

    def request(self, record: GangRecord, request: Request) -> Request:
        """The request without the nodes that are held for others."""
        if not any(True for _ in self._others(record)):
            return request

        def less(capacity: Mapping[str, int] | NodeMask | None) -> NodeMask:
            return self.mask(record, NodeMask.of(capacity or {}))

        if request.groups:
            groups = tuple(replace(g, capacity=less(g.capacity)) for g in request.groups)
            return replace(request, groups=groups)
        return replace(request, capacity=less(request.capacity))

    def mask(self, record: GangRecord, mask: NodeMask) -> NodeMask:
        """The mask without the nodes that are held for others."""
        held = list(self._others(record))
        if not held:
            return mask
        # One mask for all who ask alike, so that the engine follows it and answers once for all of them.
        known = self._masks.setdefault(tuple(other.key for other, _ in held), {})
        if id(mask) not in known:
            taken = {node: 0 for _, hold in held for node in hold.slots}
            known[id(mask)] = (mask, mask.changed(taken))
        return known[id(mask)][1]

    def names(self, record: GangRecord) -> str:
        """For whom: "gang a/b", "gangs a/b and a/c"."""
        names = [booking_key(other.key) for other, _ in self._others(record)]
        return f"gang{'s' if len(names) > 1 else ''} {' and '.join(names)}"

    def held(self, record: GangRecord) -> set[str]:
        """Nodes that are held for others."""
        return {node for _, hold in self._others(record) for node in hold.slots}

    def leaves_room(self, record: GangRecord, placement: Placement, gone: Collection[str] = ()) -> bool:
        """Whether all gangs for which a place is held still fit, with their victims gone and this gang placed.

        Args:
            gone: bookings that are gone before, in the state as it is simulated.
        """
        world = self._world
        held = [(other, hold) for other, hold in self._others(record) if hold.placement is not None]
        if not held:
            return True
        assert world.state is not None
        victims = {booking_key(v) for _, hold in held for v in hold.victims}
        plus = [usage_of(world, other, hold.placement) for other, hold in held if hold.placement is not None]
        if quota_of(world, record, placement, without={*victims, *gone}, plus=plus) is not None:
            return False
        with world.state.simulation() as later:
            for key in victims:
                later.release(key)
            for other, hold in held:
                assert hold.placement is not None
                later.book(f"held for {booking_key(other.key)}", hold.placement, force=True)
            return _fits(later, placement, end_of_start(world, record, world.now))

    def _others(self, record: GangRecord) -> Iterator[tuple[GangRecord, Hold]]:
        for key, hold in self._world.holds.items():
            other = self._world.gangs.get(key)
            if other is not None and other is not record and other.decision is None:
                yield other, hold


def _fits(state: State, placement: Placement, until: float) -> bool:
    """Whether the placement exceeds no limit that binds admissions; nodes are not looked at."""
    before = state.loads.copy()
    state.book("asked for", placement, force=True, until=until)
    over = (state.loads > before + TOLERANCE_WATTS) & (state.slack(until) < -TOLERANCE_WATTS)
    return not bool(np.any(over))
