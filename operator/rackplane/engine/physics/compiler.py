"""From a configuration to limits and coefficients: the normal state, then what each contingency changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    FacilitySpec,
    Feed,
    Medium,
    NodeType,
    RackSpec,
)
from rackplane.engine.physics import cooling, power
from rackplane.engine.physics.checks import Findings, check
from rackplane.engine.physics.contingencies import Downstream, designed_losses, second_losses
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.power import PowerFlow, add_scaled
from rackplane.engine.physics.rows import NORMAL, PEAK, Contingency, LimitRow, RowKind

_RISES = 1e-12


def compile_facility(spec: FacilitySpec) -> Facility:
    """Turn a configuration into limits and coefficients.

    Never raises: what is wrong is in ``problems``, and counts as no capacity.
    """
    return _Compiler(spec, check(spec)).compile()


@dataclass(slots=True)
class _Change:
    """One row under one contingency: what it is there, where it differs from the normal state."""

    limit: float
    constant: float
    racks: dict[int, float]
    """Rack -> its coefficient there, for racks whose coefficient is another."""


class _Compiler:
    def __init__(self, spec: FacilitySpec, found: Findings) -> None:
        self.spec = spec
        self.found = found
        self.powers = {p.name: p for p in spec.powers}
        self.order = found.power_order
        self.racks = tuple({r.name: r for r in spec.racks}.values())
        types = {t.name: t for t in spec.node_types if t.name not in found.bad_types}
        self.types = tuple(types.get(r.node_type) for r in self.racks)
        self.zones = {z.name: self._working(z) for z in spec.coolings}
        self.unusable = {r.name: "it is being deleted" for r in self.racks if r.retired} | found.bad_racks
        self.flow = PowerFlow(self.powers, self.order)
        self.live = frozenset(self.flow.live)
        self.budgets = _budgets(spec.budgets)
        self.tops = {row: self._tops(budgets) for row, budgets in self.budgets.items()}
        self.rows: list[LimitRow] = []
        self.index: dict[LimitRow, int] = {}
        self.limits: list[float] = []
        self.constant: list[float] = []
        self.by_row: list[dict[int, float]] = []
        """Row -> rack -> coefficient in the normal state."""

    def compile(self) -> Facility:
        self._normal()
        contingencies = [NORMAL, *designed_losses(self.powers, self.zones, self.live)]
        units = [u for z in self.spec.coolings for u in z.units]
        second = second_losses(
            self.powers,
            self.order,
            set(self.found.bad_powers),
            consumers=[*(r.feeds for r in self.racks), *(u.feeds for u in units)],
            contingencies=contingencies,
        )
        cell_rows = list(range(len(self.rows)))
        cell_contingencies = [0] * len(self.rows)
        limits, constant = list(self.limits), list(self.constant)
        permitted, capped = [False] * len(self.rows), [False] * len(self.rows)
        entries: list[dict[int, float]] = [{} for _ in self.racks]
        for b, racks in enumerate(self.by_row):
            for rack, value in racks.items():
                entries[rack][b] = value
        dropped: dict[str, list[int]] = {}
        losses = _Losses(self)
        for c, contingency in enumerate(contingencies):
            if contingency.normal or contingency.zone:
                continue
            changes, gone = losses.changes(contingency)
            for rack in gone:
                dropped.setdefault(self.racks[rack].name, []).append(c)
            for b, found in changes.items():
                for change, after_caps in self._bounds(b, found):
                    if not self._can_bind(b, change):
                        continue
                    cell = len(limits)
                    cell_rows.append(b)
                    cell_contingencies.append(c)
                    limits.append(change.limit)
                    constant.append(change.constant)
                    permitted.append(self.spec.admit_after_loss and (c in second or self._unit_is_out(b)))
                    capped.append(after_caps)
                    for rack, value in (self.by_row[b] | change.racks).items():
                        if value:
                            entries[rack][cell] = value
        return self._facility(
            contingencies,
            second,
            {name: tuple(found) for name, found in dropped.items()},
            cells=(cell_rows, cell_contingencies, limits, constant, permitted, capped),
            entries=entries,
        )

    def _facility(
        self,
        contingencies: Sequence[Contingency],
        second: Mapping[int, tuple[str, ...]],
        dropped: Mapping[str, tuple[int, ...]],
        *,
        cells: tuple[list[int], list[int], list[float], list[float], list[bool], list[bool]],
        entries: Sequence[Mapping[int, float]],
    ) -> Facility:
        cell_rows, cell_contingencies, limits, constant, permitted, after_caps = cells
        rows = np.array(cell_rows, dtype=np.int64)
        starts_at = [self.rows[b].starts_at for b in cell_rows]
        coming = np.array([s is not None for s in starts_at], dtype=np.bool_)
        allowed = np.array(permitted, dtype=np.bool_)
        windows = tuple(sorted({s for s in starts_at if s is not None}))
        parts = np.array([-1 if s is None else windows.index(s) for s in starts_at], dtype=np.int64)
        capped = np.array(after_caps, dtype=np.bool_)
        parts[capped] = len(windows)
        flat = np.array([cell for rack in entries for cell in rack], dtype=np.int64)
        peak_cell = np.array([self.rows[b].basis == PEAK for b in cell_rows], dtype=np.bool_)
        facility = Facility(
            spec=self.spec,
            problems=tuple(self.found.problems),
            racks=self.racks,
            rack_index={r.name: i for i, r in enumerate(self.racks)},
            rack_types=self.types,
            unusable=self.unusable,
            domains={d.name: d for d in self.spec.domains},
            powers=self.powers,
            coolings=self.zones,
            levels=self.spec.levels,
            inner_levels=self.spec.inner_levels,
            contingencies=tuple(contingencies),
            second_loss=second,
            dropped=dropped,
            rows=tuple(self.rows),
            row_index=self.index,
            cell_rows=rows,
            cell_contingencies=np.array(cell_contingencies, dtype=np.int64),
            limits=np.maximum(0.0, np.array(limits, dtype=np.float64)),
            constant=np.array(constant, dtype=np.float64),
            enforced=~coming & ~allowed,
            enforced_later=coming & ~allowed,
            cell_starts=np.array([-np.inf if s is None else s for s in starts_at], dtype=np.float64),
            cell_ends=np.array([self._ends_at(self.rows[b]) for b in cell_rows], dtype=np.float64),
            windows=windows,
            cell_windows=parts,
            capped=capped,
            live=self.live,
            starts=np.cumsum([0, *(len(rack) for rack in entries)], dtype=np.int64),
            cells=flat,
            coefficients=np.array([value for rack in entries for value in rack.values()], dtype=np.float64),
            peak=peak_cell[flat],
        )
        for name in (
            "limits",
            "constant",
            "cells",
            "coefficients",
            "peak",
            "starts",
            "enforced",
            "enforced_later",
        ):
            getattr(facility, name).setflags(write=False)
        return facility

    # -- the normal state --------------------------------------------------------------------------

    def _normal(self) -> None:
        self._add_rows()
        self.by_row = [{} for _ in self.rows]
        for i, rack in enumerate(self.racks):
            above, _ = self.flow.above(rack.feeds)
            if not above and rack.name not in self.unusable:
                self.unusable[rack.name] = "no live feed reaches it"
            for row, value in self.coefficients(i, self.flow).items():
                if value:
                    self.by_row[self.index[row]][i] = value
        output: dict[str, float] = {}
        for p in self.powers.values():
            add_scaled(output, self.flow.above_element(p.name), float(max(0, p.base_load_watts)))
        for zone in self.spec.coolings:
            for unit in zone.units:  # one with an error cools nothing, and may draw all the same
                if unit.online:
                    add_scaled(output, self.flow.above(unit.feeds)[0], float(max(0, unit.draw_watts)))
        sums = self.power_rows(output)
        self.constant = [sums.get(row, 0.0) for row in self.rows]

    def _row(self, row: LimitRow, limit: float) -> None:
        self.index[row] = len(self.rows)
        self.rows.append(row)
        self.limits.append(max(0.0, float(limit)))

    def _add_rows(self) -> None:
        for p in self.powers.values():
            usable = p.name in self.live and p.name not in self.found.bad_powers and not p.retired
            self._row(LimitRow(RowKind.POWER_NOMINAL, p.name), power.continuous_rating(p) if usable else 0.0)
            self._row(LimitRow(RowKind.POWER_PEAK, p.name), power.peak_rating(p) if usable else 0.0)
        for row, budgets in self.budgets.items():
            self._row(row, min(b.limit_watts for b in budgets))
        for z in self.zones.values():
            self._row(_heat_row(z), self.cooling_limit(z, self.live))
        for r in self.racks:
            limit = 0 if r.retired or r.name in self.found.bad_racks else r.limit_watts
            peak = r.limit_watts if r.peak_limit_watts is None else r.peak_limit_watts
            self._row(LimitRow(RowKind.RACK_NOMINAL, r.name), limit)
            self._row(LimitRow(RowKind.RACK_PEAK, r.name), peak if limit else 0)
            feed_limits: dict[str, int] = {}
            for feed in r.feeds:
                if feed.limit_watts is not None:
                    feed_limits[feed.power] = feed_limits.get(feed.power, 0) + feed.limit_watts
            for name, watts in feed_limits.items():
                self._row(LimitRow(RowKind.FEED, r.name, name), watts)

    def _ends_at(self, row: LimitRow) -> float:
        ends = [b.ends_at for b in self.budgets.get(row, ())]
        return max((np.inf if e is None else e for e in ends), default=np.inf)

    def _working(self, zone: CoolingSpec) -> CoolingSpec:
        units = tuple(u for u in zone.units if (zone.name, u.name) not in self.found.bad_units)
        return replace(zone, units=units)

    def _tops(self, budgets: Sequence[BudgetSpec]) -> Sequence[str]:
        named = {
            p.name
            for p in self.powers.values()
            for b in budgets
            if p.name in b.powers or p.feed_tag in b.feed_tags
        }
        return power.topmost(named, self.powers, self.order)

    def cooling_limit(self, zone: CoolingSpec, live: frozenset[str] | set[str]) -> float:
        """Heat the zone can promise with these elements live, in watts."""
        if zone.retired or zone.name in self.found.bad_zones:
            return 0.0
        return cooling.usable_watts(zone, live)

    def _unit_is_out(self, b: int) -> bool:
        """Whether the row is a zone that would not lose capacity if all its units were in service."""
        row = self.rows[b]
        if row.kind not in (RowKind.LIQUID, RowKind.AIR):
            return False
        zone = self.zones[row.element]
        return len(zone.units) > zone.needed_units and any(not u.online for u in zone.units)

    # -- coefficients ------------------------------------------------------------------------------

    def coefficients(self, rack: int, flow: PowerFlow) -> Mapping[LimitRow, float]:
        """For one watt of the rack's draw: watts on every row."""
        spec, node_type = self.racks[rack], self.types[rack]
        output, split = flow.above(spec.feeds)
        result = self.power_rows(output)
        result[LimitRow(RowKind.RACK_NOMINAL, spec.name)] = 1.0
        result[LimitRow(RowKind.RACK_PEAK, spec.name)] = 1.0
        for feed in spec.feeds:
            if feed.limit_watts is not None:
                result[LimitRow(RowKind.FEED, spec.name, feed.power)] = split.get(feed.power, 0.0)
        # Without power there is no heat; what a mistake in its configuration hides may still be running.
        if output or spec.name in self.found.bad_racks:
            result.update(self.heat_rows(spec, node_type))
        return result

    def heat_rows(self, rack: RackSpec, node_type: NodeType | None) -> dict[LimitRow, float]:
        """For one watt of the rack's draw: watts of heat on every cooling zone."""
        result: dict[LimitRow, float] = {}
        liquid = 0.0 if node_type is None else node_type.liquid_heat_percent / 100
        for kind, zone, part in (
            (RowKind.LIQUID, rack.liquid, liquid),
            (RowKind.AIR, rack.air, 1.0 - liquid),
        ):
            if zone is not None and part:
                for name in cooling.heat_path(zone, self.zones):
                    row = LimitRow(kind, name)
                    # a zone of the other medium is an error, reported, and takes no heat
                    if row in self.index:
                        result[row] = part
        return result

    def power_rows(self, output: Mapping[str, float]) -> dict[LimitRow, float]:
        """Outputs of elements as what they are on every row of elements and budgets."""
        result: dict[LimitRow, float] = {}
        for name, value in output.items():
            result[LimitRow(RowKind.POWER_NOMINAL, name)] = value
            result[LimitRow(RowKind.POWER_PEAK, name)] = value
        for row, tops in self.tops.items():
            total = sum(output.get(name, 0.0) for name in tops)
            if total:
                result[row] = total
        return result

    def _bounds(self, b: int, change: _Change) -> Iterator[tuple[_Change, bool]]:
        """The row's limits after a loss, and whether each is of what is left of its load once it is capped.

        Where an emergency rating may be used they are two: that, at once, and the continuous one, after the caps.
        """
        row = self.rows[b]
        if row.kind is RowKind.POWER_NOMINAL and change.limit > 0:
            short = power.emergency_rating(self.powers[row.element])
            if short > change.limit:
                yield replace(change, limit=short), False
                yield change, True
                return
        yield change, False

    def _can_bind(self, b: int, change: _Change) -> bool:
        """Whether some load reaches the limit there sooner than in the normal state."""
        normal = self.by_row[b]
        return (
            change.limit < self.limits[b]
            or change.constant > self.constant[b] + _RISES * max(1.0, self.constant[b])
            or any(value > normal.get(rack, 0.0) + _RISES for rack, value in change.racks.items())
        )


class _Losses:
    """What the loss of one power element changes: it and all below it, and nothing else."""

    def __init__(self, compiler: _Compiler) -> None:
        self.compiler = compiler
        self.downstream = Downstream(compiler.powers, compiler.order)
        self.racks_on = _by_feed((i, r.feeds) for i, r in enumerate(compiler.racks))
        self.units = [(z.name, u) for z in compiler.spec.coolings for u in z.units]
        self.units_on = _by_feed((i, u.feeds) for i, (_, u) in enumerate(self.units))

    def changes(self, contingency: Contingency) -> tuple[dict[int, _Change], list[int]]:
        """Row -> what it is after the loss; and the racks that no feed reaches then."""
        k = self.compiler
        below = self.downstream.below(contingency.lost)
        after = k.flow.without(contingency.lost, below)
        touched = [contingency.lost, *below]
        found: dict[int, _Change] = {}
        output: dict[str, float] = {}
        for name in touched:
            base = float(max(0, k.powers[name].base_load_watts))
            add_scaled(output, k.flow.above_element(name), -base)
            add_scaled(output, after.above_element(name), base)
        zones: dict[str, CoolingSpec] = {}
        for i in _on(self.units_on, touched):
            zone_name, unit = self.units[i]
            zones[zone_name] = k.zones[zone_name]
            if unit.online:
                drawn = float(max(0, unit.draw_watts))
                add_scaled(output, k.flow.above(unit.feeds)[0], -drawn)
                add_scaled(output, after.above(unit.feeds)[0], drawn)
        for row, watts in k.power_rows(output).items():
            if row in k.index:
                self._change(found, row).constant += watts
        gone: list[int] = []
        for rack in _on(self.racks_on, touched):
            now: Mapping[LimitRow, float] = k.coefficients(rack, after)
            if not after.above(k.racks[rack].feeds)[0] and k.racks[rack].name not in k.found.bad_racks:
                if k.racks[rack].name not in k.unusable:
                    gone.append(rack)
                now = {}
            was = k.coefficients(rack, k.flow)
            for row in {**was, **now}:
                if now.get(row, 0.0) != was.get(row, 0.0):
                    self._change(found, row).racks[rack] = now.get(row, 0.0)
        for zone in zones.values():
            self._change(found, _heat_row(zone)).limit = k.cooling_limit(zone, after.live)
        dead = set(touched) - after.live
        return {b: ch for b, ch in found.items() if self._counts(k.rows[b], dead)}, gone

    def _change(self, found: dict[int, _Change], row: LimitRow) -> _Change:
        k = self.compiler
        b = k.index[row]
        if b not in found:
            found[b] = _Change(k.limits[b], k.constant[b], {})
        return found[b]

    def _counts(self, row: LimitRow, dead: set[str]) -> bool:
        """A dead element carries nothing; a budget bounds contingencies only if it says so."""
        if row.kind is RowKind.BUDGET:
            return any(b.always for b in self.compiler.budgets[row])
        return not (row.kind in (RowKind.POWER_NOMINAL, RowKind.POWER_PEAK) and row.element in dead)


def _budgets(budgets: Iterable[BudgetSpec]) -> dict[LimitRow, list[BudgetSpec]]:
    """Each row's budgets: those of one name and one time are one bound."""
    rows: dict[LimitRow, list[BudgetSpec]] = {}
    for b in budgets:
        ends_at = None if b.starts_at is None else b.ends_at
        row = LimitRow(RowKind.BUDGET, b.name, starts_at=b.starts_at, ends_at=ends_at)
        rows.setdefault(row, []).append(b)
    return rows


def _heat_row(zone: CoolingSpec) -> LimitRow:
    return LimitRow(RowKind.LIQUID if zone.medium == Medium.LIQUID else RowKind.AIR, zone.name)


def _by_feed(consumers: Iterable[tuple[int, Sequence[Feed]]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for i, feeds in consumers:
        for name in {f.power for f in feeds}:
            found.setdefault(name, []).append(i)
    return found


def _on(consumers: Mapping[str, list[int]], elements: Iterable[str]) -> list[int]:
    return sorted({i for name in elements for i in consumers.get(name, ())})
