"""What comes free when gangs are stopped: GPUs by node, and watts by limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import Placement
from rackplane.engine.physics.draw import Watts
from rackplane.engine.preempting.costs import Victim
from rackplane.engine.state import State

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Releases:
    """What each victim holds; victims are known by their place in the sequence."""

    def __init__(self, state: State, victims: Sequence[Victim]) -> None:
        self.state = state
        index, facility = state.inventory.index, state.facility
        rows: list[tuple[int, int, int]] = []
        drawn: dict[tuple[int, int], Watts] = {}
        firm: list[int] = []
        for v, victim in enumerate(victims):
            placement = state.booking(victim.booking)
            if placement is None:
                continue
            held_gpus = _given_up(state, victim, placement)
            rows.extend((v, index[name], gpus) for name, gpus in held_gpus.items() if name in index)
            taken = state.taken_by_rack(victim.booking)
            for rack, watts in state.draws_by_rack(
                held_gpus, placement.power_profile, placement.metered
            ).items():
                drawn[v, rack] = watts
                firm.append(max(0, watts.nominal - taken.get(rack, 0)))
        held = np.array(rows, dtype=np.int64).reshape(-1, 3)
        self.victim: Ints = held[:, 0]
        """By row: a victim on a node."""
        self.node: Ints = held[:, 1]
        self.gpus: Ints = held[:, 2]
        """GPUs that it holds there."""
        pairs = np.array(list(drawn), dtype=np.int64).reshape(-1, 2)
        self._pair_victim, self._pair_rack = pairs[:, 0], pairs[:, 1]
        self._nominal = np.array([w.nominal for w in drawn.values()], dtype=np.float64)
        #: what is left of it once it is capped
        self._firm = np.array(firm, dtype=np.float64)
        self._peak = np.array([w.peak for w in drawn.values()], dtype=np.float64)
        # What a gang gives up at most counts once, however many ways it has to give up less.
        most: dict[str, tuple[int, int]] = {}
        totals = np.bincount(self.victim, self.gpus, minlength=len(victims)).astype(np.int64).tolist()
        for v, victim in enumerate(victims):
            most[victim.booking] = max(most.get(victim.booking, (-1, v)), (totals[v], v))
        largest = np.zeros(len(victims), dtype=np.bool_)
        largest[[v for _, v in most.values()]] = True
        self._largest = largest[self.victim]
        ends = [state.until(v.booking) for v in victims]
        until = np.array([np.inf if end is None else end for end in ends])
        #: by start of a coming budget and pair: whether the victim does not count on it anyway
        self._over = until[self._pair_victim] <= np.array(facility.windows).reshape(-1, 1)

    def freed(self, nodes: int) -> Ints:
        """GPUs by node when all victims are stopped."""
        counted = self._largest
        return np.bincount(self.node[counted], self.gpus[counted], minlength=nodes).astype(np.int64)

    def watts(self, wanted: NDArray[np.bool_]) -> dict[int, dict[int, int]]:
        """Cell -> victim -> watts that stopping it takes off the cell, rounded up; of the wanted cells only."""
        f = self.state.facility
        counts = f.starts[self._pair_rack + 1] - f.starts[self._pair_rack]
        pair = np.repeat(np.arange(len(counts)), counts)
        entry = np.arange(len(pair)) - np.repeat(
            np.cumsum(counts) - counts - f.starts[self._pair_rack], counts
        )
        kept = wanted[f.cells[entry]]
        pair, entry = pair[kept], entry[kept]
        cell = f.cells[entry]
        watts = f.coefficients[entry] * np.where(f.peak[entry], self._peak[pair], self._nominal[pair])
        if f.windows:
            window = f.cell_windows[cell]
            over = (window >= 0) & (window < len(f.windows))
            watts = np.where(over & self._over[np.where(over, window, 0), pair], 0.0, watts)
        if f.counts_caps:
            watts = np.where(f.capped[cell], f.coefficients[entry] * self._firm[pair], watts)
        many = int(self._pair_victim.max(initial=0)) + 1
        keys, place = np.unique(cell * many + self._pair_victim[pair], return_inverse=True)
        total = np.ceil(np.bincount(place, watts, minlength=len(keys)) - 1e-6).astype(np.int64)
        found: dict[int, dict[int, int]] = {int(c): {} for c in np.flatnonzero(wanted)}
        for key, amount in zip(keys.tolist(), total.tolist(), strict=True):
            if amount > 0:
                found[key // many][key % many] = amount
        return found


def _given_up(state: State, victim: Victim, placement: Placement) -> Mapping[str, int]:
    """Node -> GPUs that come free."""
    if not victim.slots:
        return state.held_gpus(victim.booking)
    held = state.held(victim.booking)
    found: dict[str, int] = {}
    for slot in victim.slots:
        if slot in held:
            found[held[slot]] = found.get(held[slot], 0) + placement.gpus_of(slot)
    return found
