"""The two questions: a queue in one go, and a stream of jobs that come and go."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf

from tests.benchmarks.packing.jobs import Arrival
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
    room: Room, stream: Sequence[Arrival], *, most: float = inf, guesses: Sequence[float] | None = None
) -> float:
    """GPUs busy, averaged over the time from 0 to the last arrival.

    First come, skipping what does not fit; what waits is tried again, oldest first, whenever something ends.

    Args:
        guesses: how long each job says that it will run; None: they do not say.
        most: GPUs that no placement exceeds: a job that would is not even asked for.
    """
    horizon = stream[-1].at
    waiting: dict[Job, deque[int]] = {}
    refused: set[Job] = set()
    ends: list[tuple[float, int]] = []
    done = now = 0.0

    def start_what_fits(at: float) -> None:
        while open_ := [(line[0], job) for job, line in waiting.items() if line and job not in refused]:
            i, job = min(open_)
            times = None if guesses is None else Times(at, guesses[i])
            if room.busy + job.gpus <= most and room.start(f"{i}", job, times):
                waiting[job].popleft()
                heapq.heappush(ends, (at + stream[i].duration, i))
            else:
                refused.add(job)

    def end_until(at: float) -> None:
        nonlocal done, now
        while ends and ends[0][0] <= at:
            moment = ends[0][0]
            done += room.busy * (moment - now)
            now = moment
            while ends and ends[0][0] == moment:
                room.end(f"{heapq.heappop(ends)[1]}")
            refused.clear()
            start_what_fits(now)
        done += room.busy * (at - now)
        now = at

    for i, arrival in enumerate(stream):
        end_until(arrival.at)
        waiting.setdefault(arrival.job, deque()).append(i)
        start_what_fits(now)
    return done / horizon
