"""How many slots could fit at most: proofs by relaxation, far cheaper than a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.placing.attempts import Bin
from rackplane.engine.placing.candidates import Candidates

_FEW_RACKS = 32
"""The limits of so few racks are all looked at one by one."""
_ROUNDING = 1e-6


def most_slots(candidates: Candidates, bins: Sequence[Bin], run: int = 1) -> int:
    """Slots that these bins take at most, in runs of ``run`` and a short last one.

    By nodes, by each rack's watts, and by the limits that racks share: of these, one alone, or a set in which no
    rack is under two of them, so that what each of them takes off adds up.
    """
    room: dict[int, int] = {}
    for b in bins:
        for c in b.cells:
            room[c.rack] = room.get(c.rack, 0) + c.free
    room = {r: min(n, int(candidates.rack_slots[r])) for r, n in room.items()}
    users = _users_of_scarce(candidates, room)
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


def _users_of_scarce(candidates: Candidates, room: Mapping[int, int]) -> dict[int, list[tuple[float, int]]]:
    """Cell -> watts of one slot there and the rack, of the cells that may not carry all that these racks have room for.

    Of a thousand racks' limits most carry all of it, which one look at all of them tells.
    """
    f = candidates.state.facility
    users: dict[int, list[tuple[float, int]]] = {}
    if len(room) <= _FEW_RACKS:
        for rack in room:
            alone, watts_there = candidates.needs.loads(rack)
            for cell, watts in zip(alone.tolist(), watts_there.tolist(), strict=True):
                users.setdefault(cell, []).append((watts, rack))
        return users
    racks = np.fromiter(room, dtype=np.int64, count=len(room))
    entries, counts = f.entries_of_racks(racks)
    cells, use = f.cells[entries], candidates.use[entries]
    wanted = use * np.repeat(np.fromiter(room.values(), dtype=np.float64, count=len(room)), counts)
    demand = np.bincount(cells, wanted, minlength=len(f.limits))
    # Whatever is near is counted slot by slot: sums in another order differ in their last bits.
    scarce = demand * (1 + _ROUNDING) + _ROUNDING >= candidates.slack
    chosen = np.flatnonzero(scarce[cells] & (use > 0))
    there = zip(
        cells[chosen].tolist(), use[chosen].tolist(), np.repeat(racks, counts)[chosen].tolist(), strict=True
    )
    for cell, watts, rack in there:
        users.setdefault(cell, []).append((watts, rack))
    return users


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
