"""Configuration errors: found here, said in plain words, and turned into "no capacity" by the compiler.

An object with an error, and all that depends on it through a feed, a parent or a reference, is unusable.  Never is
an error read as "no limit".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rackplane.engine.model import (
    CoolingSpec,
    FacilitySpec,
    Medium,
    NodeType,
    PowerSpec,
    RackSpec,
)
from rackplane.engine.physics.supplies import Findings, check_budgets, check_powers, check_zones, feed_errors

__all__ = ["Findings", "check"]


def check(spec: FacilitySpec) -> Findings:
    """Examine the whole facility.  Never raises."""
    found = Findings()
    types = {t.name: t for t in spec.node_types}
    powers = {p.name: p for p in spec.powers}
    zones = {z.name: z for z in spec.coolings}
    found.bad_types |= _duplicates(found, "HardwareProfile", [t.name for t in spec.node_types])
    found.bad_powers |= _duplicates(found, "PowerDomain", [p.name for p in spec.powers])
    found.bad_zones |= _duplicates(found, "CoolingZone", [z.name for z in spec.coolings])
    _duplicates(found, "PowerBudget", [b.name for b in spec.budgets])
    _duplicates(found, "NVLinkDomain", [d.name for d in spec.domains])
    for name in _duplicates(found, "Rack", [r.name for r in spec.racks]):
        found.bad_racks[name] = "more than one Rack has this name"
    _check_levels(found, (*spec.inner_levels, *spec.levels))
    for node_type in spec.node_types:
        _check_type(found, node_type)
    check_powers(found, powers)
    check_zones(found, zones, powers)
    check_budgets(found, spec, powers)
    for domain in spec.domains:
        if domain.spare_nodes < 0:
            found.add(
                "NVLinkDomain",
                domain.name,
                "spec.spareNodes",
                "spareNodes is negative",
                "set it to 0 or more",
            )
    for rack in spec.racks:
        _check_rack(found, rack, types=types, powers=powers, zones=zones)
    return found


def _duplicates(found: Findings, kind: str, names: Iterable[str]) -> set[str]:
    twice = {name for name, count in Counter(names).items() if count > 1}
    for name in sorted(twice):
        found.add(
            kind,
            name,
            "metadata.name",
            f"more than one {kind} is named {name}",
            "rename or delete all but one",
        )
    return twice


def _check_levels(found: Findings, levels: Sequence[str]) -> None:
    for name, count in Counter(levels).items():
        if count > 1 or name == "nvlink":
            found.add(
                "Facility",
                name,
                "levels",
                f"fabric level {name} is listed twice or reserved",
                "list each once",
            )


def _check_type(found: Findings, t: NodeType) -> None:
    def bad(where: str, message: str, remedy: str) -> None:
        found.bad_types.add(t.name)
        found.add("HardwareProfile", t.name, where, message, remedy)

    if t.gpus_per_node < 0:
        bad("spec.gpusPerNode", "gpusPerNode is negative", "set it to 0 or more")
    if t.idle_watts < 0:
        bad("spec.idleWatts", "idleWatts is negative", "set the watts an idle node draws")
    if t.max_watts < max(1, t.idle_watts):
        bad("spec.maxWatts", "maxWatts is missing or below idleWatts", "set the watts a node draws at most")
    if not 0 <= t.typical_utilization_percent <= 100:
        bad(
            "spec.typicalUtilizationPercent",
            "typicalUtilizationPercent is not within 0 to 100",
            "set 0 to 100",
        )
    if t.peak_percent < 100:
        bad("spec.peakPercent", "peakPercent is below 100: a peak below the cap", "set it to 100 or more")
    if not 0 <= t.liquid_heat_percent <= 100:
        bad("spec.liquidHeatPercent", "liquidHeatPercent is not within 0 to 100", "set 0 to 100")
    for name, count in Counter(c.name for c in t.caps).items():
        if count > 1:
            bad("spec.powerProfiles", f"power profile {name} is listed twice", "keep one of them")
    for cap in t.caps:
        if not t.idle_watts <= cap.node_watts <= t.max_watts:
            bad(
                "spec.powerProfiles",
                f"power profile {cap.name} has nodeWatts {cap.node_watts}, outside "
                f"idleWatts {t.idle_watts} to maxWatts {t.max_watts}",
                "set nodeWatts between idleWatts and maxWatts",
            )


def _check_rack(
    found: Findings,
    rack: RackSpec,
    *,
    types: Mapping[str, NodeType],
    powers: Mapping[str, PowerSpec],
    zones: Mapping[str, CoolingSpec],
) -> None:
    def bad(where: str, message: str, remedy: str) -> None:
        found.bad_racks.setdefault(rack.name, message)
        found.add("Rack", rack.name, where, message, remedy)

    if rack.node_type not in types:
        bad(
            "spec.profile",
            f"hardware profile {rack.node_type} does not exist",
            f"create HardwareProfile {rack.node_type} or correct the name",
        )
    elif rack.node_type in found.bad_types:
        bad(
            "spec.profile",
            f"hardware profile {rack.node_type} is not usable",
            f"correct HardwareProfile {rack.node_type}",
        )
    if rack.limit_watts < 1:
        bad(
            "spec.limitWatts",
            f"limitWatts is {rack.limit_watts}",
            "set what the rack may draw, in watts",
        )
    if rack.peak_limit_watts is not None and rack.peak_limit_watts < 1:
        bad(
            "spec.peakLimitWatts",
            f"peakLimitWatts is {rack.peak_limit_watts}",
            "set what the rack may draw at peak, in watts, or leave it out",
        )
    if rack.overhead_watts < 0:
        bad("spec.overheadWatts", "overheadWatts is negative", "set it to 0 or more")
    if not rack.feeds:
        bad("spec.feeds", "the rack has no feeds", "name at least one power domain that feeds it")
    for message, remedy in feed_errors(rack.feeds, powers):
        bad("spec.feeds", message, remedy)
    for feed in rack.feeds:
        if feed.power in powers and feed.power in found.bad_powers:
            bad("spec.feeds", f"power domain {feed.power} is not usable", f"correct PowerDomain {feed.power}")
    for where, name, medium in (("liquid", rack.liquid, Medium.LIQUID), ("air", rack.air, Medium.AIR)):
        if name is None:
            continue
        if name not in zones:
            bad(f"spec.cooling.{where}", f"cooling zone {name} does not exist", f"create CoolingZone {name}")
        elif name in found.bad_zones:
            bad(f"spec.cooling.{where}", f"cooling zone {name} is not usable", f"correct CoolingZone {name}")
        elif zones[name].medium != medium:
            bad(
                f"spec.cooling.{where}",
                f"cooling zone {name} is not {where}",
                f"name a zone of medium {medium}",
            )
