"""The shape of a facility: what feeds, cools and backs up what, apart from any load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rackplane.engine.model import CoolingSpec, Feed, Medium
from rackplane.engine.physics import cooling
from rackplane.engine.physics.facility import Facility
from rackplane.engine.planning.findings import Finding, Severity, named

_LEAST_EFFICIENCY = 5_000
"""Basis points: no element of a power path loses half; 97 or 98 was meant as a percentage."""
_ODD_RATIO = 10
"""Weights that differ by so much are more likely a slip than a design."""


def findings(facility: Facility, nodes: Mapping[str, int]) -> Iterator[Finding]:
    """All of them, in no order of severity; see :func:`engine.planning.lint.lint` for ``nodes``."""
    yield from _unreachable(facility)
    yield from _dropped(facility)
    yield from _uncooled(facility)
    yield from _zones(facility)
    yield from _unused(facility)
    yield from _odd(facility)
    for rack in facility.racks:
        if rack.name not in nodes and facility.rack_types[facility.rack_index[rack.name]] is not None:
            yield Finding(
                Severity.INFO,
                "no-expected-nodes",
                "Rack",
                (rack.name,),
                "spec.expectedNodes",
                "expectedNodes is not set and there are no nodes to count, so it cannot be judged idle or full: loads "
                "count only what it draws without nodes",
                "set how many nodes the rack is built for",
            )


def above(facility: Facility, name: str) -> set[str]:
    """All that is above the element, by every role."""
    return _upwards(facility, [feed.power for feed in facility.powers[name].parents])


def line_of(facility: Facility, name: str) -> set[str]:
    """The element with all that is above it and below it, by every role."""
    return _upwards(facility, [name]) | {p for p in facility.powers if name in _upwards(facility, [p])}


def _upwards(facility: Facility, names: Sequence[str]) -> set[str]:
    seen: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in seen and name in facility.powers:
            seen.add(name)
            stack.extend(f.power for f in facility.powers[name].parents)
    return seen


def _unreachable(f: Facility) -> Iterator[Finding]:
    wrong = {p.name for p in f.problems if p.kind == "Rack"}
    for rack in f.racks:
        if rack.name in wrong or any(feed.power in f.live for feed in rack.feeds):
            continue
        above = sorted(_upwards(f, [feed.power for feed in rack.feeds]))
        out = [name for name in above if not f.powers[name].online]
        why = f": {named(out)} out of service" if out else ""
        yield Finding(
            Severity.ERROR,
            "unreachable",
            "Rack",
            (rack.name,),
            "spec.feeds",
            f"no live feed reaches it{why}; nothing can be placed there",
            f"bring {named(out)} back, or add a feed" if out else "correct what feeds it, or add a feed",
        )


def _dropped(f: Facility) -> Iterator[Finding]:
    by_loss: dict[int, list[str]] = {}
    for name, lost in f.dropped.items():
        for c in lost:
            by_loss.setdefault(c, []).append(name)
    for c, racks in sorted(by_loss.items()):
        element = f.contingencies[c].lost
        out = f.second_loss.get(c, ())
        single = [r for r in racks if len(f.racks[f.rack_index[r]].feeds) == 1]
        remedy = f"give them a feed that does not depend on {element}, or set survivable: false"
        if out:
            why = f"{named(out)} that would take over {'is' if len(out) == 1 else 'are'} out of service"
            remedy = f"bring {named(out)} back"
        elif len(single) == len(racks):
            why = "none of them has another feed" if len(racks) > 1 else "it has no other feed"
        else:
            why = f"all that feeds them hangs on {element}"
        yield Finding(
            Severity.WARNING,
            "drops-racks",
            "PowerDomain",
            (element,),
            "spec.survivable",
            f"it is survivable, but its loss leaves {len(racks):,} rack{'s' * (len(racks) != 1)} without power "
            f"({named(racks)}): {why}",
            remedy,
        )


def _uncooled(f: Facility) -> Iterator[Finding]:
    without: dict[Medium, list[str]] = {Medium.LIQUID: [], Medium.AIR: []}
    for rack, t in zip(f.racks, f.rack_types, strict=True):
        if t is not None and rack.liquid is None and t.liquid_heat_percent:
            without[Medium.LIQUID].append(rack.name)
        if t is not None and rack.air is None and t.liquid_heat_percent < 100:
            without[Medium.AIR].append(rack.name)
    known = {zone.medium for zone in f.coolings.values()}
    unlimited = [medium for medium, racks in without.items() if racks and medium not in known]
    if unlimited:
        media = " and ".join(medium.value.lower() for medium in unlimited)
        yield Finding(
            Severity.INFO,
            "no-cooling",
            "CoolingZone",
            (),
            "spec.medium",
            f"there is no CoolingZone for {media}, so that heat is not limited",
            "add the loops if cooling can be what binds",
        )
    for medium, racks in without.items():
        for name in racks if medium in known else ():
            yield Finding(
                Severity.WARNING,
                "no-cooling-zone",
                "Rack",
                (name,),
                f"spec.cooling.{medium.value.lower()}",
                f"it names no zone for its {medium.value.lower()} heat, which is counted nowhere",
                "name the CoolingZone that takes it",
            )


def _zones(f: Facility) -> Iterator[Finding]:
    used = {
        name
        for rack in f.racks
        for zone in (rack.liquid, rack.air)
        if zone is not None
        for name in cooling.heat_path(zone, f.coolings)
    }
    wrong = {p.name for p in f.problems if p.kind == "CoolingZone"}
    for zone in f.coolings.values():
        if zone.name in wrong:
            continue
        if zone.name not in used:
            yield Finding(
                Severity.WARNING,
                "unused",
                "CoolingZone",
                (zone.name,),
                "spec",
                "no rack gives heat to it",
                "name it in spec.cooling of the racks that it cools, or remove it",
            )
            continue
        yield from _reserve(f, zone)


def _reserve(f: Facility, zone: CoolingSpec) -> Iterator[Finding]:
    running = len(cooling.running_units(zone, f.live))
    if running > zone.needed_units:
        return
    needed = f"{zone.needed_units} {'is' if zone.needed_units == 1 else 'are'} needed"
    have = f"{running} of {len(zone.units)} units run and {needed}"
    if running < zone.needed_units:
        message = f"{have}: it promises less than it was built for"
    elif len(zone.units) > zone.needed_units:
        message = f"{have}: the reserve is in use, and the next unit to fail takes capacity with it"
    else:
        message = f"{have}: there is no reserve, and a unit that fails takes capacity with it"
    yield Finding(
        Severity.WARNING,
        "no-reserve",
        "CoolingZone",
        (zone.name,),
        "spec.units",
        message,
        "bring units back into service" if running < len(zone.units) else "add a unit",
    )


def _unused(f: Facility) -> Iterator[Finding]:
    feeds: list[str] = [feed.power for rack in f.racks for feed in rack.feeds]
    feeds += [feed.power for z in f.coolings.values() for u in z.units for feed in u.feeds]
    feeds += [p.name for p in f.powers.values() if p.base_load_watts > 0]
    used = _upwards(f, feeds)
    for p in f.powers.values():
        if p.name not in used:
            yield Finding(
                Severity.WARNING,
                "unused",
                "PowerDomain",
                (p.name,),
                "spec",
                "nothing draws from it: no rack, no cooling unit and no base load hangs on it",
                "name it in the feeds or parents of what it feeds, or remove it",
            )


def _odd(f: Facility) -> Iterator[Finding]:
    for p in f.powers.values():
        points = p.efficiency_basis_points
        if 1 <= points < _LEAST_EFFICIENCY:
            yield Finding(
                Severity.WARNING,
                "odd-efficiency",
                "PowerDomain",
                (p.name,),
                "spec.efficiencyBasisPoints",
                f"{points:,} basis points are an efficiency of {points / 100:g} percent, so that 1 kW at its output "
                f"counts as {10_000 / points:,.1f} kW above it",
                f"write {points * 100} if {points} percent was meant"
                if points <= 100
                else "write 9650 for 96.5 percent",
            )
        yield from _weights("PowerDomain", p.name, "spec.parents", p.parents)
    for rack in f.racks:
        yield from _weights("Rack", rack.name, "spec.feeds", rack.feeds)
    for zone in f.coolings.values():
        for unit in zone.units:
            yield from _weights("CoolingZone", zone.name, "spec.units", unit.feeds)


def _weights(kind: str, name: str, field: str, feeds: Sequence[Feed]) -> Iterator[Finding]:
    weights = [feed for feed in feeds if feed.weight > 0 and feed.role == feeds[0].role]
    if len(weights) < 2:
        return
    most, least = max(weights, key=lambda w: w.weight), min(weights, key=lambda w: w.weight)
    if most.weight >= _ODD_RATIO * least.weight:
        yield Finding(
            Severity.WARNING,
            "odd-weights",
            kind,
            (name,),
            field,
            f"{most.power} has weight {most.weight:,} and {least.power} {least.weight:,}, so {most.power} carries "
            "nearly all",
            "give both the same weight to share evenly, or role: Standby to the one that only takes over",
        )
