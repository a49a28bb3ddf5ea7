"""One row of eight GB300 NVL72 racks (reference/power.md, E1), in whole values.

144 nodes; idle 1,000 W and 6,600 W at most each; 4,000 W of switches a rack.  A rack idles at 4 + 18 = 22 kW; with
all nodes at 6,600 W it draws 122.8 kW.  The row's busway carries 1.2 MW with 64 kW of network on it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.engine.model import (
    BookingError,
    BudgetSpec,
    Cause,
    CoolingSpec,
    CoolingUnit,
    DomainSpec,
    FacilitySpec,
    Feed,
    Group,
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
from rackplane.engine.physics.rows import NORMAL, LimitRow, RowKind
from rackplane.engine.placing.placement import place
from rackplane.engine.reasons import ElementKind, ElementWatts, Relief, ReliefKind, Tightest
from rackplane.engine.reporting.reports import (
    BudgetReport,
    CoolingReport,
    DomainReport,
    PowerReport,
    RackReport,
    Redundancy,
    WorstCase,
)
from rackplane.engine.state import State

GPU = "nvidia.com/gpu"
TYPE = NodeType(
    "gb300",
    GPU,
    4,
    1000,
    6600,
    100,
    100,
    87,
    NvlinkScope.LABEL,
    (PowerCap("MaxP", 6600), PowerCap("MaxQ", 3200, 70)),
)
RACKS = tuple(f"rack-{i}" for i in range(1, 9))
SPEC = FacilitySpec(
    node_types=(TYPE,),
    racks=tuple(RackSpec(r, "gb300", 4000, 132_000, (Feed("a"), Feed("b")), "liquid", "air") for r in RACKS),
    powers=(
        PowerSpec("row-1", 1_200_000, base_load_watts=64_000),
        PowerSpec("a", 700_000, parents=(Feed("row-1"),), feed_tag="main-a"),
        PowerSpec("b", 700_000, parents=(Feed("row-1"),), feed_tag="main-b"),
    ),
    coolings=(
        CoolingSpec(
            "liquid", Medium.LIQUID, (CoolingUnit("cdu-1", 1_300_000), CoolingUnit("cdu-2", 1_300_000))
        ),
        CoolingSpec("air", Medium.AIR, tuple(CoolingUnit(f"crah-{i}", 110_000) for i in (1, 2, 3)), 2),
    ),
    domains=tuple(DomainSpec(r) for r in RACKS),
    levels=("leaf",),
)
NODES = [NodeSpec(f"{r}-n{i:02}", r, r, (("leaf", "su-1"),)) for r in RACKS for i in range(1, 19)]


def row(spec: FacilitySpec = SPEC, nodes: list[NodeSpec] = NODES) -> State:
    return State(compile_facility(spec), nodes)


def ask(slots: int, **more: object) -> Request:
    return Request(**{"slots": slots, "gpus_per_slot": 4, "resource": GPU, **more})  # type: ignore[arg-type]


def offered(state: State, request: Request) -> Placement:
    answer = place(state, request)
    assert isinstance(answer, Placement), answer
    return answer


def refused(state: State, request: Request) -> Refusal:
    answer = place(state, request)
    assert isinstance(answer, Refusal), answer
    return answer


def worst(kind: RowKind, element: str, load: int, limit: int) -> WorstCase:
    """With nothing survivable, the normal state is the worst there is."""
    return WorstCase(NORMAL, LimitRow(kind, element), load, limit, limit - load)


def rack_report(name: str, *, free: int, draws: int) -> RackReport:
    """Of 18 nodes at full power, where the rack's own limit is the nearest."""
    return RackReport(
        name=name,
        nodes=18,
        gpus=72,
        free_gpus=free,
        nominal_watts=draws,
        peak_watts=draws,
        limit_watts=132_000,
        headroom_watts=132_000 - draws,
        now_headroom_watts=132_000 - draws,
        problem="",
        worst=worst(RowKind.RACK_NOMINAL, name, draws, 132_000),
    )


def power_report(name: str, *, carries: int, of: int) -> PowerReport:
    """With peak draw and peak limit as the nominal ones."""
    return PowerReport(
        name=name,
        live=True,
        usable_watts=of,
        nominal_watts=carries,
        peak_watts=carries,
        peak_limit_watts=of,
        headroom_watts=of - carries,
        worst=worst(RowKind.POWER_NOMINAL, name, carries, of),
    )


def test_an_idle_row() -> None:
    state = row()
    report = state.report()
    assert report.racks["rack-1"] == rack_report("rack-1", free=72, draws=22_000)
    assert report.powers == {
        "row-1": power_report("row-1", carries=240_000, of=1_200_000),
        "a": power_report("a", carries=88_000, of=700_000),
        "b": power_report("b", carries=88_000, of=700_000),
    }
    assert report.coolings == {
        "liquid": CoolingReport(
            "liquid",
            usable_watts=1_300_000,
            heat_watts=153_120,
            headroom_watts=1_146_880,
            worst=worst(RowKind.LIQUID, "liquid", 153_120, 1_300_000),
            units=Redundancy(running=2, needed=1, installed=2),
        ),
        "air": CoolingReport(
            "air",
            usable_watts=220_000,
            heat_watts=22_880,
            headroom_watts=197_120,
            worst=worst(RowKind.AIR, "air", 22_880, 220_000),
            units=Redundancy(running=3, needed=2, installed=3),
        ),
    }
    assert report.domains == {r: DomainReport(r, 18, 18, 72) for r in RACKS}
    assert report.budgets == {}
    assert state.violations() == []


def test_one_full_rack() -> None:
    state = row()
    answer = offered(state, ask(18, required="nvlink"))
    names = tuple(f"rack-1-n{i:02}" for i in range(1, 19))
    assert answer == Placement(
        slots=names,
        groups=(Group("rack-1", "rack-1", names),),
        gpus_per_slot=4,
        power_profile="MaxP",
        nominal_watts=100_800,
        peak_watts=100_800,
        liquid_watts=87_696,
        air_watts=13_104,
        relative_performance_percent=100,
    )
    state.book("g", answer)
    assert state.report().racks["rack-1"] == rack_report("rack-1", free=0, draws=122_800)
    state.release("g", range(9))
    assert state.reserved("g").nominal_watts == 50_400
    assert state.held("g") == {i: names[i] for i in range(9, 18)}
    state.release("g")
    assert state.booking("g") is None
    assert state.loads.tolist() == row().loads.tolist()
    state.validate()


def test_the_whole_row_fits_and_a_smaller_budget_offers_the_lower_profile() -> None:
    assert offered(row(), ask(144)).nominal_watts == 806_400
    spec = replace(SPEC, budgets=(BudgetSpec("grid-order", (), ("main-a", "main-b"), 900_000),))
    state = row(spec)
    answer = offered(state, ask(144))
    assert (answer.power_profile, answer.nominal_watts, answer.relative_performance_percent) == (
        "MaxQ",
        316_800,
        70,
    )
    state.book("g", answer)
    # Feeds a and b are summed: the row's own 64 kW of base load is above them.
    assert state.report().budgets == {
        "grid-order": BudgetReport(
            "grid-order", 492_800, 900_000, 407_200, worst(RowKind.BUDGET, "grid-order", 492_800, 900_000)
        )
    }
    strict = refused(row(spec), ask(150, strict=True))
    assert strict.message == "needs 150 nodes of 4 GPUs; the facility has 144 in all"


def test_power_refusals_name_the_element_and_the_watts() -> None:
    state = row(replace(SPEC, powers=(replace(SPEC.powers[0], rated_watts=260_000), *SPEC.powers[1:])))
    answer = refused(state, ask(18, required="nvlink", strict=True))
    # Idle 240 kW, and 18 nodes x 5.6 kW: 340.8 kW of 260 kW.
    assert answer == Refusal(
        kind=RefusalKind.UNPLACEABLE,
        cause=Cause.POWER,
        counts=(LevelCount("NVLink domain", 8, {Cause.POWER: 8}, {"continuous rating": 8}),),
        message="needs 100.8 kW more in rack-1; that would put power domain row-1 at 341 kW of 260 kW (81 kW over)",
        relief="raise power domain row-1 by 80.8 kW",
        misfit=True,
        tightest=Tightest(
            level="NVLink domain",
            domain="rack-1",
            kind=ElementKind.POWER_DOMAIN,
            name="row-1",
            load_watts=340_800,
            limit_watts=260_000,
            normal_limit_watts=260_000,
            over_watts=80_800,
            needed_watts=100_800,
            added_watts=100_800,
        ),
        reliefs=(
            Relief(
                kind=ReliefKind.WATTS,
                message="raise power domain row-1 by 80.8 kW",
                elements=(ElementWatts(ElementKind.POWER_DOMAIN, "row-1", 80_800),),
            ),
        ),
    )


def test_cooling_refusals_name_the_zone() -> None:
    small = CoolingSpec("liquid", Medium.LIQUID, (CoolingUnit("cdu", 160_000),))
    answer = refused(row(replace(SPEC, coolings=(small, SPEC.coolings[1]))), ask(4, strict=True))
    assert answer.cause is Cause.LIQUID
    assert answer.message == (
        "needs 19.5 kW more liquid cooling; that would put cooling zone liquid at 173 kW of 160 kW (13 kW over)"
    )


def test_node_refusals_count_what_is_free() -> None:
    state = row()
    for r in RACKS[1:]:
        for i in range(1, 19):
            state.set_unmanaged(f"{r}-n{i:02}", 1)
    answer = refused(state, ask(32, required="leaf"))
    assert answer.message == "needs 32 nodes of 4 GPUs in one leaf; su-1 has 18 free"
    assert answer.relief == "free 14 more nodes in su-1"
    assert answer.counts == (
        LevelCount("NVLink domain", 8, {Cause.NODES: 8}),
        LevelCount("leaf", 1, {Cause.NODES: 1}),
    )
    answer = refused(state, ask(19, required="nvlink"))
    assert (
        answer.message == "needs 19 nodes of 4 GPUs in one NVLink domain; the largest, rack-1, has 18 in all"
    )
    assert answer.relief == "require only leaf, or ask for at most 18 nodes"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            ask(1, required="pod"),
            "the required topology level pod does not exist; the levels are nvlink, leaf",
        ),
        (ask(1, preferred="x"), "the preferred topology level x does not exist; the levels are nvlink, leaf"),
        (ask(1, resource="tpu"), "no usable rack has nodes with the resource tpu"),
        (ask(1, gpus_per_slot=8), "needs 8 GPUs on one node; the largest node has 4"),
        (ask(1, power_profile="Max"), "the power profile Max does not exist; there are MaxP, MaxQ"),
    ],
)
def test_requests_that_no_facility_takes(request_: Request, message: str) -> None:
    answer = refused(row(), request_)
    assert (answer.kind, answer.message) == (RefusalKind.UNPLACEABLE, message)


def test_segments_lie_whole_in_one_domain_and_the_short_one_is_last() -> None:
    answer = offered(row(), ask(40, segment_slots=16, required="leaf"))
    assert [(g.rack, len(g.nodes)) for g in answer.groups] == [("rack-1", 16), ("rack-2", 16), ("rack-3", 8)]
    assert refused(row(), ask(38, segment_slots=19)).message == (
        "needs 38 nodes of 4 GPUs in segments of 19; the facility has 144 in all, "
        "but no whole segment of 19 in one NVLink domain"
    )


def test_a_gang_of_more_segments_than_domains_is_told_how_many_fit() -> None:
    answer = refused(row(), ask(144, segment_slots=16, required="leaf"))
    assert (answer.message, answer.relief, answer.misfit) == (
        "needs 144 nodes of 4 GPUs in segments of 16 in one leaf; the largest, su-1, has 144 in all, "
        "128 of them in whole segments of 16",
        "ask for at most 128 nodes, or ask for smaller segments",
        True,
    )
    offered(row(), ask(128, segment_slots=16, required="leaf"))


def test_unhealthy_draining_spare_and_barred_nodes_are_no_candidates() -> None:
    racks = (replace(SPEC.racks[0], schedulable=False), *SPEC.racks[1:])
    domains = (DomainSpec("rack-2", schedulable=False), DomainSpec("rack-3", spare_nodes=17))
    state = row(replace(SPEC, racks=racks, domains=domains))
    for r in RACKS[3:]:
        for i in range(1, 19):
            state.set_node(replace(state.node(f"{r}-n{i:02}") or NODES[0], healthy=False))
    assert offered(state, ask(1)).slots == ("rack-3-n01",)
    answer = refused(state, ask(2))
    assert answer.message == (
        "needs 2 nodes of 4 GPUs; the facility has 1 free (besides, 18 in racks that are not usable, "
        "90 not healthy, 35 held back as spares or drained)"
    )
    assert offered(row(), ask(1, capacity={"rack-8-n18": 1})).slots == ("rack-8-n18",)
    assert "barred by the gang's own constraints" in refused(row(), ask(1, capacity={})).message


def test_partial_gangs_fill_the_fullest_node_that_takes_them() -> None:
    state = row()
    state.set_unmanaged("rack-5-n07", 2)
    first = offered(state, ask(2, gpus_per_slot=1))
    assert first.slots == ("rack-5-n07", "rack-5-n07")
    assert (first.nominal_watts, first.peak_watts) == (2800, 2800)
    state.book("first", first)
    assert state.free_gpus("rack-5-n07") == 0
    assert state.report().racks["rack-5"] == rack_report("rack-5", free=68, draws=27_600)


def test_a_node_has_one_power_profile() -> None:
    state = row(nodes=NODES[:1])
    state.book("slow", offered(state, ask(1, gpus_per_slot=1, power_profile="MaxQ")))
    fast = offered(row(nodes=NODES[:1]), ask(1, gpus_per_slot=1))
    with pytest.raises(BookingError, match="already capped at 3200 W, not 6600 W"):
        state.book("fast", fast)
    assert offered(state, ask(1, gpus_per_slot=1)).power_profile == "MaxQ"
    assert "under another power profile" in refused(state, ask(1, gpus_per_slot=1, strict=True)).message
    with pytest.raises(BookingError, match="slow is already booked"):
        state.book("slow", fast)
    with pytest.raises(BookingError, match="needs 4 GPUs on node rack-1-n01, where 3 are free"):
        state.book("all", offered(row(nodes=NODES[:1]), ask(1)))


def test_what_is_committed_can_be_booked_by_force_and_shows() -> None:
    state = row(nodes=NODES[:1])
    whole = offered(state, ask(1))
    state.book("one", whole)
    state.book("two", whole, force=True)
    assert state.overbooked() == ["rack-1-n01"]
    state.validate()


def test_a_booking_outlives_its_node() -> None:
    state = row()
    answer = offered(state, ask(18))
    state.book("g", answer)
    full = state.loads.copy()
    state.remove_node("rack-1-n01")
    assert state.reserved("g").nominal_watts == 17 * 5600
    state.set_node(NODES[0])
    assert state.loads.tolist() == full.tolist()
    assert state.free_gpus("rack-1-n01") == 0
    state.validate()


def test_a_simulated_release_leaves_the_cap_of_an_overbooked_node_as_it_was() -> None:
    state = row(nodes=NODES[:1])
    state.book("slow", offered(state, ask(1, gpus_per_slot=1, power_profile="MaxQ")))
    state.book("fast", offered(row(nodes=NODES[:1]), ask(1, gpus_per_slot=1)), force=True)
    with state.simulation():
        state.release("slow")
        assert state.cap_watts("rack-1-n01") == 6600
    assert state.cap_watts("rack-1-n01") == 3200
