"""Drills and capacities on random halls, against the plainest way to get the same answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.model import FacilitySpec, Feed, Placement, Refusal, Request, Role
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.physics.rows import LimitRow
from rackplane.engine.placing.placement import place
from rackplane.engine.planning.capacity import largest
from rackplane.engine.planning.drill import drill
from rackplane.engine.planning.lint import lint
from rackplane.engine.planning.whatif import PowerChange
from rackplane.engine.shedding.relieving import relieve
from rackplane.engine.shedding.terms import Disruption, Plan, Terms
from rackplane.engine.state import State
from tests.support.halls import GPU, NODES, TYPE, gang, idle, rack, ups
from tests.support.thorough import some

NO_RELIEF: dict[str, Any] = {"relief": "", "reliefs": ()}
RATINGS = st.integers(min_value=2, max_value=30).map(lambda n: n * 100_000)
ROLES = st.sampled_from([Role.ACTIVE, Role.ACTIVE, Role.STANDBY])


@st.composite
def halls(draw: st.DrawFn) -> FacilitySpec:
    """Two to four UPSs of any rating, some of them out, and up to five rows on any of them in any roles."""
    letters = "abcd"[: draw(st.integers(2, 4))]
    powers = tuple(
        replace(ups(x, draw(RATINGS)), survivable=draw(st.booleans()), online=draw(st.integers(0, 5)) > 0)
        for x in letters
    )
    racks = []
    for i in range(draw(st.integers(1, 5))):
        names = draw(st.lists(st.sampled_from(letters), min_size=1, max_size=3, unique=True))
        feeds = tuple(Feed(f"ups-{x}", draw(st.integers(1, 3)), draw(ROLES)) for x in names)
        racks.append(replace(rack(str(i), "a"), feeds=feeds, limit_watts=draw(RATINGS)))
    return FacilitySpec((TYPE,), tuple(racks), powers)


@st.composite
def busy(draw: st.DrawFn) -> State:
    """A hall with gangs on some of its rows, whatever the limits say."""
    state = idle(draw(halls()))
    for r in state.facility.racks:
        nodes = draw(st.integers(0, NODES))
        if nodes:
            profile = draw(st.sampled_from(["MaxP", "MaxQ"]))
            state.book(r.name, gang(r.name, nodes, profile=profile), force=True)
    return state


TERMS = st.builds(Terms, st.sampled_from(list(Disruption)), st.integers(0, 2), st.booleans())


def normal_excess(state: State) -> dict[LimitRow, float]:
    """Watts over, by exceeded limit of the normal state."""
    over = [v for v in state.violations() if v.contingency.normal]
    return {v.row: v.load_watts - v.limit_watts for v in over}


def rounded(watts: dict[LimitRow, float]) -> dict[LimitRow, float]:
    return {row: round(value, 2) for row, value in watts.items()}


def compiled_offline(state: State, name: str) -> State:
    spec = state.facility.spec
    powers = tuple(replace(p, online=p.online and p.name != name) for p in spec.powers)
    after = State(compile_facility(replace(spec, powers=powers)), list(state.nodes()))
    for key in list(state.keys()):
        placement = state.booking(key)
        assert placement is not None
        after.book(key, placement, force=True)
    return after


@settings(max_examples=some(150), deadline=None)
@given(busy(), st.sampled_from("abcd"))
def test_a_drill_finds_what_the_facility_without_the_element_shows(state: State, letter: str) -> None:
    found = drill(state, [PowerChange(f"ups-{letter}")])
    after = compiled_offline(state, f"ups-{letter}")
    expected = [v for v in after.violations() if v.contingency.normal]
    assert sorted((*found.over, *found.already), key=repr) == sorted(expected, key=repr)
    unfed = {r.name for i, r in enumerate(after.facility.racks) if not after.facility.usable(i)}
    fed = {r.name for i, r in enumerate(state.facility.racks) if state.facility.usable(i)}
    assert set(found.dark) == unfed & fed
    assert set(found.ended) == {key for key in state.keys() if key in found.dark}  # noqa: SIM118


@settings(max_examples=some(150), deadline=None)
@given(busy(), st.lists(TERMS, min_size=5, max_size=5))
def test_no_measure_of_a_plan_can_be_left_out_and_what_remains_nothing_could_help(
    state: State, terms: list[Terms]
) -> None:
    by_key = {r.name: t for r, t in zip(state.facility.racks, terms, strict=False)}
    plan = relieve(state, by_key)

    def excess(without: str = "") -> dict[LimitRow, float]:
        with state.simulation():
            for m in plan.measures:
                placement = state.booking(m.gang)
                assert placement is not None
                if m.gang == without:
                    continue
                state.release(m.gang)
                if not m.stops:
                    state.book(m.gang, replace(placement, power_profile=m.profile), force=True)
            return normal_excess(state)

    remaining = {v.row: v.load_watts - v.limit_watts for v in plan.remaining}
    # Sums of watts are taken in another order.
    assert rounded(excess()) == rounded(remaining)
    for m in plan.measures:
        more = excess(m.gang)
        assert any(more[k] > remaining.get(k, 0.0) + TOLERANCE_WATTS for k in more), m
    if remaining:
        with state.simulation():
            for key in list(state.keys()):
                state.release(key)
            least = normal_excess(state)
        assert rounded(remaining) == rounded(least)
    if not state.violations():
        assert plan == Plan((), ())


@settings(max_examples=some(80), deadline=None)
@given(busy(), st.sampled_from(["MaxP", "MaxQ"]), st.sampled_from([1, 2, 3, 4]), st.sampled_from([None, 2]))
def test_the_largest_gang_fits_and_one_slot_more_does_not(
    state: State, profile: str, gpus: int, segment: int | None
) -> None:
    request = Request(
        slots=1, gpus_per_slot=gpus, resource=GPU, power_profile=profile, strict=True, segment_slots=segment
    )
    best, refusal = largest(state, request)
    slots = 0 if best is None else len(best.slots)
    # What would help is left out where it takes a search.
    assert replace(cast(Refusal, place(state, replace(request, slots=slots + 1))), **NO_RELIEF) == replace(
        refusal, **NO_RELIEF
    )
    if best is not None:
        assert place(state, replace(request, slots=slots)) == best
        state.book("largest", best)
        assert isinstance(best, Placement)
        assert best.power_profile == profile


@settings(max_examples=some(150), deadline=None)
@given(halls())
def test_a_check_complains_of_the_same_limits_as_the_hall_idle_and_full(spec: FacilitySpec) -> None:
    state = idle(spec)
    findings = lint(state.facility, {r.name: NODES for r in spec.racks})
    idle_over = {v.row.element for v in state.violations()}
    assert {n for f in findings if f.rule == "idle-overload" for n in f.names} == idle_over
    for r in spec.racks:
        if state.facility.usable(state.facility.rack_index[r.name]):
            state.book(r.name, gang(r.name), force=True)
    dead = {r.name for i, r in enumerate(spec.racks) if not state.facility.usable(i)}
    full_over = {v.row.element for v in state.violations()} - dead
    overloads = ("idle-overload", "oversubscribed", "unbalanced", "rack-over-limit")
    assert {n for f in findings if f.rule in overloads for n in f.names} - dead == full_over
    assert {n for f in findings if f.rule == "unreachable" for n in f.names} == dead
