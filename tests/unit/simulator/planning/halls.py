"""A hall of racks of four 10 kW nodes for questions about it, and runs of a few jobs on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.policies import parse_policies
from rackplane.simulator.progress import Rules
from rackplane.simulator.running import Inputs
from rackplane.simulator.simulation import BEGIN
from rackplane.simulator.site import Site, site_of
from rackplane.simulator.traces.reading import Trace

__all__ = ["RACK_WATTS", "bars", "hall", "inputs", "obj"]

RACK_WATTS = 42_000


def obj(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "rackplane.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def hall(feeds: Sequence[str], ups: dict[str, int], *, liquid: int | None = None) -> Site:
    """Racks r1, r2, ..., each on the UPS that its entry has letters of.

    Args:
        ups: rated watts by letter.
        liquid: watts of heat that each of two coolant units takes, of which one is needed; None: no cooling.
    """
    parents = [{"powerDomain": "utility", "weight": 1}]
    objects = [
        obj(
            "HardwareProfile",
            "small",
            gpuModel="Test GPU",
            gpusPerNode=4,
            nvlinkScope="Object",
            idleWatts=1_000,
            maxWatts=10_000,
            liquidHeatPercent=80,
            powerProfiles=[{"name": "MaxQ", "nodeWatts": 7_000, "relativePerformancePercent": 80}],
        ),
        obj("PowerDomain", "utility", type="Utility", ratedWatts=10_000_000),
        *(
            obj("PowerDomain", f"ups-{name}", type="UPS", ratedWatts=watts, survivable=True, parents=parents)
            for name, watts in ups.items()
        ),
        obj("Queue", "research"),
        obj("Queue", "training"),
    ]
    if liquid is not None:
        units = [{"name": name, "capacityWatts": liquid, "drawWatts": 0} for name in ("cdu-1", "cdu-2")]
        objects.append(obj("CoolingZone", "loop", medium="Liquid", neededUnits=1, units=units))
    for number, letters in enumerate(feeds, 1):
        rack = obj(
            "Rack",
            f"r{number}",
            profile="small",
            location={"hall": "h1", "row": letters},
            nodeSelector={"rack": f"r{number}"},
            overheadWatts=2_000,
            limitWatts=RACK_WATTS,
            expectedNodes=4,
            feeds=[{"powerDomain": f"ups-{letter}", "weight": 1} for letter in letters],
        )
        if liquid is not None:
            rack["spec"]["cooling"] = {"liquid": "loop"}
        objects += [rack, obj("NVLinkDomain", f"nvl-{number}", racks=[f"r{number}"])]
    return site_of("hall", objects)


def inputs(site: Site, *jobs: TraceJob, policy: str = "") -> Inputs:
    trace = Trace("jobs.csv", "rackplane", list(jobs), len(jobs), Counter(), [], 0)
    return Inputs(site, trace, list(jobs), Counter(), parse_policies(policy), [], Rules(), None, BEGIN)


@contextmanager
def bars(name: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Nobody looks."""
    yield lambda now, over: None
