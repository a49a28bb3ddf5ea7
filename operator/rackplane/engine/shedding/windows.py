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
_AT_ONCE = 8
"""Limits that are checked at once, of the combinations that have kept all before them."""


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
        elsewhere = turns.cluster[:, None] != np.append(clusters, -1)[turns.limits]
        turn, place = np.nonzero((turns.gives != 0) & elsewhere)
        owner[turns.limits[turn, place]] = turns.cluster[turn]
    order = np.lexsort((turns.distance, turns.cluster))
    nth = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[turns.cluster[order]]
    found = [np.zeros(0, dtype=np.int64)]
    many = int((sizes > FEW).sum())
    for group, bits in (
        ((sizes > 0) & (sizes <= FEW), FEW),
        (sizes > FEW, max(FEW, min(MOST, (COMBINATIONS // max(1, many)).bit_length() - 1))),
    ):
        bits = min(bits, int(sizes[group].max(initial=0)))
        chosen = group[turns.cluster[order]] & (nth < bits)
        if chosen.any():
            found.append(_best(turns, order[chosen], nth[chosen], bits, over, owner))
    return np.concatenate(found)


def _best(turns: Turns, which: Ints, bit: Ints, bits: int, over: Floats, owner: Ints) -> Ints:
    """Of these turns, by their bit in their clusters' combinations, the cheapest combinations."""
    used, row = np.unique(turns.cluster[which], return_inverse=True)
    # Turns that a cluster has fewer of than others give nothing and lose nothing.
    losses, gives = np.zeros((len(used), bits)), np.zeros((len(used), bits, len(over) + 1))
    losses[row, bit] = turns.losses[which]
    gives[row[:, None], bit[:, None], turns.limits[which]] = turns.gives[which]
    rows, limits = np.nonzero(gives[:, :, :-1].any(axis=1))
    least = -np.where(used[rows] == owner[limits], np.maximum(over[limits], 0.0), 0.0) - _TOLERANCE
    given = gives[rows, :, limits]
    price, sums = _Sums(losses), _Sums(given)
    # To leave all as it is costs nothing: only what saves is looked at, and of that first whether the limit is kept
    # that could be missed by most. Few combinations are left then for all the other limits.
    saves = price.all(np.arange(len(used))) < 0
    limited, begins, counts = np.unique(rows, return_index=True, return_counts=True)
    tightest = np.lexsort((np.minimum(given, 0.0).sum(axis=1) - least, rows))[begins]
    saves[limited] &= sums.all(tightest) >= least[tightest, None]
    at, combination = np.nonzero(saves)
    begin, end = np.zeros(len(used), dtype=np.int64), np.zeros(len(used), dtype=np.int64)
    begin[limited], end[limited] = begins, begins + counts
    for n in range(0, int(counts.max(initial=0)), _AT_ONCE):
        pair = begin[at][:, None] + np.arange(n, n + _AT_ONCE)
        bound = pair < end[at][:, None]
        pair = np.where(bound, pair, 0)
        kept = (~bound | (sums.of(pair, combination[:, None]) >= least[pair])).all(axis=1)
        at, combination = at[kept], combination[kept]
    order = np.lexsort((combination, price.of(at, combination), at))
    cheapest = np.zeros(len(used), dtype=np.int64)
    there, best = np.unique(at[order], return_index=True)
    cheapest[there] = combination[order[best]]
    return np.asarray(which[(cheapest[row] >> bit) & 1 == 1])


class _Sums:
    """By row, the sums of every combination of its values: of those whose bits are set in the combination's number."""

    def __init__(self, values: Floats) -> None:
        self._half = values.shape[1] // 2
        self._low, self._high = _doubled(values[:, : self._half]), _doubled(values[:, self._half :])

    def all(self, rows: Ints) -> Floats:
        """By these rows and combination."""
        return (self._high[rows, :, None] + self._low[rows, None, :]).reshape(len(rows), -1)

    def of(self, rows: Ints, combinations: Ints) -> Floats:
        """Of some combinations, each of a row."""
        low = self._low[rows, combinations & ((1 << self._half) - 1)]
        return np.asarray(low + self._high[rows, combinations >> self._half])


def _doubled(values: Floats) -> Floats:
    sums = np.zeros((len(values), 1 << values.shape[1]))
    for bit, value in enumerate(values.T):
        size = 1 << bit
        np.add(sums[:, :size], value[:, None], out=sums[:, size : 2 * size])
    return sums
