"""Slots by node and by part of a bin for one kind of pod, kept up to date by events instead of being counted anew."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import InvariantViolation
from rackplane.engine.nodes.inventory import Inventory
from rackplane.engine.nodes.layout import Layout
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.nodetable import NO_CAP, NodeTable
from rackplane.engine.nodes.podkinds import PodKind, RackNeeds
from rackplane.engine.nodes.spares import Holding

Ints = NDArray[np.int64]

UNLIMITED = 2**40
"""Slots: more than any facility has, and safe to sum in int64."""
_REBUILD_ABOVE = 512


class Bar(IntEnum):
    """Why a node is not a candidate, apart from GPUs in use."""

    NONE = 0
    RACK = 1
    UNHEALTHY = 2
    PROFILE = 3
    CONSTRAINTS = 4
    HELD = 5


@dataclass(slots=True)
class _Sums:
    """Sums of a view over one layout."""

    free: Ints
    used_nodes: Ints
    """Per bin: nodes that are not wholly free."""


@dataclass(slots=True)
class View:
    """Slots each node could take by GPUs, state, spares, power cap and mask; watts apart."""

    inventory: Inventory
    table: NodeTable
    kind: PodKind
    needs: RackNeeds
    holding: Holding
    mask: NodeMask | None = None
    slots: Ints = field(init=False)
    bars: Ints = field(init=False)
    """Per node, a :class:`Bar`."""
    _position: int = field(init=False)
    _mask_position: int = 0
    _allowed: Ints | None = None
    """The mask by node."""
    _sums: dict[Layout, _Sums] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._read_mask()
        self._build()

    def _read_mask(self) -> None:
        if self.mask is not None:
            self._mask_position = self.mask.position
            names = self.inventory.names
            self._allowed = np.fromiter(map(self.mask.get, names), dtype=np.int64, count=len(names))

    def _follow_mask(self) -> list[int] | None:
        """The nodes whose bound by the mask has changed; None if all may have."""
        if self.mask is None or self._allowed is None:
            return []
        changed = self.mask.changes(self._mask_position)
        if changed is None:
            self._read_mask()
            return None
        index = self.inventory.index
        names = [n for n in changed if n in index]
        self._mask_position = self.mask.position
        rows = [index[n] for n in names]
        self._allowed[rows] = [self.mask.get(n) for n in names]
        return rows

    def follow(self) -> None:
        """Take in what has changed since."""
        changed = self.table.changes(self._position)
        masked = self._follow_mask()
        nodes = None if changed is None or masked is None else dict.fromkeys([*changed, *masked])
        if nodes is None or len(nodes) > _REBUILD_ABOVE:
            self._build()
            return
        if not nodes:
            return
        self._position = self.table.position
        domains = {int(self.holding.of_node[i]) for i in nodes} - {-1}
        for domain in domains:
            nodes.update(dict.fromkeys(self.holding.domains[domain][1].tolist()))
        rows = np.fromiter(nodes, dtype=np.int64, count=len(nodes))
        before = self.slots[rows]
        self._fill(rows)
        for domain in sorted(domains):
            self._hold_back(domain)
        delta = self.slots[rows] - before
        for layout, sums in self._sums.items():
            part = layout.part_of_node[rows]
            listed = part >= 0
            np.add.at(sums.free, part[listed], delta[listed])
            self._recount(layout, sums, np.unique(layout.bin_of_node[rows[listed]]))

    def sums(self, layout: Layout) -> _Sums:
        """Free slots by part, and used nodes by bin."""
        found = self._sums.get(layout)
        if found is None:
            used = (self.table.free < self.table.gpus).astype(np.int64)
            found = self._sums[layout] = _Sums(
                layout.sum_by_part(self.slots), layout.sum_by_bin(layout.sum_by_part(used))
            )
        return found

    def only(self, allowed: Ints) -> View:
        """A copy as of now, in which each node takes at most so many slots; it does not follow."""
        other = copy.copy(self)
        other._sums = {}
        other.slots = np.minimum(self.slots, allowed)
        other.bars = np.where((self.slots > 0) & (allowed <= 0), Bar.CONSTRAINTS, self.bars)
        return other

    def validate(self) -> None:
        """Count everything anew and compare.

        Raises:
            InvariantViolation: something differs.
        """
        fresh = View(self.inventory, self.table, self.kind, self.needs, self.holding, self.mask)
        if not (np.array_equal(fresh.slots, self.slots) and np.array_equal(fresh.bars, self.bars)):
            raise InvariantViolation(f"the slots of nodes for {self.kind} differ from a new count")
        for layout, sums in self._sums.items():
            anew = fresh.sums(layout)
            if not (
                np.array_equal(anew.free, sums.free) and np.array_equal(anew.used_nodes, sums.used_nodes)
            ):
                raise InvariantViolation(f"the sums of slots for {self.kind} differ from a new count")

    def _recount(self, layout: Layout, sums: _Sums, bins: Ints) -> None:
        for b in bins.tolist():
            nodes = np.concatenate([layout.part_nodes(p) for p in layout.parts(b)])
            sums.used_nodes[b] = int((self.table.free[nodes] < self.table.gpus[nodes]).sum())

    def _build(self) -> None:
        count = len(self.inventory.names)
        self._position = self.table.position
        self._sums = {}
        self.slots = np.zeros(count, dtype=np.int64)
        self.bars = np.zeros(count, dtype=np.int64)
        self._fill(np.arange(count))
        for domain in range(len(self.holding.domains)):
            self._hold_back(domain)

    def _fill(self, rows: Ints) -> None:
        """Count these nodes anew, but for what their domains hold back."""
        table, gpus = self.table, self.kind.gpus
        rack = self.inventory.rack[rows]
        ok = (
            (rack >= 0) & self.needs.fits[rack]
            if len(self.needs.fits)
            else np.zeros(len(rows), dtype=np.bool_)
        )
        slots = table.free[rows] // gpus if gpus else np.full(len(rows), UNLIMITED, dtype=np.int64)
        slots = np.where(ok, slots, 0)
        bars = np.where(ok, Bar.NONE, Bar.RACK)
        room = slots > 0
        bars[room & ~table.healthy[rows]] = Bar.UNHEALTHY
        if gpus and len(self.needs.caps):
            cap = table.cap[rows]
            bars[room & (bars == Bar.NONE) & (cap != NO_CAP) & (cap != self.needs.caps[rack])] = Bar.PROFILE
        slots[bars != Bar.NONE] = 0
        if self._allowed is not None:
            allowed = self._allowed[rows]
            bars[(slots > 0) & (allowed <= 0)] = Bar.CONSTRAINTS
            slots = np.minimum(slots, allowed)
        self.slots[rows], self.bars[rows] = slots, bars

    def _hold_back(self, domain: int) -> None:
        nodes = self.holding.held(domain, self.table)
        self.slots[nodes] = 0
        self.bars[nodes] = Bar.HELD
