"""One line of the series: what a facility carries and could still take at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

from rackplane.api.common import NVLINK_LEVEL
from rackplane.core.gangs.statuses import timestamp
from rackplane.engine.model import Request
from rackplane.engine.physics.draw import DEFAULT_PROFILE, gang_increment
from rackplane.engine.placing.placement import find
from rackplane.engine.planning.capacity import upper_bound
from rackplane.engine.reporting.stranded import Stranded, StrandedBy, stranded
from rackplane.engine.state import State
from rackplane.simulator.cluster import Cluster
from rackplane.simulator.limits import Meter
from rackplane.simulator.site import Site

__all__ = ["Sampler", "full_watts", "largest_slots"]

_CAUSES: Final = (StrandedBy.RACK, StrandedBy.POWER, StrandedBy.BUDGET, StrandedBy.LIQUID, StrandedBy.AIR)


def largest_slots(state: State, request: Request) -> int:
    """The most slots of such a gang that would start now, whatever ``request.slots`` says; 0 if none does."""

    def fits(slots: int) -> bool:
        return find(state, replace(request, slots=slots)) is not None

    bound = upper_bound(state, request)
    if fits(bound):
        return bound
    lowest, refused = 0, bound
    while refused - lowest > 1:
        middle = (lowest + refused) // 2
        lowest, refused = (middle, refused) if fits(middle) else (lowest, middle)
    return lowest


def full_watts(state: State) -> int:
    """What all racks would draw with every node at work, at full power: nominal."""
    watts = sum(max(0, rack.overhead_watts) for rack in state.facility.racks)
    for node in state.nodes():
        of = state.node_type(node.name)
        if of is not None and node.rack in state.facility.rack_index:
            watts += of.idle_watts + gang_increment(of, DEFAULT_PROFILE, of.gpus_per_node).nominal
    return watts


class Sampler:
    """Rows of series.csv and elements.csv.

    Args:
        drawn: None where no model of draws is wanted.
    """

    def __init__(self, site: Site, cluster: Cluster, reserved: Meter, drawn: Meter | None) -> None:
        self._site, self._cluster, self._reserved, self._drawn = site, cluster, reserved, drawn
        self._known: tuple[tuple[int, int], tuple[int, int]] | None = None

    def rows(self, now: int) -> tuple[list[Any], Iterator[list[Any]]]:
        """The row of the series, and those of the elements."""
        state = self._cluster.machine.state
        assert state is not None
        unfed = stranded(state)
        return self._series(now, state, unfed), self._elements(now, unfed)

    def _series(self, now: int, state: State, unfed: Stranded) -> list[Any]:
        site, cluster = self._site, self._cluster
        running = [gang for gang in cluster.live.values() if gang.placed is not None]
        waiting = sum(gang.request.gpus for gang in cluster.live.values() if gang.placed is None)
        table = state.table
        able = state.healthy & (table.gpus > 0)
        free = np.where(able, state.free, 0)
        idle = able & (state.free == table.gpus)
        gpus_free = int(free.sum())
        anywhere, in_domain = self._largest(state)
        by_cause: Counter[StrandedBy] = Counter()
        for part in unfed.unfed:
            by_cause[part.cause] += part.watts
        worst = self._reserved.worst()
        drawn = None if self._drawn is None else self._drawn.worst()
        return [
            now,
            timestamp(cluster.time(now)),
            site.gpus,
            sum(len(gang.nodes) * int(gang.request.spec["gpusPerSlot"]) for gang in running),
            len(running),
            cluster.waiting,
            waiting,
            int(state.nominal.sum()),
            int(state.peak.sum()),
            "" if self._drawn is None else self._drawn.watts,
            *(("", "", "") if worst is None else (worst.headroom_watts, worst.limit, worst.loss)),
            "" if drawn is None else drawn.headroom_watts,
            gpus_free,
            int(idle.sum()),
            self._domains(state, idle),
            anywhere,
            in_domain,
            round(1 - anywhere / gpus_free, 4) if gpus_free else 0,
            sum(part.nodes for part in unfed.unfed),
            *(by_cause[cause] for cause in _CAUSES),
            ";".join(self._reserved.exceeded_now),
            "" if self._drawn is None else ";".join(self._drawn.exceeded_now),
        ]

    def _largest(self, state: State) -> tuple[int, int]:
        """GPUs of the largest gang of whole nodes that would start: anywhere, and inside one NVLink domain."""
        stamp = self._cluster.machine.world.stamp
        if self._known is None or self._known[0] != stamp:
            per_node, found = self._site.gpus_per_node, []
            for level in (None, NVLINK_LEVEL):
                request = Request(
                    slots=1, gpus_per_slot=per_node, resource=self._site.resource, required=level, strict=True
                )
                found.append(largest_slots(state, request) * per_node)
            self._known = stamp, (found[0], found[1])
        return self._known[1]

    @staticmethod
    def _domains(state: State, idle: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
        """NVLink domains all of whose nodes are free."""
        domain = state.inventory.stated
        stated = domain >= 0
        size = len(state.inventory.stated_names)
        nodes = np.bincount(domain[stated], minlength=size)
        free = np.bincount(domain[stated & idle], minlength=size)
        return int(((nodes > 0) & (nodes == free)).sum())

    def _elements(self, now: int, unfed: Stranded) -> Iterator[list[Any]]:
        for element in self._reserved.elements():
            left = (unfed.powers if element.kind == "PowerDomain" else unfed.coolings).get(element.name)
            yield [
                now,
                element.kind,
                element.name,
                element.watts,
                "" if self._drawn is None else self._drawn.watts_of(element),
                element.limit_watts,
                element.headroom_watts,
                element.loss,
                "" if element.kind == "PowerBudget" or left is None else left.watts,
            ]
