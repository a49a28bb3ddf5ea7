"""The hall of the power benchmark: 12 racks of 18 GB300 trays under four UPS in 4N/3, and two liquid loops.

A rack is 13.2 kW and 18 nodes of 1.0 to 6.6 kW, 132 kW in all: the *nameplate* of the hall is 12 x 132 = 1,584 kW.
Six rows of two racks hang on pairs of UPS. Any three UPS carry the hall at its peak of 108 %. In the *unbalanced* hall
the row of pair CD has its cords on AB, as in examples/facilities/4n3-unbalanced: every sum is the same.

Rows 1 to 3 are cooled by one loop, rows 4 to 6 by another, each with just the capacity that its full racks need, in
four units. Losses of conversion and what cooling draws are left out, so that all figures are watts of racks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from rackplane.api.hardware import shipped_profile_texts
from rackplane.simulator.site import Site, site_of

__all__ = ["BALANCED", "NAMEPLATE", "RACK", "UNBALANCED", "UNITS", "objects", "site"]

BALANCED: Final = ("ab", "ac", "ad", "bc", "bd", "cd")
UNBALANCED: Final = ("ab", "ab", "ac", "ad", "bc", "bd")
RACKS_OF_A_ROW: Final = 2
RACK: Final = 132_000
NAMEPLATE: Final = len(BALANCED) * RACKS_OF_A_ROW * RACK
UNITS: Final = 4
_PEAK_PERCENT: Final = 108
_NODES: Final = 18
_OVERHEAD: Final = 13_200
_PROFILE: Final = "gb300-nvl72"
_LIQUID_PERCENT: Final = 87


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": dict(spec),
    }


def objects(rows: tuple[str, ...], budget: int) -> list[dict[str, Any]]:
    """The hall, with a PowerBudget of so many watts on all of it.

    Args:
        rows: the two UPS of each row, by their letters.
    """
    peak = _OVERHEAD + (RACK - _OVERHEAD) * _PEAK_PERCENT // 100
    # Of the balanced hall a survivor carries a third.
    rated = -(-len(BALANCED) * RACKS_OF_A_ROW * peak // 3)
    ups = {
        "type": "UPS",
        "ratedWatts": rated,
        "survivable": True,
        "parents": [{"powerDomain": "utility", "weight": 1}],
    }
    heat = -(-len(BALANCED) // 2 * RACKS_OF_A_ROW * RACK * _LIQUID_PERCENT // 100)
    units = [{"name": f"cdu-{i}", "capacityWatts": -(-heat // UNITS)} for i in range(1, UNITS + 1)]
    found = [
        yaml.safe_load(shipped_profile_texts()[_PROFILE]),
        _object("PowerDomain", "utility", {"type": "Utility", "ratedWatts": 4 * rated}),
        *(_object("PowerDomain", f"ups-{letter}", ups) for letter in "abcd"),
        *(
            _object("CoolingZone", f"loop-{i}", {"medium": "Liquid", "neededUnits": UNITS, "units": units})
            for i in (1, 2)
        ),
        _object("PowerBudget", "contract", {"targets": {"powerDomains": ["utility"]}, "limitWatts": budget}),
        _object("Queue", "research", {}),
    ]
    for number, pair in enumerate(rows, 1):
        for position in range(1, RACKS_OF_A_ROW + 1):
            name = f"row{number}-{position}"
            spec = {
                "location": {"hall": "h1", "row": f"row{number}"},
                "profile": _PROFILE,
                "nodeSelector": {"rack": name},
                "expectedNodes": _NODES,
                "overheadWatts": _OVERHEAD,
                "limitWatts": RACK,
                "peakLimitWatts": peak,
                "feeds": [{"powerDomain": f"ups-{letter}", "weight": 1} for letter in pair],
                "cooling": {"liquid": "loop-1" if number <= len(rows) // 2 else "loop-2"},
            }
            found.append(_object("Rack", name, spec))
            found.append(_object("NVLinkDomain", f"nvl-{name}", {"racks": [name]}))
    return found


def site(rows: tuple[str, ...], budget: int) -> Site:
    return site_of("hall", objects(rows, budget))
