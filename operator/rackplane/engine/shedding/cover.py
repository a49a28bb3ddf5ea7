"""A cheap choice that takes enough off every limit, for any number of gangs: stage by stage, with prices for limits.

In each stage (see :mod:`engine.shedding.costs`), from the harshest that is needed down, the gangs' steps are taken in
the order of what they give, at a price for each limit, for what they lose. The prices are raised where too little was
taken off and lowered where too much was (multiplicative weights); of all choices seen the cheapest stays, without the
steps that turn out not to be needed, and with dearer ones replaced by cheaper ones that are enough alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ABSENT", "Offers", "choose"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ABSENT = 1 << 30
"""The stage of a level that a gang does not have."""
_ROUNDS = 24
_ENOUGH = 1e-6
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
        return Offers(self.gives[gangs][:, :, limits], self.losses[gangs], self.stages[gangs])


def choose(offers: Offers, missing: Floats) -> Ints:
    """Levels of the gangs that take at least ``missing`` (watts by limit) off; all gangs' highest must be enough."""
    top = int(offers.stages[offers.stages < ABSENT].max(initial=-1))
    stage = -1
    while stage < top and not _enough(offers.given(offers.within(stage)), missing):
        stage += 1
    levels, fixed = offers.within(stage), np.zeros(len(offers.stages), dtype=np.bool_)
    for now in range(stage, -1, -1):
        below = offers.within(now - 1)
        base = np.where(fixed, levels, below)
        ends = np.where(fixed, levels, offers.within(now))
        short = missing - offers.given(base)
        levels = base
        if not _enough(-short, np.zeros_like(short)):
            levels = _cover(offers, base, ends, short)
        fixed |= levels > base
    # What was not fixed in any stage is left alone: at the mildest, within(-1) is level 0.
    return _given_back(offers, levels, missing)


def _enough(given: Floats, missing: Floats) -> bool:
    return bool((given >= missing - _ENOUGH).all())


@dataclass(frozen=True, slots=True)
class _Steps:
    """Steps from level to level: the gang of each, the level it leads to, and what it gives and loses more."""

    gang: Ints
    level: Ints
    gives: Floats
    losses: Floats


def _cover(offers: Offers, base: Ints, ends: Ints, short: Floats) -> Ints:
    """Levels between ``base`` and ``ends`` that take ``short`` off, losing little."""
    steps = _steps(offers, base, ends)
    wanted = np.maximum(short, 0.0)
    scale = np.where(wanted > 0, wanted, 1.0)
    gives = steps.gives / scale
    need = np.where(wanted > 0, 1.0, 0.0)
    prices = need / max(1.0, need.sum())
    best: Ints | None = None
    least = np.inf
    for _ in range(_ROUNDS):
        # A later step of a gang counts no better than the steps before it: they are taken in order.
        worth = (gives @ prices) / steps.losses
        order = np.argsort(-_in_order(worth, steps.gang), kind="stable")
        taken = np.cumsum(gives[order], axis=0)
        covered = (taken >= need - 1e-12).argmax(axis=0)
        count = int(covered[need > 0].max()) + 1
        chosen = order[:count]
        lost = float(steps.losses[chosen].sum())
        if lost < least:
            least, best = lost, chosen
        over = taken[count - 1] - need
        if len(need) == 1:
            break
        prices = prices * np.exp(-4.0 * np.clip(over, -1.0, 1.0)) * need
        total = prices.sum()
        if total <= 0:
            break
        prices = prices / total
    assert best is not None
    levels = base.copy()
    np.maximum.at(levels, steps.gang[best], steps.level[best])
    return _improved(offers, base, ends, levels, short)


def _steps(offers: Offers, base: Ints, ends: Ints) -> _Steps:
    gang, level = [], []
    for up in range(1, int((ends - base).max(initial=0)) + 1):
        more = np.flatnonzero(base + up <= ends)
        gang.append(more)
        level.append(base[more] + up)
    gangs, levels = np.concatenate(gang), np.concatenate(level)
    order = np.lexsort((levels, gangs))
    gangs, levels = gangs[order], levels[order]
    gives = offers.gives[gangs, levels] - offers.gives[gangs, levels - 1]
    before = np.where(levels - 1 > base[gangs], offers.losses[gangs, levels - 1], 0.0)
    losses = np.maximum(offers.losses[gangs, levels] - before, 1e-9)
    return _Steps(gangs, levels, gives, losses)


def _in_order(worth: Floats, gang: Ints) -> Floats:
    """The worth of each step, not above that of the gang's step before it."""
    if len(worth) < 2 or not (gang[1:] == gang[:-1]).any():
        return worth
    result = worth.copy()
    for i in np.flatnonzero(gang[1:] == gang[:-1]).tolist():
        result[i + 1] = min(result[i + 1], result[i])
    return result


def _improved(offers: Offers, base: Ints, ends: Ints, levels: Ints, short: Floats) -> Ints:
    """Without what is not needed, and with one gang in place of a dearer one where it is enough alone."""
    levels = levels.copy()
    over = _over(offers, base, levels) - short
    raised = np.flatnonzero(levels > base)
    for gang in raised[np.argsort(-offers.losses[raised, levels[raised]], kind="stable")].tolist():
        over = _lowered(offers, levels, over, gang, int(base[gang]))
    idle = np.flatnonzero((levels == base) & (ends > base))
    if not len(idle):
        return levels
    first = base[idle] + 1
    gives = offers.gives[idle, first] - offers.gives[idle, base[idle]]
    losses = offers.losses[idle, first]
    free = np.ones(len(idle), dtype=np.bool_)
    raised = np.flatnonzero(levels > base)
    for gang in raised[np.argsort(-offers.losses[raised, levels[raised]], kind="stable")].tolist():
        own = offers.gives[gang, levels[gang]] - offers.gives[gang, base[gang]]
        lost = offers.losses[gang, levels[gang]]
        fits = free & (losses < lost) & (gives >= own - over - _ENOUGH).all(axis=1)
        if fits.any():
            other = int(np.where(fits, losses, np.inf).argmin())
            over = over - own + gives[other]
            levels[gang], levels[idle[other]] = base[gang], first[other]
            free[other] = False
    return levels


def _over(offers: Offers, base: Ints, levels: Ints) -> Floats:
    return np.asarray(offers.given(levels) - offers.given(base))


def _lowered(offers: Offers, levels: Ints, over: Floats, gang: int, least: int) -> Floats:
    """Bring a gang down to the lowest level that is still enough: what is then given too much."""
    now = int(levels[gang])
    for level in range(least, now):
        left: Floats = over - (offers.gives[gang, now] - offers.gives[gang, level])
        if (left >= -_ENOUGH).all():
            levels[gang] = level
            return left
    return over


def _given_back(offers: Offers, levels: Ints, missing: Floats) -> Ints:
    """Every gang as high as the others allow, those first whose measure is the harshest and loses most."""
    levels = levels.copy()
    over = offers.given(levels) - missing
    raised = np.flatnonzero(levels > 0)
    keys = (-offers.losses[raised, levels[raised]], -offers.stages[raised, levels[raised]])
    for gang in raised[np.lexsort(keys)].tolist():
        over = _lowered(offers, levels, over, gang, 0)
    return levels
