"""A campus of 4N/3 halls for the benchmarks, after E2 and E8 of the reference: 48 racks and 864 nodes a hall.

Four levels of power above a rack (utility, the hall's switchgear, a UPS block, the row's busway on that side), two
feeds a rack, and five losses that a hall is designed to survive: its four UPS blocks and its mechanical board, which
feeds one of each row's two CDUs and one of its three air handlers; the rest hang on the row's two UPS blocks. A row of
eight racks draws 1.2 MW when full: 8 x (15 kW + 18 x 7,500 W).
"""

from __future__ import annotations

from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    DomainSpec,
    FacilitySpec,
    Feed,
    Medium,
    NodeSpec,
    NodeType,
    NvlinkScope,
    PowerCap,
    PowerSpec,
    RackSpec,
)

RACK_NODES = 18
PAIRS = ("ab", "ac", "ad", "bc", "bd", "cd")
NODE_TYPE = NodeType(
    name="nvl72",
    resource="nvidia.com/gpu",
    gpus_per_node=4,
    idle_watts=1_000,
    max_watts=7_500,
    liquid_heat_percent=87,
    nvlink_scope=NvlinkScope.OBJECT,
    caps=(PowerCap("MaxP", 7_500), PowerCap("MaxQ", 5_600, 88)),
)


def campus(halls: int) -> FacilitySpec:
    """So many halls under one utility, each row a leaf and each hall a spine."""
    powers = [PowerSpec("utility", halls * 8_000_000, feed_tag="main")]
    racks: list[RackSpec] = []
    coolings: list[CoolingSpec] = []
    for h in range(halls):
        gear = f"h{h}-gear"
        powers.append(PowerSpec(gear, 8_000_000, parents=(Feed("utility"),)))
        powers.append(PowerSpec(f"h{h}-mech", 400_000, parents=(Feed(gear),), survivable=True))
        powers += [
            PowerSpec(
                f"h{h}-ups-{x}",
                2_500_000,
                efficiency_basis_points=9_700,
                parents=(Feed(gear),),
                survivable=True,
            )
            for x in "abcd"
        ]
        for row, pair in enumerate(PAIRS):
            name = f"h{h}-row{row}"
            sides = [f"{name}-{x}" for x in pair]
            powers += [
                PowerSpec(side, 1_250_000, parents=(Feed(f"h{h}-ups-{x}"),))
                for side, x in zip(sides, pair, strict=True)
            ]
            fed = (f"h{h}-ups-{pair[0]}", f"h{h}-mech", f"h{h}-ups-{pair[1]}")
            units = [
                tuple(CoolingUnit(f"{unit}-{i}", watts, drawn, (Feed(fed[i]),)) for i in range(count))
                for unit, watts, drawn, count in (("cdu", 1_300_000, 15_000, 2), ("crah", 110_000, 6_000, 3))
            ]
            coolings.append(CoolingSpec(f"{name}-liquid", Medium.LIQUID, units[0], needed_units=1))
            coolings.append(CoolingSpec(f"{name}-air", Medium.AIR, units[1], needed_units=2))
            racks += [
                RackSpec(
                    f"{name}-r{r}",
                    NODE_TYPE.name,
                    15_000,
                    150_000,
                    tuple(Feed(side, limit_watts=150_000) for side in sides),
                    liquid=f"{name}-liquid",
                    air=f"{name}-air",
                )
                for r in range(8)
            ]
    return FacilitySpec(
        node_types=(NODE_TYPE,),
        racks=tuple(racks),
        powers=tuple(powers),
        coolings=tuple(coolings),
        budgets=(BudgetSpec("contract", (), ("main",), halls * 7_900_000),),
        domains=tuple(DomainSpec(r.name) for r in racks),
        levels=("leaf", "spine"),
    )


def campus_nodes(spec: FacilitySpec) -> list[NodeSpec]:
    """18 nodes in every rack; each rack is one NVLink domain."""
    return [
        NodeSpec(
            f"{r.name}-n{n}",
            r.name,
            r.name,
            (("leaf", r.name.rpartition("-")[0]), ("spine", r.name.partition("-")[0])),
        )
        for r in spec.racks
        for n in range(RACK_NODES)
    ]
