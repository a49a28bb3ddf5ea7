"""What every object of the facility carries now and what would be worst for it: for status, metrics and people.

All of them are read together in one pass over the cells, because each period writes the status of every object.
Watts are whole: loads are rounded, and headroom is rounded down, so that nobody is promised more than there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Medium
from rackplane.engine.physics import cooling, power
from rackplane.engine.physics.rows import Contingency, LimitRow, RowKind
from rackplane.engine.reporting.least import least, whole_watts

if TYPE_CHECKING:  # State hands these out, and so imports this module
    from rackplane.engine.state import State

_NO_BOUND = 2**62


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The limit that is nearest, or most exceeded, and the loss under which it is.

    ``headroom_watts`` is limit - load, below zero where the limit is exceeded.  ``second_to`` names the elements out of
    service that make this loss a second one; empty for a first loss and for the normal state.
    """

    loss: Contingency
    row: LimitRow
    load_watts: int
    limit_watts: int
    headroom_watts: int
    second_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnLoss:
    """What the loss of one survivable element would do.

    ``worst`` is the limit with the least left then (None if no limit would be nearer than it is now);
    ``switched_off`` are racks that no feed would reach, ``cooling_lost`` zones that could promise less.
    """

    worst: WorstCase | None
    switched_off: tuple[str, ...]
    cooling_lost: tuple[str, ...]
    second_to: tuple[str, ...]

    @property
    def within_limits(self) -> bool:
        """Whether everything that goes on running would stay within its limits."""
        return self.worst is None or self.worst.headroom_watts >= 0


@dataclass(frozen=True, slots=True)
class Redundancy:
    """Units of a cooling zone, or modules of a power element: how many run, how many are needed, how many there are."""

    running: int
    needed: int
    installed: int

    @property
    def designed(self) -> bool:
        """Whether there is a reserve when all of them run."""
        return self.installed > self.needed

    @property
    def lost(self) -> bool:
        """Whether the design has a reserve and none of it is left."""
        return self.designed and self.running <= self.needed


@dataclass(frozen=True, slots=True)
class RackReport:
    """A rack: watts are its whole draw, overhead and idle nodes included; ``problem`` is "" if it is usable.

    ``headroom_watts`` is what the rack may add under every loss, and ``worst`` the limit that bounds it (None if it is
    not usable).  ``switched_off_by`` are the losses after which no feed reaches it; ``second_to`` the elements out of
    service that share the redundancy of one of those.
    """

    name: str
    nodes: int
    gpus: int
    free_gpus: int
    nominal_watts: int
    peak_watts: int
    limit_watts: int
    headroom_watts: int
    problem: str
    worst: WorstCase | None = None
    switched_off_by: tuple[Contingency, ...] = ()
    second_to: tuple[str, ...] = ()
    now_headroom_watts: int = 0
    """What it may add in the state as it is, whatever a loss would do."""


@dataclass(frozen=True, slots=True)
class PowerReport:
    """A power element: ``usable_watts`` is its continuous rating now (0 if it is not live).

    ``headroom_watts`` is that of the normal state, ``worst`` that of the loss which leaves it least; ``own_loss`` is
    None if it is not survivable or not live, ``modules`` if it has none.
    """

    name: str
    live: bool
    usable_watts: int
    nominal_watts: int
    peak_watts: int
    peak_limit_watts: int
    headroom_watts: int
    worst: WorstCase
    own_loss: OwnLoss | None = None
    modules: Redundancy | None = None


@dataclass(frozen=True, slots=True)
class CoolingReport:
    """A cooling zone: nominal heat against what it can promise, now and (``worst``) after the loss that is worst."""

    name: str
    usable_watts: int
    heat_watts: int
    headroom_watts: int
    worst: WorstCase
    units: Redundancy


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
    worst: WorstCase


@dataclass(frozen=True, slots=True)
class FacilityReport:
    """Every object by name.  A budget is there if it is in force, a domain if a known node is in it."""

    racks: Mapping[str, RackReport]
    powers: Mapping[str, PowerReport]
    coolings: Mapping[str, CoolingReport]
    budgets: Mapping[str, BudgetReport]
    domains: Mapping[str, DomainReport]


def facility_report(state: State) -> FacilityReport:
    """All figures of this state."""
    figures = _Figures(state)
    return FacilityReport(
        racks=_racks(state, figures),
        powers=_powers(figures),
        coolings=_coolings(figures),
        budgets=_budgets(figures),
        domains=_domains(state),
    )


class _Figures:
    """The state's cells in whole watts, and the worst cell of each element and of each contingency."""

    def __init__(self, state: State) -> None:
        f = self.facility = state.facility
        self.loads = np.rint(state.loads).astype(np.int64)
        # Whole watts: of limits that are equally near, noise must not choose another in every period.
        self.left = whole_watts(f.limits - state.loads)
        now = (f.cell_windows < 0) | f.capped
        self._of_element = least(f.elements[f.cell_rows], self.left, now)
        self._of_loss = least(f.cell_contingencies, self.left, now & (f.cell_contingencies > 0))
        ratio = (f.limits - state.loads)[f.cells] / f.coefficients
        self._bound = np.clip(whole_watts(ratio), -(2**62), 2**62)
        self.of_rack = self._of_racks()
        self.now_of_rack = self._now_of_racks(now)

    def _of_racks(self) -> NDArray[np.int64]:
        """Rack -> the enforced cell that bounds its headroom, -1 if none does."""
        f = self.facility
        found = least(f.entry_racks, self._bound, f.enforced[f.cells])
        result = np.full(len(f.racks), -1, dtype=np.int64)
        result[list(found)] = f.cells[list(found.values())]
        return result

    def _now_of_racks(self, now: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Rack -> watts that it may add in the normal state."""
        f = self.facility
        chosen = (now & (f.cell_contingencies == 0))[f.cells]
        result = np.full(len(f.racks), _NO_BOUND, dtype=np.int64)
        np.minimum.at(result, f.entry_racks[chosen], self._bound[chosen])
        return result

    def worst(self, cell: int) -> WorstCase:
        """The cell as a reader sees it."""
        f = self.facility
        contingency, row = f.describe(cell)
        return WorstCase(
            contingency,
            row,
            int(self.loads[cell]),
            int(f.limits[cell]),
            int(self.left[cell]),
            f.second_loss.get(int(f.cell_contingencies[cell]), ()),
        )

    def of_row(self, row: int) -> WorstCase:
        """The worst cell of the row's element."""
        return self.worst(self._of_element[int(self.facility.elements[row])])

    def of_loss(self, contingency: int) -> WorstCase | None:
        """The worst cell of the contingency, None if it has none."""
        cell = self._of_loss.get(contingency)
        return None if cell is None else self.worst(cell)


def _racks(state: State, figures: _Figures) -> dict[str, RackReport]:
    f = state.facility
    inventory = state.inventory
    known = inventory.rack >= 0
    size = len(f.racks)
    nodes = np.bincount(inventory.rack[known], minlength=size)
    free = np.bincount(inventory.rack[known], state.free[known], minlength=size).astype(np.int64)
    nominal, peak = state.headrooms()
    headroom = whole_watts(np.minimum(nominal, peak))
    result = {}
    for r, rack in enumerate(f.racks):
        node_type = f.rack_types[r]
        problem = f.unusable.get(rack.name, "")
        dropped = f.dropped.get(rack.name, ())
        cell = int(figures.of_rack[r])
        result[rack.name] = RackReport(
            name=rack.name,
            nodes=int(nodes[r]),
            gpus=int(nodes[r]) * node_type.gpus_per_node if node_type else 0,
            free_gpus=int(free[r]),
            nominal_watts=int(state.nominal[r]),
            peak_watts=int(state.peak[r]),
            limit_watts=rack.limit_watts,
            headroom_watts=0 if problem or cell < 0 else int(headroom[r]),
            problem=problem,
            worst=None if problem or cell < 0 else figures.worst(cell),
            switched_off_by=tuple(f.contingencies[c] for c in dropped),
            second_to=tuple(dict.fromkeys(out for c in dropped for out in f.second_loss.get(c, ()))),
            now_headroom_watts=0 if problem or cell < 0 else int(figures.now_of_rack[r]),
        )
    return result


def _powers(figures: _Figures) -> dict[str, PowerReport]:
    f = figures.facility
    own = _own_losses(figures)
    result = {}
    for name, spec in f.powers.items():
        nominal = f.row_index[LimitRow(RowKind.POWER_NOMINAL, name)]
        peak = f.row_index[LimitRow(RowKind.POWER_PEAK, name)]
        modules = spec.modules
        result[name] = PowerReport(
            name=name,
            live=name in f.live,
            usable_watts=int(f.limits[nominal]),
            nominal_watts=int(figures.loads[nominal]),
            peak_watts=int(figures.loads[peak]),
            peak_limit_watts=int(f.limits[peak]),
            headroom_watts=int(min(figures.left[nominal], figures.left[peak])),
            worst=figures.of_row(nominal),
            own_loss=own.get(name),
            modules=None
            if modules is None
            else Redundancy(power.module_count(spec), modules.needed, modules.installed),
        )
    return result


def _own_losses(figures: _Figures) -> dict[str, OwnLoss]:
    f = figures.facility
    switched_off: dict[int, list[str]] = {}
    for rack, dropping in f.dropped.items():
        for c in dropping:
            switched_off.setdefault(c, []).append(rack)
    heat = np.array([row.kind in (RowKind.LIQUID, RowKind.AIR) for row in f.rows], dtype=np.bool_)
    less = np.flatnonzero(heat[f.cell_rows] & (f.limits < f.limits[f.cell_rows]))
    cooling_lost: dict[int, list[str]] = {}
    for cell in less.tolist():
        zone = f.rows[f.cell_rows[cell]].element
        cooling_lost.setdefault(int(f.cell_contingencies[cell]), []).append(zone)
    return {
        contingency.lost: OwnLoss(
            figures.of_loss(c),
            tuple(switched_off.get(c, ())),
            tuple(cooling_lost.get(c, ())),
            f.second_loss.get(c, ()),
        )
        for c, contingency in enumerate(f.contingencies)
        if not contingency.normal and not contingency.zone
    }


def _coolings(figures: _Figures) -> dict[str, CoolingReport]:
    f = figures.facility
    installed = {z.name: len(z.units) for z in f.spec.coolings}
    result = {}
    for name, zone in f.coolings.items():
        b = f.row_index[LimitRow(RowKind.LIQUID if zone.medium == Medium.LIQUID else RowKind.AIR, name)]
        running = len(cooling.running_units(zone, f.live))
        result[name] = CoolingReport(
            name,
            int(f.limits[b]),
            int(figures.loads[b]),
            int(figures.left[b]),
            figures.of_row(b),
            Redundancy(running, zone.needed_units, installed[name]),
        )
    return result


def _budgets(figures: _Figures) -> dict[str, BudgetReport]:
    f = figures.facility
    return {
        row.element: BudgetReport(
            row.element,
            int(figures.loads[b]),
            int(f.limits[b]),
            int(figures.left[b]),
            figures.of_row(b),
        )
        for b, row in enumerate(f.rows)
        if row.kind is RowKind.BUDGET and row.starts_at is None
    }


def _domains(state: State) -> dict[str, DomainReport]:
    """By the nodes' own statement."""
    inventory = state.inventory
    gpus = state.table.gpus
    stated = np.flatnonzero(inventory.stated >= 0)
    ids = inventory.stated[stated]
    idle = (gpus > 0) & (state.free == gpus) & state.healthy
    sums = [np.bincount(ids, part[stated], minlength=len(inventory.stated_names)) for part in (idle, gpus)]
    nodes = np.bincount(ids, minlength=len(inventory.stated_names))
    # Where a node is a domain of its own there are as many as nodes.
    counts = np.stack([nodes, *sums]).astype(np.int64).tolist()
    return {
        name: DomainReport(name, *figures)
        for name, *figures in zip(inventory.stated_names, *counts, strict=True)
    }
