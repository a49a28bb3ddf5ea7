"""What elements carry by draws that need not be those of the books, and for how long that was too much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS, Loads
from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.engine.reporting.least import least, whole_watts
from rackplane.simulator.gauge import Gauge

__all__ = ["ElementLoad", "Exceeded", "Meter", "Worst"]

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Exceeded:
    """For how long limits were exceeded: as things were, and as they would have been after one loss more.

    Args:
        seconds: in which any limit was exceeded.
        after_a_loss_seconds: in which the loss of some element would have put one over its limit.
        worst_watts: the most that any was exceeded by, and of ``worst`` in words.
        by_element: seconds of each limit by itself.
    """

    seconds: int = 0
    after_a_loss_seconds: int = 0
    worst_watts: int = 0
    worst: str = ""
    by_element: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Worst:
    """The limit with the least left, under the loss that leaves it least."""

    headroom_watts: int
    limit: str
    loss: str


@dataclass(frozen=True, slots=True)
class ElementLoad:
    """A power domain, a cooling zone or a budget. Watts; of a cooling zone, of heat.

    ``headroom_watts`` is the least of limit - load over all losses, and ``loss`` the one that leaves it.
    """

    kind: str
    name: str
    watts: int
    limit_watts: int
    headroom_watts: int
    loss: str


_KINDS = {
    RowKind.POWER_NOMINAL: "PowerDomain",
    RowKind.BUDGET: "PowerBudget",
    RowKind.LIQUID: "CoolingZone",
    RowKind.AIR: "CoolingZone",
}


class Meter:
    """The loads that draws of racks make, by the engine's own sums, followed through time.

    Args:
        facility: whose limits count.
        now: in seconds.
    """

    def __init__(self, facility: Facility, now: int = 0) -> None:
        self.exceeded = Exceeded()
        self.joules = 0.0
        self.power = Gauge(0.0, now)
        """Watts of all racks together."""
        self._counted = now
        self._use(facility)
        self.power.value = self._total

    def _use(self, facility: Facility) -> None:
        self.facility = facility
        self._loads = Loads(facility)
        self._coming = (0,) * facility.parts
        self._counts = (facility.cell_windows < 0) & ~facility.capped
        self._normal = len(facility.rows)
        # A second loss may be permitted to exceed what a first one must not.
        self._limits = np.where(self._counts, facility.limits, np.inf) + TOLERANCE_WATTS
        self._limits[self._normal :][~facility.enforced[self._normal :]] = np.inf
        loaded = np.zeros(len(facility.limits), dtype=np.bool_)
        loaded[facility.cells] = True
        #: of what racks share and load: a full rack has no headroom, and that is no news
        self._shared = loaded & (facility.elements[facility.cell_rows] >= 0)
        self._over = np.zeros(0, dtype=np.int64)
        self._total = int(self._loads.nominal.sum())
        self._highest = self._loads.loads[: self._normal].copy()
        self._moved = self._lasting = True

    def change_facility(self, now: int, facility: Facility, nominal: Ints, peak: Ints) -> None:
        """Other limits from now on."""
        self.count(now)
        self._use(facility)
        self.follow(now, nominal, peak)

    def follow(self, now: int, nominal: Ints, peak: Ints) -> None:
        """Racks draw so much from now on; by rack, in watts, in the facility's order."""
        changed = np.flatnonzero((nominal != self._loads.nominal) | (peak != self._loads.peak))
        if len(changed):
            self.count(now)
            for rack in changed.tolist():
                delta = (
                    int(nominal[rack] - self._loads.nominal[rack]),
                    int(peak[rack] - self._loads.peak[rack]),
                )
                self._loads.add(rack, (*delta, *self._coming))
                self._total += delta[0]
            self.power.set(now, self._total)
            self._moved = self._lasting = True

    def add(self, now: int, watts: Mapping[int, int]) -> None:
        """Racks draw so much more from now on, at once and at their peak."""
        self.count(now)
        for rack, delta in watts.items():
            self._loads.add(rack, (delta, delta, *self._coming))
            self._total += delta
        self.power.set(now, self._total)
        self._moved = self._lasting = True

    def count(self, now: int) -> None:
        """Count the time until now."""
        spent = now - self._counted
        if spent <= 0:
            return
        self._counted = now
        self.joules += spent * self._total
        if self._lasting:
            # Two changes at one second are one.
            self._lasting = False
            np.maximum(self._highest, self._loads.loads[: self._normal], out=self._highest)
        self._look()
        if not len(self._over):
            return
        found, normal = self.exceeded, self._over[self._over < self._normal]
        found.seconds += spent if len(normal) else 0
        found.after_a_loss_seconds += spent if len(normal) < len(self._over) else 0
        f = self.facility
        for name in {f.rows[int(row)].label for row in normal.tolist()}:
            found.by_element[name] = found.by_element.get(name, 0) + spent
        over = (self._loads.loads - f.limits)[normal]
        if len(normal) and over.max() > found.worst_watts:
            cell = int(normal[int(over.argmax())])
            found.worst_watts, found.worst = round(float(over.max())), f.rows[cell].label

    @property
    def watts(self) -> int:
        """Of all racks together, now."""
        return self._total

    @property
    def exceeded_now(self) -> tuple[str, ...]:
        """The limits that are exceeded now, by their labels."""
        self._look()
        return tuple(self.facility.rows[cell].label for cell in self._over.tolist() if cell < self._normal)

    def of_rows(self) -> NDArray[np.float64]:
        """Watts by row, in the normal state."""
        return self._loads.loads[: self._normal]

    def worst(self) -> Worst | None:
        """Of the power domains, cooling zones and budgets above racks; None if there is none."""
        limits = np.where(self._shared, self._limits - TOLERANCE_WATTS, np.inf)
        left = whole_watts(limits - self._loads.loads)
        cell = int(left.argmin()) if len(left) else -1
        if cell < 0 or left[cell] >= 2**62:
            return None
        contingency, row = self.facility.describe(cell)
        return Worst(int(left[cell]), row.label, contingency.lost)

    def take_highest(self) -> dict[tuple[str, str], int]:
        """By kind and name, the most that each element has carried since it was last asked for, in watts."""
        loads = self._loads.loads[: self._normal]
        found = {
            (kind, row.element): round(float(self._highest[b]))
            for b, row in enumerate(self.facility.rows)
            if (kind := _KINDS.get(row.kind)) is not None and row.starts_at is None
        }
        self._highest = loads.copy()
        return found

    def elements(self) -> Iterator[ElementLoad]:
        """Every element and budget in force, in the order of the facility's rows."""
        f = self.facility
        left = whole_watts(f.limits - self._loads.loads)
        worst = least(f.elements[f.cell_rows], left, np.isfinite(self._limits))
        for b, row in enumerate(f.rows):
            kind, cell = _KINDS.get(row.kind), worst.get(int(f.elements[b]))
            if kind is None or cell is None or row.starts_at is not None:
                continue
            yield ElementLoad(
                kind=kind,
                name=row.element,
                watts=round(float(self._loads.loads[b])),
                limit_watts=round(float(f.limits[b])),
                headroom_watts=int(left[cell]),
                loss=f.describe(cell)[0].lost,
            )

    def watts_of(self, element: ElementLoad) -> int:
        """What this meter says of an element of another one of the same facility."""
        for kind, name in _KINDS.items():
            row = LimitRow(kind, element.name)
            if name == element.kind and row in self.facility.row_index:
                return round(float(self._loads.loads[self.facility.row_index[row]]))
        return 0

    def _look(self) -> None:
        """See what is exceeded, if that may have changed."""
        if not self._moved:
            return
        self._moved = False
        over = self._loads.loads > self._limits
        # Asked with each change of a draw: `any` of an array takes three times as long.
        self._over = np.flatnonzero(over) if np.count_nonzero(over) else self._over[:0]
