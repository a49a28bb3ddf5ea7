"""The hall of the chaos test: four UPSs of which one may be lost, four pumps of which one may be lost, twelve racks.

A rack idles at 8 kW (2 kW of its own and six nodes of 1 kW) and takes 32 kW in full at MaxP, 20 kW at MaxQ. Twelve
make 384 kW; each pair of UPSs feeds two racks. A UPS carries 95 kW, which is what it has after the loss of another when
all draw 285 kW: that is what admissions meet first, so the hall is full of watts before it is full of gangs, and too
much for what is left when a second element goes.
"""

from __future__ import annotations

from typing import Any

from tests.support.harness import feed, node, thing

__all__ = ["ACTUATION_SECONDS", "EMERGENCY_SECONDS", "GPUS", "NODES", "PUMPS", "RACKS", "UPSES", "hall"]

UPSES = ("ups-a", "ups-b", "ups-c", "ups-d")
PUMPS = ("cdu-a", "cdu-b", "cdu-c", "cdu-d")
PAIRS = ("ab", "ac", "ad", "bc", "bd", "cd")
RACKS = tuple(f"r-{pair}-{i}" for pair in PAIRS for i in (1, 2))
NODES = {f"{rack}-n{i}": rack for rack in RACKS for i in range(6)}
GPUS = 4
EMERGENCY_SECONDS = 20
"""For so long a UPS stands half as much again as it is rated for, and a cooling loop rides through."""
ACTUATION_SECONDS = 5


def hall() -> list[dict[str, Any]]:
    """Everything but jobs."""
    profile = {"name": "MaxQ", "nodeWatts": 3_000, "relativePerformancePercent": 70}
    made = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rackplane-system"}},
        thing(
            "HardwareProfile", "small", gpuModel="Test", gpusPerNode=GPUS, nvlinkScope="Label", idleWatts=1_000,
            maxWatts=5_000, liquidHeatPercent=80, powerProfiles=[profile],
        ),
        thing("Queue", "research"),
        thing("PowerDomain", "utility", type="Utility", ratedWatts=500_000),
    ]  # fmt: skip
    emergency = {"percent": 150, "seconds": EMERGENCY_SECONDS}
    made += [
        thing(
            "PowerDomain", ups, type="UPS", ratedWatts=95_000, survivable=True, parents=[feed("utility")],
            emergency=emergency,
        )
        for ups in UPSES
    ]  # fmt: skip
    pumps = [
        {"name": pump, "capacityWatts": 80_000, "drawWatts": 500, "feeds": [feed(ups)]}
        for pump, ups in zip(PUMPS, UPSES, strict=True)
    ]
    made.append(
        thing(
            "CoolingZone", "liquid", medium="Liquid", units=pumps, neededUnits=3,
            rideThroughSeconds=EMERGENCY_SECONDS,
        )
    )  # fmt: skip
    made.append(
        thing(
            "CoolingZone",
            "air",
            medium="Air",
            units=[{"name": "crah", "capacityWatts": 100_000}],
            neededUnits=1,
        )
    )
    for rack in RACKS:
        pair = rack.split("-")[1]
        made.append(
            thing(
                "Rack", rack, profile="small", nodeSelector={"rackplane.dev/rack": rack}, overheadWatts=2_000,
                limitWatts=32_000, feeds=[feed(f"ups-{letter}") for letter in pair],
                location={"site": "s", "hall": "h", "row": pair, "position": rack[-1]},
                cooling={"liquid": "liquid", "air": "air"},
            )
        )  # fmt: skip
        path = [{"level": "leaf", "name": f"leaf-{pair}"}, {"level": "spine", "name": "spine"}]
        made.append(thing("NVLinkDomain", f"nvl-{rack}", racks=[rack], fabricPath=path))
    made.extend(node(name, rack) for name, rack in NODES.items())
    return made
