"""What each node, rack and bin could take of a request, all else equal: the arrays the search works on.

A *bin* is what a gang is spread over (an NVLink domain, or a rack where NVLink ends in the node); a *cell* is the
part of a bin in one rack; a *subtree* is one domain of the level that must hold the whole gang.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rackplane.engine import draw
from rackplane.engine.draw import Watts
from rackplane.engine.model import NVLINK, NvlinkScope, Request
from rackplane.engine.spares import held_back
from rackplane.engine.state import TOLERANCE_WATTS, State

Ints = NDArray[np.int64]
UNLIMITED = 2**40
"""Slots: more than any facility has, and safe to sum in int64."""


class Bar(IntEnum):
    """Why a node is not a candidate, apart from GPUs in use."""

    NONE = 0
    RACK = 1
    UNHEALTHY = 2
    PROFILE = 3
    CONSTRAINTS = 4
    HELD = 5


class Candidates:
    """Per node, rack and limit: what one request under one power profile may use.

    Watts per slot are rounded up for each slot, so what fits here fits exactly; ``exact`` is False when that
    rounding could hide a fit by a watt (several slots on one node), in which case nothing is proved by it.
    """

    def __init__(self, state: State, request: Request, profile: str) -> None:
        self.state = state
        self.request = request
        self.profile = profile
        facility, inventory = state.facility, state.inventory
        racks = len(facility.racks)
        self.slot_watts = [Watts()] * racks
        self.performance = [100] * racks
        fits = np.zeros(racks, dtype=np.bool_)
        self.offers = np.zeros(racks, dtype=np.bool_)
        """Racks whose node type has the resource, whatever their state."""
        self.has_profile = np.zeros(racks, dtype=np.bool_)
        caps = np.zeros(racks, dtype=np.int64)
        self.exact = True
        for r, node_type in enumerate(facility.rack_types):
            if node_type is None or node_type.resource != request.resource:
                continue
            self.offers[r] = True
            cap = draw.find_cap(node_type, profile)
            if cap is None:
                continue
            self.has_profile[r] = True
            caps[r] = cap.node_watts
            full = draw.full_increment(node_type, cap.node_watts)
            self.slot_watts[r] = draw.share(node_type, full, request.gpus_per_slot)
            self.performance[r] = cap.relative_performance_percent
            per_node = node_type.gpus_per_node // request.gpus_per_slot if request.gpus_per_slot else 1
            whole = draw.share(node_type, full, per_node * request.gpus_per_slot)
            if Watts(self.slot_watts[r].nominal * per_node, self.slot_watts[r].peak * per_node) != whole:
                self.exact = False
            fits[r] = facility.usable(r)
        self.bars = np.zeros(len(inventory.names), dtype=np.int64)
        """Per node, a :class:`Bar`."""
        self.node_slots = self._node_slots(fits, caps)
        self.slack = state.slack(request.until, at=request.at) + TOLERANCE_WATTS / 2
        increments = [w.nominal for w in self.slot_watts] + [w.peak for w in self.slot_watts]
        self._increments = np.array(increments, dtype=np.float64)
        """Watts of a slot by rack: nominal, then peak."""
        self.rack_slots = self._rack_slots()
        self.names = inventory.names

    def _node_slots(self, fits: NDArray[np.bool_], caps: Ints) -> Ints:
        """Slots each node could take by GPUs, state and outside capacity; watts apart."""
        state, request = self.state, self.request
        inventory = state.inventory
        known = inventory.rack >= 0
        ok = known & fits[inventory.rack] if len(fits) else np.zeros(len(inventory.names), dtype=np.bool_)
        free = state.free
        slots = free // request.gpus_per_slot if request.gpus_per_slot else np.full(len(free), UNLIMITED)
        slots = np.where(ok, slots, 0).astype(np.int64)
        self.bars[~ok] = Bar.RACK
        for i in np.flatnonzero(slots > 0):
            name = inventory.names[i]
            spec = state.node(name)
            if spec is None or not spec.healthy:
                slots[i], self.bars[i] = 0, Bar.UNHEALTHY
                continue
            if request.gpus_per_slot:
                cap = state.cap_watts(name)
                if cap is not None and cap != caps[inventory.rack[i]]:
                    slots[i], self.bars[i] = 0, Bar.PROFILE
                    continue
            if request.capacity is not None:
                slots[i] = min(int(slots[i]), max(0, request.capacity.get(name, 0)))
                if not slots[i]:
                    self.bars[i] = Bar.CONSTRAINTS
        held = held_back(state)
        slots[held], self.bars[held] = 0, Bar.HELD
        return np.minimum(slots, request.slots)

    @cached_property
    def use(self) -> NDArray[np.float64]:
        """Entry -> watts on its limit for one slot in its rack."""
        f = self.state.facility
        return f.coefficients * self._increments[f.draw_index]

    def _rack_slots(self) -> Ints:
        """Slots each rack could take by watts and heat, taken alone."""
        headroom = np.concatenate(self.state.headrooms_under(self.slack))
        slots = np.full(len(headroom), float(UNLIMITED))
        np.divide(headroom, self._increments, out=slots, where=self._increments > 0)
        fewest: NDArray[np.float64] = np.clip(np.floor(slots), 0, UNLIMITED).reshape(2, -1).min(axis=0)
        return fewest.astype(np.int64)

    def under(self, slack: NDArray[np.float64]) -> Candidates:
        """The same request with other watts left by cell: what if limits were higher."""
        other = copy.copy(self)
        other.slack = slack
        other.rack_slots = other._rack_slots()
        return other

    def rack_limit(self, rack: int, slack: NDArray[np.float64]) -> int:
        """Slots the rack can take by watts under this slack."""
        f = self.state.facility
        entries = f.entries(rack)
        use = self.use[entries]
        used = use > 0
        if not used.any():
            return UNLIMITED
        least = float((slack[f.cells[entries]][used] / use[used]).min())
        return int(np.floor(np.clip(least, 0, UNLIMITED)))

    def take(self, rack: int, slots: int, slack: NDArray[np.float64]) -> None:
        """Lower the slack by so many slots in the rack."""
        f = self.state.facility
        entries = f.entries(rack)
        slack[f.cells[entries]] -= self.use[entries] * slots


@dataclass(frozen=True, slots=True)
class Cell:
    """The nodes of one bin in one rack: slots by nodes alone, and with the rack's watts."""

    rack: int
    nodes: Ints
    free: int
    cap: int


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin within one subtree.

    ``order`` follows names; ``size`` is free slots, ``cap`` an upper bound on use.
    """

    order: int
    name: str
    group: str
    cells: tuple[Cell, ...]
    size: int
    cap: int
    pristine: bool
    whole: int
    """Slots if every known node of it were idle: what could ever fit."""
    members: Ints
    """All its nodes, candidates or not."""

    def least_racks(self, slots: int) -> int:
        """A lower bound on the racks that so many slots need."""
        if len(self.cells) == 1:
            return 1
        left, count = slots, 0
        for cap in sorted((c.cap for c in self.cells), reverse=True):
            if left <= 0:
                break
            left -= cap
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class Subtree:
    """One domain of the level that must hold the whole gang, with all its bins."""

    name: str
    bins: tuple[Bin, ...]

    @property
    def whole(self) -> int:
        """Slots if every known node of it were idle."""
        return sum(b.whole for b in self.bins)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One level to try.  ``single``: the gang must lie in one bin, and each bin is a domain of the level."""

    level: str
    single: bool
    subtrees: tuple[Subtree, ...]


def attempts(candidates: Candidates, levels: tuple[str, ...]) -> list[Attempt]:
    """The levels to try, nearest first: one NVLink domain, then from preferred up to required ("" is anywhere)."""
    request = candidates.request
    ladder = [NVLINK, *levels, ""]
    top = ladder.index(request.required or "")
    first = ladder.index(request.preferred) if request.preferred is not None else top
    chosen = dict.fromkeys([NVLINK, *ladder[min(first, top) : top + 1]])
    return [
        _attempt(candidates, level, request.required if request.required != NVLINK else None)
        for level in chosen
    ]


def _attempt(candidates: Candidates, level: str, required: str | None) -> Attempt:
    inventory = candidates.state.inventory
    count = len(inventory.names)
    single = level == NVLINK
    subtree_level = (required or "") if single else level
    subtree, names = (
        inventory.levels[subtree_level]
        if subtree_level
        else (np.zeros(count, dtype=np.int64), ("the facility",))
    )
    by_domain = single or (candidates.request.segment_slots or 1) > 1
    bins = inventory.domain if by_domain else inventory.bin
    listed = (subtree >= 0) & (bins >= 0)
    if len(candidates.offers):
        listed &= (inventory.rack >= 0) & candidates.offers[inventory.rack]
    rows = np.flatnonzero(listed)
    rows = rows[np.lexsort((rows, inventory.rack[rows], bins[rows], subtree[rows]))]
    whole = _whole_slots(candidates)
    found: dict[int, list[Bin]] = {}
    pairs = np.stack([subtree[rows], bins[rows]]) if len(rows) else np.zeros((2, 0), dtype=np.int64)
    borders = np.flatnonzero((np.diff(pairs, axis=1) != 0).any(axis=0)) + 1
    for members in np.split(rows, borders) if len(rows) else []:
        tree, bin_id = int(subtree[members[0]]), int(bins[members[0]])
        name = inventory.domain_names[bin_id] if by_domain else inventory.bin_names[bin_id]
        bin_ = _bin(candidates, members, order=bin_id, name=name, whole=int(whole[members].sum()))
        found.setdefault(0 if single else tree, []).append(bin_)
    trees = tuple(Subtree("" if single else names[tree], tuple(bins_)) for tree, bins_ in found.items())
    return Attempt(level, single, trees)


def _whole_slots(candidates: Candidates) -> Ints:
    """Per node, the slots it would take if it were idle."""
    state, gpus = candidates.state, candidates.request.gpus_per_slot
    per_rack = np.array(
        [
            0 if t is None else (t.gpus_per_node // gpus if gpus else candidates.request.slots)
            for t in state.facility.rack_types
        ],
        dtype=np.int64,
    )
    rack = state.inventory.rack
    return np.where(rack >= 0, per_rack[rack], 0) if len(per_rack) else np.zeros(len(rack), dtype=np.int64)


def _bin(candidates: Candidates, members: Ints, *, order: int, name: str, whole: int) -> Bin:
    state = candidates.state
    inventory = state.inventory
    racks = inventory.rack[members]
    cells = []
    pristine = True
    for rack in dict.fromkeys(racks.tolist()):
        nodes = members[racks == rack]
        node_type = state.facility.rack_types[rack]
        if node_type is not None and (state.free[nodes] < node_type.gpus_per_node).any():
            pristine = False
        nodes = nodes[candidates.node_slots[nodes] > 0]
        free = int(candidates.node_slots[nodes].sum())
        if free:
            cells.append(Cell(rack, nodes, free, min(free, int(candidates.rack_slots[rack]))))
    node_type = state.facility.rack_types[int(racks[0])]
    spans = node_type is not None and node_type.nvlink_scope in (NvlinkScope.LABEL, NvlinkScope.OBJECT)
    spec = state.node(inventory.names[int(members[0])])
    group = (spec.domain or "") if spans and spec is not None else ""
    return Bin(
        order=order,
        name=name,
        group=group,
        cells=tuple(cells),
        size=sum(c.free for c in cells),
        cap=sum(c.cap for c in cells),
        pristine=pristine,
        whole=whole,
        members=members,
    )
