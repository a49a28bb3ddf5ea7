"""A cheap choice that takes enough off every limit, for any number of gangs: stage by stage, with prices for limits.

In each stage (see :mod:`engine.shedding.costs`), from the harshest that is needed down, the gangs' steps are taken in
the order of what they give, at a price for each limit, for what they lose. That is done for each cluster of limits
apart, such as the UPSs of one hall (:mod:`engine.shedding.clusters`). The prices are raised where too little was taken
off and lowered where too much was (multiplicative weights: Plotkin, Shmoys and Tardos 1995); each cluster keeps the
cheapest choice that it has seen. What turns out not to be needed is given back, and of the steps about which prices say
least every combination is tried (:mod:`engine.shedding.windows`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.shedding.clusters import cluster_of_each
from rackplane.engine.shedding.levels import ABSENT, Offers, numbered, summed
from rackplane.engine.shedding.windows import Turns, at_most, best_turns, borrowers

__all__ = ["ENOUGH_WATTS", "choose"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROUNDS = 4
ENOUGH_WATTS = 1e-6
"""Watts by which sums may be off."""


def choose(offers: Offers, missing: Floats, clusters: Ints) -> Ints:
    """Levels of the gangs that take at least ``missing`` (watts by limit) off; all gangs' highest must be enough.

    ``clusters`` is the number of its cluster, by limit.
    """
    deciding = _deciding(offers, missing)
    offers, missing, clusters = offers.of(deciding), missing[deciding], clusters[deciding]
    stage = _harshest(offers, missing)
    within, fixed = offers.within(stage), np.zeros(len(offers.stages), dtype=np.bool_)
    levels = within
    for now in range(stage, -1, -1):
        milder = offers.within(now - 1)
        base, ends = np.where(fixed, levels, milder), np.where(fixed, levels, within)
        short, within = missing - offers.given(base), milder
        levels = base
        if (short > ENOUGH_WATTS).any():
            levels = _Stage(offers, base, ends, short, clusters).cover()
        fixed |= levels > base
    # What was not fixed in any stage is left alone: at the mildest, within(-1) is level 0.
    return _given_back(offers, levels, missing)


def _harshest(offers: Offers, missing: Floats) -> int:
    """The first stage with which all measures up to it are enough, or the last one; -1 if none is needed."""
    gang, level = np.nonzero((offers.stages >= 0) & (offers.stages < ABSENT))
    if not len(gang):
        return -1
    # What each level gives more than the one before it, by the stage that it is in.
    more = offers.gives[gang, level] - offers.gives[gang, level - 1]
    stage = offers.stages[gang, level]
    top, width = int(stage.max()), offers.count + 1
    cells = stage[:, None] * width + offers.limits[gang]
    given = np.bincount(cells.ravel(), more.ravel(), (top + 1) * width).reshape(top + 1, width)[:, :-1]
    enough = (np.cumsum(given, axis=0) >= missing - ENOUGH_WATTS).all(axis=1)
    if (missing <= ENOUGH_WATTS).all():
        return -1
    return int(enough.argmax()) if enough.any() else top


class _Stage:
    """The choice of levels between ``base`` and ``ends`` that takes ``short`` off, losing little.

    Steps lead from one level of a gang to the next and are sorted by gang and level. As in :class:`Offers`, what they
    give is by place, and ``limits`` says for each place which limit that is: of those that are needed, whose number
    stands for none of them.
    """

    def __init__(self, offers: Offers, base: Ints, ends: Ints, short: Floats, clusters: Ints) -> None:
        self.offers, self.base = offers, base
        self.count = 1 + int(clusters.max(initial=0))
        needed = np.flatnonzero(short > ENOUGH_WATTS)
        self.short, self.clusters = short[needed], clusters[needed]
        able = np.flatnonzero(ends > base)
        limits = numbered(needed, len(short))[offers.limits[able]]
        most = offers.gives[able, ends[able]] - offers.gives[able, base[able]]
        useful = ((most > 0) & (limits < len(needed))).any(axis=1)
        able, limits = able[useful], limits[useful]
        high = (ends - base)[able]
        self.gang = np.repeat(able, high)
        self.rank = np.arange(len(self.gang)) - np.repeat(np.cumsum(high) - high, high)
        """How many steps of the same gang come before it."""
        self.ranks = 1 + int(self.rank.max(initial=0))
        self.followed = np.append(self.rank[1:] > 0, False)
        """Whether the step after it is of the same gang."""
        self.level = base[self.gang] + 1 + self.rank
        self.limits = np.repeat(limits, high, axis=0)
        gives = offers.gives[self.gang, self.level] - offers.gives[self.gang, self.level - 1]
        self.gives = np.where(self.limits < len(needed), gives, 0.0)
        before = np.where(self.rank > 0, offers.losses[self.gang, self.level - 1], 0.0)
        self.losses = np.maximum(offers.losses[self.gang, self.level] - before, 1e-9)
        self.parts = self.gives / np.append(self.short, 1.0)[self.limits]
        """What each step gives, in parts of what is needed."""
        self.cluster_at = np.append(self.clusters, -1)[self.limits]
        self.own = cluster_of_each(self.parts, self.cluster_at, int(self.clusters[0]))
        """By step, the cluster that it counts in."""

    def cover(self) -> Ints:
        """The levels."""
        taken, worth = self._taken()
        taken = self._filled_up(taken)
        over = self._given(taken) - self.short
        over = self._dropped(taken, over)
        turns = self._turns(taken, worth)
        chosen = best_turns(turns, over, self.clusters)
        after = self._turned(turns, chosen, taken, over)
        if ((self.parts > 0) & (self.own[:, None] != self.cluster_at)).any():
            self._borrowed(taken, worth, (turns, chosen), (over, after))
        levels = self.base.copy()
        np.maximum.at(levels, self.gang[taken], self.level[taken])
        return levels

    def _turned(self, turns: Turns, chosen: Ints, taken: Bools, over: Floats) -> Floats:
        """Make these turns: what is then given too much."""
        taken[turns.step[chosen]] ^= True
        return over + summed(turns.gives[chosen], turns.limits[chosen], len(over))

    def _borrowed(
        self, taken: Bools, worth: Floats, first: tuple[Turns, Ints], overs: tuple[Floats, Floats]
    ) -> None:
        """Once more, what is given too much on limits being for other clusters whose gangs draw on them.

        Clusters that may do no more than before, when that was for their own, find nothing, and are not looked at.

        Args:
            first: the turns that there were before, and those that were made.
            overs: what was given too much before them, and after.
        """
        (before, chosen), (over, after) = first, overs
        turns = self._turns(taken, worth)
        owner = borrowers(turns, self.clusters)
        again = np.zeros(self.count, dtype=np.bool_)
        again[owner[(owner != self.clusters) | (after > over)]] = True
        again[self.own[np.isin(self.gang, self.gang[before.step[chosen]])]] = True
        again |= at_most(turns) > at_most(before)
        self._turned(turns, best_turns(turns, after, owner, again), taken, after)

    def _given(self, taken: Bools) -> Floats:
        return summed(self.gives[taken], self.limits[taken], len(self.short))

    def _by_limit(self, values: Floats) -> Floats:
        """By step and limit what is given by step and place."""
        found = np.zeros((len(values), len(self.short)))
        step, place = np.nonzero(values)
        found[step, self.limits[step, place]] = values[step, place]
        return found

    def _taken(self) -> tuple[Bools, Floats]:
        """Which steps each cluster takes for its own limits; and the worth of each, 1 where the cluster stopped."""
        in_own = np.where(self.own[:, None] == self.cluster_at, self.parts, 0.0)
        by_limit, progress = self._by_limit(in_own), _Progress(in_own, self.limits, self.own, self.clusters)
        prices = 1.0 / np.bincount(self.clusters, minlength=self.count)[self.clusters]
        rounds = _ROUNDS if len(self.clusters) > len(np.unique(self.clusters)) else 1
        lost, chosen = np.empty((rounds, self.count)), np.empty((rounds, len(self.gang)), dtype=np.bool_)
        worth = np.empty((rounds, len(self.gang)))
        for n in range(rounds):
            here = self._in_order(by_limit @ prices / self.losses)
            order = np.lexsort((-here, self.own))
            within, last = progress.needed(order)
            lost[n] = np.bincount(progress.own, self.losses[order] * within, self.count)
            chosen[n, order] = within
            worth[n] = here / np.maximum(here[order[last]], 1e-300)[progress.of_step]
            if n < rounds - 1:
                given = np.where(chosen[n, :, None], in_own, 0.0).ravel()
                over = np.bincount(self.limits.ravel(), given, len(prices) + 1)[:-1] - 1.0
                prices = prices * np.exp(-4.0 * np.clip(over, -1.0, 1.0))
                prices = prices / np.bincount(self.clusters, prices, self.count)[self.clusters]
        best, each = lost.argmin(axis=0)[self.own], np.arange(len(self.gang))
        return chosen[best, each], worth[best, each]

    def _in_order(self, worth: Floats) -> Floats:
        """The worth of each step, not above that of the gang's step before it: they are taken in order."""
        for rank in range(1, self.ranks):
            later = np.flatnonzero(self.rank == rank)
            worth[later] = np.minimum(worth[later], worth[later - 1])
        return worth

    def _filled_up(self, taken: Bools) -> Bools:
        """With steps of any cluster for the limits that their own one has not brought down enough."""
        short = self.short - self._given(taken)
        if (short <= ENOUGH_WATTS).all():
            return taken
        idle = np.flatnonzero(~taken)
        useful = np.clip(self._by_limit(self.parts)[idle], 0.0, None) @ (short > ENOUGH_WATTS)
        all_worth = np.zeros(len(taken))
        all_worth[idle] = useful / self.losses[idle]
        # A step that is taken keeps nobody behind it back.
        all_worth[taken] = np.inf
        order = idle[np.argsort(-self._in_order(all_worth)[idle], kind="stable")]
        total = np.cumsum(self._by_limit(self.gives)[order], axis=0)
        reached = total >= short - ENOUGH_WATTS
        count = 1 + int(np.where(reached.any(axis=0), reached.argmax(axis=0), len(order) - 1).max())
        filled = taken.copy()
        filled[order[:count]] = True
        return filled

    def _dropped(self, taken: Bools, over: Floats) -> Floats:
        """Give back what is not needed, the dearest first: what is then given too much."""
        if (over < -ENOUGH_WATTS).any():
            return over
        over = np.append(over, np.inf)
        spare = np.flatnonzero(taken & (self.gives <= over[self.limits] + ENOUGH_WATTS).all(axis=1))
        for step in spare[np.lexsort((-self.rank[spare], -self.losses[spare]))].tolist():
            if self.followed[step] and taken[step + 1]:
                continue  # the gang's next step stands on this one
            at = self.limits[step]
            left = over[at] - self.gives[step]
            if (left >= -ENOUGH_WATTS).all():
                over[at], taken[step] = left, False
        return over[:-1]

    def _turns(self, taken: Bools, worth: Floats) -> Turns:
        """For each gang, to give back its last step, or to take its first."""
        after = np.append(taken[1:], False) & self.followed
        step = np.flatnonzero(np.where(taken, ~after, self.rank == 0))
        sign = np.where(taken[step], -1.0, 1.0)
        with np.errstate(divide="ignore"):
            distance = np.abs(np.log(worth[step]))
        gives, limits = sign[:, None] * self.gives[step], self.limits[step]
        return Turns(step, gives, limits, sign * self.losses[step], self.own[step], distance)


class _Progress:
    """How far the steps of each cluster come with its own limits, one after the other."""

    def __init__(self, in_own: Floats, limits: Ints, own: Ints, clusters: Ints) -> None:
        steps = np.bincount(own, minlength=1 + int(clusters.max(initial=0)))
        there = np.flatnonzero(steps)
        self.own = np.repeat(there, steps[there])
        """Of each step, when they are in order of their clusters, the cluster."""
        number = np.cumsum(steps > 0) - 1
        self.of_step = number[own]
        """Of each step, as they are, the number of its cluster among those that have steps."""
        self._number = number[self.own]
        self._ends = np.cumsum(steps[there])
        self._begins = self._ends - steps[there]
        # The limits of each cluster lie side by side, from the first column on.
        sizes = np.bincount(clusters, minlength=len(steps))
        column = np.zeros(len(clusters), dtype=np.int64)
        order = np.argsort(clusters, kind="stable")
        column[order] = np.arange(len(clusters)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        self._parts = np.zeros((len(in_own), int(sizes.max(initial=1))))
        step, place = np.nonzero(in_own)
        self._parts[step, column[limits[step, place]]] = in_own[step, place]
        self._real = np.arange(self._parts.shape[1]) < sizes[self.own, None]

    def needed(self, order: Ints) -> tuple[Bools, Ints]:
        """By step in this order, in which those of a cluster follow each other, whether its cluster needs it.

        And by cluster that has steps, where in this order the last one is that it needs.
        """
        total = np.cumsum(self._parts[order], axis=0)
        before = np.zeros((len(self._begins), total.shape[1]))
        before[1:] = total[self._ends[:-1] - 1]
        too_few = (total - before[self._number] < 1.0 - 1e-12) & self._real
        last = self._begins + np.add.reduceat(too_few, self._begins, axis=0, dtype=np.int64).max(axis=1)
        last = np.minimum(last, self._ends - 1)
        return np.asarray(np.arange(len(order)) <= last[self._number]), last


def _deciding(offers: Offers, missing: Floats) -> Ints:
    """The limits without those that are kept whenever the one beside them is.

    So it is with the continuous and the peak limit of an element, which often follow each other.
    """
    gives = offers.gives
    gang, place = np.nonzero(gives.max(axis=1) > 0)
    limit = offers.limits[gang, place]

    def implies(step: int) -> Bools:
        """By limit, whether the one ``step`` beside it gives, for what is missing there, no less of any gang."""
        other = limit + step
        beside = (other >= 0) & (other < len(missing))
        g, own, there, at = gang[beside], limit[beside], other[beside], place[beside]
        next_place = np.clip(at + step, 0, gives.shape[2] - 1)
        draws = offers.limits[g, next_place] == there
        given = np.where(draws[:, None], gives[g, :, next_place], 0.0)
        less = given * missing[own, None] < gives[g, :, at] * missing[there, None]
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
    levels, over = levels.copy(), offers.given(levels) - missing
    if (over < -ENOUGH_WATTS).any():
        return levels
    over = np.append(over, np.inf)
    raised = np.flatnonzero(levels > 0)
    now = levels[raised]
    least = offers.gives[raised, now] - offers.gives[raised, now - 1]
    raised = raised[(least <= over[offers.limits[raised]] + ENOUGH_WATTS).all(axis=1)]
    keys = (-offers.losses[raised, levels[raised]], -offers.stages[raised, levels[raised]])
    for gang in raised[np.lexsort(keys)].tolist():
        _lower(offers, levels, over, gang)
    return levels


def _lower(offers: Offers, levels: Ints, over: Floats, gang: int) -> None:
    """Bring a gang down to the lowest level that is still enough; ``over`` is what is given too much."""
    now, at = int(levels[gang]), offers.limits[gang]
    for level in range(now):
        left = over[at] - (offers.gives[gang, now] - offers.gives[gang, level])
        if (left >= -ENOUGH_WATTS).all():
            levels[gang], over[at] = level, left
            return
