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
_ONE_BY_ONE = 6
"""So few nodes are followed one by one: arrays of them cost more than they save."""


class Bar(IntEnum):
    """Why a node is not a candidate, apart from GPUs in use."""

    NONE = 0
    RACK = 1
    UNHEALTHY = 2
    PROFILE = 3
    CONSTRAINTS = 4
    HELD = 5
    MAINTENANCE = 6


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
    _allowed: Ints | None = None
    """The mask by node; None: to be read from it."""
    slots: Ints = field(init=False)
    _serves: NDArray[np.bool_] = field(init=False)
    """Per node: whether its rack may take such pods."""
    _own_cap: Ints = field(init=False)
    """Per node: watts of the cap that such a pod runs under; NO_CAP where it has none."""
    _used: NDArray[np.bool_] = field(init=False)
    """Per node: whether it is not wholly free."""
    _position: int = field(init=False)
    _mask_position: int = 0
    _away: NDArray[np.bool_] | None = None
    """The nodes that maintenance takes away, if any."""
    _sums: dict[Layout, _Sums] = field(default_factory=dict)
    _idle_slots: dict[Layout, Ints] = field(default_factory=dict)
    _whole: dict[tuple[Layout, str], NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        needs, rack = self.needs, self.inventory.rack
        known = rack >= 0
        self._serves, self._own_cap = np.zeros(len(rack), dtype=np.bool_), np.full(len(rack), NO_CAP)
        self._serves[known] = needs.fits[rack[known]]
        if self.kind.gpus:
            self._own_cap[known] = needs.caps[rack[known]]
        if self._allowed is None:
            self._read_mask()
        elif self.mask is not None:
            self._mask_position = self.mask.position
        self._build()

    def _read_mask(self) -> None:
        if self.mask is not None:
            self._mask_position = self.mask.position
            names = self.inventory.names
            self._allowed = np.fromiter(map(self.mask.get, names), dtype=np.int64, count=len(names))

    def allowed_by(self, mask: NodeMask) -> Ints | None:
        """Another mask by node, that was made of this one's: only where they differ is it read; None: it is not."""
        if self.mask is None or mask.origin is None or mask.origin[0] is not self.mask:
            return None
        since = self.mask.changes(min(self._mask_position, mask.origin[1]))
        own = mask.changes(0)
        if self._allowed is None or since is None or own is None:
            return None
        index, found = self.inventory.index, self._allowed.copy()
        for name in {*mask.touched, *since, *own}:
            if name in index:
                found[index[name]] = mask.get(name)
        return found

    def _follow_mask(self) -> list[int] | None:
        """The nodes whose bound by the mask has changed; None if all may have."""
        if self.mask is None or self._allowed is None or self.mask.position == self._mask_position:
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
        if changed is None or masked is None or len(changed) + len(masked) > _REBUILD_ABOVE:
            self._build()
            return
        self._position = self.table.position
        if masked:
            changed.update(dict.fromkeys(masked))
        if not changed:
            return
        if len(changed) <= _ONE_BY_ONE and not self.holding.domains:
            for row in changed:
                self._follow_one(row)
            return
        rows = np.fromiter(changed, dtype=np.int64, count=len(changed))
        domains: list[int] = []
        if self.holding.domains:
            domains = [d for d in np.unique(self.holding.of_node[rows]).tolist() if d >= 0]
            rows = np.unique(np.concatenate([rows, *(self.holding.domains[d][1] for d in domains)]))
        slots, used = self.slots[rows], self._used[rows]
        self._fill(rows)
        for domain in domains:
            self.slots[self.holding.held(domain, self.table)] = 0
        more, more_used = self.slots[rows] - slots, self._used[rows].astype(np.int64) - used
        differ = np.flatnonzero((more != 0) | (more_used != 0))
        if not len(differ):
            return
        rows, more, more_used = rows[differ], more[differ], more_used[differ]
        for layout, sums in self._sums.items():
            part = layout.part_of_node[rows]
            listed = part >= 0
            np.add.at(sums.free, part[listed], more[listed])
            np.add.at(sums.used_nodes, layout.bin_of_node[rows[listed]], more_used[listed])

    def _follow_one(self, row: int) -> None:
        """Take in what has changed on one node; as `_fill`, where no domain holds anything back."""
        table, gpus = self.table, self.kind.gpus
        free = int(table.free[row])
        slots = (free // gpus if gpus else UNLIMITED) if self._may(row) else 0
        if self._allowed is not None:
            slots = min(slots, int(self._allowed[row]))
        more, used = slots - int(self.slots[row]), free < int(table.gpus[row])
        more_used = used - int(self._used[row])
        if not more and not more_used:
            return
        self.slots[row], self._used[row] = slots, used
        for layout, sums in self._sums.items():
            part = layout.part_of_node[row]
            if part >= 0:
                sums.free[part] += more
                sums.used_nodes[layout.bin_of_node[row]] += more_used

    def _may(self, row: int) -> bool:
        """Whether the node takes such pods by its rack, its state and its power cap."""
        if not self._serves[row] or not self.table.healthy[row]:
            return False
        cap = self.table.cap[row]
        return not self.kind.gpus or bool(cap == NO_CAP or cap == self._own_cap[row])

    def sums(self, layout: Layout) -> _Sums:
        """Free slots by part, and used nodes by bin."""
        found = self._sums.get(layout)
        if found is None:
            used = self._used.astype(np.int64)
            found = self._sums[layout] = _Sums(
                layout.sum_by_part(self.slots), layout.sum_by_bin(layout.sum_by_part(used))
            )
        return found

    def only(self, allowed: Ints) -> View:
        """A copy as of now, in which each node takes at most so many slots; it does not follow."""
        other = copy.copy(self)
        other._sums = {}
        other.slots = np.minimum(self.slots, allowed)
        other._allowed = allowed if self._allowed is None else np.minimum(self._allowed, allowed)
        return other

    def without(self, away: NDArray[np.bool_]) -> View:
        """A copy as of now, in which these nodes take nothing, since maintenance comes; it does not follow."""
        other = self.only(np.where(away, 0, UNLIMITED))
        other._away = away
        return other

    def whole(self, layout: Layout, level: str) -> NDArray[np.float64]:
        """Slots of each domain of a fabric level, by its id in the layout, if it were idle; at least 1."""
        found = self._whole.get((layout, level))
        if found is None:
            slots = np.bincount(layout.level_of_bin(level), self._idle(layout))
            found = self._whole[layout, level] = np.maximum(1.0, slots)
        return found

    def _idle(self, layout: Layout) -> Ints:
        """By bin: slots if every known node were idle."""
        found = self._idle_slots.get(layout)
        if found is None:
            each = self.needs.whole[layout.part_rack]
            found = self._idle_slots[layout] = layout.sum_by_bin(layout.part_size * each)
        return found

    def validate(self) -> None:
        """Count everything anew and compare.

        Raises:
            InvariantViolation: something differs.
        """
        fresh = View(self.inventory, self.table, self.kind, self.needs, self.holding, self.mask)
        if not (np.array_equal(fresh.slots, self.slots) and np.array_equal(fresh._used, self._used)):
            raise InvariantViolation(f"the slots of nodes for {self.kind} differ from a new count")
        for layout, sums in self._sums.items():
            anew = fresh.sums(layout)
            if not (
                np.array_equal(anew.free, sums.free) and np.array_equal(anew.used_nodes, sums.used_nodes)
            ):
                raise InvariantViolation(f"the sums of slots for {self.kind} differ from a new count")

    def bars(self, nodes: Ints) -> Ints:
        """Why each of these nodes is not a candidate now: a :class:`Bar`."""
        table, gpus = self.table, self.kind.gpus
        room = table.free[nodes] >= gpus
        cap, own_cap = table.cap[nodes], self._own_cap[nodes]
        bars = np.where(self._serves[nodes], Bar.NONE, Bar.RACK)
        bars[(bars == Bar.NONE) & room & ~table.healthy[nodes]] = Bar.UNHEALTHY
        bars[(bars == Bar.NONE) & room & (own_cap != NO_CAP) & (cap != NO_CAP) & (cap != own_cap)] = (
            Bar.PROFILE
        )
        if self._allowed is not None:
            bars[(bars == Bar.NONE) & room & (self._allowed[nodes] <= 0)] = Bar.CONSTRAINTS
        for domain in np.unique(self.holding.of_node[nodes]).tolist() if self.holding.domains else ():
            if domain >= 0:
                bars[np.isin(nodes, self.holding.held(domain, table))] = Bar.HELD
        if self._away is not None:
            bars[self._away[nodes] & (bars != Bar.RACK)] = Bar.MAINTENANCE
        return bars

    def _build(self) -> None:
        count = len(self.inventory.names)
        self._position = self.table.position
        self._sums = {}
        self.slots = np.zeros(count, dtype=np.int64)
        self._used = np.zeros(count, dtype=np.bool_)
        self._fill(np.arange(count))
        for domain in range(len(self.holding.domains)):
            self.slots[self.holding.held(domain, self.table)] = 0

    def _fill(self, rows: Ints) -> None:
        """Count these nodes anew, but for what their domains hold back."""
        table, gpus = self.table, self.kind.gpus
        free = table.free[rows]
        self._used[rows] = free < table.gpus[rows]
        may = self._serves[rows] & table.healthy[rows]
        if gpus:
            cap = table.cap[rows]
            may &= (cap == NO_CAP) | (cap == self._own_cap[rows])
        slots = free // gpus if gpus else np.full(len(rows), UNLIMITED, dtype=np.int64)
        slots *= may
        if self._allowed is not None:
            np.minimum(slots, self._allowed[rows], out=slots)
        self.slots[rows] = slots
