"""What reports and the trial fill read off arrays alike: whole watts, the least of each group, GPUs of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # State hands out reports, and so comes to import this module
    from rackplane.engine.state import State

_NOISE_WATTS = 0.01


def gpus_of_nodes(state: State) -> NDArray[np.int64]:
    """GPUs of each node by its type, in the inventory's order; 0 for a node of no known type."""
    by_rack = np.array([t.gpus_per_node if t else 0 for t in state.facility.rack_types] + [0], dtype=np.int64)
    return by_rack[state.inventory.rack]


def whole_watts(watts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rounded down; float noise of less than the tolerance is not a watt.  Infinite watts become 2**62."""
    return np.floor(np.clip(watts, -(2.0**62), 2.0**62) + _NOISE_WATTS).astype(np.int64)


def least(group: NDArray[np.int64], value: NDArray[np.int64], chosen: NDArray[np.bool_]) -> dict[int, int]:
    """Group -> index of its least value among those chosen; of equal ones the first.  Group -1 is none."""
    indices = np.flatnonzero(chosen & (group >= 0))
    order = indices[np.lexsort((value[indices], group[indices]))]
    firsts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return dict(zip(group[order[firsts]].tolist(), order[firsts].tolist(), strict=True))
