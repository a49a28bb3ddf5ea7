"""The cooling loops as a tree: the heat each takes against what its units can promise, now and after the worst loss."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rackplane.cli.errors import CommandError, Exit, nearest
from rackplane.cli.power_tree import POWER_COLUMNS, status
from rackplane.cli.view import Branch, Gauge, Tree, share
from rackplane.cli.words import names, nearest_limit
from rackplane.core.machine import Machine
from rackplane.engine.model import CoolingSpec, CoolingUnit
from rackplane.engine.physics import cooling
from rackplane.engine.physics.facility import Facility
from rackplane.engine.reporting.reports import FacilityReport
from rackplane.engine.reporting.stranded import Stranded
from rackplane.figures import count, kilowatts

__all__ = ["cooling_data", "cooling_tree"]


def cooling_tree(
    machine: Machine, report: FacilityReport, left: Stranded, *, name: str | None, each_rack: bool
) -> Tree:
    """The zones from the outermost loop inwards, each with its units and its racks.

    Args:
        name: a zone, for it and what hangs from it, or a rack, for its zones and those above them.

    Raises:
        CommandError: there is no zone and no rack of that name.
    """
    assert machine.state is not None
    builder = _Builder(machine.state.facility, report, left, name, each_rack)
    headings = ("cooling", "heat, {worst} worst loss", "nearest limit")
    roots = builder.roots()
    remarks = [] if roots else ["There are no CoolingZones."]
    return Tree(headings, POWER_COLUMNS, roots, remarks, spare=1)


class _Builder:
    def __init__(
        self, facility: Facility, report: FacilityReport, left: Stranded, name: str | None, each_rack: bool
    ) -> None:
        self._facility, self._report, self._left = facility, report, left
        self._only = _selected(facility, name)
        self._name = name
        self._rack = name if name is not None and name not in facility.coolings else None
        self._each_rack = each_rack or self._rack is not None
        self._seen: set[str] = set()

    def roots(self) -> list[Branch]:
        zones = self._facility.coolings
        if self._name is not None and self._name in zones:
            return [self._zone(zones[self._name])]
        roots = [z for z in zones.values() if not any(parent in zones for parent in z.parents)]
        found = [self._zone(z) for z in roots if z.name in self._only]
        # A cycle of parents has no outermost loop.
        return found + [
            self._zone(z) for z in zones.values() if z.name in self._only and z.name not in self._seen
        ]

    def _zone(self, zone: CoolingSpec) -> Branch:
        detail = zone.medium.value.lower()
        if zone.name in self._seen:
            return Branch(zone.name, detail, reference=True)
        self._seen.add(zone.name)
        figures, stranded = self._report.coolings[zone.name], self._left.coolings[zone.name].watts
        units, note = figures.units, nearest_limit(figures.worst, of=zone.name)
        note += f"; {units.running} of {count(units.installed, 'unit')} run, {units.needed} needed"
        if units.lost:
            note += ": no reserve is left"
        if zone.retired:
            note = f"takes no more heat, it is being deleted or cannot be read; {note}"
        running = {u.name for u in cooling.running_units(zone, self._facility.live)}
        children = [
            self._zone(z)
            for z in self._facility.coolings.values()
            if zone.name in z.parents and z.name in self._only
        ]
        children += [_unit(u, running=u.name in running) for u in zone.units]
        racks = [r.name for r in self._facility.racks if zone.name in (r.liquid, r.air)]
        if self._rack is not None:
            racks = [r for r in racks if r == self._rack]
        return Branch(
            zone.name,
            detail,
            Gauge(
                share(figures.heat_watts, figures.usable_watts),
                share(figures.worst.load_watts, figures.worst.limit_watts),
                share(stranded, figures.worst.limit_watts),
            ),
            (
                kilowatts(figures.heat_watts),
                kilowatts(figures.usable_watts),
                kilowatts(figures.worst.headroom_watts),
                kilowatts(stranded) if stranded else "",
            ),
            note,
            alarm=figures.worst.headroom_watts < 0 or units.lost or zone.retired,
            children=[*children, *self._racks(racks)],
        )

    def _racks(self, racks: list[str]) -> list[Branch]:
        if not racks:
            return []
        groups = [[rack] for rack in racks] if self._each_rack else [racks]
        return [
            Branch(names(g, most=3), "rack" if self._each_rack else count(len(g), "rack")) for g in groups
        ]


def _unit(unit: CoolingUnit, *, running: bool) -> Branch:
    fed = " and ".join(feed.power for feed in unit.feeds)
    note = f"fed by {fed}" if fed else ""
    if not running:
        note = f"not fed: {fed} is out" if unit.online else "offline"
    return Branch(
        unit.name, "unit", figures=("", kilowatts(unit.capacity_watts)), note=note, alarm=not running
    )


def _selected(facility: Facility, name: str | None) -> Collection[str]:
    zones = facility.coolings
    if name is None:
        return set(zones)
    if name in zones:
        found = {name}
        while more := {z.name for z in zones.values() if found & set(z.parents)} - found:
            found |= more
        return found
    index = facility.rack_index.get(name)
    if index is None:
        raise CommandError(
            f"there is no CoolingZone and no Rack {name}{nearest(name, [*zones, *facility.rack_index])}",
            code=Exit.NO,
        )
    rack = facility.racks[index]
    found = {zone for zone in (rack.liquid, rack.air) if zone is not None and zone in zones}
    while more := {parent for zone in found for parent in zones[zone].parents if parent in zones} - found:
        found |= more
    return found


def cooling_data(
    machine: Machine, report: FacilityReport, left: Stranded, *, name: str | None
) -> dict[str, Any]:
    """The same for programs: every zone of the tree once, with its parents; watts are integers."""
    assert machine.state is not None
    facility = machine.state.facility
    only = _selected(facility, name)
    zones = []
    for zone in facility.coolings.values():
        if zone.name not in only:
            continue
        running = {u.name for u in cooling.running_units(zone, facility.live)}
        zones.append(
            {
                "name": zone.name,
                "medium": zone.medium.value,
                "parents": list(zone.parents),
                "neededUnits": zone.needed_units,
                "units": [
                    {
                        "name": u.name,
                        "capacityWatts": u.capacity_watts,
                        "drawWatts": u.draw_watts,
                        "feeds": [feed.power for feed in u.feeds],
                        "running": u.name in running,
                    }
                    for u in zone.units
                ],
                "racks": [r.name for r in facility.racks if zone.name in (r.liquid, r.air)],
                "status": status(machine, report, left, "CoolingZone", zone.name),
            }
        )
    return {"tree": "cooling", "zones": zones}
