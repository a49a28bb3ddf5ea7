"""Reads the nodes of gangs that run, from their start to their end, and learns what a run drew.

A run counts by its hottest node: the highest mean of a node over 15 minutes, the time over which existing loads are
demanded to be metered before more is put on the same feeder (NFPA 70, 220.87). Only while the whole gang runs, each
node is read, and nothing else is on it. A run of which less than half was read, or that was capped or moved meanwhile,
is not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.learning.memory import Family, Memory
from rackplane.core.learning.names import family_name

if TYPE_CHECKING:
    from rackplane.core.world import World

__all__ = ["FRESH_SECONDS", "Learning"]

WINDOW_SECONDS: Final = 900.0
FRESH_SECONDS: Final = 120.0
"""Readings that are further apart, or older, are none."""
_LATE_SECONDS: Final = 300.0
"""A run that was first read later than this after its start is not read from its beginning."""


@dataclass(slots=True)
class _Run:
    """A gang that runs, under one decision, at one power profile."""

    decision: str
    queue: str
    family: Family
    started: float
    last: float
    """When it was last read."""
    since: float
    """When the present window began."""
    looks: int = 0
    sums: dict[str, int] = field(default_factory=dict)
    windows: int = 0
    most: int = 0


class Learning:
    """What runs, and what is known of runs that are over."""

    def __init__(self) -> None:
        self.memory = Memory()
        #: gangs whose nodes have drawn more than they count at
        self.exceeded: dict[Key, None] = {}
        self._runs: dict[Key, _Run] = {}
        self._fresh = False

    def fresh(self, world: World) -> bool:
        """Whether telemetry works: what was learned lowers nothing while nobody could see more being drawn."""
        seen = world.observed
        return seen is not None and bool(seen.nodes) and world.now - seen.at <= FRESH_SECONDS

    def restore(self, world: World) -> None:
        """This process leads from now on: what was learned is what the Queues say."""
        for name in world.catalog.queues():
            self.memory.restore(name, world.catalog.status("Queue", name))

    def look(self, world: World, *, leading: bool) -> None:
        """Nodes have been read."""
        bounds, fresh = self.memory.bounds, self.fresh(world)
        for key in [key for key, run in self._runs.items() if not self._goes_on(world, key, run)]:
            run = self._runs.pop(key)
            half = run.windows * WINDOW_SECONDS >= (world.now - run.started) / 2
            if leading and run.windows and half and not _still_runs(world, key):
                self.memory.add(run.queue, run.family, run.most, world.now)
        if fresh and world.observed is not None:
            for key, record in world.gangs.items():
                if record.decision is not None and record.phase == "Running":
                    self._read(world, key, record)
        if (bounds, fresh) != (self.memory.bounds, self._fresh):
            self._fresh = fresh
            world.rules_changed()  # who waits may count at something else

    def _goes_on(self, world: World, key: Key, run: _Run) -> bool:
        record = world.gangs.get(key)
        if record is None or record.phase != "Running" or record.decision is None:
            return False
        return record.decision.id == run.decision and _family(world, record) == run.family

    def _read(self, world: World, key: Key, record: GangRecord) -> None:
        assert world.observed is not None and world.state is not None and record.decision is not None
        run = self._runs.get(key)
        if run is None:
            family, started = _family(world, record), _started(record)
            if family is None or world.now - started > _LATE_SECONDS:
                return
            assert record.gang is not None
            queue = record.gang.spec.queue
            run = _Run(record.decision.id, queue, family, started, world.now, world.now)
            self._runs[key] = run
        held, nodes = world.state.held_gpus(booking_key(key)), world.observed.nodes
        if any(node not in nodes for node in held):
            return
        if world.now - run.last > FRESH_SECONDS:
            run.since, run.looks, run.sums = world.now, 0, {}
        run.last, run.looks = world.now, run.looks + 1
        for node in held:
            run.sums[node] = run.sums.get(node, 0) + nodes[node]
        if world.now - run.since < WINDOW_SECONDS:
            return
        most = math.ceil(max(run.sums.values()) / run.looks)
        run.windows, run.most = run.windows + 1, max(run.most, most)
        run.since, run.looks, run.sums = world.now, 0, {}
        if any(most > watts for _, watts in record.decision.placement.metered):
            self.exceeded[key] = None
        self.memory.drew(run.queue, run.family, most)


def _family(world: World, record: GangRecord) -> Family | None:
    """What the run is one of; None if what its nodes draw is not, or not alone, what it draws all the time."""
    gang, decision, state = record.gang, record.decision, world.state
    if gang is None or decision is None or state is None or not decision.committed:
        return None
    if record.previous is not None or record.counts_at is not None or gang.status.shed is not None:
        return None
    if gang.spec.groups or gang.spec.min_slots is not None or record.released:
        return None
    kinds = set()
    for node, gpus in state.held_gpus(booking_key(record.key)).items():
        kind = state.node_type(node)
        if kind is None or gpus != kind.gpus_per_node or state.other_gpus(node):
            return None
        kinds.add(kind.name)
    if len(kinds) != 1:
        return None
    name = family_name(gang.spec.workload.name)
    return Family(record.key[0], name, kinds.pop(), decision.placement.power_profile)


def _still_runs(world: World, key: Key) -> bool:
    """Whether it runs, so that one that does not go on was changed and is not over."""
    record = world.gangs.get(key)
    return record is not None and record.phase == "Running"


def _started(record: GangRecord) -> float:
    text = "" if record.gang is None else record.gang.status.started_at
    try:
        return seconds(text or "")
    except ValueError:
        return -math.inf
