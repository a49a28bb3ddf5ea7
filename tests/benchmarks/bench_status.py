"""Every figure of a campus, as each period's status and each scrape read them: value, limit and ratio.

22 halls, 1,056 racks, 19,008 nodes, half of them in use; as built, and with power for nine tenths of it, where the
trial fill behind stranded watts finds nodes that do not fit. CPU time, so that a busy machine tells the same.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from rackplane.controller.metrics.elements import element_metrics
from rackplane.controller.metrics.exposition import _rendered
from rackplane.controller.metrics.levels import domain_metrics
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.reporting.largest import levels_in_use, room_at
from rackplane.engine.reporting.stranded import stranded
from rackplane.engine.state import State
from tests.benchmarks.bench_physics import gang
from tests.benchmarks.campus import RACK_NODES, campus, campus_nodes

HALLS = 22
TIMES = 10
LIMIT_MS = 50.0


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
    report, left = state.report(), stranded(state)
    families = [*element_metrics(report, left), *domain_metrics(state)]
    made = median_ms(lambda: [*element_metrics(report, left), *domain_metrics(state)])
    written = median_ms(lambda: [_rendered(family) for family in families])
    rooms = [median_ms(lambda level=level: room_at(state, level)) for level in levels_in_use(state)]  # type: ignore[misc]
    series = sum(len(family.samples) for family in families)
    print(f"\n{f'{series:,} series of racks, power and cooling':<40} {made:6.1f} ms")
    print(f"{'their text':<40} {written:6.1f} ms")
    print(f"{'rooms of the levels, the longest':<40} {max(rooms):6.1f} ms")
    print(f"{'the same, all together':<40} {sum(rooms):6.1f} ms")
