"""Losses drilled on small halls, with the arithmetic beside each figure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.engine.model import BudgetSpec, CoolingSpec, CoolingUnit, FacilitySpec, Feed, Medium, NodeType
from rackplane.engine.physics.loads import Violation
from rackplane.engine.physics.rows import NORMAL, Contingency, LimitRow, RowKind
from rackplane.engine.planning.drill import Drill, NextLoss, ZoneLoss, drill
from rackplane.engine.planning.whatif import (
    BudgetChange,
    Change,
    DeratingChange,
    NodeChange,
    PowerChange,
    RackChange,
    UnitChange,
)
from rackplane.engine.shedding.terms import Disruption, Measure, Plan, Terms
from rackplane.engine.state import State
from tests.support.halls import BALANCED, TYPE, UNBALANCED, full, gang, hall, idle, rack, ups

PROTECTED = Terms(Disruption.PROTECTED)
SHEDDABLE = Terms(Disruption.SHEDDABLE)
NOTHING = Plan((), ())


def on_ups(letter: str, load: int, limit: int = 2_400_000, lost: str = "") -> tuple[Violation, Violation]:
    """A UPS above its rating, nominal and peak."""
    contingency = Contingency(f"ups-{lost}") if lost else NORMAL
    return (
        Violation(contingency, LimitRow(RowKind.POWER_NOMINAL, f"ups-{letter}"), load, limit),
        Violation(contingency, LimitRow(RowKind.POWER_PEAK, f"ups-{letter}"), load, limit),
    )


def lose(state: State, *changes: Change, terms: dict[str, Terms] | None = None) -> Drill:
    """The drill, after which the state is what it was and the copy is sound."""
    before = state.loads.tolist()
    found = drill(state, changes, terms)
    assert state.loads.tolist() == before
    found.after.validate()
    return found


def outcome(found: Drill) -> tuple[object, ...]:
    return found.over, found.dark, found.ended, found.zones, found.plan


# -- power -------------------------------------------------------------------------------------------


def test_a_balanced_hall_carries_on_at_its_full_load() -> None:
    found = lose(full(hall(BALANCED)), PowerChange("ups-a"))
    # Three UPSs at 1.2 + 0.6 + 0.6 = 2.4 MW of 2.4 MW.
    assert outcome(found) == ((), (), (), (), NOTHING)
    assert found.survives
    # After b as well, c has ac and bc alone and half of cd: 1.2 + 1.2 + 0.6 = 3.0 MW; ab has nothing left.
    assert found.next_losses == tuple(
        NextLoss(
            Contingency(f"ups-{lost}"),
            tuple(v for x in "bcd" if x != lost for v in on_ups(x, 3_000_000, lost=lost)),
            (f"row-a{lost}",),
            ("ups-a",),
        )
        for lost in "bcd"
    )


def test_an_unbalanced_hall_would_put_all_of_two_rows_on_one_ups() -> None:
    terms = {"ab-1": PROTECTED, "ab-2": PROTECTED, "bc": PROTECTED, "bd": PROTECTED}
    found = lose(full(hall(UNBALANCED)), PowerChange("ups-a"), terms=terms)
    # b carries both ab rows and half of bc and bd: 2 x 1.2 + 0.6 + 0.6 = 3.6 MW; c and d 1.2 + 0.6 = 1.8 MW.
    assert found.over == on_ups("b", 3_600_000)
    assert not found.survives
    # Nothing but Protected gangs draws on b. A MaxQ cap frees 15 x 20 = 300 kW of a row, a stop 15 x 70 = 1,050 kW;
    # half of that on b for bc and bd. All caps free 900 of 1,200 kW. With ab-1 stopped, 450 kW more than needed are
    # free: the caps on bd and bc are lifted (150 kW each), that on ab-2 (300 kW) cannot be.
    assert found.plan == Plan(
        (
            Measure("ab-2", "MaxQ", 80, 300_000, PROTECTED),
            Measure("ab-1", "", 0, 1_050_000, PROTECTED),
        ),
        (),
    )


def test_the_mildest_measure_comes_first_and_what_is_not_needed_is_given_back() -> None:
    state = full(hall(UNBALANCED))
    everyone = dict.fromkeys(("ab-1", "ab-2", "ac", "ad", "bc", "bd"), Terms())
    plan = lose(state, PowerChange("ups-a"), terms={**everyone, "bd": SHEDDABLE}).plan
    # All caps free 300 + 300 + 150 + 150 = 900 of 1,200 kW. bd, Sheddable, is stopped (375 kW more on b): 75 kW to
    # spare, less than any cap takes off b, so that all of them stay.
    assert plan == Plan(
        (
            Measure("ab-1", "MaxQ", 80, 300_000, Terms()),
            Measure("ab-2", "MaxQ", 80, 300_000, Terms()),
            Measure("bc", "MaxQ", 80, 300_000, Terms()),
            Measure("bd", "", 0, 1_050_000, SHEDDABLE),
        ),
        (),
    )


def test_a_cap_that_a_stop_makes_needless_is_lifted() -> None:
    state = full(hall(UNBALANCED))
    plan = lose(state, PowerChange("ups-a"), terms={"ab-1": SHEDDABLE}).plan
    # Stopping ab-1 takes 1,050 of the 1,200 kW off b. The caps on bd and bc are lifted again, that on ab-2 stays.
    assert plan == Plan(
        (Measure("ab-2", "MaxQ", 80, 300_000, Terms()), Measure("ab-1", "", 0, 1_050_000, SHEDDABLE)), ()
    )


def test_the_lowest_priority_is_taken_first() -> None:
    state = full(hall(UNBALANCED))
    low, high = Terms(priority=-5), Terms(priority=10)
    spec = replace(hall(UNBALANCED), powers=tuple(ups(x, 3_300_000) for x in "abcd"))
    state = full(spec)
    # 3.6 MW of 3.3 MW: a cap on one ab row frees the 300 kW.
    assert lose(
        state, PowerChange("ups-a"), terms={"ab-1": high, "ab-2": low, "bc": high, "bd": high}
    ).plan == (Plan((Measure("ab-2", "MaxQ", 80, 300_000, low),), ()))


def test_a_strict_gang_and_one_that_shares_its_nodes_are_stopped_rather_than_capped() -> None:
    spec = replace(hall(UNBALANCED), powers=tuple(ups(x, 3_300_000) for x in "abcd"))
    state = idle(spec)
    for key in ("ac", "ad", "bc", "bd", "ab-1"):
        state.book(key, gang(f"row-{key}"), force=True)
    halves = replace(gang("row-ab-2"), gpus_per_slot=2)
    state.book("left", halves)
    state.book("right", halves)
    strict = Terms(strict=True)
    plan = lose(
        state, PowerChange("ups-a"), terms=dict.fromkeys(("ab-1", "bc", "bd"), strict) | {"left": SHEDDABLE}
    ).plan
    assert plan == Plan((Measure("left", "", 0, 525_000, SHEDDABLE),), ())


def test_what_no_gang_causes_stays_and_is_named() -> None:
    spec = replace(hall(("ab",), "ab"), powers=(ups("a"), replace(ups("b", 100_000))))
    found = lose(full(spec), PowerChange("ups-a"))
    # The idle row alone takes 150 kW.
    assert found.over == on_ups("b", 1_200_000, 100_000)
    assert found.plan == Plan((Measure("ab", "", 0, 1_050_000, Terms()),), on_ups("b", 150_000, 100_000))


def test_a_rack_without_a_second_feed_goes_dark_with_every_gang_that_has_a_slot_there() -> None:
    spec = FacilitySpec((TYPE,), (rack("a", "a"), rack("b", "b"), rack("ab", "ab")), (ups("a"), ups("b")))
    state = idle(spec)
    wide = replace(gang("row-a"), slots=(*gang("row-a", 2).slots, *gang("row-b", 2).slots))
    state.book("wide", wide)
    state.book("beside", gang("row-b", 3, first=3))
    found = lose(state, PowerChange("ups-a"))
    assert (found.over, found.dark, found.ended) == ((), ("row-a",), ("wide",))
    assert not found.survives


def test_gangs_that_end_with_their_rack_are_no_measure() -> None:
    spec = FacilitySpec(
        (TYPE,), (rack("a", "a"), rack("b", "b"), rack("ab", "ab")), (ups("a"), ups("b", 2_000_000))
    )
    state = idle(spec)
    state.book("wide", replace(gang("row-a"), slots=(gang("row-a").slots[0], *gang("row-b").slots)))
    state.book("pair", gang("row-ab"))
    found = lose(state, PowerChange("ups-a"))
    # Rows b and ab are full: 2.4 MW of 2 MW. The end of "wide" frees 1,050 kW of it.
    assert (found.over, found.ended, found.plan) == (on_ups("b", 2_400_000, 2_000_000), ("wide",), NOTHING)


def test_a_catcher_takes_one_block_and_not_a_second() -> None:
    rows = tuple(rack(f"{x}{i}", x, standby="r") for x in "ab" for i in (1, 2))
    spec = FacilitySpec((TYPE,), rows, (ups("a"), ups("b"), ups("r")))
    found = lose(full(spec), PowerChange("ups-a"))
    # The reserve takes both rows of a: 2.4 MW of 2.4 MW. With b as well it would take 4.8 MW, and without it a's rows
    # have nothing.
    assert outcome(found) == ((), (), (), (), NOTHING)
    assert found.next_losses == (
        NextLoss(Contingency("ups-b"), on_ups("r", 4_800_000, lost="b"), (), ("ups-a",)),
        NextLoss(Contingency("ups-r"), (), ("row-a1", "row-a2"), ("ups-a",)),
    )


def test_two_losses_at_once() -> None:
    found = lose(full(hall(BALANCED)), PowerChange("ups-a"), PowerChange("ups-b"))
    assert found.over == (*on_ups("c", 3_000_000), *on_ups("d", 3_000_000))
    assert (found.dark, found.ended) == (("row-ab",), ("ab",))


def test_what_was_exceeded_before_is_told_apart() -> None:
    state = full(hall(("ab", "ab-2", "ab-3", "ab-4", "ab-5", "cd"), "abcd"))
    found = lose(state, PowerChange("ups-c"))
    # a and b were at 3 MW each, before and after.
    assert found.over == ()
    assert found.already == (*on_ups("a", 3_000_000), *on_ups("b", 3_000_000))


def test_an_element_that_comes_back_takes_its_share_again() -> None:
    spec = hall(BALANCED)
    out = replace(spec, powers=(replace(spec.powers[0], online=False), *spec.powers[1:]))
    found = lose(full(out), PowerChange("ups-a", online=True))
    assert outcome(found) == ((), (), (), (), NOTHING)
    assert found.next_losses == ()


# -- cooling -----------------------------------------------------------------------------------------


def cooled(*units: CoolingUnit, needed: int = 1) -> FacilitySpec:
    liquid_type = replace(TYPE, liquid_heat_percent=100)
    return FacilitySpec(
        (liquid_type,),
        (rack("ab", "ab", liquid="loop"),),
        (ups("a"), ups("b")),
        (CoolingSpec("loop", Medium.LIQUID, units, needed),),
    )


PAIR = (
    CoolingUnit("cdu-1", 1_200_000, feeds=(Feed("ups-a"),)),
    CoolingUnit("cdu-2", 1_200_000, feeds=(Feed("ups-b"),)),
)
LOOP = LimitRow(RowKind.LIQUID, "loop")


def test_one_unit_of_a_pair_takes_the_reserve_and_nothing_else() -> None:
    found = lose(full(cooled(*PAIR)), UnitChange("loop", "cdu-1"))
    assert (found.over, found.plan) == ((), NOTHING)
    assert found.survives
    assert found.zones == (ZoneLoss("loop", 1_200_000, 1_200_000, 1_200_000, 1, 1, True),)


def test_a_power_loss_that_takes_the_last_unit_takes_the_cooling_with_it() -> None:
    state = full(cooled(replace(PAIR[0], feeds=(Feed("ups-a"),)), needed=1))
    found = lose(state, PowerChange("ups-a"))
    assert found.over == (Violation(NORMAL, LOOP, 1_200_000, 0),)
    assert found.zones == (ZoneLoss("loop", 1_200_000, 0, 1_200_000, 0, 1, False),)
    # Idle nodes give off 150 kW for which there is no cooling either.
    assert found.plan == Plan(
        (Measure("ab", "", 0, 1_050_000, Terms()),), (Violation(NORMAL, LOOP, 150_000, 0),)
    )


def test_after_one_unit_the_other_ups_takes_the_cooling_with_it() -> None:
    found = lose(full(cooled(*PAIR)), UnitChange("loop", "cdu-1"))
    assert found.next_losses == (
        NextLoss(Contingency("ups-b"), (Violation(Contingency("ups-b"), LOOP, 1_200_000, 0),), (), ()),
    )


def test_a_warmer_supply() -> None:
    found = lose(full(cooled(*PAIR)), DeratingChange("loop", 80))
    # 80 percent of 1.2 MW is 960 kW; MaxQ gives off 900 kW.
    assert found.over == (Violation(NORMAL, LOOP, 1_200_000, 960_000),)
    assert found.plan == Plan((Measure("ab", "MaxQ", 80, 300_000, Terms()),), ())


# -- racks, nodes, budgets ---------------------------------------------------------------------------


def test_a_rack_that_is_switched_off_ends_its_gangs_and_draws_nothing() -> None:
    found = lose(full(hall(BALANCED)), RackChange("row-ab"))
    assert (found.dark, found.ended, found.over) == (("row-ab",), ("ab",), ())
    # a had 1.8 MW; half of row ab is gone.
    row = found.after.facility.row_index[LimitRow(RowKind.POWER_NOMINAL, "ups-a")]
    assert found.after.loads[row] == 1_200_000


def test_a_node_ends_its_gang() -> None:
    found = lose(full(hall(BALANCED)), NodeChange("row-ab-01"))
    assert (found.dark, found.ended, found.over, found.survives) == ((), ("ab",), (), False)


def test_a_budget_that_comes_into_force() -> None:
    budget = BudgetSpec("order", ("ups-a",), (), 1_500_000)
    found = lose(full(hall(BALANCED)), BudgetChange(budget), terms={"ab": SHEDDABLE})
    # a carries 1.8 MW; caps on two of its three rows take half of 300 kW each off it, the Sheddable one first.
    assert found.over == (Violation(NORMAL, LimitRow(RowKind.BUDGET, "order"), 1_800_000, 1_500_000),)
    assert [(m.gang, m.profile) for m in found.plan.measures] == [("ab", "MaxQ"), ("ac", "MaxQ")]


def test_what_is_not_there_changes_nothing() -> None:
    unknown = (
        PowerChange("x"),
        UnitChange("y", "z"),
        RackChange("r"),
        NodeChange("n"),
        DeratingChange("q", 0),
    )
    found = lose(full(hall(BALANCED)), *unknown)
    assert outcome(found) == ((), (), (), (), NOTHING)
    assert found.next_losses == ()


@pytest.mark.parametrize("part", ["healthy", "schedulable"])
def test_a_rack_or_node_that_comes_back_takes_gangs_again(part: str) -> None:
    spec = hall(BALANCED)
    node = next(iter(idle(spec).nodes()))
    if part == "healthy":
        state = idle(spec)
        state.set_node(replace(node, healthy=False))
        after = drill(state, [NodeChange(node.name, online=True)]).after
        assert after.node(node.name) == node
    else:
        racks = (replace(spec.racks[0], schedulable=False), *spec.racks[1:])
        after = drill(idle(replace(spec, racks=racks)), [RackChange("row-ab", online=True)]).after
        assert after.facility.usable(0)


def test_gangs_that_hold_fewer_slots_than_booked_keep_them() -> None:
    state = full(hall(BALANCED))
    state.release("ab", range(5))
    after = drill(state, [PowerChange("ups-a")]).after
    assert after.held("ab") == state.held("ab")


def test_unmanaged_use_is_kept() -> None:
    state = idle(hall(BALANCED))
    state.set_unmanaged("row-ab-01", 2)
    after = drill(state, [PowerChange("ups-a")]).after
    assert after.unmanaged_gpus("row-ab-01") == 2


def test_a_profile_that_only_part_of_the_nodes_has_is_no_cap() -> None:
    plain = NodeType("plain", TYPE.resource, 4, 10_000, 80_000)
    spec = FacilitySpec(
        (TYPE, plain),
        (rack("a", "ab"), replace(rack("b", "ab"), node_type="plain")),
        (ups("a"), ups("b", 1_000_000)),
    )
    state = idle(spec)
    state.book("wide", replace(gang("row-a"), slots=(*gang("row-a", 8).slots, *gang("row-b", 8).slots)))
    found = lose(state, PowerChange("ups-a"))
    # 30 idle nodes take 300 kW, 16 of them 70 kW more: 1,420 kW.
    assert found.over == on_ups("b", 1_420_000, 1_000_000)
    assert found.plan == Plan((Measure("wide", "", 0, 1_120_000, Terms()),), ())
