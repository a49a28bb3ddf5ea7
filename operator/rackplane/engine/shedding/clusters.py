"""Which limits are looked at together: those on which much the same gangs draw, such as the UPSs of one hall."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part", "cluster_of_each", "parts_of"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALIKE = 0.2
"""Two limits are alike if the gangs that draw on both are at least this share of those that draw on the busier one.

A gang that lies across two halls does not make them one; nor does a grid order over all halls, on which each draws.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """Gangs and limits that have nothing to do with others, as indices, and by limit the number of its cluster."""

    gangs: Ints
    limits: Ints
    clusters: Ints


def parts_of(touches: Bools) -> list[Part]:
    """The parts, each a question of its own, from which gangs draw on which limits (by gang and limit)."""
    both = _together(touches)
    busier = np.maximum.outer(both.diagonal(), both.diagonal())
    part, cluster = _joined(both > 0), _joined(both >= ALIKE * np.maximum(busier, 1.0))
    of_gang = part[touches.argmax(axis=1)]
    return [
        Part(np.flatnonzero(of_gang == n), limits := np.flatnonzero(part == n), cluster[limits])
        for n in np.unique(of_gang).tolist()
    ]


def _together(touches: Bools) -> Floats:
    """By two limits, how many gangs draw on both."""
    # Not as a product of matrices: its threads, waiting for each other, cost more than all the rest of a plan.
    packed = np.packbits(touches, axis=1)
    width, data = packed.shape[1], packed.tobytes()
    rows = [data[at : at + width] for at in range(0, len(data), width)] if width else []
    gangs = Counter(rows)
    first = {row: gang for gang, row in zip(range(len(rows) - 1, -1, -1), reversed(rows), strict=True)}
    pattern, limit = np.nonzero(touches[[first[row] for row in gangs]])
    sizes = np.bincount(pattern, minlength=len(gangs))
    # Every limit of a pattern beside every other of it, itself too.
    begins, others = (np.cumsum(sizes) - sizes)[pattern], sizes[pattern]
    beside = np.arange(int(others.sum())) - np.repeat(np.cumsum(others) - others - begins, others)
    pairs = np.repeat(limit, others) * touches.shape[1] + limit[beside]
    weights = np.repeat(np.array(list(gangs.values()), dtype=np.int64)[pattern], others)
    both = np.bincount(pairs, weights, touches.shape[1] ** 2).astype(np.float64, copy=False)
    return both.reshape(touches.shape[1], -1)


def _joined(linked: Bools) -> Ints:
    """Numbers from 0 of the connected parts of a graph, by vertex; ``linked`` is symmetric."""
    part = np.arange(len(linked))
    linked = linked | np.eye(len(linked), dtype=np.bool_)
    while True:
        after = np.where(linked, part, len(part)).min(axis=1, initial=len(part))
        after = after[after]
        if (after == part).all():
            return np.unique(part, return_inverse=True)[1]
        part = after


def cluster_of_each(parts: Floats, clusters: Ints, otherwise: int) -> Ints:
    """By step, the cluster of the limit that it brings down by the largest part of what is needed there.

    Args:
        parts: by step and place.
        clusters: of the limits, by step and place.
        otherwise: the cluster of steps that give nothing.
    """
    if not parts.size:
        return np.full(len(parts), otherwise, dtype=np.int64)
    each, most = np.arange(len(parts)), parts.argmax(axis=1)
    return np.where(parts[each, most] > 0, clusters[each, most], otherwise)
