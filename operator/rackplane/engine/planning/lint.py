"""A facility examined before anything runs on it: what is exceeded idle, or full, now and after each loss.

Idle is every node that a rack is built for, without gangs; full is all of them at MaxP, nominal and peak.  Nothing here
makes admission unsafe, which keeps every limit by itself; it shows what a hall was not meant to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.explaining.phrases import against, kilowatts
from rackplane.engine.physics import draw
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.physics.rows import NOMINAL, LimitRow, RowKind
from rackplane.engine.planning import lintshape
from rackplane.engine.planning.findings import Finding, Severity, grouped, named

Loads = NDArray[np.float64]
_POWER = (RowKind.POWER_NOMINAL, RowKind.POWER_PEAK)
_COOLING = (RowKind.LIQUID, RowKind.AIR)
_RACK = (RowKind.RACK_NOMINAL, RowKind.RACK_PEAK, RowKind.FEED)
_KINDS = {
    **dict.fromkeys(_POWER, "PowerDomain"),
    **dict.fromkeys(_COOLING, "CoolingZone"),
    **dict.fromkeys(_RACK, "Rack"),
    RowKind.BUDGET: "PowerBudget",
}


def lint(facility: Facility, nodes: Mapping[str, int]) -> list[Finding]:
    """Everything to be said about the facility's shape and loads, the worst first; its ``problems`` are not repeated.

    Args:
        nodes: by rack, how many nodes it has when it is full; a rack that is not named cannot be judged full.
    """
    return grouped((*lintshape.findings(facility, nodes), *_Loads(facility, nodes).findings()))


class _Loads:
    def __init__(self, facility: Facility, nodes: Mapping[str, int]) -> None:
        self.facility = facility
        self.idle_watts = np.zeros(len(facility.racks), dtype=np.int64)
        self.full_watts = self.idle_watts.copy()
        """Nominal."""
        peak = self.idle_watts.copy()
        for i, (rack, t) in enumerate(zip(facility.racks, facility.rack_types, strict=True)):
            base = max(0, rack.overhead_watts)
            count = nodes.get(rack.name, 0) if t is not None else 0
            self.idle_watts[i] = self.full_watts[i] = peak[i] = base
            if t is not None and count:
                cap = draw.find_cap(t, draw.DEFAULT_PROFILE)
                full = draw.full_increment(t, t.max_watts if cap is None else cap.node_watts)
                self.idle_watts[i] += count * t.idle_watts
                self.full_watts[i] += count * (t.idle_watts + full.nominal)
                peak[i] += count * (t.idle_watts + full.peak)
        self.idle = self._loads(self.idle_watts, self.idle_watts)
        self.full = self._loads(self.full_watts, peak)

    def _loads(self, nominal: NDArray[np.int64], peak: NDArray[np.int64]) -> Loads:
        f = self.facility
        rack = np.repeat(np.arange(len(f.racks)), np.diff(f.starts))
        drawn = np.where(f.peak, peak[rack], nominal[rack])
        return f.constant + np.bincount(f.cells, f.coefficients * drawn, minlength=len(f.limits))

    def findings(self) -> Iterator[Finding]:
        """In the order of the cells: the normal state first."""
        f = self.facility
        said: set[tuple[int, str, bool]] = set()
        """(contingency, element, idle): of nominal load and peak, and of the normal state and a loss, one says it."""
        for cell in np.flatnonzero(self.full > f.limits + TOLERANCE_WATTS).tolist():
            contingency, row = f.describe(cell)
            c = int(f.cell_contingencies[cell])
            idle = bool(self.idle[cell] > f.limits[cell] + TOLERANCE_WATTS)
            element = f"{_KINDS[row.kind]}/{row.element}"
            covered = {(k, element, worse) for k in (0, c) for worse in {True, idle}}
            if covered & said or not self._meant(cell, row):
                continue
            said.add((c, element, idle))
            if idle:
                yield self._idle(cell, row, contingency.label if c else "")
            elif row.kind in _RACK:
                yield self._rack(cell, row, contingency.label if c else "")
            elif c == 0:
                yield self._oversubscribed(cell, row)
            elif row.kind in _COOLING:
                yield self._cooling(cell, row, contingency.label)
            elif row.kind in _POWER:
                yield self._power(cell, row, contingency.lost)

    def _meant(self, cell: int, row: LimitRow) -> bool:
        """Whether the limit is one of the design: what has an error, is out of service or leaves is not."""
        f = self.facility
        if row.starts_at is not None:
            return False
        if row.kind in _POWER:
            return row.element in f.live and f.limits[f.row_index[row]] > 0
        if row.kind in _RACK:
            return f.limits[cell] > 0 and f.rack_types[f.rack_index[row.element]] is not None
        if row.kind in _COOLING and f.coolings[row.element].retired:
            return False
        broken = {p.name for p in f.problems if p.kind == _KINDS[row.kind]}
        return row.element not in broken

    def _figures(self, cell: int, loads: Loads) -> str:
        return against(round(float(loads[cell])), round(float(self.facility.limits[cell])))

    def _after(self, lost: str) -> str:
        return f"after the loss of {lost} " if lost else ""

    def _idle(self, cell: int, row: LimitRow, lost: str) -> Finding:
        what = "its heat is" if row.kind in _COOLING else "the load is"
        measure = " at peak" if row.basis != NOMINAL else ""
        return Finding(
            Severity.ERROR,
            "idle-overload",
            _KINDS[row.kind],
            (row.element,),
            "spec",
            f"{self._after(lost)}{what} {self._figures(cell, self.idle)}{measure} though nothing runs: base loads and "
            "idle nodes alone are too much",
            f"raise its {row.kind}, or move racks and base loads elsewhere"
            + (f", or set survivable: false on {lost}" if lost and row.kind in _POWER else ""),
        )

    def _rack(self, cell: int, row: LimitRow, lost: str) -> Finding:
        f = self.facility
        rack = f.rack_index[row.element]
        t = f.rack_types[rack]
        assert t is not None
        field = {
            RowKind.RACK_NOMINAL: "spec.limitWatts",
            RowKind.RACK_PEAK: "spec.peakLimitWatts",
            RowKind.FEED: "spec.feeds",
        }[row.kind]
        measure = "" if row.basis == NOMINAL else " at peak"
        where = f"its feed from {row.detail} carries" if row.kind is RowKind.FEED else "it draws"
        full = draw.full_increment(t, t.max_watts)
        each = full.nominal if row.basis == NOMINAL else full.peak
        entries = f.entries(rack)
        share = float(f.coefficients[entries][f.cells[entries] == cell][0])
        room = int((f.limits[cell] - self.idle[cell]) // max(1.0, share * each))
        return Finding(
            Severity.WARNING,
            "rack-over-limit",
            "Rack",
            (row.element,),
            field,
            f"{self._after(lost)}{where} {self._figures(cell, self.full)}{measure} when every node runs at MaxP; "
            f"{room} of them can",
            "raise the limit if the equipment allows it, or expect the rest to run at a lower power profile or not",
        )

    def _oversubscribed(self, cell: int, row: LimitRow) -> Finding:
        words = "heat" if row.kind in _COOLING else "load"
        return Finding(
            Severity.INFO,
            "oversubscribed",
            _KINDS[row.kind],
            (row.element,),
            "spec",
            f"oversubscribed: the {words} is {self._figures(cell, self.full)} when every node runs at MaxP",
            "nothing, if this is meant: admission holds back what does not fit",
        )

    def _cooling(self, cell: int, row: LimitRow, lost: str) -> Finding:
        f = self.facility
        normal = float(f.limits[f.row_index[row]])
        return Finding(
            Severity.WARNING,
            "cooling-lost-with-power",
            "CoolingZone",
            (row.element,),
            "spec.units",
            f"the loss of {lost} takes cooling with it: from {kilowatts(normal)} to "
            f"{kilowatts(float(f.limits[cell]))}, and the heat is {kilowatts(float(self.full[cell]))} full and "
            f"{kilowatts(float(self.idle[cell]))} idle",
            f"feed its units from elements that do not fail with {lost}, or add a unit that does not",
        )

    def _power(self, cell: int, row: LimitRow, lost: str) -> Finding:
        f = self.facility
        group = self._group(int(f.cell_contingencies[cell]), row, lost)
        carried = sum(float(self.full[k]) for k in group.values())
        allowed = sum(float(f.limits[k]) for k in group.values())
        figures = self._figures(cell, self.full) + ("" if row.basis == NOMINAL else " at peak")
        if len(group) < 2 or carried > allowed + TOLERANCE_WATTS:
            together = f"; {named(group)} carry {kilowatts(allowed)} together" if len(group) > 1 else ""
            return Finding(
                Severity.INFO,
                "oversubscribed",
                "PowerDomain",
                (row.element,),
                "spec.ratedWatts",
                f"oversubscribed: after the loss of {lost} the load is {figures} when every node runs at MaxP"
                f"{together}",
                "nothing, if this is meant: admission holds back what does not fit",
            )
        shared = self._shared(lost, group)
        even = sum(shared.values()) / len(group)
        pairs = [f"{kilowatts(watts)} to {names}" for names, watts in shared.items()]
        return Finding(
            Severity.WARNING,
            "unbalanced",
            "PowerDomain",
            (row.element,),
            "spec",
            f"unbalanced: the loss of {lost} would put it at {figures} when every node runs at MaxP, though "
            f"{named(group)} carry {kilowatts(allowed)} together, which is enough; of the racks on {lost} fall "
            f"{named(pairs, most=8)}",
            f"spread the racks on {lost} evenly over {named(group)}: {kilowatts(even)} with each",
        )

    def _group(self, c: int, row: LimitRow, lost: str) -> dict[str, int]:
        """The elements that share redundancy with ``row``'s in that loss, each with its cell there.

        They take load over, or carry a rack together with one that does; of those in one line, the topmost.
        """
        f = self.facility
        cells = {f.rows[f.cell_rows[k]]: int(k) for k in np.flatnonzero(f.cell_contingencies == c)}
        near = lintshape.line_of(f, row.element) - {row.element} | {lost}
        beside = {
            p.name: f.row_index[LimitRow(row.kind, p.name)] for p in f.powers.values() if p.name not in near
        }
        now = {name: cells.get(LimitRow(row.kind, name), normal) for name, normal in beside.items()}
        found = {
            name
            for name, normal in beside.items()
            if float(self.full[now[name]]) > float(self.full[normal]) + TOLERANCE_WATTS
        }
        survivable = {normal: name for name, normal in beside.items() if f.powers[name].survivable}
        together = [
            {survivable[k] for k in f.cells[f.entries(i)].tolist() if k in survivable}
            for i in range(len(f.racks))
        ]
        grown = True
        while grown:
            more = {name for names in together if names & found for name in names}
            grown = not more <= found
            found |= more
        top = [name for name in found if not (lintshape.above(f, name) & found)]
        return {name: now[name] for name in f.powers if name in top}

    def _shared(self, lost: str, group: Mapping[str, int]) -> dict[str, float]:
        """Which elements take over the racks of the lost one: their names -> full nominal watts of those racks."""
        f = self.facility
        own = f.row_index[LimitRow(RowKind.POWER_NOMINAL, lost)]
        found: dict[str, float] = {}
        for i in range(len(f.racks)):
            entries = f.entries(i)
            factors = dict(zip(f.cells[entries].tolist(), f.coefficients[entries].tolist(), strict=True))
            if not factors.get(own):
                continue
            takers = [
                name
                for name, cell in group.items()
                if factors.get(cell, 0.0) > factors.get(int(f.cell_rows[cell]), 0.0)
            ]
            if takers:
                label = named(takers)
                found[label] = found.get(label, 0.0) + float(self.full_watts[i])
        return found
