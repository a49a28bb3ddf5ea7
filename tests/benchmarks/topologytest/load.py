"""The load of Kueue's topology performance test (test/performance/scheduler/configs/tas), and the hall that it runs in.

Ten racks of 64 nodes, each rack an NVLink domain. Five parents of six queues; in each queue 500 gangs in nine sets, one
of each size (small, medium, large) and constraint (one rack; one rack if possible; segments of 1, 2 or 4 slots that
each lie in one rack). All sets of all queues are created side by side, so a queue gets three small gangs every 100 ms.

A queue has 20 units and may borrow 100; it stops gangs of lower priority of its own, and takes back what it lent from
anybody. A gang counts 1, 5 or 20 units, whatever its number of slots. GPUs are whole, so a unit is four of them: 2 x 2,
4 x 5 and 8 x 10. The queues alone then need 66 s: (350 x 1 x 0.2 s + 100 x 5 x 0.5 s + 50 x 20 x 1 s) / 20.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["GPU", "QUOTA_SECONDS", "SETS", "Hall", "Planned", "Set", "plan"]

GPU = "nvidia.com/gpu"
RACKS, NODES_A_RACK, GPUS_A_NODE = 10, 64, 16
PARENTS, QUEUES_A_PARENT = 5, 6
UNIT_GPUS = 4
QUEUE_UNITS, BORROWED_UNITS = 20, 100
NODE_WATTS = 10_000

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Set:
    """Gangs that are alike: so many in a queue, one every so many seconds, each running so many seconds."""

    size: str
    constraint: str
    count: int
    every_seconds: float
    run_seconds: float
    slots: int
    gpus_per_slot: int
    priority: int
    topology: dict[str, Any] = field(hash=False)

    @property
    def name(self) -> str:
        return f"{self.size}-{self.constraint}"

    @property
    def units(self) -> int:
        return self.slots * self.gpus_per_slot // UNIT_GPUS


def _sets() -> Iterator[Set]:
    for size, counts, every, run, slots, gpus, priority, segment in (
        ("small", (120, 120, 110), 0.1, 0.2, 2, 2, 50, 1),
        ("medium", (34, 33, 33), 0.5, 0.5, 4, 5, 100, 2),
        ("large", (17, 17, 16), 1.2, 1.0, 8, 10, 200, 4),
    ):
        topologies: tuple[tuple[str, Body], ...] = (
            ("required", {"required": "nvlink"}),
            ("preferred", {"preferred": "nvlink"}),
            ("segments", {"segmentSlots": segment}),
        )
        for (constraint, topology), count in zip(topologies, counts, strict=True):
            yield Set(size, constraint, count, every, run, slots, gpus, priority, topology)


SETS = tuple(_sets())
QUOTA_SECONDS = sum(s.count * s.units * s.run_seconds for s in SETS) / QUEUE_UNITS
"""How long the queues' quota alone takes for all of it, however fast anybody decides."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A gang, and when it is to be created: seconds after the run begins."""

    at: float
    name: str
    queue: str
    kind: Set


class Hall:
    """What is in the cluster beside the gangs; `word` is part of every name."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.queues = [f"{word}-{p}-{q}" for p in range(PARENTS) for q in range(QUEUES_A_PARENT)]

    def facility(self) -> Iterator[Body]:
        """Profile, power, racks, queues; power for every node at its most, for what is measured is the queue."""
        word = self.word
        rated = RACKS * (NODES_A_RACK * NODE_WATTS + 2_000)
        yield self._thing(
            "HardwareProfile", word, gpuModel="bench", gpusPerNode=GPUS_A_NODE, resourceName=GPU,
            nvlinkScope="Object", idleWatts=2_000, maxWatts=NODE_WATTS, liquidHeatPercent=0,
        )  # fmt: skip
        for side in "ab":
            yield self._thing("PowerDomain", f"{word}-{side}", type="UPS", ratedWatts=rated, survivable=True)
        for rack in range(RACKS):
            yield self._thing(
                "Rack", f"{word}-r{rack}", profile=word, nodeSelector={"bench-rack": f"{word}-{rack}"},
                overheadWatts=2_000, limitWatts=rated // RACKS,
                location={"site": word, "hall": word, "row": f"{word}-{rack}", "position": "1"},
                feeds=[{"powerDomain": f"{word}-{side}", "weight": 1} for side in "ab"],
            )  # fmt: skip
            yield self._thing("NVLinkDomain", f"{word}-r{rack}", racks=[f"{word}-r{rack}"])
        quota = {"gpus": QUEUE_UNITS * UNIT_GPUS, "borrowingLimitGpus": BORROWED_UNITS * UNIT_GPUS}
        stops = {"withinQueue": "LowerPriority", "reclaim": "Any"}
        for parent in range(PARENTS):
            yield self._thing("Queue", f"{word}-{parent}")
        for name in self.queues:
            parent_name = name.rpartition("-")[0]
            yield self._thing("Queue", name, parent=parent_name, quota=quota, preemption=stops)

    def _thing(self, kind: str, name: str, **spec: Any) -> Body:
        metadata = {"name": name, "labels": {"bench": self.word}}
        return {"apiVersion": "rackplane.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}

    def nodes(self) -> Iterator[Body]:
        room = {"cpu": "192", "memory": "2Ti", "pods": "110", GPU: str(GPUS_A_NODE)}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        for number in range(RACKS * NODES_A_RACK):
            labels = {
                "bench": self.word,
                "bench-rack": f"{self.word}-{number // NODES_A_RACK}",
                "kubernetes.io/hostname": f"{self.word}-{number}",
            }
            yield {
                "metadata": {"name": f"{self.word}-{number}", "labels": labels},
                "status": {"capacity": room, "allocatable": room, "conditions": [ready]},
            }

    @staticmethod
    def gang(planned: Planned) -> Body:
        """The object that the runner creates: of a kind that Rackplane leaves to its maker."""
        kind, name = planned.kind, planned.name
        return {
            "apiVersion": "rackplane.dev/v1alpha1",
            "kind": "Gang",
            "metadata": {"name": name},
            "spec": {
                "queue": planned.queue,
                "workload": {"apiVersion": "bench/v1", "kind": "Workload", "name": name, "uid": ""},
                "slots": kind.slots,
                "gpusPerSlot": kind.gpus_per_slot,
                "priority": kind.priority,
                "topology": kind.topology,
                "expectedDurationSeconds": 1,
            },
        }


def plan(hall: Hall, share: float) -> list[Planned]:
    """Every gang in the order in which they are created; `share` of each set."""
    found = [
        Planned((n + 1) * kind.every_seconds, f"{queue}-{kind.name}-{n}", queue, kind)
        for queue in hall.queues
        for kind in SETS
        for n in range(round(kind.count * share))
    ]
    return sorted(found, key=lambda p: (p.at, p.name))
