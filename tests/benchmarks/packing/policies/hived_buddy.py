"""HiveD's buddy cell allocation.

As described in "HiveD: Sharing a GPU Cluster for Deep Learning with Guarantees" (OSDI 2020): a request for a cell of
some level takes a free cell of the lowest level that has one, splitting larger cells only if there is none, so that
free cells stay as large as possible. Here a cell is 1, 2, 4, 8 or 16 pods of a rack, the rack, 2 and 4 racks, the row,
and the hall. Nodes of one rack are alike, so that what is free in it is taken as cells of powers of two: the best case
of buddies, as freed cells always merge.
"""

from __future__ import annotations

import numpy as np

from tests.benchmarks.packing.view import SEGMENT, Ints, Job, View, first_of, in_segments


def choose(view: View, job: Job) -> dict[int, int] | None:
    """Rack -> pods."""
    if not job.segmented:
        racks = np.flatnonzero(view.slots >= job.pods)
        rack = first_of(racks, _cell(view.slots, job.pods))
        return None if rack is None else {rack: job.pods}
    racks_free = (view.slots >= SEGMENT).astype(np.int64)
    pools: list[tuple[int, Ints]] = []
    for group in (view.row, view.hall):
        members = [np.flatnonzero(group == g) for g in np.unique(group)]
        free = np.array([racks_free[m].sum() for m in members])
        cells = _cell(free, len(job.parts))
        pools += sorted(
            ((int(c), m) for c, m, n in zip(cells, members, free, strict=True) if n >= len(job.parts)),
            key=lambda item: item[0],
        )
        # a row is a cell below the hall: only if no row has room is the hall's cell split
    pools += [(0, np.flatnonzero(view.hall == hall)) for hall in np.unique(view.hall)]
    return in_segments(
        view,
        job,
        (p for _, p in pools),
        lambda racks: racks[np.lexsort((racks, view.slots[racks] > SEGMENT))],
    )


def _cell(free: Ints, need: int) -> Ints:
    """The smallest free cell that holds ``need``, of what is free as a sum of powers of two; else all of it."""
    least = 1 << (need - 1).bit_length()
    high = free & ~(least - 1)
    smallest = high & -high
    return np.where(high > 0, smallest, 2 * least)
