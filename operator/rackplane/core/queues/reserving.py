"""Places held for the first gangs that cannot start, and who may go ahead of them.

In one pass over the queue, in its order: a gang that the engine refuses, and that something expected lets start, holds
the place and the time at which it could, as long as fewer than `reservations` gangs before it do. Whoever comes after
it may go ahead if it delays none of them (:mod:`engine.queueing.reservations`). A gang that waits for something else
(its queue's quota, a hold, what it asks for) holds nothing.

What was held stays: it is worked out anew if it no longer fits, and now and then after something has changed, when an
earlier start is taken and a later one is not. It is kept in `status.reservation`, so that it outlives the process.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from rackplane.core.gangs.asking import request_of, usage_of
from rackplane.core.gangs.decisions import Estimate, HeldPlace, booking_key
from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.parallelism import fewest_slots
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import assignment, seconds, timestamp
from rackplane.core.queues.ahead import apart, bounded, cause, fits_then, follow, look_ahead, only, quota_then
from rackplane.core.queues.counting import count_usages
from rackplane.core.world import World
from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.placing.placement import find
from rackplane.engine.queueing.reservations import backfill
from rackplane.engine.queueing.shadow import Reservation

__all__ = ["Backfill", "delays_nobody", "held_status", "lapse", "let_go"]


def delays_nobody(
    world: World, record: GangRecord, placement: Placement, gone: Collection[str], *, but: str | None = None
) -> bool:
    """Whether the gang, placed there with these bookings gone, leaves all that is reserved for others.

    Args:
        but: a gang whose reservation does not count; None: its own.
    """
    follow(world)
    end = end_of_start(world, record, world.now)
    but = booking_key(record.key) if but is None else but
    shadows = world.reserved.beside(world.now, end, but=but, gone=frozenset(gone))
    return all(shadow.takes(placement, end) for shadow in shadows)


class Backfill:
    """The reservations of one pass over the queue."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._left = self._searches = world.settings.reservations
        self._refused: dict[tuple[Request, str, str], str] = {}
        self._version = world.stamp
        for held in world.reserved:
            world.reserved.drop(held.key)
        for key in list(world.held_places):
            if not world.waiting.waits(key):
                let_go(world, key)
        for key, hold in world.holds.items():
            other = world.gangs.get(key)
            if hold.placement is not None and other is not None and other.gang is not None:
                until = end_of_start(world, other, world.now)
                victims = frozenset(map(booking_key, hold.victims))
                cleared = Reservation(booking_key(key), world.now, until, hold.placement, True, victims)
                world.reserved.put(cleared)

    def place(
        self,
        record: GangRecord,
        request: Request,
        offer: Placement,
        admits: Callable[[Placement], bool] = lambda _: True,
    ) -> Placement | str:
        """The offer, or another place, beside all that is reserved for the gangs before; or why there is none.

        Args:
            admits: what else has a say in another place.
        """
        world = self._world
        assert world.state is not None and record.gang is not None
        follow(world)
        shadows = world.reserved.beside(world.now, request.until, but=booking_key(record.key))
        if not shadows:
            return offer
        if self._version != world.stamp:
            self._refused.clear()
            self._version = world.stamp
        asked = (request, record.gang.spec.queue, record.key[0])
        if asked in self._refused:
            return self._refused[asked]

        mask = NodeMask.of(request.capacity or {})
        less = {} if request.groups else bounded(world, record, shadows, mask.get)

        def narrow(wanted: Request) -> Request:
            return apart(wanted, shadows) if wanted.groups else replace(wanted, capacity=mask.changed(less))

        def accepts(placement: Placement) -> bool:
            # The engine has looked at GPUs and watts; what else nodes have is not known to it.
            counts = Counter(placement.slots)
            if request.groups:
                room = not any(node in counts for shadow in shadows for node in shadow.nodes)
            else:
                room = all(slots >= counts[node] for node, slots in less.items())
            return (
                room and self._leaves_quota(record, placement) and (placement is offer or admits(placement))
            )

        count_usages(world)
        found = backfill(world.state, request, offer, shadows, narrow=narrow, admits=accepts)
        if found is not None:
            return found
        mine = booking_key(record.key)
        until = math.inf if request.until is None else request.until
        ahead = next(r for r in world.reserved if r.key != mine and (r.exclusive or r.at < until))
        namespace, _, name = ahead.key.partition("/")
        held = world.held_places.get((namespace, name))
        place = "a place" if held is None else held.words
        self._refused[asked] = f"may not delay gang {ahead.key}, which holds {place}"
        return self._refused[asked]

    def delays_nobody(self, record: GangRecord, placement: Placement, gone: Collection[str]) -> bool:
        """Whether the gang, placed there with these bookings gone, leaves all that is reserved for the gangs before."""
        return delays_nobody(self._world, record, placement, gone)

    def _leaves_quota(self, record: GangRecord, placement: Placement) -> bool:
        """Whether queues and their budgets will still take the gangs with reservations, with this one running."""
        world = self._world
        asked = usage_of(world, record, placement)
        until = math.inf if asked.until is None else asked.until
        for held in world.held_places.values():
            r = held.reservation
            namespace, _, name = r.key.partition("/")
            other = world.gangs.get((namespace, name))
            minds = world.reserved.get(r.key) is not None and r.at < until
            if other is None or other is record or not minds:
                continue
            if quota_then(world, other, r.placement, r.at, [asked]) is not None:
                return False
        return True

    def reserve(self, record: GangRecord) -> None:
        """Hold a place for a gang that was refused, if it is among the first."""
        world = self._world
        if not self._left:
            self._release(record)
            return
        follow(world)
        held = self._still_held(record)
        if held is None or self._may_be_earlier(held):
            found = self._sought(record)
            if found is not None and (held is None or found.reservation.at < held.reservation.at):
                held = found
            elif held is not None:
                held = replace(held, made=world.now, version=world.version)
        if held is None:
            self._release(record)
            return
        self._left -= 1
        world.reserved.put(held.reservation)
        before = world.held_places.get(record.key)
        world.held_places[record.key] = held
        due = [held.reservation.at, *world.reserved.ends.values()]
        if held.version != world.version:
            due.append(held.made + world.settings.estimate_seconds)
        world.waiting.due = min(world.waiting.due, *due)
        words = f"holds {held.words}, when {held.why}"
        world.waiting.estimated[record.key] = None
        record.estimate = Estimate(world.stamp, world.now, held.reservation.at, words, held.place)
        if before is None or before.reservation != held.reservation or before.why != held.why:
            world.dirty[record.key] = None
        if before is not None and before.reservation != held.reservation:
            world.version += 1  # who was held back by the old one may start now

    @property
    def may_reserve(self) -> bool:
        """Whether another gang might still get a place to hold in this pass."""
        return self._left > 0 and self._searches > 0

    def own_place(self, record: GangRecord, request: Request) -> Placement | None:
        """The place that is held for the gang, if it can start there now: a search may not find it again."""
        world, held = self._world, self._world.held_places.get(record.key)
        if held is None or not _made_for(record, held) or world.state is None:
            return None
        return find(world.state, only(request, held.reservation.placement.slots))

    def _release(self, record: GangRecord) -> None:
        if record.key in self._world.held_places:
            let_go(self._world, record.key)

    def _still_held(self, record: GangRecord) -> HeldPlace | None:
        """What the gang held before, if it may go on holding it."""
        world = self._world
        held = world.held_places.get(record.key) or self._remembered(record)
        if held is None or held.reservation.at <= world.now or not _made_for(record, held):
            return None
        at = held.reservation.at
        if held.reservation.until != end_of_start(world, record, at):
            return None
        return held if fits_then(world, record, held.reservation.placement, at) else None

    def _may_be_earlier(self, held: HeldPlace) -> bool:
        """Whether it is worth a look: not for every event."""
        world = self._world
        waited = world.now - held.made >= world.settings.estimate_seconds
        return self._searches > 0 and held.version != world.version and waited

    def _sought(self, record: GangRecord) -> HeldPlace | None:
        world = self._world
        assert record.gang is not None
        waited = world.now - world.sought.get(record.key, -math.inf)
        if self._searches <= 0 or waited < world.settings.estimate_seconds:
            return None
        self._searches -= 1
        opening = look_ahead(world, record).opening
        if opening is None:
            world.sought[record.key] = world.now
            return None
        world.sought.pop(record.key, None)
        return HeldPlace(
            Reservation(
                booking_key(record.key),
                opening.at,
                end_of_start(world, record, opening.at),
                opening.placement,
            ),
            cause(opening.endings, world.reserved.ends),
            world.now,
            world.version,
            record.gang.spec,
        )

    def _remembered(self, record: GangRecord) -> HeldPlace | None:
        """What the Gang says that an earlier process held for it."""
        world = self._world
        assert record.gang is not None and world.state is not None
        known = record.gang.status.reservation
        if known is None or known.for_preemption or record.recalled:
            return None
        record.recalled = True
        try:
            at = seconds(known.start_time)
        except ValueError:
            return None
        nodes = [node for group in known.assignment for node in group.nodes]
        if at <= world.now or len(nodes) != fewest_slots(record.gang.spec):
            return None
        ends = {key: world.reserved.end_of(key) for key in tuple(world.state.keys())}
        gone = {key: None for key, end in ends.items() if end is not None and end <= at}
        over = [other for other in world.gangs.values() if booking_key(other.key) in gone]
        with world.state.simulation() as later:
            for key in gone:
                later.release(key)
            request = request_of(world, record, NodeMask(Counter(nodes)), at=at, over=over)
            placement = find(later, only(request, nodes))
        if placement is None:
            return None
        until = end_of_start(world, record, at)
        reservation = Reservation(booking_key(record.key), at, until, placement)
        return HeldPlace(reservation, known.why, world.now, world.version, record.gang.spec)


def let_go(world: World, key: tuple[str, str]) -> None:
    """Hold nothing for the gang any more."""
    if world.held_places.pop(key, None) is not None:
        world.reserved.drop(booking_key(key))
        world.version += 1  # who was held back by it may start now
        record = world.gangs.get(key)
        if record is not None:
            record.estimate = None if record.estimate is None or record.estimate.held else record.estimate
            world.dirty[key] = None
    world.sought.pop(key, None)


def lapse(world: World) -> None:
    """See to those who hold a place whose time has come, or that waits for a gang which does not end.

    They are asked again, and hold another place if they cannot start.
    """
    times = [held.reservation.at for held in world.held_places.values()]
    if times and any(time <= world.now for time in [*times, *world.reserved.ends.values()]):
        world.version += 1


def held_status(world: World, record: GangRecord) -> dict[str, Any] | None:
    """What is held for the gang, as `status.reservation` has it."""
    held = world.held_places.get(record.key)
    if held is None:
        return None
    return {
        "startTime": timestamp(math.ceil(held.reservation.at)),
        "assignment": assignment(held.reservation.placement),
        "why": held.why,
    }


def _made_for(record: GangRecord, held: HeldPlace) -> bool:
    assert record.gang is not None
    return held.spec == record.gang.spec
