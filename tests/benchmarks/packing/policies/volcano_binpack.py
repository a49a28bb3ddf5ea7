"""Volcano's network-topology-aware plugin with HyperNode bin-packing.

As documented in "Network Topology Aware Scheduling" (volcano.sh/en/docs/network_topology_aware_scheduling): among the
HyperNodes of the allowed tier that take the job (or the partition), the one in use to the largest part. Pods without a
topology constraint are packed by the use of all tiers above a node, each tier weighing 0.8 times the one below it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.packing.view import Ints, Job, View, first_of, in_segments

FADING = 0.8


def choose(view: View, job: Job) -> dict[int, int] | None:
    """Rack -> pods."""
    rack_use = view.used / np.maximum(1, view.size)
    if not job.segmented:
        score = rack_use
        if job.pods == 1:
            score = rack_use + FADING * _use(view, view.row) + FADING**2 * _use(view, view.hall)
        rack = first_of(np.flatnonzero(view.slots >= job.pods), -score)
        return None if rack is None else {rack: job.pods}
    hall_use = _use(view, view.hall)
    pools = [np.flatnonzero(view.hall == hall) for hall in np.unique(view.hall)]
    pools.sort(key=lambda p: -hall_use[p[0]])
    return in_segments(view, job, pools, lambda racks: racks[np.lexsort((racks, -rack_use[racks]))])


def _use(view: View, group: Ints) -> NDArray[np.float64]:
    """By rack: the part of its row or hall that is in use."""
    return (np.bincount(group, view.used) / np.maximum(1, np.bincount(group, view.size)))[group]
