"""What is running where: nodes, bookings and other people's pods, incremental, with exact undo and a full check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import BookingError, InvariantViolation, NodeSpec, NodeType, Placement
from rackplane.engine.nodes.inventory import Inventory, build_inventory
from rackplane.engine.nodes.layout import Layout
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.nodetable import NodeTable
from rackplane.engine.nodes.podkinds import PodKind, RackNeeds
from rackplane.engine.nodes.spares import Holding
from rackplane.engine.nodes.views import View
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.loads import Loads
from rackplane.engine.reporting import reports

VIEWS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a booking reserves over idle: nominal and peak watts, and nominal heat by medium."""

    nominal_watts: int = 0
    peak_watts: int = 0
    liquid_watts: int = 0
    air_watts: int = 0


class _Booking:
    __slots__ = ("held", "nodes", "placement", "until")

    def __init__(self, placement: Placement, until: float | None) -> None:
        self.placement = placement
        self.until = until
        self.held: dict[int, str] = dict(enumerate(placement.slots))
        self.nodes: dict[str, int] = {}
        for node in placement.slots:
            self.nodes[node] = self.nodes.get(node, 0) + 1


_Draw = tuple[int, ...]
"""A node's rack, its nominal and peak watts, and its nominal watts that are over before each coming budget starts."""


class State(Loads):
    """Nodes and bookings of one facility, and the loads that follow from them.

    Not thread-safe; every mutator is O(entries of the racks touched).
    """

    def __init__(self, facility: Facility, nodes: Sequence[NodeSpec] = ()) -> None:
        super().__init__(facility)
        self._specs: dict[str, NodeSpec] = {}
        self._placed: dict[str, tuple[int, NodeType]] = {}
        self._bookings: dict[str, _Booking] = {}
        self._keys_on: dict[str, dict[str, None]] = {}
        self._unmanaged: dict[str, int] = {}
        self._draws: dict[str, _Draw] = {}
        self._increments: dict[tuple[int, str, int], Watts] = {}
        self._inventory: Inventory | None = None
        self._table: NodeTable | None = None
        self._needs: dict[PodKind, RackNeeds] = {}
        self._views: dict[tuple[PodKind, int], View] = {}
        self._layouts: dict[tuple[str, str, str], Layout] = {}
        self._holding: Holding | None = None
        self._order: tuple[str, ...] | None = None
        self._journal: list[Callable[[], None]] | None = None
        for node in nodes:
            self.set_node(node)

    # -- nodes -------------------------------------------------------------------------------------

    def set_node(self, node: NodeSpec) -> None:
        """Add a node, or replace what is known of it.

        A node without a known rack draws nothing and takes nothing.
        """
        old = self._specs.get(node.name)
        if old == node:
            return
        self._record((lambda: self.set_node(old)) if old else (lambda: self.remove_node(node.name)))
        self._keep_order()
        self._specs[node.name] = node
        self._place(node)
        if old is None or (old.rack, old.domain, old.fabric, old.inner) != (
            node.rack,
            node.domain,
            node.fabric,
            node.inner,
        ):
            self._inventory = None
        self._refresh(node.name)

    def remove_node(self, name: str) -> None:
        """Forget a node; unknown names are ignored.  Bookings keep their slots on it: it may come back."""
        old = self._specs.get(name)
        if old is None:
            return
        self._keep_order()
        del self._specs[name]
        self._placed.pop(name, None)
        self._record(lambda: self.set_node(old))
        self._inventory = None
        self._refresh(name)

    def _place(self, node: NodeSpec) -> None:
        """Look up the rack and the type once: every question about a node asks for them."""
        rack = None if node.rack is None else self.facility.rack_index.get(node.rack)
        node_type = None if rack is None else self.facility.rack_types[rack]
        if rack is None or node_type is None:
            self._placed.pop(node.name, None)
        else:
            self._placed[node.name] = (rack, node_type)

    def set_unmanaged(self, node: str, gpus: int) -> None:
        """Say how many of the node's GPUs are used by what is not ours: not free, and counted at ``max_watts``."""
        old = self._unmanaged.get(node, 0)
        if old == gpus:
            return
        self._record(lambda: self.set_unmanaged(node, old))
        if gpus > 0:
            self._unmanaged[node] = gpus
        else:
            self._unmanaged.pop(node, None)
        self._refresh(node)

    def node(self, name: str) -> NodeSpec | None:
        """The node as last set."""
        return self._specs.get(name)

    def nodes(self) -> Iterable[NodeSpec]:
        """All known nodes."""
        return self._specs.values()

    def unmanaged_gpus(self, name: str) -> int:
        """GPUs of the node that are used by what is not ours."""
        return self._unmanaged.get(name, 0)

    def node_type(self, name: str) -> NodeType | None:
        """The type of a known node in a known rack with a valid profile."""
        found = self._placed.get(name)
        return None if found is None else found[1]

    def booked_gpus(self, name: str) -> int:
        """GPUs of the node that gangs hold."""
        keys = self._keys_on.get(name)
        if not keys:
            return 0
        return sum(
            self._bookings[key].nodes[name] * self._bookings[key].placement.gpus_per_slot for key in keys
        )

    def free_gpus(self, name: str) -> int:
        """GPUs that neither gangs nor others use; 0 for a node of no known type."""
        node_type = self.node_type(name)
        if node_type is None:
            return 0
        return max(0, node_type.gpus_per_node - self.booked_gpus(name) - self.unmanaged_gpus(name))

    def cap_watts(self, name: str) -> int | None:
        """The cap of the gangs on the node, or None if there is none: a node has one power profile."""
        node_type = self.node_type(name)
        if node_type is None:
            return None
        for key in self._keys_on.get(name, ()):
            if self._bookings[key].placement.gpus_per_slot > 0:
                cap = draw.find_cap(node_type, self._bookings[key].placement.power_profile)
                return node_type.max_watts if cap is None else cap.node_watts
        return None

    # -- bookings ----------------------------------------------------------------------------------

    def book(
        self, key: str, placement: Placement, *, force: bool = False, until: float | None = None
    ) -> None:
        """Hold a placement's GPUs and watts under ``key``, expected to end at ``until`` (None: never).

        The end is an expectation: nothing is given up by it, but coming budgets that start later do not count it.

        ``force`` records what is already committed whatever the state says, for rebuilding after a restart; what
        is then too much shows in :meth:`violations` and :meth:`overbooked`.  Otherwise a GPU held twice, or a node
        under two power profiles, raises BookingError and changes nothing.  A key may be booked once.
        """
        if key in self._bookings:
            raise BookingError(f"{key} is already booked")
        booking = _Booking(placement, until)
        if not force:
            self._check_booking(key, booking)
        self._record(lambda: self.release(key))
        self._bookings[key] = booking
        for node in booking.nodes:
            self._keys_on.setdefault(node, {})[key] = None
        self._refresh_all(booking.nodes)

    def release(self, key: str, slots: Iterable[int] | None = None) -> None:
        """Give up all of a booking, or these slots of it.  Unknown keys and slots are ignored."""
        booking = self._bookings.get(key)
        if booking is None:
            return
        gone = [
            s for s in (list(booking.held) if slots is None else dict.fromkeys(slots)) if s in booking.held
        ]
        before = (dict(booking.held), dict(booking.nodes))
        if not gone and booking.held:
            return
        order = list(self._bookings)
        touched: dict[str, None] = {}
        for slot in gone:
            node = booking.held.pop(slot)
            touched[node] = None
            booking.nodes[node] -= 1
            if not booking.nodes[node]:
                del booking.nodes[node]
                del self._keys_on[node][key]
                if not self._keys_on[node]:
                    del self._keys_on[node]
        if not booking.held:
            del self._bookings[key]
        self._record(lambda: self._restore(key, booking, before=before, order=order))
        self._refresh_all(touched)

    def _restore(
        self,
        key: str,
        booking: _Booking,
        *,
        before: tuple[dict[int, str], dict[str, int]],
        order: Sequence[str],
    ) -> None:
        booking.held, booking.nodes = dict(before[0]), dict(before[1])
        self._bookings[key] = booking
        self._bookings = {k: self._bookings[k] for k in order}
        rank = {k: i for i, k in enumerate(order)}
        for node in booking.nodes:  # in booking order, for the first one's cap is the node's
            here = {*self._keys_on.get(node, ()), key}
            self._keys_on[node] = dict.fromkeys(sorted(here, key=rank.__getitem__))
        self._refresh_all(booking.nodes)

    def expect(self, key: str, until: float | None) -> None:
        """Change when the booking is expected to end; unknown keys are ignored."""
        booking = self._bookings.get(key)
        if booking is None or booking.until == until:
            return
        old, booking.until = booking.until, until
        self._record(lambda: self.expect(key, old))
        self._refresh_all(booking.nodes)

    def until(self, key: str) -> float | None:
        """When the booking is expected to end; None if never, or if it is not known."""
        found = self._bookings.get(key)
        return None if found is None else found.until

    def booking(self, key: str) -> Placement | None:
        """The placement as it was booked, whatever of it has been released since."""
        found = self._bookings.get(key)
        return None if found is None else found.placement

    def held(self, key: str) -> Mapping[int, str]:
        """Slot -> node of what the key still holds."""
        found = self._bookings.get(key)
        return {} if found is None else dict(found.held)

    def keys(self) -> Iterable[str]:
        """All keys that hold something, in booking order."""
        return self._bookings.keys()

    def reserved(self, key: str) -> Reserved:
        """What the key's held slots add over idle now, by the present profiles; nodes that are gone add nothing."""
        found = self._bookings.get(key)
        return Reserved() if found is None else self.increments(found.nodes, found.placement)

    def increments(self, nodes: Mapping[str, int], placement: Placement) -> Reserved:
        """What ``nodes`` (node -> slots) add over idle under the placement's profile and slot size."""
        return self.increments_of(nodes, placement.gpus_per_slot, placement.power_profile)

    def increments_of(self, nodes: Mapping[str, int], gpus_per_slot: int, profile: str) -> Reserved:
        """As :meth:`increments`, for a placement not yet made."""
        nominal = peak = liquid = 0
        for node, count in nodes.items():
            node_type = self.node_type(node)
            if node_type is None:
                continue
            watts = self._increment(node_type, profile, count * gpus_per_slot)
            nominal += watts.nominal
            peak += watts.peak
            liquid += draw.liquid_share(node_type, watts.nominal)
        return Reserved(nominal, peak, liquid, nominal - liquid)

    def overbooked(self) -> list[str]:
        """Nodes on which gangs and others together use more GPUs than there are."""
        result = []
        for name in dict.fromkeys([*self._keys_on, *self._unmanaged]):
            if self.is_overbooked(name):
                result.append(name)
        return result

    def is_overbooked(self, name: str) -> bool:
        """Whether gangs and others together use more of the node's GPUs than there are."""
        node_type = self.node_type(name)
        if node_type is None:
            return False
        return self.booked_gpus(name) + self.unmanaged_gpus(name) > node_type.gpus_per_node

    def _check_booking(self, key: str, booking: _Booking) -> None:
        gpus = booking.placement.gpus_per_slot
        for node, count in booking.nodes.items():
            node_type = self.node_type(node)
            if node_type is None:
                raise BookingError(f"{key}: node {node} is not known, or its rack or hardware profile is not")
            if count * gpus > self.free_gpus(node):
                raise BookingError(
                    f"{key}: needs {count * gpus} GPUs on node {node}, where {self.free_gpus(node)} are free"
                )
            cap = draw.find_cap(node_type, booking.placement.power_profile)
            if cap is None:
                raise BookingError(
                    f"{key}: node {node} has no power profile {booking.placement.power_profile}"
                )
            other = self.cap_watts(node)
            if gpus and other is not None and other != cap.node_watts:
                raise BookingError(
                    f"{key}: node {node} is already capped at {other} W, not {cap.node_watts} W"
                )

    # -- what if -----------------------------------------------------------------------------------

    @contextmanager
    def simulation(self) -> Iterator[State]:
        """Try changes: on exit everything is as on entry, to the last bit.  Simulations nest."""
        outer, inventory, loads = self._journal, self._inventory, self.saved()
        outer_order, self._order = self._order, None
        journal: list[Callable[[], None]] = []
        self._journal = journal
        try:
            yield self
        finally:
            self._journal = None
            for undo in reversed(journal):
                undo()
            self._journal = outer
            self.restore(loads)
            if self._order is not None:
                self._specs = {name: self._specs[name] for name in self._order}
            self._order = outer_order
            if self._inventory is not inventory:  # nodes came, went or moved meanwhile
                self._inventory, self._table = inventory, None

    @contextmanager
    def under(self, facility: Facility) -> Iterator[State]:
        """As :meth:`simulation`, with other policies of racks and domains; all else must be the same."""
        before, needs, views, holding = self.facility, self._needs, self._views, self._holding
        with self.simulation():
            self.facility, self._needs, self._views, self._holding = facility, {}, {}, None
            try:
                yield self
            finally:
                self.facility, self._needs, self._views, self._holding = before, needs, views, holding

    def _keep_order(self) -> None:
        """Remember the order of the nodes before a simulation first changes it: undoing puts a node last."""
        if self._journal is not None and self._order is None:
            self._order = tuple(self._specs)

    def _record(self, undo: Callable[[], None]) -> None:
        if self._journal is not None:
            self._journal.append(undo)

    def _refresh(self, name: str) -> None:
        self._refresh_all((name,))

    def _refresh_all(self, names: Iterable[str]) -> None:
        """Bring the nodes' draws, their racks' P_r and the loads up to date: the loads once for each rack."""
        inventory, table = self._inventory, self._table
        gone: dict[int, list[_Draw]] = {}
        come: dict[int, list[_Draw]] = {}
        none = (0,) * (3 + len(self.facility.windows))
        for name in names:
            if inventory is not None and table is not None:
                i = inventory.index.get(name)
                if i is not None:
                    self._tabulate(table, i, name)
            old = self._draws.pop(name, None)
            new = self._node_draw(name)
            if new is not None:
                self._draws[name] = new
            if old is not None:
                gone.setdefault(old[0], []).append(old)
            if new is not None:
                come.setdefault(new[0], []).append(new)
        for rack in {**gone, **come}:
            minus = [sum(watts) for watts in zip(*gone.get(rack, (none,)), strict=True)]
            plus = [sum(watts) for watts in zip(*come.get(rack, (none,)), strict=True)]
            delta = [b - a for a, b in zip(minus[1:], plus[1:], strict=True)]
            if any(delta):
                self.add(rack, delta)

    def _node_draw(self, name: str) -> _Draw | None:
        placed = self._placed.get(name)
        if placed is None:
            return None
        rack, node_type = placed
        nominal = peak = node_type.idle_watts
        over_by = [0] * len(self.facility.windows)
        for key in self._keys_on.get(name, ()):
            booking = self._bookings[key]
            gpus = booking.nodes[name] * booking.placement.gpus_per_slot
            increment = self._increment(node_type, booking.placement.power_profile, gpus)
            nominal += increment.nominal
            peak += increment.peak
            for w, start in enumerate(self.facility.windows):
                if booking.until is not None and booking.until <= start:
                    over_by[w] += increment.nominal
        if name in self._unmanaged:
            others = draw.unmanaged_increment(node_type, self._unmanaged[name])
            nominal += others.nominal
            peak += others.peak
        return (rack, nominal, peak, *over_by)

    def _increment(self, node_type: NodeType, profile: str, gpus: int) -> Watts:
        # By identity: the facility keeps its node types, and hashing one costs more than the sum.
        key = (id(node_type), profile, gpus)
        found = self._increments.get(key)
        if found is None:
            found = self._increments[key] = draw.gang_increment(node_type, profile, gpus)
        return found

    # -- views for placement and reports -----------------------------------------------------------

    @property
    def inventory(self) -> Inventory:
        """The nodes in order, with dense ids; valid until a node comes, goes or moves."""
        if self._inventory is None:
            self._inventory = build_inventory(self.facility, self._specs.values())
            self._table = None
        return self._inventory

    @property
    def healthy(self) -> NDArray[np.bool_]:
        """Whether each node is healthy, in the inventory's order.  Do not write to it."""
        return self.table.healthy

    @property
    def free(self) -> NDArray[np.int64]:
        """Free GPUs per node, in the inventory's order.  Do not write to it."""
        return self.table.free

    @property
    def table(self) -> NodeTable:
        """Every node's figures, in the inventory's order."""
        inventory = self.inventory
        if self._table is None:
            self._table = NodeTable(len(inventory.names))
            for i, name in enumerate(inventory.names):
                self._tabulate(self._table, i, name)
            self._views.clear()
            self._layouts.clear()
            self._holding = None
        return self._table

    @property
    def holding(self) -> Holding:
        """The NVLink domains that hold nodes back."""
        inventory, _ = self.inventory, self.table
        if self._holding is None:
            domains = [self._specs[name].domain for name in inventory.names]
            self._holding = Holding(self.facility.domains, domains)
        return self._holding

    def held_back(self) -> list[int]:
        """Indices into the inventory of nodes that their NVLink domain's policy keeps from every gang."""
        return self.holding.all_held(self.table)

    def _tabulate(self, table: NodeTable, i: int, name: str) -> None:
        spec, node_type = self._specs.get(name), self.node_type(name)
        table.set(
            i,
            self.free_gpus(name),
            0 if node_type is None else node_type.gpus_per_node,
            healthy=spec is not None and spec.healthy,
            cap=self.cap_watts(name),
        )

    def needs(self, kind: PodKind) -> RackNeeds:
        """What one pod of that kind takes from each rack."""
        found = self._needs.get(kind)
        if found is None:
            found = self._needs[kind] = RackNeeds(self.facility, kind)
        return found

    def view(self, kind: PodKind, mask: NodeMask | None = None) -> View:
        """Slots by node for that kind of pod under that mask, as of now.  Kept, and followed, for the next question."""
        table = self.table
        key = (kind, id(mask))
        found = self._views.pop(key, None)
        if found is None or found.mask is not mask:
            found = View(self.inventory, table, kind, self.needs(kind), self.holding, mask)
        else:
            found.follow()
        self._views[key] = found  # at the end: the first is the one unused for longest
        if len(self._views) > VIEWS_KEPT:
            del self._views[next(iter(self._views))]
        return found

    def layout(self, level: str, resource: str, *, bins: str) -> Layout:
        """The bins of the nodes whose racks have the resource, under the trees of a level ("": one tree).

        Args:
            bins: as :class:`Layout` takes it.
        """
        inventory, _ = self.inventory, self.table
        key = (level, bins, resource)
        found = self._layouts.get(key)
        if found is None:
            offers = np.array(
                [t is not None and t.resource == resource for t in self.facility.rack_types], dtype=np.bool_
            )
            listed = np.zeros(len(inventory.names), dtype=np.bool_)
            if len(offers):
                listed = (inventory.rack >= 0) & offers[inventory.rack]
            found = self._layouts[key] = Layout(inventory, listed, level=level, bins=bins)
        return found

    def report(self) -> reports.FacilityReport:
        """The figures of every object, read together."""
        return reports.facility_report(self)

    def validate(self) -> None:
        """Recompute everything from nodes, bookings and unmanaged use; InvariantViolation names what differs."""
        keys_on: dict[str, set[str]] = {}
        for key, booking in self._bookings.items():
            counts: dict[str, int] = {}
            for slot, node in booking.held.items():
                if booking.placement.slots[slot] != node:
                    raise InvariantViolation(f"{key}: slot {slot} is held on {node}, not where it was booked")
                counts[node] = counts.get(node, 0) + 1
                keys_on.setdefault(node, set()).add(key)
            if counts != booking.nodes or not counts:
                raise InvariantViolation(
                    f"{key}: counts per node {booking.nodes} differ from its slots {counts}"
                )
        if keys_on != {node: set(keys) for node, keys in self._keys_on.items()}:
            raise InvariantViolation("the index of bookings by node differs from the bookings")
        fresh = Loads(self.facility)
        for name in self._specs:
            drawn = self._node_draw(name)
            if drawn is not None:
                fresh.add(drawn[0], drawn[1:])
        self.compare(fresh)
        if self._table is not None and self._inventory is not None:
            if set(self._inventory.names) != set(self._specs):
                raise InvariantViolation("the inventory lists other nodes than are known")
            table = NodeTable(len(self._inventory.names))
            for i, name in enumerate(self._inventory.names):
                self._tabulate(table, i, name)
            if not table.same(self._table):
                raise InvariantViolation("the figures of a node differ from the bookings")
            for view in self._views.values():
                view.follow()
                view.validate()
