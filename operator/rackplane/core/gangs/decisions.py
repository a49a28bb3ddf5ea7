"""What is decided of a gang, or held for it, or expected: the values that its record keeps."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import field

from rackplane.core.objects import GangSpec
from rackplane.engine.explaining.times import when
from rackplane.engine.model import Group, Placement
from rackplane.engine.queueing.later import Share
from rackplane.engine.queueing.shadow import Reservation
from rackplane.engine.values import dataclass

__all__ = ["Decision", "Estimate", "HeldPlace", "Key", "QuotaHold", "booking_key", "key_of"]

#: (namespace, name) of a namespaced object.
Key = tuple[str, str]


def booking_key(key: Key) -> str:
    """The gang's name in the engine."""
    return f"{key[0]}/{key[1]}"


def key_of(booking: str) -> Key:
    """The gang that has this name in the engine."""
    namespace, _, name = booking.partition("/")
    return namespace, name


@dataclass(frozen=True, slots=True)
class Decision:
    """A placement with its identity; booked in the engine from the moment it exists."""

    id: str
    term: int
    time: float
    placement: Placement
    committed: bool  # the API server has it: from here on it is finished, not decided anew
    #: slots that it does not hold, of one that is not committed; None: those that its Gang has
    released: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a gang that waits could start, by what was expected at that version of the machine's state."""

    version: tuple[int, int]
    made: float
    #: seconds since the epoch; None: not within the horizon, or not found
    at: float | None
    words: str
    #: it is the start of a place that is held for it, and this is where
    held: str = ""


@dataclass(frozen=True, slots=True)
class HeldPlace:
    """What is reserved for a gang that waits, and what it was made for.

    An exclusive reservation holds since its `at`: others are stopped to clear the place, or the write that starts the
    gang there is tried again. Any other holds from its `at` on, when the gang is expected to start; once that has
    passed because gangs there run on, nobody else is let in before either.
    """

    reservation: Reservation
    #: "gang a/b is expected to be over"; of a place that is cleared a sentence
    why: str
    #: when it was last worked out, in seconds since the epoch, and at which version of the machine's state
    made: float
    version: int
    spec: GangSpec
    #: gangs that are stopped for it, whether they still run or not, or made to go on with fewer slots
    victims: tuple[Key, ...] = ()
    #: of those the ones that go on, and with how many slots
    sizes: tuple[tuple[Key, int], ...] = ()
    #: gangs that are moved for it, and where to; if they are moved for no gang, the first of them has this
    moves: tuple[tuple[Key, tuple[Group, ...]], ...] = ()
    #: the gang moves here from a place that it has, or has given up for this one
    moving: bool = False
    #: as of what it was last found that the gang could start here then (:func:`core.queues.sound.as_of`)
    found_at: Hashable = field(default=None, compare=False)
    #: as of what no earlier place was found (:func:`core.queues.sound.as_first`)
    first_at: Hashable = field(default=None, compare=False)

    def size_of(self, victim: Key) -> int:
        """The slots that one of the victims goes on with; 0: it is stopped."""
        return dict(self.sizes).get(victim, 0)

    @property
    def place(self) -> str:
        """ "rack-3 and 1 more"."""
        racks = list(dict.fromkeys(group.rack for group in self.reservation.placement.groups))
        return racks[0] if len(racks) == 1 else f"{racks[0]} and {len(racks) - 1} more"

    @property
    def words(self) -> str:
        """ "rack-3 and 1 more from 14:10 UTC"."""
        if self.moving:
            return f"{self.place}, to which it moves"
        if self.victims or self.moves:
            return f"{self.place}, which is being cleared for it"
        if self.reservation.exclusive:
            return f"{self.place}, where it is about to start"
        if self.reservation.kept_free:
            return f"{self.place}, which is kept free for it, from {when(self.reservation.at)}"
        return f"{self.place} from {when(self.reservation.at)}"


@dataclass(frozen=True, slots=True)
class QuotaHold:
    """What is held of quotas and budgets for the first gang that waits for them."""

    #: from -inf on if that is there already
    share: Share
    spec: GangSpec
    #: when it was worked out, in seconds since the epoch, and at which version of the machine's state
    made: float
    version: int
    #: the PowerBudget of which it is the first to wait; "": the first of its queue that waits for quota
    budget: str = ""
    #: the places that were held for others then: for whom, from when and until when
    beside: frozenset[tuple[str, float, float]] = frozenset()
