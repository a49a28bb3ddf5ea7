"""EASY backfill on one pool of GPUs, with no nodes, racks or power: what no placement could do better by much."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from rackplane.simulator.gangs import Request

__all__ = ["easy"]


def easy(jobs: Sequence[Request], gpus: int) -> dict[str, int]:
    """When each job starts, in seconds; durations are known.

    First come, first served; the first that cannot start is promised the earliest time at which enough GPUs will be
    free, and a later one goes ahead if it is over by then or leaves enough of them (Lifka, JSSPP 1995).
    """
    starts: dict[str, int] = {}
    arrivals = sorted(jobs, key=lambda j: (j.job.submit, j.name))
    waiting: list[Request] = []
    running: list[tuple[int, int]] = []
    free, came, now = gpus, 0, 0
    while came < len(arrivals) or waiting:
        moments = [running[0][0]] if running else []
        if came < len(arrivals):
            moments.append(arrivals[came].job.submit)
        now = max(now, min(moments))
        while running and running[0][0] <= now:
            free += heapq.heappop(running)[1]
        while came < len(arrivals) and arrivals[came].job.submit <= now:
            waiting.append(arrivals[came])
            came += 1
        left: list[Request] = []
        promise: tuple[int, int] | None = None
        for job in waiting:
            fits = job.gpus <= free
            if fits and promise is not None:
                at, spare = promise
                late = now + job.job.duration > at
                fits = not late or job.gpus <= spare
                if fits and late:
                    promise = at, spare - job.gpus
            if fits:
                starts[job.name] = now
                free -= job.gpus
                heapq.heappush(running, (now + job.job.duration, job.gpus))
                continue
            if promise is None:
                promise = _promise(job, running, free)
            left.append(job)
        waiting = left
    return starts


def _promise(job: Request, running: Sequence[tuple[int, int]], free: int) -> tuple[int, int]:
    """The earliest time with enough free GPUs, and how many are free then beyond what the job takes."""
    at = 0
    for end, gpus in sorted(running):
        if free >= job.gpus and end > at:
            break
        at, free = end, free + gpus
    return at, free - job.gpus
