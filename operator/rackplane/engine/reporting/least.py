"""What reports and the trial fill read off arrays alike: whole watts, and the least of each group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NOISE_WATTS = 0.01


def whole_watts(watts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rounded down; float noise of less than the tolerance is not a watt.  Infinite watts become 2**62."""
    return np.floor(np.clip(watts, -(2.0**62), 2.0**62) + _NOISE_WATTS).astype(np.int64)


def least(group: NDArray[np.int64], value: NDArray[np.int64], chosen: NDArray[np.bool_]) -> dict[int, int]:
    """Group -> index of its least value among those chosen; of equal ones the first.  Group -1 is none."""
    indices = np.flatnonzero(chosen & (group >= 0))
    order = indices[np.lexsort((value[indices], group[indices]))]
    firsts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return dict(zip(group[order[firsts]].tolist(), order[firsts].tolist(), strict=True))
