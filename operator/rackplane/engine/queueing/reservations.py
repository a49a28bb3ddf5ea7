"""Places held for gangs that wait, and what may go ahead of them: backfill that delays nobody.

A gang that cannot start holds a place from the earliest time at which it could. Another may start before it if it is
expected to be over by then, or if at that time both fit together: on nodes, and under every limit in every contingency,
with all that is expected to be over by then gone. That is EASY backfill (Lifka 1995) with one reservation, and
conservative backfill for the first N with N.

Bookings only end between two reserved times, so whoever fits now and at each reserved time before its own end fits at
every time in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.placing.placement import find
from rackplane.engine.planning.outlook import Span
from rackplane.engine.queueing.shadow import Reservation, Shadow
from rackplane.engine.state import State

__all__ = ["FIRST_EXTENSION_SECONDS", "Reservations", "backfill", "bounds", "extended_end", "restricted"]

FIRST_EXTENSION_SECONDS = 5.0
"""A gang that has run past its expected end is first taken to need so much longer: as long as pods take to go."""


def extended_end(end: float, now: float) -> float:
    """When a gang is taken to end that was expected to be over at ``end``, which has passed.

    5 s later, then 10 s, 20 s and so on: at most as long again as it has run over. Tsafrir et al. correct predictions
    in growing steps like that (Backfilling Using System-Generated Predictions, 2007). It changes a few times instead
    of all the time.
    """
    longer = FIRST_EXTENSION_SECONDS
    while end + longer <= now:
        longer *= 2
    return end + longer


class Reservations:
    """What is reserved, beside one state.

    Shadows are made when they are asked for, and kept until something changes.
    """

    def __init__(self) -> None:
        self.made = 0
        """Shadows made so far: what the questions have cost."""
        self.revision = 0
        """Another one whenever something else is reserved."""
        self._held: dict[str, Reservation] = {}
        self._state: State | None = None
        self._stamp: object = None
        self._ends: Mapping[str, float] = {}
        self._shadows: dict[tuple[float, str | None, frozenset[str]], Shadow] = {}

    # -- what is reserved --------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Reservation]:
        return iter(tuple(self._held.values()))

    def get(self, key: str) -> Reservation | None:
        """What is reserved for the gang."""
        return self._held.get(key)

    def put(self, reservation: Reservation) -> None:
        """Hold this, instead of what was held for the gang before."""
        if self._held.get(reservation.key) != reservation:
            self._held[reservation.key] = reservation
            self.revision += 1
            self._shadows.clear()

    def drop(self, key: str) -> None:
        """Hold nothing more for the gang."""
        if self._held.pop(key, None) is not None:
            self.revision += 1
            self._shadows.clear()

    def spans(self, *, but: str | None = None) -> list[Span]:
        """From when to when something else is in each place, for :func:`earliest_start`."""
        return [
            Span(r.key, float("-inf") if r.blocks else r.at, r.until, of_budget=False)
            for r in self._held.values()
            if r.key != but
        ]

    # -- the state beside it -----------------------------------------------------------------------

    def follow(self, state: State, stamp: object, ends: Mapping[str, float] | None = None) -> None:
        """Answer for this state from now on.  To be called whenever it may have changed.

        Args:
            stamp: another one for every other content of the state.
            ends: when bookings are taken to end that the state expects no end of; not to be changed any more.
        """
        if state is not self._state or stamp != self._stamp:
            self._shadows.clear()
            self._state, self._stamp = state, stamp
            self._ends = {} if ends is None else ends

    def stands_for(self, state: State, stamp: object) -> bool:
        """Whether it answers for this content of this state already."""
        return state is self._state and stamp == self._stamp

    @property
    def ends(self) -> Mapping[str, float]:
        """When bookings are taken to end that the state expects no end of."""
        return self._ends

    def end_of(self, key: str) -> float | None:
        """When the booking is taken to be over; None: never."""
        assert self._state is not None
        until = self._state.until(key)
        return self._ends.get(key) if until is None else until

    def beside(
        self, start: float, until: float | None, *, but: str | None = None, gone: frozenset[str] = frozenset()
    ) -> tuple[Shadow, ...]:
        """The reserved times at which something that runs from ``start`` to ``until`` must fit as well.

        Args:
            but: a gang that need not mind its own reservation.
            gone: bookings that would make way for it.
        """
        times: dict[float, None] = {}
        for r in self._held.values():
            if r.key != but and start < r.until and (r.blocks or until is None or r.at < until):
                times[max(r.at, start)] = None
        return tuple(self.at(time, but=but, gone=gone) for time in sorted(times))

    def at(self, time: float, *, but: str | None = None, gone: frozenset[str] = frozenset()) -> Shadow:
        """The state at that time, with all that is reserved then."""
        assert self._state is not None
        key = (time, but if but in self._held else None, gone)
        found = self._shadows.get(key)
        if found is None:
            self.made += 1
            reserved = [
                r
                for r in self._held.values()
                if r.key != but and time < r.until and (r.blocks or r.at <= time)
            ]
            away = gone.union(*(r.over for r in reserved))
            found = self._shadows[key] = Shadow(self._state, time, reserved, ends=self._ends, away=away)
        return found


def bounds(
    shadows: Iterable[Shadow], gpus_per_slot: int, profile: str, among: Collection[str] | None = None
) -> dict[str, int]:
    """Node -> slots that it takes at each of these times, of the nodes that reservations touch.

    Args:
        among: only of these nodes; None: of all.
    """
    found: dict[str, int] = {}
    for shadow in shadows:
        for node in shadow.nodes:
            if among is not None and node not in among:
                continue
            found[node] = min(found.get(node, UNLIMITED), shadow.slots(node, gpus_per_slot, profile))
    return found


def restricted(state: State, request: Request, shadows: Sequence[Shadow]) -> Request:
    """The request with nodes bounded by what they take at each of these times."""

    def mask(capacity: Mapping[str, int] | NodeMask | None, gpus_per_slot: int) -> NodeMask:
        known = dict.fromkeys(state.inventory.names, UNLIMITED) if capacity is None else capacity
        found, less = NodeMask.of(known), bounds(shadows, gpus_per_slot, request.power_profile)
        return found.changed({node: min(bound, found.get(node)) for node, bound in less.items()})

    groups = tuple(replace(g, capacity=mask(g.capacity, g.gpus_per_slot)) for g in request.groups)
    return replace(
        request,
        groups=groups,
        capacity=request.capacity if groups else mask(request.capacity, request.gpus_per_slot),
    )


def backfill(
    state: State,
    request: Request,
    offer: Placement,
    shadows: Sequence[Shadow],
    *,
    narrow: Callable[[Request], Request] | None = None,
    admits: Callable[[Placement], bool] = lambda _: True,
) -> Placement | None:
    """The offer if it holds at each of these times too; else another place that does; None if there is none.

    Args:
        request: what ``offer`` is the answer to.
        narrow: the request bounded to what nodes take at those times; None: by GPUs and power profile alone.
        admits: what else has a say.
    """

    def holds(placement: Placement) -> bool:
        return all(shadow.takes(placement, request.until) for shadow in shadows)

    if holds(offer) and admits(offer):
        return offer
    less = restricted(state, request, shadows) if narrow is None else narrow(request)
    return find(state, less, lambda placement: holds(placement) and admits(placement), later=shadows)
