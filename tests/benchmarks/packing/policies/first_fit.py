"""First fit: the first rack by name that takes the job; for segments the first hall, and its racks as they come."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.packing.view import Job, View, first_of, in_segments


def choose(view: View, job: Job) -> dict[int, int] | None:
    """Rack -> pods."""
    if not job.segmented:
        rack = first_of(np.flatnonzero(view.slots >= job.pods))
        return None if rack is None else {rack: job.pods}
    halls = [np.flatnonzero(view.hall == hall) for hall in np.unique(view.hall)]
    return in_segments(view, job, halls, lambda racks: racks)
