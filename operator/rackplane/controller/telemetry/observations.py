"""The latest reading of each node, and what racks draw by them, beside what is reserved.

A node whose reading is missing or old counts at its reserved peak, never at nothing. A rack drifts when it has drawn
more than its nominal watts allow, by a margin and for a while; it stops when it is back within half of that margin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rackplane.core.site.observed import RackObserved
from rackplane.engine.state import State

__all__ = ["Observations"]


class Observations:
    """Readings by node.

    Args:
        stale_seconds: a reading counts for so long.
        drift_percent: so far above its reserved nominal watts a rack may draw.
        drift_seconds: for so long, before it drifts.
        drifted: whether a rack drifted by the word of an earlier process: a new one goes on from there.
    """

    def __init__(
        self,
        *,
        stale_seconds: float,
        drift_percent: float,
        drift_seconds: float,
        drifted: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._stale_seconds = stale_seconds
        self._drift = drift_percent / 100
        self._drift_seconds = drift_seconds
        self._drifted = drifted
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
        nodes, unobserved = dict.fromkeys(watts, 0), dict.fromkeys(watts, 0)
        nominal, oldest = dict(watts), dict[str, float]()
        self._drifting.update(rack for rack in watts if rack not in self.latest and self._drifted(rack))
        for spec in state.nodes():
            drawn = state.reserved_draw(spec.name)
            if drawn is None or spec.rack not in watts:
                continue
            nodes[spec.rack] += 1
            nominal[spec.rack] += drawn.nominal
            reading = self._readings.get(spec.name)
            if reading is None or now > reading[1] + self._stale_seconds:
                watts[spec.rack] += drawn.peak
                unobserved[spec.rack] += 1
            else:
                watts[spec.rack] += reading[0]
                oldest[spec.rack] = max(oldest.get(spec.rack, 0.0), now - reading[1])
        changed = []
        for rack in watts:
            before = rack in self._drifting
            after = self._drifts(rack, watts[rack], nominal[rack], unobserved[rack], now)
            if before != after:
                changed.append((rack, after))
        self._drifting.intersection_update(watts)
        self.latest = {
            rack: RackObserved(
                watts=watts[rack],
                nodes=nodes[rack],
                unobserved_nodes=unobserved[rack],
                drifts=rack in self._drifting,
                oldest_seconds=oldest.get(rack),
            )
            for rack in watts
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
