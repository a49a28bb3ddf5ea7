"""Headroom of every rack: min over the cells it loads of slack / coefficient (DESIGN.md, section 5).

Worked out for all racks in one pass; or, after a change on a few racks, for those that share a cell with them.  Cells
that many racks load, like those of a whole site, would join all racks to one: they are kept apart, as there are few.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PADDING_WORTH = 4
_WIDE_RACKS = 64
_WIDE_SHARE = 4
_ANEW_SHARE = 2


@dataclass(frozen=True, slots=True)
class Headrooms:
    """Watts each column may still draw: nominal by rack, then peak by rack.  Do not write to the arrays."""

    least: Floats
    """Over all cells."""
    narrow: Floats
    """Over the cells that few racks share."""


class HeadroomTable:
    """The cells that bound each rack, in two columns: one for its nominal draw, and one for its peak draw."""

    def __init__(self, racks: int, columns: Ints, cells: Ints, coefficients: Floats, limits: Floats) -> None:
        """One entry for each column and each cell that bounds it.

        Args:
            racks: how many there are: column r is the nominal draw of rack r, column ``racks + r`` its peak draw.
            limits: watts by cell.
        """
        self.racks = racks
        self._limits = np.append(limits, np.inf)
        shared_by = np.bincount(cells, minlength=len(limits))
        order = np.argsort(columns, kind="stable")
        is_wide = shared_by[cells[order]] > max(_WIDE_RACKS, racks // _WIDE_SHARE)
        narrow, wide = order[~is_wide], order[is_wide]
        self._entries = columns[narrow], cells[narrow], coefficients[narrow]
        self._narrow = _Columns(2 * racks, *self._entries)
        self._wide = _Alike(2 * racks, columns[wide], cells[wide], coefficients[wide]) if len(wide) else None
        self._near: dict[int, tuple[Ints, _Columns]] = {}

    def of(self, loads: Floats) -> Headrooms:
        """Under these loads (watts by cell)."""
        return self.under(self._limits[:-1] - loads)

    def under(self, slack: Floats) -> Headrooms:
        """With these watts left by cell."""
        padded = np.append(slack, np.inf)
        narrow = self._narrow.least(padded)
        return Headrooms(narrow if self._wide is None else self._wide.least(narrow, padded), narrow)

    def after(self, before: Headrooms, loads: Floats, changed: Collection[int]) -> Headrooms:
        """Under these loads, where since ``before`` only those of cells that these racks load have changed."""
        groups = {int(self._group[rack]) for rack in changed}
        if _ANEW_SHARE * sum(int(self._group_size[group]) for group in groups) > self.racks:
            return self.of(loads)
        narrow = before.narrow.copy()
        for group in groups:
            columns, near = self._columns_of(group)
            narrow[columns] = near.least_at(self._limits, loads)
        if self._wide is None:
            return Headrooms(narrow, narrow)
        return Headrooms(self._wide.least_at(narrow, self._limits, loads), narrow)

    @cached_property
    def _group(self) -> Ints:
        """Rack -> the first of those that it is joined to by cells that few racks share."""
        racks, cells = self._entries[0] % max(1, self.racks), self._entries[1]
        group = np.arange(self.racks)
        order = np.argsort(cells, kind="stable")
        racks, starts = racks[order], np.flatnonzero(np.diff(cells[order], prepend=-1))
        sizes = np.diff(np.append(starts, len(racks)))
        while len(racks):
            joined = group.copy()
            np.minimum.at(joined, racks, np.repeat(np.minimum.reduceat(group[racks], starts), sizes))
            if np.array_equal(joined, group):
                break
            group = joined
        return group

    @cached_property
    def _group_size(self) -> Ints:
        return np.bincount(self._group, minlength=self.racks)

    def _columns_of(self, group: int) -> tuple[Ints, _Columns]:
        found = self._near.get(group)
        if found is None:
            racks = np.flatnonzero(self._group == group)
            chosen = np.concatenate([racks, racks + self.racks])
            position = np.full(2 * self.racks, -1)
            position[chosen] = np.arange(len(chosen))
            columns, cells, coefficients = self._entries
            kept = position[columns] >= 0
            near = _Columns(len(chosen), position[columns[kept]], cells[kept], coefficients[kept])
            found = self._near[group] = chosen, near
        return found


class _Columns:
    """Cells by column.

    Columns have about equally many, so they are those of a matrix that is padded with a cell without bound: a minimum
    down its rows costs a fifth of one over ragged segments.  Where they differ too much for that, segments.
    """

    def __init__(self, count: int, columns: Ints, cells: Ints, coefficients: Floats) -> None:
        """The entries are in order of their columns."""
        self.count = count
        sizes = np.bincount(columns, minlength=count)
        starts = np.cumsum(sizes) - sizes
        self._filled = np.flatnonzero(sizes)
        deepest = int(sizes.max(initial=0))
        self._padded = deepest * count <= _PADDING_WORTH * len(cells)
        if self._padded:
            depth = np.arange(len(cells)) - starts[columns]
            self._cells = np.full((deepest, count), -1, dtype=np.int64)
            self._inverse = np.ones((deepest, count))
            self._cells[depth, columns] = cells
            self._inverse[depth, columns] = 1.0 / coefficients
        else:
            self._cells, self._inverse = cells, 1.0 / coefficients
            self._starts = starts[self._filled]
        self._bounds: Floats | None = None

    def least(self, slack: Floats) -> Floats:
        """Watts each column may still draw; inf if no cell bounds it.

        Args:
            slack: watts left by cell, and one infinite value at the end, which the padding reads.
        """
        return self._least(slack[self._cells])

    def least_at(self, limits: Floats, loads: Floats) -> Floats:
        """As :meth:`least`, reading only what these columns need.

        Args:
            limits: watts by cell, and one infinite value at the end; always the same ones.
        """
        if self._bounds is None:
            self._bounds = limits[self._cells]
        return self._least(self._bounds - loads[self._cells])

    def _least(self, ratio: Floats) -> Floats:
        ratio *= self._inverse
        if self._padded:
            return np.asarray(ratio.min(axis=0, initial=np.inf))
        result = np.full(self.count, np.inf)
        if len(self._filled):
            result[self._filled] = np.minimum.reduceat(ratio, self._starts)
        return result


class _Alike:
    """Cells by column where many columns have the same ones with the same coefficients: each such set but once."""

    def __init__(self, count: int, columns: Ints, cells: Ints, coefficients: Floats) -> None:
        """The entries are in order of their columns."""
        ends = np.cumsum(np.bincount(columns, minlength=count)).tolist()
        sets: dict[tuple[bytes, bytes], int] = {}
        rows: list[Ints] = []
        self._set_of = np.empty(count, dtype=np.int64)
        for column, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            key = cells[start:end].tobytes(), coefficients[start:end].tobytes()
            if key not in sets:
                sets[key] = len(sets)
                rows.append(np.arange(start, end))
            self._set_of[column] = sets[key]
        kept = np.concatenate(rows)
        of_set = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        self._sets = _Columns(len(sets), of_set, cells[kept], coefficients[kept])

    def least(self, bound: Floats, slack: Floats) -> Floats:
        """The lesser of this bound and what the cells leave each column; ``slack`` as :meth:`_Columns.least`."""
        return np.minimum(bound, self._sets.least(slack)[self._set_of])

    def least_at(self, bound: Floats, limits: Floats, loads: Floats) -> Floats:
        """As :meth:`least`, as :meth:`_Columns.least_at` reads."""
        return np.minimum(bound, self._sets.least_at(limits, loads)[self._set_of])
