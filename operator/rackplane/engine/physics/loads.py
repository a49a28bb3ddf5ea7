"""The load of every limit: what each rack draws, and what that is on every cell.

Draws of racks are exact integers.  Loads (watts by cell) are float64, updated by differences and recomputed every
``RECOMPUTE_EVERY`` changes; their error stays far below ``TOLERANCE_WATTS``, and a limit counts as exceeded only
beyond that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import InvariantViolation
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.headroom import Headrooms
from rackplane.engine.physics.rows import Contingency, LimitRow

TOLERANCE_WATTS = 0.01
RECOMPUTE_EVERY = 1024

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Violation:
    """A limit that is exceeded, by contingency and row, with the load and the limit in watts."""

    contingency: Contingency
    row: LimitRow
    load_watts: float
    limit_watts: float


@dataclass(frozen=True, slots=True)
class Saved:
    """Loads as they were, to the last bit."""

    updates: int
    nominal: NDArray[np.int64]
    peak: NDArray[np.int64]
    loads: Floats
    over_by: NDArray[np.int64]
    headrooms: Headrooms | None
    changed: frozenset[int]


class Loads:
    """Draws of racks and loads of cells of one facility.  Every change is O(entries of the rack)."""

    def __init__(self, facility: Facility) -> None:
        self.facility = facility
        self.nominal = np.array([max(0, r.overhead_watts) for r in facility.racks], dtype=np.int64)
        """P_r nominal, exact."""
        self.peak = self.nominal.copy()
        """P_r peak, exact."""
        self._over_by = np.zeros((facility.parts, len(facility.racks)), dtype=np.int64)
        """By part and rack: nominal watts of what is over by each coming budget's start, then what caps take."""
        self._headrooms: Headrooms | None = None
        self._changed: set[int] = set()
        """Racks whose draws have changed since the headrooms were worked out."""
        self._tolerant: tuple[Floats, Floats] = np.zeros(0), np.zeros(0)
        self._updates = 0
        self._calm = False
        """Whether it is known that no limit of the normal state is exceeded."""
        self.loads = self._exact_loads()
        """Watts by cell."""

    def add(self, rack: int, delta: Sequence[int]) -> None:
        """Change a rack's draw: by nominal watts, peak watts, and the nominal watts of each of the facility's parts."""
        nominal, peak = delta[0], delta[1]
        self.nominal[rack] += nominal
        self.peak[rack] += peak
        f = self.facility
        cells, coefficients, of_peak = f.entries_by_rack[rack]
        drawn = nominal if peak == nominal else np.where(of_peak, peak, nominal)
        if f.parts:
            over = np.array((*delta[2:], 0), dtype=np.int64)  # the last is for the cells of no window: -1
            self._over_by[:, rack] += over[:-1]
            drawn = drawn - over[f.cell_windows[cells]]
        self.loads[cells] += coefficients * drawn
        self._changed.add(rack)
        self._calm = False
        self._updates += 1
        if self._updates >= RECOMPUTE_EVERY:
            self.reload()

    def add_each(self, racks: Sequence[int], watts: Sequence[int]) -> Floats | None:
        """As :meth:`add` of each in turn, of so many watts at once and at their peak.

        Returns:
            Watts by cell after each of the changes; None, and nothing is changed, where it takes one after the other.
        """
        f = self.facility
        dense = f.coefficients_by_rack
        if dense is None or f.parts:
            return None
        found = np.empty((len(racks), len(self.loads)))
        at, more = np.array(racks, dtype=np.int64), np.array(watts, dtype=np.int64)
        begin = 0
        while begin < len(at):
            now = slice(begin, min(len(at), begin + RECOMPUTE_EVERY - self._updates))
            np.add.at(self.nominal, at[now], more[now])
            np.add.at(self.peak, at[now], more[now])
            steps = dense[at[now]] * more[now, np.newaxis]
            steps[0] += self.loads
            # One after the other, so that sums are rounded as they are by `add`.
            np.cumsum(steps, axis=0, out=found[now])
            self.loads = found[now.stop - 1].copy()
            self._updates += now.stop - begin
            if self._updates >= RECOMPUTE_EVERY:
                self.reload()
                found[now.stop - 1] = self.loads
            begin = now.stop
        self._changed.update(racks)
        self._calm = False
        return found

    def reload(self) -> None:
        """Compute every load anew from the racks' draws, as is done by itself every ``RECOMPUTE_EVERY`` changes."""
        self._updates = 0
        self.loads = self._exact_loads()
        self._headrooms, self._calm = None, False

    def _exact_loads(self) -> NDArray[np.float64]:
        f = self.facility
        order, loaded, begins = f.by_cell
        watts = np.concatenate((self.nominal, self.peak))[f.draw_index] * f.coefficients
        if f.parts:
            rack = f.entry_racks[f.coming]
            over = self._over_by[f.cell_windows[f.cells[f.coming]], rack]
            watts[f.coming] -= over * f.coefficients[f.coming]
        loads = f.constant.copy()
        if len(loaded):
            loads[loaded] += np.add.reduceat(watts[order], begins)
        return loads

    def violations(self, *, normal: bool = False) -> list[Violation]:
        """Every limit that is exceeded, by contingency and row: of second losses and of coming budgets too.

        ``normal``: of the normal state alone.
        """
        result: list[Violation] = []
        if normal and self._calm:  # asked several times after each change, and most often so
            return result
        cells = len(self.facility.rows) if normal else len(self.loads)
        over = self.loads[:cells] > self.facility.limits[:cells] + TOLERANCE_WATTS
        if not np.count_nonzero(over):
            self._calm = normal
            return result
        for cell in np.flatnonzero(over).tolist():
            contingency, row = self.facility.describe(cell)
            result.append(
                Violation(contingency, row, float(self.loads[cell]), float(self.facility.limits[cell]))
            )
        return result

    def slack(self, until: float | None = None, *, at: float | None = None) -> NDArray[np.float64]:
        """Watts left by cell for something that ends at ``until`` (None: never); infinite where it is not bound.

        ``at`` asks for a later time than now: budgets that end by then bind no more.
        """
        f = self.facility
        if not f.windows and at is None:
            return f.enforced_limits - self.loads
        binds = f.enforced
        if f.windows:
            later = f.enforced_later
            binds = binds | (later if until is None else later & (f.cell_starts < until))
        if at is not None:
            binds = binds & (f.cell_ends > at)
        return np.where(binds, f.limits - self.loads, np.inf)

    def headrooms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Watts by rack that may still be added to its nominal and to its peak draw: the least over all enforced cells.

        Negative where a limit is exceeded, inf where nothing bounds a rack.  Do not write to them.
        """
        racks, least = len(self.facility.racks), self.both_headrooms()
        return least[:racks], least[racks:]

    def tolerant_headrooms(self) -> Floats:
        """As :meth:`both_headrooms`, and half the tolerance more: one array for as long as nothing changes."""
        least = self.both_headrooms()
        if self._tolerant[0] is not least:
            self._tolerant = least, least + TOLERANCE_WATTS / 2
        return self._tolerant[1]

    def both_headrooms(self) -> Floats:
        """As :meth:`headrooms`, nominal by rack, then peak by rack."""
        table = self.facility.headroom
        if self._headrooms is None:
            self._headrooms = table.of(self.loads)
        elif self._changed:
            self._headrooms = table.after(self._headrooms, self.loads, self._changed)
        self._changed.clear()
        return self._headrooms.least

    def headrooms_under(self, slack: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As :meth:`headrooms`, under another slack by cell, and with what coming budgets leave in it."""
        f = self.facility
        least = f.headroom.under(slack).least
        nominal, peak = least[: len(f.racks)], least[len(f.racks) :]
        if f.windows:
            ratio = slack[f.cells[f.coming]] / f.coefficients[f.coming]
            np.minimum.at(nominal, f.entry_racks[f.coming], ratio)
        return nominal, peak

    def headroom(self, rack: int) -> float:
        """Watts the rack may still add: min over c, b with A > 0 of (limit - L) / A; negative if one is exceeded.

        Coming budgets do not bound it.
        """
        nominal, peak = self.headrooms()
        return float(min(nominal[rack], peak[rack]))

    def saved(self) -> Saved:
        """What :meth:`restore` needs, once."""
        return Saved(
            self._updates,
            self.nominal.copy(),
            self.peak.copy(),
            self.loads.copy(),
            self._over_by.copy(),
            self._headrooms,
            frozenset(self._changed),
        )

    def restore(self, saved: Saved) -> None:
        """Take draws and loads back to what they were, rounding errors included."""
        self._updates, self.loads, self._over_by = saved.updates, saved.loads, saved.over_by
        self.nominal, self.peak = saved.nominal, saved.peak
        self._headrooms, self._changed = saved.headrooms, set(saved.changed)
        self._calm = False

    def after(self, deltas: Mapping[int, Sequence[int]]) -> Loads:
        """A copy in which racks draw more or less: by rack, what :meth:`add` takes."""
        other = Loads.__new__(Loads)  # what the facility draws by itself is in the copy already
        other.facility = self.facility
        other.nominal, other.peak = self.nominal.copy(), self.peak.copy()
        other.loads, other._over_by = self.loads.copy(), self._over_by.copy()
        other._updates, other._headrooms, other._calm = self._updates, self._headrooms, False
        other._changed, other._tolerant = set(self._changed), self._tolerant
        changed = {rack: delta for rack, delta in deltas.items() if any(delta)}
        if len(changed) > 1 and not self.facility.parts and self._updates + len(changed) < RECOMPUTE_EVERY:
            other._add_all(changed)
        else:
            for rack, delta in changed.items():
                other.add(rack, delta)
        return other

    def _add_all(self, deltas: Mapping[int, Sequence[int]]) -> None:
        """As :meth:`add` of each in turn, to the last bit, where draws have no parts and nothing is to be reloaded."""
        racks = list(deltas)
        nominal, peak = np.array([delta[:2] for delta in deltas.values()], dtype=np.int64).T
        self.nominal[racks] += nominal
        self.peak[racks] += peak
        entries = [self.facility.entries_by_rack[rack] for rack in racks]
        cells, coefficients, of_peak = map(np.concatenate, zip(*entries, strict=True))
        sizes = [len(of_rack[0]) for of_rack in entries]
        drawn = np.where(of_peak, np.repeat(peak, sizes), np.repeat(nominal, sizes))
        np.add.at(self.loads, cells, coefficients * drawn)
        self._changed.update(racks)
        self._calm = False
        self._updates += len(racks)

    def compare(self, fresh: Loads) -> None:
        """Compare with loads that were made from the same draws anew.

        Raises:
            InvariantViolation: something differs.
        """
        for part in ("nominal", "peak", "_over_by"):
            if not np.array_equal(getattr(fresh, part), getattr(self, part)):
                raise InvariantViolation("the draw of a rack differs from the sum of its nodes")
        if not np.allclose(fresh._exact_loads(), self.loads, rtol=0, atol=TOLERANCE_WATTS):
            raise InvariantViolation("a load differs from its recomputation by more than the tolerance")
        if not np.array_equal(self.both_headrooms(), self.facility.headroom.of(self.loads).least):
            raise InvariantViolation("the headroom of a rack differs from its recomputation")
