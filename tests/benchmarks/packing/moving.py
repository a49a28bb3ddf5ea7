"""Moves of running jobs by the operator's own planner and rule, for jobs that wait, at a stated cost.

Every job is a Checkpointable gang that writes a checkpoint every ``CHECKPOINT_SECONDS``. One that is moved stops, loses
what it has done since its last checkpoint, and takes the product's ``restart_seconds`` to start again: it runs longer
by both, and the GPUs that it holds meanwhile count as busy with nothing. What is tried when, the budget and what a move
must gain are the product's defaults.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rackplane.core.queues.movebudget import rule_of
from rackplane.core.settings import MachineSettings
from rackplane.engine.model import Request
from rackplane.engine.planning.defrag import start
from rackplane.engine.planning.moverule import HOUR
from rackplane.engine.planning.moves import Gang, Movable, MovePlan, Places
from rackplane.engine.planning.outlook import earliest_start
from rackplane.engine.preempting.costs import Victim
from tests.benchmarks.packing.room import Room, Times, request
from tests.benchmarks.packing.view import Job

CHECKPOINT_SECONDS = 1_800.0
CHECKS = 40
"""Sets of gangs that the engine is asked about for one job, as the operator does."""


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs: since when (its last start), in the stream's unit of time."""

    job: Job
    since: float


class Cluster(Protocol):
    """What runs and what waits, at a moment in the stream's unit of time."""

    room: Room
    now: float
    running: dict[int, Running]

    def waiting(self) -> Sequence[tuple[int, Job]]:
        """The jobs that wait, oldest first, but for those that exceed what the power feeds."""
        ...

    def times(self, i: int) -> Times | None:
        """When that job starts now, and how long it says that it runs."""
        ...

    def started(self, i: int) -> None:
        """That job, which waited, has a place now."""
        ...

    def moved(self, i: int, lost: float) -> None:
        """That job has started anew elsewhere, and ends so much later."""
        ...


@dataclass
class Mover:
    """Looks for moves for the first jobs that wait, and makes them; ``unit`` is the stream's time in seconds."""

    unit: float
    settings: MachineSettings = field(default_factory=MachineSettings)
    moves: int = 0
    lost_gpu_seconds: int = 0
    _asked: dict[int, float] = field(default_factory=dict)
    _done: list[tuple[float, int, int]] = field(default_factory=list)
    """When, whom, and GPU-seconds lost, of each move."""

    def help(self, cluster: Cluster) -> bool:
        """Make the moves that let one of the first jobs that wait start; whether there were any."""
        now = cluster.now * self.unit
        bounds = rule_of(self.settings).left([lost for at, _, lost in self._done if now - at < HOUR])
        if bounds is None:
            return False
        resting = {i for at, i, _ in self._done if now - at < self.settings.rest_seconds}
        for i, job in cluster.waiting()[: self.settings.proposing_gangs]:
            if now < self._asked.get(i, -HOUR) + self.settings.proposing_seconds:
                continue
            self._asked[i] = now
            movable = [self._movable(cluster, k) for k in cluster.running if k not in resting]
            asked = self._gang(cluster, i, job)
            plan = start(cluster.room.state, asked, movable, bounds, checks=CHECKS)
            if plan is None or not self._gains(cluster, i, job, plan):
                continue
            for move in plan.moves:
                self._done.append((now, int(move.key), move.cost.lost))
                self.moves += 1
                self.lost_gpu_seconds += move.cost.lost
            self._make(cluster, plan)
            return True
        return False

    def _gains(self, cluster: Cluster, i: int, job: Job, plan: MovePlan) -> bool:
        """By the product's rule: how much sooner the job starts than it is expected to by itself."""
        unit, times = self.unit, cluster.times(i)

        def asked(at: float, over: frozenset[str]) -> Request:
            return request(job, None if times is None else Times(at, times.lasts))

        outlook = earliest_start(
            cluster.room.state,
            now=cluster.now,
            horizon=self.settings.lookahead_seconds / unit,
            duration=self.settings.assumed_duration_seconds / unit if times is None else times.lasts,
            request=asked,
        )
        sooner = self.settings.lookahead_seconds
        if outlook.opening is not None:
            sooner = (outlook.opening.at - cluster.now) * unit
        return rule_of(self.settings).gains(sooner * job.gpus, plan.lost_gpu_seconds)

    def _gang(self, cluster: Cluster, i: int, job: Job) -> Gang:
        def asked(gone: Collection[str], places: Places) -> Request:
            return request(job, cluster.times(i))

        return Gang(f"{i}", asked)

    def _movable(self, cluster: Cluster, i: int) -> Movable:
        running = cluster.running[i]
        until = cluster.room.state.until(f"{i}")
        ran = (cluster.now - running.since) * self.unit
        lost = ran % CHECKPOINT_SECONDS + self.settings.restart_seconds

        def asked(gone: Collection[str], places: Places) -> Request:
            times = None if until is None else Times(cluster.now, until - cluster.now + lost / self.unit)
            return request(running.job, times)

        return Movable(Gang(f"{i}", asked), Victim(f"{i}", lost_gpu_seconds=int(running.job.gpus * lost)))

    def _make(self, cluster: Cluster, plan: MovePlan) -> None:
        state = cluster.room.state
        untils = {move.key: state.until(move.key) for move in plan.moves}
        for move in plan.moves:
            state.release(move.key)
        assert plan.placement is not None
        assert plan.waiting is not None
        cluster.room.admit(plan.waiting, plan.placement, cluster.times(int(plan.waiting)))
        cluster.started(int(plan.waiting))
        for move in plan.moves:
            lost = move.cost.lost / move.gpus / self.unit
            until = untils[move.key]
            state.book(move.key, move.after, until=None if until is None else until + lost)
            cluster.moved(int(move.key), lost)
