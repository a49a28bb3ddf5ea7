"""What racks draw with every node at full power, as their own limits let them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.physics import draw
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.state import State

__all__ = ["OWN", "full_draws", "most_of_racks"]

OWN: Final = frozenset({RowKind.RACK_NOMINAL, RowKind.RACK_PEAK, RowKind.FEED})
"""Limits that one rack alone is under."""


def most_of_racks(f: Facility) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """By rack, the nominal and the peak watts that its own limits and those of its feeds let it draw in any case."""
    own = np.array([row.kind in OWN for row in f.rows])
    chosen = own[f.cell_rows[f.cells]] & f.enforced[f.cells]
    most = np.full(2 * len(f.racks), 2.0**40)
    cells = f.cells[chosen]
    np.minimum.at(most, f.draw_index[chosen], f.limits[cells] / f.coefficients[chosen])
    whole = np.floor(most + TOLERANCE_WATTS).astype(np.int64)
    return whole[: len(f.racks)], whole[len(f.racks) :]


def full_draws(state: State) -> dict[str, tuple[int, int]]:
    """Every node of every rack at full power, no more than a rack's own limits let it draw."""
    f, most = state.facility, most_of_racks(state.facility)
    found = {r.name: [max(0, r.overhead_watts)] * 2 for r in f.racks}
    for node in state.nodes():
        node_type = state.node_type(node.name)
        if node_type is not None and node.rack in found:
            full = draw.full_increment(node_type, node_type.max_watts)
            found[node.rack][0] += node_type.idle_watts + full.nominal
            found[node.rack][1] += node_type.idle_watts + full.peak
    return {
        name: (min(nominal, int(most[0][i])), min(peak, int(most[1][i])))
        for i, (name, (nominal, peak)) in enumerate(found.items())
    }
