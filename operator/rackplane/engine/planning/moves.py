"""What moving gangs needs to know and what it comes to: who may be moved, how far, what it buys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rackplane.engine.model import Placement, Request
from rackplane.engine.placing.placement import find
from rackplane.engine.preempting.costs import Cost, Victim
from rackplane.engine.state import State

Places = Mapping[str, Placement]
"""Where gangs go in a plan, by key, in the order in which they are placed."""


@dataclass(frozen=True, slots=True)
class Gang:
    """A gang to be placed, now or anew.

    ``request`` is what it asks for once these keys are gone and the others have these places: what their pods hold of
    nodes beside GPUs is not known here.  ``admits`` is whether what the engine does not know takes the placement then.
    """

    key: str
    request: Callable[[Collection[str], Places], Request]
    admits: Callable[[Placement, Collection[str], Places], bool] = lambda _, __, ___: True


@dataclass(frozen=True, slots=True)
class Movable:
    """A gang that may be stopped and placed anew; ``cost`` is what stopping it loses."""

    gang: Gang
    cost: Victim

    @property
    def key(self) -> str:
        """Its booking's key."""
        return self.gang.key


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one plan may come to: so many gangs moved, and so many GPU-seconds of work lost (None: any)."""

    moves: int = 8
    lost_gpu_seconds: int | None = None

    def allow(self, moved: Iterable[Victim]) -> bool:
        """Whether all of these may be moved; if they may, any part of them may."""
        moved = list(moved)
        most = self.lost_gpu_seconds
        return len(moved) <= self.moves and (most is None or sum(v.lost for v in moved) <= most)


@dataclass(frozen=True, slots=True)
class Move:
    """One gang goes from one place to another; ``gpus`` are those that it holds."""

    key: str
    before: Placement
    after: Placement
    gpus: int
    cost: Victim


@dataclass(frozen=True, slots=True)
class MovePlan:
    """Stop all that are moved, then place the gang that waits, then the moved ones in this order.

    ``waiting`` is the key of the gang that starts, ``placement`` its place; None if the plan is for whole domains.
    ``domains`` are without any gang afterwards and were not before.  ``proved``: no cheaper moves do as much.
    """

    waiting: str | None
    placement: Placement | None
    moves: tuple[Move, ...]
    domains: tuple[str, ...]
    proved: bool

    @property
    def cost(self) -> Cost:
        """What the moves cost."""
        return Cost.of(move.cost for move in self.moves)

    @property
    def lost_gpu_seconds(self) -> int:
        """Work that is done again."""
        return sum(move.cost.lost for move in self.moves)

    @property
    def gpus(self) -> int:
        """GPUs whose gangs move."""
        return sum(move.gpus for move in self.moves)


def in_order(moved: Iterable[Movable], state: State) -> list[Movable]:
    """The order in which moved gangs are placed anew: the largest first, for it finds a place least easily."""
    return sorted(moved, key=lambda m: (-sum(state.held_gpus(m.key).values()), m.key))


def resettle(
    state: State,
    moved: Sequence[Movable],
    places: Places = MappingProxyType({}),
    *,
    before: Iterable[str] = (),
    only: Callable[[Request], Request] = lambda r: r,
) -> Places | None:
    """Where each of them finds a place, one after the other, in a state without them; None if one finds none.

    Nothing is changed.

    Args:
        places: where others go in the same plan, booked already.
        before: those of them that are moved as well.
        only: bounds what a gang asks for once more.
    """
    gone, found = [*before, *(m.key for m in moved)], dict(places)
    with state.simulation():
        for m in moved:
            asked = only(m.gang.request(gone, found))

            def admits(offer: Placement, gang: Gang = m.gang) -> bool:
                return gang.admits(offer, gone, found)

            place = find(state, asked, admits)
            if place is None:
                return None
            state.book(m.key, place, until=asked.until)
            found[m.key] = place
    return {m.key: found[m.key] for m in moved}


def domains_of(state: State) -> dict[str, list[str]]:
    """NVLink domain -> its nodes; of nodes whose domain ends in the node, the rack -> its nodes."""
    own: dict[str, int] = {}
    for node in state.nodes():
        if node.domain:
            own[node.domain] = own.get(node.domain, 0) + 1
    found: dict[str, list[str]] = {}
    for node in state.nodes():
        if node.rack is not None:
            name = node.domain if node.domain and own[node.domain] > 1 else node.rack
            found.setdefault(name, []).append(node.name)
    return found


def whole(state: State, nodes: Iterable[str]) -> bool:
    """Whether nothing is on any of these nodes."""
    return not any(any(True for _ in state.keys_on(node)) or state.other_gpus(node) for node in nodes)


def changes(state: State, moved: Sequence[Movable], places: Places) -> tuple[Move, ...]:
    """The moves in the order of ``places``, told of a state in which they have not been made."""
    by_key = {m.key: m for m in moved}
    found = []
    for key, after in places.items():
        before = state.booking(key)
        if key in by_key and before is not None:
            gpus = sum(state.held_gpus(key).values())
            found.append(Move(key, before, after, gpus, by_key[key].cost))
    return tuple(found)


def made_whole(state: State, moved: Collection[str], places: Places) -> tuple[str, ...]:
    """Domains with nothing on them once these are gone and those have their places, and with something now."""
    domains = domains_of(state)
    before = {name for name, nodes in domains.items() if whole(state, nodes)}
    with state.simulation():
        for key in moved:
            state.release(key)
        for key, place in places.items():
            state.book(key, place)
        return tuple(sorted(n for n, nodes in domains.items() if n not in before and whole(state, nodes)))
