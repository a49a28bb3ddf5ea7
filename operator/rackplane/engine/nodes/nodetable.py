"""What each node has left, as arrays in the inventory's order, with a log of what has changed since."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.nodes.changelog import ChangeLog

Ints = NDArray[np.int64]

NO_CAP = -1

Figures = tuple[int, int, int, bool, int | None]
"""A node's free GPUs, those that gangs hold, GPUs in all, whether it is healthy, and watts of the power cap on it."""


class NodeTable:
    """Free GPUs, health, power cap and size of every node; whoever derives from it follows ``changes``.

    Do not write to the arrays.
    """

    def __init__(self, count: int) -> None:
        self.free: Ints = np.zeros(count, dtype=np.int64)
        """GPUs that neither gangs nor others use; 0 for a node of no known type."""
        self.booked: Ints = np.zeros(count, dtype=np.int64)
        """GPUs that gangs hold."""
        self.gpus: Ints = np.zeros(count, dtype=np.int64)
        """GPUs in all; 0 for a node of no known type."""
        self.healthy: NDArray[np.bool_] = np.zeros(count, dtype=np.bool_)
        self.cap: Ints = np.full(count, NO_CAP, dtype=np.int64)
        """Watts of the power cap of the gangs on it, or NO_CAP."""
        self.resized = 0
        """Another number whenever ``gpus`` of some node is."""
        self._log: ChangeLog[int] = ChangeLog()

    def set(self, i: int, figures: Figures) -> None:
        """One node as it is now."""
        free, booked, gpus, healthy, cap = figures
        self.free[i] = free
        self.booked[i] = booked
        self.resized += bool(self.gpus[i] != gpus)
        self.gpus[i] = gpus
        self.healthy[i] = healthy
        self.cap[i] = NO_CAP if cap is None else cap
        self._log.add(i)

    def set_alike(self, rows: list[int], free: int, booked: int, gpus: int, cap: int | None) -> None:
        """Nodes that are used alike as they are now; their health has not changed."""
        at = rows[0] if len(rows) == 1 else rows
        self.free[at] = free
        self.booked[at] = booked
        self.resized += bool(np.count_nonzero(self.gpus[at] != gpus))
        self.gpus[at] = gpus
        self.cap[at] = NO_CAP if cap is None else cap
        self._log.extend(rows)

    def undone(self, since: int) -> None:
        """All nodes are as they were at that position."""
        self._log.undone(since)

    @property
    def position(self) -> int:
        """Where the log ends now."""
        return self._log.position

    def changes(self, since: int) -> dict[int, None] | None:
        """The nodes that have changed since that position, each once; None if the log no longer reaches back."""
        return self._log.since(since)

    def same(self, other: NodeTable) -> bool:
        """Whether both say the same of every node."""
        return all(
            np.array_equal(getattr(self, part), getattr(other, part))
            for part in ("free", "booked", "gpus", "healthy", "cap")
        )
