"""Stranded power: headroom that no free node can use, and free nodes that no headroom can feed, in watts and by cause.

Both are read off one *fill*: rack by rack in natural order of their names, each rack gets as many of its free nodes
started at full power (the whole-node increments of MaxP) as every enforced cell allows, under every loss.  After it no
free node fits anywhere.  It is not the largest fill there is: which racks are left over follows their order.

- A node is *free* if it is healthy, wholly idle, in a rack that takes gangs, and not a spare of its NVLink domain.
  Free GPUs of nodes in part use are not counted.
- What is left of an element is its least limit - load over every loss, after the fill: none of it is usable, so all of
  it is stranded.  It is split in this order:
  1. Rack, Power, Budget, Liquid, Air: free nodes below the element stayed idle because such a limit of something else
     is in their way, and could have used so much of it.
  2. Remainder: free nodes below stayed idle because what is left here is less than one of them needs.
  3. Unavailable: idle nodes below that are not free (unhealthy, spare, or in a rack that takes no gangs) could use it.
  4. NoIdleNode: nothing is left below it that could use it.
- A free node that stayed idle is *unfed*.  Its cause and element are those of the cell in which its rack can take the
  smallest part of a node.  Its watts are the nominal increment of its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Cause, NodeType
from rackplane.engine.nodes.inventory import natural
from rackplane.engine.physics import draw
from rackplane.engine.physics.rows import Contingency, LimitRow, RowKind
from rackplane.engine.reporting.least import least, whole_watts
from rackplane.engine.state import State

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_TOLERANCE_WATTS = 0.005
_NO_BOUND = 2**40


class StrandedBy(StrEnum):
    """Why headroom cannot be used, or a free node not be fed; in the order in which headroom is split."""

    RACK = "Rack"
    POWER = "Power"
    BUDGET = "Budget"
    LIQUID = "Liquid"
    AIR = "Air"
    REMAINDER = "Remainder"
    UNAVAILABLE = "Unavailable"
    NO_IDLE_NODE = "NoIdleNode"

    @property
    def limits_nodes(self) -> bool:
        """Whether it is a limit, and so a cause of unfed nodes too."""
        return self not in (StrandedBy.REMAINDER, StrandedBy.UNAVAILABLE, StrandedBy.NO_IDLE_NODE)


_CAUSES = tuple(StrandedBy)
_REMAINDER = _CAUSES.index(StrandedBy.REMAINDER)
_UNAVAILABLE = _CAUSES.index(StrandedBy.UNAVAILABLE)
_BY_CAUSE = {
    Cause.POWER: StrandedBy.POWER,
    Cause.BUDGET: StrandedBy.BUDGET,
    Cause.LIQUID: StrandedBy.LIQUID,
    Cause.AIR: StrandedBy.AIR,
}
_BELOW = frozenset({RowKind.POWER_NOMINAL, RowKind.LIQUID, RowKind.AIR})
_OF_RACK = frozenset({RowKind.RACK_NOMINAL, RowKind.RACK_PEAK, RowKind.FEED})


@dataclass(frozen=True, slots=True)
class Unfed:
    """Free nodes that stayed idle for one limit under one loss; ``watts`` is what they would add."""

    cause: StrandedBy
    loss: Contingency
    row: LimitRow
    nodes: int
    watts: int


@dataclass(frozen=True, slots=True)
class Stranding:
    """Of one element: headroom by cause (watts, never 0), and what stayed idle below it, most watts first."""

    headroom: Mapping[StrandedBy, int]
    unfed: tuple[Unfed, ...]

    @property
    def watts(self) -> int:
        """Headroom that no free node can use."""
        return sum(self.headroom.values())

    @property
    def nodes(self) -> int:
        """Free nodes that no headroom can feed."""
        return sum(u.nodes for u in self.unfed)


NOTHING = Stranding({}, ())


@dataclass(frozen=True, slots=True)
class Stranded:
    """By name: racks have unfed nodes only, power elements and cooling zones both."""

    racks: Mapping[str, Stranding]
    powers: Mapping[str, Stranding]
    coolings: Mapping[str, Stranding]
    filled_nodes: int
    """Free nodes that could start."""
    unfed: tuple[Unfed, ...]
    """Of the whole facility, most watts first."""

    @property
    def unfed_nodes(self) -> int:
        """Free nodes of the whole facility that no headroom can feed."""
        return sum(u.nodes for u in self.unfed)


def stranded(state: State) -> Stranded:
    """Fill the facility as the module's docstring says, and account for what is left over.  Books nothing."""
    fill = _Fill(state)
    f = state.facility
    headroom = _headroom(fill)
    unfed = _unfed_below(fill)

    def of_row(b: int) -> Stranding:
        return Stranding(headroom.get(int(f.elements[b]), {}), unfed.get(b, ()))

    racks = {
        rack.name: Stranding(
            {}, (fill.of_cell(int(fill.binding[r]), int(fill.unfed[r]), int(fill.watts[r])),)
        )
        if fill.unfed[r]
        else NOTHING
        for r, rack in enumerate(f.racks)
    }
    return Stranded(
        racks,
        {row.element: of_row(b) for b, row in enumerate(f.rows) if row.kind is RowKind.POWER_NOMINAL},
        {row.element: of_row(b) for b, row in enumerate(f.rows) if row.kind in (RowKind.LIQUID, RowKind.AIR)},
        filled_nodes=int(fill.filled.sum()),
        unfed=_of_facility(fill),
    )


class _Fill:
    """Free nodes by rack, how many of them start, and what is left of every cell then."""

    def __init__(self, state: State) -> None:
        f = self.facility = state.facility
        # By identity: the racks share few types, and hashing one costs more than the sum.
        types = {id(t): t for t in f.rack_types}
        adds = {key: _whole_node(t) for key, t in types.items()}
        full = [adds[id(t)] for t in f.rack_types]
        self.nominal = np.array([w.nominal for w in full], dtype=np.int64)
        peak = np.array([w.peak for w in full], dtype=np.int64)
        self.free, self.unavailable = _idle_nodes(state)
        racks = f.entry_racks
        self.use: Floats = f.coefficients * np.where(f.peak, peak[racks], self.nominal[racks])
        """Entry -> watts on its cell for one node."""
        self.slack: Floats = np.where(f.enforced, f.limits - state.loads, np.inf)
        self.filled = self._fill()
        self.unfed = self.free - self.filled
        self.watts = self.unfed * self.nominal
        """Rack -> what its unfed nodes would add, nominal."""
        slack = self.slack[f.cells] + _TOLERANCE_WATTS
        room = np.divide(slack, self.use, out=np.full(len(slack), np.inf), where=self.use > 0)
        self.tight = room < 1
        """Entry -> whether what is left of its cell is less than one node of its rack needs."""
        # In thousandths of a node: of limits that are equally near, noise must not choose another in every period.
        tightest = least(racks, whole_watts(room * 1000), self.tight)
        self.binding = np.full(len(f.racks), -1, dtype=np.int64)
        """Rack -> the cell in which it can take the smallest part of a node; -1 if it could take one."""
        self.binding[list(tightest)] = f.cells[list(tightest.values())]

    def _fill(self) -> Ints:
        f = self.facility
        whole = self.free.astype(np.float64)
        # Where all of them fit together, no order matters; that is what a well-designed hall looks like.
        wanted = np.bincount(f.cells, self.use * whole[f.entry_racks], minlength=len(f.limits))
        if (wanted <= self.slack + _TOLERANCE_WATTS)[wanted > 0].all():
            self.slack = self.slack - wanted
            return self.free.copy()
        filled = np.zeros(len(f.racks), dtype=np.int64)
        for r in sorted(np.flatnonzero(self.free).tolist(), key=lambda r: natural(f.racks[r].name)):
            entries = f.entries(r)
            cells, use = f.cells[entries], self.use[entries]
            used = use > 0
            room = ((self.slack[cells] + _TOLERANCE_WATTS)[used] / use[used]).min(initial=_NO_BOUND)
            count = min(int(self.free[r]), max(0, int(room)))
            if count:
                filled[r] = count
                self.slack[cells] -= use * count
        return filled

    def cause(self, cell: int) -> StrandedBy:
        """What a cell's limit counts as."""
        row = self.facility.rows[self.facility.cell_rows[cell]]
        return StrandedBy.RACK if row.kind in _OF_RACK else _BY_CAUSE[row.cause]

    def of_cell(self, cell: int, nodes: int, watts: int) -> Unfed:
        """Nodes that this cell holds back."""
        loss, row = self.facility.describe(cell)
        return Unfed(self.cause(cell), loss, row, nodes, watts)


def _whole_node(node_type: NodeType | None) -> draw.Watts:
    """What one idle node adds at MaxP."""
    if node_type is None:
        return draw.Watts()
    return draw.gang_increment(node_type, draw.DEFAULT_PROFILE, node_type.gpus_per_node)


def _idle_nodes(state: State) -> tuple[Ints, Ints]:
    """By rack: the nodes that are free, and the idle ones that are not."""
    f, rack = state.facility, state.inventory.rack
    gpus = state.table.gpus
    takes = np.array([*(f.usable(r) for r in range(len(f.racks))), False], dtype=np.bool_)
    idle = (gpus > 0) & (state.free == gpus)
    free = idle & state.healthy & takes[rack]
    free[state.held_back()] = False
    by_rack = [np.bincount(rack[chosen], minlength=len(f.racks)) for chosen in (free, idle & ~free)]
    return by_rack[0], by_rack[1]


def _headroom(fill: _Fill) -> dict[int, dict[StrandedBy, int]]:
    """Element -> watts that are left of it after the fill, by cause."""
    f = fill.facility
    element = f.elements[f.cell_rows]
    left = whole_watts(fill.slack)
    worst = least(element, left, f.enforced)
    owner = np.full(len(f.limits), -1, dtype=np.int64)
    owner[list(worst.values())] = list(worst)
    entries = np.flatnonzero(owner[f.cells] >= 0)
    racks, above = f.entry_racks[entries], owner[f.cells[entries]]
    binding = fill.binding[racks]
    own = fill.tight[entries] | ((binding >= 0) & (element[binding] == above))
    of_binding = np.array(
        [_REMAINDER if cell < 0 else _CAUSES.index(fill.cause(cell)) for cell in fill.binding.tolist()],
        dtype=np.int64,
    )
    cause = np.where(own, _REMAINDER, of_binding[racks])
    size = (int(f.elements.max(initial=-1)) + 1) * len(_CAUSES)
    demand = np.bincount(above * len(_CAUSES) + cause, fill.use[entries] * fill.unfed[racks], minlength=size)
    demand += np.bincount(
        above * len(_CAUSES) + _UNAVAILABLE, fill.use[entries] * fill.unavailable[racks], minlength=size
    )
    wanted = np.ceil(demand).astype(np.int64).reshape(-1, len(_CAUSES)).tolist()
    return {e: _split(int(left[cell]), wanted[e]) for e, cell in worst.items() if left[cell] > 0}


def _split(left: int, wanted: list[int]) -> dict[StrandedBy, int]:
    """Watts by cause: each takes what its nodes could use, in order, and the last what nobody could."""
    result = {}
    for cause, watts in zip(_CAUSES, wanted, strict=True):
        if cause is StrandedBy.NO_IDLE_NODE or (cause is StrandedBy.REMAINDER and watts):
            part = left
        else:
            part = min(left, watts)
        if part:
            result[cause] = part
        left -= part
    return result


def _unfed_below(fill: _Fill) -> dict[int, tuple[Unfed, ...]]:
    """Row of an element -> the unfed nodes that it carries in the normal state, by the cell that holds them back."""
    f = fill.facility
    if not fill.unfed.any():
        return {}
    below = np.array([row.kind in _BELOW for row in f.rows], dtype=np.bool_)
    chosen = np.flatnonzero((f.cells < len(f.rows)) & (fill.unfed[f.entry_racks] > 0))
    chosen = chosen[below[f.cells[chosen]]]
    racks = f.entry_racks[chosen]
    pairs, index = np.unique(np.stack([f.cells[chosen], fill.binding[racks]]), axis=1, return_inverse=True)
    index = index.reshape(-1)
    nodes = np.bincount(index, fill.unfed[racks], minlength=pairs.shape[1])
    watts = np.bincount(index, fill.watts[racks], minlength=pairs.shape[1])
    found: dict[int, list[Unfed]] = {}
    for b, cell, n, w in zip(*pairs.tolist(), nodes.tolist(), watts.tolist(), strict=True):
        found.setdefault(b, []).append(fill.of_cell(cell, int(n), int(w)))
    return {b: _most_first(parts) for b, parts in found.items()}


def _of_facility(fill: _Fill) -> tuple[Unfed, ...]:
    racks = np.flatnonzero(fill.unfed)
    if not len(racks):
        return ()
    cells, index = np.unique(fill.binding[racks], return_inverse=True)
    nodes = np.bincount(index, fill.unfed[racks], minlength=len(cells))
    watts = np.bincount(index, fill.watts[racks], minlength=len(cells))
    return _most_first(
        [
            fill.of_cell(cell, int(n), int(w))
            for cell, n, w in zip(cells.tolist(), nodes.tolist(), watts.tolist(), strict=True)
        ]
    )


def _most_first(parts: list[Unfed]) -> tuple[Unfed, ...]:
    return tuple(sorted(parts, key=lambda u: -u.watts))
