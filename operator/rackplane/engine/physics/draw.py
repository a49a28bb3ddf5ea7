"""What nodes draw, in exact integer watts: idle, and the increments of gangs and of what is not ours.

nominal = idle + u (cap - idle), peak = cap x peakPercent; a share of a node's GPUs takes that share of the
increment, rounded up, so that parts never sum to less than the whole.
"""

from __future__ import annotations

from rackplane.engine.model import Metered, NodeType, PowerCap
from rackplane.engine.values import dataclass

DEFAULT_PROFILE = "MaxP"
"""The profile a node type has without listing it: its full ``max_watts``."""


@dataclass(frozen=True, slots=True)
class Watts:
    """Nominal and peak draw."""

    nominal: int = 0
    peak: int = 0

    def __add__(self, other: Watts) -> Watts:
        return Watts(self.nominal + other.nominal, self.peak + other.peak)

    def __sub__(self, other: Watts) -> Watts:
        return Watts(self.nominal - other.nominal, self.peak - other.peak)


def find_cap(node_type: NodeType, profile: str) -> PowerCap | None:
    """The node type's cap of that name; every type has a "MaxP", by default its ``max_watts``."""
    for cap in node_type.caps:
        if cap.name == profile:
            return cap
    return PowerCap(DEFAULT_PROFILE, node_type.max_watts, 100) if profile == DEFAULT_PROFILE else None


def full_increment(node_type: NodeType, cap_watts: int) -> Watts:
    """Watts over idle of a whole node in use under this cap."""
    above = cap_watts - node_type.idle_watts
    nominal = -(-node_type.typical_utilization_percent * above // 100)
    peak = -(-cap_watts * node_type.peak_percent // 100) - node_type.idle_watts
    return Watts(max(0, nominal), max(0, nominal, peak))


def share(node_type: NodeType, full: Watts, gpus: int) -> Watts:
    """The part of a whole node's increment that ``gpus`` of its GPUs take, rounded up."""
    if gpus <= 0 or node_type.gpus_per_node <= 0:
        return Watts()
    return Watts(
        -(-full.nominal * gpus // node_type.gpus_per_node),
        -(-full.peak * gpus // node_type.gpus_per_node),
    )


def gang_increment(node_type: NodeType, profile: str, gpus: int, metered: Metered = ()) -> Watts:
    """What a gang adds to one node.

    An unknown profile counts at ``max_watts``: never at less than it may draw.
    """
    cap = find_cap(node_type, profile)
    full = full_increment(node_type, cap.node_watts if cap else node_type.max_watts)
    return at_most(node_type, share(node_type, full, gpus), gpus, metered)


def at_most(node_type: NodeType, watts: Watts, gpus: int, metered: Metered) -> Watts:
    """An increment with no more nominal watts than is known of a gang that has the node to itself; peak stays."""
    if not metered or gpus != node_type.gpus_per_node:
        return watts
    known = min((most for name, most in metered if name == node_type.name), default=None)
    if known is None:
        return watts
    return Watts(min(watts.nominal, max(0, known - node_type.idle_watts)), watts.peak)


def unmanaged_increment(node_type: NodeType, gpus: int) -> Watts:
    """What GPUs that are not ours add: nothing is known of them, so both are at ``max_watts``."""
    full = full_increment(node_type, node_type.max_watts)
    full = Watts(max(full.nominal, node_type.max_watts - node_type.idle_watts), full.peak)
    return share(node_type, full, gpus)


def liquid_share(node_type: NodeType, watts: int) -> int:
    """Of these watts, the heat that leaves in liquid (rounded up); the rest leaves in air."""
    return -(-watts * node_type.liquid_heat_percent // 100)
