"""A hall with a queue in front of it, first come first served with backfill, on a virtual clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.placing.placement import find
from rackplane.engine.planning.afterwards import Afterwards
from rackplane.engine.planning.outlook import earliest_start
from rackplane.engine.queueing.reservations import Reservations, backfill, extended_end, restricted
from rackplane.engine.queueing.shadow import Reservation
from rackplane.engine.state import State

HORIZON = 100_000.0


@dataclass(frozen=True)
class Job:
    """`says` is how long it is expected to run, `runs` how long it does."""

    name: str
    comes: float
    wanted: Request
    says: float
    runs: float


@dataclass
class Yard:
    """What a scheduler does with the engine: ask in order, reserve for the first, backfill the others."""

    state: State
    reservations: int
    #: everybody runs for as long as they say; else they may run into a budget, and nobody is to blame
    kept: bool = True
    now: float = 0.0
    waiting: list[Job] = field(default_factory=list)
    started: dict[str, float] = field(default_factory=dict)
    #: the first time at which each could rely on a start
    promised: dict[str, float] = field(default_factory=dict)
    ledger: Reservations = field(default_factory=Reservations)
    afterwards: Afterwards = field(default_factory=Afterwards)
    #: reservations that had to move
    moved: int = 0
    _kept: dict[str, Reservation] = field(default_factory=dict)
    _ends: dict[str, float] = field(default_factory=dict)
    _expected: dict[str, float] = field(default_factory=dict)
    _stamp: int = 0

    def __post_init__(self) -> None:
        self._over_when_idle = self._over()

    def _over(self) -> set[int]:
        f = self.state.facility
        return {
            cell
            for cell in range(len(f.limits))
            if (f.enforced[cell] or f.enforced_later[cell])
            and f.cell_ends[cell] > self.now
            and self.state.loads[cell] > f.limits[cell] + TOLERANCE_WATTS
        }

    def run(self, jobs: list[Job]) -> None:
        """Until all have come, and all that can start has started and ended."""
        comings = sorted(jobs, key=lambda job: (job.comes, job.name))
        times = {job.comes for job in jobs} | {float(e) for e in self.state.facility.cell_ends if e < HORIZON}
        while times or self._ends:
            self.now = min([*times, *self._ends.values()])
            times = {t for t in times if t > self.now}
            for key in [key for key, end in self._ends.items() if end <= self.now]:
                self.state.release(key)
                del self._ends[key]
            for key in list(self.state.keys()):
                until = self.state.until(key)
                if until is not None and until <= self.now:
                    self.state.expect(key, None)
            while comings and comings[0].comes <= self.now:
                self.waiting.append(comings.pop(0))
            self._pass()
            assert not self.kept or self._over() <= self._over_when_idle
            self.state.validate()

    def _follow(self) -> None:
        self._stamp += 1
        ends = {
            key: extended_end(self._expected[key], self.now)
            for key in tuple(self.state.keys())
            if self.state.until(key) is None and key in self._expected
        }
        self.ledger.follow(self.state, self._stamp, ends)
        self._extended = ends

    def _pass(self) -> None:
        for held in self.ledger:
            self.ledger.drop(held.key)
        self._follow()
        for job in tuple(self.waiting):
            request = replace(job.wanted, at=self.now, until=self.now + job.says)
            offer = self._offer(job, request)
            if offer is not None:
                self.state.book(job.name, offer, until=request.until)
                self._ends[job.name] = self.now + job.runs
                self._expected[job.name] = self.now + job.says
                self.started[job.name] = self.now
                self.waiting.remove(job)
                self._kept.pop(job.name, None)
                self._follow()
            elif len(list(self.ledger)) < self.reservations:
                self._reserve(job)

    def _offer(self, job: Job, request: Request) -> Placement | None:
        offer = find(self.state, request)
        kept = self._kept.get(job.name)
        if offer is None and kept is not None:
            its_own = NodeMask(Counter(kept.placement.slots))
            offer = find(self.state, replace(request, capacity=its_own))
        if offer is None:
            return None
        return backfill(self.state, request, offer, self.ledger.beside(self.now, request.until))

    def _reserve(self, job: Job) -> None:
        kept = self._kept.get(job.name)
        if kept is not None:
            if kept.at > self.now and self.ledger.at(kept.at).could_start(kept.placement, kept.until):
                self.ledger.put(kept)
                return
            self.moved += 1

        def request(at: float, _: frozenset[str] = frozenset()) -> Request:
            wanted = replace(job.wanted, at=at, until=at + job.says)
            return restricted(self.state, wanted, self.ledger.beside(at, at + job.says))

        opening = earliest_start(
            self.state,
            now=self.now,
            horizon=HORIZON,
            duration=job.says,
            request=request,
            spans=self.ledger.spans(),
            ends=self._extended,
            beside=lambda at: self.ledger.beside(at, at + job.says),
            afterwards=self.afterwards,
        ).opening
        self._kept.pop(job.name, None)
        if opening is not None:
            held = Reservation(job.name, opening.at, opening.at + job.says, opening.placement)
            self.ledger.put(held)
            self._kept[job.name] = held
            self.promised.setdefault(job.name, opening.at)
