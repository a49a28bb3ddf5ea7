"""The gauges of a small facility, every sample of them."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.core import GaugeMetricFamily

from rackplane.controller.metrics.elements import element_metrics
from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    FacilitySpec,
    Feed,
    Medium,
    NodeSpec,
    NodeType,
    PowerSpec,
    RackSpec,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.reporting.stranded import stranded
from rackplane.engine.state import State

#: Idle 1,000 W; 5,000 W more at full power, 5,600 W at peak, 80 percent of the heat in liquid.
TYPE = NodeType("node", "gpu", 8, 1000, 6000, peak_percent=110, liquid_heat_percent=80)
SPEC = FacilitySpec(
    node_types=(TYPE,),
    racks=(RackSpec("r", "node", 0, 15_000, (Feed("a"), Feed("b")), liquid="loop"),),
    powers=tuple(PowerSpec(name, 40_000, peak_limit_watts=50_000, survivable=True) for name in "ab"),
    coolings=(CoolingSpec("loop", Medium.LIQUID, (CoolingUnit("cdu", 100_000),)),),
    budgets=(BudgetSpec("contract", ("a",), (), 30_000),),
)


def samples(state: State) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in element_metrics(state.report(), stranded(state)):
        assert isinstance(family, GaugeMetricFamily)
        assert family.name not in found
        found[family.name] = {tuple(s.labels.values()): s.value for s in family.samples}
        assert len(found[family.name]) == len(family.samples)
    return found


def test_four_idle_nodes_of_which_a_rack_limit_lets_one_start() -> None:
    """4 kW idle, 2 kW on each feed; after the loss of one, 4 kW on the other."""
    state = State(compile_facility(SPEC), [NodeSpec(f"n{i}", "r") for i in range(4)])
    found = samples(state)
    stranded = {name: found.pop(f"rackplane_{name}_stranded_watts") for name in ("power", "cooling")}
    assert found == {
        "rackplane_free_gpus": {("r",): 32},
        "rackplane_gpus": {("r",): 32},
        "rackplane_rack_reserved_watts": {("r", "nominal"): 4_000, ("r", "peak"): 4_000},
        "rackplane_rack_limit_watts": {("r",): 15_000},
        # The limit of the rack itself is nearest, now and after a loss.
        "rackplane_rack_headroom_watts": {("r",): 11_000},
        "rackplane_rack_worst_headroom_watts": {("r",): 11_000},
        "rackplane_rack_survives_loss": {("r",): 1},
        "rackplane_rack_unfed_nodes": {("r",): 3},
        "rackplane_unfed_nodes": {
            ("Rack",): 3,
            ("Power",): 0,
            ("Budget",): 0,
            ("Liquid",): 0,
            ("Air",): 0,
        },
        "rackplane_power_reserved_watts": {
            (name, basis): 2_000 for name in "ab" for basis in ("nominal", "peak")
        },
        "rackplane_power_limit_watts": {
            (name, basis): watts for name in "ab" for basis, watts in (("nominal", 40_000), ("peak", 50_000))
        },
        "rackplane_power_headroom_watts": {("a",): 38_000, ("b",): 38_000},
        "rackplane_power_worst_headroom_watts": {("a",): 36_000, ("b",): 36_000},
        "rackplane_power_live": {("a",): 1, ("b",): 1},
        "rackplane_power_redundancy_lost": {},
        "rackplane_power_loss_survived": {("a",): 1, ("b",): 1},
        "rackplane_power_loss_headroom_watts": {("a",): 36_000, ("b",): 36_000},
        "rackplane_power_loss_unfed_racks": {("a",): 0, ("b",): 0},
        "rackplane_power_loss_reduced_cooling_zones": {("a",): 0, ("b",): 0},
        "rackplane_cooling_heat_watts": {("loop",): 3_200},
        "rackplane_cooling_limit_watts": {("loop",): 100_000},
        "rackplane_cooling_headroom_watts": {("loop",): 96_800},
        "rackplane_cooling_worst_headroom_watts": {("loop",): 96_800},
        "rackplane_cooling_units": {("loop", state): 1 for state in ("running", "needed", "installed")},
        "rackplane_cooling_redundancy_lost": {},
    }
    causes = ("Rack", "Power", "Budget", "Liquid", "Air", "Remainder", "Unavailable", "NoIdleNode")
    # Peak draw binds: two nodes at 6,600 W and two at 1,000 W are 15.2 kW, one and three are 9.6 kW.
    assert stranded["power"] == {
        (name, cause): {"Rack": 15_000, "NoIdleNode": 40_000 - 9_000 - 15_000}.get(cause, 0)
        for name in "ab"
        for cause in causes
    }
    assert stranded["cooling"] == {
        ("loop", cause): {"Rack": 12_000, "NoIdleNode": 100_000 - 7_200 - 12_000}.get(cause, 0)
        for cause in causes
    }


def test_the_loss_of_a_feed_that_a_rack_has_alone() -> None:
    """What the hall was built to lose, and cannot: the rack is off then, and what it may add now is another figure."""
    spec = replace(SPEC, budgets=(), racks=(RackSpec("r", "node", 0, 60_000, (Feed("a", 3), Feed("b"))),))
    state = State(compile_facility(spec), [NodeSpec(f"n{i}", "r") for i in range(4)])
    found = samples(state)
    # Now 3 of 4 W come from a: (40,000 - 3,000) * 4 / 3. With b gone all of it does.
    assert found["rackplane_rack_headroom_watts"] == {("r",): 49_333}
    assert found["rackplane_rack_worst_headroom_watts"] == {("r",): 36_000}
    alone = replace(spec, racks=(RackSpec("r", "node", 0, 60_000, (Feed("a"),)),))
    found = samples(State(compile_facility(alone), [NodeSpec("n", "r")]))
    assert found["rackplane_rack_survives_loss"] == {("r",): 0}
    assert found["rackplane_power_loss_survived"] == {("a",): 0, ("b",): 1}
    assert found["rackplane_power_loss_unfed_racks"] == {("a",): 1, ("b",): 0}
