"""What is running where: nodes, bookings and other people's pods, incremental, with exact undo and a full check."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.bookings import Before, Booking, Bookings, Reserved
from rackplane.engine.model import BookingError, InvariantViolation, Metered, NodeSpec, NodeType, Placement
from rackplane.engine.nodes.derived import Derived
from rackplane.engine.nodes.ends import Ends
from rackplane.engine.nodes.inventory import Inventory
from rackplane.engine.nodes.layout import Layout
from rackplane.engine.nodes.maintenance import Planned
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.nodetable import Figures, NodeTable
from rackplane.engine.nodes.podkinds import PodKind, RackNeeds
from rackplane.engine.nodes.spares import Holding
from rackplane.engine.nodes.views import View
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts
from rackplane.engine.physics.even import EvenShares
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.loads import Loads
from rackplane.engine.reporting import reports
from rackplane.engine.uses import Alike, Use, Uses


class State(Loads):
    """Nodes and bookings of one facility, and the loads that follow from them.

    Not thread-safe; every mutator is O(entries of the racks touched).
    """

    def __init__(self, facility: Facility, nodes: Sequence[NodeSpec] = ()) -> None:
        super().__init__(facility)
        self._specs: dict[str, NodeSpec] = {}
        self._placed: dict[str, tuple[int, NodeType]] = {}
        self._bookings = Bookings()
        self._unmanaged: dict[str, int] = {}
        self._left: dict[str, tuple[str, int]] = {}
        self._uses = self._fresh_uses()
        self._planned: Planned | None = None
        self._derived = Derived(facility, self._specs, self._figures, self._bookings.latest_end)
        self._order: tuple[str, ...] | None = None
        self._journal: list[Callable[[], None]] | None = None
        #: in a simulation: what nodes whose use has changed in it were used for before
        self._used_before: dict[str, Use | None] = {}
        self._undoing = False
        self.taken = 0
        """Another one whenever anything but the end of a booking, or of a part of one, may have changed what there is.

        What a simulation changes does not count: it is taken back.
        """
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
        self._take()
        self._specs[node.name] = node
        self._place(node)
        if old is None or (old.rack, old.domain, old.fabric, old.inner) != (
            node.rack,
            node.domain,
            node.fabric,
            node.inner,
        ):
            self._derived.moved()
        self._refresh((node.name,))
        if old is not None and old.healthy != node.healthy:
            self._derived.touched((node.name,))

    def remove_node(self, name: str) -> None:
        """Forget a node; unknown names are ignored.  Bookings keep their slots on it: it may come back."""
        old = self._specs.get(name)
        if old is None:
            return
        self._keep_order()
        self._take()
        del self._specs[name]
        self._placed.pop(name, None)
        self._uses.moved()
        self._record(lambda: self.set_node(old))
        self._derived.moved()
        self._refresh((name,))

    def _place(self, node: NodeSpec) -> None:
        """Look up the rack and the type once: every question about a node asks for them."""
        self._uses.moved()
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
        self._take()
        if gpus > 0:
            self._unmanaged[node] = gpus
        else:
            self._unmanaged.pop(node, None)
        self._refresh((node,))

    def set_left(self, node: str, profile: str, gpus: int) -> None:
        """Say how many of the node's GPUs pods hold that a gang has left behind: not free until they are gone.

        They count under the cap of ``profile``, which the node keeps for as long.
        """
        old = self._left.get(node)
        new = (profile, gpus) if gpus > 0 else None
        if old == new:
            return
        self._record(lambda: self.set_left(node, *(old or ("", 0))))
        self._take()
        if new is None:
            del self._left[node]
        else:
            self._left[node] = new
        self._refresh((node,))

    def left_gpus(self, name: str) -> int:
        """GPUs of the node that pods hold which a gang has left behind."""
        return self.left_on(name)[1]

    def left_on(self, name: str) -> tuple[str, int]:
        """The power profile that such pods of the node count under, and their GPUs; "" and 0 without any."""
        return self._left.get(name, ("", 0))

    def other_gpus(self, name: str) -> int:
        """GPUs of the node that no gang holds and nobody can have: used by what is not ours, or left behind."""
        return self.unmanaged_gpus(name) + self.left_gpus(name)

    def left_nodes(self) -> Mapping[str, tuple[str, int]]:
        """Nodes with such pods: the power profile that they count under, and their GPUs."""
        return dict(self._left)

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

    def reserved_draw(self, name: str) -> Watts | None:
        """What the node draws by the books, idle included; None if it, its rack or its type is not known."""
        use = self._uses.now.get(name)
        return None if use is None else Watts(use.watts[0], use.watts[1])

    def booked_gpus(self, name: str) -> int:
        """GPUs of the node that gangs hold."""
        return sum(booking.gpus[name] for booking in self._bookings.on(name))

    def free_gpus(self, name: str) -> int:
        """GPUs that neither gangs nor others use; 0 for a node of no known type."""
        use = self._uses.now.get(name)
        return 0 if use is None else use.free

    def cap_watts(self, name: str) -> int | None:
        """The cap of the gangs on the node, or None if there is none: a node has one power profile."""
        use = self._uses.now.get(name)
        return None if use is None else use.cap

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
        if key in self._bookings.by_key:
            raise BookingError(f"{key} is already booked")
        booking = Booking(placement, until)
        if not force:
            self._check_booking(key, booking)
        self._record(lambda: self.release(key))
        self._take()
        self._bookings.add(key, booking)
        self._refresh(booking.gpus, key)

    def release(self, key: str, slots: Iterable[int] | None = None) -> None:
        """Give up all of a booking, or these slots of it.  Unknown keys and slots are ignored."""
        if self._journal is not None and (before := self._bookings.before(key)) is not None:
            self._record(lambda: self._restore(before))
        self._refresh(self._bookings.give_up(key, slots))

    def release_all(self, keys: Iterable[str]) -> None:
        """As :meth:`release` of each, at less cost: what follows from it is worked out once, and so undone."""
        keys = tuple(keys)
        if self._journal is not None:
            before = [known for key in keys if (known := self._bookings.before(key)) is not None]
            self._record(lambda: self._restore(*before))
        nodes: dict[str, None] = {}
        for key in keys:
            nodes.update(dict.fromkeys(self._bookings.give_up(key, None)))
        self._refresh(nodes)

    def rebook(self, key: str, placement: Placement, slots: Iterable[int], *, force: bool = False) -> None:
        """Let ``key`` hold these slots of ``placement`` instead of what it holds: a gang grows, or does not after all.

        ``force`` is as :meth:`book` takes it; without it what is held more is checked.  When it is expected to end,
        and its place among the bookings, stay.  BookingError, and no change, as there, and if the key holds nothing
        or would: that is :meth:`release`.
        """
        wanted, before = list(slots), self._bookings.before(key)
        if before is None or not wanted:
            raise BookingError(f"{key}: nothing is booked, or nothing of it would be left")
        if not force:
            more = {node: -gpus for node, gpus in before.gpus.items()}
            for slot in wanted:
                node = placement.slots[slot]
                more[node] = more.get(node, 0) + placement.gpus_of(slot)
            for node, gpus in more.items():
                if gpus > 0 or node not in before.gpus:
                    self._check_node(key, node, self._uses.now.get(node), gpus, placement.power_profile)
        self._record(lambda: self._restore(before))
        self._take()
        self._refresh(self._bookings.take_over(key, placement, wanted))

    def follow(self, other: State, without: Collection[str] = ()) -> bool:
        """Hold what another state does, but for these bookings; not to be asked in a simulation of this one.

        False if this one cannot: it is of another facility, or has its nodes in another order.
        """
        if other.facility is not self.facility:
            return False
        self._follow_nodes(other)
        if self.inventory.names != other.inventory.names:
            return False
        gone, came = self._bookings.unlike(other._bookings, without)
        nodes: dict[str, None] = {}
        for key in gone:
            nodes.update(dict.fromkeys(self._bookings.give_up(key, None)))
        for each in came:
            nodes.update(dict.fromkeys(self._bookings.restore(each)))
        self._refresh(nodes)
        self._uses.forget(nodes)  # who comes back holds what it did before, and may have been counted then
        return True

    def _follow_nodes(self, other: State) -> None:
        if self._specs != other._specs:
            for name in [name for name in self._specs if name not in other._specs]:
                self.remove_node(name)
            for spec in other._specs.values():
                self.set_node(spec)
        if self._unmanaged != other._unmanaged:
            for node in dict.fromkeys([*self._unmanaged, *other._unmanaged]):
                self.set_unmanaged(node, other.unmanaged_gpus(node))
        if self._left != other._left:
            for node in dict.fromkeys([*self._left, *other._left]):
                self.set_left(node, *other.left_on(node))

    def _restore(self, *before: Before) -> None:
        nodes: dict[str, None] = {}
        for each in reversed(before):
            nodes.update(dict.fromkeys(self._bookings.restore(each)))
        self._refresh(nodes)

    def expect(self, key: str, until: float | None) -> None:
        """Change when the booking is expected to end; unknown keys are ignored."""
        booking = self._bookings.by_key.get(key)
        if booking is None or booking.until == until:
            return
        old, booking.until = booking.until, until
        self._record(lambda: self.expect(key, old))
        self._take()
        self._refresh(booking.gpus, key)

    def can_be_capped(self, key: str, profile: str | None) -> None:
        """Say down to which power profile the gang can be brought in time after a loss; None: not at all.

        It is forgotten when the gang holds something else.  Only whole nodes count.  Unknown keys are ignored.
        """
        booking = self._bookings.by_key.get(key)
        if booking is None or booking.lowest == profile:
            return
        old, booking.lowest = booking.lowest, profile
        self._record(lambda: self.can_be_capped(key, old))
        self._take()
        self._refresh(booking.gpus, key)

    def lowest(self, key: str) -> str | None:
        """The power profile that :meth:`can_be_capped` said; None if nothing."""
        found = self._bookings.by_key.get(key)
        return None if found is None else found.lowest

    def taken_by_rack(self, key: str) -> Mapping[int, int]:
        """Rack -> nominal watts that capping the gang would take off its draw, as :meth:`can_be_capped` said."""
        found = self._bookings.by_key.get(key)
        if found is None or found.lowest is None or not self.facility.counts_caps:
            return {}
        return self._uses.taken_by_rack(found)

    def until(self, key: str) -> float | None:
        """When the booking is expected to end; None if never, or if it is not known."""
        found = self._bookings.by_key.get(key)
        return None if found is None else found.until

    def ends_by_key(self) -> dict[str, float | None]:
        """As :meth:`until`, of all keys that hold something, in booking order."""
        return {key: booking.until for key, booking in self._bookings.items()}

    def over_by(self, at: float, ends: Mapping[str, float], away: Collection[str] = ()) -> list[str]:
        """The keys that hold something and are expected to be over at ``at``, in booking order.

        Args:
            ends: when those are taken to end of which no end is expected.
            away: keys that are taken to be over in any case.
        """
        return [
            key
            for key, booking in self._bookings.items()
            if (ends.get(key, inf) if booking.until is None else booking.until) <= at or key in away
        ]

    def booking(self, key: str) -> Placement | None:
        """The placement as it was booked, whatever of it has been released since."""
        found = self._bookings.by_key.get(key)
        return None if found is None else found.placement

    def held(self, key: str) -> Mapping[int, str]:
        """Slot -> node of what the key still holds."""
        found = self._bookings.by_key.get(key)
        return {} if found is None else dict(found.held)

    def keys(self) -> Iterable[str]:
        """All keys that hold something, in booking order."""
        return self._bookings.keys()

    def keys_on(self, node: str) -> Iterable[str]:
        """The keys that hold something on the node, in booking order."""
        return self._bookings.keys_on.get(node, ())

    def held_on(self, node: str) -> Iterator[tuple[str, int, str]]:
        """What is booked on the node, in booking order: the key, its GPUs there, and the power profile."""
        for key in self._bookings.keys_on.get(node, ()):
            booking = self._bookings.by_key[key]
            yield key, booking.gpus[node], booking.placement.power_profile

    def nodes_alike(self, key: str) -> Alike:
        """The nodes of which the key holds GPUs, by their use; without those of no known rack or type."""
        return self._uses.alike(key) if key in self._bookings.by_key else ()

    def slots_held(self, key: str) -> int:
        """How many slots the key still holds."""
        found = self._bookings.by_key.get(key)
        return 0 if found is None else len(found.held)

    def draws_by_rack(self, gpus: Mapping[str, int], profile: str, metered: Metered = ()) -> dict[int, Watts]:
        """Rack -> what ``gpus`` (node -> GPUs of one gang) add to its draw."""
        return self._uses.by_rack(gpus, profile, metered)

    def draws_of(self, key: str) -> Mapping[int, Watts]:
        """As :meth:`draws_by_rack`, of what the key holds."""
        return self._uses.draws_of(key)

    def reserved(self, key: str) -> Reserved:
        """What the key's held slots add over idle now, by the present profiles; nodes that are gone add nothing."""
        found = self._bookings.by_key.get(key)
        if found is None:
            return Reserved()
        return self.increments(found.gpus, found.placement.power_profile, found.placement.metered)

    def held_gpus(self, key: str) -> Mapping[str, int]:
        """Node -> GPUs of what the key still holds; 0 where it holds only slots without any."""
        found = self._bookings.by_key.get(key)
        return {} if found is None else dict(found.gpus)

    def increments(self, gpus: Mapping[str, int], profile: str, metered: Metered = ()) -> Reserved:
        """What ``gpus`` (node -> GPUs of one gang) add over idle."""
        return self._uses.increments(gpus, profile, metered)

    def increments_of(
        self, nodes: Mapping[str, int], gpus_per_slot: int, profile: str, metered: Metered = ()
    ) -> Reserved:
        """As :meth:`increments`, for ``nodes`` (node -> slots) that are alike."""
        return self.increments(
            {node: count * gpus_per_slot for node, count in nodes.items()}, profile, metered
        )

    def watts_of_nodes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Nominal and peak draw of every node, in the inventory's order; 0 for one of no known rack or type."""
        uses = [self._uses.now.get(name) for name in self.inventory.names]
        nominal, peak = (
            np.fromiter((0 if u is None else u.watts[k] for u in uses), dtype=np.int64, count=len(uses))
            for k in (0, 1)
        )
        return nominal, peak

    def overbooked(self) -> list[str]:
        """Nodes on which gangs and others together use more GPUs than there are."""
        result = []
        for name in dict.fromkeys([*self._bookings.keys_on, *self._unmanaged, *self._left]):
            if self.is_overbooked(name):
                result.append(name)
        return result

    def is_overbooked(self, name: str) -> bool:
        """Whether gangs and others together use more of the node's GPUs than there are."""
        node_type = self.node_type(name)
        if node_type is None:
            return False
        return self.booked_gpus(name) + self.other_gpus(name) > node_type.gpus_per_node

    def _check_booking(self, key: str, booking: Booking) -> None:
        profile, last, checked = booking.placement.power_profile, None, -1
        for node, gpus in booking.gpus.items():
            use = self._uses.now.get(node)
            if use is not None and use is last and gpus == checked:
                continue  # used as the one before, which was found fit
            self._check_node(key, node, use, gpus, profile)
            last, checked = use, gpus

    @staticmethod
    def _check_node(key: str, node: str, use: Use | None, gpus: int, profile: str) -> None:
        if use is None:
            raise BookingError(f"{key}: node {node} is not known, or its rack or hardware profile is not")
        if gpus > use.free:
            raise BookingError(f"{key}: needs {gpus} GPUs on node {node}, where {use.free} are free")
        if not gpus:
            return  # it draws nothing, under whatever profile
        cap = draw.find_cap(use.node_type, profile)
        if cap is None:
            raise BookingError(f"{key}: node {node} has no power profile {profile}")
        if use.cap is not None and use.cap != cap.node_watts:
            raise BookingError(f"{key}: node {node} is already capped at {use.cap} W, not {cap.node_watts} W")

    # -- what if -----------------------------------------------------------------------------------

    @contextmanager
    def simulation(self) -> Iterator[State]:
        """Try changes: on exit everything is as on entry, to the last bit.  Simulations nest."""
        outer, loads = self._journal, self.saved()
        outer_order, self._order = self._order, None
        outer_used, self._used_before = self._used_before, {}
        journal: list[Callable[[], None]] = []
        self._journal = journal
        with self._derived.as_before():
            try:
                yield self
            finally:
                self._journal, self._undoing = None, True
                for undo in reversed(journal):
                    undo()
                self._journal, self._undoing = outer, False
                # What follows from nodes and bookings is known from before: it is not worked out again.
                self._uses.put_back(self._used_before)
                self._derived.used(self._used_before, self._uses.now)
                self._used_before = outer_used
                self.restore(loads)
                if self._order is not None:
                    specs = {name: self._specs[name] for name in self._order}
                    self._specs.clear()
                    self._specs.update(specs)
                self._order = outer_order

    @contextmanager
    def under(self, facility: Facility) -> Iterator[State]:
        """As :meth:`simulation`, with other policies of racks and domains; all else must be the same."""
        before = self.facility
        with self.simulation(), self._derived.under(facility):
            self.facility, self._calm = facility, False
            try:
                yield self
            finally:
                self.facility = before

    def _fresh_uses(self) -> Uses:
        f = self.facility
        return Uses(
            self._placed,
            self._bookings,
            self._unmanaged,
            self._left,
            f.windows,
            count_caps=f.counts_caps,
        )

    def _keep_order(self) -> None:
        """Remember the order of the nodes before a simulation first changes it: undoing puts a node last."""
        if self._journal is not None and self._order is None:
            self._order = tuple(self._specs)

    def _take(self) -> None:
        if self._journal is None and not self._undoing:
            self.taken += 1

    def _record(self, undo: Callable[[], None]) -> None:
        if self._journal is not None:
            self._journal.append(undo)

    def _refresh(self, names: Collection[str], key: str | None = None) -> None:
        """Bring the nodes' uses, their racks' P_r and the loads up to date: the loads once for each rack.

        ``key``: whose nodes they are, if they are all those of one key.
        """
        if self._undoing:
            return
        self._derived.booked(names)
        changed, draws = self._uses.refresh(names, key)
        if self._journal is not None:
            for name, use in changed.items():
                self._used_before.setdefault(name, use)
        self._derived.used(changed, self._uses.now)
        for rack, delta in draws:
            self.add(rack, delta)

    # -- views for placement and reports -----------------------------------------------------------

    @property
    def inventory(self) -> Inventory:
        """The nodes in order, with dense ids; valid until a node comes, goes or moves."""
        return self._derived.inventory

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
        return self._derived.table

    @property
    def holding(self) -> Holding:
        """The NVLink domains that hold nodes back."""
        return self._derived.holding

    def held_back(self) -> list[int]:
        """Indices into the inventory of nodes that their NVLink domain's policy keeps from every gang."""
        return self.holding.all_held(self.table)

    def _figures(self, name: str) -> Figures:
        spec, use = self._specs.get(name), self._uses.now.get(name)
        healthy = spec is not None and spec.healthy
        return (
            (0, 0, 0, healthy, None)
            if use is None
            else (use.free, use.booked, use.node_type.gpus_per_node, healthy, use.cap)
        )

    @property
    def ends(self) -> Ends:
        """When what runs on nodes and in bins is expected to be over."""
        return self._derived.ends

    def away(self, at: float | None, until: float | None) -> NDArray[np.bool_] | None:
        """The nodes that maintenance takes away from what runs from ``at`` (None: now) to ``until``; None: no node."""
        known = self._planned
        if known is None or known.facility is not self.facility or known.inventory is not self.inventory:
            known = self._planned = Planned(self.facility, self.inventory)
        return known.away(at, until)

    def largest_first(self, resource: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """GPUs of the largest rack, of the two largest and so on, used or not; and the same of the NVLink domains.

        Of the resource alone.  Do not write to the arrays.
        """
        return self._derived.largest_first(resource)

    @property
    def even(self) -> EvenShares:
        """What each group of racks may draw in all while no other has to go short."""
        return self._derived.even

    def needs(self, kind: PodKind) -> RackNeeds:
        """What one pod of that kind takes from each rack."""
        return self._derived.needs(kind)

    def view(self, kind: PodKind, mask: NodeMask | None = None) -> View:
        """Slots by node for that kind of pod under that mask, as of now.  Kept, and followed, for the next question."""
        return self._derived.view(kind, mask)

    def layout(self, level: str, resource: str | None, *, bins: str) -> Layout:
        """The bins of the nodes whose racks have the resource, under the trees of a level ("": one tree).

        Args:
            resource: None: the nodes of every rack, for pods without GPUs.
            bins: as :class:`Layout` takes it.
        """
        return self._derived.layout(level, resource, bins=bins)

    def report(self) -> reports.FacilityReport:
        """The figures of every object, read together."""
        return reports.facility_report(self)

    def validate(self) -> None:
        """Recompute everything from nodes, bookings and unmanaged use; InvariantViolation names what differs."""
        self._bookings.validate()
        fresh = Loads(self.facility)
        uses = self._fresh_uses()
        for rack, delta in uses.refresh(self._specs)[1]:
            fresh.add(rack, delta)
        if not uses.same(self._uses):
            raise InvariantViolation("the use of a node differs from its type and bookings")
        if not self._uses.kept_counts_hold():
            raise InvariantViolation("a gang's nodes by their use differ from those counted before")
        self.compare(fresh)
        self._derived.validate()
