"""From when on there may be nodes enough for a gang, by what is expected to end: no earlier start is looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rackplane.engine.model import Request
from rackplane.engine.nodes.inventory import Ids, Inventory
from rackplane.engine.state import State

__all__ = ["endings_in_order", "room_from"]


def endings_in_order(
    state: State, ends: Mapping[str, float], *, before: float = math.inf
) -> list[tuple[float, str]]:
    """The bookings that are taken to end, in order of their ends; those alone that end earlier than ``before``.

    Args:
        ends: when bookings are taken to end that the state expects no end of.
    """
    found = []
    for key, until in state.ends_by_key().items():
        end = ends.get(key) if until is None else until
        if end is not None and end < before:
            found.append((end, key))
    return sorted(found)


def room_from(state: State, request: Request, order: Iterable[tuple[float, str]]) -> float:
    """The first end of a booking with which one domain of the required level has as many free slots as are asked for.

    Of a gang in segments only whole segments in one NVLink domain each count, and one that may be short. -inf if there
    are so many now, or where slots are not counted in GPUs; inf if all bookings together do not hold so many. A bound:
    limits, masks and spares can only make it later.

    Args:
        order: end and key of each booking that is taken to end, in order.
    """
    if request.groups or not request.gpus_per_slot:
        return -math.inf
    inventory, each = state.inventory, request.gpus_per_slot
    types = state.facility.rack_types
    offers = np.array([t is not None and t.resource == request.resource for t in types], dtype=np.bool_)
    listed = (inventory.rack >= 0) & state.healthy
    if len(offers):
        listed &= offers[inventory.rack]
    trees = np.zeros(len(inventory.names), dtype=np.int64)
    if request.required:
        if request.required not in inventory.levels:
            return -math.inf
        trees = inventory.levels[request.required][0]
    run = request.segment_slots or 1
    number, tree_of = (
        (trees, range(int(trees.max(initial=-1)) + 1)) if run == 1 else _numbered(inventory, trees)
    )
    number = np.where(listed, number, -1)
    count = np.maximum(state.free, 0)
    known = number >= 0
    slots = np.bincount(number[known], count[known] // each, minlength=len(tree_of)).astype(np.int64).tolist()
    room = _Room(request.slots, run, tree_of, slots)
    if room.is_enough:
        return -math.inf
    free, bins = count.tolist(), number.tolist()
    for end, key in order:
        for node, gpus in state.held_gpus(key).items():
            i = inventory.index.get(node)
            # A node that is gone keeps its bookings: it may come back, but nobody starts on it.
            if i is None or (bin_ := bins[i]) < 0:
                continue
            more = (free[i] + gpus) // each - free[i] // each
            free[i] += gpus
            room.add(bin_, more)
        if room.is_enough:
            return end
    return math.inf


def _numbered(inventory: Inventory, trees: Ids) -> tuple[Ids, Sequence[int]]:
    """By node the number of its NVLink domain among those of its tree, -1 where it has none; by number the tree."""
    whole = int(inventory.domain.max(initial=-1)) + 1
    pairs = np.where((trees >= 0) & (inventory.domain >= 0), trees * whole + inventory.domain, -1)
    found, number = np.unique(np.append(pairs, -1), return_inverse=True)
    return number[:-1] - 1, (found[1:] // max(1, whole)).tolist()


class _Room:
    """Free slots by bin, and whether one tree of them has enough for a gang in runs of so many."""

    def __init__(self, wanted: int, run: int, tree_of: Sequence[int], slots: list[int]) -> None:
        self._wanted, self._run, self._tree_of, self._slots = wanted, run, tree_of, [0] * len(slots)
        #: by tree: slots in whole runs, and the most that any bin has beside them, at any time so far
        self._whole = dict.fromkeys(tree_of, 0)
        self._short = dict.fromkeys(tree_of, 0)
        self.is_enough = False
        for number, count in enumerate(slots):
            self.add(number, count)

    def add(self, number: int, more: int) -> None:
        """A bin has so many more."""
        before, tree = self._slots[number], self._tree_of[number]
        now = self._slots[number] = before + more
        self._whole[tree] += now - now % self._run - before + before % self._run
        self._short[tree] = max(self._short[tree], now % self._run)
        # Too much where a bin's rest has become a run since: a bound all the same.
        if self._whole[tree] + self._short[tree] >= self._wanted:
            self.is_enough = True
