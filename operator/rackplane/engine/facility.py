"""The compiled facility: every limit as one row b of each contingency c, and each rack's coefficients on them.

``limits[c, b]`` and ``constant[c, b]`` are in watts.  ``L[c, b] = constant[c, b] + sum over racks of coefficient x
P_r``, with P_r the rack's nominal or peak draw by the entry's basis.  A rack's entries lie together (CSR), across
all contingencies, and address the flattened ``[c, b]``.  c = 0 is the normal state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rackplane.engine import cooling, power
from rackplane.engine.checks import Findings, check
from rackplane.engine.model import (
    Cause,
    CoolingSpec,
    DomainSpec,
    FacilitySpec,
    Medium,
    NodeType,
    PowerSpec,
    Problem,
    RackSpec,
)

NORMAL = "normal"
NOMINAL, PEAK = 0, 1


class RowKind(StrEnum):
    """What a limit row bounds."""

    POWER_NOMINAL = "continuous rating"
    POWER_PEAK = "peak limit"
    BUDGET = "budget"
    RACK_NOMINAL = "rack limit (nominal)"
    RACK_PEAK = "rack limit"
    FEED = "feed limit"
    LIQUID = "liquid cooling"
    AIR = "air cooling"


_CAUSES = {RowKind.BUDGET: Cause.BUDGET, RowKind.LIQUID: Cause.LIQUID, RowKind.AIR: Cause.AIR}
_PEAK_KINDS = frozenset({RowKind.POWER_PEAK, RowKind.RACK_PEAK, RowKind.FEED})


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limited quantity: ``element`` is the object's name, ``detail`` the feed's power domain for a feed row."""

    kind: RowKind
    element: str
    detail: str = ""

    @property
    def cause(self) -> Cause:
        """The cause a refusal by this row is counted under."""
        return _CAUSES.get(self.kind, Cause.POWER)

    @property
    def basis(self) -> int:
        """NOMINAL or PEAK: which of a rack's two draws this row sums."""
        return PEAK if self.kind in _PEAK_KINDS else NOMINAL

    @property
    def label(self) -> str:
        """The limited thing in a reader's words."""
        if self.kind is RowKind.BUDGET:
            return f"budget {self.element}"
        if self.kind in (RowKind.LIQUID, RowKind.AIR):
            return f"cooling zone {self.element}"
        if self.kind is RowKind.FEED:
            return f"feed {self.detail} of rack {self.element}"
        if self.kind in (RowKind.RACK_NOMINAL, RowKind.RACK_PEAK):
            return f"rack {self.element}"
        return f"power domain {self.element}" + (" (peak)" if self.kind is RowKind.POWER_PEAK else "")


@dataclass(frozen=True, eq=False)
class Facility:
    """Immutable; shared by every state and every decision.  Built by :func:`compile_facility` only."""

    spec: FacilitySpec
    problems: tuple[Problem, ...]
    racks: tuple[RackSpec, ...]
    rack_index: Mapping[str, int]
    rack_types: tuple[NodeType | None, ...]
    unusable: Mapping[str, str]
    """Rack name -> why nothing may be placed there (besides a maintenance state)."""
    domains: Mapping[str, DomainSpec]
    powers: Mapping[str, PowerSpec]
    coolings: Mapping[str, CoolingSpec]
    levels: tuple[str, ...]
    contingencies: tuple[str, ...]
    rows: tuple[LimitRow, ...]
    row_index: Mapping[LimitRow, int]
    limits: NDArray[np.float64]
    constant: NDArray[np.float64]
    live: tuple[frozenset[str], ...]
    """For each contingency, the power elements that are live."""
    starts: NDArray[np.int64]
    """Rack r's entries are ``starts[r]:starts[r + 1]``."""
    cells: NDArray[np.int64]
    """Entry -> index into the flattened ``[c, b]``; unique within a rack."""
    coefficients: NDArray[np.float64]
    peak: NDArray[np.bool_]
    """Entry -> whether it takes the rack's peak draw."""

    def entries(self, rack: int) -> slice:
        """Where the rack's entries lie."""
        return slice(int(self.starts[rack]), int(self.starts[rack + 1]))

    def describe(self, cell: int) -> tuple[str, LimitRow]:
        """The contingency and the row of a flattened index."""
        contingency, row = divmod(cell, len(self.rows))
        return self.contingencies[contingency], self.rows[row]

    def usable(self, rack: int) -> bool:
        """Whether gangs may be placed on the rack: free of errors, fed, and Active."""
        spec = self.racks[rack]
        return spec.schedulable and spec.name not in self.unusable


def compile_facility(spec: FacilitySpec) -> Facility:
    """Turn a configuration into limits and coefficients.

    Never raises: what is wrong is in ``problems``, and counts as no capacity.
    """
    found = check(spec)
    builder = _Builder(spec, found)
    return builder.build()


class _Builder:
    def __init__(self, spec: FacilitySpec, found: Findings) -> None:
        self.spec = spec
        self.found = found
        self.powers = {p.name: p for p in spec.powers}
        self.zones = {z.name: z for z in spec.coolings}
        self.racks = tuple({r.name: r for r in spec.racks}.values())
        types = {t.name: t for t in spec.node_types if t.name not in found.bad_types}
        self.types = tuple(types.get(r.node_type) for r in self.racks)
        self.order = found.power_order
        self.flows = [power.PowerFlow(self.powers, self.order, found.bad_powers)]
        self.names = [NORMAL]
        self.unusable = dict(found.bad_racks)
        self.rows: list[LimitRow] = []
        self.index: dict[LimitRow, int] = {}
        self.row_limits: list[list[float]] = []
        self.budget_tops = self._budget_tops()

    def build(self) -> Facility:
        self._add_rows()
        constant = np.array([self._constants(flow) for flow in self.flows], dtype=np.float64)
        limits = np.array(self.row_limits, dtype=np.float64).reshape(len(self.rows), len(self.flows)).T.copy()
        starts, cells, coefficients = [0], list[int](), list[float]()
        for rack, node_type in zip(self.racks, self.types, strict=True):
            for c, flow in enumerate(self.flows):
                above, _ = flow.above(rack.feeds)
                if c == 0 and not above and rack.name not in self.unusable:
                    self.unusable[rack.name] = "no live feed reaches it"
                for row, value in self._coefficients(rack, node_type, flow).items():
                    if value:
                        cells.append(c * len(self.rows) + self.index[row])
                        coefficients.append(value)
            starts.append(len(cells))
        peak_row = np.array([row.basis == PEAK for row in self.rows] * len(self.flows), dtype=np.bool_)
        cell_array = np.array(cells, dtype=np.int64)
        for array in (limits, constant, cell_array):
            array.setflags(write=False)
        return Facility(
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
            contingencies=tuple(self.names),
            rows=tuple(self.rows),
            row_index=self.index,
            limits=limits,
            constant=constant.reshape(limits.shape),
            live=tuple(frozenset(flow.live) for flow in self.flows),
            starts=np.array(starts, dtype=np.int64),
            cells=cell_array,
            coefficients=np.array(coefficients, dtype=np.float64),
            peak=peak_row[cell_array] if len(cell_array) else np.zeros(0, dtype=np.bool_),
        )

    def _row(self, row: LimitRow, limits: Iterable[float]) -> None:
        self.index[row] = len(self.rows)
        self.rows.append(row)
        self.row_limits.append([max(0.0, float(limit)) for limit in limits])

    def _add_rows(self) -> None:
        flows = self.flows
        for p in self.powers.values():
            nominal, peak = (
                (0.0, 0.0)
                if p.name in self.found.bad_powers
                else (power.continuous_rating(p), power.peak_rating(p))
            )
            for kind, rating in ((RowKind.POWER_NOMINAL, nominal), (RowKind.POWER_PEAK, peak)):
                self._row(LimitRow(kind, p.name), [rating if p.name in f.live else 0.0 for f in flows])
        budgets: dict[str, float] = {}
        for b in self.spec.budgets:
            budgets[b.name] = min(budgets.get(b.name, np.inf), b.limit_watts)
        for name, limit in budgets.items():
            self._row(LimitRow(RowKind.BUDGET, name), [limit] * len(flows))
        for z in self.zones.values():
            kind = RowKind.LIQUID if z.medium == Medium.LIQUID else RowKind.AIR
            working = self._without_bad_units(z)
            usable = [
                0.0 if z.name in self.found.bad_zones else cooling.usable_watts(working, f.live)
                for f in flows
            ]
            self._row(LimitRow(kind, z.name), usable)
        for r in self.racks:
            limit = 0 if r.name in self.found.bad_racks else r.limit_watts
            self._row(LimitRow(RowKind.RACK_NOMINAL, r.name), [limit] * len(flows))
            self._row(LimitRow(RowKind.RACK_PEAK, r.name), [limit] * len(flows))
            feed_limits: dict[str, int] = {}
            for feed in r.feeds:
                if feed.limit_watts is not None:
                    feed_limits[feed.power] = feed_limits.get(feed.power, 0) + feed.limit_watts
            for name, limit in feed_limits.items():
                self._row(LimitRow(RowKind.FEED, r.name, name), [limit] * len(flows))

    def _without_bad_units(self, zone: CoolingSpec) -> CoolingSpec:
        units = tuple(u for u in zone.units if (zone.name, u.name) not in self.found.bad_units)
        return CoolingSpec(
            zone.name, zone.medium, units, zone.needed_units, zone.derating_percent, zone.parents
        )

    def _constants(self, flow: power.PowerFlow) -> list[float]:
        output: dict[str, float] = {}
        for p in self.powers.values():
            power.add_scaled(output, flow.above_element(p.name), float(max(0, p.base_load_watts)))
        for z in self.zones.values():
            for unit in z.units:
                if unit.online and (z.name, unit.name) not in self.found.bad_units:
                    above, _ = flow.above(unit.feeds)
                    power.add_scaled(output, above, float(unit.draw_watts))
        rows = self._power_rows(output)
        return [rows.get(row, 0.0) for row in self.rows]

    def _coefficients(
        self, rack: RackSpec, node_type: NodeType | None, flow: power.PowerFlow
    ) -> Mapping[LimitRow, float]:
        output, split = flow.above(rack.feeds)
        result = self._power_rows(output)
        result[LimitRow(RowKind.RACK_NOMINAL, rack.name)] = 1.0
        result[LimitRow(RowKind.RACK_PEAK, rack.name)] = 1.0
        for feed in rack.feeds:
            if feed.limit_watts is not None:
                result[LimitRow(RowKind.FEED, rack.name, feed.power)] = split.get(feed.power, 0.0)
        liquid = 0.0 if node_type is None else node_type.liquid_heat_percent / 100
        for kind, zone, part in (
            (RowKind.LIQUID, rack.liquid, liquid),
            (RowKind.AIR, rack.air, 1.0 - liquid),
        ):
            if zone is not None and part:
                for name in cooling.heat_path(zone, self.zones):
                    row = LimitRow(kind, name)
                    if (
                        row in self.index
                    ):  # a zone of the other medium is an error, reported, and takes no heat
                        result[row] = part
        return result

    def _power_rows(self, output: Mapping[str, float]) -> dict[LimitRow, float]:
        result: dict[LimitRow, float] = {}
        for name, value in output.items():
            result[LimitRow(RowKind.POWER_NOMINAL, name)] = value
            result[LimitRow(RowKind.POWER_PEAK, name)] = value
        for budget, tops in self.budget_tops.items():
            total = sum(output.get(name, 0.0) for name in tops)
            if total:
                result[LimitRow(RowKind.BUDGET, budget)] = total
        return result

    def _budget_tops(self) -> dict[str, Sequence[str]]:
        targets: dict[str, set[str]] = {}
        for b in self.spec.budgets:
            named = {p.name for p in self.powers.values() if p.name in b.powers or p.feed_tag in b.feed_tags}
            targets.setdefault(b.name, set()).update(named)
        return {name: power.topmost(chosen, self.powers, self.order) for name, chosen in targets.items()}
