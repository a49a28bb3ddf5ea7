"""Every way to put unlike slots on a few nodes, one node after the other: some way that holds, or the proof of none.

The groups of a gang meet on nodes (GPUs, and what the caller knows) and under every limit.  Placing one group after
the other (:mod:`engine.placing.groups`) may take what only the next one could have used; what is small enough is
settled here.  *Small* is at most ``NODES`` nodes, ``WAYS`` ways to fill one of them, over all, and ``STEPS`` steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import NVLINK, Request
from rackplane.engine.physics import draw
from rackplane.engine.state import State

NODES = 40
WAYS = 4_000
STEPS = 4_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Counts = tuple[int, ...]
"""Slots by group."""


class TooMany(Exception):
    """There is more to look at than is looked at."""


@dataclass(frozen=True, slots=True)
class _Way:
    """Slots by group on one node, and what they draw on the limits of its rack."""

    counts: Counts
    watts: tuple[tuple[int, float], ...]
    """Limit (by cell) -> watts."""


class Together:
    """The groups of a gang on these nodes.

    Args:
        slots: by group, what each node could take of it alone.
        chosen: the nodes, as indices into the inventory.
        slack: watts left, by cell of the facility.
    """

    def __init__(
        self,
        state: State,
        request: Request,
        profile: str,
        *,
        slots: Sequence[Ints],
        chosen: Ints,
        slack: Floats,
    ) -> None:
        self.state, self.request, self.profile = state, request, profile
        self.nodes = [int(i) for i in chosen if any(by_node[i] > 0 for by_node in slots)]
        self.slots = slots
        self.slack = slack
        inventory = state.inventory
        self.rack = [int(inventory.rack[i]) for i in self.nodes]
        domain = inventory.levels[NVLINK][0]
        self.domain = [int(domain[i]) for i in self.nodes]
        self.runs = [g.segment_slots or 1 for g in request.groups]

    def find(self, steps: int) -> dict[int, Counts] | None:
        """Node -> slots by group; None if there is no way: proved.

        Raises:
            TooMany: this is not small.
        """
        self.steps_left, self._ways_left = steps, WAYS
        if len(self.nodes) > NODES:
            raise TooMany
        ways = self._binding([self._ways(p) for p in range(len(self.nodes))])
        needs = tuple(g.slots for g in self.request.groups)
        most = np.array([np.max([w.counts for w in of_node], axis=0) for of_node in ways]).reshape(
            -1, len(needs)
        )
        self._rest = [*np.cumsum(most[::-1], axis=0)[::-1].tolist(), [0] * len(needs)]
        self._gpus = [g.gpus_per_slot for g in self.request.groups]
        self._rest_gpus = [0]
        for of_node in reversed(ways):
            self._rest_gpus.insert(0, self._rest_gpus[0] + max(self._total(w.counts) for w in of_node))
        self._alike = [
            p > 0
            and (self.rack[p], self.domain[p]) == (self.rack[p - 1], self.domain[p - 1])
            and [w.counts for w in ways[p]] == [w.counts for w in ways[p - 1]]
            for p in range(len(ways))
        ]
        self._all = ways
        chosen: list[int] = []
        if not self._descend(chosen, needs, (0,) * len(needs), (False,) * len(needs)):
            return None
        return {self.nodes[p]: ways[p][w].counts for p, w in enumerate(chosen) if any(ways[p][w].counts)}

    def _ways(self, p: int) -> list[_Way]:
        """How the node could be filled by itself, the fullest first."""
        node, groups, beside = self.nodes[p], self.request.groups, self.request.beside
        name, free = self.state.inventory.names[node], int(self.state.free[node])
        node_type = self.state.node_type(name)
        ends = []
        for g, group in enumerate(groups):
            in_runs = self.runs[g] == 1 or self.domain[p] >= 0
            ends.append(min(group.slots, int(self.slots[g][node])) if in_runs else 0)
        self._ways_left -= prod(end + 1 for end in ends)
        if self._ways_left < 0:
            raise TooMany
        facility = self.state.facility
        entries = facility.entries(self.rack[p])
        found = []
        for counts in product(*(range(end, -1, -1) for end in ends)):
            gpus = sum(n * group.gpus_per_slot for n, group in zip(counts, groups, strict=True))
            if gpus > free or not self._beside(name, counts):
                continue
            watts: dict[int, float] = {}
            if node_type is not None and gpus:
                one = draw.gang_increment(node_type, self.profile, gpus)
                each = facility.coefficients[entries] * np.where(
                    facility.peak[entries], one.peak, one.nominal
                )
                watts = dict(zip(facility.cells[entries].tolist(), each.tolist(), strict=True))
            found.append((gpus, _Way(counts, tuple((cell, w) for cell, w in watts.items() if w > 0))))
        assert beside is None or found  # the empty way is always among them
        return [way for _, way in sorted(found, key=lambda item: (-item[0], [-n for n in item[1].counts]))]

    def _binding(self, ways: list[list[_Way]]) -> list[list[_Way]]:
        """The ways with those limits only that these nodes together could exceed."""
        worst: dict[int, float] = {}
        for of_node in ways:
            most: dict[int, float] = {}
            for way in of_node:
                for cell, watts in way.watts:
                    most[cell] = max(most.get(cell, 0.0), watts)
            for cell, watts in most.items():
                worst[cell] = worst.get(cell, 0.0) + watts
        self._left = {cell: max(0.0, float(self.slack[cell])) for cell in worst}
        binding = {cell for cell, watts in worst.items() if watts > self._left[cell]}
        return [
            [_Way(way.counts, tuple(w for w in way.watts if w[0] in binding)) for way in of_node]
            for of_node in ways
        ]

    def _beside(self, node: str, counts: Counts) -> bool:
        beside = self.request.beside
        if beside is None or sum(n > 0 for n in counts) < 2:
            return True
        taken = [0] * len(counts)
        for g, n in enumerate(counts):
            if n and beside.slots(g, node, tuple(taken)) < n:
                return False
            taken[g] = n
        return True

    def _descend(self, chosen: list[int], left: Counts, in_domain: Counts, shorts: tuple[bool, ...]) -> bool:
        self.steps_left -= 1
        if self.steps_left < 0:
            raise TooMany
        p = len(chosen)
        if p == len(self._all) or (p and self.domain[p] != self.domain[p - 1]):
            closed = self._closed(in_domain, shorts)
            if closed is None:
                return False
            in_domain, shorts = (0,) * len(left), closed
        if p == len(self._all):
            return not any(left)
        if any(n > most for n, most in zip(left, self._rest[p], strict=True)):
            return False
        if self._total(left) > self._rest_gpus[p]:
            return False
        # Nodes that are alike are filled in one order: what the first has not, the next has not either.
        first = chosen[-1] if self._alike[p] else 0
        for w in range(first, len(self._all[p])):
            way = self._all[p][w]
            if any(n > have for n, have in zip(way.counts, left, strict=True)):
                continue
            if any(watts > self._left[cell] for cell, watts in way.watts):
                continue
            for cell, watts in way.watts:
                self._left[cell] -= watts
            chosen.append(w)
            if self._descend(
                chosen,
                tuple(have - n for n, have in zip(way.counts, left, strict=True)),
                tuple(n + have for n, have in zip(way.counts, in_domain, strict=True)),
                shorts,
            ):
                return True
            chosen.pop()
            for cell, watts in way.watts:
                self._left[cell] += watts
        return False

    def _total(self, counts: Counts) -> int:
        return sum(n * gpus for n, gpus in zip(counts, self._gpus, strict=True))

    def _closed(self, in_domain: Counts, shorts: tuple[bool, ...]) -> tuple[bool, ...] | None:
        """Which groups have had their short last run, with this NVLink domain; None if its runs are not whole."""
        result = list(shorts)
        for g, (taken, run) in enumerate(zip(in_domain, self.runs, strict=True)):
            over = taken % run
            if over:
                if shorts[g] or over != self.request.groups[g].slots % run:
                    return None
                result[g] = True
        return tuple(result)
