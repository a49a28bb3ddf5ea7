"""Kueue's topology-aware scheduling, profile LeastFreeCapacity.

As documented with the feature gate TASProfileLeastFreeCapacity, and as the default profile treats ``unconstrained``
(kueue.sigs.k8s.io/docs/concepts/topology_aware_scheduling): domains in ascending order of what is free, the first that
suffices. A job of one pod needs no rack and is submitted ``unconstrained``: it goes to the host with the least free,
whatever rack that is in, ties by name.
"""

from __future__ import annotations

import numpy as np

from tests.benchmarks.packing.policies import kueue_best_fit
from tests.benchmarks.packing.view import Job, View, first_of


def choose(view: View, job: Job) -> dict[int, int] | None:
    """Rack -> pods."""
    if job.pods > 1:
        return kueue_best_fit.choose(view, job)  # by required domains the two profiles choose alike
    rack = first_of(np.flatnonzero(view.slots >= 1), view.tightest)
    return None if rack is None else {rack: 1}
