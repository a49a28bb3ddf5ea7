"""The cheapest moves that let a waiting gang start, or that make whole domains free.

A set of gangs is enough to move if the engine, with all of them gone, places the gang that waits and then each of them
anew, the largest first: with all nodes, limits, losses and budgets, and with whatever else the caller has a say in. So
no plan stops a gang that has nowhere to go.

What a set costs is what stopping it costs (:mod:`engine.preempting.costs`). Sets are gone through by a lower bound on
their price, in one order over all domains that could hold the gang (:mod:`engine.preempting.regions` knows what each
of them is missing); the first that is enough is therefore the cheapest. A set that is refused is tried with one more
gang: where few may be moved with any of them, since to make room for a moved gang others may have to be moved in
turn; where many may, only with those that are in the way of the gang that waits, and the plan is not proved to be the
cheapest. What may be looked at is bounded by counts, so the same question has the same answer.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from rackplane.engine.explaining import explanation
from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.placing.placement import find, profiles
from rackplane.engine.planning.moves import (
    Bounds,
    Gang,
    Movable,
    MovePlan,
    Places,
    changes,
    domains_of,
    in_order,
    made_whole,
    resettle,
    whole,
)
from rackplane.engine.preempting.costs import weights
from rackplane.engine.preempting.covers import Work
from rackplane.engine.preempting.regions import Region, Survey
from rackplane.engine.preempting.releases import Releases
from rackplane.engine.state import State

STEPS = 60_000
"""Steps of bounds in one search."""
CHECKS = 200
"""Sets that the engine is asked about in one search."""
CHAINS_TRIED = 12
"""Where at most so many gangs may be moved, any of them may be moved to make room for one that is moved."""


def start(
    state: State,
    gang: Gang,
    movable: Sequence[Movable],
    bounds: Bounds | None = None,
    *,
    checks: int = CHECKS,
) -> MovePlan | None:
    """The cheapest moves that let the gang start; None if none were found that do, or if it needs none.

    Nothing is changed.  For a gang whose slots differ nobody is moved: what its domains are missing is not known slot
    by slot.

    Args:
        movable: whoever may be moved, each of them booked, none of them Protected.
        bounds: what the plan may come to.
        checks: sets that the engine is asked about at most.
    """
    asked = gang.request((), {})
    if asked.groups or explanation.invalid(state, asked) is not None:
        return None
    movable = [m for m in movable if state.booking(m.key) is not None]
    found = _Search(state, gang, movable, bounds or Bounds(), checks).cheapest()
    if found is None or not found.moved:
        return None
    places = {gang.key: found.placement, **found.places}
    return MovePlan(
        gang.key,
        found.placement,
        changes(state, found.moved, places),
        made_whole(state, [m.key for m in found.moved], places),
        found.proved,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    placement: Placement
    moved: list[Movable]
    places: Places
    proved: bool


@dataclass(frozen=True, slots=True, order=True)
class _Open:
    """All sets of one region with the chosen ones and none of the other decided ones; ordered by what they cost."""

    at_least: int
    depth: int
    number: int
    region: int
    chosen: tuple[int, ...]
    decided: frozenset[int]
    next: int
    """Whom to decide on; -1: nothing that is known of is missing."""


class _Search:
    def __init__(
        self, state: State, gang: Gang, movable: Sequence[Movable], bounds: Bounds, checks: int
    ) -> None:
        self.state, self.gang, self.movable, self.bounds = state, gang, movable, bounds
        self.keys = [m.key for m in movable]
        self.weights = weights([m.cost for m in movable])
        self.work, self.checks = Work(STEPS), checks
        self.known: dict[frozenset[int], tuple[Placement, Places] | None] = {}
        self.complete = True
        self.open: list[_Open] = []
        self.regions: list[Region] = []
        self.pushed = 0
        self._helpers: dict[int, list[int]] = {}

    def cheapest(self) -> _Found | None:
        state, movable = self.state, self.movable
        releases = Releases(state, [m.cost for m in movable])
        asked, freed = self.gang.request((), {}), self.gang.request(self.keys, {})
        for profile in profiles(state, asked):
            survey = Survey(state, asked, freed, profile, releases, self.weights)
            self.regions += survey.regions(())
        for r in range(len(self.regions)):
            self._push(r, (), frozenset())
        while self.open and not self.work.spent:
            best = heapq.heappop(self.open)
            chosen, victim = frozenset(best.chosen), best.next
            if victim < 0:
                if self._enough(chosen):
                    return self._found(chosen)
                if self.checks <= 0:
                    self.complete = False
                    return None
                victim = self._another(best.region, best.decided)
                if victim < 0 or len(chosen) >= self.bounds.moves:
                    continue
            decided = best.decided | {victim}
            more = (*best.chosen, victim)
            if self.bounds.allow(movable[v].cost for v in more):
                self._push(best.region, more, decided)
            if best.next >= 0:
                self._push(best.region, best.chosen, decided)
            elif (cheapest := self._another(best.region, decided)) >= 0:
                # The chosen are not enough by themselves: what is left of these sets costs one more at least.
                self._push(best.region, best.chosen, decided, more=self.weights[cheapest])
        return None

    def _push(self, r: int, chosen: tuple[int, ...], decided: frozenset[int], *, more: int = 0) -> None:
        """Note these sets by a lower bound on what they cost, if any of them could be enough.

        Args:
            more: what any of them costs at least beside the chosen.
        """
        dearest, wanted, may_move = more, -1, self.bounds.moves - len(chosen)
        for gains, amount in self.regions[r].demands:
            missing = amount - sum(gains.amounts.get(v, 0) for v in chosen)
            if missing <= 0:
                continue
            if gains.most(may_move) < missing:
                return
            least, first, steps = gains.least(missing, decided)
            if not self.work.take(steps) or least is None:
                return
            if wanted < 0 or least > dearest:
                dearest, wanted = least, first
        price = sum(self.weights[v] for v in chosen)
        self.pushed += 1
        heapq.heappush(
            self.open, _Open(price + dearest, -len(chosen), self.pushed, r, chosen, decided, wanted)
        )

    def _another(self, r: int, decided: Collection[int]) -> int:
        """The cheapest who else may be moved and is not decided on; -1: nobody."""
        return next((v for v in self._others(r) if v not in decided), -1)

    def _others(self, r: int) -> list[int]:
        """Who else may be moved where a set that seemed enough is not, the cheapest first."""
        if r not in self._helpers:
            region = self.regions[r]
            useful = region.on_nodes | region.survey.helpers(region.domain)
            if len(self.movable) <= CHAINS_TRIED:
                useful = frozenset(range(len(self.movable)))
            elif len(useful) < len(self.movable):
                self.complete = False
            self._helpers[r] = sorted(useful, key=lambda v: (self.weights[v], self.keys[v]))
        return self._helpers[r]

    def _enough(self, chosen: frozenset[int]) -> bool:
        """Whether the gang starts once these are gone, and each of them finds another place."""
        if chosen not in self.known:
            self.checks -= 1
            self.known[chosen] = self._asked(in_order((self.movable[v] for v in chosen), self.state))
        return self.known[chosen] is not None

    def _asked(self, moved: list[Movable]) -> tuple[Placement, Places] | None:
        state, gang, keys = self.state, self.gang, [m.key for m in moved]
        places: Places = {}
        request = gang.request(keys, {})

        def settles(offer: Placement) -> bool:
            nonlocal places
            if not gang.admits(offer, keys, {}):
                return False
            with state.simulation():
                state.book(gang.key, offer, until=request.until)
                found = resettle(state, moved, {gang.key: offer})
            places = found or {}
            return found is not None

        with state.simulation():
            for key in keys:
                state.release(key)
            placement = find(state, request, settles)
        return None if placement is None else (placement, places)

    def _found(self, chosen: frozenset[int]) -> _Found:
        answer = self.known[chosen]
        assert answer is not None
        moved = in_order((self.movable[v] for v in chosen), self.state)
        return _Found(answer[0], moved, answer[1], self.complete)


def whole_domains(
    state: State, movable: Sequence[Movable], bounds: Bounds | None = None, *, checks: int = CHECKS
) -> MovePlan | None:
    """Moves that make whole domains free, the most of them for what is lost; None if there are none.

    One domain is emptied after the other, the one first that frees most for its price.  Nothing that is moved opens a
    domain that is free, and only domains are emptied that a gang could have: healthy, and with nothing on them that
    may not be moved.
    """
    bounds = bounds or Bounds()
    moved: list[Movable] = []
    by_key = {m.key: m for m in movable if state.booking(m.key) is not None}
    weight = dict(zip(by_key, weights([m.cost for m in by_key.values()]), strict=True))
    domains = domains_of(state)
    on = {name: _on(state, nodes) for name, nodes in domains.items()}
    worth: list[tuple[Fraction, str]] = []
    for name, nodes in domains.items():
        keys = on[name]
        if keys and keys <= by_key.keys() and all(_usable(state, node) for node in nodes):
            freed = sum(bool(others) and others <= keys for others in on.values())
            worth.append((Fraction(sum(weight[k] for k in keys), freed), name))
    places: dict[str, Placement] = {}
    with state.simulation():
        for _, name in sorted(worth):
            keys = _on(state, domains[name])
            group = in_order((by_key[k] for k in keys), state)
            if not keys or not keys.isdisjoint(places):
                continue  # free by now, or one that was moved is there
            if not bounds.allow(m.cost for m in [*moved, *group]):
                continue
            if checks <= 0:
                break
            checks -= 1
            barred = {node for nodes in domains.values() if whole(state, nodes) for node in nodes}
            found = _emptied(state, group, places, barred.union(domains[name]))
            if found is None:
                continue
            for key in keys:
                state.release(key)
            for key, place in found.items():
                state.book(key, place)
            places |= found
            moved += group
    if not moved:
        return None
    freed_names = made_whole(state, [m.key for m in moved], places)
    return MovePlan(None, None, changes(state, moved, places), freed_names, False)


def _emptied(
    state: State, group: Sequence[Movable], places: Places, barred: Collection[str]
) -> Places | None:
    """Where these find a place off the barred nodes, beside what has moved already."""

    def only(request: Request) -> Request:
        known = (
            dict.fromkeys(state.inventory.names, UNLIMITED) if request.capacity is None else request.capacity
        )
        return replace(request, capacity=NodeMask.of(known).changed(dict.fromkeys(barred, 0)))

    if any(m.gang.request((), {}).groups for m in group):
        return None  # each of its groups has nodes of its own
    with state.simulation():
        for m in group:
            state.release(m.key)
        return resettle(state, group, places, before=places, only=only)


def _on(state: State, nodes: Sequence[str]) -> set[str]:
    return {key for node in nodes for key in state.keys_on(node)}


def _usable(state: State, node: str) -> bool:
    spec, facility = state.node(node), state.facility
    rack = None if spec is None or spec.rack is None else facility.rack_index.get(spec.rack)
    return (
        spec is not None
        and spec.healthy
        and not state.other_gpus(node)
        and rack is not None
        and facility.usable(rack)
    )
