"""Kueue's topology-aware scheduling, profile BestFit, every job with a required topology.

As documented in "Topology Aware Scheduling" (kueue.sigs.k8s.io/docs/concepts/topology_aware_scheduling) and KEP-2724:
at the required level the domain with the fewest free slices that still suffice; below it the domains with most slices
first, of equal ones that with the fewest free pods, the last one again by best fit. A rack holds one slice of 16, so
that all racks with a slice are equal in slices.
"""

from __future__ import annotations

import numpy as np

from tests.benchmarks.packing.view import SEGMENT, Ints, Job, View, first_of, in_segments


def choose(view: View, job: Job) -> dict[int, int] | None:
    """Rack -> pods."""
    if not job.segmented:
        rack = first_of(np.flatnonzero(view.slots >= job.pods), view.slots)
        return None if rack is None else {rack: job.pods}
    return in_segments(view, job, halls(view), lambda racks: racks[np.lexsort((racks, view.slots[racks]))])


def halls(view: View) -> list[Ints]:
    """The racks of each hall; the hall with the fewest free slices, then pods, first."""
    pools = [np.flatnonzero(view.hall == hall) for hall in np.unique(view.hall)]
    return sorted(pools, key=lambda p: (int((view.slots[p] // SEGMENT).sum()), int(view.slots[p].sum())))
