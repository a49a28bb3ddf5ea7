"""A cluster with jobs: the same `State` under every rule, so that watts are judged alike and only placing differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rackplane.engine.model import Group, NodeSpec, Placement, Request
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.facility import Facility
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.state import State
from tests.benchmarks.campus import NODE_TYPE
from tests.benchmarks.packing.cluster import GPU_WATTS, HALL_PERCENT, facility, nodes
from tests.benchmarks.packing.view import NONE_FREE, SEGMENT, Ints, Job, Rule, View

Decide = Callable[["Room", Job], Placement | None]


@lru_cache(maxsize=4)
def _cluster(racks: int, seed: int, row_percent: int) -> tuple[Facility, tuple[NodeSpec, ...]]:
    spec = facility(racks, row_percent=row_percent)
    return compile_facility(spec), tuple(nodes(spec, seed))


@dataclass(frozen=True, slots=True)
class Times:
    """When a job starts, and how long it says that it will run."""

    start: float
    lasts: float


def request(job: Job, times: Times | None = None) -> Request:
    """The job as the engine is asked; MaxP or nothing."""
    return Request(
        slots=job.pods,
        gpus_per_slot=job.gpus_per_pod,
        resource=NODE_TYPE.resource,
        required="hall" if job.segmented else "nvlink",
        segment_slots=SEGMENT if job.segmented else None,
        strict=True,
        lasts=None if times is None else times.lasts,
        until=None if times is None else times.start + times.lasts,
    )


class Room:
    """Starts and ends jobs by one rule."""

    def __init__(self, racks: int, seed: int, decide: Decide, *, row_percent: int = HALL_PERCENT) -> None:
        compiled, specs = _cluster(racks, seed, row_percent)
        self.state = State(compiled, specs)
        self.gpus = racks * 72
        self.busy = 0
        self.times: Times | None = None
        """Of the job that is to be placed, if it says so."""
        self._decide = decide
        inventory = self.state.inventory
        self.rack = inventory.rack
        self.racks = len(compiled.racks)
        first = np.unique(self.rack, return_index=True)[1]
        self.row, self.hall = (inventory.levels[level][0][first] for level in ("row", "hall"))
        healthy = self.state.healthy
        self.size = np.bincount(self.rack[healthy], minlength=self.racks) * NODE_TYPE.gpus_per_node

    def start(self, key: str, job: Job, times: Times | None = None) -> bool:
        """Place and book the job; False if the rule finds no place."""
        self.times = times
        placement = self._decide(self, job)
        if placement is None:
            return False
        self.admit(key, placement, times)
        return True

    def admit(self, key: str, placement: Placement, times: Times | None = None) -> None:
        """Book a job that has this place."""
        self.state.book(key, placement, until=None if times is None else times.start + times.lasts)
        self.busy += len(placement.slots) * placement.gpus_per_slot

    def end(self, key: str) -> None:
        """The job is over."""
        placement = self.state.booking(key)
        assert placement is not None
        self.state.release(key)
        self.busy -= len(placement.slots) * placement.gpus_per_slot

    def view(self, job: Job) -> tuple[View, Candidates]:
        """What a rule sees, and what its answer is checked with."""
        candidates = Candidates(self.state, request(job), "MaxP")
        by_nodes = np.bincount(self.rack, candidates.node_slots, minlength=self.racks).astype(np.int64)
        tightest = np.full(self.racks, NONE_FREE)
        fits = candidates.node_slots > 0
        np.minimum.at(tightest, self.rack[fits], self.state.free[fits])
        free = np.bincount(self.rack, self.state.free * self.state.healthy, minlength=self.racks)
        view = View(
            slots=_fed(job, by_nodes, candidates.rack_slots),
            used=self.size - free.astype(np.int64),
            size=self.size,
            tightest=tightest,
            row=self.row,
            hall=self.hall,
        )
        return view, candidates

    def place(self, job: Job, racks: Mapping[int, int], candidates: Candidates) -> Placement:
        """A rule's racks as a placement: in each the nodes with the least free GPUs that take a pod."""
        slots: list[str] = []
        groups: list[Group] = []
        for rack, pods in racks.items():
            here = np.flatnonzero((self.rack == rack) & (candidates.node_slots > 0))
            here = here[np.lexsort((here, self.state.free[here]))]
            each = np.repeat(here, candidates.node_slots[here])[:pods].tolist()
            name = self.state.facility.racks[rack].name
            groups.append(Group(name, name, tuple(self.state.inventory.names[i] for i in each)))
            slots += groups[-1].nodes
        watts = job.gpus * GPU_WATTS
        return Placement(
            slots=tuple(slots),
            groups=tuple(groups),
            gpus_per_slot=job.gpus_per_pod,
            power_profile="MaxP",
            nominal_watts=watts,
            peak_watts=watts,
            liquid_watts=0,
            air_watts=watts,
        )


def _fed(job: Job, by_nodes: Ints, by_watts: Ints) -> Ints:
    """Free pods by rack as a rule without watts sees them, but for racks that could not feed the part they would get.

    Those would be refused, hidden and asked for again one by one, to the same end.
    """
    lower = np.where(by_watts >= min(job.parts), np.minimum(by_nodes, by_watts), 0)
    return np.where(by_watts >= max(job.parts), by_nodes, lower)


def by_rule(rule: Rule) -> Decide:
    """A rule that knows no watts: racks that together would break a limit are hidden, and it is asked again."""

    def decide(room: Room, job: Job) -> Placement | None:
        view, candidates = room.view(job)
        while (racks := rule(view, job)) is not None:
            assert sum(racks.values()) == job.pods
            assert all(view.slots[rack] >= pods for rack, pods in racks.items())
            if candidates.fits_together(racks):
                return room.place(job, racks, candidates)
            view.slots[list(racks)] = 0
        return None

    return decide
