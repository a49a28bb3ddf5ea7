"""Decisions of the engine on facilities of several sizes: value, limit and ratio, and no pass or fail.

The facility is halls as in `campus`: 18-node racks, four levels of power, two feeds a rack, five losses to survive,
liquid and air. Racks have 18, 9, 0 and 9 nodes in use in turn, so half of all; every request carries a mask over all
nodes. Between any two decisions the gang that was placed comes and goes, nine nodes of another rack are taken and nine
of a third are given back, so that every decision is made in a state that has changed.
The limits are those of the issue "The placement engine"; Kueue without power takes 0.6, 3.7 and 13 ms for the first.
"""

from __future__ import annotations

import gc
import statistics
import time
from functools import lru_cache

import pytest

from rackplane.engine.model import Group, Placement, Refusal, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State
from tests.benchmarks.campus import NODE_TYPE, RACK_NODES, campus, campus_nodes

HALL_NODES = 48 * RACK_NODES
IN_USE = (18, 9, 0, 9)
TIMES = 200


@lru_cache(maxsize=1)
def half_full(nodes: int) -> tuple[State, NodeMask]:
    """So many nodes, half of them in use, and a mask that bars none of them."""
    spec = campus(-(-nodes // HALL_NODES))
    state = State(compile_facility(spec), campus_nodes(spec)[:nodes])
    for i, rack in enumerate(spec.racks):
        names = tuple(f"{rack.name}-n{n}" for n in range(IN_USE[i % 4]))
        if names and all(state.node(name) for name in names):
            state.book(rack.name, placement(rack.name, names))
    gc.freeze()
    return state, NodeMask({n.name: NODE_TYPE.gpus_per_node for n in state.nodes()})


def placement(rack: str, names: tuple[str, ...]) -> Placement:
    return Placement(
        slots=names,
        groups=(Group(rack, rack, names),),
        gpus_per_slot=NODE_TYPE.gpus_per_node,
        power_profile="MaxP",
        nominal_watts=len(names) * 6_500,
        peak_watts=len(names) * 6_500,
        liquid_watts=0,
        air_watts=0,
    )


def report(what: str, nodes: int, times: list[float], limit: float, unit: str = "ms") -> None:
    """p50 and p99 beside the limit of p50; that of p99 is three times it."""
    p50, p99 = statistics.median(times), sorted(times)[int(len(times) * 0.99)]
    print(
        f"{what:<34} {nodes:>6} nodes: p50 {p50:8.3f} {unit}   limit {limit:6.2f}   ratio {p50 / limit:5.2f}"
        f"      p99 {p99:8.3f}   ratio {p99 / limit / 3:5.2f}"
    )


def decide(state: State, request: Request, times: int) -> tuple[list[float], Placement | Refusal]:
    """Milliseconds of so many decisions, and the last answer."""
    took: list[float] = []
    answer: Placement | Refusal | None = None
    half_used = [rack.name for i, rack in enumerate(state.facility.racks) if IN_USE[i % 4] == 9]
    taken = ""
    for i in range(times + 5):
        before = time.perf_counter()
        answer = place(state, request)
        after = time.perf_counter()
        if i >= 5:  # the first ones build what the others follow
            took.append((after - before) * 1000)
        if isinstance(answer, Placement):
            state.book("tried", answer)
            state.release("tried")
        rack = half_used[i % len(half_used)]
        rest = tuple(f"{rack}-n{n}" for n in range(9, RACK_NODES))
        if all(state.node(name) for name in rest):
            state.book(f"rest of {rack}", placement(rack, rest))
            state.release(taken)
            taken = f"rest of {rack}"
    state.release(taken)
    assert answer is not None
    return took, answer


@pytest.mark.parametrize(("nodes", "limit"), [(640, 0.2), (2_500, 0.25), (10_000, 0.3), (25_000, 0.4)])
def test_one_gang_of_16_nodes_in_one_domain(nodes: int, limit: float) -> None:
    state, mask = half_full(nodes)
    request = Request(
        slots=16, gpus_per_slot=4, resource=NODE_TYPE.resource, required="nvlink", capacity=mask
    )
    times, answer = decide(state, request, TIMES)
    assert isinstance(answer, Placement)
    report("16 nodes in one domain", nodes, times, limit)


@pytest.mark.parametrize(("nodes", "limit"), [(640, 0.6), (2_500, 0.8), (10_000, 1.2), (25_000, 2.0)])
def test_128_nodes_in_segments_of_16(nodes: int, limit: float) -> None:
    state, mask = half_full(nodes)
    request = Request(
        slots=128, gpus_per_slot=4, resource=NODE_TYPE.resource, segment_slots=16, capacity=mask
    )
    times, answer = decide(state, request, TIMES)
    assert isinstance(answer, Placement)
    report("128 nodes in segments of 16", nodes, times, limit)


def test_2304_nodes_in_segments_of_16() -> None:
    state, mask = half_full(25_000)
    request = Request(
        slots=2_304, gpus_per_slot=4, resource=NODE_TYPE.resource, segment_slots=16, capacity=mask
    )
    times, answer = decide(state, request, 30)
    assert isinstance(answer, Placement)
    report("2,304 nodes in segments of 16", 25_000, times, 20.0)


@pytest.mark.parametrize(
    ("what", "slots", "required"),
    [("cannot be placed: nodes", 19, "nvlink"), ("cannot be placed: facility", 20_000, None)],
)
def test_the_verdict_with_its_explanation(what: str, slots: int, required: str | None) -> None:
    state, mask = half_full(25_000)
    request = Request(
        slots=slots, gpus_per_slot=4, resource=NODE_TYPE.resource, required=required, capacity=mask
    )
    times, answer = decide(state, request, 30)
    assert isinstance(answer, Refusal)
    report(what, 25_000, times, 5.0)


@pytest.mark.parametrize("count", [1, 16])
def test_an_event_into_the_state(count: int) -> None:
    state, _ = half_full(25_000)
    rack = state.facility.racks[2].name
    gang = placement(rack, tuple(f"{rack}-n{n}" for n in range(count)))
    times = []
    for _ in range(TIMES):
        before = time.perf_counter()
        state.book("event", gang)
        times.append((time.perf_counter() - before) * 1e6)
        state.release("event")
    report(f"an event: a gang on {count} nodes", 25_000, times, 50.0 + count, "us")
