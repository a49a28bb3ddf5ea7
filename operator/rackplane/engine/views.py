"""Slots by node and by part of a bin for one kind of pod, kept up to date by events instead of being counted anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.inventory import Inventory
from rackplane.engine.layout import Layout
from rackplane.engine.masks import NodeMask
from rackplane.engine.model import DomainSpec, InvariantViolation
from rackplane.engine.nodetable import NO_CAP, NodeTable
from rackplane.engine.podkinds import PodKind, RackNeeds

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


class Holding:
    """The NVLink domains that hold nodes back: they take no gangs, or keep spares."""

    def __init__(
        self, inventory: Inventory, policies: Mapping[str, DomainSpec], domains: Sequence[str | None]
    ) -> None:
        """``domains``: the name of each node's NVLink domain object or label, in the inventory's order."""
        strict = {name: p for name, p in policies.items() if not p.schedulable or p.spare_nodes != 0}
        members: dict[str, list[int]] = {}
        for i, domain in enumerate(domains) if strict else ():
            if domain in strict:
                members.setdefault(domain, []).append(i)
        self.domains = [(strict[name], np.array(nodes, dtype=np.int64)) for name, nodes in members.items()]
        """Each with its nodes."""
        self.of_node = np.full(len(inventory.names), -1, dtype=np.int64)
        """Node -> index into ``domains``; -1 if its domain holds nothing back."""
        for k, (_, nodes) in enumerate(self.domains):
            self.of_node[nodes] = k


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
    _sums: dict[Layout, _Sums] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._build()

    def follow(self) -> None:
        """Take in what has changed since."""
        changed = self.table.changes(self._position)
        masked = [] if self.mask is None else self.mask.changes(self._mask_position)
        index = self.inventory.index
        nodes = (
            None if changed is None else dict.fromkeys([*changed, *(index[n] for n in masked if n in index)])
        )
        if nodes is None or len(nodes) > _REBUILD_ABOVE:
            self._build()
            return
        if not nodes:
            return
        self._position = self.table.position
        self._mask_position = 0 if self.mask is None else self.mask.position
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
        self._mask_position = 0 if self.mask is None else self.mask.position
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
        if self.mask is not None:
            names = self.inventory.names
            for k in np.flatnonzero(slots).tolist():
                slots[k] = min(int(slots[k]), self.mask.get(names[rows[k]]))
                if slots[k] <= 0:
                    slots[k], bars[k] = 0, Bar.CONSTRAINTS
        self.slots[rows], self.bars[rows] = slots, bars

    def _hold_back(self, domain: int) -> None:
        """Take out the nodes of a domain that is not Active, or its spares: its last idle healthy nodes."""
        policy, nodes = self.holding.domains[domain]
        if policy.schedulable and policy.spare_nodes >= 0:
            table = self.table
            idle = nodes[
                table.healthy[nodes] & (table.gpus[nodes] > 0) & (table.free[nodes] == table.gpus[nodes])
            ]
            nodes = idle[len(idle) - min(len(idle), policy.spare_nodes) :]
        self.slots[nodes] = 0
        self.bars[nodes] = Bar.HELD
