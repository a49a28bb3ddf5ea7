"""One pass over a long queue: 10,000 gangs wait in 50 queues on 2,500 nodes that are full, and one gang ends.

Five parents with ten queues each, which borrow from one another; gangs of 1 to 32 nodes, of four priorities, with and
without an expected duration, every limit of power and cooling on. What is timed is the answer of the operator's core to
the end of one gang: everything until the decisions for its place are made, positions of the first who wait included.
The commits are answered after that, so that each pass finds the cluster full again; what would help those who wait is
worked out then.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from rackplane.controller.collecting import settle, tune
from rackplane.core import events as e
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.instructions import CommitGang, Instruction, WriteGangStatus
from rackplane.core.machine import Machine
from rackplane.core.objects import Gang
from rackplane.core.settings import MachineSettings
from rackplane.simulator.gangs import merged
from tests.benchmarks.bench_core import RACK_NODES, facility, node

NODES, GANGS, PARENTS, CHILDREN = 2_500, 10_000, 5, 10
SIZES = (1, 1, 1, 2, 2, 4, 8, 16, 18, 32)
BEGIN, SEED, PASSES, LIMIT_MS = 1_700_000_000.0, 1, 60, 20.0


class Site:
    """The core, and the Gangs as an API server has them."""

    def __init__(self) -> None:
        self.machine = Machine(settings=MachineSettings())
        self.bodies: dict[str, dict[str, Any]] = {}
        self.running: list[str] = []
        self.version, self.now = 0, BEGIN

    def changed(self, body: dict[str, Any]) -> e.GangChanged:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        return e.GangChanged(msgspec.convert(body, type=Gang))

    def submit(self, name: str, **spec: Any) -> e.GangChanged:
        workload = {"apiVersion": "bench/v1", "kind": "Run", "name": name, "uid": name}
        created = timestamp(BEGIN - GANGS + len(self.bodies))
        meta = {"name": name, "namespace": "ns", "uid": name, "creationTimestamp": created}
        body = {"metadata": meta, "spec": {"workload": workload, "gpusPerSlot": 4, **spec}}
        self.bodies[name] = body
        return self.changed(body)

    def answer(self, instructions: list[Instruction]) -> list[e.Event]:
        events: list[e.Event] = []
        for instruction in instructions:
            if isinstance(instruction, CommitGang | WriteGangStatus):
                body = self.bodies[instruction.name]
                body["status"] = merged(body.get("status"), instruction.status)
                if isinstance(instruction, CommitGang):
                    self.running.append(instruction.name)
                events += [e.WriteSucceeded(instruction), self.changed(body)]
        return events

    def handle(self, *events: e.Event) -> list[Instruction]:
        """What the machine asks for."""
        return self.machine.handle(self.now, *events)

    def settle(self, instructions: list[Instruction]) -> None:
        """Until nothing is asked for any more."""
        while events := self.answer(instructions):
            instructions = self.handle(*events)


def _queues() -> list[e.Event]:
    def queue(name: str, **spec: Any) -> e.FacilityChanged:
        meta = {"name": name, "generation": 1, "uid": name}
        return e.FacilityChanged(
            "Queue",
            name,
            {"apiVersion": "rackplane.dev/v1alpha1", "kind": "Queue", "metadata": meta, "spec": spec},
        )

    parents = [queue(f"p{p}", quota={"gpus": NODES * 4 // PARENTS}) for p in range(PARENTS)]
    share = NODES * 4 // PARENTS // CHILDREN
    children = [
        queue(f"p{p}-q{q}", parent=f"p{p}", quota={"gpus": share}, weight=1 + q % 3)
        for p in range(PARENTS)
        for q in range(CHILDREN)
    ]
    return [*parents, *children]


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """The garbage collector as the operator has it."""
    before = gc.get_threshold()
    tune()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def loaded(site: Site, draw: random.Random) -> None:
    """All gangs submitted, and as many placed as there is room for."""
    racks = -(-NODES // RACK_NODES)
    nodes = [node(r, n) for r in range(racks) for n in range(RACK_NODES)][:NODES]
    site.settle(site.handle(*facility(racks), *_queues(), *nodes, e.Synced(), e.LeadershipGained(1)))
    batch: list[e.Event] = []
    for number in range(GANGS):
        slots = draw.choice(SIZES)
        topology = {"required": "nvlink"} if slots <= RACK_NODES else {"segmentSlots": 16}
        spec: dict[str, Any] = {
            "queue": f"p{draw.randrange(PARENTS)}-q{draw.randrange(CHILDREN)}",
            "slots": slots,
            "priority": draw.choice((0, 0, 0, 50, 100)),
            "topology": topology,
        }
        if draw.random() < 0.5:
            spec["expectedDurationSeconds"] = draw.choice((600, 3_600, 86_400))
        batch.append(site.submit(f"g{number}", **spec))
    site.settle(site.handle(*batch))
    for _ in range(20):  # estimates and reservations find their values
        site.now += 1.0
        site.settle(site.handle(e.TimePassed()))
    settle()  # as the operator does once a minute


def one_ends(site: Site, draw: random.Random) -> tuple[float, list[Instruction]]:
    """A second later: how long the pass after the end of one gang took, in CPU seconds, and what it asked for."""
    site.now += 1.0
    site.settle(site.handle(e.TimePassed()))
    over = site.running.pop(draw.randrange(len(site.running)))
    del site.bodies[over]
    before = time.process_time()
    instructions = site.handle(e.GangDeleted("ns", over))
    return time.process_time() - before, instructions


def test_a_pass_over_a_long_queue_after_one_gang_ends() -> None:
    draw, site = random.Random(SEED), Site()
    loaded(site, draw)
    waiting = GANGS - len(site.running)
    took, asked, placed = [], [], 0
    for _ in range(PASSES):
        already = site.machine.world.waiting.asked
        seconds, instructions = one_ends(site, draw)
        took.append(seconds * 1000)
        asked.append(site.machine.world.waiting.asked - already)
        placed += sum(isinstance(i, CommitGang) for i in instructions)
        site.settle(instructions)
    p50, p99 = statistics.median(took), sorted(took)[int(len(took) * 0.99)]
    print(
        f"{waiting:,} gangs wait in {PARENTS * CHILDREN} queues on {NODES:,} nodes, one ends: p50 {p50:.1f} ms   "
        f"limit {LIMIT_MS:.0f}   ratio {p50 / LIMIT_MS:.2f}      p99 {p99:.1f} ms   "
        f"({placed} placed in {PASSES} passes, {statistics.median(asked):.0f} gangs asked in the median pass)"
    )
