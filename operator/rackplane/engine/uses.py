"""What every node is used for now: GPUs, watts and power cap; and what a change of that is for its rack's draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rackplane.engine.bookings import Booking, Bookings, Reserved
from rackplane.engine.model import Metered, NodeType, Placement
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """A node of a known type in a known rack.  Nodes of a rack that are used alike share one."""

    rack: int
    node_type: NodeType
    booked: int
    """GPUs that gangs hold."""
    free: int
    """GPUs that neither gangs nor others use, nor pods that gangs have left behind."""
    cap: int | None
    """Watts of the cap of the gangs on it, None if there are none: a node has one power profile."""
    watts: tuple[int, ...]
    """Nominal, peak, and of the nominal ones those that are over before each coming budget starts; then, where that is
    counted, those that caps would take."""


Alike = Sequence[tuple[Use, int, int]]
"""A use of nodes, the GPUs that one gang holds of each, and how many of its nodes they are."""

_Same = tuple[int, int, str, int, str | None, Metered, int, tuple[str, int] | None]


class Uses:
    """The use of every node, from its type, the bookings on it, and what is not ours."""

    def __init__(
        self,
        placed: Mapping[str, tuple[int, NodeType]],
        bookings: Bookings,
        unmanaged: Mapping[str, int],
        left: Mapping[str, tuple[str, int]],
        windows: tuple[float, ...],
        *,
        count_caps: bool = False,
    ) -> None:
        """``placed``: node -> rack and type; ``unmanaged``: node -> GPUs; ``left``: node -> power profile and GPUs;
        ``windows``: starts of coming budgets; ``count_caps``: whether it is told what caps would take.
        """
        self._placed = placed
        self._bookings = bookings
        self._unmanaged = unmanaged
        self._left = left
        self._windows = windows
        self._count_caps = count_caps
        self.now: dict[str, Use] = {}
        """By node; without those of no known rack or type."""
        self._shared: dict[_Same, Use] = {}
        self._increments: dict[tuple[int, str, int, Metered], Watts] = {}
        #: by key, nodes of the gang by their use, for as long as the gang holds these and each is used as it is
        self._alike: dict[str, tuple[Mapping[str, int], Alike]] = {}
        #: by key, what it draws by rack, for as long as it holds these, of that placement, and no node moves
        self._drawn: dict[str, tuple[Mapping[str, int], Placement, Mapping[int, Watts]]] = {}

    def refresh(
        self, names: Iterable[str], key: str | None = None
    ) -> tuple[dict[str, Use | None], list[tuple[int, list[int]]]]:
        """Bring these nodes up to date.

        Args:
            key: whose nodes they are, if they are all those of one key: then they are counted on the way.

        Returns:
            What those that changed were before; and the racks whose draw did, with the differences.
        """
        changed: dict[str, Use | None] = {}
        moves: dict[tuple[Use | None, Use | None], int] = {}
        now = self.now
        for name in names:
            old, new = now.get(name), self.of(name)
            if old is new:
                continue
            changed[name] = old
            if new is None:
                del now[name]
            else:
                now[name] = new
            moves[old, new] = moves.get((old, new), 0) + 1
        deltas: dict[int, list[int]] = {}
        stale = False
        for move, count in moves.items():
            old, new = move
            # Who came to a free node, or left one free, holds something else than before, which tells by itself.
            stale = stale or (old is not None and old.booked > 0 and (new is None or new.booked > 0))
            for use, sign in zip(move, (-count, count), strict=True):
                if use is not None:
                    delta = deltas.setdefault(use.rack, [0] * len(use.watts))
                    for k, watts in enumerate(use.watts):
                        delta[k] += sign * watts
        if stale:
            self.forget(changed)
        if key is not None:
            self._count_moved(key, moves)
        return changed, [(rack, delta) for rack, delta in deltas.items() if any(delta)]

    def put_back(self, before: Mapping[str, Use | None]) -> None:
        """These nodes are used as they were before, and their bookings are there again."""
        for name, use in before.items():
            if use is None:
                self.now.pop(name, None)
            else:
                self.now[name] = use
        # They may have been counted in the meantime.
        self.forget(name for name, use in before.items() if use is None or use.booked)

    def of(self, name: str) -> Use | None:
        """The node's use, looked up anew; None if it is not known, or its rack or type is not."""
        placed = self._placed.get(name)
        if placed is None:
            return None
        rack, node_type = placed
        keys, others = self._bookings.keys_on.get(name), self._unmanaged.get(name, 0)
        profile, gpus, lowest = "", -1, None
        metered: Metered = ()
        if keys:
            if len(keys) > 1 or self._windows:
                return self._use(rack, node_type, self._bookings.on(name), others, name)
            (key,) = keys
            booking = self._bookings.by_key[key]
            placement, gpus, lowest = booking.placement, booking.gpus[name], booking.lowest
            profile, metered = placement.power_profile, placement.metered
        # By the identity of the type: the facility keeps its node types, and hashing one costs more than all the rest.
        alike = (rack, id(node_type), profile, gpus, lowest, metered, others, self._left.get(name))
        found = self._shared.get(alike)
        if found is None:
            booked = self._bookings.on(name)
            found = self._shared[alike] = self._use(rack, node_type, booked, others, name)
        return found

    def _use(self, rack: int, node_type: NodeType, booked: Iterable[Booking], others: int, name: str) -> Use:
        nominal = peak = node_type.idle_watts
        over_by = [0] * len(self._windows)
        gpus, cap_watts, taken = 0, None, 0
        for booking in booked:
            held = booking.gpus[name]
            profile = booking.placement.power_profile
            increment = self._increment(node_type, profile, held, booking.placement.metered)
            nominal += increment.nominal
            peak += increment.peak
            for w, start in enumerate(self._windows):
                if booking.until is not None and booking.until <= start:
                    over_by[w] += increment.nominal
            taken += self.taken(node_type, booking, held)
            gpus += held
            if held > 0 and cap_watts is None:
                cap = draw.find_cap(node_type, profile)
                cap_watts = node_type.max_watts if cap is None else cap.node_watts
        if others:
            foreign = draw.unmanaged_increment(node_type, others)
            nominal += foreign.nominal
            peak += foreign.peak
        left = self._left.get(name)
        if left is not None:
            profile, held = left
            increment = self._increment(node_type, profile, held)
            nominal += increment.nominal
            peak += increment.peak
            others += held
            cap = draw.find_cap(node_type, profile)
            if cap_watts is None:
                cap_watts = node_type.max_watts if cap is None else cap.node_watts
        free = max(0, node_type.gpus_per_node - gpus - others)
        by_caps = (taken,) if self._count_caps else ()
        return Use(rack, node_type, gpus, free, cap_watts, (nominal, peak, *over_by, *by_caps))

    def taken(self, node_type: NodeType, booking: Booking, gpus: int) -> int:
        """Nominal watts that capping the gang takes of one node.

        Nothing where another gang could come: a node has one power profile.
        """
        if booking.lowest is None or gpus != node_type.gpus_per_node:
            return 0
        metered = booking.placement.metered
        now = self._increment(node_type, booking.placement.power_profile, gpus, metered)
        return max(0, now.nominal - self._increment(node_type, booking.lowest, gpus, metered).nominal)

    def taken_by_rack(self, booking: Booking) -> dict[int, int]:
        """Rack -> nominal watts that capping the gang takes."""
        found: dict[int, int] = {}
        for node, gpus in booking.gpus.items():
            placed = self._placed.get(node)
            if placed is not None:
                rack, node_type = placed
                found[rack] = found.get(rack, 0) + self.taken(node_type, booking, gpus)
        return found

    def same(self, other: Uses) -> bool:
        """Whether both say the same of every node."""
        mine, theirs = (
            {name: (use.rack, use.booked, use.free, use.cap, use.watts) for name, use in uses.now.items()}
            for uses in (self, other)
        )
        return mine == theirs

    def increments(self, gpus: Mapping[str, int], profile: str, metered: Metered = ()) -> Reserved:
        """What one gang's GPUs by node add over idle; nodes of no known type add nothing."""
        alike: dict[tuple[int, int], int] = {}
        types: dict[int, NodeType] = {}
        for node, held in gpus.items():
            placed = self._placed.get(node)
            if placed is not None:
                key = id(placed[1]), held
                alike[key] = alike.get(key, 0) + 1
                types[key[0]] = placed[1]
        nominal = peak = liquid = 0
        for (type_id, held), count in alike.items():
            watts = self._increment(types[type_id], profile, held, metered)
            nominal += watts.nominal * count
            peak += watts.peak * count
            liquid += draw.liquid_share(types[type_id], watts.nominal) * count
        return Reserved(nominal, peak, liquid, nominal - liquid)

    def alike(self, key: str) -> Alike:
        """How many nodes the key has by their use and its GPUs on each, if it has any; it holds something."""
        gpus, known = self._bookings.by_key[key].gpus, self._alike.get(key)
        # What a booking holds is never written to: something else is another object.
        if known is not None and known[0] is gpus:
            return known[1]
        found, complete = self._counted(gpus)
        if complete:
            self._keep(key, gpus, found)
        return found

    def _keep(self, key: str, gpus: Mapping[str, int], found: Alike) -> None:
        if len(self._alike) > 2 * len(self._bookings.by_key):
            self._alike = {k: v for k, v in self._alike.items() if k in self._bookings.by_key}
        self._alike[key] = gpus, found

    def forget(self, names: Iterable[str]) -> None:
        """How those who hold something on these nodes were counted."""
        keys_on, alike = self._bookings.keys_on, self._alike
        for name in names:
            for key in keys_on.get(name, ()):
                alike.pop(key, None)

    def _count_moved(self, key: str, moves: Mapping[tuple[Use | None, Use | None], int]) -> None:
        """Count the nodes of a key by what they have come to, if all have and are used by no other gang.

        Looking up every node for that later is slow: by then few of them are in a cache of the processor.
        """
        gpus = self._bookings.by_key[key].gpus
        counts: dict[Use, int] = {}
        for (_, use), count in moves.items():
            if use is None:
                return
            counts[use] = counts.get(use, 0) + count
        if sum(counts.values()) == len(gpus) and (
            sum(use.booked * count for use, count in counts.items()) == sum(gpus.values())
        ):
            self._keep(key, gpus, [(use, use.booked, count) for use, count in counts.items() if use.booked])

    def kept_counts_hold(self) -> bool:
        """Whether the nodes of every key, counted anew, are as many and as they are known to be."""
        for key, booking in self._bookings.by_key.items():
            known = self._alike.get(key)
            if known is not None and known[0] is booking.gpus and self._counted(known[0])[0] != known[1]:
                return False
        return True

    def _counted(self, gpus: Mapping[str, int]) -> tuple[Alike, bool]:
        """These nodes by use, and whether each of them has one."""
        found: dict[tuple[Use, int], int] = {}
        use, held, count, complete = None, 0, 0, True
        # Nodes of a rack mostly follow each other: they are counted by the run.
        for this, here in zip(map(self.now.get, gpus), gpus.values(), strict=True):
            if this is use and here == held:
                count += 1
                continue
            if use is not None and held:
                found[use, held] = found.get((use, held), 0) + count
            complete = complete and this is not None
            use, held, count = this, here, 1
        if use is not None and held:
            found[use, held] = found.get((use, held), 0) + count
        return [(use, held, count) for (use, held), count in found.items()], complete

    def by_rack(self, gpus: Mapping[str, int], profile: str, metered: Metered = ()) -> dict[int, Watts]:
        """Rack -> what ``gpus`` (node -> GPUs of one gang) add over idle; nodes of no known type add nothing."""
        found: dict[int, Watts] = {}
        for node, count in gpus.items():
            placed = self._placed.get(node)
            if placed is not None:
                rack, node_type = placed
                more = self._increment(node_type, profile, count, metered)
                found[rack] = found[rack] + more if rack in found else more
        return found

    def draws_of(self, key: str) -> Mapping[int, Watts]:
        """As :meth:`by_rack`, of what the key holds."""
        booking = self._bookings.by_key[key]
        gpus, placement, known = booking.gpus, booking.placement, self._drawn.get(key)
        if known is None or known[0] is not gpus or known[1] is not placement:
            if len(self._drawn) > 2 * len(self._bookings.by_key):
                self._drawn = {k: v for k, v in self._drawn.items() if k in self._bookings.by_key}
            draws = self.by_rack(gpus, placement.power_profile, placement.metered)
            known = self._drawn[key] = gpus, placement, draws
        return known[2]

    def moved(self) -> None:
        """A node has come, is gone, or is in another rack or of another type."""
        self._drawn.clear()

    def _increment(self, node_type: NodeType, profile: str, gpus: int, metered: Metered = ()) -> Watts:
        key = (id(node_type), profile, gpus, metered)
        found = self._increments.get(key)
        if found is None:
            found = self._increments[key] = draw.gang_increment(node_type, profile, gpus, metered)
        return found
