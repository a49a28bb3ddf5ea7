"""Room for more racks: how many of one kind fit at given places, by every limit under every loss.

A limit is linear in what racks draw (`engine.physics.facility`), so that one switched-off rack at each place, compiled
with the rest, says what any number of them would load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.model import FacilitySpec, NodeType, RackSpec
from rackplane.engine.nodes.inventory import natural
from rackplane.engine.physics import draw
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.state import State
from rackplane.figures import kilowatts
from rackplane.simulator.planning.full import OWN, most_of_racks

__all__ = ["NewRack", "Room", "places_of", "room_of"]

Floats = NDArray[np.float64]

_PREFIX: Final = "rackplane-new/"
"""Names of racks on paper: no object has a name with a slash in it."""
_MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class NewRack:
    """A rack on paper.

    Args:
        nodes: of the type.
        own_feeds: whether the limits of the feeds of the racks there are its own too.
    """

    type: NodeType
    nodes: int
    overhead_watts: int
    limit_watts: int
    peak_limit_watts: int | None = None
    own_feeds: bool = True

    @property
    def watts(self) -> tuple[int, int]:
        """With all nodes at full power, nominal and peak."""
        full = draw.full_increment(self.type, self.type.max_watts)
        idle = self.overhead_watts + self.nodes * self.type.idle_watts
        return idle + self.nodes * full.nominal, idle + self.nodes * full.peak


@dataclass(frozen=True, slots=True)
class Room:
    """How many fit.

    Args:
        racks: by place, together.
        alone: by place, if all went there.
        binds: by place, what one more would exceed, beside those alone.
        together: what one more would exceed at the place that could take one last.
    """

    racks: tuple[int, ...]
    alone: tuple[int, ...]
    binds: tuple[str, ...]
    together: str

    @property
    def total(self) -> int:
        return sum(self.racks)


def places_of(state: State, feed: str) -> list[RackSpec]:
    """A rack of each place: racks that load the domain now or after some loss, by the order of their names."""
    f = state.facility
    above = np.array([row.element == feed and row.kind is RowKind.POWER_NOMINAL for row in f.rows])
    loads = above[f.cell_rows[f.cells]]
    racks = sorted({int(r) for r in f.entry_racks[loads]}, key=lambda r: natural(f.racks[r].name))
    found: dict[Any, RackSpec] = {}
    for rack in racks:
        spec = f.racks[rack]
        found.setdefault((spec.feeds, spec.liquid, spec.air), spec)
    return list(found.values())


class _Paper:
    """The facility with one switched-off rack at each place, whose coefficients say what a rack there would load."""

    def __init__(self, spec: FacilitySpec, places: Sequence[RackSpec], new: NewRack, *, cooled: bool) -> None:
        racks = [
            replace(
                place,
                name=f"{_PREFIX}{i}",
                node_type=new.type.name,
                overhead_watts=0,
                limit_watts=new.limit_watts,
                peak_limit_watts=new.peak_limit_watts,
                feeds=place.feeds
                if new.own_feeds
                else tuple(replace(feed, limit_watts=None) for feed in place.feeds),
                schedulable=True,
                retired=False,
                maintenance=(),
                liquid=place.liquid if cooled else None,
                air=place.air if cooled else None,
            )
            for i, place in enumerate(places)
        ]
        types = {t.name: t for t in spec.node_types} | {new.type.name: new.type}
        self.facility: Facility = compile_facility(
            replace(spec, racks=(*spec.racks, *racks), node_types=tuple(types.values()))
        )
        f = self.facility
        self.use: Floats = np.zeros((len(places), len(f.limits)))
        own = np.array([row.kind in OWN for row in f.rows])
        most = most_of_racks(f)
        for i, rack in enumerate(racks):
            index = f.rack_index[rack.name]
            nominal, peak = (min(w, int(m[index])) for w, m in zip(new.watts, most, strict=True))
            entries = f.entries(index)
            watts = np.where(f.peak[entries], peak, nominal)
            cells = f.cells[entries]
            self.use[i, cells] = np.where(own[f.cell_rows[cells]], 0, f.coefficients[entries] * watts)

    def slack(self, draws: Mapping[str, tuple[int, int]]) -> Floats:
        """Watts left by cell, with racks that draw so much (nominal, peak)."""
        state = State(self.facility)
        for name, (nominal, peak) in draws.items():
            rack = self.facility.rack_index.get(name)
            if rack is None:  # it came with an event of the run
                continue
            change = nominal - int(state.nominal[rack]), peak - int(state.peak[rack])
            state.add(rack, (*change, *(0,) * self.facility.parts))
        return state.slack()

    def room(self, slack: Floats) -> Room:
        """The most at each place alone; and together: one by one where the most is left, until none fits."""
        alone = [self._most(i, slack) for i in range(len(self.use))]
        binds = [self._binds(i, slack - n * self.use[i]) for i, n in enumerate(alone)]
        racks, left = [0] * len(alone), slack.copy()
        last = 0
        while True:
            room = [self._most(i, left) for i in range(len(alone))]
            if not any(room):
                break
            last = max(range(len(room)), key=lambda i: (room[i], -racks[i]))
            step = max(1, room[last] // (2 * len(room)))
            racks[last] += step
            left = left - step * self.use[last]
        return Room(tuple(racks), tuple(alone), tuple(binds), self._binds(last, left))

    def _most(self, place: int, slack: Floats) -> int:
        used = self.use[place] > 0
        least = ((slack[used] + TOLERANCE_WATTS) / self.use[place][used]).min(initial=_MOST)
        return max(0, int(least))

    def _binds(self, place: int, slack: Floats) -> str:
        """The limit that one rack more would exceed by the most, in parts of the rack's share of it."""
        f, use = self.facility, self.use[place]
        used = np.flatnonzero((use > 0) & np.isfinite(slack))
        if not len(used):
            return "no limit"
        cell = int(used[int(np.argmin(slack[used] / use[used]))])
        contingency, row = f.describe(cell)
        load, limit = f.limits[cell] - slack[cell] + use[cell], f.limits[cell]
        loss = "" if contingency.normal else f"losing {contingency.label} "
        text = f"{loss}would put {row.label} at {kilowatts(load)} of {kilowatts(limit)} kW"
        return text if loss else f"it {text}"


def room_of(
    spec: FacilitySpec,
    places: Sequence[RackSpec],
    new: NewRack,
    draws: Sequence[Mapping[str, tuple[int, int]]],
    *,
    cooled: bool,
) -> Room:
    """How many such racks fit at these places beside all of these draws (by rack: nominal and peak watts).

    Args:
        cooled: whether heat counts.
    """
    paper = _Paper(spec, places, new, cooled=cooled)
    return paper.room(np.minimum.reduce([paper.slack(of) for of in draws]))
