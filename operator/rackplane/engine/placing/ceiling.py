"""How many slots of a kind could be placed now at most: one look at a table for all requests that differ in their size.

Where this is less than a gang needs, the search would find nothing either: it fills no rack beyond the same bounds.
"""

from __future__ import annotations

import math

import numpy as np

from rackplane.engine.model import Request
from rackplane.engine.placing.attempts import widest
from rackplane.engine.placing.candidates import Candidates, view_for
from rackplane.engine.placing.placement import profiles
from rackplane.engine.state import State

__all__ = ["most_now"]


def most_now(state: State, request: Request) -> int:
    """Slots that a request of this kind finds a place for at most, whatever its ``slots`` say.

    0 if it names a level that the facility has not. Else by free nodes and by what each rack's limits leave it, taken
    alone, under the power profile of those it may run at that allows most. A request without ``capacity`` gives a bound
    for all masks, one that ends at once (``until``) a bound for all ends.

    Raises:
        ValueError: the slots of the request differ.
    """
    if request.groups:
        raise ValueError("slots that differ have no such bound")
    if not {request.required, request.preferred} - {None} <= {*state.facility.ladder}:
        return 0
    each, found = request.gpus_per_slot, 0
    free = int((state.free // each).sum()) if each else math.inf
    for profile in profiles(state, request):
        if found >= free:
            break  # under no profile there are more
        found = max(found, _most(state, request, profile))
    return found


def _most(state: State, request: Request, profile: str) -> int:
    if not np.count_nonzero(view_for(state, request, profile).slots):
        return 0
    attempt = widest(Candidates(state, request, profile))
    if attempt.single:
        return int(attempt.bin_cap.max(initial=0))
    layout, run = attempt.layout, request.segment_slots or 1
    if run == 1:
        return int(layout.sum_by_tree(attempt.bin_cap).max(initial=0))
    found = 0
    for tree in range(len(layout.tree_starts)):
        bins = layout.bins(tree)
        caps = attempt.bin_cap[bins.start : bins.stop]
        short = caps % run
        # Whole runs, and a last one that may be short.
        found = max(found, int((caps - short).sum()) + int(short.max(initial=0)))
    return found
