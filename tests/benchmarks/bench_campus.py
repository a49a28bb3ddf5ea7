"""A campus of 19,008 nodes and 76,032 GPUs, and a week of jobs that load it: what decisions cost, and memory.

The simulator runs the operator's own core in virtual time on 22 halls of 4N/3 as `rackplane facility new` makes them.
Jobs are drawn from Kalos's completed ones until they ask for `RACKPLANE_BENCH_LOAD` times the GPU time of the campus
in `RACKPLANE_BENCH_DAYS` days; they arrive at random moments of those. A decision's time is that of the machine's turn,
CPU time, over the gangs that it commits in it: events, the pass over the queue, the engine, statuses and all. Memory is
that of the process, the simulator's part of it included. All are printed when the last job has come and when all are
over, and each day what runs, what waits and what it has cost so far.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rackplane.core.instructions import CommitGang
from rackplane.core.machine import Machine
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.policies import Policy
from rackplane.simulator.requests import requests_of
from rackplane.simulator.simulation import Simulation
from rackplane.simulator.site import Site, load_site
from rackplane.simulator.traces.reading import read_trace

HALLS = int(os.environ.get("RACKPLANE_BENCH_HALLS", "22"))
DAYS = float(os.environ.get("RACKPLANE_BENCH_DAYS", "7"))
LOAD = float(os.environ.get("RACKPLANE_BENCH_LOAD", "1.0"))
SEED = 1
TRACE = Path(__file__).parents[1] / "data/acme/kalos_completed_jobs.csv"
DAY = 86_400
HANDLE = Machine.handle
P99_MS, RATE, MEMORY_GB = 500.0, 20.0, 1.0
"""Limits: a decision, decisions a second of CPU, resident memory."""


def campus(folder: Path) -> Site:
    """The halls, as the command writes them."""
    command = [sys.executable, "-m", "rackplane", "facility", "new", str(folder), "--halls", f"{HALLS}"]
    subprocess.run(
        [*command, "--scheme", "4N/3", "--profile", "gb300-nvl72"], check=True, capture_output=True
    )
    return load_site(folder)


def week(gpus: int) -> list[TraceJob]:
    """Jobs that ask for so much of so many GPUs, in order of arrival."""
    draw = random.Random(SEED)
    known = [job for job in read_trace(TRACE).jobs if job.duration > 0]
    drawn: list[TraceJob] = []
    left = LOAD * gpus * DAYS * DAY
    while left > 0:
        drawn.append(draw.choice(known))
        left -= drawn[-1].gpu_seconds
    moments = sorted(draw.randrange(round(DAYS * DAY)) for _ in drawn)
    return [
        TraceJob(f"{i}", at, job.duration, job.gpus)
        for i, (at, job) in enumerate(zip(moments, drawn, strict=True))
    ]


@dataclass(slots=True)
class Diary:
    """Seconds of CPU and gangs committed of each turn of the machine; prints a line a day, and at the last arrival."""

    simulation: Simulation
    last: int
    """When the last job comes, in seconds."""
    began: float = field(default_factory=time.process_time)
    turns: list[tuple[float, int]] = field(default_factory=list)
    _day: int = 0
    _all_came: bool = False

    def timed(self, machine: Machine, *args: Any) -> Any:
        began = time.process_time()
        asked = HANDLE(machine, *args)
        self.turns.append((time.process_time() - began, sum(isinstance(i, CommitGang) for i in asked)))
        return asked

    def write(self, now: int, over: int) -> None:
        """After each moment at which something happens."""
        if now // DAY > self._day:
            self._day = now // DAY
            self._line(f"day {self._day}", over)
        if now >= self.last and not self._all_came:
            self._all_came = True
            self._line(f"last job, day {now / DAY:.2f}", over)
            self.figures("until the last job has come")

    def _line(self, when: str, over: int) -> None:
        cluster, site = self.simulation.cluster, self.simulation.site
        waiting = [gang.request.gpus for gang in cluster.live.values() if gang.placed is None]
        held = [gang.request.gpus for gang in cluster.live.values() if gang.placed is not None]
        print(
            f"  {when}: {over:,} jobs over, {len(held):,} run on {sum(held) / site.gpus:.1%} of the GPUs,"
            f" {len(waiting):,} wait for {sum(waiting) / site.gpus:.1%};"
            f" {len(self.turns):,} turns, {time.process_time() - self.began:.0f} s of CPU",
            flush=True,
        )

    def figures(self, until: str) -> None:
        """What decisions have cost so far, and memory."""
        spent, turns = time.process_time() - self.began, self.turns
        each = sorted(1_000 * seconds / n for seconds, n in turns if n for _ in range(n))
        p99 = each[min(len(each) - 1, int(0.99 * len(each)))]
        of_all = sum(seconds for seconds, _ in turns)
        rate = len(each) / of_all
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"  {until}, day {self.simulation.cluster.now / DAY:.1f}: {len(each):,} decisions, {len(turns):,} turns of"
            f" the machine: {of_all:.0f} s of CPU, of {spent:.0f} s of the whole run\n"
            f"    decisions a second of the core's CPU: value {rate:.1f}   limit {RATE:.0f}   ratio {rate / RATE:.2f}\n"
            f"    a decision: p50 {statistics.median(each):.1f} ms, p99 value {p99:.1f} ms   limit {P99_MS:.0f} ms"
            f"   ratio {p99 / P99_MS:.2f}\n"
            f"    memory: value {resident:.2f} GB   limit {MEMORY_GB:.2f} GB   ratio {resident / MEMORY_GB:.2f}",
            flush=True,
        )


@pytest.mark.timeout(14_400)
def test_a_week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = campus(tmp_path / "campus")
    jobs = week(site.gpus)
    simulation = Simulation(site, requests_of(jobs, site, Policy(), seed=SEED), Policy())
    print(
        f"\n{len(site.nodes):,} nodes, {site.gpus:,} GPUs, {len(jobs):,} jobs in {DAYS:g} days, load {LOAD},"
        f" seed {SEED}"
    )
    diary = Diary(simulation, jobs[-1].submit)
    monkeypatch.setattr(Machine, "handle", lambda *args: diary.timed(*args))
    simulation.run(diary.write)
    diary.figures("until all are over")
