"""What each gang could give: the ways to run it lower, or not at all, and what each takes off exceeded limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Metered, Placement
from rackplane.engine.shedding.costs import Stage, stage_of
from rackplane.engine.shedding.draws import GangNodes, Reach, given, numbered
from rackplane.engine.shedding.terms import Disruption, Measure, Terms
from rackplane.engine.shedding.ways import Way, drawn_less, way_of
from rackplane.engine.state import State
from rackplane.engine.uses import Alike

__all__ = ["Candidate", "Candidates", "candidates"]

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
    ways: Sequence[Way]
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

    def measures(self, levels: Ints) -> list[Measure]:
        """Of each gang the measure of that number, from 1; 0 is none."""
        gangs = np.flatnonzero(levels)
        numbers = levels[gangs] - 1
        frees = self.frees[(self.ends - self.counts)[gangs] + numbers]
        return [
            Measure(
                self.keys[gang], (way := self.ways[gang]).profiles[n], way.speeds[n], watts, self.terms[gang]
            )
            for gang, n, watts in zip(gangs.tolist(), numbers.tolist(), frees.tolist(), strict=True)
        ]

    def __getitem__(self, gang: int) -> Candidate:
        own = slice(int(self.ends[gang] - self.counts[gang]), int(self.ends[gang]))
        gives = np.zeros((int(self.counts[gang]), self.limit_count + 1))
        gives[:, self.limits[gang]] = self.gives[own]
        return Candidate(
            self.keys[gang],
            self.terms[gang],
            self.ways[gang].profiles,
            self.ways[gang].speeds,
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
    reach, found = Reach(state, cells), _Gangs()
    racks = state.facility.racks
    names = None if reach.touched.all() else {racks[r].name for r in np.flatnonzero(reach.touched).tolist()}
    keys = state.keys()
    for key in keys:
        own, placement = terms.get(key, _UNKNOWN), state.booking(key)
        assert placement is not None
        if spare_protected and own.disruption is Disruption.PROTECTED:
            continue
        if names is not None and names.isdisjoint([group.rack for group in placement.groups]):
            continue
        if alike := state.nodes_alike(key):
            found.add(key, own, placement, alike)
    return found.candidates(reach, may_stop=may_stop)


_UNKNOWN = Terms()


class _Gangs:
    """Gangs one after the other, until what they give is worked out for all of them together."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._terms: list[Terms] = []
        self._placements: list[Placement] = []
        self._alike: list[Alike] = []

    def add(self, key: str, terms: Terms, placement: Placement, alike: Alike) -> None:
        """One that has nodes."""
        self._keys.append(key)
        self._terms.append(terms)
        self._placements.append(placement)
        self._alike.append(alike)

    def candidates(self, reach: Reach, *, may_stop: bool) -> Candidates:
        """Those of them that can be brought down."""
        uses = GangNodes(self._alike)
        ways, way = self._ways(uses, may_stop=may_stop)
        touched = uses.by_gang(reach.touched[uses.rack]) > 0
        counts = np.where(touched, np.array([len(w.profiles) for w in ways], dtype=np.int64)[way], 0)
        table, at, unsure = self._table(uses, ways, way)
        gives, limits, frees = given(reach, uses, counts, table, at)
        losses, stages, by_number = self._lost(uses, ways, way, counts)
        of_gang = [ways[w] for w in way.tolist()]
        unsure &= counts > 0
        if unsure.any():
            keep, first = np.ones(len(losses), dtype=np.bool_), np.cumsum(counts) - counts
            for gang in np.flatnonzero(unsure).tolist():
                own = slice(first[gang], first[gang] + counts[gang])
                keep[own] = _useful(gives[own])
                of_gang[gang] = of_gang[gang].only(keep[own].tolist())
                counts[gang] = int(keep[own].sum())
            gives, frees, losses, stages = gives[keep], frees[keep], losses[keep], stages[keep]
        chosen = np.flatnonzero(counts)
        able = chosen.tolist()
        return Candidates(
            [self._keys[g] for g in able],
            [self._terms[g] for g in able],
            [of_gang[g] for g in able],
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

    def _ways(self, uses: GangNodes, *, may_stop: bool) -> tuple[list[Way], Ints]:
        """The ways that there are, and by gang which is its own; none that shares a node is capped."""
        numbers: dict[tuple[frozenset[int], str, Metered, bool, bool], int] = {}
        ways: list[Way] = []
        found: list[int] = []
        shares = (uses.by_gang(uses.shared) > 0).tolist()
        for terms, placement, alike, kind, shared in zip(
            self._terms, self._placements, self._alike, uses.kinds(), shares, strict=True
        ):
            caps, stops = not (terms.strict or shared), may_stop and terms.stoppable
            key = kind, placement.power_profile, placement.metered, caps, stops
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(ways)
                ways.append(way_of(alike, placement, caps=caps, stops=stops))
            found.append(number)
        return ways, np.array(found, dtype=np.int64)

    def _table(self, uses: GangNodes, ways: Sequence[Way], way: Ints) -> tuple[Ints, Ints, Bools]:
        """What nodes draw less, nominal and peak, by profile of each way; by use where its own begin in that.

        And by gang, whether one of its profiles is not certain to draw less than the one before.
        """
        table: list[tuple[int, int]] = []
        begins, unsure = [], []
        alike = (way[uses.gang] * (1 + uses.types.max(initial=0)) + uses.types) * (
            1 + uses.gpus.max(initial=0)
        )
        _, examples, which = np.unique(alike + uses.gpus, return_index=True, return_inverse=True)
        for use in examples.tolist():
            gang = int(uses.gang[use])
            profiles = ways[way[gang]].profiles
            less, falls = drawn_less(
                uses.node_types[use], int(uses.gpus[use]), self._placements[gang], profiles
            )
            begins.append(len(table))
            table += [(watts.nominal, watts.peak) for watts in less]
            unsure.append(not falls)
        return (
            np.array(table, dtype=np.int64).reshape(-1, 2),
            np.array(begins, dtype=np.int64)[which],
            uses.by_gang(np.array(unsure, dtype=np.bool_)[which]) > 0,
        )

    def _lost(
        self, uses: GangNodes, ways: Sequence[Way], way: Ints, counts: Ints
    ) -> tuple[Ints, Ints, list[Stage]]:
        """What is lost, and the number of the stage, by row; and the stages by number."""
        kinds: dict[tuple[Disruption, int], int] = {}
        kind = np.array(
            [kinds.setdefault((t.disruption, t.priority), len(kinds)) for t in self._terms], dtype=np.int64
        )
        gpus = uses.by_gang(uses.gpus * uses.nodes)
        known = np.array([t.lost_gpu_seconds for t in self._terms], dtype=np.int64)
        by_stop = np.where(known != 0, known, gpus)
        gang, nth = numbered(counts)
        sizes = np.array([len(w.profiles) for w in ways], dtype=np.int64)
        at = (np.cumsum(sizes) - sizes)[way[gang]] + nth
        speed = np.array([speed for w in ways for speed in w.speeds], dtype=np.int64)[at]
        stops = np.array([not profile for w in ways for profile in w.profiles], dtype=np.bool_)[at]
        losses = np.maximum(np.where(stops, by_stop[gang], gpus[gang] * (100 - speed)), 1)
        of_caps, of_stops = ([stage_of(Terms(*k), stops=stop) for k in kinds] for stop in (False, True))
        by_number = sorted({*of_caps, *of_stops})
        number = {stage: i for i, stage in enumerate(by_number)}
        numbers = np.array([[number[s] for s in of_caps], [number[s] for s in of_stops]], dtype=np.int64)
        return losses, numbers[stops.astype(np.int64), kind[gang]], by_number


def _useful(gives: Floats) -> Bools:
    """The rows that give no less than the one kept before on any limit, and more on one."""
    kept, last = np.zeros(len(gives), dtype=np.bool_), np.zeros(gives.shape[1])
    for i, row in enumerate(gives):
        if (row >= last).all() and (row > last).any():
            kept[i], last = True, row
    return kept
