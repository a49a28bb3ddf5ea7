"""The ways to run a gang lower, or not at all: from the types of its nodes, its power profile, and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, pairwise

from rackplane.engine.model import NodeType, Placement
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts, find_cap
from rackplane.engine.state import State
from rackplane.engine.uses import Alike

__all__ = ["Way", "drawn_less", "lowest_profile", "way_of"]


@dataclass(frozen=True, slots=True)
class Way:
    """What gangs on nodes of the same types, at the same profile, may be brought down to, the mildest first."""

    profiles: tuple[str, ...]
    """"": stopped."""
    speeds: tuple[int, ...]
    """How fast they then are, in percent."""

    def only(self, kept: Sequence[bool]) -> Way:
        """Without those that are not kept."""
        return Way(tuple(compress(self.profiles, kept)), tuple(compress(self.speeds, kept)))


def way_of(alike: Alike, placement: Placement, *, caps: bool, stops: bool) -> Way:
    """What such a gang may be brought down to; ``caps`` and ``stops``: what may be done to it."""
    lower = _lower(alike, placement) if caps else []
    speeds = [_performance(alike, name) for name in lower]
    return Way((*lower, ""), (*speeds, 0)) if stops else Way(tuple(lower), tuple(speeds))


def drawn_less(
    node_type: NodeType, gpus: int, now: Placement, profiles: Sequence[str]
) -> tuple[list[Watts], bool]:
    """What so many GPUs of a node draw less at each profile than now; and whether less than at the one before it."""
    drawn = [
        draw.gang_increment(node_type, p, gpus, now.metered) if p else Watts()
        for p in (now.power_profile, *profiles)
    ]
    falls = all(b.nominal < a.nominal and b.peak < a.peak for a, b in pairwise(drawn))
    return [drawn[0] - watts for watts in drawn[1:]], falls


def lowest_profile(state: State, key: str) -> str | None:
    """The lowest power profile that the gang can be brought down to; None if it cannot be, or that is not certain.

    Certain are gangs that have their nodes to themselves, all of one type: nobody can come to a node of theirs whose
    profile would then have to stay, and every lower profile draws less on every limit.
    """
    placement, alike = state.booking(key), state.nodes_alike(key)
    if placement is None or len({id(use.node_type) for use, _, _ in alike}) != 1:
        return None
    if any(use.booked != gpus or gpus != use.node_type.gpus_per_node for use, gpus, _ in alike):
        return None
    lower = _lower(alike, placement)
    return lower[-1] if lower else None


def _lower(alike: Alike, placement: Placement) -> list[str]:
    """Profiles that all the gang's nodes have and that are lower on each of them, highest first."""
    watts: dict[str, int] | None = None
    for node_type in {use.node_type.name: use.node_type for use, _, _ in alike}.values():
        now = find_cap(node_type, placement.power_profile)
        top = node_type.max_watts if now is None else now.node_watts
        own = {c.name: c.node_watts for c in node_type.caps if c.node_watts < top}
        watts = own if watts is None else {n: max(w, own[n]) for n, w in watts.items() if n in own}
    found = watts or {}
    return sorted(found, key=lambda name: (-found[name], name))


def _performance(alike: Alike, profile: str) -> int:
    """Speed at that profile in percent, that of the slowest node."""
    caps = [
        find_cap(node_type, profile)
        for node_type in {id(use.node_type): use.node_type for use, _, _ in alike}.values()
    ]
    return min((cap.relative_performance_percent for cap in caps if cap is not None), default=100)
