"""What a check of a facility finds, one finding at a time, with the arithmetic beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    FacilitySpec,
    Feed,
    Medium,
    PowerSpec,
    RackSpec,
    Role,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.planning.findings import Finding, Severity, grouped, named
from rackplane.engine.planning.lint import lint
from tests.support.halls import BALANCED, NODES, TYPE, UNBALANCED, hall, rack, ups

LIQUID = replace(TYPE, liquid_heat_percent=100)
E, W, NOTE = Severity.ERROR, Severity.WARNING, Severity.INFO


def found(spec: FacilitySpec, nodes: Mapping[str, int] | None = None) -> list[Finding]:
    """Findings on racks of 15 nodes each, without the note that heat is not limited."""
    count = {r.name: NODES for r in spec.racks} if nodes is None else nodes
    return [f for f in lint(compile_facility(spec), count) if f.rule != "no-cooling"]


def rules(
    spec: FacilitySpec, nodes: Mapping[str, int] | None = None
) -> list[tuple[Severity, str, tuple[str, ...]]]:
    return [(f.severity, f.rule, f.names) for f in found(spec, nodes)]


def only(spec: FacilitySpec, nodes: Mapping[str, int] | None = None) -> Finding:
    (finding,) = found(spec, nodes)
    return finding


def change_ups(spec: FacilitySpec, name: str, **changes: object) -> FacilitySpec:
    powers = tuple(replace(p, **changes) if p.name == name else p for p in spec.powers)  # type: ignore[arg-type]
    return replace(spec, powers=powers)


# -- losses at full load -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "upses"),
    [(("ab", "ab-2"), "ab"), (("ab", "ac", "bc"), "abc"), (BALANCED, "abcd")],
    ids=["2N", "3N/2", "4N/3"],
)
def test_a_balanced_hall_has_nothing_wrong(rows: tuple[str, ...], upses: str) -> None:
    assert found(hall(rows, upses)) == []


def test_pairs_that_are_not_balanced_are_named_with_loss_element_and_loads() -> None:
    unbalanced = found(hall(UNBALANCED))
    assert {(f.severity, f.rule, f.kind) for f in unbalanced} == {(W, "unbalanced", "PowerDomain")}
    # Of the racks on a, two rows of 1.2 MW are on b as well: 2 x 1.2 + 0.6 + 0.6 = 3.6 MW.
    assert (unbalanced[0].names, unbalanced[0].message, unbalanced[0].remedy) == (
        ("ups-b",),
        "unbalanced: the loss of ups-a would put it at 3,600 kW of 2,400 kW (1,200 kW over) when every node runs at "
        "MaxP, though ups-b, ups-c and ups-d carry 7,200 kW together, which is enough; of the racks on ups-a fall "
        "2,400 kW to ups-b, 1,200 kW to ups-c and 1,200 kW to ups-d",
        "spread the racks on ups-a evenly over ups-b, ups-c and ups-d: 1,600 kW with each",
    )
    # Losing c leaves a at 1.2 + 0.6 + 0.6 + ... = 3.0 MW and b as well, with d at 1.2 MW beside them.
    assert [f.names for f in unbalanced] == [("ups-b",), ("ups-a",), ("ups-a", "ups-b"), ("ups-a", "ups-b")]


def test_a_hall_with_more_rows_than_its_ups_carry_is_oversubscribed_and_not_unbalanced() -> None:
    # 2N with three rows: 3.6 MW of 2.4 MW on what is left.
    assert [(f.severity, f.rule, f.names, f.message) for f in found(hall(("ab", "ab-2", "ab-3"), "ab"))] == [
        (
            NOTE,
            "oversubscribed",
            (name,),
            f"oversubscribed: after the loss of {lost} the load is 3,600 kW of 2,400 kW (1,200 kW over) when every "
            "node runs at MaxP",
        )
        for name, lost in (("ups-b", "ups-a"), ("ups-a", "ups-b"))
    ]


def test_a_catcher_that_carries_a_block_has_nothing_wrong_and_one_that_cannot_is_oversubscribed() -> None:
    rows = tuple(rack(f"{x}{i}", x, standby="r") for x in "ab" for i in (1, 2))
    spec = FacilitySpec((TYPE,), rows, (ups("a"), ups("b"), replace(ups("r"), survivable=False)))
    assert found(spec) == []
    # A block is 2.4 MW.
    assert rules(change_ups(spec, "ups-r", rated_watts=2_300_000)) == [
        (NOTE, "oversubscribed", ("ups-r",)),
        (NOTE, "oversubscribed", ("ups-r",)),
    ]


def test_an_element_that_carries_less_than_its_full_load_in_normal_state_is_a_note() -> None:
    spec = hall(("ab", "ab-2"), "ab")
    assert only(
        replace(spec, powers=tuple(replace(p, survivable=False, rated_watts=1_000_000) for p in spec.powers))
    ) == (
        Finding(
            NOTE,
            "oversubscribed",
            "PowerDomain",
            ("ups-a", "ups-b"),
            "spec",
            "oversubscribed: the load is 1,200 kW of 1,000 kW (200 kW over) when every node runs at MaxP",
            "nothing, if this is meant: admission holds back what does not fit",
        )
    )


def test_peaks_count_where_nominal_load_fits() -> None:
    peaky = replace(TYPE, peak_percent=110)
    spec = replace(hall(("ab", "ab-2"), "ab"), node_types=(peaky,))
    racks = tuple(replace(r, peak_limit_watts=1_400_000) for r in spec.racks)
    # 15 x 88 kW = 1.32 MW a row: 2.64 MW on one UPS.
    assert [f.message for f in found(replace(spec, racks=racks))] == [
        f"oversubscribed: after the loss of {lost} the load is 2,640 kW of 2,400 kW (240 kW over) at peak when every "
        "node runs at MaxP"
        for lost in ("ups-a", "ups-b")
    ]


# -- idle --------------------------------------------------------------------------------------------


def test_a_loss_that_overloads_even_an_idle_hall_is_an_error() -> None:
    spec = change_ups(hall(("ab",), "ab"), "ups-b", base_load_watts=2_300_000)
    # The idle row takes 150 kW, all of it on b without a: 2.45 MW. In normal state it is 2,375 kW.
    errors = [f for f in found(spec) if f.severity is E]
    assert [(f.rule, f.names, f.message, f.remedy) for f in errors] == [
        (
            "idle-overload",
            ("ups-b",),
            "after the loss of ups-a the load is 2,450 kW of 2,400 kW (50 kW over) though nothing runs: base loads and "
            "idle nodes alone are too much",
            "raise its continuous rating, or move racks and base loads elsewhere, or set survivable: false on ups-a",
        )
    ]


# -- racks -------------------------------------------------------------------------------------------


def test_a_rack_whose_limit_is_below_its_full_load_says_how_many_nodes_can_run() -> None:
    spec = hall(("ab",), "ab")
    low = replace(spec, racks=(replace(spec.racks[0], limit_watts=1_000_000),))
    # 150 kW idle, 70 kW a node: 12 nodes make 990 kW.
    assert only(low) == Finding(
        W,
        "rack-over-limit",
        "Rack",
        ("row-ab",),
        "spec.limitWatts",
        "it draws 1,200 kW of 1,000 kW (200 kW over) when every node runs at MaxP; 12 of them can",
        "raise the limit if the equipment allows it, or expect the rest to run at a lower power profile or not",
    )


def test_a_feed_whose_limit_is_below_what_it_carries_after_a_loss() -> None:
    feeds = (Feed("ups-a", limit_watts=700_000), Feed("ups-b", limit_watts=1_200_000))
    spec = hall(("ab",), "ab")
    # 600 kW in normal state; all 1.2 MW without b, with (700 - 150) / 70 = 7 nodes.
    assert only(replace(spec, racks=(replace(spec.racks[0], feeds=feeds),))).message == (
        "after the loss of ups-b its feed from ups-a carries 1,200 kW of 700 kW (500 kW over) at peak when every node "
        "runs at MaxP; 7 of them can"
    )


def test_racks_that_an_expected_loss_leaves_dark() -> None:
    single = FacilitySpec((TYPE,), (rack("a1", "a"), rack("a2", "a")), (ups("a"),))
    assert only(single) == Finding(
        W,
        "drops-racks",
        "PowerDomain",
        ("ups-a",),
        "spec.survivable",
        "it is survivable, but its loss leaves 2 racks without power (row-a1 and row-a2): none of them has another "
        "feed",
        "give them a feed that does not depend on ups-a, or set survivable: false",
    )
    powers = (
        ups("a"),
        PowerSpec("pdu-1", 2_400_000, parents=(Feed("ups-a"),)),
        PowerSpec("pdu-2", 2_400_000, parents=(Feed("ups-a"),)),
    )
    both = RackSpec("r", "node", 0, 1_200_000, (Feed("pdu-1"), Feed("pdu-2")))
    assert "all that feeds them hangs on ups-a" in only(FacilitySpec((TYPE,), (both,), powers)).message


def test_a_second_loss_is_told_from_a_single_feed() -> None:
    finding = only(change_ups(hall(("ab",), "ab"), "ups-b", online=False))
    assert finding.message.endswith("ups-b that would take over is out of service")
    assert finding.remedy == "bring ups-b back"


def test_a_rack_that_nothing_feeds() -> None:
    spec = change_ups(hall(("a", "b"), "ab"), "ups-a", online=False, survivable=False)
    assert only(change_ups(spec, "ups-b", survivable=False)) == Finding(
        E,
        "unreachable",
        "Rack",
        ("row-a",),
        "spec.feeds",
        "no live feed reaches it: ups-a out of service; nothing can be placed there",
        "bring ups-a back, or add a feed",
    )


def test_racks_without_a_node_count_cannot_be_judged() -> None:
    finding = only(hall(("ab", "ab-2"), "ab"), {"row-ab": NODES})
    assert (finding.severity, finding.rule, finding.names) == (NOTE, "no-expected-nodes", ("row-ab-2",))


# -- cooling -----------------------------------------------------------------------------------------


def cooled(*units: CoolingUnit, needed: int = 1, **of_rack: object) -> FacilitySpec:
    return FacilitySpec(
        (LIQUID,),
        (replace(rack("ab", "ab", liquid="loop"), **of_rack),),  # type: ignore[arg-type]
        (ups("a"), ups("b")),
        (CoolingSpec("loop", Medium.LIQUID, units, needed),),
    )


def unit(name: str, feed: str, watts: int = 1_200_000) -> CoolingUnit:
    return CoolingUnit(name, watts, feeds=(Feed(f"ups-{feed}"),))


def test_a_pair_of_units_on_both_sides_has_nothing_wrong() -> None:
    assert found(cooled(unit("cdu-1", "a"), unit("cdu-2", "b"))) == []


def test_cooling_that_is_lost_together_with_power() -> None:
    # Without a two of three units of 600 kW are gone: 600 kW of 1.2 MW.
    spec = cooled(unit("u1", "a", 600_000), unit("u2", "a", 600_000), unit("u3", "b", 600_000), needed=2)
    assert only(spec) == Finding(
        W,
        "cooling-lost-with-power",
        "CoolingZone",
        ("loop",),
        "spec.units",
        "the loss of ups-a takes cooling with it: from 1,200 kW to 600 kW, and the heat is 1,200 kW full and 150 kW "
        "idle",
        "feed its units from elements that do not fail with ups-a, or add a unit that does not",
    )


def test_cooling_that_is_all_lost_is_an_error_idle() -> None:
    assert [(f.severity, f.rule, f.message) for f in found(cooled(unit("u1", "a"), unit("u2", "a")))] == [
        (
            E,
            "idle-overload",
            "after the loss of ups-a its heat is 150 kW of 0 kW (150 kW over) though nothing runs: base loads and idle "
            "nodes alone are too much",
        )
    ]


@pytest.mark.parametrize(
    ("units", "message", "remedy"),
    [
        (
            (unit("u1", "a"), replace(unit("u2", "b"), online=False)),
            "1 of 2 units run and 1 is needed: the reserve is in use, and the next unit to fail takes capacity with it",
            "bring units back into service",
        ),
        (
            (CoolingUnit("u1", 1_200_000),),
            "1 of 1 units run and 1 is needed: there is no reserve, and a unit that fails takes capacity with it",
            "add a unit",
        ),
    ],
)
def test_zones_without_a_reserve(units: tuple[CoolingUnit, ...], message: str, remedy: str) -> None:
    findings = [f for f in found(cooled(*units)) if f.rule == "no-reserve"]
    assert [(f.severity, f.names, f.message, f.remedy) for f in findings] == [(W, ("loop",), message, remedy)]


def test_a_zone_that_runs_on_fewer_units_than_needed() -> None:
    units = (
        CoolingUnit("u1", 600_000),
        CoolingUnit("u2", 600_000, online=False),
        CoolingUnit("u3", 1, online=False),
    )
    messages = [f.message for f in found(cooled(*units, needed=2)) if f.rule == "no-reserve"]
    assert messages == ["1 of 3 units run and 2 are needed: it promises less than it was built for"]


def test_heat_that_goes_nowhere_and_zones_that_take_none() -> None:
    spec = cooled(unit("u1", "a"), unit("u2", "b"), liquid=None)
    assert rules(spec) == [(W, "no-cooling-zone", ("row-ab",)), (W, "unused", ("loop",))]


def test_a_facility_without_cooling_says_that_heat_is_not_limited() -> None:
    notes = lint(compile_facility(hall(("ab",), "ab")), {"row-ab": NODES})
    assert [(f.severity, f.rule, f.names, f.message) for f in notes] == [
        (NOTE, "no-cooling", (), "there is no CoolingZone for air, so that heat is not limited")
    ]


# -- what is hardly meant ----------------------------------------------------------------------------


def test_elements_that_nothing_draws_from() -> None:
    assert rules(hall(("ab",), "abc")) == [(W, "unused", ("ups-c",))]
    # A reserve that only takes over is used; so is what has a base load.
    reserve = replace(hall(("ab",), "abc"), racks=(rack("ab", "ab", standby="c"),))
    assert found(reserve) == []
    assert found(change_ups(hall(("ab",), "abc"), "ups-c", base_load_watts=1_000)) == []


def test_an_efficiency_that_was_meant_as_a_percentage() -> None:
    spec = change_ups(hall(("ab",), "ab"), "ups-a", efficiency_basis_points=97)
    finding = next(f for f in found(spec) if f.rule == "odd-efficiency")
    assert (finding.severity, finding.names, finding.field, finding.message, finding.remedy) == (
        W,
        ("ups-a",),
        "spec.efficiencyBasisPoints",
        "97 basis points are an efficiency of 0.97 percent, so that 1 kW at its output counts as 103.1 kW above it",
        "write 9700 if 97 percent was meant",
    )


def test_weights_that_leave_one_feed_nearly_nothing() -> None:
    spec = hall(("ab",), "ab")
    feeds = (Feed("ups-a", 100), Feed("ups-b", 1))
    finding = only(replace(spec, racks=(replace(spec.racks[0], feeds=feeds),)))
    assert (finding.rule, finding.message) == (
        "odd-weights",
        "ups-a has weight 100 and ups-b 1, so ups-a carries nearly all",
    )
    spare = (Feed("ups-a", 100), Feed("ups-b", 1, Role.STANDBY))
    assert found(replace(spec, racks=(replace(spec.racks[0], feeds=spare),))) == []


def test_a_coming_or_broken_limit_is_not_judged() -> None:
    spec = hall(("ab",), "ab")
    coming = BudgetSpec("order", ("ups-a",), (), 1, starts_at=1.0)
    assert found(replace(spec, budgets=(coming,))) == []
    # What has an error is among the facility's problems, and is not said again as an overload.
    assert rules(change_ups(spec, "ups-a", rated_watts=0)) == []


def test_a_zone_that_is_being_deleted_is_not_judged() -> None:
    spec = cooled(unit("cdu-1", "a"), unit("cdu-2", "b"))
    assert found(replace(spec, coolings=(replace(spec.coolings[0], retired=True),))) == []


def test_a_budget_below_the_full_load_is_a_note_and_below_the_idle_load_an_error() -> None:
    spec = hall(("ab",), "ab")
    assert rules(replace(spec, budgets=(BudgetSpec("b", ("ups-a",), (), 500_000),))) == [
        (NOTE, "oversubscribed", ("b",))
    ]
    assert rules(replace(spec, budgets=(BudgetSpec("b", ("ups-a",), (), 50_000),))) == [
        (E, "idle-overload", ("b",))
    ]


# -- the list ----------------------------------------------------------------------------------------


def test_findings_are_joined_over_objects_and_sorted_by_severity() -> None:
    def one(severity: Severity, name: str) -> Finding:
        return Finding(severity, "rule", "Rack", (name,), "spec", "message", "remedy")

    assert grouped([one(NOTE, "a"), one(E, "b"), one(NOTE, "c"), one(NOTE, "a")]) == [
        Finding(E, "rule", "Rack", ("b",), "spec", "message", "remedy"),
        Finding(NOTE, "rule", "Rack", ("a", "c"), "spec", "message", "remedy"),
    ]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (list("ab"), "a and b"),
        (list("abcd"), "a, b, c and d"),
        (list("abcde"), "a, b, c and 2 more"),
    ],
)
def test_names_in_a_sentence(names: list[str], text: str) -> None:
    assert named(names) == text
