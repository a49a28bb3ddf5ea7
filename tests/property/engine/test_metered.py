"""Gangs that count at no more than is known of them: loads against a sum by hand, and limits that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    Group,
    Metered,
    NodeSpec,
    NodeType,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import find
from rackplane.engine.shedding.relieving import relieve
from rackplane.engine.shedding.terms import Disruption, Terms
from rackplane.engine.state import State
from tests.support.thorough import some

IDLE, UTILIZATION, PEAK = 1_000, 80, 110
CAPS = {"MaxP": 5_000, "MaxQ": 3_600}
NODE = NodeType(
    "n", "gpu", 4, IDLE, 5_000, UTILIZATION, PEAK, caps=tuple(PowerCap(n, w, 80) for n, w in CAPS.items())
)
RACKS, NODES = 3, 3


def hall(watts: int, peak: int) -> State:
    """Three racks of three nodes on two feeds, either of which may be lost."""
    feeds = (Feed("a"), Feed("b"))
    spec = FacilitySpec(
        (NODE,),
        tuple(RackSpec(f"r{r}", "n", 0, 100_000, feeds) for r in range(RACKS)),
        tuple(PowerSpec(p, watts, 100, peak, survivable=True) for p in "ab"),
    )
    nodes = [NodeSpec(f"r{r}-{n}", f"r{r}") for r in range(RACKS) for n in range(NODES)]
    return State(compile_facility(spec), nodes)


def drawn(gpus: int, profile: str, known: Mapping[str, int]) -> tuple[int, int]:
    """Nominal and peak watts over idle of one node, from the definitions alone."""
    cap = CAPS[profile]
    nominal = -(-UTILIZATION * (cap - IDLE) // 100)
    peak = max(nominal, -(-cap * PEAK // 100) - IDLE)
    nominal, peak = -(-nominal * gpus // 4), -(-peak * gpus // 4)
    return (min(nominal, max(0, known["n"] - IDLE)) if gpus == 4 and "n" in known else nominal), peak


WATTS = st.one_of(st.none(), st.integers(500, 6_000))
GANGS = st.lists(
    st.tuples(
        st.integers(1, 4), st.sampled_from([2, 4]), st.sampled_from(sorted(CAPS)), WATTS, st.booleans()
    ),
    min_size=1,
    max_size=6,
)


def test_what_is_placed_keeps_every_limit_and_every_sum_is_that_by_hand() -> None:
    seen = {"placed": 0, "less": 0, "capped": 0}

    @seed(0)
    @settings(max_examples=some(100), deadline=None, database=None)
    @given(st.integers(15_000, 45_000), st.integers(0, 20_000), GANGS)
    def equal(watts: int, more: int, gangs: list[tuple[int, int, str, int | None, bool]]) -> None:
        state, held = hall(watts, watts + more), dict[str, Placement]()
        for i, (slots, gpus, profile, known, leaves) in enumerate(gangs):
            metered: Metered = () if known is None else (("n", known),)
            request = Request(
                slots=slots,
                gpus_per_slot=gpus,
                resource="gpu",
                power_profile=profile,
                strict=True,
                metered=((profile, metered),),
            )
            place = find(state, request)
            if place is None:
                continue
            state.book(f"g{i}", place)
            assert state.violations() == []
            state.validate()
            reserved = state.reserved(f"g{i}")
            assert (reserved.nominal_watts, reserved.peak_watts) == (place.nominal_watts, place.peak_watts)
            held[f"g{i}"] = place
            seen["placed"] += 1
            if leaves:
                with state.simulation():
                    state.release(f"g{i}", [0])
                    state.validate()
                state.validate()
        nominal, peak = [NODES * IDLE] * RACKS, [NODES * IDLE] * RACKS
        for place in held.values():
            of_type = dict(place.metered)
            by_node: dict[str, int] = {}
            for node in place.slots:
                by_node[node] = by_node.get(node, 0) + place.gpus_per_slot
            for node, gpus in by_node.items():
                one = drawn(gpus, place.power_profile, of_type)
                seen["less"] += one != drawn(gpus, place.power_profile, {})
                nominal[int(node[1])] += one[0]
                peak[int(node[1])] += one[1]
        assert (state.nominal.tolist(), state.peak.tolist()) == (nominal, peak)
        # A cap that frees less, because little is drawn, is not counted on for more.
        for key, place in held.items():
            if place.power_profile != "MaxP":
                continue
            before = state.reserved(key).nominal_watts
            with state.simulation():
                state.rebook(key, _at(place, "MaxQ"), range(len(place.slots)), force=True)
                assert state.reserved(key).nominal_watts <= before
                state.validate()
            seen["capped"] += 1

    equal()
    assert min(seen.values()) > some(20), seen


def _at(place: Placement, profile: str) -> Placement:
    return replace(place, power_profile=profile)


def test_a_shed_plan_does_not_count_on_watts_that_a_gang_does_not_draw() -> None:
    spec = FacilitySpec(
        (NODE,),
        tuple(RackSpec(f"r{r}", "n", 0, 100_000, (Feed("a"),)) for r in range(RACKS)),
        (PowerSpec("a", 22_000, 100, 100_000),),
    )
    nodes = [NodeSpec(f"r{r}-{n}", f"r{r}") for r in range(RACKS) for n in range(NODES)]
    state = State(compile_facility(spec), nodes)
    for i, known in enumerate(((("n", 3_000),), ())):
        slots = tuple(f"r{i}-{n}" for n in range(NODES))
        state.book(
            f"g{i}",
            Placement(
                slots=slots,
                groups=(Group("", f"r{i}", slots),),
                gpus_per_slot=4,
                power_profile="MaxP",
                nominal_watts=0,
                peak_watts=0,
                liquid_watts=0,
                air_watts=0,
                metered=known,
            ),
            force=True,
        )
    terms = {
        key: Terms(Disruption.SHEDDABLE, 0, strict=False, stoppable=False, lost_gpu_seconds=1)
        for key in ("g0", "g1")
    }
    # 9 kW idle, 3 x 2 kW by what is known, 3 x 3.2 kW by its profile: 2.6 kW too much. At MaxQ a node adds 2.08 kW.
    plan = relieve(state, terms, coming={}, spare_protected=True, may_stop=False, best_effort=set())
    assert [(m.gang, m.profile) for m in plan.measures] == [("g1", "MaxQ")]
