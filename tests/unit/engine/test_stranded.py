"""Stranded headroom and unfed nodes, with the arithmetic by hand.

A node idles at 1,000 W and draws 6,000 W at MaxP, so that starting it adds 5,000 W, of which 1,000 W are heat in air.
A rack has four nodes and no overhead: 4 kW idle, 24 kW full.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    DomainSpec,
    FacilitySpec,
    Feed,
    Group,
    Medium,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerSpec,
    RackSpec,
    Refusal,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.rows import NORMAL, Contingency, LimitRow, RowKind
from rackplane.engine.placing.placement import place
from rackplane.engine.reporting.stranded import StrandedBy, Stranding, Unfed, stranded
from rackplane.engine.state import State

TYPE = NodeType("node", "gpu", 8, 1000, 6000, liquid_heat_percent=80, nvlink_scope=NvlinkScope.LABEL)
ROOMY = 1_000_000


def rack(name: str, *feeds: str, limit: int = ROOMY, **more: object) -> RackSpec:
    return RackSpec(name, "node", 0, limit, tuple(Feed(f) for f in feeds), **more)  # type: ignore[arg-type]


def idle(spec: FacilitySpec, **nodes: object) -> State:
    """Four nodes in each rack, the rack being their NVLink domain."""
    return State(
        compile_facility(spec),
        [
            NodeSpec(f"{r.name}-{i}", r.name, r.name, healthy=nodes.get(f"{r.name}_{i}", True) is True)
            for r in spec.racks
            for i in range(4)
        ],
    )


def one_rack(**changes: object) -> FacilitySpec:
    """A rack on one UPS of 100 kW."""
    spec = FacilitySpec(node_types=(TYPE,), racks=(rack("r", "ups"),), powers=(PowerSpec("ups", 100_000),))
    return replace(spec, **changes)  # type: ignore[arg-type]


def use(state: State, name: str, *nodes: str) -> None:
    """Run a gang on these nodes, whole."""
    group = Group("", state.facility.racks[0].name, nodes)
    watts = 5000 * len(nodes)
    state.book(
        name,
        Placement(
            slots=nodes,
            groups=(group,),
            gpus_per_slot=8,
            power_profile="MaxP",
            nominal_watts=watts,
            peak_watts=watts,
            liquid_watts=watts * 4 // 5,
            air_watts=watts // 5,
        ),
    )


PAIRS = FacilitySpec(
    node_types=(TYPE,),
    racks=(rack("r1", "a", "b"), rack("r2", "a", "b"), rack("r3", "c", "d")),
    powers=(
        PowerSpec("utility", 200_000),
        *(PowerSpec(u, 40_000, parents=(Feed("utility"),), survivable=True) for u in "abcd"),
    ),
)
BEHIND_B = Unfed(
    StrandedBy.POWER, Contingency("a"), LimitRow(RowKind.POWER_NOMINAL, "b"), nodes=2, watts=10_000
)


def test_two_racks_on_one_pair_and_one_on_the_other() -> None:
    """Without a, b carries r1 and r2: 8 kW idle, so 32 kW are left, which is six nodes and 2 kW."""
    found = stranded(idle(PAIRS))
    assert found.filled_nodes == 10
    assert found.unfed == (BEHIND_B,)
    assert found.racks == {"r1": Stranding({}, ()), "r2": Stranding({}, (BEHIND_B,)), "r3": Stranding({}, ())}
    lonely = Stranding({StrandedBy.NO_IDLE_NODE: 16_000}, ())  # 40 kW for r3's 24 kW
    tight = Stranding({StrandedBy.REMAINDER: 2_000}, (BEHIND_B,))
    assert {name: found.powers[name] for name in "abcd"} == {
        "a": tight,
        "b": tight,
        "c": lonely,
        "d": lonely,
    }
    # 200 kW less 38 kW and 24 kW; r2's two nodes could have used 10 kW of it.
    assert found.powers["utility"] == Stranding(
        {StrandedBy.POWER: 10_000, StrandedBy.NO_IDLE_NODE: 128_000}, (BEHIND_B,)
    )
    assert (found.powers["utility"].watts, found.powers["utility"].nodes) == (138_000, 2)


def test_the_fill_is_one_that_placement_would_grant_and_cannot_better() -> None:
    state = idle(PAIRS)
    found = stranded(state)
    for r in ("r1", "r2", "r3"):
        for i in range(4 - found.racks[r].nodes):
            use(state, f"{r}-{i}", f"{r}-{i}")
    assert state.violations() == []
    assert isinstance(place(state, Request(slots=1, gpus_per_slot=8, resource="gpu", strict=True)), Refusal)
    assert stranded(state) == replace(found, filled_nodes=0)


def test_nothing_is_booked() -> None:
    state = idle(PAIRS)
    before = state.loads.copy()
    stranded(state)
    assert state.loads.tolist() == before.tolist()
    state.validate()


def test_a_rack_that_air_binds() -> None:
    """2,400 W of air, 800 W of them taken by idle nodes: one node of 1,000 W fits, and 600 W are left."""
    spec = one_rack(
        racks=(rack("r", "ups", liquid="water", air="crah"),),
        coolings=(
            CoolingSpec("water", Medium.LIQUID, (CoolingUnit("cdu", 100_000),)),
            CoolingSpec("crah", Medium.AIR, (CoolingUnit("fan", 2_400),)),
        ),
    )
    found = stranded(idle(spec))
    unfed = Unfed(StrandedBy.AIR, NORMAL, LimitRow(RowKind.AIR, "crah"), nodes=3, watts=15_000)
    assert found.racks["r"] == Stranding({}, (unfed,))
    assert found.coolings["crah"] == Stranding({StrandedBy.REMAINDER: 600}, (unfed,))
    # 9 kW run, 7.2 kW of them into water; three nodes would add 12 kW there, and 15 kW at the UPS.
    assert found.coolings["water"] == Stranding(
        {StrandedBy.AIR: 12_000, StrandedBy.NO_IDLE_NODE: 80_800}, (unfed,)
    )
    assert found.powers["ups"] == Stranding(
        {StrandedBy.AIR: 15_000, StrandedBy.NO_IDLE_NODE: 76_000}, (unfed,)
    )


def test_full_nodes_under_an_idle_feed() -> None:
    state = idle(one_rack())
    use(state, "gang", *(f"r-{i}" for i in range(4)))
    found = stranded(state)
    assert found.powers["ups"] == Stranding({StrandedBy.NO_IDLE_NODE: 76_000}, ())
    assert (found.filled_nodes, found.unfed, found.racks["r"]) == (0, (), Stranding({}, ()))


def test_a_drained_rack() -> None:
    found = stranded(idle(one_rack(racks=(rack("r", "ups", schedulable=False),))))
    assert found.powers["ups"] == Stranding(
        {StrandedBy.UNAVAILABLE: 20_000, StrandedBy.NO_IDLE_NODE: 76_000}, ()
    )
    assert found.racks["r"] == Stranding({}, ())


def test_spares_and_unhealthy_nodes_are_not_free() -> None:
    """One of each, for one of two spares stands for the node that is away: two nodes start."""
    found = stranded(idle(one_rack(domains=(DomainSpec("r", spare_nodes=2),)), r_0=False))
    assert found.filled_nodes == 2
    assert found.powers["ups"] == Stranding(
        {StrandedBy.UNAVAILABLE: 10_000, StrandedBy.NO_IDLE_NODE: 76_000}, ()
    )


def test_a_node_in_part_use_is_not_idle() -> None:
    state = idle(one_rack())
    state.set_unmanaged("r-0", 4)
    # Half of 5,000 W is drawn already, and the other half nobody is counted to use.
    assert stranded(state).powers["ups"] == Stranding({StrandedBy.NO_IDLE_NODE: 78_500}, ())


@pytest.mark.parametrize(
    ("changes", "cause", "row"),
    [
        pytest.param(
            {"racks": (rack("r", "ups", limit=15_000),)},
            StrandedBy.RACK,
            LimitRow(RowKind.RACK_NOMINAL, "r"),
            id="rack",
        ),
        pytest.param(
            {"budgets": (BudgetSpec("contract", ("ups",), (), 15_000),)},
            StrandedBy.BUDGET,
            LimitRow(RowKind.BUDGET, "contract"),
            id="budget",
        ),
    ],
)
def test_what_else_binds(changes: dict[str, object], cause: StrandedBy, row: LimitRow) -> None:
    """15 kW hold 4 kW idle and two nodes; two more would use 10 kW of the UPS."""
    found = stranded(idle(one_rack(**changes)))
    unfed = Unfed(cause, NORMAL, row, nodes=2, watts=10_000)
    assert found.racks["r"].unfed == (unfed,)
    assert found.powers["ups"] == Stranding({cause: 10_000, StrandedBy.NO_IDLE_NODE: 76_000}, (unfed,))


def test_a_coming_budget_strands_nothing_now() -> None:
    budget = BudgetSpec("order", ("ups",), (), 15_000, starts_at=1000.0)
    assert stranded(idle(one_rack(budgets=(budget,)))).unfed == ()


def test_racks_are_filled_in_natural_order_of_their_names() -> None:
    """50 kW hold 12 kW idle and seven nodes: those of r2 and three of r9, though r10 sorts before as text."""
    racks = tuple(rack(name, "ups") for name in ("r10", "r9", "r2"))
    found = stranded(idle(one_rack(racks=racks, powers=(PowerSpec("ups", 50_000),))))
    assert {name: found.racks[name].nodes for name in ("r2", "r9", "r10")} == {"r2": 0, "r9": 1, "r10": 4}
    assert found.powers["ups"].headroom == {StrandedBy.REMAINDER: 3_000}


def test_a_facility_without_anything() -> None:
    found = stranded(State(compile_facility(FacilitySpec())))
    assert (found.racks, found.powers, found.coolings, found.unfed) == ({}, {}, {}, ())


def test_a_rack_of_an_unknown_type_holds_nobody_up() -> None:
    spec = one_rack(racks=(rack("r", "ups"), replace(rack("odd", "ups"), node_type="gone")))
    assert stranded(idle(spec)).filled_nodes == 4
