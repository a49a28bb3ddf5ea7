"""Every combination of a few steps, for many clusters of limits at once: which of them is the cheapest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Turns", "best_turns"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEW, MOST = 8, 13
"""Clusters of at most ``FEW`` turns are looked at together; of the others at most ``MOST`` turns are."""
COMBINATIONS = 1 << 15
"""So many are tried in all clusters of more than a few turns together."""
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Turns:
    """Steps that may be taken or given back, independent of each other.

    By turn: its step, what it gives (by limit; negative if a step is given back) and loses, the cluster of limits that
    it counts in, and how far its worth is from that of the last step taken there: how sure it is as it is.
    """

    step: Ints
    gives: Floats
    losses: Floats
    cluster: Ints
    distance: Floats


def best_turns(turns: Turns, over: Floats, clusters: Ints, *, lend: bool) -> Ints:
    """The turns that save most, such that no limit is short; indices.

    Args:
        turns: all that there are.
        over: by limit, what is given too much as it is.
        clusters: by limit, its cluster.
        lend: what is given too much on a limit is for another cluster whose gangs draw on it, not for its own.
    """
    sizes = np.bincount(turns.cluster)
    # What is given too much may be used up by one cluster; all others may not give less than they do.
    owner = clusters.copy()
    if lend:
        turn, limit = np.nonzero((turns.gives != 0) & (turns.cluster[:, None] != clusters))
        owner[limit] = turns.cluster[turn]
    order = np.lexsort((turns.distance, turns.cluster))
    place = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[turns.cluster[order]]
    found = [np.zeros(0, dtype=np.int64)]
    many = int((sizes > FEW).sum())
    for group, bits in (
        ((sizes > 0) & (sizes <= FEW), FEW),
        (sizes > FEW, max(FEW, min(MOST, (COMBINATIONS // max(1, many)).bit_length() - 1))),
    ):
        bits = min(bits, int(sizes[group].max(initial=0)))
        chosen = group[turns.cluster[order]] & (place < bits)
        if chosen.any():
            found.append(_best(turns, order[chosen], place[chosen], bits, over, owner))
    return np.concatenate(found)


def _best(turns: Turns, which: Ints, place: Ints, bits: int, over: Floats, owner: Ints) -> Ints:
    """Of these turns, by their place in their clusters, the cheapest combinations."""
    used, row = np.unique(turns.cluster[which], return_inverse=True)
    # Turns that a cluster has fewer of than others give nothing and lose nothing.
    losses, gives = np.zeros((len(used), bits)), np.zeros((len(used), bits, len(over)))
    losses[row, place], gives[row, place] = turns.losses[which], turns.gives[which]
    price = _sums(losses)
    rows, limits = np.nonzero(gives.any(axis=1))
    least = -np.where(used[rows] == owner[limits], np.maximum(over[limits], 0.0), 0.0) - _TOLERANCE
    nth = np.arange(len(rows)) - np.searchsorted(rows, rows)
    feasible = np.ones(price.shape, dtype=np.bool_)
    for n in range(1 + int(nth.max(initial=-1))):
        now = nth == n
        feasible[rows[now]] &= _sums(gives[rows[now], :, limits[now]]) >= least[now, None]
    price[~feasible] = np.inf
    # To leave all as it is costs nothing and is the first combination.
    best = price.argmin(axis=1)
    return np.asarray(which[(best[row] >> place) & 1 == 1])


def _sums(values: Floats) -> Floats:
    """By row, the sum of every combination of its values: of those whose bits are set in the column's number."""
    sums = np.zeros((len(values), 1))
    for value in values.T:
        sums = np.concatenate((sums, sums + value[:, None]), axis=1)
    return sums
