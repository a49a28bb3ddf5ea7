"""Which limits are looked at together: those on which much the same gangs draw, such as the UPSs of one hall."""

from __future__ import annotations

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
    both = np.zeros((touches.shape[1], touches.shape[1]))
    # Not as a product of matrices: its threads, waiting for each other, cost more than all the rest of a plan.
    patterns: dict[bytes, int] = {}
    packed = np.packbits(touches, axis=1)
    number = [patterns.setdefault(row.tobytes(), len(patterns)) for row in packed]
    _, first, counts = np.unique(number, return_index=True, return_counts=True)
    for gang, count in zip(first.tolist(), counts.tolist(), strict=True):
        limits = np.flatnonzero(touches[gang])
        both[limits[:, None], limits] += count
    return both


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


def cluster_of_each(parts: Floats, clusters: Ints) -> Ints:
    """By step, the cluster of the limit that it brings down by the largest part of what is needed there."""
    if not len(parts):
        return np.zeros(0, dtype=np.int64)
    return np.asarray(clusters[parts.argmax(axis=1)])
