"""The compiled facility: every limit under every contingency as one *cell*, and each rack's coefficients on them.

``L[k] = constant[k] + sum over racks of coefficient x P_r`` is the load of cell k in watts, with P_r the rack's nominal
or peak draw by the entry's basis.  The cells of the normal state come first, one for each row, in the rows' order; a
cell of a contingency is there only if some load could reach its limit before it reaches that of the normal state, so
leaving the others out changes no answer.  A rack's entries lie together (CSR), across all contingencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import (
    NVLINK,
    CoolingSpec,
    DomainSpec,
    FacilitySpec,
    NodeType,
    PowerSpec,
    Problem,
    RackSpec,
)
from rackplane.engine.physics.headroom import HeadroomTable
from rackplane.engine.physics.rows import Contingency, LimitRow, RowKind

_OF_RACKS = frozenset({RowKind.RACK_NOMINAL, RowKind.RACK_PEAK, RowKind.FEED})
_DENSE = 4_096
"""Coefficients of all racks on all cells that a matrix is made of: of a row they are 208."""


@dataclass(frozen=True, eq=False)
class Facility:
    """Immutable; shared by every state and every decision.

    Built by :func:`engine.physics.compiler.compile_facility` only.
    """

    spec: FacilitySpec
    problems: tuple[Problem, ...]
    racks: tuple[RackSpec, ...]
    rack_index: Mapping[str, int]
    rack_types: tuple[NodeType | None, ...]
    unusable: Mapping[str, str]
    """Rack name -> why nothing may be placed there (besides a maintenance state)."""
    domains: Mapping[str, DomainSpec]
    powers: Mapping[str, PowerSpec]
    coolings: Mapping[str, CoolingSpec]
    """Without the units that have an error: those carry nothing."""
    levels: tuple[str, ...]
    """Above the NVLink domain, innermost first."""
    inner_levels: tuple[str, ...]
    """Below the NVLink domain, innermost first."""
    contingencies: tuple[Contingency, ...]
    """The normal state, then every single loss that the facility is designed to survive."""
    second_loss: Mapping[int, tuple[str, ...]]
    """Contingency -> elements out of service that share its redundancy: with it, that would be a second loss."""
    dropped: Mapping[str, tuple[int, ...]]
    """Rack name -> contingencies in which no feed reaches it: it draws nothing then, and what it runs is lost."""
    rows: tuple[LimitRow, ...]
    row_index: Mapping[LimitRow, int]
    """Row -> its index, which is also its cell in the normal state."""
    cell_rows: NDArray[np.int64]
    cell_contingencies: NDArray[np.int64]
    limits: NDArray[np.float64]
    constant: NDArray[np.float64]
    enforced: NDArray[np.bool_]
    """Cell -> whether it may hold back an admission now: not a coming budget, not a permitted second loss."""
    enforced_later: NDArray[np.bool_]
    """Cell -> whether it is a coming budget that may hold back what still runs then: not in a permitted second loss."""
    cell_starts: NDArray[np.float64]
    """Cell -> when its budget starts, for one that is coming; -inf for every other cell."""
    cell_ends: NDArray[np.float64]
    """Cell -> when its budget ends; inf for one without end and every other cell."""
    windows: tuple[float, ...]
    """The distinct starts of coming budgets, in order."""
    cell_windows: NDArray[np.int64]
    """Cell -> index into ``windows``; for a capped cell one beyond the last; -1 for every other cell."""
    capped: NDArray[np.bool_]
    """Cell -> whether it bounds what is left of the load once all gangs that can be capped are.

    Such a cell holds an element to its continuous rating after a loss, beside the one that holds the load before that
    to the emergency rating.
    """
    live: frozenset[str]
    """The power elements that are live in the normal state."""
    starts: NDArray[np.int64]
    """Rack r's entries are ``starts[r]:starts[r + 1]``."""
    cells: NDArray[np.int64]
    """Entry -> cell; unique within a rack."""
    coefficients: NDArray[np.float64]
    peak: NDArray[np.bool_]
    """Entry -> whether it takes the rack's peak draw."""

    @cached_property
    def ladder(self) -> tuple[str, ...]:
        """Every level by name, innermost first."""
        return (*self.inner_levels, NVLINK, *self.levels)

    @cached_property
    def types(self) -> tuple[NodeType, ...]:
        """The node types that racks have, each once."""
        return tuple({t.name: t for t in self.rack_types if t is not None}.values())

    @cached_property
    def budget_rows(self) -> tuple[tuple[LimitRow, int], ...]:
        """The limits of budgets, each with its cell."""
        return tuple((row, cell) for row, cell in self.row_index.items() if row.kind is RowKind.BUDGET)

    @cached_property
    def entry_racks(self) -> NDArray[np.int64]:
        """Entry -> rack."""
        return np.repeat(np.arange(len(self.racks)), np.diff(self.starts))

    @cached_property
    def draw_index(self) -> NDArray[np.int64]:
        """Entry -> where its rack's draw lies if all nominal draws are followed by all peak draws."""
        return self.entry_racks + len(self.racks) * self.peak

    @cached_property
    def by_cell(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The entries in order of their cells; the cells that have any; and where each of those begins."""
        order = np.argsort(self.cells, kind="stable")
        loaded, begins = np.unique(self.cells[order], return_index=True)
        return order, loaded, begins

    @cached_property
    def enforced_limits(self) -> NDArray[np.float64]:
        """Cell -> watts that hold back an admission now; inf where nothing does."""
        return np.where(self.enforced, self.limits, np.inf)

    @cached_property
    def counts_caps(self) -> bool:
        """Whether there are capped cells."""
        return bool(self.capped.any())

    @cached_property
    def parts(self) -> int:
        """How many parts of a rack's nominal draw are told apart: what is over before each window, what caps take."""
        return len(self.windows) + self.counts_caps

    @cached_property
    def coming(self) -> NDArray[np.int64]:
        """The entries on cells that a part of the draw does not count on."""
        return np.flatnonzero(self.cell_windows[self.cells] >= 0)

    @cached_property
    def headroom(self) -> HeadroomTable:
        """The enforced cells of each rack."""
        chosen = np.flatnonzero(self.enforced[self.cells])
        return HeadroomTable(
            len(self.racks),
            self.draw_index[chosen],
            self.cells[chosen],
            self.coefficients[chosen],
            self.limits,
        )

    @cached_property
    def elements(self) -> NDArray[np.int64]:
        """Row -> an id that all rows of one power element, cooling zone or budget in force share; -1 for other rows."""
        ids: dict[tuple[str, str], int] = {}
        found = np.full(len(self.rows), -1, dtype=np.int64)
        for b, row in enumerate(self.rows):
            if row.kind in _OF_RACKS or row.starts_at is not None:
                continue
            kind = RowKind.POWER_NOMINAL if row.kind is RowKind.POWER_PEAK else row.kind
            found[b] = ids.setdefault((kind, row.element), len(ids))
        return found

    @cached_property
    def entries_of(self) -> tuple[slice, ...]:
        """Rack -> where its entries lie."""
        return tuple(slice(a, b) for a, b in pairwise(self.starts.tolist()))

    @cached_property
    def entries_by_rack(
        self,
    ) -> tuple[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]], ...]:
        """Rack -> the cells, coefficients and ``peak`` of its entries: read with each change of its draw."""
        return tuple((self.cells[e], self.coefficients[e], self.peak[e]) for e in self.entries_of)

    @cached_property
    def coefficients_by_rack(self) -> NDArray[np.float64] | None:
        """Rack -> coefficient by cell, 0 where it has no entry; None for a facility of which that is too much."""
        racks, cells = len(self.racks), len(self.limits)
        if racks * cells > _DENSE:
            return None
        found = np.zeros((racks, cells))
        found[self.entry_racks, self.cells] = self.coefficients
        return found

    def entries(self, rack: int) -> slice:
        """Where the rack's entries lie."""
        return self.entries_of[rack]

    def entries_of_racks(self, racks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The entries of these racks one after the other, and how many each has."""
        counts = self.starts[racks + 1] - self.starts[racks]
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        return np.arange(total) + np.repeat(self.starts[racks] - ends + counts, counts), counts

    def describe(self, cell: int) -> tuple[Contingency, LimitRow]:
        """The contingency and the row of a cell."""
        return self.contingencies[self.cell_contingencies[cell]], self.rows[self.cell_rows[cell]]

    def usable(self, rack: int) -> bool:
        """Whether gangs may be placed on the rack: free of errors, fed, and Active."""
        spec = self.racks[rack]
        return spec.schedulable and spec.name not in self.unusable
