"""The numbers in the status of the facility's objects, by kind.

Every field of a kind is always there, None where it does not apply: a merge patch takes away only what it names, and
figures of the time when an object was valid would read as if they were of now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rackplane.api.base import MAX_WATTS, kilowatts
from rackplane.api.figures import SHOWN, LimitKind
from rackplane.api.rack import Rack
from rackplane.core.site.draining import drain_figures
from rackplane.core.site.observed import OBSERVED_FIELDS
from rackplane.core.world import World
from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.engine.reporting.reports import (
    CoolingReport,
    FacilityReport,
    OwnLoss,
    PowerReport,
    RackReport,
    WorstCase,
)
from rackplane.engine.reporting.stranded import NOTHING, Stranded, Stranding, Unfed

__all__ = ["OF_OTHERS", "figures", "worst_contingency"]

#: Fields that change with what other objects carry, or by themselves, not only with what this one does.
OF_OTHERS: Final = frozenset(
    {
        *("headroomWatts", "headroomKilowatts", "worstContingency", "worstKilowatts", "ownLoss"),
        *("sharePermille", "usageHistory"),
        *("strandedWatts", "strandedKilowatts", "stranded", "unfedNodes", "unfedWatts", "unfed"),
        *OBSERVED_FIELDS,
    }
)

LIMIT_KINDS: Final = {
    RowKind.POWER_NOMINAL: LimitKind.CONTINUOUS_RATING,
    RowKind.POWER_PEAK: LimitKind.PEAK_LIMIT,
    RowKind.BUDGET: LimitKind.BUDGET,
    RowKind.RACK_NOMINAL: LimitKind.RACK_LIMIT,
    RowKind.RACK_PEAK: LimitKind.RACK_PEAK_LIMIT,
    RowKind.FEED: LimitKind.FEED_LIMIT,
    RowKind.LIQUID: LimitKind.LIQUID_COOLING,
    RowKind.AIR: LimitKind.AIR_COOLING,
}


def figures(world: World, report: FacilityReport, stranded: Stranded, kind: str, name: str) -> dict[str, Any]:
    """The numbers of one object; None for each that is not known, because the object is not valid."""
    match kind:
        case "Rack":
            return {
                **_rack(world, report.racks.get(name), stranded.racks.get(name, NOTHING)),
                **drain_figures(world.draining.drains.get((kind, name))),
            }
        case "PowerDomain":
            return _power(report.powers.get(name), stranded.powers.get(name, NOTHING))
        case "CoolingZone":
            return _cooling(report.coolings.get(name), stranded.coolings.get(name, NOTHING))
        case "NVLinkDomain":
            domain = report.domains.get(name)
            return {
                "nodes": domain.nodes if domain else 0,
                "freeNodes": domain.free_nodes if domain else 0,
                "gpus": domain.gpus if domain else 0,
                **drain_figures(world.draining.drains.get((kind, name))),
            }
    return {}


_NO_FEEDING: Final[Mapping[str, Any]] = dict.fromkeys(
    ("headroomWatts", "headroomKilowatts", "worstContingency", "unfedNodes", "unfedWatts", "unfed")
)
_NO_RACK: Final[Mapping[str, Any]] = {
    **dict.fromkeys(
        ("nodes", "missingNodes", "gpus", "freeGpus", "reservedNominalWatts", "reservedPeakWatts")
    ),
    **dict.fromkeys(("limitKilowatts", "reservedKilowatts")),
    **_NO_FEEDING,
}
_NO_ELEMENT: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("usableWatts", "usableKilowatts", "worstKilowatts")),
    **dict.fromkeys(("strandedWatts", "strandedKilowatts", "stranded")),
    **_NO_FEEDING,
}
_NO_POWER: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("reservedNominalWatts", "reservedPeakWatts", "reservedKilowatts", "peakKilowatts")),
    **dict.fromkeys(("runningModules", "ownLoss")),
    **_NO_ELEMENT,
}
_NO_COOLING: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("heatWatts", "heatKilowatts", "runningUnits")),
    **_NO_ELEMENT,
}


def _rack(world: World, rack: RackReport | None, left: Stranding) -> dict[str, Any]:
    if rack is None:
        return dict(_NO_RACK)
    spec = world.catalog.get(Rack, rack.name)
    expected = None if spec is None else spec.spec.expected_nodes
    return {
        "nodes": rack.nodes,
        "missingNodes": None if expected is None else max(0, expected - rack.nodes),
        "gpus": rack.gpus,
        "freeGpus": rack.free_gpus,
        "reservedNominalWatts": rack.nominal_watts,
        "reservedPeakWatts": rack.peak_watts,
        "limitKilowatts": kilowatts(rack.limit_watts),
        "reservedKilowatts": kilowatts(rack.nominal_watts),
        **_bounded(rack.headroom_watts, rack.worst),
        **_unfed(left),
    }


def _power(power: PowerReport | None, left: Stranding) -> dict[str, Any]:
    if power is None:
        return dict(_NO_POWER)
    return {
        "reservedNominalWatts": power.nominal_watts,
        "reservedPeakWatts": power.peak_watts,
        "reservedKilowatts": kilowatts(power.nominal_watts),
        "peakKilowatts": kilowatts(power.peak_watts),
        "runningModules": None if power.modules is None else power.modules.running,
        "ownLoss": None if power.own_loss is None else _own_loss(power.own_loss),
        **_element(power, left),
    }


def _cooling(zone: CoolingReport | None, left: Stranding) -> dict[str, Any]:
    if zone is None:
        return dict(_NO_COOLING)
    return {
        "heatWatts": zone.heat_watts,
        "heatKilowatts": kilowatts(zone.heat_watts),
        "runningUnits": zone.units.running,
        **_element(zone, left),
    }


def _element(report: PowerReport | CoolingReport, left: Stranding) -> dict[str, Any]:
    return {
        "usableWatts": report.usable_watts,
        "usableKilowatts": kilowatts(report.usable_watts),
        "worstKilowatts": kilowatts(report.worst.headroom_watts),
        "strandedWatts": left.watts,
        "strandedKilowatts": kilowatts(left.watts),
        "stranded": [{"cause": cause.value, "watts": watts} for cause, watts in left.headroom.items()],
        **_bounded(report.headroom_watts, report.worst),
        **_unfed(left),
    }


def _bounded(headroom_watts: int, worst: WorstCase | None) -> dict[str, Any]:
    watts = _within(headroom_watts)
    return {
        "headroomWatts": watts,
        "headroomKilowatts": kilowatts(watts),
        "worstContingency": None if worst is None else worst_contingency(worst),
    }


def worst_contingency(worst: WorstCase) -> dict[str, Any]:
    """status.worstContingency."""
    return {
        "loss": worst.loss.lost,
        "kind": LIMIT_KINDS[worst.row.kind].value,
        "element": _element_of(worst.row),
        "loadWatts": _within(worst.load_watts),
        "limitWatts": worst.limit_watts,
        "headroomWatts": _within(worst.headroom_watts),
    }


def _within(watts: int) -> int:
    """What the API takes: a rack that gives a millionth of its draw to a feed may owe that feed more than there is."""
    return max(-MAX_WATTS, min(MAX_WATTS, watts))


def _element_of(row: LimitRow) -> str:
    # A rack's own name says nothing in its own status, and nobody else is bound by its feeds.
    return row.detail if row.kind is RowKind.FEED else row.element


def _unfed(left: Stranding) -> dict[str, Any]:
    return {
        "unfedNodes": left.nodes,
        "unfedWatts": sum(u.watts for u in left.unfed),
        "unfed": [_unfed_nodes(u) for u in left.unfed[:SHOWN]],
    }


def _unfed_nodes(unfed: Unfed) -> dict[str, Any]:
    return {
        "cause": unfed.cause.value,
        "element": _element_of(unfed.row),
        "loss": unfed.loss.lost,
        "nodes": unfed.nodes,
        "watts": unfed.watts,
    }


def _own_loss(loss: OwnLoss) -> dict[str, Any]:
    return {
        "withinLimits": loss.within_limits,
        "worst": None if loss.worst is None else worst_contingency(loss.worst),
        "racksSwitchedOff": len(loss.switched_off),
        "racks": _first(loss.switched_off),
        "zonesReduced": len(loss.cooling_lost),
        "zones": _first(loss.cooling_lost),
        "secondTo": _first(loss.second_to),
    }


def _first(names: Sequence[str]) -> list[str]:
    return list(names[:SHOWN])
