"""Figures of a machine, or of an engine's state, for the page: the same as in status, metrics and trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np

from rackplane.api import power_domain as api_power
from rackplane.api import rack as api_rack
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.machine import Machine
from rackplane.engine.model import Feed, Role
from rackplane.engine.nodes.inventory import natural
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.power import shares
from rackplane.engine.reporting.reports import FacilityReport, WorstCase
from rackplane.engine.state import State
from rackplane.floorplan import model as m

__all__ = ["MOST_WAITING", "frame", "frame_of", "layout", "layout_of"]

#: Of those that wait so many are listed, the first in the queue; `Totals` counts all.
MOST_WAITING: Final = 300
#: Level of the fabric that is a hall, where it has one of that name.
_HALL: Final = "hall"

Where = tuple[str, str, str, str]
"""Site, hall, row and position, "" where it is not known."""


def layout(machine: Machine) -> m.Layout:
    """What stands where in a machine that has seen everything once.

    A rack without a hall is in that of its nodes' labels, if they name one; without a row it is beside the racks that
    hang on the same power domains.
    """
    assert machine.state is not None
    catalog, state = machine.world.catalog, machine.state
    labelled = _labelled_halls(state)

    def where(rack: str) -> Where:
        found = catalog.get(api_rack.Rack, rack)
        location = None if found is None else found.spec.location
        if location is None:
            return "", labelled.get(rack, ""), "", ""
        hall = location.hall or labelled.get(rack, "")
        return location.site or "", hall, location.row or "", location.position or ""

    def kind(element: str) -> str:
        found = catalog.get(api_power.PowerDomain, element)
        return "" if found is None else found.spec.type.value

    return layout_of(state.facility, where=where, kind=kind)


def layout_of(facility: Facility, *, where: Callable[[str], Where], kind: Callable[[str], str]) -> m.Layout:
    """Likewise.

    Args:
        where: of a rack.
        kind: type of a power domain, in words.
    """
    racks = []
    for spec in facility.racks:
        site, hall, row, position = where(spec.name)
        feeds = [f.power for f in sorted(spec.feeds, key=lambda f: f.role is not Role.ACTIVE)]
        racks.append(
            m.RackPlace(
                name=spec.name,
                site=site,
                hall=hall,
                row=row,
                position=position,
                profile=spec.node_type,
                feeds=tuple(feeds),
                liquid=spec.liquid or "",
                air=spec.air or "",
            )
        )
    racks.sort(
        key=lambda r: (
            *(natural(r.site), natural(r.hall), natural(r.row)),
            *(() if r.row else r.feeds,),
            *(natural(r.position), natural(r.name)),
        )
    )
    elements = [
        m.ElementPlace(
            name=spec.name,
            type=kind(spec.name),
            tag=spec.feed_tag or "",
            parents=_known(facility, spec.parents, active=True),
            standby=_known(facility, spec.parents, active=False),
        )
        for spec in sorted(facility.powers.values(), key=lambda s: natural(s.name))
    ]
    zones = [
        m.ZonePlace(name=z.name, medium=z.medium.value, parents=tuple(z.parents))
        for z in sorted(facility.coolings.values(), key=lambda z: natural(z.name))
    ]
    return m.identified(m.Layout(racks=tuple(racks), elements=tuple(elements), zones=tuple(zones)))


def frame(machine: Machine, at: float, layout: str) -> m.Frame:
    """The figures now.

    What is said to who waits is read from the Gangs, as a leader wrote it: so a standby shows the same.

    Args:
        at: seconds since the epoch.
        layout: id of the layout that goes with it.
    """
    assert machine.state is not None
    catalog, state = machine.world.catalog, machine.state

    def state_of(rack: str) -> str:
        found = catalog.get(api_rack.Rack, rack)
        return "Active" if found is None else found.spec.state.value

    gangs: list[GangRecord] = []
    waiting: list[GangRecord] = []
    for record in machine.gangs.values():
        if record.gang is None or record.phase in ("Finished", "Failed"):
            continue
        (waiting if record.decision is None else gangs).append(record)
    shown = sorted(waiting, key=_turn)[:MOST_WAITING]
    rows = {booking_key(r.key): _gang(state, r) for r in (*gangs, *shown)}
    return frame_of(
        state,
        at=at,
        layout=layout,
        state_of=state_of,
        gangs=rows,
        leading=machine.leading,
        mode="Observe" if machine.settings.observe else "Active",
        running=len(gangs),
        waiting=len(waiting),
        waiting_gpus=sum(_asked(r) for r in waiting),
    )


def frame_of(
    state: State,
    *,
    at: float,
    layout: str,
    state_of: Callable[[str], str] = lambda rack: "Active",  # noqa: ARG005
    gangs: Mapping[str, m.Gang] | None = None,
    leading: bool = True,
    mode: str = "Active",
    running: int = 0,
    waiting: int = 0,
    waiting_gpus: int = 0,
) -> m.Frame:
    """Likewise, of a state alone.

    Args:
        state_of: Active, Draining or Maintenance, of a rack.
        gangs: rows to show, by namespace/name.
        running, waiting, waiting_gpus: how many there are in all.
    """
    report = state.report()
    racks = dict(_racks(state, report, state_of))
    totals = m.Totals(
        gpus=sum(r.gpus for r in racks.values()),
        used=sum(r.used for r in racks.values()),
        down=sum(r.down for r in racks.values()),
        watts=sum(r.watts for r in racks.values()),
        running=running,
        waiting=waiting,
        waiting_gpus=waiting_gpus,
    )
    return m.Frame(
        at=at,
        layout=layout,
        leading=leading,
        mode=mode,
        totals=totals,
        racks=racks,
        elements=dict(_elements(state.facility, report)),
        zones={
            n: m.Zone(
                watts=z.heat_watts,
                limit=z.usable_watts,
                headroom=z.headroom_watts,
                running=z.units.running,
                needed=z.units.needed,
                installed=z.units.installed,
                worst=_worst(z.worst),
            )
            for n, z in report.coolings.items()
        },
        budgets={
            n: m.Budget(watts=b.nominal_watts, limit=b.limit_watts, headroom=b.headroom_watts)
            for n, b in report.budgets.items()
        },
        gangs=gangs or {},
    )


def _racks(
    state: State, report: FacilityReport, state_of: Callable[[str], str]
) -> Iterator[tuple[str, m.Rack]]:
    facility, inventory, table = state.facility, state.inventory, state.table
    ill = (inventory.rack >= 0) & ~table.healthy
    size = len(facility.racks)
    down = np.bincount(inventory.rack[ill], table.gpus[ill], minlength=size).astype(np.int64)
    # Racks of a row hang on the same feeds.
    splits = {feeds: shares(feeds, facility.live) for feeds in {spec.feeds for spec in facility.racks}}
    for r, spec in enumerate(facility.racks):
        figures, node_type = report.racks[spec.name], facility.rack_types[r]
        watts = figures.nominal_watts
        liquid = 0 if node_type is None else watts * node_type.liquid_heat_percent // 100
        yield (
            spec.name,
            m.Rack(
                gpus=figures.gpus,
                used=figures.gpus - figures.free_gpus,
                down=int(down[r]),
                nodes=figures.nodes,
                watts=watts,
                limit=figures.limit_watts,
                headroom=figures.headroom_watts,
                liquid=liquid,
                air=watts - liquid,
                state=state_of(spec.name),
                problem=figures.problem,
                worst=None if figures.worst is None else _worst(figures.worst),
                dropped=tuple(c.label for c in figures.switched_off_by),
                feeds={power: round(watts * share) for power, share in splits[spec.feeds].items()},
            ),
        )


def _elements(facility: Facility, report: FacilityReport) -> Iterator[tuple[str, m.Element]]:
    for name, figures in report.powers.items():
        spec = facility.powers[name]
        efficiency = spec.efficiency_basis_points / 10_000 or 1.0
        split = shares(spec.parents, facility.live) if figures.live else {}
        yield (
            name,
            m.Element(
                watts=figures.nominal_watts,
                limit=figures.usable_watts,
                headroom=figures.headroom_watts,
                live=figures.live,
                survives=None if figures.own_loss is None else _survived(report, name),
                worst=_worst(figures.worst),
                sources={p: round(figures.nominal_watts / efficiency * s) for p, s in split.items()},
            ),
        )


def _survived(report: FacilityReport, name: str) -> bool:
    own = report.powers[name].own_loss
    return own is not None and own.within_limits and not own.switched_off


def _worst(worst: WorstCase) -> m.Worst:
    return m.Worst(
        of=worst.row.label,
        watts=worst.load_watts,
        limit=worst.limit_watts,
        loss="" if worst.loss.normal else worst.loss.label,
        second_to=worst.second_to,
    )


def _gang(state: State, record: GangRecord) -> m.Gang:
    assert record.gang is not None
    spec, status, inventory = record.gang.spec, record.gang.status, state.inventory
    namespace, name = record.key
    if record.decision is None:
        return m.Gang(
            namespace=namespace,
            name=name,
            queue=spec.queue,
            phase=record.phase,
            gpus=_asked(record),
            slots=spec.slots,
            submitted=status.submitted_at or record.gang.metadata.creation_timestamp or "",
            position=status.position,
            message=status.message,
            estimate=status.estimated_start or "",
        )
    key = booking_key(record.key)
    held = state.held_gpus(key)
    racks: dict[str, int] = {}
    for node, gpus in held.items():
        at = inventory.index.get(node)
        if at is not None and inventory.rack[at] >= 0:
            rack = state.facility.racks[inventory.rack[at]].name
            racks[rack] = racks.get(rack, 0) + gpus
    placement = record.decision.placement
    return m.Gang(
        namespace=namespace,
        name=name,
        queue=spec.queue,
        phase=record.phase,
        gpus=sum(held.values()),
        slots=state.slots_held(key),
        watts=state.reserved(key).nominal_watts,
        profile=placement.power_profile,
        shed="" if status.shed is None else status.shed.action,
        submitted=status.submitted_at or record.gang.metadata.creation_timestamp or "",
        started=status.started_at or "",
        racks=racks,
        message=status.message,
    )


def _asked(record: GangRecord) -> int:
    assert record.gang is not None
    spec = record.gang.spec
    if spec.groups:
        return sum(group.slots * group.gpus_per_slot for group in spec.groups)
    return spec.slots * spec.gpus_per_slot


def _turn(record: GangRecord) -> tuple[bool, int, tuple[str, str]]:
    """In order of the queue; who has no position comes last."""
    position = None if record.gang is None else record.gang.status.position
    return position is None, position or 0, record.key


def _known(facility: Facility, feeds: tuple[Feed, ...], *, active: bool) -> tuple[str, ...]:
    return tuple(f.power for f in feeds if f.power in facility.powers and (f.role is Role.ACTIVE) == active)


def _labelled_halls(state: State) -> dict[str, str]:
    """Rack -> the hall that the labels of its nodes name."""
    inventory = state.inventory
    if _HALL not in inventory.levels:
        return {}
    halls, names = inventory.levels[_HALL]
    found: dict[str, str] = {}
    for node in np.flatnonzero((halls >= 0) & (inventory.rack >= 0)):
        found.setdefault(state.facility.racks[inventory.rack[node]].name, names[halls[node]])
    return found
