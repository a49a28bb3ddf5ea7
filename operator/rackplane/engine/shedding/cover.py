"""A cheap choice that takes enough off every limit, for any number of gangs: stage by stage, with prices for limits.

In each stage (see :mod:`engine.shedding.costs`), from the harshest that is needed down, the gangs' steps are taken in
the order of what they give, at a price for each limit, for what they lose. That is done for each cluster of limits
apart, such as the UPSs of one hall (:mod:`engine.shedding.clusters`). The prices are raised where too little was taken
off and lowered where too much was (multiplicative weights: Plotkin, Shmoys and Tardos 1995); each cluster keeps the
cheapest choice that it has seen. What turns out not to be needed is given back, and of the steps about which prices say
least every combination is tried (:mod:`engine.shedding.windows`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.shedding.clusters import cluster_of_each
from rackplane.engine.shedding.windows import Turns, best_turns

__all__ = ["ABSENT", "ENOUGH_WATTS", "Offers", "choose"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ABSENT = 1 << 30
"""The stage of a level that a gang does not have."""
_ROUNDS = 4
ENOUGH_WATTS = 1e-6
"""Watts by which sums may be off."""


@dataclass(frozen=True, slots=True)
class Offers:
    """By gang and level, what a measure gives and loses, and in which stage; level 0 is to leave the gang alone.

    ``gives`` is by gang, level and limit, in watts; ``losses`` and ``stages`` by gang and level. Stages rise with the
    level, the mildest is 0; level 0 is of stage -1, and levels that a gang does not have are ``ABSENT``.
    """

    gives: Floats
    losses: Floats
    stages: Ints

    def within(self, stage: int) -> Ints:
        """By gang, the highest level whose stage is at most this one."""
        return np.asarray((self.stages <= stage).sum(axis=1) - 1, dtype=np.int64)

    def given(self, levels: Ints) -> Floats:
        """By limit, what is taken off at these levels of the gangs."""
        return np.asarray(self.gives[np.arange(len(levels)), levels].sum(axis=0))

    def part(self, gangs: Ints, limits: Ints) -> Offers:
        """Of these gangs, for these limits."""
        if len(gangs) < len(self.gives):
            return Offers(self.gives[gangs], self.losses[gangs], self.stages[gangs]).of(limits)
        return self.of(limits)

    def of(self, limits: Ints) -> Offers:
        """For these limits."""
        if len(limits) == self.gives.shape[2]:
            return self
        return Offers(np.ascontiguousarray(self.gives[:, :, limits]), self.losses, self.stages)


def choose(offers: Offers, missing: Floats, clusters: Ints) -> Ints:
    """Levels of the gangs that take at least ``missing`` (watts by limit) off; all gangs' highest must be enough.

    ``clusters`` is the number of its cluster, by limit.
    """
    deciding = _deciding(offers.gives, missing)
    offers, missing, clusters = offers.of(deciding), missing[deciding], clusters[deciding]
    top = int(offers.stages[offers.stages < ABSENT].max(initial=-1))
    stage = -1
    while stage < top and not _enough(offers.given(offers.within(stage)), missing):
        stage += 1
    levels, fixed = offers.within(stage), np.zeros(len(offers.stages), dtype=np.bool_)
    for now in range(stage, -1, -1):
        base = np.where(fixed, levels, offers.within(now - 1))
        ends = np.where(fixed, levels, offers.within(now))
        short = missing - offers.given(base)
        levels = base
        if not _enough(-short, np.zeros_like(short)):
            levels = _Stage(offers, base, ends, short, clusters).cover()
        fixed |= levels > base
    # What was not fixed in any stage is left alone: at the mildest, within(-1) is level 0.
    return _given_back(offers, levels, missing)


def _enough(given: Floats, missing: Floats) -> bool:
    return bool((given >= missing - ENOUGH_WATTS).all())


class _Stage:
    """The choice of levels between ``base`` and ``ends`` that takes ``short`` off, losing little.

    Steps lead from one level of a gang to the next and are sorted by gang and level.
    """

    def __init__(self, offers: Offers, base: Ints, ends: Ints, short: Floats, clusters: Ints) -> None:
        self.offers, self.base = offers, base
        self.count = 1 + int(clusters.max(initial=0))
        needed = np.flatnonzero(short > ENOUGH_WATTS)
        self.short, self.clusters = short[needed], clusters[needed]
        able = np.flatnonzero(ends > base)
        most = offers.gives[able, ends[able]] - offers.gives[able, base[able]]
        able = able[(most[:, needed] > 0).any(axis=1)]
        high = (ends - base)[able]
        self.gang = np.repeat(able, high)
        self.rank = np.arange(len(self.gang)) - np.repeat(np.cumsum(high) - high, high)
        """How many steps of the same gang come before it."""
        self.level = base[self.gang] + 1 + self.rank
        gives = offers.gives[self.gang, self.level] - offers.gives[self.gang, self.level - 1]
        self.gives = gives[:, needed]
        before = np.where(self.rank > 0, offers.losses[self.gang, self.level - 1], 0.0)
        self.losses = np.maximum(offers.losses[self.gang, self.level] - before, 1e-9)
        self.parts = self.gives / self.short
        """What each step gives, in parts of what is needed."""
        self.own = cluster_of_each(self.parts, self.clusters)
        """By step, the cluster that it counts in."""

    def cover(self) -> Ints:
        """The levels."""
        taken, worth = self._taken()
        taken = self._filled_up(taken)
        over = self.gives[taken].sum(axis=0) - self.short
        over = self._dropped(taken, over)
        across = bool(((self.parts > 0) & (self.own[:, None] != self.clusters)).any())
        for lend in (False, True) if across else (False,):
            turns = self._turns(taken, worth)
            chosen = best_turns(turns, over, self.clusters, lend=lend)
            over = over + turns.gives[chosen].sum(axis=0)
            taken[turns.step[chosen]] ^= True
        levels = self.base.copy()
        np.maximum.at(levels, self.gang[taken], self.level[taken])
        return levels

    def _taken(self) -> tuple[Bools, Floats]:
        """Which steps each cluster takes for its own limits; and the worth of each, 1 where the cluster stopped."""
        in_own = np.where(self.own[:, None] == self.clusters, self.parts, 0.0)
        prices = 1.0 / np.bincount(self.clusters, minlength=self.count)[self.clusters]
        rounds = _ROUNDS if len(self.clusters) > len(np.unique(self.clusters)) else 1
        best, least = np.zeros(len(self.gang), dtype=np.bool_), np.full(self.count, np.inf)
        best_worth = np.zeros(len(self.gang))
        for _ in range(rounds):
            worth = self._in_order(in_own @ prices / self.losses)
            order = np.lexsort((-worth, self.own))
            total = np.cumsum(in_own[order], axis=0)
            reached = total >= 1.0 - 1e-12
            stops = np.where(reached.any(axis=0), reached.argmax(axis=0), len(order) - 1)
            last = np.full(self.count, -1)
            np.maximum.at(last, self.clusters, stops)
            own = self.own[order]
            within = np.arange(len(order)) <= last[own]
            lost = np.bincount(own, self.losses[order] * within, minlength=self.count)
            better = lost < least
            least = np.where(better, lost, least)
            chosen = np.zeros(len(order), dtype=np.bool_)
            chosen[order] = within
            improved = better[self.own]
            best = np.where(improved, chosen, best)
            threshold = np.full(self.count, np.inf)
            np.minimum.at(threshold, own[within], worth[order][within])
            # A cluster without steps has no threshold, and one that needs none takes the first.
            best_worth = np.where(improved, worth / np.maximum(threshold[self.own], 1e-300), best_worth)
            if rounds == 1:
                break
            over = in_own[chosen].sum(axis=0) - 1.0
            prices = prices * np.exp(-4.0 * np.clip(over, -1.0, 1.0))
            prices = prices / np.bincount(self.clusters, prices, minlength=self.count)[self.clusters]
        return best, best_worth

    def _in_order(self, worth: Floats) -> Floats:
        """The worth of each step, not above that of the gang's step before it: they are taken in order."""
        for rank in range(1, int(self.rank.max(initial=0)) + 1):
            later = np.flatnonzero(self.rank == rank)
            worth[later] = np.minimum(worth[later], worth[later - 1])
        return worth

    def _filled_up(self, taken: Bools) -> Bools:
        """With steps of any cluster for the limits that their own one has not brought down enough."""
        short = self.short - self.gives[taken].sum(axis=0)
        if (short <= ENOUGH_WATTS).all():
            return taken
        idle = np.flatnonzero(~taken)
        useful = np.clip(self.parts[idle], 0.0, None) @ (short > ENOUGH_WATTS)
        all_worth = np.zeros(len(taken))
        all_worth[idle] = useful / self.losses[idle]
        # A step that is taken keeps nobody behind it back.
        all_worth[taken] = np.inf
        order = idle[np.argsort(-self._in_order(all_worth)[idle], kind="stable")]
        total = np.cumsum(self.gives[order], axis=0)
        reached = total >= short - ENOUGH_WATTS
        count = 1 + int(np.where(reached.any(axis=0), reached.argmax(axis=0), len(order) - 1).max())
        filled = taken.copy()
        filled[order[:count]] = True
        return filled

    def _dropped(self, taken: Bools, over: Floats) -> Floats:
        """Give back what is not needed, the dearest first: what is then given too much."""
        spare = np.flatnonzero(taken & (self.gives <= over + ENOUGH_WATTS).all(axis=1))
        for step in spare[np.lexsort((-self.rank[spare], -self.losses[spare]))].tolist():
            following = step + 1
            if following < len(taken) and self.rank[following] > self.rank[step] and taken[following]:
                continue  # the gang's next step stands on this one
            left = over - self.gives[step]
            if (left >= -ENOUGH_WATTS).all():
                over, taken[step] = left, False
        return over

    def _turns(self, taken: Bools, worth: Floats) -> Turns:
        """For each gang, to give back its last step, or to take its first."""
        after = np.append(self.rank[1:] > 0, False) & np.append(taken[1:], False)
        before = (self.rank == 0) | np.insert(taken[:-1], 0, True)
        last = taken & ~after
        first = ~taken & before & (self.rank == 0)
        step = np.flatnonzero(last | first)
        sign = np.where(taken[step], -1.0, 1.0)
        with np.errstate(divide="ignore"):
            distance = np.abs(np.log(worth[step]))
        return Turns(
            step, sign[:, None] * self.gives[step], sign * self.losses[step], self.own[step], distance
        )


def _deciding(gives: Floats, missing: Floats) -> Ints:
    """The limits without those that are kept whenever the one beside them is.

    So it is with the continuous and the peak limit of an element, which often follow each other.
    """
    gang, limit = np.nonzero(gives.max(axis=1) > 0)

    def implies(step: int) -> Bools:
        """By limit, whether the one ``step`` beside it gives, for what is missing there, no less of any gang."""
        other = limit + step
        beside = (other >= 0) & (other < len(missing))
        g, own, there = gang[beside], limit[beside], other[beside]
        less = gives[g, :, there] * missing[own, None] < gives[g, :, own] * missing[there, None]
        found = np.zeros(len(missing), dtype=np.bool_)
        found[own] = True
        found[own[less.any(axis=1)]] = False
        return found

    implied = np.zeros(len(missing), dtype=np.bool_)
    implied[1:] = implies(1)[:-1]
    implied[:-1] |= implies(-1)[1:] & ~implied[1:]
    return np.flatnonzero(~implied)


def _given_back(offers: Offers, levels: Ints, missing: Floats) -> Ints:
    """Every gang as high as the others allow, those first whose measure is the harshest and loses most."""
    levels = levels.copy()
    over = offers.given(levels) - missing
    raised = np.flatnonzero(levels > 0)
    now = levels[raised]
    least = offers.gives[raised, now] - offers.gives[raised, now - 1]
    raised = raised[(least <= over + ENOUGH_WATTS).all(axis=1)]
    keys = (-offers.losses[raised, levels[raised]], -offers.stages[raised, levels[raised]])
    for gang in raised[np.lexsort(keys)].tolist():
        over = _lowered(offers, levels, over, gang)
    return levels


def _lowered(offers: Offers, levels: Ints, over: Floats, gang: int) -> Floats:
    """Bring a gang down to the lowest level that is still enough: what is then given too much."""
    now = int(levels[gang])
    for level in range(now):
        left: Floats = over - (offers.gives[gang, now] - offers.gives[gang, level])
        if (left >= -ENOUGH_WATTS).all():
            levels[gang] = level
            return left
    return over
