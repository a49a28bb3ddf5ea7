"""The largest gang that could start, with the arithmetic beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.engine.model import (
    Cause,
    FacilitySpec,
    Feed,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    Refusal,
    RefusalKind,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.planning.capacity import Capacity, capacities, largest
from rackplane.engine.state import State
from tests.support.halls import BALANCED, GPU, TYPE, UNBALANCED, gang, hall, idle, rack, ups


def sizes(found: list[Capacity]) -> dict[tuple[str, str], int]:
    return {(c.level, c.profile): c.slots for c in found}


def ask(slots: int, **more: object) -> Request:
    return Request(slots=slots, gpus_per_slot=4, resource=GPU, strict=True, **more)  # type: ignore[arg-type]


def test_a_balanced_hall_takes_a_gang_of_all_its_nodes() -> None:
    (maxp, maxq) = capacities(idle(hall(BALANCED)))
    assert (maxp.slots, maxp.gpus, maxp.nominal_watts, maxp.stopped_by.cause) == (
        90,
        360,
        6_300_000,
        Cause.NODES,
    )
    assert maxp.racks == tuple(f"row-{name}" for name in BALANCED)
    # At MaxQ a node takes 50 kW over idle.
    assert (maxq.slots, maxq.nominal_watts, maxq.relative_performance_percent) == (90, 4_500_000, 80)


def test_an_unbalanced_hall_says_what_stops_one_node_more() -> None:
    state = idle(hall(UNBALANCED))
    (maxp,) = capacities(state, profiles=["MaxP"])
    # On b without a: both ab rows and half of bc and bd. With these and ac, ad full (60 nodes), the ab rows may take
    # 1.2 MW together: 300 kW idle, and 12 nodes of 70 kW make 1,140 kW.
    assert maxp.slots == 72
    assert maxp.stopped_by.kind is RefusalKind.UNPLACEABLE
    tightest = maxp.stopped_by.tightest
    assert tightest is not None
    assert (tightest.name, tightest.lost, tightest.load_watts, tightest.limit_watts, tightest.over_watts) == (
        "ups-b",
        "ups-a",
        2_410_000,
        2_400_000,
        10_000,
    )


def test_what_runs_is_counted() -> None:
    state = idle(hall(BALANCED))
    state.book("a", gang("row-ab", 10))
    (maxp,) = capacities(state, profiles=["MaxP"])
    assert maxp.slots == 80


def fabric() -> State:
    """Two NVLink domains of 4 nodes under leaf-1, one of 3 under leaf-2."""
    spanning = replace(TYPE, nvlink_scope=NvlinkScope.OBJECT)
    spec = FacilitySpec(
        (spanning,), tuple(rack(x, "ab") for x in "xyz"), (ups("a"), ups("b")), levels=("leaf", "hall")
    )
    nodes = [
        NodeSpec(f"{x}{i}", f"row-{x}", f"nvl-{x}", (("leaf", leaf),))
        for x, count, leaf in (("x", 4, "leaf-1"), ("y", 4, "leaf-1"), ("z", 3, "leaf-2"))
        for i in range(count)
    ]
    return State(compile_facility(spec), nodes)


def test_every_level_that_a_node_has_from_the_nearest_up() -> None:
    found = capacities(fabric(), profiles=["MaxP"])
    assert [(c.level, c.slots, c.domain, c.racks) for c in found] == [
        ("nvlink", 4, "nvl-x", ("row-x",)),
        ("leaf", 8, "leaf-1", ("row-x", "row-y")),
        ("", 11, "", ("row-x", "row-y", "row-z")),
    ]
    assert capacities(fabric(), levels=["leaf"], profiles=["MaxP"]) == [found[1]]


def test_segments_stay_in_one_nvlink_domain_and_the_last_may_be_short() -> None:
    found = capacities(fabric(), segment_slots=3, profiles=["MaxP"])
    # One run of 3 in each domain, and the node that is left in x or y as the short last one.
    assert sizes(found) == {("nvlink", "MaxP"): 4, ("leaf", "MaxP"): 7, ("", "MaxP"): 10}


def test_parts_of_nodes_and_node_types_apart() -> None:
    big = NodeType("big", GPU, 8, 10_000, 80_000)
    spec = FacilitySpec(
        (TYPE, big), (rack("a", "ab"), replace(rack("b", "ab"), node_type="big")), (ups("a"), ups("b"))
    )
    nodes = [NodeSpec(f"{x}{i}", f"row-{x}") for x in "ab" for i in range(2)]
    state = State(compile_facility(spec), nodes)
    whole = {(c.node_type, c.gpus_per_slot, c.profile): c.slots for c in capacities(state)}
    assert whole == {("big", 8, "MaxP"): 2, ("node", 4, "MaxP"): 2, ("node", 4, "MaxQ"): 2}
    # Pods of 3 GPUs: one on each node of 4, two on each of 8. MaxQ is known in row a only.
    parts = {(c.node_type, c.profile): (c.slots, c.gpus) for c in capacities(state, gpus_per_slot=3)}
    assert parts == {(GPU, "MaxP"): (6, 18), (GPU, "MaxQ"): (2, 6)}


def test_nothing_fits_where_no_node_is_free() -> None:
    state = idle(hall(("ab",), "ab"))
    state.book("a", gang("row-ab"))
    (maxp, _) = capacities(state)
    assert (maxp.slots, maxp.gpus, maxp.racks, maxp.nominal_watts) == (0, 0, (), 0)
    assert maxp.stopped_by == place(state, ask(1))


def test_a_pod_larger_than_any_node() -> None:
    state = idle(hall(("ab",), "ab"))
    best, why = largest(state, replace(ask(1), gpus_per_slot=5))
    assert best is None
    assert why.message == "needs 5 GPUs on one node; the largest node has 4"
    assert [c.slots for c in capacities(state, gpus_per_slot=5)] == [0, 0]


def test_slots_without_gpus_have_no_largest_number() -> None:
    with pytest.raises(ValueError, match="a slot of 0 GPUs: at least 1 is needed"):
        capacities(idle(hall(("ab",), "ab")), gpus_per_slot=0)


def test_no_racks_no_gangs() -> None:
    assert capacities(State(compile_facility(FacilitySpec()))) == []


@pytest.mark.parametrize("rating", [400_000, 777_000, 1_000_000, 1_900_000])
@pytest.mark.parametrize("profile", ["MaxP", "MaxQ"])
def test_both_ends_hold_where_limits_overlap(rating: int, profile: str) -> None:
    spec = hall(("ab", "abc", "bc", "ac", "c"), "abc")
    spec = replace(
        spec,
        racks=tuple(
            replace(r, feeds=(*r.feeds, Feed("ups-a", 2))) if r.name == "row-bc" else r for r in spec.racks
        ),
        powers=tuple(replace(p, rated_watts=rating + 100_000 * i) for i, p in enumerate(spec.powers)),
    )
    state = idle(spec)
    best, _ = largest(state, ask(1, power_profile=profile))
    slots = 0 if best is None else len(best.slots)
    assert isinstance(place(state, ask(slots + 1, power_profile=profile)), Refusal)
    if slots:
        assert isinstance(place(state, ask(slots, power_profile=profile)), Placement)


def test_a_domain_of_two_racks_is_used_where_a_slot_takes_least_of_what_is_scarce() -> None:
    # Idle, a has 5 + 20 + 15 = 40 kW of these racks, so 230 kW are left: three nodes of z take 105 kW of it, one each
    # of x and y 35 + 70 kW, and two of y would take 140 kW.
    spec = FacilitySpec(
        (replace(TYPE, nvlink_scope=NvlinkScope.OBJECT),),
        (rack("x", "ab"), rack("y", "a"), rack("z", "ab"), rack("w", "b")),
        (ups("a", 270_000), ups("b")),
    )
    spec = replace(spec, powers=tuple(replace(p, survivable=False) for p in spec.powers))
    counts = (("x", 1, "d1"), ("y", 2, "d1"), ("z", 3, "d2"), ("w", 1, "d3"))
    nodes = [NodeSpec(f"{x}{i}", f"row-{x}", domain) for x, count, domain in counts for i in range(count)]
    answer = place(State(compile_facility(spec), nodes), ask(5))
    assert isinstance(answer, Placement)
    assert [(g.domain, g.rack, len(g.nodes)) for g in answer.groups] == [
        ("d1", "row-x", 1),
        ("d1", "row-y", 1),
        ("d2", "row-z", 3),
    ]
