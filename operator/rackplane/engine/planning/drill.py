"""What a loss would do: what is exceeded, what goes dark, which reserve is gone, and what would bring it back under.

The facility is compiled with the lost elements out of service, as it would be if they were; what runs goes on as it
is.  So the answer holds for the loss as the new normal.  What the *next* single loss would exceed is told apart.
Emergency ratings are no part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rackplane.engine.model import Medium
from rackplane.engine.physics import cooling
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS, Violation
from rackplane.engine.physics.rows import Contingency, LimitRow, RowKind
from rackplane.engine.planning.whatif import Change, RackChange, what_if
from rackplane.engine.shedding.relieving import relieve
from rackplane.engine.shedding.terms import Plan, Terms
from rackplane.engine.state import State


@dataclass(frozen=True, slots=True)
class NextLoss:
    """A single loss that would no longer be survived: what it would exceed, and the racks it would leave dark.

    ``second_to`` names elements out of service that share its redundancy.
    """

    loss: Contingency
    over: tuple[Violation, ...]
    dark: tuple[str, ...]
    second_to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ZoneLoss:
    """A cooling zone that promises less, or has no unit in reserve any more (``reserve_gone``)."""

    name: str
    before_watts: int
    after_watts: int
    heat_watts: int
    running: int
    needed: int
    reserve_gone: bool


@dataclass(frozen=True, slots=True)
class Drill:
    """The answer.  Racks and gangs in the facility's order; violations as :meth:`State.violations` lists them."""

    over: tuple[Violation, ...]
    """Limits that are exceeded after it, and were not, or less, before."""
    already: tuple[Violation, ...]
    """Limits that are exceeded after it as much as before, or less."""
    dark: tuple[str, ...]
    """Racks that no feed reaches any more, or that were switched off."""
    ended: tuple[str, ...]
    """Gangs that have a slot on a rack or node that went dark: they cannot go on as a whole."""
    zones: tuple[ZoneLoss, ...]
    next_losses: tuple[NextLoss, ...]
    """Losses that were survived before and are not now."""
    plan: Plan
    after: State
    """The state that this speaks of."""

    @property
    def survives(self) -> bool:
        """Whether every limit is kept and no rack or gang is lost."""
        return not (self.over or self.dark or self.ended)


def drill(state: State, changes: Iterable[Change], terms: Mapping[str, Terms] | None = None) -> Drill:
    """Make the changes on a copy and compare.  ``state`` stays as it is.

    Args:
        terms: what may be done to each gang, by booking key (see :mod:`engine.shedding`).
    """
    changes = list(changes)
    after = what_if(state, changes)
    before_over = {(v.contingency, v.row): v for v in state.violations()}

    def is_worse(v: Violation) -> bool:
        old = before_over.get((v.contingency, v.row))
        # A loss that binds no sooner than the normal state has no limit of its own: it is that of the normal state.
        old = old or before_over.get((Contingency(), v.row))
        return old is None or _by(v) > _by(old) + TOLERANCE_WATTS

    found = [v for v in after.violations() if v.row.starts_at is None]
    normal = [v for v in found if v.contingency.normal]
    dark = _dark(state, after, changes)
    ended = _ended(state, after, dark)
    return Drill(
        over=tuple(v for v in normal if is_worse(v)),
        already=tuple(v for v in normal if not is_worse(v)),
        dark=dark,
        ended=ended,
        zones=tuple(_zones(state, after)),
        next_losses=tuple(_next(state.facility, after.facility, [v for v in found if is_worse(v)])),
        plan=relieve(after, terms or {}, coming=dict.fromkeys(ended, "")),
        after=after,
    )


def _by(v: Violation) -> float:
    return v.load_watts - v.limit_watts


def _dark(before: State, after: State, changes: Iterable[Change]) -> tuple[str, ...]:
    off = {c.name for c in changes if isinstance(c, RackChange) and not c.online}
    had, has = _fed(before.facility), _fed(after.facility)
    return tuple(
        r.name for r in after.facility.racks if r.name in off or (r.name in had and r.name not in has)
    )


def _fed(facility: Facility) -> set[str]:
    """Racks with a live feed: they draw on some power element."""
    power = {k for k, row in enumerate(facility.rows) if row.kind is RowKind.POWER_NOMINAL}
    return {
        rack.name
        for i, rack in enumerate(facility.racks)
        if any(cell in power for cell in facility.cells[facility.entries(i)].tolist())
    }


def _ended(before: State, after: State, dark: tuple[str, ...]) -> tuple[str, ...]:
    racks = set(dark)
    lost = {n.name for n in before.nodes() if n.rack in racks or after.node(n.name) is None}
    keys = before.keys()
    return tuple(key for key in keys if not lost.isdisjoint(before.held(key).values()))


def _zones(before: State, after: State) -> Iterable[ZoneLoss]:
    for zone in after.facility.coolings.values():
        old = before.facility.coolings.get(zone.name)
        if old is None:
            continue
        row = LimitRow(RowKind.LIQUID if zone.medium == Medium.LIQUID else RowKind.AIR, zone.name)
        cell, was = after.facility.row_index[row], before.facility.row_index[row]
        limits = float(before.facility.limits[was]), float(after.facility.limits[cell])
        ran = len(cooling.running_units(old, before.facility.live))
        runs = len(cooling.running_units(zone, after.facility.live))
        reserve_gone = ran > old.needed_units and runs <= zone.needed_units
        if limits[1] < limits[0] or reserve_gone:
            yield ZoneLoss(
                zone.name,
                int(limits[0]),
                int(limits[1]),
                round(float(after.loads[cell])),
                runs,
                zone.needed_units,
                reserve_gone,
            )


def _next(before: Facility, after: Facility, worse: list[Violation]) -> Iterable[NextLoss]:
    had = {name: {before.contingencies[c] for c in lost} for name, lost in before.dropped.items()}
    dark: dict[Contingency, list[str]] = {}
    for name, lost in after.dropped.items():
        for c in lost:
            if after.contingencies[c] not in had.get(name, set()):
                dark.setdefault(after.contingencies[c], []).append(name)
    for c, contingency in enumerate(after.contingencies):
        over = tuple(v for v in worse if v.contingency == contingency)
        if not contingency.normal and (over or contingency in dark):
            yield NextLoss(contingency, over, tuple(dark.get(contingency, ())), after.second_loss.get(c, ()))
