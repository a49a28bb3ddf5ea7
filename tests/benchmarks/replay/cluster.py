"""The operator's core in virtual time on a cluster that answers at once: gangs of another controller, no pods."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rackplane.core import events as e
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.instructions import CommitGang, Instruction, WriteGangStatus
from rackplane.core.machine import Machine
from rackplane.core.objects import Gang
from rackplane.core.settings import MachineSettings
from tests.benchmarks.bench_core import RACK_NODES, facility, node
from tests.benchmarks.replay.traces import GPUS_A_NODE, Job

__all__ = ["Replay", "gpus_of", "merged", "replay"]

BEGIN = 1_700_000_000


def gpus_of(racks: int) -> int:
    return racks * RACK_NODES * GPUS_A_NODE


@dataclass(slots=True)
class Replay:
    """When each job started, in seconds, and in how many racks."""

    starts: dict[str, int] = field(default_factory=dict)
    racks: dict[str, int] = field(default_factory=dict)


def merged(have: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    old = have if isinstance(have, Mapping) else {}
    result = {key: value for key, value in old.items() if key not in patch}
    return result | {k: merged(old.get(k), value) for k, value in patch.items() if value is not None}


class _Cluster:
    """An API server and a maker of gangs in one: what is written is seen at once."""

    def __init__(self, racks: int, reservations: int) -> None:
        # What is written for people only costs time here and decides nothing.
        settings = MachineSettings(
            reservations=reservations,
            status_seconds=1e12,
            told_gangs=0,
            telling_gangs=0,
            estimated_gangs=0,
            explain_gangs=0,
        )
        self.machine = Machine(settings=settings)
        self.bodies: dict[str, dict[str, Any]] = {}
        self.version = 0
        self.found = Replay()
        self.now = 0
        self.ends: list[tuple[int, str]] = []
        self.jobs: dict[str, Job] = {}
        nodes = [node(r, n) for r in range(racks) for n in range(RACK_NODES)]
        self.feed(*facility(racks), *nodes, e.Synced(), e.LeadershipGained(1))

    def next_tick(self) -> float:
        """When a tick, of those that the operator has every second, next finds something to do."""
        due = self.machine.world.waiting.due - BEGIN
        return math.inf if math.isinf(due) else max(math.ceil(due), self.now + 1)

    def feed(self, *events: e.Event) -> None:
        """Let the machine hear of these, and carry out what it asks for until it asks for nothing more."""
        batch = list(events)
        while batch:
            answers = self.machine.handle(float(BEGIN + self.now), *batch)
            batch = [event for instruction in answers for event in self._carry_out(instruction)]

    def _carry_out(self, instruction: Instruction) -> list[e.Event]:
        if not isinstance(instruction, CommitGang | WriteGangStatus):
            return []
        body = self.bodies[instruction.name]
        assert body["metadata"]["resourceVersion"] == instruction.resource_version
        body["status"] = merged(body.get("status"), instruction.status)
        if isinstance(instruction, CommitGang):
            job = self.jobs[instruction.name]
            self.found.starts[job.name] = self.now
            self.found.racks[job.name] = len({g["rack"] for g in body["status"]["assignment"]})
            heapq.heappush(self.ends, (self.now + job.duration, job.name))
        return [e.WriteSucceeded(instruction), self._changed(body)]

    def _changed(self, body: dict[str, Any]) -> e.GangChanged:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        return e.GangChanged(msgspec.convert(body, type=Gang))

    def submit(self, job: Job, expected: int) -> e.Event:
        self.jobs[job.name] = job
        body = self.bodies[job.name] = {
            "metadata": {
                "name": job.name, "namespace": "ns", "uid": job.name, "creationTimestamp": timestamp(BEGIN + job.at),
            },
            "spec": {
                "queue": "research",
                "workload": {"apiVersion": "trace/v1", "kind": "Job", "name": job.name, "uid": job.name},
                "slots": job.slots,
                "gpusPerSlot": job.gpus_per_slot,
                "topology": {"required": "nvlink"} if job.slots <= RACK_NODES else {"segmentSlots": 16},
                "expectedDurationSeconds": expected,
            },
        }  # fmt: skip
        return self._changed(body)

    def over(self) -> list[e.Event]:
        """What ends by now."""
        found: list[e.Event] = []
        while self.ends and self.ends[0][0] <= self.now:
            name = heapq.heappop(self.ends)[1]
            del self.bodies[name]
            found.append(e.GangDeleted("ns", name))
        return found


def replay(
    jobs: Sequence[Job],
    racks: int,
    *,
    reservations: int,
    one_at_a_time: bool = False,
    expected: Mapping[str, int] | None = None,
) -> Replay:
    """Run the jobs.

    Args:
        reservations: as the operator's; 0: whoever fits goes ahead of who does not.
        one_at_a_time: nobody is asked before all who came earlier have started: strict order.
        expected: seconds that jobs say they run, by name; None: what they do run.

    Raises:
        RuntimeError: a job waits, and nothing that could start it is to come.
    """
    cluster = _Cluster(racks, reservations)
    arrivals = sorted(jobs, key=lambda j: (j.at, j.name))
    came = 0
    while len(cluster.found.starts) < len(jobs):
        head = came and arrivals[came - 1].name not in cluster.found.starts
        may_come = came < len(arrivals) and not (one_at_a_time and head)
        moments = [max(cluster.now, arrivals[came].at)] if may_come else []
        if cluster.ends:
            moments.append(cluster.ends[0][0])
        if not moments:
            raise RuntimeError(
                f"{len(jobs) - len(cluster.found.starts)} jobs wait for nothing at {cluster.now} s"
            )
        if cluster.next_tick() < min(moments):
            cluster.now = int(cluster.next_tick())
            cluster.feed(e.TimePassed())
            continue
        cluster.now = min(moments)
        events = cluster.over()
        while may_come and came < len(arrivals) and arrivals[came].at <= cluster.now:
            job = arrivals[came]
            events.append(cluster.submit(job, job.duration if expected is None else expected[job.name]))
            came += 1
            may_come = not one_at_a_time
        cluster.feed(*events)
    return cluster.found
