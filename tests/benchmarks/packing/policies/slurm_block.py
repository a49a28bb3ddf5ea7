"""Slurm's topology/block plugin with ``--segment=16``.

As documented in slurm.schedmd.com/topology.html (block topology) and topology.conf(5): base blocks (racks) are joined,
in the order they are listed, into blocks of 2, 4, 8, ... base blocks; a job goes to the smallest level of block that
holds it, on that level to the block with the fewest free nodes, and in it to the base blocks with the fewest free nodes
that take a segment. Blocks end at the hall here, the largest block is the hall itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.benchmarks.packing.view import Ints, Job, View, first_of, in_segments


def choose(view: View, job: Job) -> dict[int, int] | None:
    """Rack -> pods."""
    if not job.segmented:
        rack = first_of(np.flatnonzero(view.slots >= job.pods), view.slots)
        return None if rack is None else {rack: job.pods}
    return in_segments(
        view, job, _blocks(view, len(job.parts)), lambda racks: racks[np.lexsort((racks, view.slots[racks]))]
    )


def _blocks(view: View, needed: int) -> Iterator[Ints]:
    """The blocks that could hold so many segments: smallest level first, then fewest free nodes."""
    halls = [np.flatnonzero(view.hall == hall) for hall in np.unique(view.hall)]
    size = 1
    while size < max(len(hall) for hall in halls):
        size *= 2
        if size < needed:
            continue
        level = [hall[i : i + size] for hall in halls for i in range(0, len(hall), size)]
        yield from sorted((b for b in level if len(b) >= needed), key=lambda b: int(view.slots[b].sum()))
