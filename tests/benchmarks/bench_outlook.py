"""When a gang that waits could start, on a full facility of 2,500 nodes: value, limit and ratio, and no pass or fail.

The facility is that of `bench_engine`, full of gangs of 8 nodes with an end each; the gang asks for 1, 64 or 1,024
nodes anywhere, without PowerBudgets and with one every day. The operator asks this once a second at most, so the limit
is a tenth of a second.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import pytest

from rackplane.engine.model import BudgetSpec, Placement, Request
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.planning.outlook import Outlook, earliest_start
from rackplane.engine.state import State
from tests.benchmarks.bench_engine import half_full

HOUR = 3_600.0


def full(nodes: int, budgets: tuple[BudgetSpec, ...] = ()) -> State:
    """Every node is held by a gang of 8 nodes or fewer; gang i is expected to end in i + 1 minutes."""
    empty, _ = half_full(nodes)
    state = State(compile_facility(replace(empty.facility.spec, budgets=budgets)), list(empty.nodes()))
    count = 0
    for slots in (8, 2):
        for rack in empty.facility.racks:
            while True:
                only = {n.name: 1 for n in state.nodes() if n.rack == rack.name and state.free_gpus(n.name)}
                request = Request(slots=slots, gpus_per_slot=4, resource="nvidia.com/gpu", capacity=only)
                answer = place(state, request) if len(only) >= slots else None
                if not isinstance(answer, Placement):
                    break
                state.book(f"gang-{count}", answer, until=(count + 1) * 60.0)
                count += 1
    return state


def ask(state: State, slots: int, hours: float = 4) -> Outlook:
    def request(at: float, over: frozenset[str]) -> Request:
        return Request(
            slots=slots, gpus_per_slot=4, resource="nvidia.com/gpu", until=at + hours * HOUR, at=at
        )

    return earliest_start(state, now=0.0, horizon=7 * 24 * HOUR, duration=hours * HOUR, request=request)


@pytest.mark.parametrize("slots", [1, 64, 1_024])
@pytest.mark.parametrize("windows", [0, 7])
def test_one_estimate(slots: int, windows: int) -> None:
    budgets = tuple(
        BudgetSpec(
            "peak", ("utility",), (), 9_000_000, starts_at=(d * 24 + 5) * HOUR, ends_at=(d * 24 + 9) * HOUR
        )
        for d in range(windows)
    )
    state = full(2_500, budgets)
    times = []
    for _ in range(5):
        before = time.perf_counter()
        found = ask(state, slots)
        times.append((time.perf_counter() - before) * 1000)
    value, limit = statistics.median(times), 100.0
    when = f"in {found.opening.at / 60:,.0f} min" if found.opening else "no opening"
    asked = f"{slots:>6} nodes, {windows} windows"
    print(f"{asked}: {value:8.1f} ms   limit {limit:,.0f} ms   ratio {value / limit:5.2f}   {when}")
    assert found.certain
