"""When what runs in each bin is expected to be over, kept up to date by events and counted only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import InvariantViolation
from rackplane.engine.nodes.inventory import Inventory
from rackplane.engine.nodes.layout import Layout

Floats = NDArray[np.float64]

NO_END = float("-inf")
"""Nothing with GPUs is there whose end is known."""


@dataclass(frozen=True, slots=True)
class Before:
    """What was known at one time.  The arrays are not written to any more."""

    by_node: Floats
    by_bin: dict[Layout, Floats]
    stale: dict[str, None]


class Ends:
    """The latest expected end on each node and in each bin, on the clock of ``Request.until``."""

    def __init__(self, inventory: Inventory, latest: Callable[[str], float]) -> None:
        """``latest`` tells that of one node as it is now."""
        self._inventory = inventory
        self._latest = latest
        self._by_node = self._fresh()
        self._by_bin: dict[Layout, Floats] = {}
        self._stale: dict[str, None] = {}
        self._kept = False
        """Whether the arrays may be those of a `Before`."""

    def saved(self) -> Before:
        """What :meth:`restore` needs."""
        self._kept = True
        return Before(self._by_node, dict(self._by_bin), dict(self._stale))

    def restore(self, before: Before) -> None:
        """What runs on nodes is what it was then."""
        self._by_node, self._by_bin = before.by_node, dict(before.by_bin)
        self._stale, self._kept = dict(before.stale), True

    def touched(self, nodes: Iterable[str]) -> None:
        """What runs on these nodes has changed."""
        self._stale.update(dict.fromkeys(nodes))

    def by_bin(self, layout: Layout) -> Floats:
        """By bin.  Do not write to it."""
        self._follow()
        found = self._by_bin.get(layout)
        if found is None:
            found = self._by_bin[layout] = _of_bins(layout, self._by_node)
        return found

    def _follow(self) -> None:
        if not self._stale:
            return
        index = self._inventory.index
        rows = [index[name] for name in self._stale if name in index]
        names = self._inventory.names
        self._stale.clear()
        if not rows:
            return
        if self._kept:
            self._by_node = self._by_node.copy()
            self._by_bin = {layout: ends.copy() for layout, ends in self._by_bin.items()}
            self._kept = False
        self._by_node[rows] = [self._latest(names[i]) for i in rows]
        for layout, ends in self._by_bin.items():
            for bin_ in {*layout.bin_of_node[rows].tolist()}:
                if bin_ >= 0:
                    ends[bin_] = self._by_node[layout.bin_nodes(bin_)].max()

    def _fresh(self) -> Floats:
        names = self._inventory.names
        return np.fromiter(map(self._latest, names), dtype=np.float64, count=len(names))

    def validate(self) -> None:
        """Count everything anew and compare.

        Raises:
            InvariantViolation: something differs.
        """
        self._follow()
        fresh = self._fresh()
        if not np.array_equal(fresh, self._by_node):
            raise InvariantViolation("the expected ends of nodes differ from the bookings")
        for layout, ends in self._by_bin.items():
            if not np.array_equal(_of_bins(layout, fresh), ends):
                raise InvariantViolation("the expected ends of bins differ from the bookings")


def _of_bins(layout: Layout, by_node: Floats) -> Floats:
    starts = layout.part_starts[layout.bin_starts]
    return np.maximum.reduceat(by_node[layout.rows], starts) if len(layout.rows) else np.zeros(0)
