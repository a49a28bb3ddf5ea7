"""The cheapest set of gangs that must be stopped for another one to start.

A set is enough if the engine itself places the whole gang once its members are gone: with all nodes, limits, losses and
budgets, and with whatever else the caller has a say in. For every domain that could hold the gang, a lower bound on the
price is known from what is missing there (:mod:`engine.preempting.regions`); domains are looked at in the order of
that, and no more of them once the best set found is as cheap as the next bound.

In a domain the cheapest set that meets what is known to be missing is asked first: where one rack takes the gang, that
is the answer. If the engine refuses it, and few gangs could help, all sets are gone through by price, as far as no
bound rules them out. If there are many, what the engine still misses is added, and then whatever is not needed is taken
out again, the dearest first. ``Plan.proved`` says whether nothing cheaper was passed over.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rackplane.engine.explaining import explanation
from rackplane.engine.explaining import groups as grouped
from rackplane.engine.model import Placement, Request
from rackplane.engine.placing.attempts import widest
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.domains import Domains
from rackplane.engine.placing.groups import Groups
from rackplane.engine.placing.placement import find, profiles
from rackplane.engine.placing.shortage import jam, shortages
from rackplane.engine.preempting.costs import Cost, Victim, weights
from rackplane.engine.preempting.covers import Cover, Demand, Gains, Work
from rackplane.engine.preempting.held import Held
from rackplane.engine.preempting.regions import Region, Survey
from rackplane.engine.preempting.releases import Releases
from rackplane.engine.preempting.runs import CheapestRuns, Cleared
from rackplane.engine.preempting.segments import clear_runs
from rackplane.engine.state import State

STEPS = 60_000
"""Steps of bounds in one search."""
RUN_STEPS = 3_000
"""Steps of the search for whole runs in one domain."""
CHECKS = 80
"""Sets that the engine is asked about in one search."""
HELPERS_TRIED = 10
"""Where at most so many gangs could help, every set of them is looked at or ruled out."""
REPAIRS = 8
LAST_TRIED = 3
"""Domains in which all who could be of use are stopped in thought, where nothing else has led to a plan."""


@dataclass(frozen=True, slots=True)
class Need:
    """What has to come free beside nodes and limits, as a quota: so much in all, and what stopping a gang gives."""

    amount: int
    gains: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """Stop the victims, cheapest to keep first, and the gang goes there. ``proved``: no set is cheaper, for certain."""

    placement: Placement
    victims: tuple[Victim, ...]
    cost: Cost
    proved: bool


def cheapest(
    state: State,
    request: Callable[[Collection[str]], Request],
    victims: Sequence[Victim],
    *,
    needs: Sequence[Need] = (),
    allowed: Callable[[Collection[str]], bool] = lambda _: True,
    admits: Callable[[Placement, Collection[str]], bool] = lambda _, __: True,
    checks: int = CHECKS,
) -> Plan | None:
    """The cheapest victims that let the gang start, and its place; None if none were found that do.

    Nothing is changed, and the same question has the same answer. A plan without victims says that none are needed.
    Of a gang whose slots differ the bounds are those of the group that is hardest to place.

    Args:
        request: the gang's request once these keys are gone: what their pods hold of nodes is not known here.
        victims: whoever may be stopped or made smaller, each of them booked.
        allowed: whether these keys may be stopped together. If they may, any part of them may.
        admits: whether what the engine does not know takes the placement, once these keys are gone.
        checks: sets that the engine is asked about at most.
    """
    asked = request(())
    if (grouped.invalid if asked.groups else explanation.invalid)(state, asked) is not None:
        return None
    victims = [v for v in victims if state.booking(v.booking) is not None]
    return _Search(state, request, victims, needs=needs, allowed=allowed, admits=admits, checks=checks).plan()


class _Search:
    def __init__(
        self,
        state: State,
        request: Callable[[Collection[str]], Request],
        victims: Sequence[Victim],
        *,
        needs: Sequence[Need],
        allowed: Callable[[Collection[str]], bool],
        admits: Callable[[Placement, Collection[str]], bool],
        checks: int,
    ) -> None:
        self.state, self.request, self.victims = state, request, victims
        self.keys = [v.key for v in victims]
        self.weights = weights(victims)
        place = {v.key: i for i, v in enumerate(victims)}
        self.needs: list[Demand] = [
            (Gains({place[k]: n for k, n in need.gains.items() if k in place}, self.weights), need.amount)
            for need in needs
            if need.amount > 0
        ]
        self._allowed, self._admits = allowed, admits
        self.unlike = bool(request(()).groups)
        self.work = Work(STEPS)
        self.checks = checks
        self.known: dict[frozenset[int], Placement | None] = {}
        self.best: frozenset[int] | None = None
        self.proved = True
        self.regions: list[Region] = []
        self.unsolved: list[Region] = []

    def plan(self) -> Plan | None:
        releases = Releases(self.state, self.victims)
        asked, freed = self.request(()), self.request(self.keys)
        for profile in profiles(self.state, asked):
            lead, freed_lead = self._lead(asked, profile), self._lead(freed, profile)
            survey = Survey(self.state, lead, freed_lead, profile, releases, self.weights)
            self.regions += survey.regions(self.needs)
        waiting = [(region.at_least, i, False) for i, region in enumerate(self.regions)]
        heapq.heapify(waiting)
        while waiting:
            least, i, looked = heapq.heappop(waiting)
            if self.best is not None and least >= self.price(self.best):
                break
            if looked:
                self._look_at(self.regions[i])
            else:  # what its limits cost may put it behind others
                heapq.heappush(waiting, (max(least, self.regions[i].least()), i, True))
        for region in self.unsolved[:LAST_TRIED]:
            if self.best is None and (found := self._of_all(region)) is not None:
                self._take(self._least_of(found))
        if self.best is None:
            return None
        placement = self.known[self.best]
        assert placement is not None
        chosen = [self.victims[v] for v in sorted(self.best, key=lambda v: (self.weights[v], self.keys[v]))]
        return Plan(placement, tuple(chosen), Cost.of(chosen), self.proved and not self.work.spent)

    def _lead(self, request: Request, profile: str) -> Request:
        """The request of slots that are all alike: of a gang of unlike ones, that of the hardest group alone."""
        if not request.groups:
            return request
        groups = Groups(self.state, request, profile, lambda _: (None, False))
        return groups.part(groups.order[0], groups.levels[-1])

    # -- one domain --------------------------------------------------------------------------------

    def _look_at(self, region: Region) -> None:
        below = None if self.best is None else self.price(self.best)
        cover = Cover(self.weights, region.demands, self.allowed, lambda _: True, self.work, below=below)
        runs = self._runs(region, below)
        if runs is not None and runs.proved and self._settled(region, runs.victims):
            return
        first = cover.cheapest()
        if first is None and not self.work.spent:
            return
        if first is not None and self.enough(first):
            if self.work.spent:
                first = self._least_of(first)
            self._take(first)
            return
        helpers = self._helpers(region)
        if len(helpers) <= HELPERS_TRIED:
            exact = Cover(
                self.weights,
                region.demands,
                self.allowed,
                self.enough,
                self.work,
                others=helpers,
                below=below,
            )
            found = exact.cheapest()
            if found is not None:
                self._take(found)
            return
        self.proved = False
        for start in (first, self._greedy_runs(region), None if runs is None else runs.victims):
            found = None if start is None else self._repaired(region, start)
            if found is not None:
                self._take(self._least_of(found))
        if self.best is None:
            self.unsolved.append(region)

    def _helpers(self, region: Region) -> list[int]:
        """Whoever could be of use there, the cheapest first; for unlike slots all, those on its nodes before others."""
        if self.unlike:
            everyone = range(len(self.victims))
            return sorted(everyone, key=lambda v: (v not in region.on_nodes, self.weights[v], v))
        useful = region.on_nodes | region.survey.helpers(region.domain)
        useful = useful.union(*(gains.amounts for gains, _ in self.needs))
        return sorted(useful, key=lambda v: (self.weights[v], v))

    def _runs(self, region: Region, below: int | None) -> Cleared | None:
        """The cheapest set by nodes alone that clears whole runs there; None where runs need no bin each."""
        segments = region.survey.segments(region.domain)
        request = region.survey.candidates.request
        if segments is None or request.segment_slots is None:
            return None
        run = request.segment_slots
        return CheapestRuns(segments, request.slots, run, self.weights, Work(RUN_STEPS), below).find()

    def _settled(self, region: Region, victims: frozenset[int] | None) -> bool:
        """Whether the cheapest set by nodes alone is the answer there, which nothing cheaper can be."""
        if victims is None:
            return True
        if not self.allowed(victims) or not region.meets(victims) or not self.enough(victims):
            return False
        self._take(victims)
        return True

    def _greedy_runs(self, region: Region) -> frozenset[int] | None:
        """A set that clears whole runs there, of those who may be stopped together; None if there is none."""
        segments = region.survey.segments(region.domain)
        request = region.survey.candidates.request
        if segments is None or request.segment_slots is None:
            return None
        return clear_runs(
            segments, request.slots, request.segment_slots, self.weights, self.allowed, Work(STEPS)
        )

    def _repaired(self, region: Region, start: frozenset[int]) -> frozenset[int] | None:
        """More victims, as long as the engine says what is missing in the domain; None if that leads nowhere."""
        chosen, demands = start, list(region.demands)
        for _ in range(REPAIRS):
            cover = Cover(self.weights, demands, self.allowed, lambda _: True, Work(STEPS))
            more = cover.cheapest(chosen)
            if more is None or (self.best is not None and self.price(more) >= self.price(self.best)):
                return None
            if self.enough(more):
                return more
            missing = self._missing(region, more)
            if missing is None or not missing[1]:
                return None
            chosen, demands = more, [missing]
        return None

    def _of_all(self, region: Region) -> frozenset[int] | None:
        """Of all who could be of use there as many as it takes, the cheapest first; None if all are too few."""
        chosen: list[int] = []
        for v in self._helpers(region):
            if self.allowed([*chosen, v]):
                chosen.append(v)
        low, high = 0, len(chosen)
        if not region.meets(chosen) or not self.enough(frozenset(chosen)):
            return None
        while low < high:
            middle = (low + high) // 2
            few = frozenset(chosen[:middle])
            if region.meets(few) and self.enough(few):
                high = middle
            else:
                low = middle + 1
        return frozenset(chosen[:high])

    def _missing(self, region: Region, chosen: frozenset[int]) -> Demand | None:
        """What the domain has too little of with these gone, by the limits one by one, then by filling it up."""
        survey, d = region.survey, region.domain
        with self.state.simulation() as later:
            self._release(later, chosen)
            asked = self._lead(self.request([self.keys[v] for v in chosen]), survey.candidates.profile)
            candidates = Candidates(later, asked, survey.candidates.profile)
            domains = Domains(widest(candidates))
            slots = candidates.request.slots
            free = int(domains.free[d])
            if free < slots:
                gains = {v: n for v, n in survey.gains(d).items() if v not in chosen}
                return Gains(gains, self.weights), min(slots - free, sum(gains.values()))
            only = domains.only(d)
            short = shortages(candidates, domains.room(only))[d]
            if short is None:
                room = [(c.rack, c.cap) for b in domains[d].bins for c in b.cells]
                stuck = jam(candidates, room)
                short = None if stuck is None else stuck.shortage
        if short is None:
            return None
        gains = {v: n for v, n in survey.watts(short.cell).items() if v not in chosen}
        return Gains(gains, self.weights), min(int(short.short_watts) + 1, sum(gains.values()))

    # -- sets --------------------------------------------------------------------------------------

    def price(self, chosen: Collection[int]) -> int:
        """The cost as one number."""
        return sum(self.weights[v] for v in chosen)

    def allowed(self, chosen: Collection[int]) -> bool:
        """Whether all of these may be stopped; of the ways in which one gang makes room it is one at most."""
        if len({self.victims[v].booking for v in chosen}) < len(chosen):
            return False
        return self._allowed([self.keys[v] for v in chosen])

    def _release(self, later: State, chosen: Iterable[int]) -> None:
        for v in chosen:
            later.release(self.victims[v].booking, self.victims[v].slots or None)

    def enough(self, chosen: frozenset[int]) -> bool:
        """Whether the gang starts once these are gone: the engine's word."""
        if chosen not in self.known:
            if not self.checks:
                self.proved = False
                return False
            self.checks -= 1
            keys = [self.keys[v] for v in sorted(chosen)]
            asked = self.request(keys)
            with self.state.simulation() as later:
                self._release(later, chosen)
                self.known[chosen] = find(later, asked, lambda offer: self._admits(offer, keys))
        return self.known[chosen] is not None

    def _take(self, chosen: frozenset[int]) -> None:
        if self.best is None or self.price(chosen) < self.price(self.best):
            self.best = chosen

    def _least_of(self, chosen: frozenset[int]) -> frozenset[int]:
        """Without whoever is not needed; the dearest are let go first, several at once where that goes."""
        order, at_once = sorted(chosen, key=lambda v: (-self.weights[v], v)), 1
        held = {v: Held.of(self.state, self.victims[v].booking) for v in chosen}
        with self.state.simulation() as later:
            self._release(later, chosen)
            while order:
                back, fewer = order[:at_once], chosen.difference(order[:at_once])
                if any(r.meets(fewer) for r in self.regions) and self._still_enough(
                    later, fewer, [held[v] for v in back]
                ):
                    chosen, order, at_once = fewer, order[at_once:], at_once * 2
                elif at_once == 1:
                    order = order[1:]
                else:
                    at_once //= 2
        return chosen

    def _still_enough(self, later: State, fewer: frozenset[int], back: Sequence[Held]) -> bool:
        """As :meth:`enough`, where those of ``back`` are gone as well; if it is, they are there again."""
        if fewer not in self.known:
            keys = [self.keys[v] for v in sorted(fewer)]
            with later.simulation():
                for held in back:
                    held.book(later)
                self.known[fewer] = find(later, self.request(keys), lambda offer: self._admits(offer, keys))
        if self.known[fewer] is None:
            return False
        for held in back:
            held.book(later)
        return True
