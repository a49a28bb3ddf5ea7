"""What each gang could give: the ways to run it lower, or not at all, and what each takes off exceeded limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import NodeType, Placement
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts, find_cap
from rackplane.engine.shedding.costs import Stage, stage_of
from rackplane.engine.shedding.terms import Measure, Terms
from rackplane.engine.state import State
from rackplane.engine.uses import Use

__all__ = ["Candidate", "candidates"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A gang, and what may be done to it, the mildest first."""

    key: str
    measures: tuple[Measure, ...]
    stages: tuple[Stage, ...]
    losses: tuple[int, ...]
    """What each measure loses (see :mod:`engine.shedding.costs`), at least 1."""
    gives: Floats
    """Watts off each limit, by measure and limit."""


def candidates(
    state: State, terms: Mapping[str, Terms], cells: Sequence[int], *, may_stop: bool = True
) -> list[Candidate]:
    """The gangs that draw on any of these limits (cells of the normal state) and may be capped or stopped.

    A node has one power profile: a gang that shares one with another gang is stopped rather than capped.
    """
    reach = _Reach(state, cells)
    keys = state.keys()
    found = []
    for key in keys:
        placement = state.booking(key)
        assert placement is not None
        if reach.racks.isdisjoint(group.rack for group in placement.groups):
            continue
        alike = {held: count for held, count in state.nodes_alike(key).items() if held[1]}
        if not any(use.rack in reach.on for use, _ in alike):
            continue
        own = terms.get(key, Terms())
        profiles = [] if own.strict else _lower(alike, placement)
        candidate = _candidate(
            reach, key, own, placement, alike, [*profiles, ""] if may_stop and own.stoppable else profiles
        )
        if candidate.measures:
            found.append(candidate)
    return found


Alike = Mapping[tuple[Use, int], int]
"""How many nodes there are by their use and the GPUs that the gang holds of each."""


class _Reach:
    """What a watt in each rack is on each limit."""

    def __init__(self, state: State, cells: Sequence[int]) -> None:
        f = state.facility
        self.limits = len(cells)
        column = np.full(len(f.limits), -1, dtype=np.int64)
        column[list(cells)] = np.arange(len(cells))
        hit = np.flatnonzero(column[f.cells] >= 0)
        racks, peak = f.entry_racks[hit], f.peak[hit]
        self.nominal = np.zeros((len(f.racks), len(cells)))
        self.peak = np.zeros((len(f.racks), len(cells)))
        for into, chosen in ((self.nominal, ~peak), (self.peak, peak)):
            np.add.at(into, (racks[chosen], column[f.cells[hit[chosen]]]), f.coefficients[hit[chosen]])
        self.on = set(racks.tolist())
        self.racks = {f.racks[rack].name for rack in self.on}
        self._increments: dict[tuple[int, str, int], Watts] = {}

    def increment(self, node_type: NodeType, profile: str, gpus: int) -> Watts:
        """As :func:`draw.gang_increment`; by the identity of the type, for hashing one costs more than all the rest."""
        key = id(node_type), profile, gpus
        found = self._increments.get(key)
        if found is None:
            found = self._increments[key] = draw.gang_increment(node_type, profile, gpus)
        return found


def _lower(alike: Alike, placement: Placement) -> list[str]:
    """Profiles that all the gang's nodes have and that are lower on each of them, highest first.

    There are none if it shares a node with GPUs of another gang.
    """
    if any(use.booked != gpus for use, gpus in alike):
        return []
    watts: dict[str, int] | None = None
    for node_type in {use.node_type.name: use.node_type for use, _ in alike}.values():
        now = find_cap(node_type, placement.power_profile)
        top = node_type.max_watts if now is None else now.node_watts
        own = {c.name: c.node_watts for c in node_type.caps if c.node_watts < top}
        watts = own if watts is None else {n: max(w, own[n]) for n, w in watts.items() if n in own}
    found = watts or {}
    return sorted(found, key=lambda name: (-found[name], name))


def _candidate(
    reach: _Reach, key: str, terms: Terms, placement: Placement, alike: Alike, profiles: Sequence[str]
) -> Candidate:
    now, now_nominal = _taken(reach, alike, placement.power_profile)
    gpus = sum(held * count for (_, held), count in alike.items())
    measures, stages, losses, gives = [], [], [], [np.zeros(reach.limits)]
    for profile in profiles:
        taken, nominal = _taken(reach, alike, profile)
        less = now - taken
        if (less < gives[-1]).any() or not (less > gives[-1]).any():
            continue  # on some limit it is no lower than the one before, or on none lower
        speed = _performance(alike, profile)
        measures.append(Measure(key, profile, speed, now_nominal - nominal, terms))
        stages.append(stage_of(terms, stops=not profile))
        losses.append(max(1, gpus * (100 - speed) if profile else terms.lost_gpu_seconds or gpus))
        gives.append(less)
    return Candidate(key, tuple(measures), tuple(stages), tuple(losses), np.array(gives[1:]))


def _taken(reach: _Reach, alike: Alike, profile: str) -> tuple[Floats, int]:
    """Watts by limit that the gang draws over idle at that profile, and nominal ones in all; "": nothing."""
    found, total = np.zeros(reach.limits), 0
    if not profile:
        return found, total
    for (use, gpus), count in alike.items():
        watts = reach.increment(use.node_type, profile, gpus)
        total += watts.nominal * count
        if use.rack in reach.on:
            found += reach.nominal[use.rack] * (watts.nominal * count)
            found += reach.peak[use.rack] * (watts.peak * count)
    return found, total


def _performance(alike: Alike, profile: str) -> int:
    """Speed at that profile in percent, that of the slowest node; 0 if stopped."""
    if not profile:
        return 0
    caps = [
        find_cap(node_type, profile)
        for node_type in {id(u.node_type): u.node_type for u, _ in alike}.values()
    ]
    return min((cap.relative_performance_percent for cap in caps if cap is not None), default=100)
