"""How large a gang could start now, by fabric level; and the NVLink domains with their spares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
from prometheus_client.core import Metric

from rackplane.controller.metrics.families import Section, gauge
from rackplane.engine.planning.spares import spares
from rackplane.engine.reporting.largest import Room, levels_in_use, room_at
from rackplane.engine.state import State

__all__ = ["FABRIC", "Levels", "domain_metrics"]

#: So old the rooms of the levels may be, in seconds: what changes with each gang is worked out no more often.
_PAUSE: Final = 10.0

LARGEST: Final = gauge(
    "largest_placeable_gang_gpus",
    "GPUs of a gang of whole nodes at full power that could start now in one domain of the level, the largest "
    "that a trial fill finds: rack by rack in order of names. Where power is short there may be room for a "
    "larger one; `rackplane capacity` finds the largest.",
    "level",
    "hardware_profile",
)
LEVEL_FREE: Final = gauge(
    "level_free_gpus",
    "GPUs of the wholly free nodes in the domain of the level that has most, whatever power there is for them.",
    "level",
    "hardware_profile",
)
FRAGMENTATION: Final = gauge(
    "fragmentation_ratio",
    "Part, between 0 and 1, of the largest gang of the level that is out of reach because free nodes do not "
    "lie together or power does not reach them: 1 less the largest placeable by what the free nodes of all "
    "domains would make in one, if it is as large.",
    "level",
    "hardware_profile",
)
NODES: Final = gauge("nvlink_domain_nodes", "Nodes of an NVLink domain.", "nvlink_domain")
FREE_NODES: Final = gauge(
    "nvlink_domain_free_nodes",
    "Its nodes that are healthy and wholly free, spares among them.",
    "nvlink_domain",
)
GPUS: Final = gauge("nvlink_domain_gpus", "GPUs of an NVLink domain.", "nvlink_domain")
FREE_GPUS: Final = gauge("nvlink_domain_free_gpus", "Its GPUs that nobody holds.", "nvlink_domain")
RESERVED: Final = gauge(
    "nvlink_domain_reserved_watts",
    "What the nodes of an NVLink domain draw by reservations.",
    "nvlink_domain",
    "basis",
)
SPARES: Final = gauge(
    "nvlink_domain_spare_nodes",
    "Nodes that an NVLink domain is to keep free for the loss of others.",
    "nvlink_domain",
    only="domains that take gangs and keep spares",
)
SPARES_LEFT: Final = gauge(
    "nvlink_domain_spare_nodes_left",
    "Those that are left: healthy and free, and not needed for a node that is away.",
    "nvlink_domain",
    only="domains that take gangs and keep spares",
)

FABRIC: Final = Section(
    "Fabric",
    "Levels are those of the facility from the nearest up, and `facility`. NVLink domains of one node have no "
    "series.",
    (
        LARGEST,
        LEVEL_FREE,
        FRAGMENTATION,
        NODES,
        FREE_NODES,
        GPUS,
        FREE_GPUS,
        RESERVED,
        SPARES,
        SPARES_LEFT,
    ),
)


class Levels:
    """Works out the rooms of the levels where something has changed, one level at a time, and not at each scrape.

    Args:
        monotonic: seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._of: tuple[int, int] | None = None
        self._looked = -np.inf
        self._rooms: dict[str, Mapping[str, Room]] = {}

    def follow(self, state: State, stamp: tuple[int, int]) -> Iterator[None]:
        """Bring them up to date; another event may be handled at each step.

        Args:
            stamp: another one for every other content of the state.
        """
        now = self._monotonic()
        if self._rooms and (stamp == self._of or now < self._looked + _PAUSE):
            return
        self._of, self._looked = stamp, now
        levels = levels_in_use(state)
        self._rooms = {level: room for level, room in self._rooms.items() if level in levels}
        for level in levels:
            if level in levels_in_use(state):  # another facility, by now
                self._rooms[level] = room_at(state, level)
            yield

    def metrics(self) -> Iterator[Metric]:
        """The first three of the section."""
        rooms = [
            ((level, profile), room)
            for level, by_profile in self._rooms.items()
            for profile, room in by_profile.items()
        ]
        yield LARGEST.of((labels, room.placeable) for labels, room in rooms)
        yield LEVEL_FREE.of((labels, room.free) for labels, room in rooms)
        yield FRAGMENTATION.of((labels, room.fragmentation) for labels, room in rooms)


def domain_metrics(state: State) -> Iterator[Metric]:
    """NVLink domains of more than one node, by the nodes' own statement."""
    inventory, table = state.inventory, state.table
    stated = np.flatnonzero(inventory.stated >= 0)
    ids, size = inventory.stated[stated], len(inventory.stated_names)
    idle = (table.gpus > 0) & (table.free == table.gpus) & state.healthy
    nominal, peak = state.watts_of_nodes()
    sums = [
        np.bincount(ids, part[stated], minlength=size).astype(np.int64)
        for part in (np.ones(len(inventory.names)), idle, table.gpus, table.free, nominal, peak)
    ]
    figures = {
        name: each
        for name, *each in zip(inventory.stated_names, *(s.tolist() for s in sums), strict=True)
        if each[0] > 1
    }
    for k, family in enumerate((NODES, FREE_NODES, GPUS, FREE_GPUS)):
        yield family.of(([name], each[k]) for name, each in figures.items())
    yield RESERVED.of(
        ([name, basis], each[k])
        for name, each in figures.items()
        for k, basis in ((4, "nominal"), (5, "peak"))
    )
    kept = spares(state)
    yield SPARES.of(([each.domain], each.wanted) for each in kept)
    yield SPARES_LEFT.of(([each.domain], len(each.nodes)) for each in kept)
