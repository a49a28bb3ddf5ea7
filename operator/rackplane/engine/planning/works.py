"""Planned works on what feeds and cools racks: what each takes away, and which take both sides of a pair together.

Loads do not count here: a work is refused for what no load could run without, a feed to a rack or the promise of a
cooling loop. What the loads would exceed is told by :mod:`engine.planning.drill`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from rackplane.engine.explaining.phrases import span
from rackplane.engine.model import CoolingSpec, FacilitySpec
from rackplane.engine.physics import cooling
from rackplane.engine.physics.checks import check
from rackplane.engine.physics.power import PowerFlow
from rackplane.engine.planning.findings import named

__all__ = ["Conflict", "Work", "Works", "without"]

_LESS_WATTS = 0.5


@dataclass(frozen=True, slots=True)
class Work:
    """One stretch of time in which an element, or units of a cooling zone, are out of service.

    Times in seconds since the epoch.  ``units`` are of a CoolingZone; empty: all of them.
    """

    kind: str
    name: str
    starts_at: float
    ends_at: float
    reason: str = ""
    units: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        noun = "power domain" if self.kind == "PowerDomain" else "cooling zone"
        units = f" ({named(self.units)})" if self.units else ""
        return f"{noun} {self.name}{units}"

    def overlaps(self, other: Work) -> bool:
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at


@dataclass(frozen=True, slots=True)
class Conflict:
    """Works that take away together what neither takes alone: racks' power, or a part of what zones promise."""

    works: tuple[Work, ...]
    dark: tuple[str, ...]
    zones: tuple[str, ...]

    @property
    def starts_at(self) -> float:
        return max(work.starts_at for work in self.works)

    @property
    def ends_at(self) -> float:
        return min(work.ends_at for work in self.works)

    def words(self) -> str:
        """ "power domain a and power domain b are out at the same time from ...: rack r1 would be without power"."""
        who = named([work.label for work in self.works], most=len(self.works))
        parts = []
        if self.dark:
            parts.append(
                f"{'rack' if len(self.dark) == 1 else 'racks'} {named(self.dark)} would be without power"
            )
        if self.zones:
            noun, could = ("zone", "it needs") if len(self.zones) == 1 else ("zones", "they need")
            parts.append(f"cooling {noun} {named(self.zones)} would run fewer units than {could}")
        return f"{who} are out at the same time{span(self.starts_at, self.ends_at)}: {', and '.join(parts)}"


@dataclass(frozen=True, slots=True)
class _Seen:
    fed: frozenset[str]
    promised: Mapping[str, float]


class Works:
    """What works do to one facility.

    Args:
        spec: the facility, with none of the works under way.
    """

    def __init__(self, spec: FacilitySpec) -> None:
        self._spec = spec
        self._order = check(spec).power_order
        self._now = self._with(())

    def dark(self, work: Work) -> tuple[str, ...]:
        """Racks that have power now, and none while the work goes on."""
        return tuple(sorted(self._now.fed - self._with((work,)).fed))

    def conflicts(self, works: Sequence[Work]) -> list[Conflict]:
        """Every pair that is refused, and larger sets of which no pair is; in order of time."""
        found: list[Conflict] = []
        alone = {work: self._with((work,)) for work in works}
        for pair in combinations(works, 2):
            if pair[0].overlaps(pair[1]) and (conflict := self._together(pair, alone)) is not None:
                found.append(conflict)
        for first in works:
            here = tuple(w for w in works if w.starts_at <= first.starts_at < w.ends_at)
            known = any(set(c.works) <= set(here) for c in found)
            if len(here) > 2 and not known and (conflict := self._together(here, alone)) is not None:
                found.append(conflict)
        return sorted(found, key=lambda c: (c.starts_at, [w.label for w in c.works]))

    def _together(self, works: Sequence[Work], alone: Mapping[Work, _Seen]) -> Conflict | None:
        both, each = self._with(works), [alone[work] for work in works]
        dark = frozenset.intersection(*(seen.fed for seen in each)) - both.fed
        zones = [
            name
            for name, watts in both.promised.items()
            if watts < min(seen.promised[name] for seen in each) - _LESS_WATTS
        ]
        if not dark and not zones:
            return None
        return Conflict(tuple(works), tuple(sorted(dark)), tuple(sorted(zones)))

    def _with(self, works: Collection[Work]) -> _Seen:
        spec = without(self._spec, works)
        flow = PowerFlow({p.name: p for p in spec.powers}, self._order)
        live = frozenset(flow.live)
        return _Seen(
            frozenset(r.name for r in spec.racks if flow.above(r.feeds)[0]),
            {z.name: cooling.usable_watts(z, live) for z in spec.coolings},
        )


def without(spec: FacilitySpec, works: Collection[Work]) -> FacilitySpec:
    """The facility while these works go on."""
    if not works:
        return spec
    powers = {work.name for work in works if work.kind == "PowerDomain"}
    units = dict[str, set[str]]()
    zones = {zone.name: zone for zone in spec.coolings}
    for name, unit in _units(zones, works):
        units.setdefault(name, set()).add(unit)
    return replace(
        spec,
        powers=tuple(replace(p, online=False) if p.name in powers else p for p in spec.powers),
        coolings=tuple(
            replace(
                z, units=tuple(replace(u, online=False) if u.name in units[z.name] else u for u in z.units)
            )
            if z.name in units
            else z
            for z in spec.coolings
        ),
    )


def _units(zones: Mapping[str, CoolingSpec], works: Collection[Work]) -> Iterator[tuple[str, str]]:
    for work in works:
        zone = zones.get(work.name)
        if work.kind == "CoolingZone" and zone is not None:
            for name in work.units or [u.name for u in zone.units]:
                yield work.name, name
