"""What a planner asks of a campus of 22 halls (1,056 racks, 19,008 nodes), half of it in use: value, limit and ratio.

A person waits for the answer, so the limits are seconds: 10 s for the largest gang at every level and power profile,
5 s for one drill, 5 s for a check of the whole facility.
"""

from __future__ import annotations

import time

import pytest

from rackplane.engine.model import Group, Placement
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.planning.capacity import capacities
from rackplane.engine.planning.drill import drill
from rackplane.engine.planning.lint import lint
from rackplane.engine.planning.whatif import PowerChange
from rackplane.engine.state import State
from tests.benchmarks.campus import NODE_TYPE, RACK_NODES, campus, campus_nodes

HALLS = 22


@pytest.fixture(scope="module")
def state() -> State:
    facility = compile_facility(campus(HALLS))
    state = State(facility, campus_nodes(facility.spec))
    for rack in facility.racks[::2]:
        names = tuple(f"{rack.name}-n{n}" for n in range(RACK_NODES))
        placement = Placement(
            slots=names,
            groups=(Group(rack.name, rack.name, names),),
            gpus_per_slot=NODE_TYPE.gpus_per_node,
            power_profile="MaxP",
            nominal_watts=0,
            peak_watts=0,
            liquid_watts=0,
            air_watts=0,
        )
        state.book(rack.name, placement)
    return state


def report(what: str, began: float, limit: float) -> None:
    value = time.perf_counter() - began
    print(f"{what:<58} {value:8.2f} s    limit {limit:7.1f} s    ratio {value / limit:5.2f}")


def test_the_largest_gang_at_every_level_and_profile(state: State) -> None:
    began = time.perf_counter()
    found = capacities(state)
    report(f"{len(found)} capacities", began, 10.0)
    assert {c.level for c in found} >= {"nvlink", ""}
    assert max(c.slots for c in found) == HALLS * 24 * RACK_NODES


def test_one_drill(state: State) -> None:
    lost = next(p.name for p in state.facility.powers.values() if p.survivable)
    began = time.perf_counter()
    found = drill(state, [PowerChange(lost)])
    report(f"the loss of {lost}", began, 5.0)
    assert found.survives


def test_a_check_of_the_whole_facility(state: State) -> None:
    began = time.perf_counter()
    found = lint(state.facility, {r.name: RACK_NODES for r in state.facility.racks})
    report(f"a check with {len(found)} findings", began, 5.0)
    assert all(f.severity > 0 for f in found)
