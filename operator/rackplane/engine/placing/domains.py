"""The domains of one level that was tried, as arrays: what each has free, may use and has in all.

A domain is a tree of the level; where one bin has to take the whole gang, it is a bin.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.placing.attempts import Attempt, Subtree
from rackplane.engine.placing.shortage import Room

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Domains:
    """All domains of an attempt, in natural order; each becomes an object only when it is asked for."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        layout = attempt.layout
        bins = len(layout.bin_starts)
        self._owner: Ints = np.arange(bins) if attempt.single else layout.tree_of_bin
        """Bin -> domain."""
        self._count = bins if attempt.single else len(layout.tree_starts)
        self._objects: dict[int, Subtree] = {}
        self.free = self._sum(attempt.bin_free)
        """Slots by nodes alone."""
        self.cap = self._sum(attempt.bin_cap)
        """Slots at most, each rack by its own watts."""
        self.whole = self._sum(attempt.bin_whole)
        """Slots if every known node were idle."""

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Subtree]:
        return (self[d] for d in range(self._count))

    def __getitem__(self, d: int) -> Subtree:
        if d not in self._objects:
            attempt = self.attempt
            if attempt.single:
                self._objects[d] = Subtree(attempt.layout.bin_names[d], attempt.bins([d]))
            else:
                self._objects[d] = Subtree(attempt.tree_name(d), attempt.bins(attempt.layout.bins(d)))
        return self._objects[d]

    def name(self, d: int) -> str:
        """Its name on its level."""
        return self.attempt.layout.bin_names[d] if self.attempt.single else self.attempt.tree_name(d)

    def bin_count(self, d: int) -> int:
        """Bins it has."""
        return 1 if self.attempt.single else len(self.attempt.layout.bins(d))

    def nodes(self, d: int) -> Ints:
        """Its nodes, candidates or not."""
        layout = self.attempt.layout
        rows: Ints = layout.rows[self._owner[layout.bin_of_part[layout.part_of_row]] == d]
        return rows

    def _sum(self, bins: Ints) -> Ints:
        if self.attempt.single:
            return bins
        return self.attempt.layout.sum_by_tree(bins)

    def most_in_runs(self) -> int:
        """Slots of the largest domain if it were idle, counted in whole segments of one bin each."""
        run = self.attempt.candidates.request.segment_slots or 1
        whole = self.attempt.bin_whole
        return int(self._sum(whole if self.attempt.single else whole // run * run).max(initial=0))

    def only(self, d: int) -> Bools:
        """This one chosen, for what takes several."""
        chosen = np.zeros(self._count, dtype=np.bool_)
        chosen[d] = True
        return chosen

    def large_enough(self, bins: Ints) -> Bools:
        """Domain -> whether the gang would fit, with so many slots by bin and nothing else in its way."""
        request = self.attempt.candidates.request
        if self.attempt.single:
            alone: Bools = bins >= request.slots
            return alone
        run = request.segment_slots or 1
        units, short = divmod(request.slots, run)
        whole = self._sum(bins // run)
        spare = self._sum(((bins % run >= short) | (bins // run > units)).astype(np.int64)) > 0
        just: Bools = whole == units
        more: Bools = whole > units
        return np.logical_or(more, np.logical_and(just, spare) if short else just)

    def idle_room(self, chosen: Bools) -> Room:
        """Slots by rack of the chosen domains if every known node were idle; the others have none."""
        layout, needs = self.attempt.layout, self.attempt.candidates.needs
        owner = self._owner[layout.bin_of_part[layout.part_of_row]]
        rows = chosen[owner]
        racks = self.attempt.candidates.state.inventory.rack[layout.rows[rows]]
        pairs, nodes = np.unique(owner[rows] * needs.racks + racks, return_counts=True)
        domain, rack = np.divmod(pairs, max(1, needs.racks))
        return Room(domain, rack, nodes * needs.whole[rack], self._count)

    def room(self, chosen: Bools) -> Room:
        """Free slots by rack of the chosen domains; the others have none."""
        attempt, layout = self.attempt, self.attempt.layout
        owner = self._owner[layout.bin_of_part] if len(layout.bin_of_part) else layout.bin_of_part
        parts = np.flatnonzero((attempt.part_free > 0) & chosen[owner]) if len(owner) else owner
        racks = attempt.candidates.needs.racks
        pairs, member = np.unique(owner[parts] * racks + layout.part_rack[parts], return_inverse=True)
        slots = np.zeros(len(pairs), dtype=np.int64)
        np.add.at(slots, member, attempt.part_free[parts])
        return Room(pairs // max(1, racks), pairs % max(1, racks), slots, self._count)
