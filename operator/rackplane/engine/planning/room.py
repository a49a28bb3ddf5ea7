"""From when on there may be nodes enough for a gang, by what is expected to end: no earlier start is looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from rackplane.engine.model import Request
from rackplane.engine.state import State

__all__ = ["room_from"]


def room_from(state: State, request: Request, order: Iterable[tuple[float, str]]) -> float:
    """The first end of a booking with which one domain of the required level has as many free slots as are asked for.

    -inf if there are so many now, or where slots are not counted in GPUs; inf if all bookings together do not hold so
    many. A bound: limits, masks and spares can only make it later.

    Args:
        order: end and key of each booking that is taken to end, in order.
    """
    if request.groups or not request.gpus_per_slot:
        return -math.inf
    inventory, each = state.inventory, request.gpus_per_slot
    types = state.facility.rack_types
    offers = np.array([t is not None and t.resource == request.resource for t in types], dtype=np.bool_)
    listed = (inventory.rack >= 0) & state.healthy
    if len(offers):
        listed &= offers[inventory.rack]
    if request.required:
        if request.required not in inventory.levels:
            return -math.inf
        domains = np.where(listed, inventory.levels[request.required][0], -1)
    else:
        domains = np.where(listed, 0, -1)
    count = np.maximum(state.free, 0)
    known = domains >= 0
    slots = np.bincount(domains[known], count[known] // each).astype(np.int64).tolist()
    if max(slots, default=0) >= request.slots:
        return -math.inf
    free, domain = count.tolist(), domains.tolist()
    for end, key in order:
        for node, gpus in state.held_gpus(key).items():
            i = inventory.index.get(node)
            # A node that is gone keeps its bookings: it may come back, but nobody starts on it.
            if i is None or (d := domain[i]) < 0:
                continue
            more = (free[i] + gpus) // each - free[i] // each
            free[i] += gpus
            slots[d] += more
            if slots[d] >= request.slots:
                return end
    return math.inf
