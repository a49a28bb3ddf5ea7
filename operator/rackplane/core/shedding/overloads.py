"""Since when elements have been over their limits, and until when they stand it.

An element stands its load for the seconds of its emergency rating, a cooling loop for as long as it rides through. They
are counted from when the overload began, and that is in `status.overloadedSince`: a process that takes over does not
give them anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rackplane.api.cooling_zone import CoolingZone
from rackplane.api.power_domain import PowerDomain
from rackplane.core.gangs.statuses import seconds, timestamp
from rackplane.core.site.entries import ObjectKey
from rackplane.core.site.translation import power_spec
from rackplane.engine.physics.loads import Violation
from rackplane.engine.physics.power import emergency_rating
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.state import State

if TYPE_CHECKING:
    from rackplane.core.world import World

__all__ = ["Overloads", "element_of", "loaded_by"]

_KINDS: Final[Mapping[RowKind, str]] = {
    RowKind.POWER_NOMINAL: "PowerDomain",
    RowKind.POWER_PEAK: "PowerDomain",
    RowKind.BUDGET: "PowerBudget",
    RowKind.RACK_NOMINAL: "Rack",
    RowKind.RACK_PEAK: "Rack",
    RowKind.FEED: "Rack",
    RowKind.LIQUID: "CoolingZone",
    RowKind.AIR: "CoolingZone",
}
_FIELD: Final = "overloadedSince"


def element_of(violation: Violation) -> ObjectKey:
    """Kind and name of what is over its limit."""
    return _KINDS[violation.row.kind], violation.row.element


def loaded_by(state: State, key: str, over: Iterable[Violation]) -> list[Violation]:
    """Those limits among these that the gang of that booking adds to."""
    f = state.facility
    racks = {
        f.rack_index[spec.rack] for node in state.held_gpus(key) if (spec := state.node(node)) and spec.rack
    }
    cells = {cell for rack in racks for cell in f.cells[f.entries(rack)].tolist()}
    return [v for v in over if f.row_index[v.row] in cells]


class Overloads:
    """The elements that are over a limit in the state as it is."""

    def __init__(self) -> None:
        self._since: dict[ObjectKey, float] = {}
        self._taking_over = True

    def look(self, world: World, over: Iterable[Violation]) -> None:
        """These limits are exceeded now; what an earlier process wrote counts only for those that are at once."""
        known, self._since = self._since, {}
        for element in map(element_of, over):
            since = known.get(element)
            if since is None and self._taking_over:
                since = _stored(world, element)
            self._since[element] = world.now if since is None else min(since, world.now)
        self._taking_over = False

    def began(self, over: Iterable[Violation]) -> float:
        """When the first of these was exceeded, in seconds since the epoch."""
        return min(self._since[element_of(v)] for v in over)

    def stood_until(self, world: World, over: Sequence[Violation]) -> float:
        """When the first of these does not stand its load any longer, in seconds since the epoch."""
        return min(self._since[element_of(v)] + _stands(world, v) for v in over)

    def by_kind(self) -> dict[str, int]:
        """How many elements of each kind are over a limit; kinds without any are there too."""
        found = dict.fromkeys(_KINDS.values(), 0)
        for kind, _ in self._since:
            found[kind] += 1
        return found

    def figures(self, kind: str, name: str) -> dict[str, Any]:
        """What the status of an element says of it."""
        since = self._since.get((kind, name))
        return {_FIELD: None if since is None else timestamp(since)}


def _stored(world: World, element: ObjectKey) -> float | None:
    text = world.catalog.status(*element).get(_FIELD)
    try:
        return seconds(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _stands(world: World, violation: Violation) -> float:
    """For how long the element stands its load, in seconds."""
    name, catalog = violation.row.element, world.catalog
    match violation.row.kind:
        case RowKind.POWER_NOMINAL | RowKind.POWER_PEAK:
            power = catalog.get(PowerDomain, name)
            rating = None if power is None else power.spec.emergency
            if power is None or rating is None:
                return 0.0
            most = emergency_rating(power_spec(power, in_emergency=True))
            return float(rating.seconds) if violation.load_watts <= most else 0.0
        case RowKind.LIQUID | RowKind.AIR:
            zone = catalog.get(CoolingZone, name)
            return 0.0 if zone is None else float(zone.spec.ride_through_seconds or 0)
    return 0.0
