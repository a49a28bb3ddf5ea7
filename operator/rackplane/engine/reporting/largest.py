"""The largest gang that a trial fill finds room for in one domain of a level, without asking placement.

`engine.planning.capacity` answers the same exactly, and may take seconds where power is short; this is for gauges,
which are worked out again and again. Domains are filled rack by rack in order of their names with wholly free nodes at
full power, as many as every limit allows under every loss. So there is room for that many; there may be for more, where
another order of racks, or racks left out, would use the power better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import NodeType
from rackplane.engine.nodes.inventory import natural
from rackplane.engine.physics import draw
from rackplane.engine.state import State

__all__ = ["FACILITY", "Room", "levels_in_use", "room_at"]

FACILITY = "facility"
"""The whole of it, as a level above all others."""

_TOLERANCE_WATTS = 1e-3

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Room:
    """Of one level and node type, in GPUs."""

    placeable: int
    """Of the largest gang of whole nodes found; it fits into one domain of the level."""
    free: int
    """Of the domain that has most: those of its free nodes, whatever power there is for them."""
    possible: int
    """The largest gang if the free nodes of all domains lay together, and power were no matter."""

    @property
    def fragmentation(self) -> float:
        """Part of ``possible`` that is out of reach: 0 if nothing is free."""
        return 1 - self.placeable / self.possible if self.possible else 0.0


def levels_in_use(state: State) -> list[str]:
    """From the nearest up: the levels that any node has, the NVLink domain among them, and `FACILITY`."""
    inventory = state.inventory
    return [
        *(level for level in state.facility.ladder if (inventory.levels[level][0] >= 0).any()),
        FACILITY,
    ]


def room_at(state: State, level: str) -> Mapping[str, Room]:
    """By node type that has GPUs. Books nothing."""
    f, inventory, table = state.facility, state.inventory, state.table
    if level == FACILITY:
        domain = np.zeros(len(inventory.names), dtype=np.int64)
    else:
        domain = inventory.levels[level][0]
    takes = np.array([*(f.usable(r) for r in range(len(f.racks))), False], dtype=np.bool_)
    idle = (table.gpus > 0) & (table.free == table.gpus)
    free = idle & state.healthy & takes[inventory.rack] & (domain >= 0)
    free[state.held_back()] = False
    types = {t.name: t for t in f.rack_types if t is not None and t.gpus_per_node > 0}
    found = {}
    for name, node_type in sorted(types.items()):
        of_type = np.array([*(t is not None and t.name == name for t in f.rack_types), False], dtype=np.bool_)
        here = of_type[inventory.rack]
        known = here & (domain >= 0)
        if not known.any():
            found[name] = Room(0, 0, 0)
            continue
        sizes = np.bincount(domain[known])
        mine = free & here
        by_domain = np.bincount(domain[mine], minlength=len(sizes))
        nodes = _most(state, node_type, domain, mine, by_domain)
        gpus = node_type.gpus_per_node
        found[name] = Room(
            nodes * gpus, int(by_domain.max()) * gpus, min(int(mine.sum()), int(sizes.max())) * gpus
        )
    return found


def _most(state: State, node_type: NodeType, domain: Ints, free: NDArray[np.bool_], by_domain: Ints) -> int:
    """Nodes of the domain in which the fill starts most."""
    f = state.facility
    watts = draw.gang_increment(node_type, draw.DEFAULT_PROFILE, node_type.gpus_per_node)
    use = f.coefficients * np.where(f.peak, watts.peak, watts.nominal)
    slack = np.where(f.enforced, f.limits - state.loads, np.inf) + _TOLERANCE_WATTS
    pairs = np.stack([domain[free], state.inventory.rack[free]])
    (domains, racks), counts = np.unique(pairs, axis=1, return_counts=True)
    best = 0
    for d in np.argsort(-by_domain, kind="stable").tolist():
        if by_domain[d] <= best:
            break  # nor do those with fewer free nodes have room for more
        chosen = domains == d
        best = max(best, _fill(state, slack, use, racks[chosen], counts[chosen]))
    return best


def _fill(
    state: State, slack: NDArray[np.float64], use: NDArray[np.float64], racks: Ints, counts: Ints
) -> int:
    """Nodes that start in these racks, which have so many free."""
    f = state.facility
    entries = {r: f.entries(r) for r in racks.tolist()}
    left: dict[int, float] = {}
    started = 0
    for r, count in sorted(
        zip(racks.tolist(), counts.tolist(), strict=True), key=lambda pair: natural(f.racks[pair[0]].name)
    ):
        cells, each = f.cells[entries[r]], use[entries[r]]
        used = each > 0
        cells, each = cells[used], each[used]
        room = np.array([left.get(c, slack[c]) for c in cells.tolist()])
        fits = min(count, max(0, int((room / each).min(initial=count))))
        if fits:
            started += fits
            left.update(zip(cells.tolist(), (room - each * fits).tolist(), strict=True))
    return started
