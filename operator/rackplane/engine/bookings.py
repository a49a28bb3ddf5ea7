"""Which gang holds which slots on which nodes: the record alone, without watts."""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Mapping
from dataclasses import dataclass
from math import inf

from rackplane.engine.model import InvariantViolation, Placement


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a booking reserves over idle: nominal and peak watts, and nominal heat by medium."""

    nominal_watts: int = 0
    peak_watts: int = 0
    liquid_watts: int = 0
    air_watts: int = 0


class Booking:
    """A placement as it was booked, and what of it is still held."""

    __slots__ = ("gpus", "held", "lowest", "number", "placement", "until")

    def __init__(self, placement: Placement, until: float | None) -> None:
        self.placement = placement
        self.until = until
        """When it is expected to end; None if never."""
        self.lowest: str | None = None
        """The power profile that it can be brought down to in time; None: that is not known of what it holds now."""
        self.number = 0
        """Its place among the bookings, in the order they were made."""
        self.held: dict[int, str] = dict(enumerate(placement.slots))
        """Slot -> node."""
        self.gpus: dict[str, int] = {}
        """Node that it holds a slot on -> GPUs, 0 for slots that have none."""
        each = placement.slot_gpus or (placement.gpus_per_slot,) * len(placement.slots)
        for node, gpus in zip(placement.slots, each, strict=True):
            self.gpus[node] = self.gpus.get(node, 0) + gpus

    def forget_lowest(self) -> list[str]:
        """It holds something else now: whether that can be capped is asked anew.  The nodes that this concerns."""
        known, self.lowest = self.lowest is not None, None
        return list(self.gpus) if known else []


@dataclass(frozen=True, slots=True)
class Before:
    """A booking as it was before slots were given up or taken."""

    key: str
    booking: Booking
    placement: Placement
    held: Mapping[int, str]
    gpus: Mapping[str, int]
    lowest: str | None


class Bookings:
    """All bookings by key, and by node; both in the order they were made."""

    def __init__(self) -> None:
        self.by_key: dict[str, Booking] = {}
        self.keys_on: dict[str, dict[str, None]] = {}
        """Node -> keys, of nodes that something is booked on."""
        self._made = 0
        self._jumbled = False

    def keys(self) -> KeysView[str]:
        """All keys, in the order in which the bookings were made."""
        if self._jumbled:
            # Put back in order by whoever looks, once, and not by every undone release.
            self.by_key = dict(sorted(self.by_key.items(), key=lambda item: item[1].number))
            self._jumbled = False
        return self.by_key.keys()

    def on(self, node: str) -> Iterable[Booking]:
        """The bookings that hold slots on a node."""
        return [self.by_key[key] for key in self.keys_on.get(node, ())]

    def latest_end(self, node: str) -> float:
        """When the last gang that holds GPUs of the node is expected to end; -inf if none is known to.

        What has no expected end, or runs beyond it, tells nothing and is passed over.
        """
        ends = (b.until for b in self.on(node) if b.until is not None and b.gpus[node])
        return max(ends, default=-inf)

    def add(self, key: str, booking: Booking) -> None:
        """Take in a booking under a key that has none."""
        self._made += 1
        booking.number = self._made
        self.by_key[key] = booking
        for node in booking.gpus:
            self.keys_on.setdefault(node, {})[key] = None

    def give_up(self, key: str, slots: Iterable[int] | None) -> list[str]:
        """Take away all of a booking, or these slots of it: the nodes that this concerns."""
        booking = self.by_key.get(key)
        if booking is None:
            return []
        wanted = list(booking.held) if slots is None else dict.fromkeys(slots)
        gone = [slot for slot in wanted if slot in booking.held]
        touched: dict[str, None] = {}
        gone_from: dict[str, None] = {}
        if gone and len(gone) < len(booking.held):
            touched.update(dict.fromkeys(booking.forget_lowest()))
        for slot in gone:
            node = booking.held.pop(slot)
            touched[node] = gone_from[node] = None
            booking.gpus[node] -= booking.placement.gpus_of(slot)
        for node in set(gone_from) - set(booking.held.values()):
            del booking.gpus[node]
            self._off(key, node)
        if not booking.held:
            del self.by_key[key]
        return list(touched)

    def take_over(self, key: str, placement: Placement, slots: Iterable[int]) -> list[str]:
        """Let a booking hold these slots of another placement: the nodes where that makes a difference."""
        booking = self.by_key[key]
        before, booking.gpus = booking.gpus, {}
        as_fast = booking.placement.power_profile == placement.power_profile
        booking.placement = placement
        booking.held = {slot: placement.slots[slot] for slot in slots}
        for slot, node in booking.held.items():
            booking.gpus[node] = booking.gpus.get(node, 0) + placement.gpus_of(slot)
        if before != booking.gpus and booking.forget_lowest():
            as_fast = False
        for node in before.keys() - booking.gpus.keys():
            self._off(key, node)
        self._index(key, booking.gpus.keys() - before.keys())
        nodes = dict.fromkeys((*before, *booking.gpus))
        return [node for node in nodes if not as_fast or before.get(node) != booking.gpus.get(node)]

    def before(self, key: str) -> Before | None:
        """What :meth:`restore` needs to undo a change of the booking; None for an unknown key."""
        booking = self.by_key.get(key)
        if booking is None:
            return None
        return Before(key, booking, booking.placement, dict(booking.held), dict(booking.gpus), booking.lowest)

    def restore(self, before: Before) -> list[str]:
        """Undo what was given up or taken of a booking since: the nodes that this concerns."""
        booking, now = before.booking, before.booking.gpus
        booking.placement, booking.lowest = before.placement, before.lowest
        booking.held, booking.gpus = dict(before.held), dict(before.gpus)
        if before.key not in self.by_key:
            self.by_key[before.key] = booking
            self._jumbled = True
        for node in now.keys() - booking.gpus.keys():
            self._off(before.key, node)
        self._index(before.key, booking.gpus)
        return list(dict.fromkeys((*now, *booking.gpus)))

    def _off(self, key: str, node: str) -> None:
        del self.keys_on[node][key]
        if not self.keys_on[node]:
            del self.keys_on[node]

    def _index(self, key: str, nodes: Iterable[str]) -> None:
        """Enter a booking under nodes, in booking order, for the first one's cap is the node's."""
        for node in nodes:
            here = self.keys_on.get(node)
            if not here:
                self.keys_on[node] = {key: None}
            elif key not in here:
                among = sorted((*here, key), key=lambda each: self.by_key[each].number)
                self.keys_on[node] = dict.fromkeys(among)

    def validate(self) -> None:
        """Count the GPUs by node anew and compare.

        Raises:
            InvariantViolation: something differs.
        """
        keys_on: dict[str, set[str]] = {}
        for key, booking in self.by_key.items():
            counts: dict[str, int] = {}
            for slot, node in booking.held.items():
                if booking.placement.slots[slot] != node:
                    raise InvariantViolation(f"{key}: slot {slot} is held on {node}, not where it was booked")
                counts[node] = counts.get(node, 0) + booking.placement.gpus_of(slot)
                keys_on.setdefault(node, set()).add(key)
            if counts != booking.gpus or not counts:
                raise InvariantViolation(
                    f"{key}: GPUs per node {booking.gpus} differ from its slots {counts}"
                )
        if keys_on != {node: set(keys) for node, keys in self.keys_on.items()}:
            raise InvariantViolation("the index of bookings by node differs from the bookings")
