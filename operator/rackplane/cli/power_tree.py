"""The power path as a tree: what each element carries now, and after the loss that is worst for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from rackplane.api.power_domain import PowerDomain, PowerState
from rackplane.cli.errors import CommandError, Exit, nearest
from rackplane.cli.view import Branch, Gauge, Tree, share
from rackplane.cli.words import names, nearest_limit
from rackplane.core.machine import Machine
from rackplane.core.site.figures import figures
from rackplane.engine.model import Feed, PowerSpec, Role
from rackplane.engine.physics.facility import Facility
from rackplane.engine.reporting.reports import FacilityReport, RackReport
from rackplane.engine.reporting.stranded import Stranded
from rackplane.figures import count, kilowatts

__all__ = ["power_data", "power_tree", "rack_branches", "status"]


def power_tree(
    machine: Machine, report: FacilityReport, left: Stranded, *, name: str | None, each_rack: bool
) -> Tree:
    """The elements from the sources down; below `name` if it is an element, above it if it is a rack.

    An element with several parents stands in full below the first and as a reference below the others. Racks stand
    below what feeds them, together unless `each_rack`.

    Raises:
        CommandError: there is no element and no rack of that name.
    """
    return _Builder(machine, report, left, name, each_rack).tree()


#: "left" is what the worst loss leaves, "stranded" what no free node can use when all that can have started
POWER_COLUMNS: Final = ("kW", "of kW", "left kW", "stranded kW")


class _Builder:
    def __init__(
        self, machine: Machine, report: FacilityReport, left: Stranded, name: str | None, each_rack: bool
    ) -> None:
        assert machine.state is not None
        facility = machine.state.facility
        self._catalog, self._facility, self._report, self._left = (
            machine.world.catalog,
            facility,
            report,
            left,
        )
        self._children: dict[str, list[tuple[PowerSpec, Feed]]] = {}
        for spec in facility.powers.values():
            for feed in spec.parents:
                self._children.setdefault(feed.power, []).append((spec, feed))
        self._seen: set[str] = set()
        self._seen_racks: set[tuple[str, ...]] = set()
        self._only, self._only_rack, self._each_rack = selected(facility, name), "", each_rack
        if name is not None and name not in facility.powers:
            self._only_rack, self._each_rack = name, True
        self._root = name if name in facility.powers else None

    def tree(self) -> Tree:
        powers = self._facility.powers
        if self._root is not None:
            roots = [self._element(powers[self._root], Role.ACTIVE)]
        else:
            sources = [p for p in powers.values() if not any(feed.power in powers for feed in p.parents)]
            roots = [self._element(p, Role.ACTIVE) for p in sources if p.name in self._only]
            # What hangs from nothing but itself (a cycle of parents) has no source above it.
            roots += [
                self._element(p, Role.ACTIVE)
                for p in powers.values()
                if p.name in self._only and p.name not in self._seen
            ]
        remarks = [] if roots else ["There are no PowerDomains."]
        return Tree(
            ("power path", "load, {worst} worst loss", "nearest limit"),
            POWER_COLUMNS,
            roots,
            remarks,
            spare=1,
        )

    def _element(self, spec: PowerSpec, role: Role) -> Branch:
        name = spec.name
        domain = self._catalog.get(PowerDomain, name)
        words = [
            str(domain.spec.type.value) if domain is not None else "",
            "standby" if role is Role.STANDBY else "",
        ]
        detail = ", ".join(filter(None, words))
        if name in self._seen:
            return Branch(name, detail, reference=True)
        self._seen.add(name)
        children = [
            self._element(child, feed.role)
            for child, feed in self._children.get(name, ())
            if child.name in self._only
        ]
        below = [*children, *self._units(name), *self._below(name)]
        report, modules = self._report.powers[name], self._report.powers[name].modules
        if not report.live:
            out = domain is not None and domain.spec.state is not PowerState.ONLINE
            why = domain.spec.state.value.lower() if domain is not None and out else "no feed reaches it"
            return Branch(name, detail, note=f"{why}: carries nothing", alarm=True, children=below)
        stranded, worst = self._left.powers[name].watts, report.worst
        note, alarm = nearest_limit(worst, of=name), worst.headroom_watts < 0 or spec.retired
        if spec.retired:
            note = f"takes nothing more, {_why_retired(domain)}; {note}"
        if modules is not None and modules.designed:
            note += f"; {modules.running} of {modules.installed} modules run, {modules.needed} needed"
            alarm = alarm or modules.lost
        gauge = Gauge(
            share(report.nominal_watts, report.usable_watts),
            share(worst.load_watts, worst.limit_watts),
            share(stranded, worst.limit_watts),
        )
        figures = (
            kilowatts(report.nominal_watts),
            kilowatts(report.usable_watts),
            kilowatts(worst.headroom_watts),
            kilowatts(stranded) if stranded else "",
        )
        return Branch(name, detail, gauge, figures, note, alarm, children=below)

    def _below(self, power: str) -> Iterable[Branch]:
        """Racks that the element feeds; those with the same feeds stand together."""
        groups: dict[tuple[Role, tuple[Feed, ...]], list[str]] = {}
        for rack in self._facility.racks:
            if self._only_rack not in ("", rack.name):
                continue
            for feed in rack.feeds:
                if feed.power == power:
                    groups.setdefault((feed.role, rack.feeds), []).append(rack.name)
        for (role, _), racks in groups.items():
            yield from rack_branches(
                self._report.racks,
                racks,
                each=self._each_rack,
                standby=role is Role.STANDBY,
                seen=self._seen_racks,
            )

    def _units(self, power: str) -> Iterable[Branch]:
        """Cooling units that the element feeds."""
        if self._only_rack:
            return
        for zone in self._facility.coolings.values():
            fed = [u for u in zone.units if any(feed.power == power for feed in u.feeds)]
            if fed:
                drawn = sum(u.draw_watts for u in fed if u.online)
                yield Branch(
                    names([u.name for u in fed]), f"cooling {zone.name}", figures=(kilowatts(drawn),), note=""
                )


def _why_retired(domain: PowerDomain | None) -> str:
    return "its description cannot be read" if domain is None else "it is being deleted"


def selected(facility: Facility, name: str | None) -> Collection[str]:
    """The elements that a question about `name` is about: all, those below an element, or those above a rack."""
    if name is None:
        return set(facility.powers)
    if name in facility.powers:
        children: dict[str, list[str]] = {}
        for spec in facility.powers.values():
            for feed in spec.parents:
                children.setdefault(feed.power, []).append(spec.name)
        return _closure([name], children)
    index = facility.rack_index.get(name)
    if index is None:
        hint = nearest(name, [*facility.powers, *facility.rack_index])
        raise CommandError(f"there is no PowerDomain and no Rack {name}{hint}", code=Exit.NO)
    parents = {spec.name: [feed.power for feed in spec.parents] for spec in facility.powers.values()}
    return _closure([feed.power for feed in facility.racks[index].feeds], parents) & set(facility.powers)


def _closure(start: Iterable[str], following: Mapping[str, list[str]]) -> set[str]:
    found, stack = set(), list(start)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += following.get(name, ())
    return found


def rack_branches(
    reports: Mapping[str, RackReport],
    racks: Iterable[str],
    *,
    each: bool,
    standby: bool = False,
    seen: set[tuple[str, ...]],
) -> list[Branch]:
    """Racks as one line, or as one each; those that stand in full elsewhere already as a reference."""
    together = tuple(racks)
    groups = [(rack,) for rack in together] if each else [together] if together else []
    found = []
    for group in groups:
        known = [reports[rack] for rack in group]
        detail = ("rack" if len(group) == 1 else count(len(group), "rack")) + (", standby" if standby else "")
        if group in seen:
            found.append(Branch(names(group, most=3), detail, reference=True))
            continue
        seen.add(group)
        load, limit = sum(r.nominal_watts for r in known), sum(r.limit_watts for r in known)
        least = min(known, key=lambda r: r.headroom_watts)
        note = least.problem or nearest_limit(least.worst, of=least.name)
        if len(group) > 1 and len({r.headroom_watts for r in known}) > 1:
            note = f"least in {least.name}: {note}"
        found.append(
            Branch(
                names(group, most=3),
                detail,
                Gauge(share(load, limit)),
                (kilowatts(load), kilowatts(limit), kilowatts(least.headroom_watts)),
                note,
                alarm=bool(least.problem) or least.headroom_watts < 0,
            )
        )
    return found


# -- for programs ------------------------------------------------------------------------------------


def power_data(
    machine: Machine, report: FacilityReport, left: Stranded, *, name: str | None
) -> dict[str, Any]:
    """The same for programs: every element of the tree once with its parents, and the racks; `status` as in the API."""
    assert machine.state is not None
    facility, catalog = machine.state.facility, machine.world.catalog
    only = selected(facility, name)
    racks = [r for r in facility.racks if name in (None, r.name) or any(f.power in only for f in r.feeds)]
    if name is not None and name in facility.rack_index:
        racks = [r for r in racks if r.name == name]
    elements = []
    for spec in facility.powers.values():
        if spec.name in only:
            domain = catalog.get(PowerDomain, spec.name)
            elements.append(
                {
                    "name": spec.name,
                    "type": domain.spec.type.value if domain is not None else None,
                    "state": domain.spec.state.value if domain is not None else None,
                    "live": report.powers[spec.name].live,
                    "survivable": spec.survivable,
                    "parents": _feeds(spec.parents),
                    "status": status(machine, report, left, "PowerDomain", spec.name),
                }
            )
    return {
        "tree": "power",
        "elements": elements,
        "racks": [
            {
                "name": r.name,
                "feeds": _feeds(r.feeds),
                "limitWatts": r.limit_watts,
                "problem": report.racks[r.name].problem or None,
                "status": status(machine, report, left, "Rack", r.name),
            }
            for r in racks
        ],
    }


def status(machine: Machine, report: FacilityReport, left: Stranded, kind: str, name: str) -> dict[str, Any]:
    """What the operator would write into the object's status, without the columns for people."""
    found = figures(machine.world, report, left, kind, name)
    return {key: value for key, value in found.items() if value is not None and not key.endswith("Kilowatts")}


def _feeds(feeds: Iterable[Feed]) -> list[dict[str, Any]]:
    return [{"powerDomain": f.power, "weight": f.weight, "role": f.role.value} for f in feeds]
