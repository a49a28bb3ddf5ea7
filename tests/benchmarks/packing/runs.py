"""The two questions: a queue in one go, and a stream of jobs that come and go."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf

from tests.benchmarks.packing.jobs import Arrival
from tests.benchmarks.packing.moving import Mover, Running
from tests.benchmarks.packing.room import Room, Times
from tests.benchmarks.packing.view import Job


def offline(room: Room, queue: Iterable[Job]) -> int:
    """GPUs running after one pass: first come, skipping what does not fit.

    What was refused once is not asked again, for nothing ends.
    """
    refused: set[Job] = set()
    for i, job in enumerate(queue):
        if job not in refused and not room.start(f"{i}", job):
            refused.add(job)
    return room.busy


def online(
    room: Room,
    stream: Sequence[Arrival],
    *,
    most: float = inf,
    guesses: Sequence[float] | None = None,
    mover: Mover | None = None,
) -> float:
    """GPUs busy, averaged over the time from 0 to the last arrival.

    First come, skipping what does not fit; what waits is tried again, oldest first, whenever something ends.

    Args:
        guesses: how long each job says that it will run; None: they do not say.
        most: GPUs that no placement exceeds: a job that would is not even asked for.
        mover: moves running jobs for those that wait; what moves lose does not count as busy.
    """
    run = _Run(room, stream, most, guesses, mover)
    for i, arrival in enumerate(stream):
        run.end_until(arrival.at)
        run.arrive(i)
    return run.done / stream[-1].at


class _Run:
    """A stream under way."""

    def __init__(
        self,
        room: Room,
        stream: Sequence[Arrival],
        most: float,
        guesses: Sequence[float] | None,
        mover: Mover | None,
    ) -> None:
        self.room, self.stream, self.most = room, stream, most
        self.now = self.done = 0.0
        self.running: dict[int, Running] = {}
        self._guesses, self._mover = guesses, mover
        self._lines: dict[Job, deque[int]] = {}
        self._refused: set[Job] = set()
        self._ends: list[tuple[float, int]] = []
        self._end_of: dict[int, float] = {}

    def arrive(self, i: int) -> None:
        self._lines.setdefault(self.stream[i].job, deque()).append(i)
        self._start_what_fits()

    def end_until(self, at: float) -> None:
        while self._ends and self._ends[0][0] <= at:
            moment = self._ends[0][0]
            self.done += self.room.busy * (moment - self.now)
            self.now = moment
            while self._ends and self._ends[0][0] == moment:
                i = heapq.heappop(self._ends)[1]
                if self._end_of.get(i) == moment:  # else it was moved, and ends later
                    self.room.end(f"{i}")
                    del self.running[i], self._end_of[i]
            self._refused.clear()
            self._start_what_fits()
        self.done += self.room.busy * (at - self.now)
        self.now = at

    def _start_what_fits(self) -> None:
        while True:
            while open_ := [
                (line[0], job) for job, line in self._lines.items() if line and job not in self._refused
            ]:
                i, job = min(open_)
                if self._may(job) and self.room.start(f"{i}", job, self.times(i)):
                    self.started(i)
                else:
                    self._refused.add(job)
            if self._mover is None or not self._mover.help(self):
                return
            self._refused.clear()

    def _may(self, job: Job) -> bool:
        return self.room.busy + job.gpus <= self.most

    def waiting(self) -> list[tuple[int, Job]]:
        """The jobs that wait, oldest first, but for those that exceed what the power feeds."""
        return sorted((i, job) for job, line in self._lines.items() if self._may(job) for i in line)

    def times(self, i: int) -> Times | None:
        """When that job starts now, and how long it says that it runs."""
        return None if self._guesses is None else Times(self.now, self._guesses[i])

    def started(self, i: int) -> None:
        """That job, which waited, has a place now."""
        arrival = self.stream[i]
        self._lines[arrival.job].remove(i)
        self.running[i] = Running(arrival.job, self.now)
        self._end(i, self.now + arrival.duration)

    def moved(self, i: int, lost: float) -> None:
        """That job has started anew elsewhere, and ends so much later."""
        job = self.running[i].job
        self.running[i] = Running(job, self.now)
        self.done -= job.gpus * lost
        self._end(i, self._end_of[i] + lost)

    def _end(self, i: int, at: float) -> None:
        self._end_of[i] = at
        heapq.heappush(self._ends, (at, i))
