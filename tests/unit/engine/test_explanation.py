"""Which limit a refusal names, in whole sentences, with the numbers worked out beside them.

The hall has racks of four nodes. A node draws 1 kW idle and 11 kW at most, so a slot adds 10 kW, and 5 kW at MaxQ.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.engine.explaining.phrases import against, kilowatts, kilowatts_up, several, shortened, span
from rackplane.engine.model import (
    BudgetSpec,
    Cause,
    CoolingSpec,
    CoolingUnit,
    FacilitySpec,
    Feed,
    LevelCount,
    Medium,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Refusal,
    RefusalKind,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.reasons import ElementKind, Tightest
from rackplane.engine.state import State

GPU = "nvidia.com/gpu"
TYPE = NodeType(
    "box",
    GPU,
    8,
    idle_watts=1_000,
    max_watts=11_000,
    liquid_heat_percent=80,
    nvlink_scope=NvlinkScope.LABEL,
    caps=(PowerCap("MaxP", 11_000), PowerCap("MaxQ", 6_000, 80)),
)
WIDE = 10_000_000
NOON = 1_795_262_400.0
"""2026-11-21 12:00 UTC."""
HOUR = 3600.0


def hall(racks: int = 3, *, feeds: tuple[str, ...] = ("row",), **rack: object) -> FacilitySpec:
    """A row of so many racks on these power domains, which carry whatever comes."""
    return FacilitySpec(
        node_types=(TYPE,),
        racks=tuple(
            replace(RackSpec(f"r{i}", "box", 0, WIDE, tuple(Feed(f) for f in feeds)), **rack)  # type: ignore[arg-type]
            for i in range(1, racks + 1)
        ),
        powers=tuple(PowerSpec(f, WIDE) for f in feeds),
        levels=("row",),
    )


def state_of(spec: FacilitySpec, *, used: int = 0) -> State:
    """All nodes idle but the first so many, which one gang holds."""
    nodes = [
        NodeSpec(f"{r.name}-n{i}", r.name, r.name, (("row", f"row-{1 + k // 3}"),))
        for k, r in enumerate(spec.racks)
        for i in range(1, 5)
    ]
    state = State(compile_facility(spec), nodes)
    assert state.facility.problems == ()
    if used:
        answer = place(state, ask(used, capacity={n.name: 1 for n in nodes[:used]}))
        assert isinstance(answer, Placement)
        state.book("research/first", answer)
    return state


def ask(slots: int, **more: object) -> Request:
    return Request(**{"slots": slots, "gpus_per_slot": 8, "resource": GPU, **more})  # type: ignore[arg-type]


def refused(state: State, request: Request, *, questions: int = 0) -> Refusal:
    answer = place(state, request, questions=questions)
    assert isinstance(answer, Refusal), answer
    return answer


def test_the_normal_state() -> None:
    # 12 nodes idle at 12 kW, 8 of them busy with 80 kW more: 92 kW. Four more slots add 40 kW: 132 of 120 kW.
    state = state_of(replace(hall(), powers=(PowerSpec("row", 120_000),)), used=8)
    answer = refused(state, ask(4, strict=True))
    assert (
        answer.message == "needs 40 kW more; that would put power domain row at 132 kW of 120 kW (12 kW over)"
    )
    assert answer.relief == "at MaxQ it would fit now (20 percent slower), or free 12 kW on power domain row"
    assert (answer.kind, answer.cause, answer.misfit) == (RefusalKind.UNPLACEABLE, Cause.POWER, False)
    assert answer.tightest == Tightest(
        level="facility",
        domain="the facility",
        kind=ElementKind.POWER_DOMAIN,
        name="row",
        load_watts=132_000,
        limit_watts=120_000,
        normal_limit_watts=120_000,
        over_watts=12_000,
        needed_watts=40_000,
        added_watts=40_000,
    )
    assert answer.counts == (
        LevelCount("NVLink domain", 3, {Cause.NODES: 2, Cause.POWER: 1}, {"continuous rating": 1}),
        LevelCount("facility", 1, {Cause.POWER: 1}, {"continuous rating": 1}),
    )


def pair(watts: int, **more: object) -> FacilitySpec:
    """Three racks on two power domains of so many watts, each of which carries all when the other is lost."""
    powers = tuple(PowerSpec(n, watts, survivable=True, **more) for n in ("ups-a", "ups-b"))  # type: ignore[arg-type]
    return replace(hall(feeds=("ups-a", "ups-b")), powers=powers)


def test_a_loss() -> None:
    # Normally 66 kW on each; after the loss of ups-a all of 12 + 80 + 40 = 132 kW on ups-b.
    answer = refused(state_of(pair(120_000), used=8), ask(4, required="row", strict=True))
    assert answer.message == (
        "needs 40 kW more in row-1; losing ups-a would put ups-b at 132 kW of 120 kW (12 kW over)"
    )
    assert answer.tightest is not None
    assert (answer.tightest.lost, answer.tightest.added_watts) == ("ups-a", 40_000)
    assert answer.counts == (
        LevelCount("NVLink domain", 3, {Cause.NODES: 2, Cause.POWER: 1}, {"continuous rating": 1}, 1),
        LevelCount("row", 1, {Cause.POWER: 1}, {"continuous rating": 1}, 1),
    )


def test_a_large_hall_in_whole_kilowatts() -> None:
    """One GB300 rack (22 kW idle, 100.8 kW more in use) on two UPS that would each stand at 2.4 MW without it."""
    gb300 = NodeType("gb300", GPU, 4, 1_000, 6_600, nvlink_scope=NvlinkScope.LABEL)
    ups = {"rated_watts": 2_400_000, "base_load_watts": 1_189_000, "survivable": True}
    spec = FacilitySpec(
        node_types=(gb300,),
        racks=tuple(
            RackSpec(f"r{i}", "gb300", 4_000, WIDE, (Feed("ups-a"), Feed("ups-b"))) for i in range(1, 3)
        ),
        powers=tuple(PowerSpec(n, **ups) for n in ("ups-a", "ups-b")),  # type: ignore[arg-type]
        levels=("row",),
    )
    nodes = [NodeSpec(f"r2-n{i}", "r2", "r2", (("row", "row-3"),)) for i in range(18)]
    state = State(compile_facility(spec), nodes)
    # ups-b after the loss: 1,189 base + 4 (empty rack) + 22 idle + 100.8 = 1,315.8 kW of its rating, lowered to 1,215.
    tight = replace(spec, powers=tuple(replace(p, rated_watts=1_215_000) for p in spec.powers))
    assert isinstance(place(state, ask(18, gpus_per_slot=4)), Placement)
    answer = refused(State(compile_facility(tight), nodes), ask(18, gpus_per_slot=4, required="row"))
    assert answer.message == (
        "needs 100.8 kW more in row-3; losing ups-a would put ups-b at 1,316 kW of 1,215 kW (101 kW over)"
    )
    assert answer.relief == "raise power domain ups-b by 100.8 kW and power domain ups-a by 100.8 kW"


def test_peak_draw() -> None:
    # At 150 percent a node peaks at 16.5 kW, 15.5 kW over idle: 12 + 4 x 15.5 = 74 kW of a 70 kW peak limit.
    spec = replace(
        hall(),
        node_types=(replace(TYPE, peak_percent=150),),
        powers=(PowerSpec("row", WIDE, peak_limit_watts=70_000),),
    )
    answer = refused(state_of(spec), ask(4, strict=True))
    assert answer.message == (
        "needs 62 kW more at peak; that would put power domain row at a peak of 74 kW of 70 kW (4 kW over)"
    )
    assert answer.tightest is not None and answer.tightest.peak
    assert answer.counts[1].limits == {"peak limit": 1}


def test_the_limit_of_a_rack() -> None:
    # 4 kW idle and 40 kW more in the one rack that has to take all.
    answer = refused(state_of(hall(limit_watts=40_000)), ask(4, required="nvlink", strict=True))
    assert answer.message == "needs 40 kW more in r1; that would put rack r1 at 44 kW of 40 kW (4 kW over)"
    assert answer.tightest is not None
    assert (answer.tightest.kind, answer.tightest.name) == (ElementKind.RACK, "r1")
    assert answer.counts == (LevelCount("NVLink domain", 3, {Cause.POWER: 3}, {"rack limit": 3}),)


def test_the_limit_of_a_feed() -> None:
    # Half of 44 kW over each feed; feeds are bounded at peak, which is the nominal draw here.
    feeds = (Feed("a"), Feed("b", limit_watts=20_000))
    answer = refused(state_of(fed(feeds)), ask(4, required="nvlink", strict=True))
    assert answer.message == (
        "needs 40 kW more at peak in r1; that would put the feed of rack r1 from b at a peak of 22 kW of 20 kW "
        "(2 kW over)"
    )
    assert answer.tightest is not None
    assert (answer.tightest.name, answer.tightest.feed, answer.tightest.added_watts) == ("r1", "b", 20_000)
    assert answer.counts[0].limits == {"feed limit": 3}


def fed(feeds: tuple[Feed, ...]) -> FacilitySpec:
    spec = hall(feeds=tuple(f.power for f in feeds))
    return replace(spec, racks=tuple(replace(r, feeds=feeds) for r in spec.racks))


def cooled(*units: CoolingUnit, medium: Medium = Medium.LIQUID, needed: int = 1) -> FacilitySpec:
    zone = CoolingSpec("cdu", medium, units, needed)
    spec = replace(hall(), coolings=(zone,))
    liquid, air = ("cdu", None) if medium is Medium.LIQUID else (None, "cdu")
    return replace(spec, racks=tuple(replace(r, liquid=liquid, air=air) for r in spec.racks))


def test_liquid_cooling() -> None:
    # 80 percent of 12 + 80 + 40 kW is 105.6 kW of heat; the gang's part of it is 32 kW.
    answer = refused(state_of(cooled(CoolingUnit("u", 100_000)), used=8), ask(4, strict=True))
    assert answer.message == (
        "needs 32 kW more liquid cooling; that would put cooling zone cdu (liquid) at 105.6 kW of 100.0 kW "
        "(5.6 kW over)"
    )
    assert (answer.cause, answer.counts[1]) == (Cause.LIQUID, LevelCount("facility", 1, {Cause.LIQUID: 1}))


def test_air_cooling() -> None:
    # 20 percent: 26.4 kW of heat, 8 kW of it the gang's.
    answer = refused(
        state_of(cooled(CoolingUnit("u", 26_000), medium=Medium.AIR), used=8), ask(4, strict=True)
    )
    assert answer.message == (
        "needs 8 kW more air cooling; that would put cooling zone cdu (air) at 26.4 kW of 26.0 kW (0.4 kW over)"
    )
    assert answer.cause is Cause.AIR


def test_a_power_loss_that_takes_cooling_with_it() -> None:
    # Two units of 60 kW, both needed, one on each UPS: the loss of a UPS leaves 60 kW for 80 % of 92 kW = 73.6 kW.
    spec = replace(
        pair(1_000_000),
        coolings=(
            CoolingSpec(
                "row-1-liquid",
                Medium.LIQUID,
                (
                    CoolingUnit("u1", 60_000, feeds=(Feed("ups-a"),)),
                    CoolingUnit("u2", 60_000, feeds=(Feed("ups-b"),)),
                ),
                2,
            ),
        ),
    )
    spec = replace(spec, racks=tuple(replace(r, liquid="row-1-liquid") for r in spec.racks))
    answer = refused(state_of(spec, used=4), ask(4, strict=True))
    assert answer.message == (
        "needs 32 kW more liquid cooling; losing ups-a leaves cooling zone row-1-liquid 60 kW; it would have 74 kW "
        "(14 kW over)"
    )
    assert answer.tightest is not None
    assert (answer.tightest.limit_watts, answer.tightest.normal_limit_watts) == (60_000, 120_000)


def test_a_budget_in_force() -> None:
    spec = replace(hall(), budgets=(BudgetSpec("contract", ("row",), (), 120_000),))
    answer = refused(state_of(spec, used=8), ask(4, strict=True))
    assert answer.message == (
        "needs 40 kW more; that would put PowerBudget contract at 132 kW of 120 kW (12 kW over)"
    )
    assert (answer.cause, answer.counts[1]) == (Cause.BUDGET, LevelCount("facility", 1, {Cause.BUDGET: 1}))


def test_a_budget_that_comes() -> None:
    order = BudgetSpec(
        "grid-order", ("row",), (), 120_000, starts_at=NOON + 2 * HOUR, ends_at=NOON + 5 * HOUR
    )
    state = state_of(replace(hall(), budgets=(order,)), used=8)
    answer = refused(state, ask(4, strict=True))
    assert answer.message == (
        "needs 40 kW more; PowerBudget grid-order holds row to 120 kW from 2026-11-21 14:00 to 17:00 UTC; "
        "that would put it at 132 kW of 120 kW (12 kW over)"
    )
    assert answer.tightest is not None
    assert (answer.tightest.starts_at, answer.tightest.ends_at) == (NOON + 2 * HOUR, NOON + 5 * HOUR)


def test_a_second_loss() -> None:
    # Three UPS, each feed of a rack with its neighbour; ups-a is out: what was shared by three is on two.
    names = ("ups-a", "ups-b", "ups-c")
    spec = hall(feeds=names)
    powers = tuple(PowerSpec(n, 110_000, survivable=True, online=n != "ups-a") for n in names)
    answer = refused(state_of(replace(spec, powers=powers), used=8), ask(4, strict=True))
    assert answer.message == (
        "needs 40 kW more; ups-a is out of service; losing ups-b too would put ups-c at 132 kW of 110 kW (22 kW over)"
    )
    assert answer.tightest is not None
    assert (answer.tightest.lost, answer.tightest.out_of_service) == ("ups-b", ("ups-a",))
    # With all three in service the loss of one leaves half of 132 kW on each of the others.
    whole = replace(spec, powers=tuple(replace(p, online=True) for p in powers))
    assert isinstance(place(state_of(whole, used=8), ask(4, strict=True)), Placement)


def test_racks_that_fit_alone_and_not_together() -> None:
    """Two rows of three racks: each takes 6 slots of 12, the gang needs 14 of 24, so that no row alone is to blame."""
    spec = hall(6)
    racks = tuple(replace(r, feeds=(Feed("row-1" if i < 3 else "row-2"),)) for i, r in enumerate(spec.racks))
    powers = (PowerSpec("row-1", 72_000), PowerSpec("row-2", 72_000))  # 12 kW idle + 6 x 10 kW
    answer = refused(state_of(replace(spec, racks=racks, powers=powers)), ask(14, strict=True))
    # 6 slots in each row; of the 2 others one more each would be too many: both on row-1 make 92 kW.
    assert answer.message == (
        "needs 14 nodes of 8 GPUs; the facility has 24 free; with 12 placed, 2 more would put power domain row-1 at "
        "92 kW of 72 kW (20 kW over)"
    )
    assert answer.tightest is not None
    assert (answer.tightest.name, answer.tightest.added_watts) == ("row-1", 80_000)


def test_what_never_fits_is_told_apart_from_what_does_not_fit_now() -> None:
    spec = replace(hall(), powers=(PowerSpec("row", 120_000),))
    # 12 slots at MaxP need 132 kW even of an idle row; at MaxQ they need 72 kW.
    never = refused(state_of(spec), ask(12, strict=True))
    assert never.misfit
    assert (
        never.message == "needs 120 kW more; that would put power domain row at 132 kW of 120 kW (12 kW over)"
    )
    assert never.relief == "at MaxQ it would fit now (20 percent slower), or raise power domain row by 12 kW"
    # 10 slots fit an idle row, not one in which two run.
    now = refused(state_of(spec, used=1), ask(11, strict=True))
    assert (now.misfit, now.kind) == (True, RefusalKind.UNPLACEABLE)
    assert not refused(state_of(spec, used=2), ask(10, strict=True)).misfit
    # What is out of service may come back.
    out = replace(spec, powers=(*spec.powers, PowerSpec("spare", 1, online=False)))
    assert not refused(state_of(out), ask(12, strict=True)).misfit


def test_a_profile_that_no_rack_there_has() -> None:
    other = replace(TYPE, name="other", caps=(PowerCap("MaxP", 11_000), PowerCap("Eco", 4_000, 60)))
    spec = replace(hall(2), node_types=(TYPE, other))
    spec = replace(spec, racks=(spec.racks[0], replace(spec.racks[1], node_type="other", schedulable=False)))
    answer = refused(state_of(spec), ask(1, power_profile="Eco", strict=True))
    assert (answer.cause, answer.message) == (
        Cause.NODES,
        "needs 1 node of 8 GPUs; the facility has 0 free (besides, 8 in racks that are not usable)",
    )


@pytest.mark.parametrize(
    ("load", "limit", "text"),
    [
        (2_500_800, 2_400_000, "2,501 kW of 2,400 kW (101 kW over)"),
        (1_230_000, 1_200_000, "1,230 kW of 1,200 kW (30 kW over)"),
        (1_200_400, 1_200_000, "1,200.4 kW of 1,200.0 kW (0.4 kW over)"),
        (1_200_005, 1_200_000, "1,200.005 kW of 1,200.000 kW (5 W over)"),
        # 2,400.4 - 2,299.6 is 100.8: whole kilowatts would read 2,400 - 2,300 = 101.
        (2_400_400, 2_299_600, "2,400.4 kW of 2,299.6 kW (100.8 kW over)"),
        (5_000, 0, "5 kW of 0 kW (5 kW over)"),
        # Whole kilowatts would read 8 kW of 6 kW.
        (7_500, 5_500, "7.5 kW of 5.5 kW (2.0 kW over)"),
    ],
)
def test_sums_come_out(load: int, limit: int, text: str) -> None:
    assert against(load, limit) == text


def test_amounts() -> None:
    assert [kilowatts(w) for w in (0, 7, 99.6, 100, 19_488, 100_800, 5_000_000)] == [
        "0 kW",
        "7 W",
        "100 W",
        "0.1 kW",
        "19.5 kW",
        "100.8 kW",
        "5,000 kW",
    ]
    assert [kilowatts_up(w) for w in (7.2, 12_608, 80_800)] == ["8 W", "12.7 kW", "80.8 kW"]


def test_of_many_objects_a_sentence_names_three() -> None:
    names = ["n1", "n2", "n3", "n4", "n5"]
    assert [shortened(names[:n]) for n in (1, 2, 4, 5)] == [
        "n1",
        "n1 and n2",
        "n1, n2, n3 and n4",
        "n1, n2, n3 and 2 more",
    ]
    nodes = [(ElementKind.NODE, name) for name in names]
    assert several(nodes) == "nodes n1, n2, n3 and 2 more"
    assert several([(ElementKind.RACK, "r1"), *nodes]) == "rack r1, node n1, node n2 and 3 more"


def test_spans() -> None:
    assert span(NOON, NOON + HOUR) == " from 2026-11-21 12:00 to 13:00 UTC"
    assert span(NOON, NOON + 20 * HOUR) == " from 2026-11-21 12:00 to 2026-11-22 08:00 UTC"
    assert span(NOON, None) == " from 2026-11-21 12:00 UTC"
    assert (span(None, NOON), span(None, None)) == (" until 2026-11-21 12:00 UTC", "")
