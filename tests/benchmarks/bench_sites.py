"""One campus or many sites: the same racks as one site, as four and as sixteen.

96 racks of GB300 NVL72, 6,912 GPUs: one hall of six rows of 16 racks, four of six rows of 4, sixteen of six of one.
Every hall is 4N/3 and has a contract of 85 % of its nameplate. Jobs of one trace, arrivals moved together until they
ask for `RACKPLANE_BENCH_LOAD` (1.0) times the GPU time of all sites; each goes to the site where it can start first
(`sites/split.py`), and never moves: the Kalos trace as it is, and with its gangs cut to 256 GPUs and to 64.
RACKPLANE_BENCH_JOBS (319, all): jobs.

"Large" gangs have 512 GPUs and more, small jobs fewer than 64. A gang starts if a site can hold it; those that none can
never do. Means over time are until the last arrival. Watts are those above what idle nodes draw, of all contracts
together.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.engine.reporting.stranded import stranded
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.planning.runs import JobRow, run
from rackplane.simulator.policies import Policy
from rackplane.simulator.progress import Rules
from rackplane.simulator.running import Inputs
from rackplane.simulator.scaling import Scaling
from rackplane.simulator.simulation import BEGIN, Simulation
from rackplane.simulator.traces.reading import Trace, read_trace
from tests.benchmarks.sites.split import contract_of, dispatched, idle_of, node_of, site_with

TRACE = Path(__file__).parents[1] / "data" / "acme" / "kalos_completed_jobs.csv"
JOBS = int(os.environ.get("RACKPLANE_BENCH_JOBS", "319"))
LOAD = float(os.environ.get("RACKPLANE_BENCH_LOAD", "1.0"))
BUDGET_PERCENT, EVERY, SEED = 85, 3_600, 1
CLASSES = {"large": (512, 2**31), "middle": (64, 512), "small": (1, 64)}
"""GPUs: from, and to fewer than."""
SITES = {1: 16, 4: 4, 16: 1}
"""Sites: racks of a row."""
MIXES = {"Kalos": None, "Kalos, cut to 256 GPUs": 256, "Kalos, cut to 64 GPUs": 64}
"""Of the trace: what larger jobs are cut to."""

pytestmark = pytest.mark.timeout(3600)


@contextmanager
def bars(name: str, total: int) -> Iterator[Any]:
    yield lambda now, over: None


@dataclass(slots=True)
class Seen:
    """What the sites show together at each sample until the last arrival, by its second.

    A site that has no jobs any more shows nothing: its nodes are idle, and it can use all that it has.
    """

    until: int
    contract: int
    idle: int
    """Watts of a site, and what it draws without jobs."""
    node: int
    """Watts that one more node at MaxP adds."""
    busy: Counter[int] = field(default_factory=Counter)
    """GPUs of gangs that have their place."""
    waiting: Counter[int] = field(default_factory=Counter)
    """Gangs."""
    over_idle: Counter[int] = field(default_factory=Counter)
    """Watts at the utilities, by the books, nominal."""
    stranded: Counter[int] = field(default_factory=Counter)
    """Watts of contracts that no free node below can use."""

    def look(self, simulation: Simulation, second: int) -> None:
        if second > self.until:
            return
        state = simulation.cluster.machine.state
        assert state is not None
        placed = [gang for gang in simulation.cluster.live.values() if gang.placed is not None]
        self.busy[second] += sum(len(g.nodes) * int(g.request.spec["gpusPerSlot"]) for g in placed)
        self.waiting[second] += simulation.cluster.waiting
        meter = simulation.reserved
        row = meter.facility.row_index[LimitRow(RowKind.POWER_NOMINAL, "utility")]
        draws = int(meter.of_rows()[row])
        self.over_idle[second] += draws - self.idle
        left = self.contract - draws - stranded(state).filled_nodes * self.node
        self.stranded[second] += max(0, left)

    def while_waiting(self, of: Counter[int]) -> float:
        """Mean over the samples at which a gang waits anywhere; NaN if there are none."""
        moments = [second for second, waiting in self.waiting.items() if waiting]
        return statistics.mean(of[second] for second in moments) if moments else float("nan")


@dataclass(frozen=True, slots=True)
class Waits:
    """Of the jobs of a class: the share that starts, mean and 95th percentile of their waits in hours; NaN of none."""

    share: float
    mean: float
    p95: float

    @classmethod
    def of(cls, asked: int, rows: list[JobRow]) -> Waits:
        waits = [job.wait / 3600 for job in rows if job.start is not None]
        if not waits:
            return cls(0.0 if asked else float("nan"), float("nan"), float("nan"))
        p95 = statistics.quantiles(waits, n=20, method="inclusive")[-1] if len(waits) > 1 else waits[0]
        return cls(len(waits) / asked, statistics.mean(waits), p95)

    def __str__(self) -> str:
        return f"{100 * self.share:6.1f} % {self.mean:7.2f} {self.p95:7.2f} |"


@pytest.mark.parametrize("mix", MIXES)
def test_sites(mix: str) -> None:
    whole = site_with(SITES[1], BUDGET_PERCENT)
    jobs, _ = Scaling(first=JOBS, load=LOAD, cap=MIXES[mix]).scaled(
        read_trace(TRACE).jobs, gpus=whole.gpus, gpus_per_node=whole.gpus_per_node
    )
    asked = {name: sum(low <= job.gpus < high for job in jobs) for name, (low, high) in CLASSES.items()}
    last = jobs[-1].submit
    print(
        f"\n{mix}: {len(jobs)} jobs ({', '.join(f'{n} {name}' for name, n in asked.items())}), on {whole.gpus:,} "
        f"GPUs; load {LOAD}, contract {BUDGET_PERCENT} %, {last / 3600:.1f} h until the last arrival\n"
        "  of each class: share that starts, wait in hours, p95; GPU time of those that start; h until all are over; "
        "GPUs busy, idle while any waits; of the contracts unused then, and of no use to any free node\n  sites "
        + " ".join(f"{name:>25} |" for name in CLASSES)
    )
    first: dict[str, Waits] = {}
    for sites, racks in SITES.items():
        began = time.process_time()
        here = site_with(racks, BUDGET_PERCENT)
        contract, idle = contract_of(racks, BUDGET_PERCENT), idle_of(racks)
        fed = (contract - idle) // node_of() * here.gpus_per_node
        seen = Seen(last, contract, idle, node_of())
        rows: list[JobRow] = []
        ran = 0
        for of_site in dispatched(jobs, sites, here.gpus, here.gpus_per_node, fed):
            if of_site:
                found = of_one(here, of_site, seen)
                rows += found
                # Rows are in order of arrival, one for each job.
                pairs = zip(of_site, found, strict=True)
                ran += sum(job.gpu_seconds for job, row in pairs if row.start is not None)
        waits = {
            name: Waits.of(asked[name], [row for row in rows if low <= row.gpus < high])
            for name, (low, high) in CLASSES.items()
        }
        usable = sites * (contract - idle)
        busy = sum(seen.busy.values()) / (last // EVERY + 1)
        print(
            f"  {sites:<5} {' '.join(map(str, waits.values()))} {100 * ran / sum(j.gpu_seconds for j in jobs):6.1f} %"
            f" | {max(row.end or 0 for row in rows) / 3600:7.1f} | {100 * busy / whole.gpus:6.1f} %"
            f" {100 * (1 - seen.while_waiting(seen.busy) / whole.gpus):6.1f} %"
            f" | {100 * (1 - seen.while_waiting(seen.over_idle) / usable):6.1f} %"
            f" {100 * seen.while_waiting(seen.stranded) / usable:6.1f} %   CPU {time.process_time() - began:.0f} s",
            flush=True,
        )
        first = first or waits
        for name in CLASSES if sites > 1 else ():
            value, limit = first[name], waits[name]
            if asked[name]:
                print(
                    f"    one site beside {sites}, {name}: start: value {value.share:.3f}   limit {limit.share:.3f}   "
                    f"ratio {over(value.share, limit.share)}; wait: value {value.mean:.2f} h   limit {limit.mean:.2f} "
                    f"h   ratio {over(value.mean, limit.mean)}",
                    flush=True,
                )


def over(value: float, limit: float) -> str:
    """A ratio; "-" where there is none."""
    return f"{value / limit:.2f}" if limit > 0 else "-"


def of_one(site: Any, jobs: list[TraceJob], seen: Seen) -> list[JobRow]:
    """The jobs of one site until all are over, at their own times."""
    trace = Trace("jobs", "rackplane", jobs, len(jobs), Counter(), [], 0)
    inputs = Inputs(site, trace, jobs, Counter(), replace(Policy()), [], Rules(), None, BEGIN)
    return run(inputs, name="site", seed=SEED, every=EVERY, bars=bars, sampled=seen.look).jobs
