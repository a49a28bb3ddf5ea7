"""Small halls with round numbers: a row is one rack of 15 nodes, 150 kW idle and 1.2 MW full.

A node idles at 10 kW and takes 80 kW at MaxP, 60 kW at MaxQ, nominal and peak alike. UPSs carry 2.4 MW each and are
survivable. Rows are named after what feeds them: "ab" hangs on UPS a and b, half each.
"""

from __future__ import annotations

from collections.abc import Sequence

from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    Group,
    NodeSpec,
    NodeType,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Role,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.state import State

GPU = "nvidia.com/gpu"
NODES = 15
TYPE = NodeType(
    "node",
    GPU,
    gpus_per_node=4,
    idle_watts=10_000,
    max_watts=80_000,
    caps=(PowerCap("MaxP", 80_000), PowerCap("MaxQ", 60_000, 80)),
)
BALANCED = ("ab", "ac", "ad", "bc", "bd", "cd")
UNBALANCED = ("ab-1", "ab-2", "ac", "ad", "bc", "bd")


def ups(name: str, rated_watts: int = 2_400_000) -> PowerSpec:
    return PowerSpec(f"ups-{name}", rated_watts, survivable=True)


def rack(name: str, feeds: str, *, standby: str = "", liquid: str | None = None) -> RackSpec:
    """A row fed by one UPS for each letter of ``feeds``, and by ``standby`` when none of them is live."""
    own = tuple(Feed(f"ups-{letter}") for letter in feeds)
    spare = tuple(Feed(f"ups-{letter}", role=Role.STANDBY) for letter in standby)
    return RackSpec(f"row-{name}", "node", 0, 1_200_000, own + spare, liquid=liquid)


def hall(rows: Sequence[str], upses: str = "abcd") -> FacilitySpec:
    """Distributed redundancy: each row on the UPSs that its name begins with."""
    return FacilitySpec(
        node_types=(TYPE,),
        racks=tuple(rack(name, name.partition("-")[0]) for name in rows),
        powers=tuple(ups(letter) for letter in upses),
    )


def idle(spec: FacilitySpec) -> State:
    nodes = [NodeSpec(f"{r.name}-{i:02}", r.name) for r in spec.racks for i in range(1, NODES + 1)]
    return State(compile_facility(spec), nodes)


def gang(rack_name: str, nodes: int = NODES, *, first: int = 1, profile: str = "MaxP") -> Placement:
    """Whole nodes of one row, from its first."""
    names = tuple(f"{rack_name}-{i:02}" for i in range(first, first + nodes))
    return Placement(
        slots=names,
        groups=(Group("", rack_name, names),),
        gpus_per_slot=4,
        power_profile=profile,
        nominal_watts=0,
        peak_watts=0,
        liquid_watts=0,
        air_watts=0,
    )


def full(spec: FacilitySpec) -> State:
    """One gang on every row, named after it, whatever the limits say."""
    state = idle(spec)
    for r in spec.racks:
        state.book(r.name.removeprefix("row-"), gang(r.name), force=True)
    return state
