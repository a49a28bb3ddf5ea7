"""Racks of 18 nodes at work while nodes fail and come back: the engine places, replaces and holds spares.

A gang that loses a node gets another one of the same NVLink domain if the engine finds one, spare or free; else it
gives up all its nodes and waits, before those that have not started. Either way it goes on from its last checkpoint.
Watts are no limit here.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from rackplane.engine.model import DomainSpec, FacilitySpec, Feed, NodeSpec, PowerSpec, RackSpec
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.growing import relocated
from rackplane.engine.placing.placement import find
from rackplane.engine.placing.replacing import replacement
from rackplane.engine.state import State
from tests.benchmarks.campus import NODE_TYPE, RACK_NODES
from tests.benchmarks.nvl72.mix import HOUR, Gang, draw

__all__ = ["Shares", "run"]

RACKS = 64
GPUS = RACKS * RACK_NODES * NODE_TYPE.gpus_per_node
LARGEST = 1_024
WAITING = 60
"""Gangs that the queue always has: what is behind them does not start, so that the mix stays as it comes."""
CHECKPOINT, RESTART, SWAP = 1_800.0, 300.0, 45.0
"""Seconds between checkpoints, to start again, and until a node is replaced (docs/node-loss.md)."""
REPAIR = 24 * HOUR
"""How long a node is away in the mean: an assumption."""
WARM_UP, MEASURED = 2 * 24 * HOUR, 14 * 24 * HOUR


@dataclass(slots=True)
class Shares:
    """Percent of the GPUs, averaged over time; and how often gangs were given another node, and had to give up all."""

    working: float = 0.0
    down: float = 0.0
    lost: float = 0.0
    """Held by gangs that do again what they had done, or start again."""
    replaced: int = 0
    moved: int = 0

    @property
    def wasted(self) -> float:
        return 100 - self.working

    @property
    def idle(self) -> float:
        """Healthy and not in use: spares, what is too small for who waits, and what no gang has come for."""
        return self.wasted - self.down - self.lost


@dataclass(slots=True)
class _Running:
    gang: Gang
    since: float
    """When it last began to work, or will."""
    ends: float


def _state(spares: int) -> State:
    racks = [f"r{r:02}" for r in range(RACKS)]
    rack_watts = RACK_NODES * NODE_TYPE.max_watts
    spec = FacilitySpec(
        node_types=(NODE_TYPE,),
        racks=tuple(RackSpec(name, NODE_TYPE.name, 0, rack_watts, (Feed("source"),)) for name in racks),
        powers=(PowerSpec("source", RACKS * rack_watts),),
        domains=tuple(DomainSpec(name, spare_nodes=spares) for name in racks),
        levels=("spine",),
    )
    nodes = [
        NodeSpec(f"{rack}-n{n:02}", rack, rack, (("spine", "all"),))
        for rack in racks
        for n in range(RACK_NODES)
    ]
    return State(compile_facility(spec), nodes)


class _Run:
    def __init__(self, mix: str, failing: float, spares: int, seed: int) -> None:
        self.mix, self.failing = mix, failing
        self.state = _state(spares)
        self.comes, self.fails = random.Random(f"gangs {seed}"), random.Random(f"failures {seed}")
        self.now, self.found = 0.0, Shares()
        self.running: dict[str, _Running] = {}
        self.queue: deque[tuple[Gang, bool]] = deque()
        """Gangs that wait, and whether they have run before."""
        self.held = self.down = 0
        self._due: list[tuple[float, int, Callable[[], bool]]] = []
        self._number = count()
        if failing:
            for node in self.state.inventory.names:
                self._at(self._until_failure(), self._fail(node))

    # -- time ------------------------------------------------------------------------------------------

    def run(self) -> Shares:
        self._start()
        while self._due[0][0] < WARM_UP + MEASURED:
            at, _, happen = heapq.heappop(self._due)
            self._pass_to(at)
            if happen():
                self._start()
        self._pass_to(WARM_UP + MEASURED)
        self.found.working -= self.found.lost
        return self.found

    def _pass_to(self, at: float) -> None:
        seconds = max(0.0, at - max(self.now, WARM_UP))
        share = 100 * seconds / MEASURED / GPUS
        self.found.working += self.held * share
        self.found.down += self.down * NODE_TYPE.gpus_per_node * share
        self.now = at

    def _at(self, at: float, happen: Callable[[], bool]) -> None:
        heapq.heappush(self._due, (at, next(self._number), happen))

    # -- gangs -----------------------------------------------------------------------------------------

    def _start(self) -> None:
        """All of those that wait and fit, in order."""
        refused: set[tuple[int, int]] = set()
        i = 0
        while True:
            while len(self.queue) < WAITING:
                self.queue.append((draw(self.mix, LARGEST, self.comes), False))
            if i >= len(self.queue):
                return
            gang, again = self.queue[i]
            kind = gang.nodes, gang.gpus_per_node
            if kind in refused or gang.gpus > GPUS - self.held or not self._place(gang, again):
                refused.add(kind)
                i += 1
            else:
                del self.queue[i]

    def _place(self, gang: Gang, again: bool) -> bool:
        placement = find(self.state, gang.request())
        if placement is None:
            return False
        key = f"{next(self._number)}"
        self.state.book(key, placement)
        self.held += gang.gpus
        since = self.now + (RESTART if again else 0.0)
        self._lose(gang, since - self.now)
        self.running[key] = _Running(gang, since, since + gang.seconds)
        self._at(since + gang.seconds, self._end(key))
        return True

    def _end(self, key: str) -> Callable[[], bool]:
        def happen() -> bool:
            running = self.running.get(key)
            if running is None or running.ends > self.now:
                return False
            self._give_up(key)
            return True

        return happen

    def _give_up(self, key: str) -> _Running:
        running = self.running.pop(key)
        self.state.release(key)
        self.held -= running.gang.gpus
        return running

    def _lose(self, gang: Gang, seconds: float) -> None:
        """The gang's GPUs work for nothing for so long."""
        if self.now >= WARM_UP:
            self.found.lost += 100 * gang.gpus * seconds / MEASURED / GPUS

    # -- nodes -----------------------------------------------------------------------------------------

    def _until_failure(self) -> float:
        """So that the share of nodes that are away is ``failing`` in the long run."""
        return self.now + self.fails.expovariate(self.failing / (1 - self.failing) / REPAIR)

    def _fail(self, node: str) -> Callable[[], bool]:
        def happen() -> bool:
            self.down += 1
            self._healthy(node, healthy=False)
            keys = list(self.state.keys_on(node))
            for key in keys:
                self._lost(key, node)
            self._at(self.now + self.fails.expovariate(1 / REPAIR), self._repair(node))
            return bool(keys)

        return happen

    def _repair(self, node: str) -> Callable[[], bool]:
        def happen() -> bool:
            self.down -= 1
            self._healthy(node, healthy=True)
            self._at(self._until_failure(), self._fail(node))
            return True

        return happen

    def _healthy(self, node: str, *, healthy: bool) -> None:
        spec = NodeSpec(node, node[:3], node[:3], (("spine", "all"),), healthy=healthy)
        self.state.set_node(spec)

    def _lost(self, key: str, node: str) -> None:
        running = self.running[key]
        gang, counts = running.gang, self.now >= WARM_UP
        # What it has done since its last checkpoint is done again; while it still started, only that.
        redone = max(0.0, self.now - running.since) % CHECKPOINT
        left = running.ends - max(self.now, running.since) + redone
        self._lose(gang, redone)
        if self._replace(key, node, gang):
            self.found.replaced += counts
            running.since = self.now + SWAP + RESTART
            running.ends = running.since + left
            self._lose(gang, SWAP + RESTART)
            self._at(running.ends, self._end(key))
        else:
            self.found.moved += counts
            self._give_up(key)
            self.queue.appendleft((replace(gang, seconds=left), True))

    def _replace(self, key: str, node: str, gang: Gang) -> bool:
        placement = self.state.booking(key)
        assert placement is not None
        held = dict(self.state.held(key))
        lost = [slot for slot, where in held.items() if where == node]
        places = replacement(self.state, placement, held, lost, gang.request()).places
        if places is None:
            return False
        moved = relocated(placement, places, self.state.reserved(key))
        self.state.rebook(key, moved, range(gang.nodes))
        return True


def run(mix: str, failing: float, spares: int, seed: int) -> Shares:
    """Two weeks after two days, on 64 racks.

    Args:
        failing: share of the nodes that are away in the long run.
        spares: nodes of each domain that are held back.
    """
    return _Run(mix, failing, spares, seed).run()
