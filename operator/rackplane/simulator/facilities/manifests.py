"""A design as files of YAML: custom resources with words on what to change, by path inside the folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rackplane.api.base import API_VERSION
from rackplane.api.hardware_profile import NVLinkScope
from rackplane.simulator.facilities.design import (
    CDU_DRAW_WATTS,
    CRAH_DRAW_WATTS,
    EFFICIENCY_BASIS_POINTS,
    Design,
    Row,
    Shape,
)

__all__ = ["files_of"]


def files_of(design: Design, *, profile_text: str, command: str) -> dict[str, str]:
    """The text of every file, by its path.

    Args:
        profile_text: the HardwareProfile as YAML.
        command: that makes this folder, for its README.
    """
    found = {
        "README.md": _readme(design, command),
        "site.yaml": _site(design),
        "profile.yaml": profile_text if profile_text.endswith("\n") else profile_text + "\n",
        "queue.yaml": _queue(design),
    }
    for hall in range(1, design.halls + 1):
        where = "" if design.halls == 1 else f"hall-{hall:02}/"
        found[f"{where}power.yaml"] = _power(design, hall)
        if design.cooling:
            found[f"{where}cooling.yaml"] = _cooling(design, hall)
        found[f"{where}racks.yaml"] = _racks(design, hall)
        if design.profile.spec.nvlink_scope is not NVLinkScope.NODE:
            found[f"{where}nvlinkdomains.yaml"] = _domains(design, hall)
    return found


# -- names -------------------------------------------------------------------------------------------


def _in(design: Design, hall: int, name: str) -> str:
    """The name in a hall: objects of a cluster share one space of names."""
    return name if design.halls == 1 else f"h{hall:02}-{name}"


def _hall(hall: int) -> str:
    return f"hall-{hall:02}"


def _row(row: Row) -> str:
    return f"row-{row.name}"


def _rack(row: Row, number: int) -> str:
    return f"{row.name}-{number}" if row.name[0].isalpha() else f"r{row.name}-{number}"


def _only(design: Design) -> str:
    """What feeds all rows where there is one path."""
    return "switchboard" if design.switchboard else "ups"


def _feeds(design: Design, hall: int, row: Row) -> list[str]:
    """The power domains that a rack of the row is fed by."""
    match design.scheme.shape:
        case Shape.SHARED:
            return [_in(design, hall, f"ups-{source}") for source in row.path.sources]
        case Shape.CATCHER:
            return [_in(design, hall, f"sts-{row.path.name}")]
        case _:
            return [_in(design, hall, _row(row))]


# -- objects -----------------------------------------------------------------------------------------


def _object(kind: str, name: str, lines: Sequence[str]) -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"apiVersion: {API_VERSION}\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n{body}\n"


def _file(comment: Sequence[str], objects: Sequence[str]) -> str:
    return "".join(f"# {line}\n" for line in comment) + "---\n".join(objects)


def _parents(*names: str, standby: str = "") -> list[str]:
    active = [f"  - {{powerDomain: {name}, weight: 1}}" for name in names]
    return [
        "parents:",
        *active,
        *([f"  - {{powerDomain: {standby}, weight: 1, role: Standby}}"] if standby else []),
    ]


def _site(design: Design) -> str:
    lines = ["type: Utility", f"ratedWatts: {design.rating_of_the_utility}"]
    comment = [
        "What the campus gets from the grid. Write what your contract and transformers carry.",
        "Limits for some hours of a day, or orders of the grid, are PowerBudgets (docs/budgets.md).",
    ]
    return _file(comment, [_object("PowerDomain", "utility", lines)])


def _queue(design: Design) -> str:
    comment = ["Who may run jobs, and how much: quotas, weights and preemption are in docs/queues.md."]
    return _file(comment, [_object("Queue", design.queue, ["weight: 1"])])


def _power(design: Design, hall: int) -> str:
    efficiency = f"efficiencyBasisPoints: {EFFICIENCY_BASIS_POINTS}"
    utility = _parents("utility")
    rated = f"ratedWatts: {design.rating_of_a_ups}"
    match design.scheme.shape:
        case Shape.SHARED | Shape.CATCHER:
            names = sorted({source for path in design.paths for source in path.sources})
            names += ["r"] if design.scheme.shape is Shape.CATCHER else []
            lines = ["type: UPS", rated, "survivable: true", efficiency, *utility]
            objects = [_object("PowerDomain", _in(design, hall, f"ups-{name}"), lines) for name in names]
        case Shape.N_PLUS_1:
            (installed, needed), module = design.modules, design.module_of_a_ups
            redundancy = f"redundancy: {{installed: {installed}, needed: {needed}, moduleWatts: {module}}}"
            lines = ["type: UPS", f"ratedWatts: {installed * module}", redundancy, efficiency, *utility]
            objects = [_object("PowerDomain", _in(design, hall, "ups"), lines)]
        case Shape.N:
            kind = ["type: Switchgear", rated] if design.switchboard else ["type: UPS", rated, efficiency]
            objects = [_object("PowerDomain", _in(design, hall, _only(design)), [*kind, *utility])]
    objects += _below(design, hall)
    if design.mechanical_of_a_hall:
        lines = ["type: Switchgear", f"ratedWatts: {design.mechanical_of_a_hall}", *utility]
        objects.append(_object("PowerDomain", _in(design, hall, "mechanical"), lines))
    return _file(_about_power(design), objects)


def _below(design: Design, hall: int) -> Iterator[str]:
    """What lies between the UPS and the racks."""
    if design.scheme.shape is Shape.CATCHER:
        for path in design.paths:
            reserve = _in(design, hall, "ups-r")
            parents = _parents(_in(design, hall, f"ups-{path.name}"), standby=reserve)
            lines = ["type: TransferSwitch", f"ratedWatts: {design.rating_of_a_ups}", *parents]
            yield _object("PowerDomain", _in(design, hall, f"sts-{path.name}"), lines)
    elif design.scheme.shape in (Shape.N, Shape.N_PLUS_1):
        base = [f"baseLoadWatts: {design.row_base}"] if design.row_base else []
        for row in design.hall_rows:
            parents = _parents(_in(design, hall, _only(design)))
            lines = ["type: Busway", f"ratedWatts: {design.rating_of_a_row}", *base, *parents]
            yield _object("PowerDomain", _in(design, hall, _row(row)), lines)


def _about_power(design: Design) -> list[str]:
    load, ups, count = design.load_of_a_hall, design.rating_of_a_ups, design.scheme.ups
    installed, needed = design.modules
    match design.scheme.shape:
        case Shape.SHARED if design.pairs:
            pairs = ", ".join(path.name.upper() for path in design.pairs)
            said = [
                f"{design.scheme.name}, but rows on {pairs}. After a loss",
                f"one UPS carries up to {design.most_of_a_ups:,.0f} W, of {ups:,} W.",
            ]
        case Shape.SHARED:
            said = [
                f"{design.scheme.name}: {count} UPS, and each pair of them feeds as many rows. When one is lost,",
                f"the other {count - 1} carry the hall's {load:,} W: {load // (count - 1):,} W each, of {ups:,} W.",
            ]
        case Shape.CATCHER:
            said = [
                f"Catcher: {count} UPS carry {load // count:,} W each, of {ups:,} W; one in reserve",
                "takes over for any of them, through its static transfer switch. It can do so for one.",
            ]
        case Shape.N_PLUS_1:
            said = [
                f"N+1: one path. The UPS has {installed} modules; {needed} carry the hall's {load:,} W.",
                "Nothing of the path itself may be lost.",
            ]
        case Shape.N:
            said = [f"N: one path, which carries {load:,} W of {ups:,} W. Nothing may be lost."]
    return [
        *said,
        "Change ratedWatts to the continuous ratings of your own elements, add boards and busways between them, and",
        "emergency ratings where you have them (docs/physics.md).",
    ]


def _cooling(design: Design, hall: int) -> str:
    feed = _in(design, hall, "mechanical")
    objects = []
    for name, medium, heat, capacity, draw, unit in (
        ("liquid", "Liquid", design.liquid_of_a_hall, design.cdu_capacity, CDU_DRAW_WATTS, "cdu"),
        ("air", "Air", design.air_of_a_hall, design.crah_capacity, CRAH_DRAW_WATTS, "crah"),
    ):
        if not heat:
            continue
        needed = design.units(heat, capacity)
        lines = [f"medium: {medium}", f"neededUnits: {needed}", "units:"]
        for number in range(1, needed + 2):
            lines += [
                f"  - name: {unit}-{number}",
                f"    capacityWatts: {capacity}",
                f"    drawWatts: {draw}",
                f"    feeds: [{{powerDomain: {feed}, weight: 1}}]",
            ]
        objects.append(_object("CoolingZone", _in(design, hall, name), lines))
    liquid, air = design.liquid_of_a_hall, design.air_of_a_hall
    comment = [
        f"Heat of the full hall: {liquid:,} W into the liquid, {air:,} W into the air.",
        "One unit of each may fail. Change capacities to those of your units at your supply temperature, and their",
        "feeds: a unit on the UPS runs on without the grid, and goes when its UPS does (docs/physics.md).",
    ]
    return _file(comment, objects)


def _racks(design: Design, hall: int) -> str:
    zones = [
        f"{medium}: {_in(design, hall, medium)}"
        for medium, heat in (("liquid", design.liquid_of_a_hall), ("air", design.air_of_a_hall))
        if design.cooling and heat
    ]
    objects = []
    for row in design.hall_rows:
        feeds = [f"  - {{powerDomain: {name}, weight: 1}}" for name in _feeds(design, hall, row)]
        for number in range(1, design.racks + 1):
            name = _in(design, hall, _rack(row, number))
            lines = [
                f'location: {{site: campus, hall: {_hall(hall)}, row: {_row(row)}, position: "{number}"}}',
                f"profile: {design.profile.metadata.name}",
                f"nodeSelector: {{rackplane.dev/rack: {name}}}",
                f"expectedNodes: {design.nodes_of_a_rack}",
                f"overheadWatts: {design.overhead_of_a_rack}",
                f"limitWatts: {design.limit_of_a_rack}",
                "feeds:",
                *feeds,
                *([f"cooling: {{{', '.join(zones)}}}"] if zones else []),
            ]
            objects.append(_object("Rack", name, lines))
    comment = [
        f"{len(objects)} racks of {design.nodes_of_a_rack} nodes: those whose label rackplane.dev/rack names it.",
        "overheadWatts is what a rack draws beside its nodes: switches, fans, conversion; measure it, for it is drawn",
        "day and night. limitWatts is what the rack's own power supplies and breakers carry.",
    ]
    return _file(comment, objects)


def _domains(design: Design, hall: int) -> str:
    objects = []
    for row in design.hall_rows:
        for number in range(1, design.racks + 1):
            rack = _in(design, hall, _rack(row, number))
            lines = [
                f"racks: [{rack}]",
                "fabricPath:",
                f"  - {{level: leaf, name: {_in(design, hall, _row(row))}}}",
                f"  - {{level: spine, name: {_hall(hall)}}}",
            ]
            objects.append(_object("NVLinkDomain", f"nvl-{rack}", lines))
    comment = [
        "One NVSwitch fabric for each rack. A row is a leaf of the network beyond it, the hall a spine: change names",
        "to those of your switches. spareNodes: 1 would keep a node of each for one that fails (docs/node-loss.md).",
    ]
    return _file(comment, objects)


def _readme(design: Design, command: str) -> str:
    racks = design.halls * design.rows_of_a_hall * design.racks
    spec, nodes = design.profile.spec, design.nodes_of_a_rack
    rows: Mapping[str, str] = {
        "rack": f"{design.overhead_of_a_rack:,} W and {nodes} nodes of {spec.max_watts:,} W, peak "
        f"{spec.peak_percent} %: {design.peak_of_a_rack:,} W, limit {design.limit_of_a_rack:,} W",
        "row": f"{design.racks} racks: {design.load_of_a_row:,} W",
        "hall": f"{design.rows_of_a_hall} rows: {design.load_of_a_hall:,} W, by {design.scheme.name} with UPS of "
        f"{design.rating_of_a_ups:,} W",
        "heat of a hall": f"{design.liquid_of_a_hall:,} W liquid, {design.air_of_a_hall:,} W air"
        + ("" if design.cooling else "; no cooling zones were asked for"),
        "campus": f"{design.halls} halls, {racks:,} racks, {racks * nodes:,} nodes, {design.gpus:,} GPUs; utility "
        f"{design.rating_of_the_utility:,} W",
    }
    table = "\n".join(f"| {name} | {text} |" for name, text in rows.items())
    return f"""\
# A facility to start from

Made by

```sh
{command}
```

Every figure here is one that you gave, or follows from those: none was measured at your site. Each file says what to
change. Then:

```sh
rackplane validate .
rackplane capacity --facility .
kubectl apply --recursive -f .
```

| | all nodes at work, at peak |
|---|---|
{table}
"""
