"""How many slots could fit at most: proofs by relaxation, far cheaper than a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.placing.attempts import Bin
from rackplane.engine.placing.candidates import Candidates


def most_slots(candidates: Candidates, bins: Sequence[Bin], run: int = 1) -> int:
    """Slots that these bins take at most, in runs of ``run`` and a short last one.

    By nodes, by each rack's watts, and by the limits that racks share: of these, one alone, or a set in which no
    rack is under two of them, so that what each of them takes off adds up.
    """
    f = candidates.state.facility
    room: dict[int, int] = {}
    for b in bins:
        for c in b.cells:
            room[c.rack] = room.get(c.rack, 0) + c.free
    room = {r: min(n, int(candidates.rack_slots[r])) for r, n in room.items()}
    users: dict[int, list[tuple[float, int]]] = {}
    for rack in room:
        entries = f.entries(rack)
        for cell, use in zip(f.cells[entries].tolist(), candidates.use[entries].tolist(), strict=True):
            if use > 0:
                users.setdefault(cell, []).append((use, rack))
    surplus: list[tuple[int, int]] = []
    for cell, costs in users.items():
        over = sum(room[r] for _, r in costs) - _most(sorted(costs), room, float(candidates.slack[cell]))
        if over > 0:
            surplus.append((over, cell))
    total, covered = sum(room.values()), set[int]()
    for over, cell in sorted(surplus, key=lambda s: (-s[0] / len(users[s[1]]), s[1])):
        racks = {r for _, r in users[cell]}
        if not racks & covered:
            covered |= racks
            total -= over
    for over, _ in surplus:  # a single limit may take off more than the best such set
        total = min(total, sum(room.values()) - over)
    if run > 1:
        caps = [b.cap for b in bins]
        total = min(total, sum(cap - cap % run for cap in caps) + max((cap % run for cap in caps), default=0))
    return max(0, total)


def _most(costs: Sequence[tuple[float, int]], room: Mapping[int, int], slack: float) -> int:
    """Slots under one limit, the cheapest racks first."""
    most = 0
    for use, rack in costs:
        # A limit that does not bind the request has no end.
        taken = room[rack] if slack == np.inf else min(room[rack], int(max(0.0, slack) // use))
        most += taken
        slack -= taken * use
        if taken < room[rack]:
            break
    return most


def price_of_a_slot(candidates: Candidates) -> NDArray[np.float64]:
    """By rack: the part of every scarce limit that one slot takes there, summed.

    Scarce is a limit that could not carry all that its racks have room for; others cost nothing.
    """
    f = candidates.state.facility
    nodes, slots = candidates.state.inventory.rack, candidates.node_slots
    free = np.bincount(nodes[nodes >= 0], slots[nodes >= 0], minlength=len(f.racks))
    room = np.minimum(free, candidates.rack_slots)
    rack = np.repeat(np.arange(len(f.racks)), np.diff(f.starts))
    demand = np.bincount(f.cells, candidates.use * room[rack], minlength=len(f.limits))
    scarce = demand > candidates.slack
    part = np.where(scarce[f.cells], candidates.use / np.maximum(1.0, candidates.slack[f.cells]), 0.0)
    return np.bincount(rack, part, minlength=len(f.racks)).astype(np.float64)
