"""Traces of real clusters through the operator's core in virtual time, beside other orders of the same queue.

Kalos and ITP from tests/data; RACKPLANE_TRACES names a folder of further CSV files (the six ITP clusters whole), and
RACKPLANE_BENCH_TRACES of all these the ones to run, by parts of their names. RACKPLANE_BENCH_JOBS (150; 0: all) jobs of
each, arrivals closer together until the jobs ask for RACKPLANE_BENCH_LOAD (1.2) times the GPU time that there is until
the last one: some of it is asked for by long jobs that run on after it. ITP runs on 8 racks of 72 GPUs, Kalos, whose
jobs are larger, on 32. Up to 72 GPUs lie in one NVLink domain, larger gangs in segments of 16 nodes.

Durations are known, and once more told roughly: off by a log-normal factor, standard deviation of the logarithm 1.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from pathlib import Path

import pytest

from rackplane.simulator.gangs import Request
from rackplane.simulator.policies import Policy
from tests.benchmarks.bench_core import RACK_NODES
from tests.benchmarks.replay.pool import easy
from tests.benchmarks.replay.runs import Replay, racks_of, read, replay

DATA = Path(__file__).parents[1] / "data"
JOBS = int(os.environ.get("RACKPLANE_BENCH_JOBS", "150"))
LOAD = float(os.environ.get("RACKPLANE_BENCH_LOAD", "1.2"))
SEED, SIGMA = 7, 1.0
LARGE_GPUS = 64
TRACES = [(DATA / "acme/kalos_completed_jobs.csv", 32), (DATA / "itp/jobs.csv", 8)]
if "RACKPLANE_TRACES" in os.environ:
    TRACES += [(path, 8) for path in sorted(Path(os.environ["RACKPLANE_TRACES"]).glob("*.csv"))]
if "RACKPLANE_BENCH_TRACES" in os.environ:
    chosen = os.environ["RACKPLANE_BENCH_TRACES"].split(",")
    TRACES = [(path, racks) for path, racks in TRACES if any(part in path.stem for part in chosen)]

pytestmark = pytest.mark.timeout(14_400)


def line(what: str, jobs: list[Request], gpus: int, found: Replay) -> float:
    """Print one row; the mean wait of the large gangs, in hours."""
    waits = [(found.starts[j.name] - j.job.submit) / 3600 for j in jobs]
    large = [(found.starts[j.name] - j.job.submit) / 3600 for j in jobs if j.gpus >= LARGE_GPUS]
    of_large = statistics.mean(large) if large else 0.0
    last = max(j.job.submit for j in jobs)
    busy = sum(
        j.gpus * max(0, min(last, found.starts[j.name] + j.job.duration) - found.starts[j.name]) for j in jobs
    )
    makespan = max(found.starts[j.name] + j.job.duration for j in jobs) / 3600
    over = [found.racks[j.name] - -(-j.slots // RACK_NODES) for j in jobs if j.name in found.racks]
    print(
        f"  {what:<26} {statistics.mean(waits):8.2f} {statistics.median(waits):8.2f} "
        f"{statistics.quantiles(waits, n=20, method='inclusive')[-1]:8.2f} {of_large:8.2f} {makespan:9.1f} "
        f"{100 * busy / (gpus * last):6.1f} % " + (f"{statistics.mean(over):7.3f}" if over else "      -")
    )
    return of_large


@pytest.mark.parametrize(("path", "racks"), TRACES, ids=lambda value: getattr(value, "stem", str(value)))
def test_replay(path: Path, racks: int) -> None:
    site = racks_of(racks)
    gpus = site.gpus
    jobs = read(path, site, load=LOAD, most=JOBS or None)
    large = sum(j.gpus >= LARGE_GPUS for j in jobs)
    print(f"\n{path.stem}: {len(jobs):,} jobs, {large} of {LARGE_GPUS} GPUs and more, on {gpus:,} GPUs")
    print(f"  {'waits in hours':<26}     mean   median      p95    large  makespan   busy   racks over")
    began = time.process_time()
    ours = replay(jobs, site, Policy())
    spent = time.process_time() - began
    exact = line("one reservation (default)", jobs, gpus, ours)
    draw = random.Random(SEED)
    said = {j.name: max(1, round(j.job.duration * draw.lognormvariate(0.0, SIGMA))) for j in jobs}
    rough = line("the same, told roughly", jobs, gpus, replay(jobs, site, Policy(), expected=said))
    fifo = line("FIFO, who fits goes", jobs, gpus, replay(jobs, site, Policy(reservations=0)))
    strict = line(
        "strict FIFO, no backfill", jobs, gpus, replay(jobs, site, Policy(reservations=0, one_at_a_time=True))
    )
    line("EASY, one pool of GPUs", jobs, gpus, Replay(easy(jobs, gpus)))
    print(
        f"  load {LOAD}, seed {SEED} of what is told roughly; CPU {1000 * spent / len(jobs):.1f} ms a job, from its "
        "creation to its end"
    )
    if large:
        for told, wait in (("exactly", exact), ("roughly", rough)):
            for what, other in (("FIFO", fifo), ("strict FIFO", strict)):
                ratio = wait / other if other else 1.0 if not wait else float("inf")
                print(
                    f"  wait of large gangs, told {told}, to {what}: value {wait:.2f} h   limit {other:.2f} h   "
                    f"ratio {ratio:.2f}"
                )
