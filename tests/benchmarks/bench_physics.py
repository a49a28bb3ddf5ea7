"""Headroom of every rack of a campus under every single loss: value, limit and ratio.

22 halls, 1,056 racks, 19,008 nodes, half of them in use. Limits: 100 microseconds after one gang has started, 1 ms from
scratch (issue "The physics").
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest

from rackplane.engine.model import Group, Placement
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.facility import Facility
from rackplane.engine.state import State
from tests.benchmarks.campus import NODE_TYPE, RACK_NODES, campus, campus_nodes

HALLS = 22
TIMES = 300


@pytest.fixture(scope="module")
def facility() -> Facility:
    return compile_facility(campus(HALLS))


@pytest.fixture(scope="module")
def state(facility: Facility) -> State:
    state = State(facility, campus_nodes(facility.spec))
    for rack in facility.racks[::2]:
        state.book(rack.name, gang(rack.name, RACK_NODES))
    state.headrooms()
    return state


def gang(rack: str, nodes: int) -> Placement:
    names = tuple(f"{rack}-n{n}" for n in range(nodes))
    return Placement(
        slots=names,
        groups=(Group(rack, rack, names),),
        gpus_per_slot=NODE_TYPE.gpus_per_node,
        power_profile="MaxP",
        nominal_watts=nodes * 6_500,
        peak_watts=nodes * 6_500,
        liquid_watts=0,
        air_watts=0,
    )


def report(what: str, value: float, limit: float) -> None:
    print(f"{what:<58} {value:8.1f} us   limit {limit:7.1f} us   ratio {value / limit:5.2f}")


def test_after_one_gang_starts(state: State) -> None:
    rack = state.facility.racks[501].name
    placement = gang(rack, 16)
    whole, headrooms = [], []
    for _ in range(TIMES):
        before = time.perf_counter()
        state.book("gang", placement)
        booked = time.perf_counter()
        state.headrooms()
        after = time.perf_counter()
        whole.append((after - before) * 1e6)
        headrooms.append((after - booked) * 1e6)
        state.release("gang")
    report("headroom of 1,056 racks after a gang of 16 nodes", statistics.median(headrooms), 100.0)
    report("  the same, with the booking of the gang", statistics.median(whole), 100.0)


def test_from_scratch(state: State) -> None:
    times = []
    for _ in range(TIMES):
        before = time.perf_counter()
        state.reload()
        state.headrooms()
        times.append((time.perf_counter() - before) * 1e6)
    report("loads and headroom of 1,056 racks from scratch", statistics.median(times), 1000.0)


def test_what_is_timed_is_right(facility: Facility, state: State) -> None:
    kept = len(facility.limits) - len(facility.rows)
    print(
        f"{len(facility.racks):,} racks, {len(facility.rows):,} rows, {len(facility.contingencies):,} contingencies, "
        f"{kept:,} cells of losses, {len(facility.cells):,} coefficients"
    )
    state.validate()
    nominal, peak = state.headrooms()
    assert nominal.min() >= 0
    one = np.minimum(nominal, peak)
    with state.simulation():
        state.book("gang", gang(facility.racks[501].name, 16))
        after = np.minimum(*state.headrooms())
    assert one[501] - after[501] == 16 * 6_500
