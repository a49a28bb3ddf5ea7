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


_PENDING = 512
"""So many changes of draws are worked out at once at most."""


class Meter:
    """The loads that draws of racks make, by the engine's own sums, followed through time.

    What is told by :meth:`add` is worked out when somebody asks, many changes at once. ``exceeded``, ``joules`` and
    ``power`` are those of the time that was counted last.

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
        #: changes that are not worked out yet, in order: when, which rack, and by how many watts
        self._pending: list[tuple[int, int, int]] = []
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
        self._catch_up()
        changed = ((nominal != self._loads.nominal) | (peak != self._loads.peak)).nonzero()[0]
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
        self._pending.extend([(now, rack, delta) for rack, delta in watts.items()])
        if len(self._pending) >= _PENDING:
            self._catch_up()

    def count(self, now: int) -> None:
        """Count the time until now."""
        self._catch_up()
        self._count(now)

    def _count(self, now: int) -> None:
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
        if len(self._over):
            self._exceed(spent, self._over, self._loads.loads)

    def _catch_up(self) -> None:
        """Work out what has been told."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        self._count(pending[0][0])
        times, racks, watts = zip(*pending, strict=True)
        after = self._loads.add_each(racks, watts)
        if after is None:
            for at, rack, delta in pending:
                self._count(at)
                self._loads.add(rack, (delta, delta, *self._coming))
                self._total += delta
                self.power.set(at, self._total)
                self._moved = self._lasting = True
            return
        over = np.count_nonzero(after > self._limits, axis=1).tolist()
        lasted = []
        for step, (at, following) in enumerate(zip(times, (*times[1:], times[-1]), strict=True)):
            self._total += watts[step]
            if following == at and step + 1 < len(times):
                continue  # two changes at one second are one
            self.power.set(at, self._total)
            self._counted = following
            self.joules += (following - at) * self._total
            if following > at:
                lasted.append(step)
                if over[step]:
                    self._exceed(following - at, np.flatnonzero(after[step] > self._limits), after[step])
        if lasted:
            highest = after[lasted, : self._normal].max(axis=0)
            np.maximum(self._highest, highest, out=self._highest)
        self._moved = self._lasting = True

    def _exceed(self, spent: int, over: Ints, loads: NDArray[np.float64]) -> None:
        """For so many seconds these cells were over their limits, under these loads."""
        found, normal = self.exceeded, over[over < self._normal]
        found.seconds += spent if len(normal) else 0
        found.after_a_loss_seconds += spent if len(normal) < len(over) else 0
        f = self.facility
        for name in {f.rows[int(row)].label for row in normal.tolist()}:
            found.by_element[name] = found.by_element.get(name, 0) + spent
        beyond = (loads - f.limits)[normal]
        if len(normal) and beyond.max() > found.worst_watts:
            cell = int(normal[int(beyond.argmax())])
            found.worst_watts, found.worst = round(float(beyond.max())), f.rows[cell].label

    @property
    def watts(self) -> int:
        """Of all racks together, now."""
        self._catch_up()
        return self._total

    @property
    def exceeded_now(self) -> tuple[str, ...]:
        """The limits that are exceeded now, by their labels."""
        self._catch_up()
        self._look()
        return tuple(self.facility.rows[cell].label for cell in self._over.tolist() if cell < self._normal)

    def of_rows(self) -> NDArray[np.float64]:
        """Watts by row, in the normal state."""
        self._catch_up()
        return self._loads.loads[: self._normal]

    def worst(self) -> Worst | None:
        """Of the power domains, cooling zones and budgets above racks; None if there is none."""
        self._catch_up()
        limits = np.where(self._shared, self._limits - TOLERANCE_WATTS, np.inf)
        left = whole_watts(limits - self._loads.loads)
        cell = int(left.argmin()) if len(left) else -1
        if cell < 0 or left[cell] >= 2**62:
            return None
        contingency, row = self.facility.describe(cell)
        return Worst(int(left[cell]), row.label, contingency.lost)

    def take_highest(self) -> dict[tuple[str, str], int]:
        """By kind and name, the most that each element has carried since it was last asked for, in watts."""
        self._catch_up()
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
        self._catch_up()
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
        self._catch_up()
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
