"""Configuration errors: found here, said in plain words, and turned into "no capacity" by the compiler.

An object with an error, and all that depends on it through a feed, a parent or a reference, is unusable.  Never is
an error read as "no limit".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rackplane.engine.model import (
    CoolingSpec,
    FacilitySpec,
    Feed,
    Medium,
    NodeType,
    PowerSpec,
    Problem,
    RackSpec,
)
from rackplane.engine.physics.power import topological_order


@dataclass(slots=True)
class Findings:
    """Problems, and the objects of each kind that are unusable (their own error, or one they depend on)."""

    problems: list[Problem] = field(default_factory=list)
    bad_types: set[str] = field(default_factory=set)
    bad_powers: set[str] = field(default_factory=set)
    bad_zones: set[str] = field(default_factory=set)
    bad_units: set[tuple[str, str]] = field(default_factory=set)
    bad_racks: dict[str, str] = field(default_factory=dict)
    power_order: list[str] = field(default_factory=list)

    def add(self, kind: str, name: str, where: str, message: str, remedy: str) -> None:
        """Record one problem."""
        self.problems.append(Problem(kind, name, where, message, remedy))


def node_claimed_twice(node: str, racks: Sequence[str]) -> Problem:
    """Two racks' selectors match one node: its draw would count in neither or both, so it belongs to none."""
    names = ", ".join(sorted(racks))
    return Problem(
        "Rack",
        sorted(racks)[0] if racks else "",
        "spec.nodeSelector",
        f"node {node} is claimed by more than one rack: {names}; it is not used for placement",
        "make the selectors disjoint, so that every node matches one rack",
    )


def node_without_rack(node: str) -> Problem:
    """A GPU node that no rack's selector matches."""
    return Problem(
        "Node",
        node,
        "metadata.labels",
        f"node {node} belongs to no rack, so its power is not known; it is not used for placement",
        "label the node so that one rack's nodeSelector matches it, or add a Rack",
    )


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
    _check_powers(found, powers)
    _check_zones(found, zones, powers)
    _check_budgets(found, spec, powers)
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


def _feed_errors(feeds: Sequence[Feed], powers: Mapping[str, PowerSpec]) -> Iterable[tuple[str, str]]:
    for feed in feeds:
        if feed.power not in powers:
            yield (
                f"power domain {feed.power} does not exist",
                f"create PowerDomain {feed.power} or correct the name",
            )
        if feed.weight < 1:
            yield (
                f"the feed from {feed.power} has weight {feed.weight}",
                "give every feed a weight of 1 or more",
            )
        if feed.limit_watts is not None and feed.limit_watts < 0:
            yield (
                f"the feed from {feed.power} has a negative limitWatts",
                "set it to 0 or more, or leave it out",
            )


def _check_powers(found: Findings, powers: Mapping[str, PowerSpec]) -> None:
    order, cyclic = topological_order(powers)
    found.power_order = order
    for p in powers.values():
        errors: list[tuple[str, str, str]] = []
        if p.rated_watts < 1:
            errors.append(
                ("spec.ratedWatts", f"ratedWatts is {p.rated_watts}", "set the rating in watts, 1 or more")
            )
        if not 1 <= p.continuous_percent <= 100:
            errors.append(
                ("spec.continuousPercent", "continuousPercent is not within 1 to 100", "set 1 to 100")
            )
        if p.peak_limit_watts is not None and p.peak_limit_watts < 0:
            errors.append(("spec.peakLimitWatts", "peakLimitWatts is negative", "set it, or leave it out"))
        if p.base_load_watts < 0:
            errors.append(("spec.baseLoadWatts", "baseLoadWatts is negative", "set it to 0 or more"))
        if not 1 <= p.efficiency_basis_points <= 10_000:
            errors.append(
                ("spec.efficiencyBasisPoints", "efficiency is not within 1 to 10000", "set 1 to 10000")
            )
        if p.modules is not None and (
            p.modules.installed < 1
            or not 1 <= p.modules.needed <= p.modules.installed
            or p.modules.module_watts < 1
            or (p.modules.online is not None and p.modules.online < 0)
        ):
            errors.append(
                (
                    "spec.redundancy",
                    "redundancy needs 1 <= needed <= installed, moduleWatts of 1 or more, online of 0 or more",
                    "correct the module counts and watts",
                )
            )
        errors.extend(
            ("spec.parents", message, remedy) for message, remedy in _feed_errors(p.parents, powers)
        )
        for where, message, remedy in errors:
            found.bad_powers.add(p.name)
            found.add("PowerDomain", p.name, where, message, remedy)
    looping = _on_cycle(cyclic, {n: [f.power for f in powers[n].parents] for n in cyclic})
    for name in sorted(looping):
        found.add(
            "PowerDomain",
            name,
            "spec.parents",
            f"{name} feeds itself through its parents (a cycle)",
            "remove one of the parents on the cycle",
        )
    for name in sorted(cyclic - looping - found.bad_powers):
        above = next(f.power for f in powers[name].parents if f.power in cyclic)
        _depends(found, "PowerDomain", name, "spec.parents", f"power domain {above}")
    found.bad_powers |= cyclic
    for name in order:
        broken = [f.power for f in powers[name].parents if f.power in found.bad_powers]
        if broken and name not in found.bad_powers:
            found.bad_powers.add(name)
            _depends(found, "PowerDomain", name, "spec.parents", f"power domain {broken[0]}")


def _check_zones(found: Findings, zones: Mapping[str, CoolingSpec], powers: Mapping[str, PowerSpec]) -> None:
    for z in zones.values():
        errors: list[tuple[str, str, str]] = []
        if not z.units:
            errors.append(
                ("spec.units", "the zone has no cooling units", "list its units with their capacityWatts")
            )
        if z.needed_units < 1:
            errors.append(("spec.neededUnits", "neededUnits is below 1", "set how many units must run"))
        if not 0 <= z.derating_percent <= 100:
            errors.append(
                ("spec.deratingCurve", "the derating is not within 0 to 100 percent", "correct the curve")
            )
        for parent in z.parents:
            if parent not in zones:
                errors.append(
                    ("spec.parents", f"cooling zone {parent} does not exist", f"create CoolingZone {parent}")
                )
            elif zones[parent].medium != z.medium:
                errors.append(
                    ("spec.parents", f"parent {parent} carries another medium", "name a zone of this medium")
                )
        for name, count in Counter(u.name for u in z.units).items():
            if count > 1:
                errors.append(("spec.units", f"unit {name} is listed twice", "rename one of them"))
        for where, message, remedy in errors:
            found.bad_zones.add(z.name)
            found.add("CoolingZone", z.name, where, message, remedy)
        for unit in z.units:
            unit_errors = list(_feed_errors(unit.feeds, powers))
            if unit.capacity_watts < 0 or unit.draw_watts < 0:
                unit_errors.append(("capacityWatts or drawWatts is negative", "set them to 0 or more"))
            unit_errors.extend(
                (f"power domain {f.power} is not usable", f"correct PowerDomain {f.power}")
                for f in unit.feeds
                if f.power in found.bad_powers and f.power in powers
            )
            for message, remedy in unit_errors:
                found.bad_units.add((z.name, unit.name))
                found.add("CoolingZone", z.name, "spec.units", f"unit {unit.name}: {message}", remedy)
    parents = {z.name: [p for p in z.parents if p in zones] for z in zones.values()}
    for name in sorted(_on_cycle(set(zones), parents)):
        found.bad_zones.add(name)
        found.add(
            "CoolingZone", name, "spec.parents", f"{name} is its own ancestor (a cycle)", "remove a parent"
        )
    changed = True
    while changed:
        changed = False
        for z in zones.values():
            broken = [p for p in z.parents if p in found.bad_zones]
            if broken and z.name not in found.bad_zones:
                found.bad_zones.add(z.name)
                _depends(found, "CoolingZone", z.name, "spec.parents", f"cooling zone {broken[0]}")
                changed = True


def _check_budgets(found: Findings, spec: FacilitySpec, powers: Mapping[str, PowerSpec]) -> None:
    tags = {p.feed_tag for p in spec.powers if p.feed_tag is not None}
    for budget in spec.budgets:
        if budget.limit_watts < 0:
            found.add(
                "PowerBudget", budget.name, "spec.limitWatts", "limitWatts is negative", "set 0 or more"
            )
        for name in budget.powers:
            if name not in powers:
                found.add(
                    "PowerBudget",
                    budget.name,
                    "spec.targets.powerDomains",
                    f"power domain {name} does not exist",
                    f"create PowerDomain {name} or correct the name",
                )
        for tag in budget.feed_tags:
            if tag not in tags:
                found.add(
                    "PowerBudget",
                    budget.name,
                    "spec.targets.feedTags",
                    f"no power domain has the feed tag {tag}",
                    "set feedTag on a PowerDomain or correct the tag",
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
    for message, remedy in _feed_errors(rack.feeds, powers):
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


def _depends(found: Findings, kind: str, name: str, where: str, on: str) -> None:
    found.add(kind, name, where, f"it depends on {on}, which is not usable", f"correct {on}")


def _on_cycle(names: Iterable[str], parents: Mapping[str, Sequence[str]]) -> set[str]:
    """Those that can reach themselves (not those merely below a cycle)."""
    result: set[str] = set()
    for start in names:
        seen: set[str] = set()
        stack = list(parents.get(start, ()))
        while stack:
            name = stack.pop()
            if name == start:
                result.add(start)
                break
            if name in seen:
                continue
            seen.add(name)
            stack.extend(parents.get(name, ()))
    return result
