"""The latest reading of each node, and what racks draw by them, beside what is reserved.

A node whose reading is missing or old counts at its reserved peak, never at nothing. A rack drifts when it has drawn
more than its nominal watts allow, by a margin and for a while; it stops when it is back within half of that margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rackplane.engine.state import State

__all__ = ["Observations", "RackObserved"]


@dataclass(frozen=True, slots=True)
class RackObserved:
    """What a rack draws, its overhead as it is set included, and how many of its nodes count at their reserved peak."""

    watts: int
    unobserved_nodes: int
    drifts: bool


class Observations:
    """Readings by node.

    Args:
        stale_seconds: a reading counts for so long.
        drift_percent: so far above its reserved nominal watts a rack may draw.
        drift_seconds: for so long, before it drifts.
    """

    def __init__(self, *, stale_seconds: float, drift_percent: float, drift_seconds: float) -> None:
        self._stale_seconds = stale_seconds
        self._drift = drift_percent / 100
        self._drift_seconds = drift_seconds
        self._readings: dict[str, tuple[int, float]] = {}
        self._above_since: dict[str, float] = {}
        self._drifting: set[str] = set()
        self.latest: dict[str, RackObserved] = {}
        """By rack, as of the last :meth:`judge`."""

    def take(self, readings: Mapping[str, int], now: float) -> None:
        """Watts by node, read at ``now`` (monotonic seconds)."""
        for node, watts in readings.items():
            self._readings[node] = watts, now

    def judge(self, state: State, now: float) -> list[tuple[str, bool]]:
        """Work out what racks draw; those that began to drift (True) or stopped (False) since the last time."""
        watts = {r.name: r.overhead_watts for r in state.facility.racks}
        unobserved = dict.fromkeys(watts, 0)
        nominal = dict(watts)
        for spec in state.nodes():
            drawn = state.reserved_draw(spec.name)
            if drawn is None or spec.rack not in watts:
                continue
            nominal[spec.rack] += drawn.nominal
            reading = self._readings.get(spec.name)
            if reading is None or now > reading[1] + self._stale_seconds:
                watts[spec.rack] += drawn.peak
                unobserved[spec.rack] += 1
            else:
                watts[spec.rack] += reading[0]
        changed = []
        for rack in watts:
            before = rack in self._drifting
            after = self._drifts(rack, watts[rack], nominal[rack], unobserved[rack], now)
            if before != after:
                changed.append((rack, after))
        self._drifting.intersection_update(watts)
        self.latest = {
            rack: RackObserved(watts[rack], unobserved[rack], rack in self._drifting) for rack in watts
        }
        return changed

    def _drifts(self, rack: str, watts: int, nominal: int, unobserved: int, now: float) -> bool:
        if unobserved:
            # With reserved peaks among them the sum says nothing about what is drawn: nothing changes.
            self._above_since.pop(rack, None)
            return rack in self._drifting
        if watts > nominal * (1 + self._drift):
            since = self._above_since.setdefault(rack, now)
            if now >= since + self._drift_seconds:
                self._drifting.add(rack)
        else:
            self._above_since.pop(rack, None)
            if watts <= nominal * (1 + self._drift / 2):
                self._drifting.discard(rack)
        return rack in self._drifting
