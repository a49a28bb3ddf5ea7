"""The answer without a search, where arrays alone give it: gangs that fit one rack, and sets too many to compare.

Both follow :mod:`engine.placing.objective`, and what they choose is filled in under all limits there.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.placing.attempts import Attempt
from rackplane.engine.placing.objective import Objective, Solution

Ints = NDArray[np.int64]

_UNIT_SIZES = 64


def in_one_rack(attempt: Attempt, slots: int) -> list[int]:
    """The best bin of all in which one rack takes the whole gang; none if there is none.

    Several only where they are alike but for the power that the gang strands there.

    One rack's own headroom is exact for it, since nothing else changes; so the answer holds under all limits, and no
    bin that needs more racks can be better.
    """
    layout = attempt.layout
    fitting = (layout.most_by_bin(attempt.part_cap) >= slots).nonzero()[0]
    if not len(fitting):
        return []
    if attempt.by_share and len(fitting) > 1:
        beyond = attempt.beyond_share[fitting]
        fitting = fitting[beyond == beyond.min()]
    if len(fitting) > 1:
        pristine = attempt.used_nodes[fitting] == 0
        if not pristine.all():
            fitting = fitting[~pristine]
    if len(fitting) > 1 and attempt.outermost is not None:
        around = attempt.pristine_around(fitting)
        fitting = fitting[around == around.min()]
    if len(fitting) > 1 and attempt.by_lifetime:
        outlasted = attempt.outlasted(fitting)
        fitting = fitting[outlasted == outlasted.min()]
    if len(fitting) > 1:
        sizes = attempt.bin_free[fitting]
        fitting = fitting[sizes == sizes.min()]
    if len(fitting) == 1:
        return [int(fitting[0])]
    if attempt.candidates.needs.slowed:
        return [int(b) for b in fitting]
    for level in attempt.levels:
        if len(fitting) > 1:
            here = attempt.emptiness(level, fitting)
            fitting = fitting[here == here.min()]
    return [int(fitting[layout.bin_id[fitting].argmin()])]


def solution_in_one_rack(attempt: Attempt, bin_: int) -> Solution | None:
    """The whole gang in one rack of this bin, the smallest that takes it.

    None if a limit is in the way after all, or if racks that take it differ in the power that the gang strands there.
    """
    candidates = attempt.candidates
    slots = candidates.request.slots
    (chosen,) = attempt.bins([bin_])
    taking = [c for c in chosen.cells if c.cap >= slots]
    if candidates.needs.slowed and len(taking) > 1:
        return None
    rack = min(taking, key=lambda c: c.free).rack
    if not candidates.fits_together({rack: slots}):
        return None
    return Objective(candidates, (chosen,), run=1, alone=True).solution_of({0: {rack: slots}})


def least_bins(units: Ints, need: int) -> int | None:
    """The fewest bins whose units make up ``need``; None if all together do not."""
    total = np.cumsum(np.sort(units)[::-1])
    if not len(total) or total[-1] < need:
        return None
    return int(np.searchsorted(total, need)) + 1


def least_bins_of(attempt: Attempt, tree: int) -> int | None:
    """A lower bound on the bins of a tree that the gang needs; None if all of them are too few: proved."""
    request = attempt.candidates.request
    run = request.segment_slots or 1
    bins = attempt.layout.bins(tree)
    caps = attempt.bin_cap[bins.start : bins.stop]
    whole, short = divmod(request.slots, run)
    if whole:
        return least_bins(np.minimum(caps // run, whole), whole)
    return 1 if len(caps) and int(caps.max()) >= short else None


def in_many_bins(attempt: Attempt, tree: int, *, examined: int) -> tuple[int, ...] | None:
    """A set of bins of one tree for a gang in whole runs, where there are too many sets to compare them all.

    Of the sets of the fewest bins that suffice it has as few as possible of the largest, then of the next largest, and
    so on; without stragglers first, and without pristine bins next, if sets of that count allow.

    Args:
        examined: the number of sets up to which the search compares all of them, and nothing is chosen here.

    Returns:
        Bins in natural order, or None if the search is to look itself.
    """
    slots, run = attempt.candidates.request.slots, attempt.candidates.request.segment_slots or 1
    if slots % run:
        return None  # the short last run is the search's own matter
    bins = np.arange(attempt.layout.bins(tree).start, attempt.layout.bins(tree).stop)
    bins = bins[attempt.bin_cap[bins] >= run]
    need = slots // run
    units = np.minimum(attempt.bin_cap[bins] // run, need)
    count = least_bins(units, need)
    if count is None or comb(len(bins), count) <= examined:
        return None
    even = attempt.bin_cap[bins] >= -(-slots // (2 * count))
    used = attempt.used_nodes[bins] > 0
    for pool in (even & used, even, np.ones(len(bins), dtype=np.bool_)):
        chosen = _few_large(attempt, bins[pool], units[pool], need=need, count=count)
        if chosen is not None:
            return tuple(sorted(chosen))
    return None


def _few_large(attempt: Attempt, bins: Ints, units: Ints, *, need: int, count: int) -> list[int] | None:
    emptiness = [-attempt.emptiness(level, bins) for level in reversed(attempt.levels)]
    used = attempt.used_nodes[bins] > 0
    order = np.lexsort((-attempt.layout.bin_id[bins], *emptiness, used, -attempt.bin_free[bins]))
    bins, units = bins[order], units[order]
    chosen: list[int] = []
    while count:
        position = _last_start(units, need=need, count=count)
        if position is None:
            return None
        chosen.append(int(bins[position]))
        need -= int(units[position])
        count -= 1
        bins, units = bins[position + 1 :], units[position + 1 :]
    return chosen


def _last_start(units: Ints, *, need: int, count: int) -> int | None:
    """The last position from which on ``count`` bins still make up ``need``."""
    if len(units) < count:
        return None
    sizes = np.unique(units)[::-1]
    if len(sizes) == 1:
        return len(units) - count if int(sizes[0]) * count >= need else None
    if len(sizes) > _UNIT_SIZES:
        sizes = sizes[:_UNIT_SIZES]  # the smallest then count for nothing: a start too early, never too late
    left = np.full(len(units), count)
    total = np.zeros(len(units), dtype=np.int64)
    for size in sizes.tolist():
        taken = np.minimum(left, np.cumsum((units == size)[::-1])[::-1])
        total += taken * size
        left -= taken
    enough = np.flatnonzero((total >= need) & (np.arange(len(units), 0, -1) >= count))
    return int(enough[-1]) if len(enough) else None
