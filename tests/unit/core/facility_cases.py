"""A facility of two racks behind one UPS, and the pieces the catalog's tests change in it."""

from __future__ import annotations

from typing import Any

from rackplane.core.objects import Metadata, Node, NodeStatus, State
from rackplane.core.site.facility import Catalog
from rackplane.engine.model import (
    Feed,
    RackSpec,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.facility import Facility

NOW = 1_800_000_000.0

PROFILE: dict[str, Any] = {
    "gpuModel": "NVIDIA GB300",
    "gpusPerNode": 4,
    "nvlinkScope": "Label",
    "idleWatts": 1000,
    "maxWatts": 6600,
    "peakPercent": 108,
    "liquidHeatPercent": 87,
    "powerProfiles": [{"name": "MaxQ", "nodeWatts": 4800, "relativePerformancePercent": 80}],
}
POWER: dict[str, Any] = {"type": "UPS", "ratedWatts": 500_000}
ZONE: dict[str, Any] = {
    "medium": "Liquid",
    "units": [{"name": "cdu-1", "capacityWatts": 400_000}],
    "neededUnits": 1,
}


def rack(name: str, **changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "location": {"site": "s1", "hall": "h1"},
        "profile": "gb300",
        "nodeSelector": {"rack": name},
        "overheadWatts": 13_200,
        "limitWatts": 142_000,
        "feeds": [{"powerDomain": "ups", "weight": 1}],
        "cooling": {"liquid": "cdu"},
    }
    return {key: value for key, value in {**spec, **changes}.items() if value is not None}


def put(catalog: Catalog, kind: str, name: str, spec: object, **rest: Any) -> bool:
    return catalog.put(kind, name, {"metadata": {"name": name, "generation": 1}, "spec": spec, **rest})


def made_anew(catalog: Catalog, kind: str, name: str, spec: object) -> None:
    """As if it had never been otherwise: what it said before is not known, as after a restart."""
    catalog.drop(kind, name)
    put(catalog, kind, name, spec)


def facility_of_two_racks() -> Catalog:
    catalog = Catalog()
    put(catalog, "HardwareProfile", "gb300", PROFILE)
    put(catalog, "PowerDomain", "ups", POWER)
    put(catalog, "CoolingZone", "cdu", ZONE)
    put(catalog, "Rack", "r1", rack("r1"))
    put(catalog, "Rack", "r2", rack("r2"))
    return catalog


def compiled(catalog: Catalog, now: float = NOW) -> Facility:
    return compile_facility(catalog.spec(now))


def node(name: str, *, gpus: str = "4", ready: str = "True", **labels: str) -> Node:
    return Node(
        Metadata(name=name, labels={key.replace("__", "."): value for key, value in labels.items()}),
        status=NodeStatus(
            allocatable={"nvidia.com/gpu": gpus, "cpu": "64"},
            conditions=[State(type="Ready", status=ready)],
        ),
    )


def labelled(name: str, labels: dict[str, str]) -> Node:
    return Node(
        Metadata(name=name, labels=labels),
        status=NodeStatus(conditions=[State(type="Ready", status="True")]),
    )


PLACE = (("hall", "h1"), ("site", "s1"))
CLIQUE = "nvidia.com/gpu.clique"


def rack_spec(name: str) -> RackSpec:
    return RackSpec(name, "gb300", 13_200, 142_000, (Feed("ups"),), liquid="cdu")


def budget(**changes: Any) -> Catalog:
    catalog = facility_of_two_racks()
    put(catalog, "PowerDomain", "ups", {**POWER, "feedTag": "a"})
    put(
        catalog,
        "PowerBudget",
        "pb",
        {"targets": {"powerDomains": ["ups"], "feedTags": ["a"]}, "limitWatts": 9, **changes},
    )
    return catalog
