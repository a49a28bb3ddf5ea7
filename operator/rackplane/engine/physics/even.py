"""How far racks can be filled together: what each group of racks draws when all rise evenly.

Limits that lie inside each other waste nothing, in whatever order racks are filled.  Limits that overlap do: rows on
two UPS each share both with other rows, and a row filled to its own limit may take from both what others then lack.
Filling all racks in proportion until a limit stops some of them, then the rest until the next limit, and so on (max-min
fairness by progressive filling: Bertsekas and Gallager, *Data Networks*, 6.5.2) gives draws that all limits allow
together.  Racks that load the limits that stopped them alike can stand in for each other: only their sum counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.physics import draw
from rackplane.engine.physics.facility import Facility

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

REACHED = 0.001
"""Of a limit: one that has no more left stops what loads it."""
ROUNDING_WATTS = 1.0
UNBOUNDED = 2**60
"""Watts, safe to subtract from in int64."""


class EvenShares:
    """The groups of racks, and what each may draw in all without another having to draw less than its own share."""

    def __init__(self, facility: Facility, nodes: Ints) -> None:
        """``nodes``: how many each rack has, whatever their state."""
        self._facility = facility
        self.nodes = nodes
        base, full = self._draws(nodes)
        shared = self._shared()
        full = self._within_own(base, full, shared)
        part, stopping = self._rise(base, full, shared)
        nominal = (base + np.concatenate((part, part)) * (full - base))[: len(facility.racks)]
        self.group = self._groups(stopping)
        """Rack -> dense id of its group; 0 is of those that nothing stopped."""
        shares = np.floor(np.bincount(self.group, nominal, minlength=1) + ROUNDING_WATTS)
        self.watts: Ints = shares.astype(np.int64)
        """By group: nominal watts in all; UNBOUNDED for the group 0."""
        self.watts[0] = UNBOUNDED

    def left(self, nominal: Ints) -> Ints:
        """By rack, the watts of its group's share that are left when racks draw so much."""
        drawn = np.zeros(len(self.watts), dtype=np.int64)
        np.add.at(drawn, self.group, nominal)
        by_rack: Ints = (self.watts - drawn)[self.group]
        return by_rack

    def _draws(self, nodes: Ints) -> tuple[Floats, Floats]:
        """Nominal, then peak draws by rack, with all nodes idle and with all in use at full power."""
        f = self._facility
        idle, nominal, peak = (np.zeros(len(f.racks)) for _ in range(3))
        for r, (rack, node_type) in enumerate(zip(f.racks, f.rack_types, strict=True)):
            idle[r] = nominal[r] = peak[r] = max(0, rack.overhead_watts)
            if node_type is not None:
                more = draw.full_increment(node_type, node_type.max_watts)
                idle[r] += nodes[r] * node_type.idle_watts
                nominal[r] = idle[r] + nodes[r] * more.nominal
                peak[r] = idle[r] + nodes[r] * more.peak
        return np.concatenate((idle, idle)), np.concatenate((nominal, peak))

    def _shared(self) -> Bools:
        """Cell -> whether several racks load it."""
        f = self._facility
        return np.bincount(f.cells[f.coefficients > 0], minlength=len(f.limits)) > 1

    def _within_own(self, base: Floats, full: Floats, shared: Bools) -> Floats:
        """Full draws, as far as the limits that only one rack is under allow."""
        f = self._facility
        racks = len(f.racks)
        left = f.enforced_limits - self._loads(base)
        part = np.ones(racks)
        own = np.flatnonzero(~shared[f.cells])
        rise = f.coefficients[own] * (full - base)[f.draw_index[own]]
        own, rise = own[rise > 0], rise[rise > 0]
        np.minimum.at(part, f.entry_racks[own], np.clip(left[f.cells[own]] / rise, 0.0, 1.0))
        return base + np.concatenate((part, part)) * (full - base)

    def _rise(self, base: Floats, full: Floats, shared: Bools) -> tuple[Floats, Bools]:
        """By rack the part of its rise that it reaches, and by cell whether it stopped any."""
        f = self._facility
        rise = f.coefficients * (full - base)[f.draw_index]
        rising = np.ones(len(f.racks), dtype=np.bool_)
        part, stopping = np.zeros(len(f.racks)), np.zeros(len(f.limits), dtype=np.bool_)
        left = np.where(shared, f.enforced_limits - self._loads(base), np.inf)
        nearly = REACHED * np.abs(f.limits)
        reached = 0.0
        while rising.any():
            rate = np.bincount(f.cells, rise * rising[f.entry_racks], minlength=len(left))
            loaded = rate > 0
            least = float((left[loaded] / rate[loaded]).min(initial=np.inf))
            step = min(1.0 - reached, max(0.0, least))
            reached += step
            part[rising] = reached
            left[loaded] -= step * rate[loaded]
            reaching = loaded & np.isfinite(left) & (left <= nearly)
            if not reaching.any():
                break
            stopping |= reaching
            rising[f.entry_racks[(rise > 0) & reaching[f.cells]]] = False
        return part, stopping

    def _loads(self, draws: Floats) -> Floats:
        f = self._facility
        watts = draws[f.draw_index] * f.coefficients
        return f.constant + np.bincount(f.cells, watts, minlength=len(f.limits))

    def _groups(self, stopping: Bools) -> Ints:
        f = self._facility
        kept = np.flatnonzero(stopping[f.cells] & (f.coefficients > 0))
        loads: list[list[tuple[int, float]]] = [[] for _ in f.racks]
        cells, shares = f.cells[kept].tolist(), f.coefficients[kept].round(6).tolist()
        for rack, cell, share in zip(f.entry_racks[kept].tolist(), cells, shares, strict=True):
            loads[rack].append((cell, share))
        ids: dict[tuple[tuple[int, float], ...], int] = {(): 0}
        return np.array([ids.setdefault(tuple(key), len(ids)) for key in loads], dtype=np.int64)
