"""Budgets below nameplate: work done, limits exceeded and watts stranded, beside other rules and a proven bound.

A hall of 864 GPUs (`power/hall.py`), a cut of the Kalos trace with arrivals moved together until it asks for more
than there is, a PowerBudget at 100, 90, 80 and 70 % of nameplate. At a third of the time one cooling loop loses 25 %
of what it takes, for good; at half of it ups-a is lost for six hours. The same once more in an unbalanced hall. All
rules place and queue alike (`power/admission.py`); the bound knows all that comes (`power/bound.py`).

RACKPLANE_BENCH_JOBS (150): jobs of the trace. RACKPLANE_BENCH_BUDGETS (100,90,80,70): percent of nameplate.
"""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

import pytest

from rackplane.core.site.facility import Catalog
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.facility import Facility
from rackplane.simulator.facilityevents import Change
from rackplane.simulator.gangs import Request, merged
from rackplane.simulator.limits import Exceeded
from rackplane.simulator.policies import Policy
from rackplane.simulator.requests import requests_of
from rackplane.simulator.scaling import Scaling
from rackplane.simulator.simulation import BEGIN
from rackplane.simulator.site import Site
from rackplane.simulator.traces.reading import read_trace
from tests.benchmarks.power.admission import RULES, Rule
from tests.benchmarks.power.bound import most_work
from tests.benchmarks.power.hall import BALANCED, NAMEPLATE, UNBALANCED, UNITS, site
from tests.benchmarks.power.runs import Found, run

TRACE = Path(__file__).parents[1] / "data" / "acme" / "kalos_completed_jobs.csv"
JOBS = int(os.environ.get("RACKPLANE_BENCH_JOBS", "150"))
BUDGETS = [int(b) for b in os.environ.get("RACKPLANE_BENCH_BUDGETS", "100,90,80,70").split(",")]
LOAD, STRETCH, LARGEST, SEED = 4.0, 3, 288, 1
LOST_SECONDS = 6 * 3_600
STRANDED_LIMIT = 0.05

pytestmark = pytest.mark.timeout(3600)


@cache
def jobs(hall: tuple[str, ...], percent: int) -> tuple[Site, tuple[Request, ...], int]:
    """The hall, its jobs and the horizon: as long after the last arrival as the jobs have work for."""
    here = site(hall, NAMEPLATE * percent // 100)
    scaling = Scaling(largest=LARGEST, first=JOBS, load=LOAD)
    found, _ = scaling.scaled(read_trace(TRACE).jobs, gpus=here.gpus, gpus_per_node=here.gpus_per_node)
    return here, tuple(requests_of(found, here, Policy(), seed=SEED)), STRETCH * found[-1].submit


def changed(body: object, **spec: object) -> dict[str, object]:
    """The object with another spec."""
    found: dict[str, object] = merged(body, {"spec": spec, "metadata": {"generation": 2}})
    return found


def changes(here: Site, horizon: int) -> list[Change]:
    """A quarter of a loop goes at a third of the time, ups-a at half of it."""
    loop, ups = here.bodies["CoolingZone", "loop-1"], here.bodies["PowerDomain", "ups-a"]
    units = [dict(unit) for unit in loop["spec"]["units"]]
    left = [{**unit, "state": "Offline"} if i == UNITS - 1 else unit for i, unit in enumerate(units)]
    gone = changed(ups, state="Offline")
    return [
        Change(
            horizon // 3, "CoolingZone", "loop-1", "one unit of four is lost", body=changed(loop, units=left)
        ),
        Change(horizon // 2, "PowerDomain", "ups-a", "is lost", body=gone),
        Change(
            horizon // 2 + LOST_SECONDS, "PowerDomain", "ups-a", "is back", body=changed(gone, state="Online")
        ),
    ]


def phases(here: Site, events: list[Change]) -> list[tuple[int, Facility]]:
    """The hall from each second on at which it becomes another."""
    catalog = Catalog()
    for (kind, name), body in here.bodies.items():
        catalog.put(kind, name, body)
    found = [(0, compile_facility(catalog.spec(float(BEGIN))))]
    for change in events:
        assert change.body is not None
        catalog.put(change.kind, change.name, change.body)
        found.append((change.at, compile_facility(catalog.spec(float(BEGIN + change.at)))))
    return found


def longest(found: Exceeded, kind: str) -> int:
    """Seconds in which the element of a kind, as its labels begin, was over its limit that was so for longest."""
    return max((s for label, s in found.by_element.items() if label.startswith(kind)), default=0)


def line(name: str, found: Found, bound: float) -> None:
    reserved, drawn, e = found.reserved, found.drawn, found.events
    print(
        f"  {name:<10} {found.work:9,.0f} {found.work / bound:6.3f} {reserved.seconds:10,} "
        f"{longest(reserved, 'power domain ups'):7,} {longest(reserved, 'cooling zone'):8,} "
        f"{longest(reserved, 'budget'):9,} "
        f"{drawn.seconds:10,} "
        f"{reserved.after_a_loss_seconds:10,} {reserved.worst_watts / 1000:8,.0f} {100 * found.unused:7.1f} % "
        f"{100 * found.stranded:7.1f} %   {e.get('PowerCapped', 0)}, {e.get('Shed', 0)}"
    )


def compare(hall: tuple[str, ...], percent: int, rules: tuple[Rule, ...]) -> dict[str, Found]:
    here, requests, horizon = jobs(hall, percent)
    events, budget = changes(here, horizon), NAMEPLATE * percent // 100
    began = time.process_time()
    bound = most_work(requests, phases(here, events), horizon)
    solved = time.process_time() - began
    print(
        f"\n{percent} % of {NAMEPLATE / 1000:,.0f} kW, rows {' '.join(hall)}: {len(requests)} jobs, {here.gpus} GPUs, "
        f"{horizon / 3600:.1f} h; no rule can do more than {bound:,.0f} GPU-hours (LP, {solved:.1f} s)"
    )
    print(
        "  rule       GPU-hours  of LP    over, s  UPS, s  loop, s budget, s  by draw, s after loss over, kW  unused"
        "   stranded   "
        "caps, stops"
    )
    found = {}
    for rule in rules:
        found[rule.name] = run(rule, here, requests, events, budget=budget, horizon=horizon, seed=SEED)
        line(rule.name, found[rule.name], bound)
    ours = found["ours"]
    seconds = ours.reserved.seconds + ours.drawn.seconds
    print(
        f"  seconds over a limit, ours: value {seconds}   limit 0   ratio {'1.00' if not seconds else 'inf'}"
    )
    print(
        f"  stranded, ours: value {100 * ours.stranded:.1f} %   limit {100 * STRANDED_LIMIT:.0f} %   "
        f"ratio {ours.stranded / STRANDED_LIMIT:.2f}; CPU {time.process_time() - began:.0f} s"
    )
    return found


@pytest.mark.parametrize("percent", BUDGETS)
def test_budgets_below_nameplate(percent: int) -> None:
    compare(BALANCED, percent, RULES)


def test_a_loss_in_an_unbalanced_hall() -> None:
    compare(UNBALANCED, max(BUDGETS), tuple(rule for rule in RULES if rule.name in ("ours", "one tree")))
