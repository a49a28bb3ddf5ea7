"""The nodes as arrays: made when first asked for, kept, and brought up to date node by node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import InvariantViolation, NodeSpec
from rackplane.engine.nodes.ends import Ends
from rackplane.engine.nodes.inventory import Inventory, build_inventory
from rackplane.engine.nodes.layout import Layout
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.nodetable import Figures, NodeTable
from rackplane.engine.nodes.podkinds import PodKind, RackNeeds
from rackplane.engine.nodes.spares import Holding
from rackplane.engine.nodes.views import View
from rackplane.engine.physics.even import EvenShares
from rackplane.engine.physics.facility import Facility
from rackplane.engine.uses import Use

Ints = NDArray[np.int64]

VIEWS_KEPT = 64
_NEEDS = 512
"""So many kinds of pods are known at one time."""


class Derived:
    """Order, figures, layouts and views of the nodes of one state."""

    def __init__(
        self,
        facility: Facility,
        specs: Mapping[str, NodeSpec],
        figures: Callable[[str], Figures],
        latest_end: Callable[[str], float],
    ) -> None:
        """``figures`` and ``latest_end`` tell those of one node as it is now."""
        self._facility = facility
        self._specs = specs
        self._figures = figures
        self._latest_end = latest_end
        self._ends: Ends | None = None
        #: nodes on which something else runs since a simulation began in which there were no ends; None: it had them
        self._booked: dict[str, None] | None = None
        self._inventory: Inventory | None = None
        self._table: NodeTable | None = None
        self._needs: dict[PodKind, RackNeeds] = {}
        self._views: dict[tuple[PodKind, int], View] = {}
        self._layouts: dict[tuple[str, str, str | None], Layout] = {}
        self._holding: Holding | None = None
        self._even: tuple[Facility, Inventory, EvenShares] | None = None
        #: by resource, and of what facility, inventory and sizes of nodes that was worked out
        self._largest: dict[str, tuple[Facility, NodeTable, int, tuple[Ints, Ints]]] = {}

    # -- changes -----------------------------------------------------------------------------------

    def moved(self) -> None:
        """A node came, went or moved."""
        self._inventory = None

    def touched(self, nodes: Iterable[str]) -> None:
        """The figures of these nodes changed."""
        table = self._table
        if self._inventory is None or table is None:
            return
        index = self._inventory.index
        for node in nodes:
            i = index.get(node)
            if i is not None:
                table.set(i, self._figures(node))

    def booked(self, nodes: Iterable[str]) -> None:
        """What runs on these nodes, or until when, has changed."""
        if self._ends is not None:
            self._ends.touched(nodes)
        if self._booked is not None:
            self._booked.update(dict.fromkeys(nodes))

    def used(self, nodes: Iterable[str], uses: Mapping[str, Use]) -> None:
        """These nodes are used otherwise than before: as ``uses`` says, and not at all where it says nothing."""
        table = self._table
        if self._inventory is None or table is None:
            return
        index = self._inventory.index
        alike: dict[Use | None, list[int]] = {}
        for node in nodes:
            i = index.get(node)
            if i is not None:
                alike.setdefault(uses.get(node), []).append(i)
        for use, rows in alike.items():
            if use is None:
                table.set_alike(rows, 0, 0, 0, None)
            else:
                table.set_alike(rows, use.free, use.booked, use.node_type.gpus_per_node, use.cap)

    @contextmanager
    def as_before(self) -> Iterator[None]:
        """Meanwhile nodes may come, go and move, and be used otherwise; at the end all is as it was.

        Who leaves the block has told :meth:`used` so already.
        """
        inventory, table, ends, outer = self._inventory, self._table, self._ends, self._booked
        position = 0 if table is None else table.position
        before = None if ends is None else ends.saved()
        booked: dict[str, None] = {}
        self._booked = booked if ends is None else None
        try:
            yield
        finally:
            self._booked = outer
            if self._inventory is not inventory:
                self._inventory, self._table, self._ends = inventory, None, None
            else:
                if table is not None and self._table is table:
                    table.undone(position)
                if before is None:
                    if self._ends is not None:
                        self._ends.touched(booked)
                elif self._ends is ends and ends is not None:
                    ends.restore(before)
                else:
                    self._ends = None

    @contextmanager
    def under(self, facility: Facility) -> Iterator[None]:
        """Meanwhile racks and domains have other policies."""
        before, needs, views, holding = self._facility, self._needs, self._views, self._holding
        self._facility, self._needs, self._views, self._holding = facility, {}, {}, None
        try:
            yield
        finally:
            self._facility, self._needs, self._views, self._holding = before, needs, views, holding

    # -- arrays ------------------------------------------------------------------------------------

    @property
    def inventory(self) -> Inventory:
        """The nodes in order, with dense ids; valid until a node comes, goes or moves."""
        if self._inventory is None:
            self._inventory = build_inventory(self._facility, self._specs.values())
            self._table = self._ends = None
        return self._inventory

    @property
    def table(self) -> NodeTable:
        """Every node's figures, in the inventory's order."""
        inventory = self.inventory
        if self._table is None:
            self._table = self._tabulated(inventory)
            self._views.clear()
            self._layouts.clear()
            self._holding = self._ends = None
        return self._table

    def _tabulated(self, inventory: Inventory) -> NodeTable:
        table = NodeTable(len(inventory.names))
        for i, name in enumerate(inventory.names):
            table.set(i, self._figures(name))
        return table

    @property
    def ends(self) -> Ends:
        """When what runs on nodes and in bins is expected to be over."""
        inventory, _ = self.inventory, self.table
        if self._ends is None:
            self._ends = Ends(inventory, self._latest_end)
        return self._ends

    @property
    def even(self) -> EvenShares:
        """What each group of racks may draw while none has to go short; worked out anew only where that changes it."""
        inventory, before = self.inventory, self._even
        if before is not None and before[0] is self._facility and before[1] is inventory:
            return before[2]
        nodes = np.bincount(inventory.rack[inventory.rack >= 0], minlength=len(self._facility.racks))
        if before is not None and before[0] is self._facility and np.array_equal(nodes, before[2].nodes):
            shares = before[2]
        else:
            shares = EvenShares(self._facility, nodes)
        self._even = self._facility, inventory, shares
        return shares

    def largest_first(self, resource: str) -> tuple[Ints, Ints]:
        """As :meth:`State.largest_first`."""
        inventory, table, facility = self.inventory, self.table, self._facility
        known = self._largest.get(resource)
        if known is None or known[0] is not facility or known[1] is not table or known[2] != table.resized:
            alike = [t is not None and t.resource == resource for t in facility.rack_types]
            counted = np.where(np.array([*alike, False])[inventory.rack], table.gpus, 0)
            found = _largest_first(inventory.rack, counted), _largest_first(inventory.domain, counted)
            known = self._largest[resource] = facility, table, table.resized, found
        return known[3]

    @property
    def holding(self) -> Holding:
        """The NVLink domains that hold nodes back."""
        inventory, _ = self.inventory, self.table
        if self._holding is None:
            domains = [self._specs[name].domain for name in inventory.names]
            self._holding = Holding(self._facility.domains, domains)
        return self._holding

    def needs(self, kind: PodKind) -> RackNeeds:
        """What one pod of that kind takes from each rack."""
        found = self._needs.get(kind)
        if found is None:
            if len(self._needs) >= _NEEDS:
                self._needs.clear()  # what is known of jobs changes, and with it their kinds of pods
            found = self._needs[kind] = RackNeeds(self._facility, kind)
        return found

    def view(self, kind: PodKind, mask: NodeMask | None) -> View:
        """Slots by node for that kind of pod under that mask, as of now.  Kept, and followed, for the next question."""
        table = self.table
        key = (kind, id(mask))
        found = self._views.pop(key, None)
        if found is None or found.mask is not mask:
            allowed = None
            if mask is not None and mask.origin is not None:
                near = self._views.get((kind, id(mask.origin[0])))
                allowed = None if near is None else near.allowed_by(mask)
            found = View(self.inventory, table, kind, self.needs(kind), self.holding, mask, allowed)
        else:
            found.follow()
        self._views[key] = found  # at the end: the first is the one unused for longest
        if len(self._views) > VIEWS_KEPT:
            del self._views[next(iter(self._views))]
        return found

    def layout(self, level: str, resource: str | None, *, bins: str) -> Layout:
        """The bins of the nodes whose racks have the resource (None: any), under the trees of a level."""
        inventory, _ = self.inventory, self.table
        key = (level, bins, resource)
        found = self._layouts.get(key)
        if found is None:
            types = self._facility.rack_types
            offers = np.array(
                [t is not None and resource in (None, t.resource) for t in types], dtype=np.bool_
            )
            listed = np.zeros(len(inventory.names), dtype=np.bool_)
            if len(offers):
                listed = (inventory.rack >= 0) & offers[inventory.rack]
            found = self._layouts[key] = Layout(inventory, listed, level=level, bins=bins)
        return found

    def validate(self) -> None:
        """Make everything anew and compare.

        Raises:
            InvariantViolation: something differs.
        """
        if self._table is None or self._inventory is None:
            return
        if set(self._inventory.names) != set(self._specs):
            raise InvariantViolation("the inventory lists other nodes than are known")
        if not self._tabulated(self._inventory).same(self._table):
            raise InvariantViolation("the figures of a node differ from the bookings")
        if self._ends is not None:
            self._ends.validate()
        for view in self._views.values():
            view.follow()
            view.validate()


def _largest_first(of: Ints, gpus: Ints) -> Ints:
    """GPUs of the largest group of nodes, of the two largest and so on; nodes of no group count for none."""
    known = of >= 0
    return np.sort(np.bincount(of[known], gpus[known]).astype(np.int64))[::-1].cumsum()
