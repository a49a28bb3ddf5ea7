"""Reliefs: each is done as it says, on the facility itself, and then the gang starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.engine.model import (
    BudgetSpec,
    DomainSpec,
    FacilitySpec,
    NodeSpec,
    Placement,
    PowerSpec,
    Refusal,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.reasons import Element, ElementKind, ElementWatts, Relief, ReliefKind
from rackplane.engine.state import State
from tests.unit.engine.test_explanation import HOUR, NOON, ask, hall, pair, refused, state_of

ROW = replace(hall(), powers=(PowerSpec("row", 120_000),))
"""12 kW idle, so that ten slots of 10 kW fit and eleven do not."""


def relief(answer: Refusal, kind: ReliefKind) -> Relief:
    return next(r for r in answer.reliefs if r.kind is kind)


def kinds(answer: Refusal) -> list[ReliefKind]:
    return [r.kind for r in answer.reliefs]


def starts(state: State, request: Request) -> bool:
    return isinstance(place(state, request), Placement)


def rebuilt(state: State, spec: FacilitySpec) -> State:
    """The same nodes and bookings in another facility."""
    other = State(compile_facility(spec), list(state.nodes()))
    for key in tuple(state.keys()):
        placement = state.booking(key)
        assert placement is not None
        other.book(key, placement, force=True, until=state.until(key))
    return other


def test_a_lower_profile_is_offered_only_where_strictness_kept_it_from_being_tried() -> None:
    state, request = state_of(ROW, used=8), ask(4, strict=True)
    assert relief(refused(state, request), ReliefKind.PROFILE) == Relief(
        kind=ReliefKind.PROFILE,
        message="at MaxQ it would fit now (20 percent slower)",
        profile="MaxQ",
        slowdown_percent=20,
    )
    assert starts(state, replace(request, power_profile="MaxQ"))
    # 12 + 80 kW and four slots of 5 kW: at 110 kW not even MaxQ fits, and it is not named.
    small = state_of(replace(ROW, powers=(PowerSpec("row", 110_000),)), used=8)
    assert ReliefKind.PROFILE not in kinds(refused(small, ask(4, strict=True)))


def test_the_slowdown_is_against_the_profile_that_is_asked_for() -> None:
    row = ROW.node_types[0]
    caps = (*row.caps, replace(row.caps[1], name="MaxLPS", node_watts=3_000, relative_performance_percent=48))
    spec = replace(ROW, node_types=(replace(row, caps=caps),), powers=(PowerSpec("row", 101_000),))
    # MaxQ runs at 80, MaxLPS at 48: that is 60 percent of MaxQ, 40 percent slower. 92 + 4 x 2 = 100 kW.
    answer = refused(state_of(spec, used=8), ask(4, strict=True, power_profile="MaxQ"))
    assert answer.relief.startswith("at MaxLPS it would fit now (40 percent slower)")


def test_watts_on_one_element() -> None:
    state, request = state_of(ROW, used=8), ask(4, strict=True)
    found = relief(refused(state, request), ReliefKind.WATTS)
    assert found == Relief(
        kind=ReliefKind.WATTS,
        message="free 12 kW on power domain row",
        elements=(ElementWatts(ElementKind.POWER_DOMAIN, "row", 12_000),),
    )
    assert starts(rebuilt(state, replace(ROW, powers=(PowerSpec("row", 132_000),))), request)
    assert not starts(rebuilt(state, replace(ROW, powers=(PowerSpec("row", 131_999),))), request)


def test_watts_on_each_of_a_pair() -> None:
    spec, request = pair(120_000), ask(4, strict=True)
    state = state_of(spec, used=8)
    found = relief(refused(state, request), ReliefKind.WATTS)
    assert found.message == "free 12 kW on power domain ups-b and 12 kW on power domain ups-a"
    assert found.elements == (
        ElementWatts(ElementKind.POWER_DOMAIN, "ups-b", 12_000),
        ElementWatts(ElementKind.POWER_DOMAIN, "ups-a", 12_000),
    )
    assert starts(rebuilt(state, replace(spec, powers=pair(132_000).powers)), request)
    one = (spec.powers[0], replace(spec.powers[1], rated_watts=132_000))
    assert not starts(rebuilt(state, replace(spec, powers=one)), request)


def test_watts_at_peak_only() -> None:
    spec = replace(ROW, powers=(PowerSpec("row", 10_000_000, peak_limit_watts=120_000),))
    found = relief(refused(state_of(spec, used=8), ask(4, strict=True)), ReliefKind.WATTS)
    assert found.message == "free 12 kW at peak on power domain row"
    assert found.elements == (ElementWatts(ElementKind.POWER_DOMAIN, "row", 12_000, peak=True),)


ORDER = BudgetSpec("grid-order", ("row",), (), 120_000, starts_at=NOON + 2 * HOUR, ends_at=NOON + 5 * HOUR)


def test_times_of_a_budget_that_comes() -> None:
    spec = replace(hall(), budgets=(ORDER,))
    state, request = state_of(spec, used=8), ask(4, strict=True, until=NOON + 10 * HOUR)
    answer = refused(state, request)
    assert relief(answer, ReliefKind.EARLIER_END) == Relief(
        kind=ReliefKind.EARLIER_END,
        message="it could start now if it were expected to end by 2026-11-21 14:00 UTC",
        at=NOON + 2 * HOUR,
    )
    assert starts(state, replace(request, until=NOON + 2 * HOUR))
    assert not starts(state, replace(request, until=NOON + 2 * HOUR + 1))
    assert relief(answer, ReliefKind.BUDGET_END) == Relief(
        kind=ReliefKind.BUDGET_END,
        message="wait until 2026-11-21 17:00 UTC, when PowerBudget grid-order ends",
        at=NOON + 5 * HOUR,
    )
    assert starts(rebuilt(state, hall()), request)


def test_the_end_of_a_budget_is_no_relief_where_another_one_stays() -> None:
    spec = replace(hall(), budgets=(ORDER, BudgetSpec("contract", ("row",), (), 125_000)))
    assert ReliefKind.BUDGET_END not in kinds(refused(state_of(spec, used=8), ask(4, strict=True)))


def test_another_level() -> None:
    request = ask(4, required="nvlink")
    state = state_of(hall())
    for i in (1, 2, 3):
        state.set_unmanaged(f"r{i}-n1", 1)
    answer = refused(state, request, questions=20)
    assert answer.message == "needs 4 nodes of 8 GPUs in one NVLink domain; r1 has 3 free"
    assert relief(answer, ReliefKind.LEVEL) == Relief(
        kind=ReliefKind.LEVEL, message="require only row", level="row"
    )
    assert starts(state, replace(request, required="row"))


def test_fewer_slots_are_the_most_that_fit() -> None:
    state, request = state_of(ROW, used=8), ask(4, strict=True)
    assert relief(refused(state, request, questions=20), ReliefKind.FEWER_SLOTS) == Relief(
        kind=ReliefKind.FEWER_SLOTS, message="ask for at most 2 nodes", slots=2
    )
    assert starts(state, replace(request, slots=2))
    assert not starts(state, replace(request, slots=3))


def test_fewer_slots_are_whole_segments() -> None:
    state = state_of(replace(hall(), powers=(PowerSpec("row", 77_000),)))
    # 12 kW idle and six slots; in segments of four: one.
    found = relief(refused(state, ask(8, segment_slots=4, strict=True), questions=20), ReliefKind.FEWER_SLOTS)
    assert found.slots == 4


def booked(*sizes: int) -> State:
    """Gangs of these sizes, one after the other, in a row with 12 nodes."""
    state = state_of(hall())
    for i, size in enumerate(sizes):
        answer = place(state, ask(size))
        assert isinstance(answer, Placement)
        state.book(f"research/job-{i}", answer)
    return state


def test_the_end_of_the_smallest_gang_that_is_enough() -> None:
    state, request = booked(1, 3, 2, 5), ask(4)
    # One node is free; of gangs of 1, 2, 3 and 5 nodes the one of 3 is the smallest that makes it four.
    answer = refused(state, request, questions=20)
    assert relief(answer, ReliefKind.GANG_END) == Relief(
        kind=ReliefKind.GANG_END,
        message="wait for gang research/job-1 to end",
        gangs=("research/job-1",),
    )
    state.release("research/job-1")
    assert starts(state, request)


def test_the_end_of_gangs_together() -> None:
    state, request = booked(4, 4, 3), ask(9)
    answer = refused(state, request, questions=20)
    found = relief(answer, ReliefKind.GANG_END)
    assert found.message == "wait for gangs research/job-0 and research/job-1 to end"
    for key in found.gangs:
        assert not starts(state, request)
        state.release(key)
    assert starts(state, request)


def test_the_end_of_a_gang_says_when_it_is_expected() -> None:
    state = booked(4, 8)
    state.expect("research/job-0", NOON + 90 * 60)
    found = relief(refused(state, ask(3), questions=20), ReliefKind.GANG_END)
    assert (found.message, found.at) == (
        "wait for gang research/job-0 to end",
        NOON + 90 * 60,
    )


def test_the_end_of_a_gang_that_holds_the_watts() -> None:
    state = state_of(ROW)
    for key, slots in (("small", 1), ("large", 6)):
        answer = place(state, ask(slots))
        assert isinstance(answer, Placement)
        state.book(f"research/{key}", answer)
    # 12 + 70 kW; five slots more make 132 of 120 kW: the end of the small gang frees 10 kW of the 12.
    found = relief(refused(state, ask(5, strict=True), questions=20), ReliefKind.GANG_END)
    assert found.gangs == ("research/large",)


def test_a_gang_whose_nodes_are_barred_by_the_request_is_not_waited_for() -> None:
    state = booked(4, 4)
    free = {n.name: 1 for n in state.nodes() if state.free_gpus(n.name)}
    # The engine cannot tell a taint from a node in use, so nodes that come free are taken to be allowed.
    assert relief(refused(state, ask(8, capacity=free), questions=20), ReliefKind.GANG_END).gangs == (
        "research/job-0",
    )


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        (ElementKind.RACK, "r2", "rack r2"),
        (ElementKind.NVLINK_DOMAIN, "r2", "NVLink domain r2"),
        (ElementKind.NODE, "r2-n3", "node r2-n3"),
    ],
)
def test_what_has_to_come_back(kind: ElementKind, name: str, words: str) -> None:
    whole = replace(hall(), domains=tuple(DomainSpec(f"r{i}") for i in (1, 2, 3)))
    spec, request = whole, ask(12)
    if kind is ElementKind.RACK:
        racks = tuple(replace(r, schedulable=r.name != name) for r in spec.racks)
        spec = replace(spec, racks=racks)
    if kind is ElementKind.NVLINK_DOMAIN:
        spec = replace(spec, domains=tuple(DomainSpec(d.name, d.name != name) for d in spec.domains))
    state = state_of(spec)
    if kind is ElementKind.NODE:
        state.set_node(NodeSpec(name, "r2", "r2", (("row", "row-1"),), healthy=False))
    before = state.loads.copy()
    found = relief(refused(state, request, questions=20), ReliefKind.RETURN)
    assert (found.message, found.returns) == (
        f"bring {words} back into service",
        (Element(kind, name),),
    )
    assert state.loads.tolist() == before.tolist()
    assert starts(state_of(whole), request)


def test_as_few_nodes_come_back_as_are_missing() -> None:
    state = state_of(hall())
    for i in (1, 2, 3):
        state.set_node(NodeSpec(f"r3-n{i}", "r3", "r3", (("row", "row-1"),), healthy=False))
    found = relief(refused(state, ask(11), questions=20), ReliefKind.RETURN)
    assert found.message == "bring nodes r3-n1 and r3-n2 back into service"
    assert found.returns == (Element(ElementKind.NODE, "r3-n1"), Element(ElementKind.NODE, "r3-n2"))


def test_nodes_that_have_to_come_free() -> None:
    answer = refused(booked(4, 4), ask(7))
    assert answer.message == "needs 7 nodes of 8 GPUs; the facility has 4 free"
    assert answer.reliefs == (
        Relief(
            kind=ReliefKind.NODES, message="free 3 more nodes in the facility", domain="the facility", slots=3
        ),
    )


def test_nodes_that_come_free_help_only_as_far_as_their_watts_go() -> None:
    # 12 + 40 kW with eight nodes at MaxQ. Eight slots on four of them and the four free ones: 52 - 20 + 80 = 112 kW;
    # five slots on one of them and the free ones: 52 - 5 + 50 = 97 kW.
    spec = replace(hall(), powers=(PowerSpec("row", 105_000),))
    state = state_of(spec)
    answer = place(state, ask(8, power_profile="MaxQ"))
    assert isinstance(answer, Placement)
    state.book("research/slow", answer)
    assert refused(state, ask(8, strict=True)).relief == "other gangs have to end first"
    assert refused(state, ask(5, strict=True)).relief == "free 1 more node in the facility"


def test_no_search_is_made_unless_it_is_asked_for() -> None:
    state = booked(1, 3, 2, 5)
    assert kinds(refused(state, ask(4))) == [ReliefKind.NODES]
    assert kinds(refused(state, ask(4), questions=20)) == [
        ReliefKind.GANG_END,
        ReliefKind.NODES,
        ReliefKind.FEWER_SLOTS,
    ]


def test_what_never_fits_says_how_it_would() -> None:
    answer = refused(state_of(hall()), ask(13, required="row"))
    assert (answer.misfit, answer.relief) == (True, "ask for at most 12 nodes")
    assert [(r.kind, r.now, r.slots) for r in answer.reliefs] == [(ReliefKind.FEWER_SLOTS, False, 12)]
