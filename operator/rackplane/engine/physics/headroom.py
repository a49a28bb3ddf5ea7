"""Headroom of every rack at once: min over the cells it loads of slack / coefficient (DESIGN.md, section 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PADDING_WORTH = 4


class HeadroomTable:
    """The cells that bound each rack on one basis (nominal or peak), laid out for one pass over all racks.

    Racks load about equally many cells, so they are the columns of a matrix that is padded with a cell without bound:
    a minimum down its rows costs a fifth of one over ragged segments.  Where racks differ too much for that, segments.
    """

    def __init__(self, starts: NDArray[np.int64], cells: NDArray[np.int64], coefficients: Floats) -> None:
        """A rack's cells are ``cells[starts[r]:starts[r + 1]]``, each with its coefficient."""
        counts = np.diff(starts)
        self.racks = len(counts)
        self._filled = np.flatnonzero(counts)
        deepest = int(counts.max(initial=0))
        self._padded = deepest * self.racks <= _PADDING_WORTH * len(cells)
        if self._padded:
            rack = np.repeat(np.arange(self.racks), counts)
            depth = np.arange(len(cells)) - starts[rack]
            self._cells = np.full((deepest, self.racks), -1, dtype=np.int64)
            self._inverse = np.ones((deepest, self.racks))
            self._cells[depth, rack] = cells
            self._inverse[depth, rack] = 1.0 / coefficients
        else:
            self._cells, self._inverse = cells, 1.0 / coefficients
            self._starts = starts[self._filled]

    def of(self, slack: Floats) -> Floats:
        """Watts each rack may still draw on this basis; inf if no cell bounds it.

        Args:
            slack: watts left by cell, and one infinite value at the end, which the padding reads.
        """
        if self._padded:
            ratio = slack[self._cells]
            ratio *= self._inverse
            return np.asarray(ratio.min(axis=0, initial=np.inf))
        result = np.full(self.racks, np.inf)
        if len(self._filled):
            result[self._filled] = np.minimum.reduceat(slack[self._cells] * self._inverse, self._starts)
        return result
