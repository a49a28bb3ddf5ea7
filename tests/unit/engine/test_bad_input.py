"""Every configuration error is named with object, field and remedy, and makes capacity zero, never unlimited."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    FacilitySpec,
    Feed,
    Medium,
    Modules,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Refusal,
    Request,
    Role,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State

TYPE = NodeType("t", "gpu", 4, 1000, 6000, nvlink_scope=NvlinkScope.LABEL)
ZONE = CoolingSpec("air", Medium.AIR, (CoolingUnit("u", 500_000),))
UPS = PowerSpec("ups", 500_000)
PDU = PowerSpec("pdu", 400_000, parents=(Feed("ups"),))
RACK = RackSpec("r", "t", 500, 100_000, (Feed("pdu"),), air="air")
GOOD = FacilitySpec((TYPE,), (RACK,), (UPS, PDU), (ZONE,))
NODES = [NodeSpec(f"n{i}", "r", "d") for i in range(2)]
REQUEST = Request(slots=1, gpus_per_slot=4, resource="gpu")


def test_the_good_facility_has_no_problem_and_takes_a_gang() -> None:
    facility = compile_facility(GOOD)
    assert facility.problems == ()
    assert facility.unusable == {}
    answer = place(State(facility, NODES), REQUEST)
    assert isinstance(answer, Placement)
    assert answer.slots == ("n0",)


def rack(**change: object) -> FacilitySpec:
    return replace(GOOD, racks=(replace(RACK, **change),))  # type: ignore[arg-type]


def ups(**change: object) -> FacilitySpec:
    return replace(GOOD, powers=(replace(UPS, **change), PDU))  # type: ignore[arg-type]


def zone(**change: object) -> FacilitySpec:
    return replace(GOOD, coolings=(replace(ZONE, **change),))  # type: ignore[arg-type]


def kind(**change: object) -> FacilitySpec:
    return replace(GOOD, node_types=(replace(TYPE, **change),))  # type: ignore[arg-type]


CASES: dict[str, tuple[FacilitySpec, tuple[str, str, str]]] = {
    "rating missing": (ups(rated_watts=0), ("PowerDomain", "ups", "spec.ratedWatts")),
    "rating negative": (ups(rated_watts=-5), ("PowerDomain", "ups", "spec.ratedWatts")),
    "peak limit negative": (ups(peak_limit_watts=-1), ("PowerDomain", "ups", "spec.peakLimitWatts")),
    "continuous percent 0": (ups(continuous_percent=0), ("PowerDomain", "ups", "spec.continuousPercent")),
    "base load negative": (ups(base_load_watts=-1), ("PowerDomain", "ups", "spec.baseLoadWatts")),
    "efficiency 0": (ups(efficiency_basis_points=0), ("PowerDomain", "ups", "spec.efficiencyBasisPoints")),
    "modules": (ups(modules=Modules(2, 3, 1000)), ("PowerDomain", "ups", "spec.redundancy")),
    "parent unknown": (ups(parents=(Feed("grid"),)), ("PowerDomain", "ups", "spec.parents")),
    "parent weight 0": (
        replace(GOOD, powers=(UPS, replace(PDU, parents=(Feed("ups", 0),)))),
        ("PowerDomain", "pdu", "spec.parents"),
    ),
    "cycle": (ups(parents=(Feed("pdu"),)), ("PowerDomain", "ups", "spec.parents")),
    "own parent": (ups(parents=(Feed("ups"),)), ("PowerDomain", "ups", "spec.parents")),
    "power named twice": (replace(GOOD, powers=(UPS, UPS, PDU)), ("PowerDomain", "ups", "metadata.name")),
    "feed unknown": (rack(feeds=(Feed("pdu"), Feed("x"))), ("Rack", "r", "spec.feeds")),
    "feed without weight": (rack(feeds=(Feed("pdu", 0),)), ("Rack", "r", "spec.feeds")),
    "feed limit negative": (rack(feeds=(Feed("pdu", limit_watts=-1),)), ("Rack", "r", "spec.feeds")),
    "no feeds": (rack(feeds=()), ("Rack", "r", "spec.feeds")),
    "rack limit missing": (rack(limit_watts=0), ("Rack", "r", "spec.limitWatts")),
    "overhead negative": (rack(overhead_watts=-1), ("Rack", "r", "spec.overheadWatts")),
    "profile unknown": (rack(node_type="x"), ("Rack", "r", "spec.profile")),
    "zone unknown": (rack(air="x"), ("Rack", "r", "spec.cooling.air")),
    "zone of the other medium": (rack(liquid="air"), ("Rack", "r", "spec.cooling.liquid")),
    "rack named twice": (replace(GOOD, racks=(RACK, RACK)), ("Rack", "r", "metadata.name")),
    "max watts missing": (kind(max_watts=0), ("HardwareProfile", "t", "spec.maxWatts")),
    "idle negative": (kind(idle_watts=-1), ("HardwareProfile", "t", "spec.idleWatts")),
    "utilization": (
        kind(typical_utilization_percent=101),
        ("HardwareProfile", "t", "spec.typicalUtilizationPercent"),
    ),
    "peak below cap": (kind(peak_percent=99), ("HardwareProfile", "t", "spec.peakPercent")),
    "liquid percent": (kind(liquid_heat_percent=101), ("HardwareProfile", "t", "spec.liquidHeatPercent")),
    "cap below idle": (kind(caps=(PowerCap("Q", 500),)), ("HardwareProfile", "t", "spec.powerProfiles")),
    "no units": (zone(units=()), ("CoolingZone", "air", "spec.units")),
    "unit negative": (zone(units=(CoolingUnit("u", -1),)), ("CoolingZone", "air", "spec.units")),
    "unit feed unknown": (
        zone(units=(CoolingUnit("u", 500_000, feeds=(Feed("x"),)),)),
        ("CoolingZone", "air", "spec.units"),
    ),
    "needed units": (zone(needed_units=0), ("CoolingZone", "air", "spec.neededUnits")),
    "derating": (zone(derating_percent=-1), ("CoolingZone", "air", "spec.deratingCurve")),
    "zone parent unknown": (zone(parents=("x",)), ("CoolingZone", "air", "spec.parents")),
    "zone cycle": (zone(parents=("air",)), ("CoolingZone", "air", "spec.parents")),
}


@pytest.mark.parametrize("name", CASES)
def test_an_error_is_named_and_leaves_no_capacity(name: str) -> None:
    spec, expected = CASES[name]
    facility = compile_facility(spec)
    assert expected in [(p.kind, p.name, p.field) for p in facility.problems]
    assert all(p.message and p.remedy for p in facility.problems)
    answer = place(State(facility, NODES), REQUEST)
    assert isinstance(answer, Refusal), name


def test_what_is_below_a_cycle_is_unusable_too_but_not_accused() -> None:
    spec = replace(
        GOOD, powers=(PowerSpec("a", 9, parents=(Feed("b"),)), PowerSpec("b", 9, parents=(Feed("a"),)), PDU)
    )
    spec = replace(spec, powers=(*spec.powers[:2], replace(PDU, parents=(Feed("a"),))))
    facility = compile_facility(spec)
    assert [(p.kind, p.name, p.message) for p in facility.problems] == [
        ("PowerDomain", "a", "a feeds itself through its parents (a cycle)"),
        ("PowerDomain", "b", "b feeds itself through its parents (a cycle)"),
        ("PowerDomain", "pdu", "it depends on power domain a, which is not usable"),
        ("Rack", "r", "power domain pdu is not usable"),
    ]


def test_a_bad_element_has_zero_limits() -> None:
    facility = compile_facility(ups(continuous_percent=0))
    for row in (RowKind.POWER_NOMINAL, RowKind.POWER_PEAK):
        assert facility.limits[facility.row_index[LimitRow(row, "ups")]] == 0.0
        assert facility.limits[facility.row_index[LimitRow(row, "pdu")]] == 0.0


def load(facility: Facility, kind: RowKind, element: str) -> float:
    return float(State(facility, NODES).loads[facility.row_index[LimitRow(kind, element)]])


def test_what_runs_below_an_error_still_loads_what_is_sound_above_it() -> None:
    """Else the UPS would seem to have 2.5 kW to spare as soon as somebody mistypes a parent of the PDU it feeds."""
    wrong = replace(PDU, parents=(Feed("ups"), Feed("usp")))
    facility = compile_facility(replace(GOOD, powers=(UPS, wrong)))
    assert set(facility.unusable) == {"r"}
    assert load(facility, RowKind.POWER_NOMINAL, "ups") == 2500.0
    assert load(facility, RowKind.AIR, "air") == 2500.0


def test_a_unit_with_an_error_cools_nothing_and_still_draws() -> None:
    cdu = CoolingUnit("u", 500_000, 700, (Feed("pdu"), Feed("x")))
    facility = compile_facility(zone(units=(cdu,)))
    assert load(facility, RowKind.POWER_NOMINAL, "pdu") == 3200.0
    assert facility.limits[facility.row_index[LimitRow(RowKind.AIR, "air")]] == 0.0


def test_a_rating_that_makes_no_sense_is_no_rating_and_loses_no_watts() -> None:
    for efficiency in (0, -1, 20_000):
        facility = compile_facility(
            replace(GOOD, powers=(UPS, replace(PDU, efficiency_basis_points=efficiency)))
        )
        assert load(facility, RowKind.POWER_NOMINAL, "ups") == 2500.0
        assert facility.limits[facility.row_index[LimitRow(RowKind.POWER_NOMINAL, "pdu")]] == 0.0


def test_modules_and_the_continuous_part_of_the_rating_each_bound_the_element() -> None:
    """480 kW of modules on a UPS rated 500 kW: 80 percent of the rating is less, 100 percent is more."""
    for percent, expected in ((80, 400_000.0), (100, 480_000.0)):
        facility = compile_facility(ups(modules=Modules(3, 2, 240_000), continuous_percent=percent))
        assert facility.limits[facility.row_index[LimitRow(RowKind.POWER_NOMINAL, "ups")]] == expected


def test_a_rack_whose_feeds_are_all_offline_is_unusable_without_a_problem() -> None:
    facility = compile_facility(ups(online=False))
    assert facility.problems == ()
    assert facility.unusable == {"r": "no live feed reaches it"}


def test_a_standby_takes_over_only_when_no_active_feed_is_live() -> None:
    spare = PowerSpec("spare", 300_000)
    both = (Feed("ups"), Feed("spare", role=Role.STANDBY))
    for online, expected in ((True, 0.0), (False, 2500.0)):
        spec = replace(GOOD, powers=(replace(UPS, online=online), spare, replace(PDU, parents=both)))
        facility = compile_facility(spec)
        row = facility.row_index[LimitRow(RowKind.POWER_NOMINAL, "spare")]
        assert State(facility, NODES).loads[row] == expected


def test_a_budget_with_unknown_targets_is_reported_and_still_bounds_the_known() -> None:
    spec = replace(
        GOOD, budgets=(BudgetSpec("b", ("pdu", "x"), ("nil",), 2000), BudgetSpec("n", ("pdu",), (), -1))
    )
    facility = compile_facility(spec)
    assert [(p.kind, p.name, p.field) for p in facility.problems] == [
        ("PowerBudget", "b", "spec.targets.powerDomains"),
        ("PowerBudget", "b", "spec.targets.feedTags"),
        ("PowerBudget", "n", "spec.limitWatts"),
    ]
    assert isinstance(place(State(facility, NODES), REQUEST), Refusal)
    assert facility.limits[facility.row_index[LimitRow(RowKind.BUDGET, "n")]] == 0.0


def test_a_node_of_an_unknown_rack_draws_and_takes_nothing() -> None:
    state = State(compile_facility(GOOD), [NodeSpec("n", "nowhere", "d")])
    assert state.free_gpus("n") == 0
    assert state.nominal.tolist() == [500]
    assert isinstance(place(state, REQUEST), Refusal)
