"""Reads the nodes of gangs that run, from their start to their end, and learns what a run drew.

A run counts by its hottest node: the highest mean of a node over 15 minutes (:mod:`core.learning.window`). Only while
the whole gang runs, each node is read, and nothing else is on it. A run of which less than half was read, or that was
capped or moved meanwhile, is not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.learning.guard import Guard
from rackplane.core.learning.memory import Family, Memory
from rackplane.core.learning.names import family_name
from rackplane.core.learning.window import FRESH_SECONDS, WINDOW_SECONDS, Window

if TYPE_CHECKING:
    from rackplane.core.world import World

__all__ = ["Learning"]

_LATE_SECONDS: Final = 300.0
"""A run that was first read later than this after its start is not read from its beginning."""


@dataclass(slots=True)
class _Run:
    """A gang that runs, under one decision, at one power profile."""

    decision: str
    queue: str
    family: Family
    started: float
    window: Window
    windows: int = 0
    most: int = 0


class Learning:
    """What runs, and what is known of runs that are over."""

    def __init__(self) -> None:
        self.memory = Memory()
        #: of gangs that count at what was learned: whether they still may
        self.guard = Guard()
        self._runs: dict[Key, _Run] = {}
        self._told = (0, False)

    def fresh(self, world: World) -> bool:
        """Whether telemetry works: what was learned lowers nothing while nobody could see more being drawn."""
        seen = world.observed
        return seen is not None and bool(seen.nodes) and world.now - seen.at <= FRESH_SECONDS

    def look(self, world: World, *, leading: bool) -> None:
        """Nodes have been read."""
        fresh = self.fresh(world)
        for key in [key for key, run in self._runs.items() if not self._goes_on(world, key, run)]:
            run = self._runs.pop(key)
            half = run.windows * WINDOW_SECONDS >= (world.now - run.started) / 2
            if leading and run.windows and half and not _still_runs(world, key):
                self.memory.add(run.queue, run.family, run.most, world.now)
        if fresh:
            for key, record in world.gangs.items():
                if record.decision is not None and record.phase == "Running":
                    self._read(world, key, record)
        self.guard.look(world, read=fresh)
        self._tell_who_waits(world)

    def time_passed(self, world: World) -> None:
        """Nobody may have said anything for a while."""
        self.guard.time_passed(world)
        self._tell_who_waits(world)

    def _tell_who_waits(self, world: World) -> None:
        known = self.memory.bounds, self.fresh(world)
        if known != self._told:
            self._told = known
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
            queue, window = record.gang.spec.queue, Window(world.now, world.now)
            run = self._runs[key] = _Run(record.decision.id, queue, family, started, window)
        held, nodes = world.state.held_gpus(booking_key(key)), world.observed.nodes
        if any(node not in nodes for node in held):
            return
        means = run.window.take(world.now, {node: nodes[node] for node in held})
        if means:
            run.windows, run.most = run.windows + 1, max(run.most, *means.values())
            self.memory.drew(run.queue, run.family, run.most)


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
