"""What every node draws, and what that changes for its rack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rackplane.engine.bookings import Bookings, Reserved
from rackplane.engine.model import NodeType
from rackplane.engine.physics import draw
from rackplane.engine.physics.draw import Watts

_Draw = tuple[int, ...]
"""A node's rack, its nominal and peak watts, and its nominal watts that are over before each coming budget starts."""


class Draws:
    """Watts by node, from its type, the bookings on it, and what is not ours."""

    def __init__(
        self,
        placed: Mapping[str, tuple[int, NodeType]],
        bookings: Bookings,
        unmanaged: Mapping[str, int],
        windows: tuple[float, ...],
    ) -> None:
        """``placed``: node -> rack and type; ``unmanaged``: node -> GPUs; ``windows``: starts of coming budgets."""
        self._placed = placed
        self._bookings = bookings
        self._unmanaged = unmanaged
        self._windows = windows
        self._draws: dict[str, _Draw] = {}
        self._increments: dict[tuple[int, str, int], Watts] = {}

    def refresh(self, names: Iterable[str]) -> Iterator[tuple[int, list[int]]]:
        """Bring these nodes up to date: every rack whose draw changes, once, and by what (:meth:`Loads.add`)."""
        gone: dict[int, list[_Draw]] = {}
        come: dict[int, list[_Draw]] = {}
        none = (0,) * (3 + len(self._windows))
        for name in names:
            old = self._draws.pop(name, None)
            new = self.of(name)
            if new is not None:
                self._draws[name] = new
            if old is not None:
                gone.setdefault(old[0], []).append(old)
            if new is not None:
                come.setdefault(new[0], []).append(new)
        for rack in {**gone, **come}:
            minus = [sum(watts) for watts in zip(*gone.get(rack, (none,)), strict=True)]
            plus = [sum(watts) for watts in zip(*come.get(rack, (none,)), strict=True)]
            delta = [b - a for a, b in zip(minus[1:], plus[1:], strict=True)]
            if any(delta):
                yield rack, delta

    def of(self, name: str) -> _Draw | None:
        """What the node draws now; None if it is not known, or its rack or type is not."""
        placed = self._placed.get(name)
        if placed is None:
            return None
        rack, node_type = placed
        nominal = peak = node_type.idle_watts
        over_by = [0] * len(self._windows)
        for booking in self._bookings.on(name):
            gpus = booking.gpus[name]
            increment = self._increment(node_type, booking.placement.power_profile, gpus)
            nominal += increment.nominal
            peak += increment.peak
            for w, start in enumerate(self._windows):
                if booking.until is not None and booking.until <= start:
                    over_by[w] += increment.nominal
        if name in self._unmanaged:
            others = draw.unmanaged_increment(node_type, self._unmanaged[name])
            nominal += others.nominal
            peak += others.peak
        return (rack, nominal, peak, *over_by)

    def increments(self, gpus: Mapping[str, int], profile: str) -> Reserved:
        """What ``gpus`` (node -> GPUs of one gang) add over idle; nodes of no known type add nothing."""
        nominal = peak = liquid = 0
        for node, count in gpus.items():
            placed = self._placed.get(node)
            if placed is None:
                continue
            watts = self._increment(placed[1], profile, count)
            nominal += watts.nominal
            peak += watts.peak
            liquid += draw.liquid_share(placed[1], watts.nominal)
        return Reserved(nominal, peak, liquid, nominal - liquid)

    def by_rack(self, gpus: Mapping[str, int], profile: str) -> dict[int, Watts]:
        """Rack -> what ``gpus`` (node -> GPUs of one gang) add over idle; nodes of no known type add nothing."""
        found: dict[int, Watts] = {}
        for node, count in gpus.items():
            placed = self._placed.get(node)
            if placed is not None:
                rack, node_type = placed
                more = self._increment(node_type, profile, count)
                found[rack] = found[rack] + more if rack in found else more
        return found

    def _increment(self, node_type: NodeType, profile: str, gpus: int) -> Watts:
        # By identity: the facility keeps its node types, and hashing one costs more than the sum.
        key = (id(node_type), profile, gpus)
        found = self._increments.get(key)
        if found is None:
            found = self._increments[key] = draw.gang_increment(node_type, profile, gpus)
        return found
