"""What feeds and cools, and what limits both by decree: errors of PowerDomains, CoolingZones and PowerBudgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rackplane.engine.model import CoolingSpec, FacilitySpec, Feed, PowerSpec, Problem
from rackplane.engine.physics.power import topological_order

__all__ = ["Findings", "check_budgets", "check_powers", "check_zones", "feed_errors"]


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


def feed_errors(feeds: Sequence[Feed], powers: Mapping[str, PowerSpec]) -> Iterable[tuple[str, str]]:
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


def check_powers(found: Findings, powers: Mapping[str, PowerSpec]) -> None:
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
        errors.extend(("spec.parents", message, remedy) for message, remedy in feed_errors(p.parents, powers))
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


def check_zones(found: Findings, zones: Mapping[str, CoolingSpec], powers: Mapping[str, PowerSpec]) -> None:
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
            unit_errors = list(feed_errors(unit.feeds, powers))
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


def check_budgets(found: Findings, spec: FacilitySpec, powers: Mapping[str, PowerSpec]) -> None:
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
