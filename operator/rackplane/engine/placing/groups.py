"""Where a gang of unlike slots goes: workers and a leader without GPUs, pods of two templates.

The group that is hardest to place chooses the domain, by the objective of :mod:`engine.placing.search`; the others
follow into the same domain of the level, as near to what is placed already as they fit: on the same nodes, then in the
same NVLink domains, and so on outwards.  If one finds no room, another order is tried, then every way where there are
few (:mod:`engine.placing.together`), then the next domain.  What is placed is booked in a simulation meanwhile, so each
group is checked under all limits with the others there.

Once a domain has turned out too small, all are passed over in which one limit cannot carry what the groups need on it
together at least (:func:`engine.placing.shortage.overdrawn`), so that the ways are looked at where there may be one.

The answer is "proved" where no domain of the widest level has nodes enough, where the hardest group alone does not fit,
where one limit rules them out together, or where every way was looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Group, Placement, Request
from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.physics.draw import find_cap
from rackplane.engine.placing.attempts import levels_tried
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.shortage import Room, overdrawn
from rackplane.engine.placing.together import STEPS, Together, TooMany
from rackplane.engine.state import State

DOMAINS_TRIED = 24
"""Domains of one level in which the groups are put together; each costs a search for every group."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Solve = Callable[[Candidates], tuple[Placement | None, bool]]
"""The best placement of one group alone, and, if there is none, whether that is proved."""


@dataclass(frozen=True, slots=True)
class Jammed:
    """How far it went in one domain: what was placed, by group, and the group that then had no room."""

    level: str
    domain: str
    inside: Bools
    """The domain's nodes."""
    placed: Mapping[int, Placement]
    group: int


@dataclass(slots=True)
class Tried:
    """What became of one level: its domains, those with too few nodes, and those where the groups did not fit."""

    level: str
    names: Sequence[str]
    too_few: int = 0
    jammed: tuple[Jammed, ...] = ()
    room: Ints | None = None
    """Slots that each group (by row) could have in each domain (by column) by itself, and then GPUs free for all."""
    unfit: int = 0
    """Domains in which not even the first group fits, by limits."""
    proved: bool = True


class Groups:
    """One request of several groups under one power profile.

    Args:
        steps: of the search of every way, in all domains together.
    """

    def __init__(
        self, state: State, request: Request, profile: str, solve: Solve, *, steps: int = STEPS
    ) -> None:
        self.state, self.request, self.profile, self._solve = state, request, profile, solve
        self.levels = levels_tried(state.facility, request)
        sizes = [(g.slots * g.gpus_per_slot, g.gpus_per_slot, g.slots) for g in request.groups]
        self.order = sorted(range(len(sizes)), key=lambda g: ([-n for n in sizes[g]], g))
        """Groups, the hardest to place first: by GPUs in all, GPUs of a slot, slots."""
        self.tried: list[Tried] = []
        self._steps = steps

    def find(self) -> Placement | None:
        """The placement of the nearest level that has one; ``tried`` tells the rest."""
        for level in self.levels:
            found = self._at(level)
            if found is not None:
                return self.combined(found)
        return None

    @property
    def proved(self) -> bool:
        """Whether it is certain that there is none: all narrower levels lie within the widest."""
        return self.tried[-1].proved

    # -- one group ---------------------------------------------------------------------------------

    def part(self, group: int, level: str) -> Request:
        """The request of one group by itself, all in one domain of the level."""
        whole, own = self.request, self.request.groups[group]
        ladder = [*self.state.facility.ladder, ""]
        nearer = whole.preferred is not None and ladder.index(whole.preferred) < ladder.index(level)
        return Request(
            slots=own.slots,
            gpus_per_slot=own.gpus_per_slot,
            resource=own.resource,
            required=level or None,
            preferred=whole.preferred if nearer else None,
            segment_slots=own.segment_slots,
            power_profile=self.profile,
            strict=True,
            capacity=own.capacity,
            until=whole.until,
            at=whole.at,
            lasts=whole.lasts,
            spread=whole.spread,
        )

    def candidates(self, group: int, level: str) -> Candidates:
        """What the group by itself could use now."""
        return Candidates(self.state, self.part(group, level), self.profile)

    def left(self, group: int, inside: Bools, placed: Mapping[int, Placement]) -> Ints:
        """Slots of the group that nodes inside may take beside what is placed, as far as the caller bounds them."""
        allowed = np.where(inside, UNLIMITED, 0)
        beside = self.request.beside
        if beside is not None:
            for node, taken in self._taken(placed).items():
                i = self.state.inventory.index[node]
                if inside[i]:
                    allowed[i] = max(0, beside.slots(group, node, taken))
        return allowed

    def _taken(self, placed: Mapping[int, Placement]) -> dict[str, tuple[int, ...]]:
        counts: dict[str, list[int]] = {}
        for g, placement in placed.items():
            for node in placement.slots:
                counts.setdefault(node, [0] * len(self.request.groups))[g] += 1
        return {node: tuple(of_node) for node, of_node in counts.items()}

    # -- one level ---------------------------------------------------------------------------------

    def _at(self, level: str) -> Mapping[int, Placement] | None:
        inventory = self.state.inventory
        ids, names = self._domains(level)
        tried = Tried(level, names)
        self.tried.append(tried)
        alone = {g: self.candidates(g, level) for g in self.order}
        open_ = self._large_enough(alone, ids, tried)
        tried.too_few = int((~open_).sum())
        lead, whole = self.order[0], tuple(alone.values())
        ruled_out: Bools | None = None
        while open_.any():
            inside = (ids >= 0) & open_[ids]
            first, certain = self._solve(alone[lead].only(np.where(inside, UNLIMITED, 0)))
            if first is None:
                tried.unfit = int(open_.sum())
                if certain:
                    return None
                ruled_out = self._overdrawn(whole, ids, len(names)) if ruled_out is None else ruled_out
                return self._in_any(tried, alone, ids, open_ & ~ruled_out)
            if len(tried.jammed) == DOMAINS_TRIED:
                tried.proved = False
                return None
            own = ids[[inventory.index[node] for node in first.slots]]
            domain = int(own[0])
            inside = ids == domain
            if (own != domain).any():  # a domain of this level that lies in two of the required one
                alone[lead] = alone[lead].only(np.where(inside | ~np.isin(ids, own), UNLIMITED, 0))
                continue
            found = self._put(level, inside, first)
            if isinstance(found, tuple):
                placed, group = found
                tried.jammed = (*tried.jammed, Jammed(level, names[domain], inside, placed, group))
                if ruled_out is None:  # counted where it is needed only: most gangs fit the first domain
                    ruled_out = self._overdrawn(whole, ids, len(names))
                exact = None if ruled_out[domain] else self._every_way(tried, alone, inside)
                if exact is not None:
                    return exact
                open_[domain] = False
                open_ &= ~ruled_out
                continue
            return found
        return None

    def _domains(self, level: str) -> tuple[Ints, Sequence[str]]:
        """Node -> domain of the level, -1 for none, and their names; within one of the required level."""
        inventory, ladder, required = self.state.inventory, self.state.facility.ladder, self.request.required
        if not level:
            return np.zeros(len(inventory.names), dtype=np.int64), ("the facility",)
        ids, names = inventory.levels[level]
        if required is None or ladder.index(level) >= ladder.index(required):
            return ids, names
        above = inventory.levels[required][0]
        count = int(above.max(initial=-1)) + 1
        pairs, place = np.unique(
            np.where((ids >= 0) & (above >= 0), ids * count + above, -1), return_inverse=True
        )
        first = int((pairs < 0).sum())
        return place - first, [names[pair // count] for pair in pairs[first:].tolist()]

    def _large_enough(self, alone: Mapping[int, Candidates], ids: Ints, tried: Tried) -> Bools:
        """Domains with slots enough for each group, and with GPUs enough for all."""
        here, count = ids >= 0, len(tried.names)
        tried.room = np.zeros((len(alone) + 1, count), dtype=np.int64)
        enough = np.ones(count, dtype=np.bool_)
        by_resource: dict[str, list[int]] = {}
        for g, candidates in alone.items():
            group = self.request.groups[g]
            slots = np.minimum(candidates.node_slots, group.slots)
            tried.room[g] = np.bincount(ids[here], slots[here], minlength=count)
            enough &= tried.room[g] >= group.slots
            if group.gpus_per_slot:
                by_resource.setdefault(group.resource, []).append(g)
        for members in by_resource.values():
            usable = np.any([alone[g].node_slots > 0 for g in members], axis=0) & here
            gpus = sum(self.request.groups[g].slots * self.request.groups[g].gpus_per_slot for g in members)
            free = np.bincount(ids[usable], self.state.free[usable], minlength=count).astype(np.int64)
            tried.room[-1] += free
            enough &= free >= gpus
        return enough

    def _overdrawn(self, alone: Sequence[Candidates], ids: Ints, count: int) -> Bools:
        """By domain: whether a limit rules all groups together out there, however each of them lies; proved."""
        if not all(candidates.exact for candidates in alone):
            return np.zeros(count, dtype=np.bool_)
        parts = []
        for candidates in alone:
            racks = len(candidates.rack_slots)
            rack = self.state.inventory.rack
            here = np.flatnonzero((ids >= 0) & (rack >= 0) & (candidates.node_slots > 0))
            keys, place = np.unique(ids[here] * racks + rack[here], return_inverse=True)
            slots = np.bincount(place, candidates.node_slots[here], minlength=len(keys)).astype(np.int64)
            by_watts = candidates.rack_slots[keys % racks]
            parts.append((candidates, Room(keys // racks, keys % racks, np.minimum(slots, by_watts), count)))
        return overdrawn(parts)

    def _put(
        self, level: str, inside: Bools, first: Placement
    ) -> Mapping[int, Placement] | tuple[Mapping[int, Placement], int]:
        """All groups in one domain; or what could be placed in the first order, and the group that then could not.

        Args:
            first: where the hardest group would go.
        """
        order: Sequence[int] = self.order
        jam: tuple[Mapping[int, Placement], int] | None = None
        seen = set[tuple[int, ...]]()
        while tuple(order) not in seen:
            seen.add(tuple(order))
            found = self._in_order(level, inside, order, first if order[0] == self.order[0] else None)
            if not isinstance(found, tuple):
                return found
            jam = jam or found
            # Who found no room goes first next time: there may be few places for it.
            order = (found[1], *(g for g in order if g != found[1]))
        assert jam is not None
        return jam

    def _in_order(
        self, level: str, inside: Bools, order: Sequence[int], first: Placement | None
    ) -> Mapping[int, Placement] | tuple[Mapping[int, Placement], int]:
        placed: dict[int, Placement] = {}
        with self.state.simulation():
            for g in order:
                known = first if not placed else None
                placement = known or self._near(g, level, inside, placed)
                if placement is None:
                    return placed, g
                placed[g] = placement
                self.book(g, placement)
        return placed

    def book(self, group: int, placement: Placement) -> None:
        """Hold one group's place, in a simulation."""
        self.state.book(f"\0{group}", placement, until=self.request.until)

    def _near(
        self, group: int, level: str, inside: Bools, placed: Mapping[int, Placement]
    ) -> Placement | None:
        """The group as near to what is placed as it fits."""
        candidates = self.candidates(group, level)
        allowed = self.left(group, inside, placed)
        need = self.request.groups[group].slots
        for scope in self._scopes(level, inside, placed):
            within = np.where(scope, allowed, 0)
            if int(np.minimum(np.minimum(candidates.node_slots, within), need).sum()) < need:
                continue
            found, _ = self._solve(candidates.only(within))
            if found is not None:
                return found
        return None

    def _scopes(self, level: str, inside: Bools, placed: Mapping[int, Placement]) -> Iterator[Bools]:
        """Nodes to try, nearest first: those in use, then those of the same domains, level by level, then all."""
        if placed and not self.request.spread:
            inventory = self.state.inventory
            rows = np.array(sorted({inventory.index[n] for p in placed.values() for n in p.slots}))
            near = np.zeros(len(inventory.names), dtype=np.bool_)
            near[rows] = True
            yield near
            ladder = self.state.facility.ladder
            for name in ladder[: ladder.index(level)] if level else ladder:
                ids = inventory.levels[name][0]
                own = np.unique(ids[rows])
                yield np.isin(ids, own[own >= 0]) & inside
        yield inside

    # -- every way ---------------------------------------------------------------------------------

    def _in_any(
        self, tried: Tried, alone: Mapping[int, Candidates], ids: Ints, open_: Bools
    ) -> Mapping[int, Placement] | None:
        for domain in np.flatnonzero(open_).tolist():
            found = self._every_way(tried, alone, ids == domain)
            if found is not None:
                return found
        return None

    def _every_way(
        self, tried: Tried, alone: Mapping[int, Candidates], inside: Bools
    ) -> Mapping[int, Placement] | None:
        """Some way in one domain, where all are few enough to look at; else nothing is proved of the level."""
        slots = [alone[g].node_slots for g in range(len(self.request.groups))]
        search = Together(
            self.state,
            self.request,
            self.profile,
            slots=slots,
            chosen=np.flatnonzero(inside),
            slack=alone[self.order[0]].slack,
        )
        try:
            found = search.find(self._steps)
        except TooMany:
            self._steps = search.steps_left
            tried.proved = False
            return None
        self._steps = search.steps_left
        return None if found is None else self._spelled(found)

    def _spelled(self, found: Mapping[int, tuple[int, ...]]) -> Mapping[int, Placement]:
        """Slots by node as a placement of each group."""
        inventory, facility = self.state.inventory, self.state.facility
        result: dict[int, Placement] = {}
        for g, group in enumerate(self.request.groups):
            nodes = {i: counts[g] for i, counts in sorted(found.items()) if counts[g]}
            runs: dict[int, int] = {}
            for i, n in nodes.items():
                runs[int(inventory.bin[i])] = runs.get(int(inventory.bin[i]), 0) + n
            run = group.segment_slots or 1
            # The NVLink domain with the short last run comes last, so that every run is whole.
            ordered = sorted(nodes, key=lambda i: (runs[int(inventory.bin[i])] % run != 0, i))
            names: dict[tuple[int, int], list[str]] = {}
            for i in ordered:
                key = (int(inventory.bin[i]), int(inventory.rack[i]))
                names.setdefault(key, []).extend([inventory.names[i]] * nodes[i])
            groups = tuple(
                Group(inventory.group_names[b], facility.racks[rack].name, tuple(of_rack))
                for (b, rack), of_rack in names.items()
            )
            result[g] = self._placement([groups], [group.gpus_per_slot])
        return result

    # -- the whole ---------------------------------------------------------------------------------

    def combined(self, placed: Mapping[int, Placement]) -> Placement:
        """The groups' placements as one."""
        members = range(len(self.request.groups))
        return self._placement(
            [placed[g].groups for g in members], [self.request.groups[g].gpus_per_slot for g in members]
        )

    def _placement(self, groups: Sequence[tuple[Group, ...]], gpus: Sequence[int]) -> Placement:
        by_node: dict[str, int] = {}
        slot_gpus: list[int] = []
        for own, each in zip(groups, gpus, strict=True):
            for node in (name for run in own for name in run.nodes):
                by_node[node] = by_node.get(node, 0) + each
                slot_gpus.append(each)
        watts = self.state.increments(by_node, self.profile)
        types = [self.state.node_type(node) for node, held in by_node.items() if held]
        caps = [cap for t in types if t is not None and (cap := find_cap(t, self.profile)) is not None]
        runs = tuple(run for own in groups for run in own)
        return Placement(
            slots=tuple(name for run in runs for name in run.nodes),
            groups=runs,
            gpus_per_slot=max(gpus),
            power_profile=self.profile,
            nominal_watts=watts.nominal_watts,
            peak_watts=watts.peak_watts,
            liquid_watts=watts.liquid_watts,
            air_watts=watts.air_watts,
            relative_performance_percent=min((c.relative_performance_percent for c in caps), default=100),
            slot_gpus=tuple(slot_gpus) if len(set(gpus)) > 1 else (),
        )
