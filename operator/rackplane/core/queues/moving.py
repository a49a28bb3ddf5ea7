"""Which gangs could be moved so that one that waits starts, or so that whole domains come free.

A gang may be moved if it may be stopped (:mod:`core.victims`): a Job's, not Protected. For a gang that waits nobody of
a higher priority is moved. Each has to find its new place by all that is asked of a gang that starts: what its pods
need of nodes, quotas and budgets, places that are held or reserved for others; and at the power profile that it runs
at, so that no move makes a gang slower. Gangs of unlike pods, and gangs whose pods keep near to others or away from
them, are not moved, and none is moved for them. Nothing is changed here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from rackplane.api.gang import Disruption
from rackplane.core.gangs.asking import mask_of, quota_of, request_of, slots_after, usage_of
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.pods.narrowing import narrowed
from rackplane.core.queues.ahead import only
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.following import follow
from rackplane.core.queues.priorities import standing
from rackplane.core.queues.victims import may_be_stopped, victim_of
from rackplane.core.world import World
from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.placing.placement import find
from rackplane.engine.planning import defrag
from rackplane.engine.planning.moves import Bounds, Gang, Movable, MovePlan, Places

__all__ = ["as_planned", "may_be_moved", "movable", "moves_for", "moves_for_domains", "rests"]


def movable(world: World, *, priority: int | None = None, carried_out: bool = False) -> list[GangRecord]:
    """Gangs that may be moved, up to that priority; whoever is stopped or moved for others already is none.

    Args:
        carried_out: only those that may be moved without asking anybody.
    """
    stopping = {victim for held in world.held_places.values() for victim in held.victims}
    return [
        record
        for record in world.gangs.values()
        if record.gang is not None
        and record.key not in stopping
        and record.key not in world.held_places
        and may_be_stopped(record)
        and (not carried_out or may_be_moved(world, record))
        and not rests(world, record)
        and (priority is None or standing(record.gang.spec, world.catalog.queue) <= priority)
        and _is_simple(world, record)
        and not _is_resized(world, record)
    ]


def may_be_moved(world: World, record: GangRecord) -> bool:
    """Whether the gang may be moved without asking anybody: a Job's that is Checkpointable."""
    return (
        may_be_stopped(record)
        and not record.external()
        and record.gang is not None
        and record.gang.spec.disruption == Disruption.CHECKPOINTABLE
        and not _is_resized(world, record)
    )


def rests(world: World, record: GangRecord) -> bool:
    """Whether the gang was moved not long ago."""
    last = None if record.gang is None else record.gang.status.last_move
    if last is None:
        return False
    with contextlib.suppress(ValueError):
        return world.now < seconds(last.time) + world.settings.rest_seconds
    return False


def _is_resized(world: World, record: GangRecord) -> bool:
    """Whether the gang, which may run with fewer slots, is about to run with more or fewer."""
    assert world.state is not None and record.gang is not None
    if record.gang.spec.min_slots is None:
        return False
    held = world.state.held(booking_key(record.key))
    return record.previous is not None or record.target != len(held)


def moves_for(
    world: World,
    record: GangRecord,
    bounds: Bounds,
    beside: Beside,
    *,
    checks: int = defrag.CHECKS,
    carried_out: bool = False,
) -> MovePlan | None:
    """The cheapest moves that let the waiting gang start; None if there are none. The options are as of `movable`."""
    assert world.state is not None and record.gang is not None
    standing_of = standing(record.gang.spec, world.catalog.queue)
    gangs = movable(world, priority=standing_of, carried_out=carried_out)
    if not gangs or not _is_simple(world, record):
        return None
    asking = _Asking(world, beside, [record, *gangs], starts=record)
    return defrag.start(
        world.state, asking.gang(record), list(map(asking.movable, gangs)), bounds, checks=checks
    )


def moves_for_domains(
    world: World, bounds: Bounds, beside: Beside, *, carried_out: bool = False
) -> MovePlan | None:
    """Moves that make whole domains free; None if there are none. The options are as of `movable`."""
    assert world.state is not None
    gangs = movable(world, carried_out=carried_out)
    if not gangs:
        return None
    asking = _Asking(world, beside, gangs)
    return defrag.whole_domains(world.state, list(map(asking.movable, gangs)), bounds)


def as_planned(
    world: World,
    beside: Beside,
    starts: GangRecord | None,
    places: Sequence[tuple[GangRecord, Placement]],
    leaving: Sequence[GangRecord],
) -> bool:
    """Whether each of these fits its place, one after the other, once those that leave are gone.

    Args:
        starts: the first of them, if it is the gang that waits.
    """
    assert world.state is not None
    asking = _Asking(world, beside, [*(record for record, _ in places), *leaving], starts=starts)
    gone, so_far = [booking_key(record.key) for record in leaving], dict[str, Placement]()
    with world.state.simulation() as later:
        for key in gone:
            later.release(key)
        for record, place in places:
            asked = asking.at(record, place, gone, so_far)
            if asked is None:
                return False
            later.book(booking_key(record.key), asked)
            so_far[booking_key(record.key)] = asked
    return True


def _is_simple(world: World, record: GangRecord) -> bool:
    """Whether its pods are alike, and keep no company: what that would be after some moves is not worked out."""
    return not record.groups and record.pod_class is not None and narrowed(world, record) is None


class _Asking:
    """What gangs ask for while some are gone and others have places that the state's books alone know of."""

    def __init__(
        self, world: World, beside: Beside, gangs: Iterable[GangRecord], *, starts: GangRecord | None = None
    ) -> None:
        """``starts``: the gang that waits; what is reserved for it later nobody has to mind."""
        self.world, self.beside, self._asked = world, beside, 0
        but = None if starts is None else booking_key(starts.key)
        self._beside_later = Beside(world, but=but)
        self.records = {booking_key(record.key): record for record in gangs}
        count_usages(world)  # whoever asks in a simulation has asked before it
        follow(world)

    def gang(self, record: GangRecord) -> Gang:
        """One that waits."""
        return Gang(booking_key(record.key), self._requests(record, self.beside), self._admits(record))

    def movable(self, record: GangRecord) -> Movable:
        """One that runs."""
        assert self.world.state is not None
        held = self.world.state.booking(booking_key(record.key))
        assert held is not None and record.gang is not None
        profile, slots = held.power_profile, None
        if record.gang.spec.min_slots is not None:
            slots = len(self.world.state.held(booking_key(record.key)))  # no move makes it smaller

        def at_its_profile(request: Request) -> Request:
            return replace(
                request, power_profile=profile, strict=True, slots=request.slots if slots is None else slots
            )

        requests = self._requests(record, self._beside_later, at_its_profile)
        return Movable(
            Gang(booking_key(record.key), requests, self._admits(record)),
            victim_of(self.world, record),
        )

    def at(
        self, record: GangRecord, place: Placement, gone: Collection[str], places: Places
    ) -> Placement | None:
        """The gang in this place, in a state that has been changed so; None if it does not fit there any more."""
        assert self.world.state is not None
        asked = self._requests(record, self._beside_later)(gone, places)
        asked = replace(asked, slots=len(place.slots), power_profile=place.power_profile, strict=True)
        admits = self._admits(record)
        return find(self.world.state, only(asked, place.slots), lambda offer: admits(offer, gone, places))

    def _requests(
        self, record: GangRecord, beside: Beside, changed: Callable[[Request], Request] = lambda r: r
    ) -> Callable[[Collection[str], Places], Request]:
        world = self.world
        # Made when first asked for: most of those who may be moved are never asked about. And one for all questions, so
        # that the engine follows it instead of counting every node for each.
        masks: list[NodeMask] = []
        differing: dict[str, None] = {}

        def request(gone: Collection[str], places: Places) -> Request:
            if not masks:
                now = mask_of(world, record)
                masks.extend((now, now.changed({})))
            now, later = masks
            freed = self._slots(record, gone, places) if gone or places else {}
            less = beside.less(record, lambda node: freed.get(node, now.get(node)), self._apart(gone))
            differs = {**freed, **less}
            for node in {**differing, **differs}:
                later.set(node, differs[node] if node in differs else now.get(node))
            differing.clear()
            differing.update(dict.fromkeys(differs))
            return changed(request_of(world, record, later))

        return request

    def _slots(self, record: GangRecord, gone: Collection[str], places: Places) -> dict[str, int]:
        """Pods of the gang by node, of the nodes where these were or are to be."""
        over = [self.records[key] for key in gone]
        placed = [(self.records[key], place) for key, place in places.items()]
        return slots_after(self.world, record, over, placed)

    def _apart(self, gone: Collection[str]) -> Collection[str]:
        """What is gone, and a name that no other question has.

        Answers are kept by who is gone; nobody else's are to be found by what only this plan has placed.
        """
        self._asked += 1
        return {*gone, f"plan {self._asked}"}

    def _admits(self, record: GangRecord) -> Callable[[Placement, Collection[str], Places], bool]:
        world = self.world

        def admits(offer: Placement, gone: Collection[str], places: Places) -> bool:
            # For the gang that waits the moved ones count as they are: they come back.
            anew = booking_key(record.key) in gone
            plus = [
                (booking_key(self.records[key].key), usage_of(world, self.records[key], place))
                for key, place in (places.items() if anew else ())
            ]
            refusal = quota_of(world, record, offer, without=gone if anew else (), plus=plus)
            beside = self._beside_later if anew else self.beside
            return refusal is None and beside.leaves_room(record, offer, self._apart(gone))

        return admits
