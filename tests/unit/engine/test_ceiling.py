"""How many slots could be placed at most, without a search."""

from __future__ import annotations

from dataclasses import replace

from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.ceiling import most_now
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State

ONE = Request(slots=1, gpus_per_slot=1, resource="gpu")


def hall(watts: int = 10**6) -> State:
    """Two racks of two nodes with four GPUs, 1 kW a GPU or half of that, and a limit on each rack."""
    node_type = NodeType(
        "t",
        "gpu",
        4,
        0,
        4_000,
        nvlink_scope=NvlinkScope.OBJECT,
        caps=(PowerCap("MaxP", 4_000), PowerCap("MaxQ", 2_000)),
    )
    racks = tuple(RackSpec(name, "t", 0, watts, (Feed("p"),)) for name in ("r1", "r2"))
    spec = FacilitySpec((node_type,), racks, (PowerSpec("p", 10**9),))
    return State(compile_facility(spec), [NodeSpec(f"{r}-{n}", r, r) for r in ("r1", "r2") for n in range(2)])


def test_free_gpus_wherever_they_are_and_whole_segments_by_domain() -> None:
    state = hall()
    assert most_now(state, ONE) == 16
    assert most_now(state, replace(ONE, required="nvlink")) == 8
    assert most_now(state, replace(ONE, segment_slots=3)) == 14, "twice two segments, and a short one"
    assert most_now(state, replace(ONE, gpus_per_slot=5)) == 0


def test_lower_profiles_count_where_more_slots_fit_under_them() -> None:
    assert most_now(hall(5_000), replace(ONE, strict=True)) == 10
    assert most_now(hall(5_000), ONE) == 16, "at MaxQ a rack takes all its eight"
    state = hall()
    there = place(state, replace(ONE, slots=12, power_profile="MaxQ"))
    assert isinstance(there, Placement)
    state.book("other", there)
    assert most_now(state, replace(ONE, strict=True)) == 4, "nodes in use keep their profile"
