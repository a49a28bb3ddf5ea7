"""Which gangs to cap or stop so that every limit is kept again: a preview of what a loss would cost.

The order is one of mildness, never mixed: lower power profiles first (of Sheddable gangs, then of Checkpointable
ones), then stops in the same order; Protected gangs come last, first capped and then stopped.  Within a step the
lowest priority goes first, and among equals the gang that helps most.  What is not needed in the end is given back,
the harshest first, so that no measure can be left out alone.  It is a good set, not proved to be the smallest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Placement
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts, find_cap
from rackplane.engine.physics.loads import TOLERANCE_WATTS, Violation
from rackplane.engine.state import State

Effect = NDArray[np.float64]
"""Watts that a measure takes off each exceeded limit."""


class Disruption(StrEnum):
    """What may be done to a gang: nothing, stop it after a checkpoint, stop it at once."""

    PROTECTED = "Protected"
    CHECKPOINTABLE = "Checkpointable"
    SHEDDABLE = "Sheddable"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a gang's owner allows.  A ``strict`` gang runs at its profile or not at all, so it is never capped."""

    disruption: Disruption = Disruption.CHECKPOINTABLE
    priority: int = 0
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """Cap a gang at ``profile``, or stop it ("").  ``frees_watts`` are nominal, of its whole draw over idle."""

    gang: str
    profile: str
    relative_performance_percent: int
    frees_watts: int
    terms: Terms

    @property
    def stops(self) -> bool:
        """Whether the gang is stopped, not capped."""
        return not self.profile


@dataclass(frozen=True, slots=True)
class Plan:
    """Measures, the mildest first, and what is exceeded even with all of them."""

    measures: tuple[Measure, ...]
    remaining: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """How far a gang may be brought down at one point of the order: ``stop`` or only capped."""

    disruption: Disruption
    stop: bool


_ORDER = (
    _Step(Disruption.SHEDDABLE, stop=False),
    _Step(Disruption.CHECKPOINTABLE, stop=False),
    _Step(Disruption.SHEDDABLE, stop=True),
    _Step(Disruption.CHECKPOINTABLE, stop=True),
    _Step(Disruption.PROTECTED, stop=False),
    _Step(Disruption.PROTECTED, stop=True),
)


@dataclass(slots=True, eq=False)
class _Gang:
    key: str
    terms: Terms
    profiles: tuple[str, ...]
    """How it may run: as it does, then lower profiles, the highest first, then stopped ("")."""
    effects: list[Effect]
    performance: tuple[int, ...]
    frees: tuple[int, ...]
    level: int = 0

    def effect_of(self, level: int) -> Effect:
        """What going there from where it is now takes off."""
        return self.effects[level] - self.effects[self.level]


def relieve(state: State, terms: Mapping[str, Terms], *, ended: Collection[str] = ()) -> Plan:
    """The gangs to cap or stop so that no limit of the normal state is exceeded.  Changes nothing.

    Args:
        terms: by booking key; a gang without any counts as Checkpointable, of priority 0.
        ended: bookings that are over anyway, as those of gangs that lost a rack.
    """
    with state.simulation():
        for key in ended:
            state.release(key)
        over = [v for v in state.violations() if v.contingency.normal and v.row.starts_at is None]
        cells = [state.facility.row_index[v.row] for v in over]
        excess = np.array([v.load_watts - v.limit_watts for v in over], dtype=np.float64)
        gangs = _gangs(state, terms, cells) if over else []
        touched: list[_Gang] = []
        for step in _ORDER:
            excess = _take(step, gangs, excess, touched)
        _give_back(excess, touched)
        measures = _measures(gangs)
        for m in measures:
            _apply(state, m)
        remaining = tuple(v for v in state.violations() if v.contingency.normal and v.row.starts_at is None)
    return Plan(measures, remaining)


def _take(step: _Step, gangs: Iterable[_Gang], excess: Effect, touched: list[_Gang]) -> Effect:
    """Bring gangs of this step down until nothing is exceeded, or none of them helps."""
    open_gangs = [g for g in gangs if g.terms.disruption is step.disruption]
    while (excess > TOLERANCE_WATTS).any() and open_gangs:
        lowest = min(g.terms.priority for g in open_gangs)
        lowest_gangs = [g for g in open_gangs if g.terms.priority == lowest]
        gang = min(lowest_gangs, key=lambda g: (*_help(g, step, excess), g.key))
        if -_help(gang, step, excess)[0] <= TOLERANCE_WATTS:
            open_gangs = [g for g in open_gangs if g.terms.priority != lowest]
            continue
        open_gangs.remove(gang)
        levels = range(gang.level + 1, _end(gang, step) + 1)
        enough = (n for n in levels if (excess - gang.effect_of(n) <= TOLERANCE_WATTS).all())
        level = next(enough, _end(gang, step)) if not step.stop else _end(gang, step)
        excess = excess - gang.effect_of(level)
        gang.level = level
        touched.append(gang)
    return excess


def _help(gang: _Gang, step: _Step, excess: Effect) -> tuple[float, float]:
    """What it takes off of what is missing, then what it takes off in all; below zero, so that the least is best."""
    effect = gang.effect_of(_end(gang, step))
    return -float(np.minimum(effect, np.maximum(excess, 0.0)).sum()), -float(effect.sum())


def _end(gang: _Gang, step: _Step) -> int:
    """How far the gang goes in this step: stopped, or its lowest profile."""
    last = len(gang.profiles) - 1
    return last if step.stop else max(gang.level, last - 1)


def _give_back(excess: Effect, touched: Sequence[_Gang]) -> None:
    """Let gangs run faster, or at all, where that exceeds nothing; the last that was taken first."""
    for gang in dict.fromkeys(reversed(touched)):
        for level in range(gang.level):
            left = excess - gang.effect_of(level)  # which takes off less than its level now
            # What no measure can bring down must not be made worse either.
            if (np.maximum(left, 0.0) <= np.maximum(excess, 0.0) + TOLERANCE_WATTS).all():
                excess, gang.level = left, level
                break


def _measures(gangs: Iterable[_Gang]) -> tuple[Measure, ...]:
    def harshness(g: _Gang) -> tuple[int, int, str]:
        return _ORDER.index(_Step(g.terms.disruption, stop=not g.profiles[g.level])), g.terms.priority, g.key

    return tuple(
        Measure(g.key, g.profiles[g.level], g.performance[g.level], g.frees[g.level], g.terms)
        for g in sorted((g for g in gangs if g.level), key=harshness)
    )


def _apply(state: State, measure: Measure) -> None:
    placement, held, until = (
        state.booking(measure.gang),
        state.held(measure.gang),
        state.until(measure.gang),
    )
    state.release(measure.gang)
    if measure.stops or placement is None:
        return
    capped = replace(placement, power_profile=measure.profile, relative_performance_percent=100)
    state.book(measure.gang, capped, force=True, until=until)
    state.release(measure.gang, [slot for slot in range(len(capped.slots)) if slot not in held])


def _gangs(state: State, terms: Mapping[str, Terms], cells: Sequence[int]) -> list[_Gang]:
    """The gangs that draw on any of these limits, with what each way to run takes off them."""
    f = state.facility
    column = {cell: i for i, cell in enumerate(cells)}
    on: dict[int, list[tuple[int, float, bool]]] = {}
    """Rack -> (limit, coefficient, whether it counts peak)."""
    for rack in range(len(f.racks)):
        entries = f.entries(rack)
        found = [
            (column[cell], coefficient, peak)
            for cell, coefficient, peak in zip(
                f.cells[entries].tolist(),
                f.coefficients[entries].tolist(),
                f.peak[entries].tolist(),
                strict=True,
            )
            if cell in column
        ]
        if found:
            on[rack] = found
    users: dict[str, int] = {}
    keys = list(state.keys())
    for key in keys:
        for node in set(state.held(key).values()):
            users[node] = users.get(node, 0) + 1
    result = []
    for key in keys:
        nodes = state.held_gpus(key)
        specs = {name: spec for name in nodes if (spec := state.node(name)) is not None}
        racks = {name: f.rack_index[s.rack] for name, s in specs.items() if s.rack and s.rack in f.rack_index}
        if not any(r in on for r in racks.values()):
            continue
        placement = state.booking(key)
        assert placement is not None
        own = terms.get(key, Terms())
        # A node has one power profile: what shares it with another gang is stopped rather than capped.
        alone = all(users[n] == 1 for n in nodes)
        lower = _lower(state, nodes, placement) if alone and not own.strict else []
        profiles = (placement.power_profile, *lower, "")
        drawn = [_drawn(state, nodes, racks, p) for p in profiles]
        effects = []
        for by_rack in drawn:
            effect = np.zeros(len(cells))
            for rack, watts in by_rack.items():
                less = drawn[0][rack] - watts
                for i, coefficient, peak in on.get(rack, ()):
                    effect[i] += coefficient * (less.peak if peak else less.nominal)
            effects.append(effect)
        nominal = [sum(w.nominal for w in by_rack.values()) for by_rack in drawn]
        result.append(
            _Gang(
                key,
                own,
                profiles,
                effects,
                tuple(_performance(state, nodes, p) for p in profiles),
                tuple(nominal[0] - n for n in nominal),
            )
        )
    return result


def _lower(state: State, nodes: Iterable[str], placement: Placement) -> list[str]:
    """Profiles that all the gang's nodes have and that are lower on each of them, highest first."""
    watts: dict[str, int] | None = None
    for t in {t.name: t for n in nodes if (t := state.node_type(n)) is not None}.values():
        now = find_cap(t, placement.power_profile)
        top = t.max_watts if now is None else now.node_watts
        own = {c.name: c.node_watts for c in t.caps if c.node_watts < top}
        watts = own if watts is None else {n: max(w, own[n]) for n, w in watts.items() if n in own}
    return sorted(watts or {}, key=lambda name: (-(watts or {})[name], name))


def _drawn(
    state: State, nodes: Mapping[str, int], racks: Mapping[str, int], profile: str
) -> dict[int, Watts]:
    """Rack -> what the gang's GPUs by node draw there over idle; nothing where it is stopped ("")."""
    result: dict[int, Watts] = {}
    for node, gpus in nodes.items():
        node_type = state.node_type(node)
        if node_type is None or node not in racks:
            continue
        watts = draw.gang_increment(node_type, profile, gpus) if profile else Watts()
        result[racks[node]] = result.get(racks[node], Watts()) + watts
    return result


def _performance(state: State, nodes: Iterable[str], profile: str) -> int:
    """Speed at that profile in percent, that of the slowest node; 0 if stopped."""
    if not profile:
        return 0
    found = [find_cap(t, profile) for n in nodes if (t := state.node_type(n)) is not None]
    return min((c.relative_performance_percent for c in found if c is not None), default=100)
