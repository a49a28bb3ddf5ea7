"""Every way to spread a gang over a few racks, all at once in arrays: the best there is, or the proof of none.

The search of :mod:`engine.placing.search` is sure of its answer where no limit that racks share stands in the way of
its first choice.  Where one does, what is small enough is settled here.  *Small* is at most ``PARTS`` parts (the share
of one bin in one rack), and at most ``WAYS`` ways to give each part of a set its slots, over all sets looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.placing.attempts import Bin
from rackplane.engine.placing.candidates import Candidates

PARTS = 12
WAYS = 50_000

Ints = NDArray[np.int64]
Slots = dict[int, dict[int, int]]
"""Position of a bin -> rack -> slots."""


class TooMany(Exception):
    """There are more ways than are looked at."""


class Exhaustive:
    """One request over these bins, in runs of ``run`` slots and a short last one, or all in a single bin."""

    def __init__(self, candidates: Candidates, bins: Sequence[Bin], *, run: int, single: bool) -> None:
        self.candidates = candidates
        self.bins = bins
        self.slots = candidates.request.slots
        self.run, self.single = run, single
        least = 1 if single else min(run, self.slots % run or run)
        self.parts = [
            (i, cell.rack, cell.cap)
            for i, b in enumerate(bins)
            if b.cap >= least
            for cell in b.cells
            if cell.cap > 0
        ]
        self._left = WAYS

    @property
    def small(self) -> bool:
        """Whether there are few enough parts to begin with."""
        return len(self.parts) <= PARTS

    def groups(self, most: tuple[int, int]) -> Iterator[tuple[tuple[int, int], Iterator[Slots]]]:
        """By rising (bins, racks), up to ``most``: the best ways to fill each set of parts, under all limits.

        Of each set of parts only the best way is given: no straggler, tightest fit, least stranded power.

        Raises:
            TooMany: there are more ways than are looked at.
        """
        if self._of_runs:
            yield from self._whole_runs(most)
            return
        sets, counts = self._sets(most)
        for count, alike in _by_count(counts):
            yield count, (way for chosen in sets[alike] if (way := self._best_way(np.flatnonzero(chosen))))

    def most_even(self) -> Slots | None:
        """The way, under all limits, with fewest slots in the fullest bin, then in the next, then the same by racks.

        Of ways that are equal so far the bins with most left free are taken, then those that come first. None: no way.

        Raises:
            TooMany: there are more ways than are looked at.
        """
        caps = [cap for _, _, cap in self.parts]
        ways = self._ways_in_runs(len(caps)) if self._of_runs else self._ways(caps, least=0)
        bins = list(dict.fromkeys(i for i, _, _ in self.parts))
        racks = list(dict.fromkeys(rack for _, rack, _ in self.parts))
        in_bins = ways @ np.array([[i == b for b in bins] for i, _, _ in self.parts], dtype=np.int64)
        whole = self._whole(in_bins)
        watts, left = self._binding
        holds = whole & (ways @ watts <= left).all(axis=1)
        ways, in_bins = ways[holds], in_bins[holds]
        if not len(ways):
            return None
        in_racks = ways @ np.array([[rack == r for r in racks] for _, rack, _ in self.parts], dtype=np.int64)
        sizes = np.array([self.bins[b].size for b in bins])
        remains = np.sort(np.where(in_bins > 0, sizes - in_bins, 0), axis=1)
        names = np.where(in_bins > 0, np.array([self.bins[b].order for b in bins]), UNLIMITED)
        columns = [
            -np.sort(-in_bins, axis=1),
            -np.sort(-in_racks, axis=1),
            -remains[:, ::-1],
            np.sort(names, axis=1),
        ]
        return _spelled(self.parts, ways[int(np.lexsort(np.concatenate(columns, axis=1).T[::-1])[0])])

    def _whole(self, taken: Ints) -> NDArray[np.bool_]:
        """Of the slots by bin: whether every run is whole, but for the short last one."""
        if self.run == 1:
            return np.ones(len(taken), dtype=np.bool_)
        over, short = taken % self.run, self.slots % self.run
        return self._one_short(over, short) if short else (over == 0).all(axis=1)

    @cached_property
    def _of_runs(self) -> bool:
        """Whether parts take nothing but whole runs and the short last one: each of them is a bin of its own."""
        return self.run > 1 and len({i for i, _, _ in self.parts}) == len(self.parts)

    def _whole_runs(self, most: tuple[int, int]) -> Iterator[tuple[tuple[int, int], Iterator[Slots]]]:
        """As `groups`, all sets of parts at once: in whole runs there are few ways."""
        ways = self._ways_in_runs(most[0])
        watts, left = self._binding
        ways = ways[(ways @ watts <= left).all(axis=1)]
        used = ways > 0
        bins, racks = used.sum(axis=1), self._racks_of(used)
        kept = (bins < most[0]) | ((bins == most[0]) & (racks <= most[1]))
        if not kept.any():
            return
        ways, used, bins, racks = ways[kept], used[kept], bins[kept], racks[kept]
        chosen = used @ (1 << np.arange(len(self.parts)))
        straggler = 2 * bins * np.where(used, ways, UNLIMITED).min(axis=1, initial=UNLIMITED) < self.slots
        sizes = np.array([self.bins[i].size for i, _, _ in self.parts], dtype=np.int64)
        remains = np.sort(np.where(used, sizes - ways, UNLIMITED), axis=1)
        stranded = self._stranded(ways, [rack for _, rack, _ in self.parts])
        order = np.lexsort([stranded, *(-remains).T, straggler, chosen, racks, bins])
        best = order[np.flatnonzero(np.diff(chosen[order], prepend=0))]
        for count, alike in _by_count(np.stack([bins, racks], axis=1)[best]):
            yield count, (_spelled(self.parts, ways[w]) for w in best[alike])

    def _ways_in_runs(self, most: int) -> Ints:
        """All ways to give up to ``most`` parts whole runs, one of them the short last one, and the others nothing."""
        short = self.slots % self.run
        shares = [
            np.array([n for n in range(min(cap, self.slots) + 1) if n % self.run in (0, short)])
            for _, _, cap in self.parts
        ]
        after = sum(int(share[-1]) for share in shares)
        ways = np.zeros((1, 0), dtype=np.int64)
        left, used, shorts = np.array([self.slots]), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
        for share in shares:
            after -= int(share[-1])
            row, value = np.repeat(np.arange(len(ways)), len(share)), np.tile(share, len(ways))
            left, used, shorts = (
                left[row] - value,
                used[row] + (value > 0),
                shorts[row] + (value % self.run > 0),
            )
            on = (left >= 0) & (left <= after) & (used <= most) & (shorts <= 1)
            if np.count_nonzero(on) > WAYS:
                raise TooMany
            ways = np.column_stack([ways[row[on]], value[on]])
            left, used, shorts = left[on], used[on], shorts[on]
        found: Ints = ways[left == 0]
        return found

    def _racks_of(self, used: NDArray[np.bool_]) -> Ints:
        """How many racks each way uses."""
        of_part = [rack for _, rack, _ in self.parts]
        racks = list(dict.fromkeys(of_part))
        owner = np.array([rack == r for rack in of_part for r in racks], dtype=np.int64)
        in_rack = used @ owner.reshape(len(of_part), len(racks))
        counts: Ints = np.count_nonzero(in_rack, axis=1)
        return counts

    def _sets(self, most: tuple[int, int]) -> tuple[NDArray[np.bool_], Ints]:
        """Sets of parts that could take the gang, and their counts of bins and racks, in the order of these."""
        of_bin = np.array([i for i, _, _ in self.parts], dtype=np.int64)
        _, of_rack = np.unique([rack for _, rack, _ in self.parts], return_inverse=True)
        caps = np.array([cap for _, _, cap in self.parts], dtype=np.int64)
        sets = (np.arange(1, 2 ** len(caps))[:, None] >> np.arange(len(caps)) & 1).astype(np.bool_)
        sets = sets[(sets @ np.minimum(caps, self.slots) >= self.slots) & (sets.sum(axis=1) <= self.slots)]
        bins, racks = (
            sum((sets[:, owner == k].any(axis=1) for k in np.unique(owner)), np.zeros(len(sets), np.int64))
            for owner in (of_bin, of_rack)
        )
        counts = np.stack([bins, racks], axis=1)
        kept = (bins < most[0]) | ((bins == most[0]) & (racks <= most[1]))
        if self.single:
            kept &= bins == 1
        sets, counts = sets[kept], counts[kept]
        order = np.lexsort((counts[:, 1], counts[:, 0]))
        return sets[order], counts[order]

    def _best_way(self, chosen: Ints) -> Slots | None:
        parts = [self.parts[p] for p in chosen]
        ways = self._ways([cap for _, _, cap in parts])
        bins = list(dict.fromkeys(i for i, _, _ in parts))
        of_bin = np.array([[i == b for b in bins] for i, _, _ in parts], dtype=np.int64)
        taken = ways @ of_bin
        if self.run > 1:
            whole = self._whole(taken)
            ways, taken = ways[whole], taken[whole]
        watts, left = self._binding
        holds = (ways @ watts[chosen] <= left).all(axis=1)
        ways, taken = ways[holds], taken[holds]
        if not len(ways):
            return None
        straggler = 2 * len(bins) * taken.min(axis=1) < self.slots
        remains = np.sort(np.array([self.bins[b].size for b in bins]) - taken, axis=1)
        keys = [self._stranded(ways, [rack for _, rack, _ in parts]), *(-remains).T, straggler]
        return _spelled(parts, ways[int(np.lexsort(keys)[0])])

    @staticmethod
    def _one_short(over: Ints, short: int) -> NDArray[np.bool_]:
        return np.asarray((((over == 0) | (over == short)).all(axis=1)) & ((over != 0).sum(axis=1) == 1))

    def _ways(self, caps: Sequence[int], *, least: int = 1) -> Ints:
        """All ways to give each part at least so many slots, at most its cap, and all together the gang."""
        ways = np.zeros((1, 0), dtype=np.int64)
        left = np.array([self.slots], dtype=np.int64)
        for p, cap in enumerate(caps):
            low = np.maximum(least, left - sum(caps[p + 1 :]))
            high = np.minimum(cap, left - least * (len(caps) - p - 1))
            counts = np.maximum(0, high - low + 1)
            total = int(counts.sum())
            if total > self._left:
                raise TooMany
            row = np.repeat(np.arange(len(ways)), counts)
            value = low[row] + np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
            ways, left = np.column_stack([ways[row], value]), left[row] - value
        self._left -= len(ways)
        return ways

    @cached_property
    def _binding(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Watts of a slot by part and limit, and what is left: of the limits that these parts could exceed."""
        f, slack = self.candidates.state.facility, np.maximum(self.candidates.slack, 0.0)
        uses = [(f.cells[f.entries(rack)], self.candidates.use_of(rack)) for _, rack, _ in self.parts]
        worst = np.zeros(len(slack))
        for (cells, use), (_, _, cap) in zip(uses, self.parts, strict=True):
            worst[cells] += use * min(cap, self.slots)
        binding = np.flatnonzero(worst > slack)
        position = np.full(len(slack), -1)
        position[binding] = np.arange(len(binding))
        watts = np.zeros((len(self.parts), len(binding)))
        for part, (cells, use) in enumerate(uses):
            kept = position[cells] >= 0
            watts[part, position[cells[kept]]] = use[kept]
        return watts, slack[binding]

    def _stranded(self, ways: Ints, racks: Sequence[int]) -> Ints:
        total = np.zeros(len(ways), dtype=np.int64)
        if not self.candidates.needs.slowed:
            return total
        for rack in dict.fromkeys(racks):
            slots = ways[:, [r == rack for r in racks]].sum(axis=1)
            sizes, place = np.unique(slots, return_inverse=True)
            total += np.array([self.candidates.stranded_watts(rack, int(n)) for n in sizes])[place]
        return total


def _by_count(counts: Ints) -> Iterator[tuple[tuple[int, int], slice]]:
    """Rows that are alike, which follow each other: their (bins, racks), and where they are."""
    bounds = np.flatnonzero(np.any(np.diff(counts, axis=0, prepend=-1) != 0, axis=1)).tolist()
    for first, last in pairwise([*bounds, len(counts)]):
        yield (int(counts[first, 0]), int(counts[first, 1])), slice(first, last)


def _spelled(parts: Sequence[tuple[int, int, int]], way: Ints) -> Slots:
    """The slots of each part, without parts that get none."""
    result: Slots = {}
    for (i, rack, _), n in zip(parts, way.tolist(), strict=True):
        if n:
            result.setdefault(i, {})[rack] = n
    return result
