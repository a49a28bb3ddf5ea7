"""What gangs draw on limits, by column: their nodes, and what a watt in a rack is on each limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.state import State
from rackplane.engine.uses import Alike

__all__ = ["GangNodes", "Reach", "given", "numbered"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Reach:
    """What a watt in each rack is on each limit."""

    def __init__(self, state: State, cells: Sequence[int]) -> None:
        f = state.facility
        self.limits = len(cells)
        column = np.full(len(f.limits), -1, dtype=np.int64)
        column[list(cells)] = np.arange(len(cells))
        hit = np.flatnonzero(column[f.cells] >= 0)
        # Sorted by rack, as all entries are.
        self.begins = np.searchsorted(f.entry_racks[hit], np.arange(len(f.racks) + 1))
        self.columns, self.peak, self.coefficients = column[f.cells[hit]], f.peak[hit], f.coefficients[hit]
        self.touched = self.begins[1:] > self.begins[:-1]


class GangNodes:
    """The nodes of all gangs by column: in a row those of a gang that are used alike.  Each gang has some."""

    def __init__(self, alike: Sequence[Alike]) -> None:
        every = [own for of_gang in alike for own in of_gang]
        sizes = np.array([len(of_gang) for of_gang in alike], dtype=np.int64)
        self.gang = np.repeat(np.arange(len(alike)), sizes)
        self.rack = np.array([use.rack for use, _, _ in every], dtype=np.int64)
        self.gpus = np.array([gpus for _, gpus, _ in every], dtype=np.int64)
        """Of each node, those that the gang holds."""
        self.nodes = np.array([count for _, _, count in every], dtype=np.int64)
        self.shared = np.array([use.booked for use, _, _ in every], dtype=np.int64) != self.gpus
        self.node_types = [use.node_type for use, _, _ in every]
        # By identity: the facility keeps its node types, and hashing one costs more than all the rest.
        numbers: dict[int, int] = {}
        self.types = np.array(
            [numbers.setdefault(id(t), len(numbers)) for t in self.node_types], dtype=np.int64
        )
        self.begins = np.cumsum(sizes) - sizes

    def by_gang(self, values: Bools | Ints) -> Ints:
        """The sums of what is known by row."""
        return np.bincount(self.gang, values, len(self.begins)).astype(np.int64)

    def kinds(self) -> list[frozenset[int]]:
        """By gang, the types of its nodes."""
        same = {n: frozenset((n,)) for n in np.unique(self.types).tolist()}
        if len(same) <= 1:
            return [*same.values()] * len(self.begins)
        of_each = np.split(self.types, self.begins[1:])
        return [frozenset(own.tolist()) for own in of_each]


def numbered(counts: Ints) -> tuple[Ints, Ints]:
    """So many of each: by one of all of them whose it is, and how many of those come before it."""
    whose = np.repeat(np.arange(len(counts)), counts)
    return whose, np.arange(len(whose)) - np.repeat(np.cumsum(counts) - counts, counts)


def given(reach: Reach, uses: GangNodes, counts: Ints, table: Ints, at: Ints) -> tuple[Floats, Ints, Ints]:
    """Watts less by row and place, the limits by gang and place, and nominal watts less in all by row."""
    total, first = int(counts.sum()), np.cumsum(counts) - counts
    # Of each use one for each limit that its rack draws on.
    begins = reach.begins[uses.rack]
    use, nth = numbered(reach.begins[uses.rack + 1] - begins)
    entry, gang = begins[use] + nth, uses.gang[use]
    limits, place = _places(gang, reach.columns[entry], len(counts), reach.limits)
    width = limits.shape[1]
    peak, coefficients = reach.peak[entry], reach.coefficients[entry]
    cell = first[gang] * width + place
    gives, frees = np.zeros(total * width), np.zeros(total)
    for n in range(int(counts.max(initial=0))):
        has = counts[uses.gang] > n
        nominal, less_peak = (table[np.where(has, at + n, 0)] * uses.nodes[:, None]).T
        frees += np.bincount((first[uses.gang] + n)[has], nominal[has], total)
        watts = coefficients * np.where(peak, less_peak[use], nominal[use])
        here = has[use]
        gives += np.bincount((cell + n * width)[here], watts[here], total * width)
    return gives.reshape(total, width), limits, frees.astype(np.int64)


def _places(gang: Ints, limit: Ints, gangs: int, limits: int) -> tuple[Ints, Ints]:
    """By gang and place the limits that are named with it, in order; and the place of each of these pairs."""
    pair = gang * limits + limit
    named = np.zeros(gangs * limits, dtype=np.bool_)
    named[pair] = True
    each = np.flatnonzero(named)
    owner, own = np.divmod(each, limits)
    _, nth = numbered(np.bincount(owner, minlength=gangs))
    found = np.full((gangs, int(nth.max(initial=-1)) + 1), limits, dtype=np.int64)
    found[owner, nth] = own
    place = np.empty(gangs * limits, dtype=np.int32)
    place[each] = nth
    return found, place[pair]
