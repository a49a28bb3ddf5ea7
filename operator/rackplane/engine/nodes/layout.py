"""How nodes lie in bins and racks under one level: what does not change while only loads change.

A *bin* is what a gang is spread over (an NVLink domain, or a rack where NVLink ends in the node), a *part* is what of
a bin stands in one rack, a *tree* is one domain of the level that must hold the whole gang.  All are dense integers in
natural order, so that a sum over a bin's parts, or over a tree's bins, is one reduction over a segment.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.nodes.inventory import Inventory

Ints = NDArray[np.int64]


class Layout:
    """The bins of the listed nodes: by the domains of a level, or by what a larger gang is spread over."""

    def __init__(self, inventory: Inventory, listed: NDArray[np.bool_], *, level: str, bins: str) -> None:
        """``level`` is the level of the trees; "" puts all nodes under one.

        ``bins`` is the level of the bins: "nvlink" or one below it; "" is what a gang is spread over.
        """
        count = len(inventory.names)
        self.inventory = inventory
        tree, self.tree_names = (
            inventory.levels[level] if level else (np.zeros(count, dtype=np.int64), ("the facility",))
        )
        bin_, names = inventory.levels[bins] if bins else (inventory.bin, inventory.bin_names)
        rows = np.flatnonzero(listed & (tree >= 0) & (bin_ >= 0))
        rows = rows[np.lexsort((rows, inventory.rack[rows], bin_[rows], tree[rows]))]
        self.rows = rows
        """Listed nodes: those of a part together, parts of a bin together, bins of a tree together."""
        keys = np.stack([tree[rows], bin_[rows], inventory.rack[rows]])
        new = np.ones((3, len(rows)), dtype=np.bool_)
        new[:, 1:] = keys[:, 1:] != keys[:, :-1]
        starts_tree: NDArray[np.bool_] = new[0]
        starts_bin: NDArray[np.bool_] = new[0] | new[1]
        starts_part = starts_bin | new[2]
        self.part_starts = np.flatnonzero(starts_part)
        """Into ``rows``."""
        self.part_rack = inventory.rack[rows[self.part_starts]]
        self.part_of_row = np.cumsum(starts_part) - 1
        self.bin_starts = np.flatnonzero(starts_bin[self.part_starts])
        """into parts."""
        self.bin_parts = np.diff(np.append(self.bin_starts, len(self.part_starts)))
        first = self.part_starts[self.bin_starts] if len(rows) else self.bin_starts
        self.bin_id = bin_[rows[first]]
        """The inventory's id: the order of names."""
        self.bin_names = [names[i] for i in self.bin_id]
        self.bin_tree_id = tree[rows[first]]
        self.tree_starts = np.flatnonzero(starts_tree[first])
        """Into bins."""
        self.bin_of_part = np.repeat(np.arange(len(self.bin_starts)), self.bin_parts)
        self.tree_of_bin = np.repeat(
            np.arange(len(self.tree_starts)), np.diff(np.append(self.tree_starts, len(self.bin_starts)))
        )
        self.part_of_node = np.full(count, -1, dtype=np.int64)
        """Node -> part; -1 if it is not listed."""
        self.part_of_node[rows] = self.part_of_row
        self._level_of_bin: dict[str, Ints] = {}
        self._bins_by_domain: dict[str, Ints] = {}
        self._differing: dict[tuple[str, ...], tuple[str, ...]] = {}

    @cached_property
    def part_size(self) -> Ints:
        """Nodes of each part, whatever their state."""
        return self.sum_by_part(np.ones(len(self.part_of_node), dtype=np.int64))

    def level_of_bin(self, level: str) -> Ints:
        """Bin -> dense id of its domain of a fabric level, by its first node; 0 for those that have none."""
        found = self._level_of_bin.get(level)
        if found is None:
            ids = self.inventory.levels[level][0]
            first = self.rows[self.part_starts[self.bin_starts]] if len(self.rows) else self.bin_starts
            found = self._level_of_bin[level] = ids[first] + 1
        return found

    def bins_by_domain(self, level: str) -> Ints:
        """Bins of each domain of a fabric level, by the ids of :meth:`level_of_bin`; at least 1."""
        found = self._bins_by_domain.get(level)
        if found is None:
            found = self._bins_by_domain[level] = np.maximum(1, np.bincount(self.level_of_bin(level)))
        return found

    def differing(self, levels: tuple[str, ...]) -> tuple[str, ...]:
        """Those of some fabric levels at which its bins lie in different domains: the others tell no bins apart."""
        found = self._differing.get(levels)
        if found is None:
            found = tuple(level for level in levels if len(np.unique(self.level_of_bin(level))) > 1)
            self._differing[levels] = found
        return found

    @cached_property
    def bin_of_node(self) -> Ints:
        """Node -> bin; -1 if it is not listed."""
        result = np.full(len(self.part_of_node), -1, dtype=np.int64)
        result[self.rows] = self.bin_of_part[self.part_of_row]
        return result

    def part_nodes(self, part: int) -> Ints:
        """The nodes of a part, in order."""
        end = self.part_starts[part + 1] if part + 1 < len(self.part_starts) else len(self.rows)
        return self.rows[self.part_starts[part] : end]

    def bin_nodes(self, bin_: int) -> Ints:
        """The nodes of a bin, those of a part together."""
        after = self.parts(bin_).stop
        end = self.part_starts[after] if after < len(self.part_starts) else len(self.rows)
        return self.rows[self.part_starts[self.bin_starts[bin_]] : end]

    def parts(self, bin_: int) -> range:
        """The parts of a bin."""
        start = int(self.bin_starts[bin_])
        return range(start, start + int(self.bin_parts[bin_]))

    def bins(self, tree: int) -> range:
        """The bins of a tree."""
        end = self.tree_starts[tree + 1] if tree + 1 < len(self.tree_starts) else len(self.bin_starts)
        return range(int(self.tree_starts[tree]), int(end))

    def sum_by_part(self, nodes: NDArray[np.int64]) -> Ints:
        """Sums of a value per node over each part."""
        if not len(self.rows):
            return np.zeros(0, dtype=np.int64)
        return np.add.reduceat(nodes[self.rows], self.part_starts)

    def sum_by_bin(self, parts: Ints) -> Ints:
        """Sums of a value per part over each bin."""
        return np.add.reduceat(parts, self.bin_starts) if len(parts) else parts

    def most_by_bin(self, parts: Ints) -> Ints:
        """The largest value per part in each bin."""
        return np.maximum.reduceat(parts, self.bin_starts) if len(parts) else parts

    def sum_by_tree(self, bins: Ints) -> Ints:
        """Sums of a value per bin over each tree."""
        return np.add.reduceat(bins, self.tree_starts) if len(bins) else bins
