"""What each gang could give: the ways to run it lower, or not at all, and what each takes off exceeded limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Metered, NodeType, Placement
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts, find_cap
from rackplane.engine.shedding.costs import Stage, stage_of
from rackplane.engine.shedding.terms import Disruption, Measure, Terms
from rackplane.engine.state import State
from rackplane.engine.uses import Alike

__all__ = ["Candidate", "Candidates", "candidates", "lowest_profile"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """All of them by column: of a thousand gangs a plan picks few, and only those are looked at one by one.

    Measures are rows. Those of one gang follow each other, the mildest first. A gang draws on few limits, so a row has
    a place only for as many as the gang that draws on most of them; which those are is ``limits``.
    """

    keys: Sequence[str]
    terms: Sequence[Terms]
    profiles: Sequence[Sequence[str]]
    speeds: Sequence[Sequence[int]]
    ends: Ints
    """By gang, the row after its last one."""
    counts: Ints
    """By gang, how many rows it has, at least one."""
    frees: Ints
    losses: Ints
    stages: Ints
    """By row, index into ``stages_by_number``."""
    stages_by_number: Sequence[Stage]
    """In order."""
    gives: Floats
    """By row and place, watts."""
    limits: Ints
    """By gang and place, the limit; rising, and ``limit_count`` where the gang has no more of them."""
    limit_count: int

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Candidate]:
        return (self[gang] for gang in range(len(self)))

    def measure(self, gang: int, number: int) -> Measure:
        """One of a gang's, from 0."""
        frees = int(self.frees[self.ends[gang] - self.counts[gang] + number])
        profile, speed = self.profiles[gang][number], self.speeds[gang][number]
        return Measure(self.keys[gang], profile, speed, frees, self.terms[gang])

    def __getitem__(self, gang: int) -> Candidate:
        own = slice(int(self.ends[gang] - self.counts[gang]), int(self.ends[gang]))
        gives = np.zeros((int(self.counts[gang]), self.limit_count + 1))
        gives[:, self.limits[gang]] = self.gives[own]
        return Candidate(
            self.keys[gang],
            self.terms[gang],
            self.profiles[gang],
            self.speeds[gang],
            self.frees[own].tolist(),
            [self.stages_by_number[n] for n in self.stages[own].tolist()],
            self.losses[own].tolist(),
            gives[:, :-1],
        )


def candidates(
    state: State,
    terms: Mapping[str, Terms],
    cells: Sequence[int],
    *,
    may_stop: bool = True,
    spare_protected: bool = False,
) -> Candidates:
    """The gangs that draw on any of these limits (cells of the normal state) and may be capped or stopped.

    A node has one power profile: a gang that shares one with another gang is stopped rather than capped.
    """
    reach, found = _Reach(state, cells), _Drafts()
    on, names = reach.racks, reach.names
    everywhere = len(on) == len(state.facility.racks)
    keys = state.keys()
    for key in keys:
        placement, own = state.booking(key), terms.get(key, _UNKNOWN)
        assert placement is not None
        if not everywhere and names.isdisjoint([group.rack for group in placement.groups]):
            continue
        if spare_protected and own.disruption is Disruption.PROTECTED:
            continue
        alike = state.nodes_alike(key)
        if on.isdisjoint([use.rack for use, _, _ in alike]):
            continue
        way = reach.way(alike, placement, caps=not own.strict, stops=may_stop and own.stoppable)
        if way.profiles:
            found.add(key, own, placement, alike, way)
    return found.candidates(reach)


_UNKNOWN = Terms()


def lowest_profile(state: State, key: str) -> str | None:
    """The lowest power profile that the gang can be brought down to; None if it cannot be, or that is not certain.

    Certain are gangs that have their nodes to themselves, all of one type: nobody can come to a node of theirs whose
    profile would then have to stay, and every lower profile draws less on every limit.
    """
    placement, alike = state.booking(key), state.nodes_alike(key)
    if placement is None or len({id(use.node_type) for use, _, _ in alike}) != 1:
        return None
    if any(use.booked != gpus or gpus != use.node_type.gpus_per_node for use, gpus, _ in alike):
        return None
    lower = _lower(alike, placement)
    return lower[-1] if lower else None


class _Way:
    """What gangs on nodes of the same types, at the same profile, may be brought down to."""

    __slots__ = ("less", "profiles", "speeds")

    def __init__(self, profiles: tuple[str, ...], speeds: tuple[int, ...]) -> None:
        self.profiles = profiles
        self.speeds = speeds
        self.less: dict[tuple[int, int], int] = {}
        """Type of a node by its identity (hashing one costs more than all the rest) and GPUs of it -> where it lies in
        the table of what nodes draw less."""


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
        self.racks = set(racks.tolist())
        self.names = {f.racks[rack].name for rack in self.racks}
        self._ways: dict[tuple[frozenset[int], str, Metered, bool, bool], _Way] = {}

    def way(self, alike: Alike, placement: Placement, *, caps: bool, stops: bool) -> _Way:
        """What a gang may be brought down to; ``caps`` and ``stops``: what may be done to it.

        It is not capped if it shares a node with GPUs of another gang.
        """
        if caps and [1 for use, gpus, _ in alike if use.booked != gpus]:
            caps = False
        kinds = frozenset([id(use.node_type) for use, _, _ in alike])
        key = kinds, placement.power_profile, placement.metered, caps, stops
        found = self._ways.get(key)
        if found is None:
            lower = _lower(alike, placement) if caps else []
            speeds = [_performance(alike, name) for name in lower]
            profiles = (*lower, "") if stops else tuple(lower)
            found = self._ways[key] = _Way(profiles, (*speeds, 0) if stops else tuple(speeds))
        return found


class _Drafts:
    """Gangs one after the other, until what they give is worked out for all of them together."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._terms: list[Terms] = []
        self._ways: list[_Way] = []
        self._uses: list[int] = []
        """Four numbers for each use of a gang's nodes: gang, where its nodes lie in the table, rack, nodes."""
        self._numbers: list[int] = []
        """Three for each gang: its GPUs, what a stop loses, and the kind of its terms."""
        self._kinds: dict[tuple[Disruption, int], int] = {}
        self._less: list[Watts] = []
        """The table: what nodes draw less, of each way one for each of its profiles."""
        self._unsure: set[int] = set()
        """Where in it a profile is not certain to draw less than the one before."""

    def add(self, key: str, terms: Terms, placement: Placement, alike: Alike, way: _Way) -> None:
        """One that may be brought down that way."""
        gang, gpus_in_all = len(self._keys), 0
        for use, gpus, count in alike:
            held = id(use.node_type), gpus
            at = way.less.get(held)
            if at is None:
                at = way.less[held] = self._entered(use.node_type, gpus, placement, way.profiles)
            self._uses += (gang, at, use.rack, count)
            gpus_in_all += gpus * count
        kind = self._kinds.setdefault((terms.disruption, terms.priority), len(self._kinds))
        self._numbers += (gpus_in_all, terms.lost_gpu_seconds or gpus_in_all, kind)
        self._keys.append(key)
        self._terms.append(terms)
        self._ways.append(way)

    def _entered(self, node_type: NodeType, gpus: int, now: Placement, profiles: Sequence[str]) -> int:
        """Enter in the table what so many GPUs of a node draw less at each profile than now."""
        at = len(self._less)
        drawn = [
            draw.gang_increment(node_type, p, gpus, now.metered) if p else Watts()
            for p in (now.power_profile, *profiles)
        ]
        self._less += [drawn[0] - watts for watts in drawn[1:]]
        if not all(b.nominal < a.nominal and b.peak < a.peak for a, b in pairwise(drawn)):
            self._unsure.add(at)
        return at

    def candidates(self, reach: _Reach) -> Candidates:
        """All of them."""
        counts = np.array([len(way.profiles) for way in self._ways], dtype=np.int64)
        first = np.cumsum(counts) - counts
        uses = np.array(self._uses, dtype=np.int64).reshape(-1, 4).T
        gives, limits, frees = self._drawn(reach, counts, first, uses)
        losses, stages, by_number = self._lost(counts)
        profiles, speeds = [way.profiles for way in self._ways], [way.speeds for way in self._ways]
        chosen = np.arange(len(counts))
        unsure = np.unique(uses[0][np.isin(uses[1], list(self._unsure))]) if self._unsure else chosen[:0]
        if len(unsure):
            keep = np.ones(len(losses), dtype=np.bool_)
            for gang in unsure.tolist():
                own = slice(first[gang], first[gang] + counts[gang])
                kept = keep[own] = _useful(gives[own])
                profiles[gang] = tuple([p for p, useful in zip(profiles[gang], kept, strict=True) if useful])
                speeds[gang] = tuple([s for s, useful in zip(speeds[gang], kept, strict=True) if useful])
                counts[gang] = int(kept.sum())
            chosen = np.flatnonzero(counts)
            gives, frees, losses, stages = gives[keep], frees[keep], losses[keep], stages[keep]
        able = chosen.tolist() if len(chosen) < len(counts) else range(len(counts))
        return Candidates(
            [self._keys[g] for g in able],
            [self._terms[g] for g in able],
            [profiles[g] for g in able],
            [speeds[g] for g in able],
            np.cumsum(counts[chosen]),
            counts[chosen],
            frees,
            losses,
            stages,
            by_number,
            gives,
            limits[chosen],
            reach.limits,
        )

    def _drawn(self, reach: _Reach, counts: Ints, first: Ints, uses: Ints) -> tuple[Floats, Ints, Ints]:
        """Watts less by row and place, the limits by gang and place, and nominal watts less in all by row."""
        gang, at, rack, nodes = uses
        total = int(counts.sum())
        # One for each profile of the gang that has the use.
        use = np.repeat(np.arange(len(gang)), counts[gang])
        nth = np.arange(len(use)) - np.repeat(np.cumsum(counts[gang]) - counts[gang], counts[gang])
        row = first[gang[use]] + nth
        table = np.array([(w.nominal, w.peak) for w in self._less], dtype=np.int64).reshape(-1, 2)
        nominal, peak = (table[at[use] + nth] * nodes[use, None]).T
        frees = np.bincount(row, nominal, total).astype(np.int64)
        # And of those one for each limit that the rack draws on.
        drawn_on = (reach.begins[rack + 1] - reach.begins[rack])[use]
        entry = np.repeat(np.arange(len(row)), drawn_on)
        behind = np.cumsum(drawn_on) - drawn_on - reach.begins[rack][use]
        nth = np.arange(len(entry)) - np.repeat(behind, drawn_on)
        watts = reach.coefficients[nth] * np.where(reach.peak[nth], peak[entry], nominal[entry])
        limits, place = _places(gang[use][entry], reach.columns[nth], len(counts), reach.limits)
        width = limits.shape[1]
        gives = np.bincount(row[entry] * width + place, watts, total * width)
        return gives.astype(np.float64, copy=False).reshape(total, width), limits, frees

    def _lost(self, counts: Ints) -> tuple[Ints, Ints, list[Stage]]:
        """What is lost, and the number of the stage, by row; and the stages by number."""
        gang = np.repeat(np.arange(len(counts)), counts)
        gpus, by_stop, kind = np.array(self._numbers, dtype=np.int64).reshape(-1, 3)[gang].T
        speed = np.array([speed for way in self._ways for speed in way.speeds], dtype=np.int64)
        stops = np.array([not profile for way in self._ways for profile in way.profiles], dtype=np.bool_)
        losses = np.maximum(np.where(stops, by_stop, gpus * (100 - speed)), 1)
        kinds = [Terms(disruption, priority) for disruption, priority in self._kinds]
        of_caps, of_stops = ([stage_of(t, stops=stop) for t in kinds] for stop in (False, True))
        by_number = sorted({*of_caps, *of_stops})
        number = {stage: i for i, stage in enumerate(by_number)}
        numbers = np.array([[number[s] for s in of_caps], [number[s] for s in of_stops]], dtype=np.int64)
        return losses, numbers[stops.astype(np.int64), kind], by_number


def _places(gang: Ints, limit: Ints, gangs: int, limits: int) -> tuple[Ints, Ints]:
    """By gang and place the limits that are named with it, in order; and the place of each of these pairs."""
    named = np.zeros((gangs, limits), dtype=np.bool_)
    named[gang, limit] = True
    each = named.sum(axis=1)
    g, own = np.nonzero(named)
    nth = np.arange(len(g)) - np.repeat(np.cumsum(each) - each, each)
    found = np.full((gangs, int(each.max(initial=0))), limits, dtype=np.int64)
    found[g, nth] = own
    place = np.zeros((gangs, limits), dtype=np.int64)
    place[g, own] = nth
    return found, place[gang, limit]


def _lower(alike: Alike, placement: Placement) -> list[str]:
    """Profiles that all the gang's nodes have and that are lower on each of them, highest first."""
    watts: dict[str, int] | None = None
    for node_type in {use.node_type.name: use.node_type for use, _, _ in alike}.values():
        now = find_cap(node_type, placement.power_profile)
        top = node_type.max_watts if now is None else now.node_watts
        own = {c.name: c.node_watts for c in node_type.caps if c.node_watts < top}
        watts = own if watts is None else {n: max(w, own[n]) for n, w in watts.items() if n in own}
    found = watts or {}
    return sorted(found, key=lambda name: (-found[name], name))


def _useful(gives: Floats) -> Bools:
    """The rows that give no less than the one kept before on any limit, and more on one."""
    kept, last = np.zeros(len(gives), dtype=np.bool_), np.zeros(gives.shape[1])
    for i, row in enumerate(gives):
        if (row >= last).all() and (row > last).any():
            kept[i], last = True, row
    return kept


def _performance(alike: Alike, profile: str) -> int:
    """Speed at that profile in percent, that of the slowest node."""
    caps = [
        find_cap(node_type, profile)
        for node_type in {id(use.node_type): use.node_type for use, _, _ in alike}.values()
    ]
    return min((cap.relative_performance_percent for cap in caps if cap is not None), default=100)
