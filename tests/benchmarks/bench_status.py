"""Every figure of a campus, as each period's status and each scrape read them: value, limit and ratio.

22 halls, 1,056 racks, 19,008 nodes, half of them in use; as built, and with power for nine tenths of it, where the
trial fill behind stranded watts finds nodes that do not fit. CPU time, so that a busy machine tells the same.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry

from rackplane.controller.metrics import MachineCollector
from rackplane.controller.metrics.exposition import Exposition
from rackplane.core.machine import Machine
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.reporting.stranded import stranded
from rackplane.engine.state import State
from tests.benchmarks.bench_physics import gang
from tests.benchmarks.campus import RACK_NODES, campus, campus_nodes

HALLS = 22
TIMES = 10
LIMIT_MS = 50.0
SCRAPE_MS = 500.0


@pytest.fixture(scope="module", params=[100, 90], ids=["as-built", "short-of-power"])
def state(request: pytest.FixtureRequest) -> State:
    spec = campus(HALLS)
    powers = tuple(replace(p, rated_watts=p.rated_watts * request.param // 100) for p in spec.powers)
    state = State(compile_facility(replace(spec, powers=powers)), campus_nodes(spec))
    for rack in state.facility.racks[::2]:
        state.book(rack.name, gang(rack.name, RACK_NODES))
    return state


def median_ms(run: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        before = time.process_time()
        run()
        times.append((time.process_time() - before) * 1e3)
    return statistics.median(times)


def test_all_figures(state: State) -> None:
    figures, left = median_ms(state.report), median_ms(lambda: stranded(state))
    print(f"\n{stranded(state).unfed_nodes:,} of 9,504 free nodes unfed")
    print(f"{'the report on every element':<40} {figures:6.1f} ms")
    print(f"{'stranded watts and unfed nodes':<40} {left:6.1f} ms")
    whole = figures + left
    print(f"{'together':<40} {whole:6.1f} ms   limit {LIMIT_MS:.1f} ms   ratio {whole / LIMIT_MS:.2f}")


def test_a_scrape(state: State) -> None:
    machine = Machine()
    machine.world.state, machine.leading = state, True
    registry = CollectorRegistry()
    now = [0.0]
    registry.register(MachineCollector(machine, {}, lambda: now[0]))
    page = Exposition(registry)

    def scrape(*, changed: bool) -> tuple[float, float, int]:
        """CPU time in all and of the longest piece, in milliseconds, and the size of the text."""
        machine.world.version += changed
        now[0] += 30
        pieces, before = list[float](), time.process_time()

        async def turn(_: float) -> None:
            pieces.append(time.process_time())

        page._sleep = turn
        size = len(asyncio.run(page.text()))
        ends = [before, *pieces, time.process_time()]
        return (ends[-1] - before) * 1e3, max(b - a for a, b in pairwise(ends)) * 1e3, size

    every = [scrape(changed=True) for _ in range(TIMES)]
    same = [scrape(changed=False) for _ in range(TIMES)]
    series = sum(len(metric.samples) for metric in registry.collect())
    for words, found in (("all changed", every), ("nothing changed", same)):
        whole, piece = (statistics.median(each[k] for each in found) for k in (0, 1))
        print(
            f"\n{f'a scrape, {words}':<40} {whole:6.1f} ms   limit {SCRAPE_MS:.1f} ms   ratio {whole / SCRAPE_MS:.2f}"
        )
        print(f"{'longest piece of it':<40} {piece:6.1f} ms")
    print(f"{series:,} series, {every[0][2] / 1e6:.1f} MB")
