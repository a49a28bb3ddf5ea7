"""Every combination of a few steps, for many clusters of limits at once: which of them is the cheapest.

The combinations of a cluster's turns are looked at as pairs of halves. Most halves cannot be part of one that saves and
keeps all limits, whatever stands beside them: a few in a hundred pairs are left to be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Turns", "at_most", "best_turns", "borrowers"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEW, MOST = 8, 13
"""Clusters of at most ``FEW`` turns are looked at whole; of the others at most ``MOST`` turns are."""
COMBINATIONS = 1 << 15
"""So many are tried in all clusters of more than a few turns together."""
_TOLERANCE = 1e-6
_SAVES = float(np.nextafter(0.0, 1.0))
"""What a combination saves at least: more than nothing."""
_AT_ONCE = 8
"""Limits that are checked at once, of the pairs that have kept all before them."""


@dataclass(frozen=True, slots=True)
class Turns:
    """Steps that may be taken or given back, independent of each other.

    By turn: its step, what it gives (by place, and which limit that is; negative if a step is given back) and loses,
    the cluster of limits that it counts in, and how far its worth is from that of the last step taken there: how sure
    it is as it is.
    """

    step: Ints
    gives: Floats
    limits: Ints
    losses: Floats
    cluster: Ints
    distance: Floats


def best_turns(turns: Turns, over: Floats, owner: Ints, among: Bools | None = None) -> Ints:
    """The turns that save most, such that no limit is short; indices.

    Args:
        turns: all that there are.
        over: by limit, what is given too much as it is.
        owner: by limit, the cluster that may use that up; all others may not give less there than they do.
        among: by cluster, whether it is looked at; None: all are.
    """
    if not len(turns.step):
        return turns.step
    sizes = np.bincount(turns.cluster, minlength=1 + int(owner.max()))
    order = np.lexsort((turns.distance, turns.cluster))
    nth = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[turns.cluster[order]]
    near = nth < at_most(turns)
    if among is not None:
        near &= among[turns.cluster[order]]
    may_fall = np.zeros((len(sizes), len(over) + 1))
    may_fall[owner, np.arange(len(over))] = np.maximum(over, 0.0)
    in_play = _in_play(turns, order[near], may_fall)
    return _best(turns, in_play, may_fall) if len(in_play) else in_play


def at_most(turns: Turns) -> int:
    """How many turns of a cluster are looked at."""
    many = int((np.bincount(turns.cluster) > FEW).sum())
    return max(FEW, min(MOST, (COMBINATIONS // max(1, many)).bit_length() - 1))


def borrowers(turns: Turns, clusters: Ints) -> Ints:
    """By limit, another cluster whose gangs draw on it, to use up what is given too much there; its own if none do."""
    elsewhere = turns.cluster[:, None] != np.append(clusters, -1)[turns.limits]
    turn, place = np.nonzero((turns.gives != 0) & elsewhere)
    owner = clusters.copy()
    owner[turns.limits[turn, place]] = turns.cluster[turn]
    return owner


def _in_play(turns: Turns, which: Ints, may_fall: Floats) -> Ints:
    """Without those of these turns that are in no combination that saves and keeps all limits.

    Such is one after which a limit is short even if all turns that help it are made as well, and one that loses no
    less than all turns that save can save.
    """
    width = may_fall.shape[1]
    while len(which):
        cluster, gives, losses = turns.cluster[which], turns.gives[which], turns.losses[which]
        cell = cluster[:, None] * width + turns.limits[which]
        helped = np.bincount(cell.ravel(), np.maximum(gives, 0.0).ravel(), may_fall.size)
        most = helped + may_fall.ravel()
        enough = (np.minimum(gives, 0.0) + most[cell] >= -2 * _TOLERANCE).all(axis=1)
        saved = np.bincount(cluster, np.maximum(-losses, 0.0))
        kept = enough & (losses < saved[cluster])
        before, which = len(which), which[kept]
        if 4 * len(which) > 3 * before:
            break  # not worth another look
    return which


def _best(turns: Turns, which: Ints, may_fall: Floats) -> Ints:
    """Of these turns, which are in order of their clusters, the cheapest combination of each cluster."""
    sizes = np.bincount(turns.cluster[which])
    used = np.flatnonzero(sizes)
    own, sizes = (np.cumsum(sizes > 0) - 1)[turns.cluster[which]], sizes[used]
    bit = np.arange(len(which)) - (np.cumsum(sizes) - sizes)[own]
    turn, place = np.nonzero(turns.gives[which])
    limits = turns.limits[which[turn], place]
    # A row for each limit that turns of a cluster give something on, and as its last one what they save.
    felt = np.zeros((len(used), may_fall.shape[1]), dtype=np.bool_)
    felt[own[turn], limits] = True
    felt[:, -1] = True
    cluster, limit = np.nonzero(felt)
    row = np.zeros(felt.shape, dtype=np.int64)
    row[cluster, limit] = np.arange(len(cluster))
    begin, last = row[np.arange(len(used)), felt.argmax(axis=1)], row[:, -1]
    given = np.zeros((len(cluster), int(sizes.max())))
    given[row[own[turn], limits], bit[turn]] = turns.gives[which[turn], place]
    given[last[own], bit] = -turns.losses[which]
    least = -may_fall[used[cluster], limit] - _TOLERANCE
    least[last] = _SAVES
    cheapest = _cheapest(given, least, begin, last, sizes)
    return np.asarray(which[(cheapest[own] >> bit) & 1 == 1])


def _cheapest(given: Floats, least: Floats, begin: Ints, last: Ints, sizes: Ints) -> Ints:
    """By cluster, the combination that keeps all its rows and saves most; 0, which is none of the turns, if none does.

    Args:
        given: by row and bit.
        least: by row, what a combination must give.
        begin: by cluster, its first row.
        last: by cluster, its last row: what is saved.
        sizes: by cluster, how many bits it has.
    """
    half = given.shape[1] // 2
    low, high = _sums(given[:, :half]), _sums(given[:, half:])
    # A half that is not enough even with the most that the other one can give is in none that is looked for.
    lows = _able(low, high.max(axis=1), least, begin, np.minimum(sizes, half))
    highs = _able(high, low.max(axis=1), least, begin, np.maximum(sizes - half, 0))
    at, low_half = np.nonzero(lows)
    of, high_half = np.nonzero(highs)
    each = np.bincount(of, minlength=len(begin))
    # Every low half beside every high one of its cluster.
    times = each[at]
    nth = np.arange(int(times.sum())) - np.repeat(
        np.cumsum(times) - times - (np.cumsum(each) - each)[at], times
    )
    at, low_half, high_half = np.repeat(at, times), np.repeat(low_half, times), high_half[nth]
    for n in range(int((last - begin).max()) + 1):
        row = np.minimum(begin[at] + n, last[at])
        enough = low[row, low_half] + high[row, high_half] >= least[row]
        at, low_half, high_half = at[enough], low_half[enough], high_half[enough]
    saved = low[last[at], low_half] + high[last[at], high_half]
    combination = high_half << half | low_half
    order = np.lexsort((combination, -saved, at))
    there, best = np.unique(at[order], return_index=True)
    found = np.zeros(len(begin), dtype=np.int64)
    found[there] = combination[order[best]]
    return found


def _able(sums: Floats, beside: Floats, least: Floats, begin: Ints, bits: Ints) -> Bools:
    """By cluster and half, whether each row of the cluster can be given enough with ``beside`` from the other half."""
    enough = np.logical_and.reduceat(sums + beside[:, None] >= least[:, None], begin, axis=0)
    # Bits that a cluster has fewer of than others say nothing.
    return np.asarray(enough & (np.arange(sums.shape[1]) < 1 << bits[:, None]))


def _sums(values: Floats) -> Floats:
    """By row, the sums of every combination of its values: of those whose bits are set in the combination's number."""
    sums = np.zeros((len(values), 1 << values.shape[1]))
    for bit, value in enumerate(values.T):
        size = 1 << bit
        np.add(sums[:, :size], value[:, None], out=sums[:, size : 2 * size])
    return sums
