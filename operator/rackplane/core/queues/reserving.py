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
from collections.abc import Callable
from dataclasses import replace

from rackplane.core.gangs.decisions import Estimate, HeldPlace, booking_key, key_of
from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.record import GangRecord
from rackplane.core.learning.counting import may_count_so
from rackplane.core.queues.ahead import apart, bounded, cause, fits_then, look_ahead, only, room_before
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.following import follow
from rackplane.core.queues.gates import Gates
from rackplane.core.queues.groupbudgets import counts_anywhere
from rackplane.core.queues.holds import hold, let_go, made_for
from rackplane.core.queues.quotaholds import QuotaHolds
from rackplane.core.queues.sound import as_first, as_of, is_first, is_sound
from rackplane.core.queues.waiting import Wait
from rackplane.core.world import World
from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.placing.placement import find
from rackplane.engine.planning.outlook import Ending
from rackplane.engine.queueing.order import Line
from rackplane.engine.queueing.reservations import backfill
from rackplane.engine.queueing.shadow import Reservation, gpus_by_node

__all__ = ["Backfill"]


class Backfill:
    """The reservations of one pass over the queue."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._beside, self._beside_growth = Beside(world), Beside(world, goes_on=True)
        self._quota = QuotaHolds(world)
        self._left = self._searches = world.settings.reservations
        self._refused: dict[tuple[Request, str, str, bool], str] = {}
        self._version = world.stamp
        for r in world.reserved:
            world.reserved.drop(r.key)
        for key, before in list(world.set_aside.items()):
            if world.now - before.made >= world.settings.estimate_seconds or not world.waiting.waits(key):
                del world.set_aside[key]
        # What is held already binds everybody; the rest is put back as the pass comes to those who hold it.
        for key, held in world.held_places.items():
            if held.reservation.blocks:
                until = end_of_start(world, world.gangs[key], world.now)
                world.reserved.put(replace(held.reservation, until=until))

    def place(
        self,
        record: GangRecord,
        request: Request,
        offer: Placement,
        admits: Callable[[Placement], bool] = lambda _: True,
    ) -> Placement | str:
        """The offer, or another place, beside all that is reserved for the gangs before; or why there is none.

        Of a gang that runs it is for what it would have beside what it has.

        Args:
            admits: what else has a say in another place.
        """
        found = self._place(record, request, offer, admits)
        if isinstance(found, Placement) or request.feeding is None:
            return found
        # What is only preferred keeps nobody from a place.
        plain = replace(request, feeding=None)
        if (refused := self._refused.get(self._asked(record, plain))) is not None:
            return refused
        assert self._world.state is not None
        other = find(self._world.state, plain, admits)
        return found if other is None else self._place(record, plain, other, admits)

    def _asked(self, record: GangRecord, request: Request) -> tuple[Request, str, str, bool]:
        assert record.gang is not None
        return request, record.gang.spec.queue, record.key[0], request.feeding is None

    def _place(
        self,
        record: GangRecord,
        request: Request,
        offer: Placement,
        admits: Callable[[Placement], bool],
    ) -> Placement | str:
        world = self._world
        assert world.state is not None and record.gang is not None
        beside = self._beside if record.decision is None else self._beside_growth
        shadows = beside.shadows(record, request.until)
        if not shadows and not world.quota_ahead:
            return offer
        if self._version != world.stamp:
            self._refused.clear()
            self._version = world.stamp
        asked = self._asked(record, request)
        if asked in self._refused:
            return self._refused[asked]
        in_way = beside.quota_in_way(record, offer)
        if in_way is not None and in_way.budget and not request.strict:
            # At fewer watts the budget may take both.
            def leaves_it(placement: Placement) -> bool:
                return beside.quota_in_way(record, placement) is None and admits(placement)

            lower = find(world.state, request, leaves_it)
            offer, in_way = (offer, in_way) if lower is None else (lower, None)
        if in_way is not None:
            self._refused[asked] = f"may not delay {in_way.words(world.now)}"
            return self._refused[asked]
        if not shadows:
            return offer

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
                room and beside.leaves_quota(record, placement) and (placement is offer or admits(placement))
            )

        count_usages(world)
        found = backfill(world.state, request, offer, shadows, narrow=narrow, admits=accepts)
        if found is not None:
            return found
        until = math.inf if request.until is None else request.until
        self._refused[asked] = self._may_not_delay(self._outlasted(record, until)[0])
        return self._refused[asked]

    def _outlasted(self, record: GangRecord, until: float) -> list[Reservation]:
        """What is reserved for others that the gang would be in the way of, were it over by then."""
        mine = booking_key(record.key)
        return [r for r in self._world.reserved if r.key != mine and (r.blocks or r.at < until)]

    def _may_not_delay(self, ahead: Reservation) -> str:
        held = self._world.held_places[key_of(ahead.key)]
        return f"may not delay gang {ahead.key}, which holds {held.words}"

    def keeps_out(self, record: GangRecord, line: Line, until: float, gates: Gates, told: str) -> bool:
        """Whether the gang would be told again that it may not delay others, told by a bound alone.

        Not known where quotas have a say, or of one that holds a place itself.

        Args:
            until: when it would be over.
            told: what it was told last.
        """
        world = self._world
        if record.key in world.held_places or counts_anywhere(world, line.queue):
            return False
        others = self._outlasted(record, until)
        return bool(others) and told == self._may_not_delay(others[0]) and not gates.leaves_room(line, others)

    def reserve(self, record: GangRecord) -> None:
        """Hold a place for a gang that was refused, if it is among the first."""
        world = self._world
        if not self._left:
            # Shares change with each gang that starts or ends: it may well be among the first again soon.
            if (passed := world.held_places.get(record.key)) is not None:
                world.set_aside[record.key] = passed
            self._release(record)
            return
        follow(world)
        held = self._still_held(record) or self._held_longer(record)
        if held is None or self._may_be_earlier(held):
            found = self._sought(record, held)
            if found is not None and (held is None or found.reservation.at < held.reservation.at):
                held = found
            elif held is not None:
                held = replace(held, made=world.now, version=world.version, first_at=as_first(world, record))
        if held is None:
            self._release(record)
            return
        self._left -= 1
        hold(world, record, held)
        due = [held.reservation.at, *world.reserved.ends.values()]
        if held.version != world.version:
            due.append(held.made + world.settings.estimate_seconds)
        world.waiting.due = min(world.waiting.due, *due)
        words = f"holds {held.words}, when {held.why}"
        world.waiting.estimated[record.key] = None
        record.estimate = Estimate(world.stamp, world.now, held.reservation.at, words, held.place)

    def seeks_quota(self, queue: str) -> bool:
        """Whether the next of the queue that waits for quota may hold it."""
        return self._quota.is_sought(queue)

    @property
    def seeks_any_quota(self) -> bool:
        """Whether the next of any queue may."""
        return self._quota.seeks_any

    def would_hold_quota(self, record: GangRecord) -> bool:
        """Whether the gang, which holds none, would hold quota if that is what it waits for."""
        assert record.gang is not None
        return record.key not in self._world.held_quota and self.seeks_quota(record.gang.spec.queue)

    def hold_quota(self, record: GangRecord, wait: Wait) -> None:
        """Hold quota, and room in budgets, for a gang that was refused, if it is the first that waits for it."""
        self._quota.consider(record, dict(wait.asks), wait.budget, waits=wait.foreseeable)

    def let_unasked_quota_go(self) -> None:
        """The pass is over: quota is held for those that it has come to."""
        self._quota.let_go_unasked()

    @property
    def may_reserve(self) -> bool:
        """Whether another gang might still get a place to hold in this pass."""
        return self._left > 0 and self._searches > 0

    def own_place(self, record: GangRecord, request: Callable[[], Request]) -> Placement | None:
        """The place that is held for the gang, if it can start there now: a search may not find it again."""
        world, held = self._world, self._world.held_places.get(record.key)
        if held is None or not made_for(record, held) or world.state is None:
            return None
        # Most often somebody is there still: then there is nothing to ask.
        wanted = gpus_by_node(held.reservation.placement)
        if any(gpus > world.state.free_gpus(node) for node, gpus in wanted.items()):
            return None
        return find(world.state, only(request(), held.reservation.placement.slots))

    def _release(self, record: GangRecord) -> None:
        if record.key in self._world.held_places:
            let_go(self._world, record.key)

    def _still_held(self, record: GangRecord) -> HeldPlace | None:
        """What the gang held before, if it may go on holding it."""
        world = self._world
        held = world.held_places.get(record.key) or world.set_aside.pop(record.key, None)
        if held is None or held.reservation.at <= world.now or not self._as_asked(record, held):
            return None
        at = held.reservation.at
        if held.reservation.until != end_of_start(world, record, at):
            return None
        if is_sound(world, record, held):
            return held
        if not fits_then(world, record, held.reservation.placement, at):
            return None
        return replace(held, found_at=as_of(world))

    def _held_longer(self, record: GangRecord) -> HeldPlace | None:
        """The place that it held, from when the gangs there that run past their expected end are taken to be over.

        Nobody else is let in meanwhile: of those who would be over by then half would run over too where people say
        only roughly how long they run, and no place would ever be free.
        """
        world = self._world
        held = world.held_places.get(record.key)
        if held is None or held.reservation.exclusive or not self._as_asked(record, held):
            return None
        place = held.reservation.placement
        there = {booking_key(key) for node in dict.fromkeys(place.slots) for key in world.gangs_on(node)}
        ends = {key: world.reserved.end_of(key) for key in there}
        late = world.reserved.ends
        if not any(key in late for key in there) or None in ends.values():
            return None
        at = max(end for end in ends.values() if end is not None)
        latest = world.now + world.settings.lookahead_seconds
        if not world.now < at <= latest or not fits_then(world, record, place, at):
            return None
        last = [Ending(key, of_budget=False) for key, end in sorted(ends.items()) if end == at]
        reservation = replace(held.reservation, at=at, until=end_of_start(world, record, at), kept_free=True)
        return replace(
            held,
            reservation=reservation,
            why=cause(last, late),
            made=world.now,
            version=world.version,
            first_at=None,
        )

    def _as_asked(self, record: GangRecord, held: HeldPlace) -> bool:
        """Whether the gang still asks for what the place was found for, and would count there as then."""
        return made_for(record, held) and may_count_so(self._world, record, held.reservation.placement)

    def _may_be_earlier(self, held: HeldPlace) -> bool:
        """Whether it is worth a look: not for every event."""
        world = self._world
        waited = world.now - held.made >= world.settings.estimate_seconds
        return self._searches > 0 and held.version != world.version and waited

    def _sought(self, record: GangRecord, held: HeldPlace | None) -> HeldPlace | None:
        """The first place that the gang could have, beside what others hold.

        Args:
            held: the place that it has; one that starts no earlier need not be found.
        """
        world = self._world
        assert record.gang is not None
        waited = world.now - world.sought.get(record.key, -math.inf)
        if self._searches <= 0 or waited < world.settings.estimate_seconds:
            return None
        self._searches -= 1
        if held is not None and (
            is_first(world, record, held) or not room_before(world, record, held.reservation.at)
        ):
            world.sought.pop(record.key, None)
            return None
        outlook = look_ahead(world, record)
        opening = outlook.opening
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
            first_at=as_first(world, record) if outlook.certain else None,
        )
