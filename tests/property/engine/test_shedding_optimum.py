"""Plans against every other plan: small halls, all measures of all gangs, in every combination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rackplane.engine.model import NodeSpec, NodeType, PowerCap
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.physics.rows import LimitRow
from rackplane.engine.shedding.relieving import relieve
from rackplane.engine.shedding.terms import Disruption, Measure, Plan, Terms
from rackplane.engine.state import State
from tests.support.halls import NODES, TYPE, gang, hall, ups
from tests.support.thorough import some

Watts = NDArray[np.float64]

THREE = replace(TYPE, caps=(*TYPE.caps, PowerCap("MaxLPS", 45_000, 60)))
TERMS = st.builds(
    Terms,
    st.sampled_from(list(Disruption)),
    st.integers(0, 2),
    st.booleans(),
    st.integers(0, 5).map(lambda n: n * 1_000),
)


@st.composite
def overloaded(draw: st.DrawFn) -> tuple[State, dict[str, Terms]]:
    """Two to four UPSs of low ratings, up to four rows on pairs of them, and up to five gangs wherever they fit."""
    letters = "abcd"[: draw(st.integers(2, 4))]
    pairs = st.lists(st.sampled_from(letters), min_size=1, max_size=2, unique=True)
    names = [f"{''.join(draw(pairs))}-{i}" for i in range(draw(st.integers(1, 4)))]
    spec = hall(names)
    rating = st.integers(min_value=1, max_value=12).map(lambda n: n * 150_000)
    spec = replace(
        spec,
        node_types=(draw(st.sampled_from([TYPE, THREE])),),
        powers=tuple(ups(letter, draw(rating)) for letter in "abcd"),
    )
    nodes = [NodeSpec(f"{r.name}-{i:02}", r.name) for r in spec.racks for i in range(1, NODES + 1)]
    state = State(compile_facility(spec), nodes)
    free = dict.fromkeys((r.name for r in spec.racks), 1)
    terms = {}
    for n in range(draw(st.integers(1, 5))):
        where = draw(st.sampled_from(names))
        row = f"row-{where}"
        size = draw(st.integers(1, 7))
        if free[row] + size > NODES + 1:
            continue
        key = f"gang-{n}"
        state.book(
            key, gang(row, size, first=free[row], profile=draw(st.sampled_from(["MaxP", "MaxQ"]))), force=True
        )
        free[row] += size
        terms[key] = draw(TERMS)
    return state, terms


def ways(node_type: NodeType, profile: str, terms: Terms) -> list[str | None]:
    """How a gang could go on: as it is (None), at each lower profile, or not at all ("")."""
    watts = {cap.name: cap.node_watts for cap in node_type.caps}
    lower = [] if terms.strict else [name for name, w in watts.items() if w < watts[profile]]
    return [None, *lower, ""]


def excess(state: State) -> dict[LimitRow, float]:
    over = [v for v in state.violations() if v.contingency.normal]
    return {v.row: v.load_watts - v.limit_watts for v in over}


def lost(
    terms: Mapping[str, Terms], node_type: NodeType, state: State, plan: Mapping[str, str]
) -> tuple[object, ...]:
    """What a plan costs, by the words of engine.shedding.costs: from the harshest kind and highest priority down."""
    speed = {cap.name: cap.relative_performance_percent for cap in node_type.caps}
    kinds = [
        (Disruption.PROTECTED, True),
        (Disruption.PROTECTED, False),
        (Disruption.CHECKPOINTABLE, True),
        (Disruption.SHEDDABLE, True),
        (Disruption.CHECKPOINTABLE, False),
        (Disruption.SHEDDABLE, False),
    ]
    sums = []
    for disruption, stops in kinds:
        for priority in (2, 1, 0):
            here = 0
            for key, profile in plan.items():
                own = terms[key]
                if (own.disruption, own.priority, not profile) == (disruption, priority, stops):
                    gpus = 4 * len(state.held(key))
                    here += (own.lost_gpu_seconds or gpus) if stops else max(1, gpus * (100 - speed[profile]))
            sums.append(here)
    return (*sums, len(plan))


def all_plans(
    state: State, terms: Mapping[str, Terms], node_type: NodeType
) -> Iterator[tuple[dict[str, str], Watts]]:
    """Every combination, and what stays exceeded with it; each gang's share of the loads is measured once."""
    keys = list(state.keys())
    shares: dict[tuple[str, str | None], Watts] = {}
    options = []
    for key in keys:
        placement = state.booking(key)
        assert placement is not None
        options.append(ways(node_type, placement.power_profile, terms[key]))
        for way in options[-1]:
            with state.simulation():
                before = state.loads.copy()
                state.release(key)
                if way:
                    state.book(key, replace(placement, power_profile=way), force=True)
                shares[key, way] = np.zeros_like(before) if way is None else before - state.loads
    rows = list(range(len(state.facility.rows)))
    over = (state.loads - state.facility.limits)[rows]
    for choice in product(*options):
        left = over - np.sum([shares[key, way][rows] for key, way in zip(keys, choice, strict=True)], axis=0)
        yield {key: way for key, way in zip(keys, choice, strict=True) if way is not None}, left


@given(overloaded())
@settings(max_examples=some(1_000), deadline=None)
def test_no_other_plan_is_enough_and_costs_less(case: tuple[State, dict[str, Terms]]) -> None:
    state, terms = case
    node_type = state.facility.types[0]
    plan = relieve(state, terms)
    assert plan.proved
    if not excess(state):
        assert plan == Plan((), ())
        return
    plans = list(all_plans(state, terms, node_type))
    # What nothing can bring under its limit is to go as low as it goes.
    lowest = np.minimum.reduce([left for _, left in plans])
    enough = np.maximum(lowest, 0.0) + TOLERANCE_WATTS
    best = min(lost(terms, node_type, state, p) for p, left in plans if (left <= enough).all())
    assert lost(terms, node_type, state, {m.gang: m.profile for m in plan.measures}) == best


@given(overloaded())
@settings(max_examples=some(300), deadline=None)
def test_many_gangs_are_planned_for_step_by_step_and_still_nothing_is_left_out_or_done_in_vain(
    case: tuple[State, dict[str, Terms]],
) -> None:
    state, terms = case
    cheapest = relieve(state, terms)
    quick = relieve(state, terms, steps=0)
    assert {v.row for v in quick.remaining} == {v.row for v in cheapest.remaining}
    for measure in quick.measures:
        with state.simulation():
            carry_out(state, [m for m in quick.measures if m is not measure])
            left = excess(state)
        before = {v.row: v.load_watts - v.limit_watts for v in quick.remaining}
        assert any(watts > before.get(row, 0.0) + TOLERANCE_WATTS for row, watts in left.items()), measure


def carry_out(state: State, measures: list[Measure]) -> None:
    for m in measures:
        placement = state.booking(m.gang)
        assert placement is not None
        state.release(m.gang)
        if not m.stops:
            state.book(m.gang, replace(placement, power_profile=m.profile), force=True)


@given(overloaded())
@settings(max_examples=some(200), deadline=None)
def test_protected_gangs_are_left_alone_where_nobody_said_otherwise(
    case: tuple[State, dict[str, Terms]],
) -> None:
    state, terms = case
    plan = relieve(state, terms, spare_protected=True)
    assert all(m.terms.disruption is not Disruption.PROTECTED for m in plan.measures)
