"""Which gang holds which slots on which nodes: the record alone, without watts."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterable, KeysView, Mapping
from copy import copy
from math import inf

from rackplane.engine.model import InvariantViolation, Placement
from rackplane.engine.values import dataclass


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
        # Neither of the two is written to once it is here: what was there before is there for who undoes a change.
        self.held: Mapping[int, str] = dict(enumerate(placement.slots))
        """Slot -> node."""
        self.gpus: Mapping[str, int] = _by_node(placement, self.held)
        """Node that it holds a slot on -> GPUs, 0 for slots that have none."""

    def same(self, other: Booking) -> bool:
        """Whether the other is a copy, and neither has changed since."""
        return (
            self.held is other.held
            and self.gpus is other.gpus
            and self.placement is other.placement
            and (self.number, self.until, self.lowest) == (other.number, other.until, other.lowest)
        )

    def copy(self) -> Booking:
        """The same, and from now on another."""
        return copy(self)

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

    def items(self) -> ItemsView[str, Booking]:
        """As :meth:`keys`, with the bookings."""
        self.keys()
        return self.by_key.items()

    def on(self, node: str) -> Iterable[Booking]:
        """The bookings that hold slots on a node."""
        return [self.by_key[key] for key in self.keys_on.get(node, ())]

    def latest_end(self, node: str) -> float:
        """When the last gang that holds GPUs of the node is expected to end; -inf if none is known to.

        What has no expected end, or runs beyond it, tells nothing and is passed over.
        """
        latest = -inf
        for key in self.keys_on.get(node, ()):
            booking = self.by_key[key]
            if booking.until is not None and booking.until > latest and booking.gpus[node]:
                latest = booking.until
        return latest

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
        before, whole = booking.gpus, slots is None
        gone = booking.held if slots is None else _among(booking.held, slots)
        touched = given_up = list(before) if whole else list(dict.fromkeys(gone.values()))
        if gone and len(gone) < len(booking.held):
            touched = list(dict.fromkeys([*booking.forget_lowest(), *given_up]))
        booking.held = {} if whole else {s: node for s, node in booking.held.items() if s not in gone}
        left = _by_node(booking.placement, booking.held)
        booking.gpus = {node: left[node] for node in before if node in left} if left else {}
        for node in given_up:
            if node not in left:
                self._off(key, node)
        if not booking.held:
            del self.by_key[key]
        return touched

    def take_over(self, key: str, placement: Placement, slots: Iterable[int]) -> list[str]:
        """Let a booking hold these slots of another placement: the nodes where that makes a difference."""
        booking = self.by_key[key]
        before, old = booking.gpus, booking.placement
        as_fast = (old.power_profile, old.metered) == (placement.power_profile, placement.metered)
        booking.placement = placement
        booking.held = {slot: placement.slots[slot] for slot in slots}
        booking.gpus = _by_node(placement, booking.held)
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
        return Before(key, booking, booking.placement, booking.held, booking.gpus, booking.lowest)

    def restore(self, before: Before) -> list[str]:
        """Undo what was given up or taken of a booking since: the nodes that this concerns."""
        booking, now = before.booking, before.booking.gpus
        booking.placement, booking.lowest = before.placement, before.lowest
        booking.held, booking.gpus = before.held, before.gpus
        if before.key not in self.by_key:
            self.by_key[before.key] = booking
            self._jumbled = True
        for node in now.keys() - booking.gpus.keys():
            self._off(before.key, node)
        self._index(before.key, booking.gpus)
        return list(dict.fromkeys((*now, *booking.gpus)))

    def unlike(self, other: Bookings, without: Collection[str]) -> tuple[list[str], list[Before]]:
        """What is not held there as it is here; and, to be restored here, what is held there and not so here.

        Args:
            without: keys that are taken to hold nothing there.
        """
        gone = [
            key
            for key, mine in self.by_key.items()
            if key in without or (theirs := other.by_key.get(key)) is None or not mine.same(theirs)
        ]
        differ = frozenset(gone)
        came = [
            Before(key, booking.copy(), booking.placement, booking.held, booking.gpus, booking.lowest)
            for key, booking in other.items()
            if key not in without and (key in differ or key not in self.by_key)
        ]
        return gone, came

    def _off(self, key: str, node: str) -> None:
        here = self.keys_on[node]
        del here[key]
        if not here:
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


def _by_node(placement: Placement, held: Mapping[int, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    each = placement.slot_gpus
    for slot, node in held.items():
        found[node] = found.get(node, 0) + (each[slot] if each else placement.gpus_per_slot)
    return found


def _among(held: Mapping[int, str], slots: Iterable[int]) -> dict[int, str]:
    """Those of the slots that are held, in that order."""
    return {slot: held[slot] for slot in slots if slot in held}
