"""Which limit stands in a request's way, for many domains at once: a relaxation, one limit at a time.

Each rack of a domain is filled in the order of what a slot costs on the limit, up to its room.  What the gang needs
there at least is then known, and where that is more than is left, nothing else has to be tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.placing.candidates import Candidates

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shortage:
    """A limit (by cell), what the gang needs on it at least, and by how much that is too much: watts."""

    cell: int
    needed_watts: float
    short_watts: float


@dataclass(frozen=True, slots=True)
class Room:
    """What racks of domains could take: row i is ``slots[i]`` slots in rack ``racks[i]`` of domain ``domains[i]``.

    A rack stands at most once in a domain; ``count`` is the number of domains.
    """

    domains: Ints
    racks: Ints
    slots: Ints
    count: int

    @staticmethod
    def of(parts: Sequence[Sequence[tuple[int, int]]]) -> Room:
        """From (rack, slots) pairs by domain; pairs of one rack are added up."""
        owner = np.repeat(np.arange(len(parts)), np.fromiter(map(len, parts), np.int64, len(parts)))
        racks = np.fromiter((rack for pairs in parts for rack, _ in pairs), np.int64, len(owner))
        slots = np.fromiter((n for pairs in parts for _, n in pairs), np.int64, len(owner))
        count = int(racks.max(initial=0)) + 1
        keys, place = np.unique(owner * count + racks, return_inverse=True)
        total = np.bincount(place, slots, minlength=len(keys)).astype(np.int64)
        return Room(keys // count, keys % count, total, len(parts))


class _Groups:
    """The entries of the racks of all domains, by domain and cell, in the order of cost."""

    def __init__(self, candidates: Candidates, room: Room, use: Floats, slack: Floats) -> None:
        f = candidates.state.facility
        first, last = f.starts[room.racks], f.starts[room.racks + 1]
        counts = last - first
        row = np.repeat(np.arange(len(counts)), counts)
        entry = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts) + first[row]
        cell, cost, slots = f.cells[entry], use[entry], np.minimum(room.slots[row], candidates.request.slots)
        # What cannot be short, even if all the room or all the gang were on it, is left out before it is sorted.
        dearest = np.zeros(len(slack))
        np.maximum.at(dearest, cell, cost)
        wanted = np.minimum(
            dearest * candidates.request.slots, np.bincount(cell, cost * slots, minlength=len(slack))
        )
        kept = (cost > 0) & (wanted > slack)[cell]
        domain, cell, cost, slots = room.domains[row[kept]], cell[kept], cost[kept], slots[kept]
        key = domain * len(slack) + cell
        order = np.lexsort((cost, key))
        self.cost, self.slots, self.entry_domain = cost[order], slots[order], domain[order]
        ordered = key[order]
        self.starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        self.domain, self.cell = self.entry_domain[self.starts], cell[order][self.starts]
        sizes = np.diff(np.append(self.starts, len(ordered)))
        self.member = np.repeat(np.arange(len(self.starts)), sizes)
        self.total = np.add.reduceat(self.slots, self.starts) if len(self.starts) else self.starts
        before = np.cumsum(self.slots) - self.slots
        self.before = before - before[self.starts][self.member] if len(self.starts) else before

    def watts(self, need: Ints) -> Floats:
        """By group: what so many slots (by group) cost at least."""
        if not len(self.starts):
            return np.zeros(0)
        taken = np.clip(need[self.member] - self.before, 0, self.slots)
        return np.asarray(np.add.reduceat(taken * self.cost, self.starts), dtype=np.float64)


def _least(candidates: Candidates, room: Room, use: Floats, slack: Floats) -> tuple[_Groups, Floats, Ints]:
    """By domain and limit what the gang needs there at least, in watts; and by domain its room, the gang at most."""
    groups = _Groups(candidates, room, use, slack)
    wanted = candidates.request.slots
    everywhere = np.bincount(room.domains, np.minimum(room.slots, wanted), minlength=room.count).astype(
        np.int64
    )
    if not len(groups.starts):
        return groups, np.zeros(0), everywhere
    return groups, groups.watts(wanted - (everywhere[groups.domain] - groups.total)), everywhere


def all_shortages(candidates: Candidates, room: Room) -> tuple[Ints, Ints, Floats]:
    """As :func:`shortages`, every one of them: domains, cells, and watts by which the gang is too much there."""
    groups, watts, everywhere = _least(candidates, room, candidates.use, candidates.slack)
    short = watts - candidates.slack[groups.cell] if len(watts) else watts
    bad = (short > 0) & (watts > 0) & (everywhere[groups.domain] >= candidates.request.slots)
    return groups.domain[bad], groups.cell[bad], short[bad]


def shortages(
    candidates: Candidates, room: Room, *, use: Floats | None = None, slack: Floats | None = None
) -> list[Shortage | None]:
    """By domain: the limit that the whole gang exceeds by most however it is spread there; None if there is none.

    Args:
        use: watts on its limit by entry for one slot; the candidates' own if None.
        slack: watts left by cell; the candidates' own if None.
    """
    left = candidates.slack if slack is None else slack
    groups, watts, everywhere = _least(candidates, room, candidates.use if use is None else use, left)
    result: list[Shortage | None] = [None] * room.count
    if not len(groups.starts):
        return result
    wanted = candidates.request.slots
    short = watts - left[groups.cell]
    # What is exceeded already stops no gang that can keep off it.
    bad = np.flatnonzero((short > 0) & (watts > 0) & (everywhere[groups.domain] >= wanted))
    # The furthest exceeded by whole watts; of equals the first cell, so that noise in the sums chooses nothing.
    for g in bad[np.lexsort((-groups.cell[bad], np.round(short[bad])))].tolist():
        result[int(groups.domain[g])] = Shortage(int(groups.cell[g]), float(watts[g]), float(short[g]))
    return result


def overdrawn(parts: Sequence[tuple[Candidates, Room]]) -> NDArray[np.bool_]:
    """By domain: whether some limit cannot carry what all of these gangs need on it there at least, together.

    Args:
        parts: gangs that are to lie in one domain, and what its racks could take of each; the same domains for all.
    """
    slack, count = parts[0][0].slack, parts[0][1].count
    keys, watts = [], []
    for candidates, room in parts:
        # By itself none of them may be short of anything, so nothing may be left out.
        groups, least, _ = _least(candidates, room, candidates.use, np.zeros(len(slack)))
        keys.append(groups.domain * len(slack) + groups.cell)
        watts.append(least)
    found, place = np.unique(np.concatenate(keys), return_inverse=True)
    total = np.bincount(place, np.concatenate(watts), minlength=len(found))
    bad = (total > 0) & (total > slack[found % len(slack)])
    result = np.zeros(count, dtype=np.bool_)
    result[found[bad] // len(slack)] = True
    return result


def contended(candidates: Candidates, room: Room) -> list[int | None]:
    """By domain: the cell that all of its room together would overfill the most, in proportion; None if none."""
    groups = _Groups(candidates, room, candidates.use, candidates.slack)
    result: list[int | None] = [None] * room.count
    if not len(groups.starts):
        return result
    ratio = groups.watts(groups.total) / np.maximum(candidates.slack[groups.cell], 1.0)
    for g in np.lexsort((-groups.cell, np.round(ratio, 9))).tolist():
        if ratio[g] > 1:
            result[int(groups.domain[g])] = int(groups.cell[g])
    return result


@dataclass(frozen=True, slots=True)
class Jam:
    """A domain filled until nothing more fits: the slots placed, and the limit that stops most of the others.

    ``more`` of the others have nodes behind that limit, and ``shortage`` is with them there.
    """

    placed: int
    more: int
    shortage: Shortage


def jam(candidates: Candidates, room: Sequence[tuple[int, int]]) -> Jam | None:
    """Fill (rack, slots) until limits stop it; None if they do not stop it short of the whole gang."""
    f = candidates.state.facility
    slack = candidates.slack.copy()
    wanted = candidates.request.slots
    stopped: dict[int, int] = {}
    cost_behind: dict[int, float] = {}
    left = wanted
    for rack, slots in room:
        use, cells = candidates.use_of(rack), f.cells[f.entries(rack)]
        draws = use > 0
        taken, at = min(slots, left), -1
        if draws.any():
            ratio = slack[cells[draws]] / use[draws]
            at = int(ratio.argmin())
            taken = min(taken, max(0, math.floor(min(float(ratio[at]), float(left)))))
        if taken:
            slack[cells] -= use * taken
        left -= taken
        if not left:
            return None
        if taken < slots:
            # What is scarcest before the slots are taken is so after them.
            cell = int(cells[draws][at])
            stopped[cell] = stopped.get(cell, 0) + slots - taken
            cost_behind[cell] = min(cost_behind.get(cell, math.inf), float(use[draws][at]))
    if not stopped:
        return None
    cell = max(stopped, key=lambda k: (stopped[k], -k))
    more = min(left, stopped[cell])
    needed = float(candidates.slack[cell] - slack[cell]) + more * cost_behind[cell]
    return Jam(wanted - left, more, Shortage(cell, needed, needed - float(candidates.slack[cell])))
