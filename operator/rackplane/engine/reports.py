"""What each object of the facility carries now: read-only figures for status, metrics and people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rackplane.engine.model import Medium
from rackplane.engine.rows import LimitRow, RowKind

if TYPE_CHECKING:  # State hands these out, and so imports this module
    from rackplane.engine.state import State


@dataclass(frozen=True, slots=True)
class RackReport:
    """A rack: watts are its whole draw, overhead and idle nodes included; ``problem`` is "" if it is usable."""

    name: str
    nodes: int
    gpus: int
    free_gpus: int
    nominal_watts: int
    peak_watts: int
    limit_watts: int
    headroom_watts: int
    problem: str


@dataclass(frozen=True, slots=True)
class PowerReport:
    """A power element: ``usable_watts`` is its continuous rating now (0 if it is not live)."""

    name: str
    live: bool
    usable_watts: int
    nominal_watts: int
    peak_watts: int
    peak_limit_watts: int
    headroom_watts: int


@dataclass(frozen=True, slots=True)
class CoolingReport:
    """A cooling zone: nominal heat against what it can promise."""

    name: str
    usable_watts: int
    heat_watts: int
    headroom_watts: int


@dataclass(frozen=True, slots=True)
class DomainReport:
    """An NVLink domain: ``free_nodes`` are healthy and wholly free."""

    name: str
    nodes: int
    free_nodes: int
    gpus: int


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """A power budget in force."""

    name: str
    nominal_watts: int
    limit_watts: int
    headroom_watts: int


def rack_report(state: State, name: str) -> RackReport | None:
    """Figures of one rack, or None if it is not known."""
    f = state.facility
    rack = f.rack_index.get(name)
    if rack is None:
        return None
    node_type = f.rack_types[rack]
    inventory = state.inventory
    members = inventory.rack == rack
    nodes = int(members.sum())
    return RackReport(
        name=name,
        nodes=nodes,
        gpus=nodes * node_type.gpus_per_node if node_type else 0,
        free_gpus=int(state.free[members].sum()),
        nominal_watts=int(state.nominal[rack]),
        peak_watts=int(state.peak[rack]),
        limit_watts=f.racks[rack].limit_watts,
        headroom_watts=0 if name in f.unusable else _floor(state.headroom(rack)),
        problem=f.unusable.get(name, ""),
    )


def power_report(state: State, name: str) -> PowerReport | None:
    """Figures of one power element in the normal state, or None if it is not known."""
    f = state.facility
    if name not in f.powers:
        return None
    nominal, rating = _row(state, LimitRow(RowKind.POWER_NOMINAL, name))
    peak, peak_rating = _row(state, LimitRow(RowKind.POWER_PEAK, name))
    return PowerReport(
        name=name,
        live=name in f.live,
        usable_watts=int(rating),
        nominal_watts=round(nominal),
        peak_watts=round(peak),
        peak_limit_watts=int(peak_rating),
        headroom_watts=_floor(min(rating - nominal, peak_rating - peak)),
    )


def cooling_report(state: State, name: str) -> CoolingReport | None:
    """Figures of one cooling zone in the normal state, or None if it is not known."""
    zone = state.facility.coolings.get(name)
    if zone is None:
        return None
    kind = RowKind.LIQUID if zone.medium == Medium.LIQUID else RowKind.AIR
    heat, usable = _row(state, LimitRow(kind, name))
    return CoolingReport(name, int(usable), round(heat), _floor(usable - heat))


def domain_report(state: State, name: str) -> DomainReport:
    """Figures of one NVLink domain, by its nodes' own statement; all zero if it has none."""
    nodes = [n for n in state.nodes() if n.domain == name]
    gpus = free = 0
    for node in nodes:
        node_type = state.node_type(node.name)
        if node_type is not None:
            gpus += node_type.gpus_per_node
            free += node.healthy and state.free_gpus(node.name) == node_type.gpus_per_node
    return DomainReport(name, len(nodes), free, gpus)


def budget_report(state: State, name: str) -> BudgetReport | None:
    """Figures of one budget in force in the normal state, or None if it is not."""
    row = LimitRow(RowKind.BUDGET, name)
    if row not in state.facility.row_index:
        return None
    load, limit = _row(state, row)
    return BudgetReport(name, round(load), int(limit), _floor(limit - load))


def _row(state: State, row: LimitRow) -> tuple[float, float]:
    b = state.facility.row_index[row]
    return float(state.loads[b]), float(state.facility.limits[b])


def _floor(watts: float) -> int:
    """Whole watts, never more than there are; float noise of less than the tolerance is not a watt."""
    return int((watts + 0.01) // 1)
