"""The bins that one request may lie in at a level, what each could take, and what tells them apart.

For *bin*, *part* and *tree* see :mod:`engine.nodes.layout`.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import NVLINK, NvlinkScope, Request
from rackplane.engine.nodes.layout import Layout
from rackplane.engine.physics.facility import Facility
from rackplane.engine.placing.candidates import Candidates

Ints = NDArray[np.int64]

MILLION = 1_000_000
FACTORS = np.array([1.0, 4.0, 16.0])
"""Coarse, because users do not know how long their jobs run: see docs/benchmarks.md."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The candidate nodes of one bin in one rack: slots by nodes alone, and with the rack's watts."""

    rack: int
    nodes: Ints
    free: int
    cap: int


class Bin:
    """One bin of an attempt: what it could take, and what it is made of, looked up when asked for."""

    def __init__(self, attempt: Attempt, index: int) -> None:
        self._attempt = attempt
        self.index = index
        """Position in the attempt."""
        self.order = int(attempt.layout.bin_id[index])
        """By names."""
        self.name = attempt.layout.bin_names[index]
        self.size = int(attempt.bin_free[index])
        """Free slots."""
        self.cap = int(attempt.bin_cap[index])
        """An upper bound on the slots that its racks' watts leave."""
        self.pristine = not attempt.used_nodes[index]

    def refilled(self, cells: tuple[Cell, ...]) -> Bin:
        """The same bin as if these were its candidate nodes: what if some were freed, or watts were."""
        other = copy.copy(self)
        other.__dict__["cells"] = cells
        other.size, other.cap = sum(c.free for c in cells), sum(c.cap for c in cells)
        return other

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Its candidate nodes by rack."""
        attempt, layout = self._attempt, self._attempt.layout
        slots = attempt.candidates.node_slots
        found = []
        for part in layout.parts(self.index):
            free = int(attempt.part_free[part])
            if free:
                nodes = layout.part_nodes(part)
                nodes = nodes[slots[nodes] > 0]
                found.append(Cell(int(layout.part_rack[part]), nodes, free, int(attempt.part_cap[part])))
        return tuple(found)

    @cached_property
    def around(self) -> int:
        """As :meth:`Attempt.pristine_around`; 0 where that tells no bins apart."""
        return int(self._attempt.pristine_around(self.index)) if self._attempt.outermost is not None else 0

    @cached_property
    def beyond(self) -> int:
        """As :meth:`Attempt.beyond_share`; 0 where that does not count."""
        attempt = self._attempt
        return int(attempt.beyond_share[self.index]) if attempt.by_share else 0

    @cached_property
    def outlasted(self) -> int:
        """As :meth:`Attempt.outlasted`; 0 where that does not count."""
        attempt = self._attempt
        return int(attempt.outlasted(np.array([self.index]))[0]) if attempt.by_lifetime else 0

    @cached_property
    def emptiness(self) -> tuple[int, ...]:
        """As :meth:`Attempt.emptiness`, by level from the innermost."""
        attempt = self._attempt
        return tuple(int(attempt.emptiness(level, self.index)) for level in attempt.levels)

    @cached_property
    def worth(self) -> Hashable:
        """What it is worth to the objective: of bins that are alike in it, only the name tells which is better."""
        emptiness, beyond, outlasted = self.emptiness, self.beyond, self.outlasted
        return self.size, self.cap, self.pristine, beyond, self.around, outlasted, emptiness

    @cached_property
    def members(self) -> Ints:
        """All its nodes, candidates or not."""
        layout = self._attempt.layout
        return np.concatenate([layout.part_nodes(part) for part in layout.parts(self.index)])

    @cached_property
    def group(self) -> str:
        """The NVLink domain's name, "" if NVLink ends in the node."""
        state, layout = self._attempt.candidates.state, self._attempt.layout
        node_type = state.facility.rack_types[int(layout.part_rack[layout.bin_starts[self.index]])]
        spans = node_type is not None and node_type.nvlink_scope in (NvlinkScope.LABEL, NvlinkScope.OBJECT)
        first = layout.rows[layout.part_starts[layout.bin_starts[self.index]]]
        spec = state.node(state.inventory.names[first])
        return (spec.domain or "") if spans and spec is not None else ""

    @property
    def whole(self) -> int:
        """Slots if every known node of it were idle: what could ever fit."""
        return int(self._attempt.bin_whole[self.index])

    def least_racks(self, slots: int) -> int:
        """A lower bound on the racks that so many slots need."""
        if len(self.cells) == 1:
            return 1
        left, count = slots, 0
        for cap in sorted((c.cap for c in self.cells), reverse=True):
            if left <= 0:
                break
            left -= cap
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class Subtree:
    """One domain of the level that must hold the whole gang, with all its bins."""

    name: str
    bins: tuple[Bin, ...]

    @property
    def whole(self) -> int:
        """Slots if every known node of it were idle."""
        return sum(b.whole for b in self.bins)


class Attempt:
    """One level to try.  ``single``: the gang must lie in one bin, and each bin is a domain of the level."""

    def __init__(self, candidates: Candidates, level: str, required: str | None) -> None:
        self.candidates = candidates
        self.level = level
        ladder = candidates.state.facility.ladder
        self.single = level in ladder[: ladder.index(NVLINK) + 1]
        request = candidates.request
        spread = NVLINK if (request.segment_slots or 1) > 1 else ""
        self.layout: Layout = candidates.state.layout(
            (required or "") if self.single else level,
            request.resource if request.gpus_per_slot else None,
            bins=level if self.single else spread,
        )
        self._emptiness: dict[str, tuple[Ints, Ints]] = {}
        self._pristine_share: Ints | None = None
        """By bin, see :meth:`pristine_around`."""
        sums = candidates.view.sums(self.layout)
        self.part_free = sums.free
        self.used_nodes = sums.used_nodes
        self.part_cap: Ints = np.minimum(sums.free, candidates.rack_slots[self.layout.part_rack])
        self.bin_cap = self.layout.sum_by_bin(self.part_cap)

    @cached_property
    def bin_free(self) -> Ints:
        """Free slots by bin, by nodes alone."""
        return self.layout.sum_by_bin(self.part_free)

    @cached_property
    def bin_whole(self) -> Ints:
        """Slots by bin if every known node of it were idle."""
        candidates, layout = self.candidates, self.layout
        nodes = layout.part_size
        if candidates.request.gpus_per_slot:
            each = candidates.needs.whole[layout.part_rack]
        else:
            each = np.full(len(nodes), candidates.request.slots, dtype=np.int64)
        return layout.sum_by_bin(nodes * each)

    def emptiness(self, level: str, bins: Ints | int) -> Ints:
        """For each of these bins, how empty the domain of a fabric level around it is.

        In millionths: slots of the request's kind that are free there, over those there would be if all were idle.
        """
        found = self._emptiness.get(level)
        if found is None:
            of_bin = self.layout.level_of_bin(level)
            free = np.bincount(of_bin, self.bin_free)
            whole = self.candidates.view.whole(self.layout, level)
            found = self._emptiness[level] = of_bin, (free * MILLION // whole).astype(np.int64)
        of_bin, parts = found
        return np.asarray(parts[of_bin[bins]])

    def pristine_around(self, bins: Ints | int) -> Ints:
        """For each of these bins, how many of the bins in the outermost level's domain around it are pristine.

        In millionths.  A gang larger than one bin needs many of them in one such domain.
        """
        if self._pristine_share is None:
            assert self.outermost is not None
            of_bin = self.layout.level_of_bin(self.outermost)
            pristine = np.bincount(of_bin, self.used_nodes == 0)
            bins_there = self.layout.bins_by_domain(self.outermost)
            self._pristine_share = (pristine * MILLION // bins_there).astype(np.int64)[of_bin]
        return np.asarray(self._pristine_share[bins])

    @cached_property
    def beyond_share(self) -> Ints:
        """By bin, the watts of the gang that are beyond the even share of the bin's racks.

        Of a bin whose racks are in several groups, the group with most left counts.
        """
        candidates, layout = self.candidates, self.layout
        state, racks = candidates.state, layout.part_rack
        left = layout.most_by_bin(state.even.left(state.nominal)[racks])
        one = candidates.needs.increments[racks[layout.bin_starts]].astype(np.int64)
        beyond: Ints = np.maximum(0, candidates.request.slots * one - left)
        return beyond

    @property
    def by_share(self) -> bool:
        """Whether bins are told apart by :attr:`beyond_share`: for a gang in one bin."""
        return self.single and self.candidates.request.gpus_per_slot > 0

    def outlasted(self, bins: Ints) -> Ints:
        """For each of these bins, how much longer the gang runs than all that runs there.

        1 where it is up to 4 times as long, 2 up to 16 times, 3 beyond; 0 where something runs at least as long, so
        that the bin becomes wholly free no later than without the gang.
        """
        request = self.candidates.request
        assert request.lasts is not None
        assert request.until is not None
        left = self.candidates.state.ends.by_bin(self.layout)[bins] - (request.until - request.lasts)
        return np.asarray((left[:, None] * FACTORS < request.lasts).sum(axis=1))

    @property
    def by_lifetime(self) -> bool:
        """Whether bins are told apart by :meth:`outlasted`: for a gang in one bin that says how long it runs."""
        request = self.candidates.request
        return self.single and request.gpus_per_slot > 0 and None not in (request.lasts, request.until)

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """The fabric levels whose emptiness counts, innermost first; none for pods without GPUs: any number fits."""
        if not self.candidates.request.gpus_per_slot:
            return ()
        return self.layout.differing(self.candidates.state.facility.levels)

    @property
    def outermost(self) -> str | None:
        """The outermost fabric level; None where all bins lie in one domain of it, or pods have no GPUs."""
        levels = self.levels
        return levels[-1] if levels and levels[-1] == self.candidates.state.facility.levels[-1] else None

    def limited(self, candidates: Candidates) -> Attempt:
        """The same bins where nodes take fewer slots: what a bin is worth does not depend on that."""
        self.bin_free  # noqa: B018  (of all slots: it is kept)
        other = copy.copy(self)
        other.candidates = candidates
        other.part_free = self.layout.sum_by_part(candidates.node_slots)
        other.part_cap = np.minimum(other.part_free, candidates.rack_slots[self.layout.part_rack])
        other.bin_cap = self.layout.sum_by_bin(other.part_cap)
        return other

    def fitting(self) -> list[int]:
        """Bins that could take the whole gang, by nodes and each rack's watts alone."""
        return [int(b) for b in np.flatnonzero(self.bin_cap >= self.candidates.request.slots)]

    def subtree(self, tree: int) -> Subtree:
        """A tree with those of its bins that could take a part of the gang: at least one run, or the short last one."""
        slots, run = self.candidates.request.slots, self.candidates.request.segment_slots or 1
        of_tree = self.layout.bins(tree)
        taking = np.flatnonzero(self.bin_cap[of_tree.start : of_tree.stop] >= min(run, slots % run or run))
        return Subtree(self.tree_name(tree), self.bins((taking + of_tree.start).tolist()))

    def tree_name(self, tree: int) -> str:
        """Its name on its level."""
        first = int(self.layout.tree_starts[tree])
        return self.layout.tree_names[int(self.layout.bin_tree_id[first])]

    def bins(self, chosen: Iterable[int]) -> tuple[Bin, ...]:
        """These bins as objects."""
        return tuple(Bin(self, b) for b in chosen)


def levels_tried(facility: Facility, request: Request) -> tuple[str, ...]:
    """The levels to try, nearest first: from one NVLink domain, or a nearer one that is preferred, up to the required.

    A level at which gangs are split is tried only from the preferred one on; "" is anywhere.  A gang that is to be
    spread is not tried in less than was asked for.
    """
    return _levels(tuple(facility.ladder), request.required, request.preferred, spread=request.spread)


@cache
def _levels(
    ladder: tuple[str, ...], required: str | None, preferred: str | None, *, spread: bool
) -> tuple[str, ...]:
    ladder = (*ladder, "")
    whole = ladder.index(NVLINK)
    top = ladder.index(required or "")
    first = min(top, ladder.index(preferred or required or ""))
    nearest = () if spread else range(min(first, whole), whole + 1)
    chosen = dict.fromkeys([*nearest, *range(first, top + 1)])
    return tuple(ladder[i] for i in chosen if i <= top)


class Attempts(Sequence[Attempt]):
    """The levels to try, nearest first: each is looked at when it is its turn, for most gangs fit at the first."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        self._levels = levels_tried(candidates.state.facility, candidates.request)
        self._made: dict[int, Attempt] = {}

    def __len__(self) -> int:
        return len(self._levels)

    @overload
    def __getitem__(self, index: int) -> Attempt: ...

    @overload
    def __getitem__(self, index: slice) -> list[Attempt]: ...

    def __getitem__(self, index: int | slice) -> Attempt | list[Attempt]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        position = range(len(self._levels))[index]
        found = self._made.get(position)
        if found is None:
            candidates = self._candidates
            found = Attempt(candidates, self._levels[position], _trees(candidates))
            self._made[position] = found
        return found


def attempts(candidates: Candidates) -> Attempts:
    """The levels to try, as :func:`levels_tried` has them."""
    return Attempts(candidates)


def widest(candidates: Candidates) -> Attempt:
    """The last level to try: what fits in a nearer one fits in it too."""
    return attempts(candidates)[-1]


def _trees(candidates: Candidates) -> str | None:
    """The level that must hold the whole gang, if it is one at which gangs are split."""
    required, ladder = candidates.request.required, candidates.state.facility.ladder
    wide = required is not None and ladder.index(required) > ladder.index(NVLINK)
    return required if wide else None
