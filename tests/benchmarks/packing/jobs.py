"""Job mixes of real clusters, from the files in tests/data (sources and licences: README.md there).

Seren and Helios publish sizes only, as two curves by GPU count: share of jobs and share of GPU time. A size's mean
duration follows from both (GPU time / (jobs x GPUs), in units that do not matter here); durations are exponential with
that mean and arrivals Poisson. Kalos offline is such a pair of curves too; online it is its completed jobs, and ITP the
cut of its six clusters: sizes, durations and gaps between arrivals in the order of the trace, the gaps scaled.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.packing.view import Job

DATA = Path(__file__).parents[2] / "data"
MIXES = ("Kalos", "Seren", "Helios", "ITP")
MEAN_SECONDS = {"Helios": 6_652.0, "Seren": 2_464.0}
"""Of a mix without seconds, how long its jobs are taken to run in the mean: for Helios what Hu et al., SC'21, give for
its GPU jobs; for Seren an assumption, on the short side, since moves cost short jobs more."""
TRACES = {"Kalos": "acme/kalos_completed_jobs.csv", "ITP": "itp/jobs.csv"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job, when it comes and how long it runs: seconds, or the mix's own unit of time."""

    at: float
    job: Job
    duration: float


@lru_cache(maxsize=8)
def sizes(mix: str) -> tuple[tuple[Job, float, float], ...]:
    """Every size with its share of jobs and its mean duration, from the two curves."""
    with (DATA / "acme/gpu_count_cdf.csv").open() as file:
        curves = {(row["axis"], row["cluster"]): row for row in csv.DictReader(file)}
    jobs, time = curves["jobs", mix], curves["gputime", mix]
    found: dict[Job, tuple[float, float]] = {}
    jobs_before = time_before = 0.0
    for column in list(jobs)[2:]:
        share, worked = float(jobs[column]) - jobs_before, float(time[column]) - time_before
        jobs_before, time_before = float(jobs[column]), float(time[column])
        job = Job.of(int(column))
        before = found.get(job, (0.0, 0.0))
        found[job] = before[0] + max(0.0, share), before[1] + max(0.0, worked)
    return tuple((job, n / 100, w / n / job.gpus) for job, (n, w) in found.items() if n > 0 and w > 0)


def unit_seconds(mix: str) -> float:
    """The mix's unit of time in seconds."""
    if mix in TRACES:
        return 1.0
    jobs = sum(share for _, share, _ in sizes(mix))
    return MEAN_SECONDS[mix] * jobs / sum(share * duration for _, share, duration in sizes(mix))


@lru_cache(maxsize=8)
def trace(mix: str) -> tuple[Arrival, ...]:
    """The trace's jobs in order."""
    with (DATA / TRACES[mix]).open() as file:
        rows = [
            Arrival(float(r["submit_seconds"]), Job.of(int(r["gpus"])), float(r["duration_seconds"]))
            for r in csv.DictReader(file)
        ]
    return tuple(sorted((r for r in rows if r.duration > 0), key=lambda r: r.at))


def queue(mix: str, gpus: int, seed: int, *, demand: float) -> list[Job]:
    """Jobs drawn until they ask for ``demand`` times so many GPUs; none is larger than half of them."""
    draw = random.Random(f"queue {mix} {gpus} {seed}")
    if mix == "ITP":
        known = [a.job for a in trace(mix) if a.job.gpus <= gpus // 2]
        weights = [1.0] * len(known)
    else:
        fitting = [(job, share) for job, share, _ in sizes(mix) if job.gpus <= gpus // 2]
        known, weights = [job for job, _ in fitting], [share for _, share in fitting]
    found: list[Job] = []
    asked = 0
    while asked < demand * gpus:
        found += draw.choices(known, weights)
        asked += found[-1].gpus
    return found


def stream(mix: str, gpus: int, usable: float, seed: int, *, load: float, count: int) -> list[Arrival]:
    """``count`` arrivals that offer ``load`` times what ``usable`` GPUs can do, and what runs when they begin.

    What runs at time 0 is what a random moment finds: jobs drawn in proportion to their duration, a uniform part of it
    left, until they ask for ``usable`` GPUs.
    """
    draw = random.Random(f"stream {mix} {gpus} {seed}")
    body = _from_trace(mix, gpus, draw, count) if mix in TRACES else _from_curves(mix, gpus, draw, count)
    mean = sum(a.job.gpus * a.duration for a in body) / count
    horizon = count * mean / (load * usable)
    scale = horizon / body[-1].at
    found: list[Arrival] = []
    asked = 0
    while asked < usable:
        picked = draw.choices(body, [a.duration for a in body])[0]
        found.append(Arrival(0.0, picked.job, picked.duration * draw.random()))
        asked += picked.job.gpus
    return found + [Arrival(a.at * scale, a.job, a.duration) for a in body]


def guesses(stream: list[Arrival], seed: int, error: float | None) -> list[float] | None:
    """How long each job says that it will run: off by a log-normal factor, not at all with 0; None: it does not say."""
    if error is None:
        return None
    draw = random.Random(f"guesses {seed}")
    return [a.duration * draw.lognormvariate(0.0, error) for a in stream]


def _from_trace(mix: str, gpus: int, draw: random.Random, count: int) -> list[Arrival]:
    known = [a for a in trace(mix) if a.job.gpus <= gpus // 2]
    gaps = [max(0.0, b.at - a.at) for a, b in pairwise(known)]
    begin, now, found = draw.randrange(len(known)), 0.0, []
    for i in range(begin, begin + count):
        now += gaps[i % len(gaps)]
        found.append(Arrival(now, known[i % len(known)].job, known[i % len(known)].duration))
    return found


def _from_curves(mix: str, gpus: int, draw: random.Random, count: int) -> list[Arrival]:
    fitting = [(job, share, mean) for job, share, mean in sizes(mix) if job.gpus <= gpus // 2]
    now, found = 0.0, []
    for job, _, mean in draw.choices(fitting, [share for _, share, _ in fitting], k=count):
        now += draw.expovariate(1.0)
        found.append(Arrival(now, job, draw.expovariate(1.0 / mean)))
    return found
