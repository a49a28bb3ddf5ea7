"""What each gang could give: the ways to run it lower, or not at all, and what each takes off exceeded limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Metered, NodeType, Placement
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts, find_cap
from rackplane.engine.shedding.costs import Stage, stage_of
from rackplane.engine.shedding.terms import Measure, Terms
from rackplane.engine.state import State
from rackplane.engine.uses import Use

__all__ = ["Candidate", "candidates", "lowest_profile"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A gang, and what may be done to it, the mildest first."""

    key: str
    terms: Terms
    profiles: Sequence[str]
    """What it is brought down to by each measure; "": it is stopped."""
    speeds: Sequence[int]
    """How fast it then is, in percent."""
    frees: Sequence[int]
    """Nominal watts off its whole draw."""
    stages: Sequence[Stage]
    losses: Sequence[int]
    """What each measure loses (see :mod:`engine.shedding.costs`), at least 1."""
    gives: Floats
    """Watts off each limit, by measure and limit."""

    def measure(self, number: int) -> Measure:
        """One of them, from 0."""
        profile, speed, frees = self.profiles[number], self.speeds[number], self.frees[number]
        return Measure(self.key, profile, speed, frees, self.terms)


def candidates(
    state: State, terms: Mapping[str, Terms], cells: Sequence[int], *, may_stop: bool = True
) -> list[Candidate]:
    """The gangs that draw on any of these limits (cells of the normal state) and may be capped or stopped.

    A node has one power profile: a gang that shares one with another gang is stopped rather than capped.
    """
    reach = _Reach(state, cells)
    drafts, rows = [], _Rows()
    keys = state.keys()
    for key in keys:
        placement = state.booking(key)
        assert placement is not None
        if reach.racks.isdisjoint(group.rack for group in placement.groups):
            continue
        alike = {held: count for held, count in state.nodes_alike(key).items() if held[1]}
        if not any(use.rack in reach.on for use, _ in alike):
            continue
        own = terms.get(key, _UNKNOWN)
        profiles, speeds = ([], []) if own.strict else reach.lower(alike, placement)
        if may_stop and own.stoppable:
            profiles, speeds = [*profiles, ""], [*speeds, 0]
        if profiles:
            row, each_lower = rows.add(reach, alike, placement, profiles)
            gpus = sum([held * count for (_, held), count in alike.items()])
            drafts.append(_Draft(key, own, gpus, profiles, speeds, row, each_lower))
    if not drafts:
        return []
    gives, frees = rows.drawn(reach)
    return [c for d in drafts if (c := _candidate(d, gives, frees)).profiles]


_UNKNOWN = Terms()
Alike = Mapping[tuple[Use, int], int]
"""How many nodes there are by their use and the GPUs that the gang holds of each."""


Kinds = frozenset[int]
"""Node types by their identity, for hashing one costs more than all the rest."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A gang, the profiles that it may be brought down to, and the row of the first of them; the others follow."""

    key: str
    terms: Terms
    gpus: int
    profiles: list[str]
    speeds: list[int]
    row: int
    each_lower: bool
    """Each profile is certain to draw less than the one before, on every limit that the gang draws on."""


class _Reach:
    """What a watt in each rack is on each limit, and what is the same for all gangs on alike nodes."""

    def __init__(self, state: State, cells: Sequence[int]) -> None:
        f = state.facility
        self.limits = len(cells)
        column = np.full(len(f.limits), -1, dtype=np.int64)
        column[list(cells)] = np.arange(len(cells))
        hit = np.flatnonzero(column[f.cells] >= 0)
        # Sorted by rack, as all entries are.
        racks = f.entry_racks[hit]
        self.begins = np.searchsorted(racks, np.arange(len(f.racks) + 1))
        self.columns, self.peak, self.coefficients = column[f.cells[hit]], f.peak[hit], f.coefficients[hit]
        self.on = set(racks.tolist())
        self.racks = {f.racks[rack].name for rack in self.on}
        self._less: dict[tuple[int, int, str, tuple[str, ...], Metered], tuple[list[Watts], bool]] = {}
        self._lower: dict[tuple[Kinds, str], tuple[list[str], list[int]]] = {}

    def less(
        self, node_type: NodeType, gpus: int, now: Placement, profiles: tuple[str, ...]
    ) -> tuple[list[Watts], bool]:
        """What so many GPUs of a node draw less at each profile than now, and whether each is lower than the last."""
        metered = now.metered
        key = id(node_type), gpus, now.power_profile, profiles, metered
        found = self._less.get(key)
        if found is None:
            drawn = [
                draw.gang_increment(node_type, p, gpus, metered) if p else Watts()
                for p in (now.power_profile, *profiles)
            ]
            lower = all(b.nominal < a.nominal and b.peak < a.peak for a, b in pairwise(drawn))
            found = self._less[key] = [drawn[0] - watts for watts in drawn[1:]], lower
        return found

    def lower(self, alike: Alike, placement: Placement) -> tuple[list[str], list[int]]:
        """Profiles below the gang's own that its nodes have, and how fast it is at each, in percent.

        There are none if it shares a node with GPUs of another gang.
        """
        if any(use.booked != gpus for use, gpus in alike):
            return [], []
        key = frozenset([id(use.node_type) for use, _ in alike]), placement.power_profile
        found = self._lower.get(key)
        if found is None:
            names = _lower(alike, placement)
            found = self._lower[key] = names, [_performance(alike, name) for name in names]
        return found


class _Rows:
    """What gangs draw less than now, by row: one for each gang and lower profile."""

    def __init__(self) -> None:
        self._count = 0
        self._entries: list[tuple[int, int, int, int]] = []
        """Row, rack, nominal and peak watts less."""

    def add(self, reach: _Reach, alike: Alike, now: Placement, profiles: Sequence[str]) -> tuple[int, bool]:
        """Rows for a gang at these profiles, "" if it is stopped: the first, and whether each is lower on all nodes."""
        first, each_lower, names = self._count, True, tuple(profiles)
        self._count += len(names)
        for (use, gpus), count in alike.items():
            less, lower = reach.less(use.node_type, gpus, now, names)
            each_lower = each_lower and lower
            for row, watts in enumerate(less, first):
                self._entries.append((row, use.rack, watts.nominal * count, watts.peak * count))
        return first, each_lower

    def drawn(self, reach: _Reach) -> tuple[Floats, list[int]]:
        """Watts less by row and limit, and nominal ones in all by row."""
        row, rack, nominal, peak = np.array(self._entries, dtype=np.int64).T
        total = np.bincount(row, nominal, self._count).tolist()
        counts = reach.begins[rack + 1] - reach.begins[rack]
        # One for each limit that the rack draws on.
        entry = np.repeat(np.arange(len(row)), counts)
        at = np.arange(len(entry)) - np.repeat(np.cumsum(counts) - counts - reach.begins[rack], counts)
        watts = reach.coefficients[at] * np.where(reach.peak[at], peak[entry], nominal[entry])
        cell = row[entry] * reach.limits + reach.columns[at]
        gives = np.asarray(np.bincount(cell, watts, self._count * reach.limits), dtype=np.float64)
        return gives.reshape(self._count, reach.limits), [int(watts) for watts in total]


def lowest_profile(state: State, key: str) -> str | None:
    """The lowest power profile that the gang can be brought down to; None if it cannot be, or that is not certain.

    Certain are gangs that have their nodes to themselves, all of one type: nobody can come to a node of theirs whose
    profile would then have to stay, and every lower profile draws less on every limit.
    """
    placement = state.booking(key)
    alike = {held: count for held, count in state.nodes_alike(key).items() if held[1]}
    if placement is None or len({id(use.node_type) for use, _ in alike}) != 1:
        return None
    if any(use.booked != gpus or gpus != use.node_type.gpus_per_node for use, gpus in alike):
        return None
    lower = _lower(alike, placement)
    return lower[-1] if lower else None


def _lower(alike: Alike, placement: Placement) -> list[str]:
    """Profiles that all the gang's nodes have and that are lower on each of them, highest first."""
    watts: dict[str, int] | None = None
    for node_type in {use.node_type.name: use.node_type for use, _ in alike}.values():
        now = find_cap(node_type, placement.power_profile)
        top = node_type.max_watts if now is None else now.node_watts
        own = {c.name: c.node_watts for c in node_type.caps if c.node_watts < top}
        watts = own if watts is None else {n: max(w, own[n]) for n, w in watts.items() if n in own}
    found = watts or {}
    return sorted(found, key=lambda name: (-found[name], name))


def _candidate(draft: _Draft, gives: Floats, frees: Sequence[int]) -> Candidate:
    first, terms, profiles, speeds = draft.row, draft.terms, draft.profiles, draft.speeds
    own, freed = gives[first : first + len(profiles)], frees[first : first + len(profiles)]
    if not draft.each_lower:
        kept = _useful(own)
        own, freed = own[kept], [freed[i] for i in kept]
        profiles, speeds = [profiles[i] for i in kept], [speeds[i] for i in kept]
    capped = stage_of(terms, stops=False)
    stages = [capped if profile else stage_of(terms, stops=True) for profile in profiles]
    losses = [
        max(1, draft.gpus * (100 - speed) if profile else terms.lost_gpu_seconds or draft.gpus)
        for profile, speed in zip(profiles, speeds, strict=True)
    ]
    return Candidate(draft.key, terms, profiles, speeds, freed, stages, losses, own)


def _useful(gives: Floats) -> list[int]:
    """The rows that give no less than the one kept before on any limit, and more on one."""
    kept, last = [], np.zeros(gives.shape[1])
    for i, row in enumerate(gives):
        if (row >= last).all() and (row > last).any():
            kept.append(i)
            last = row
    return kept


def _performance(alike: Alike, profile: str) -> int:
    """Speed at that profile in percent, that of the slowest node."""
    caps = [
        find_cap(node_type, profile)
        for node_type in {id(u.node_type): u.node_type for u, _ in alike}.values()
    ]
    return min((cap.relative_performance_percent for cap in caps if cap is not None), default=100)
