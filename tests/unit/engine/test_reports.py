"""The worst contingency of each element and what its own loss would do, with the arithmetic by hand.

The hall is 4N/3: four UPS of 2.4 MW, six racks of 1 MW each on the pairs AB, AC, AD, BC, BD, CD, so that each UPS
carries 1.5 MW.  After the loss of a, its three partners carry 0.5 MW more each.
"""

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
    PowerSpec,
    RackSpec,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.rows import NORMAL, Contingency, LimitRow, RowKind
from rackplane.engine.reporting.reports import DomainReport, FacilityReport, OwnLoss, Redundancy, WorstCase
from rackplane.engine.state import State

TYPE = NodeType("node", "gpu", 8, 1000, 6000, liquid_heat_percent=80)
MW = 1_000_000
PAIRS = ("ab", "ac", "ad", "bc", "bd", "cd")


def rack(name: str, feeds: str, watts: int = MW, limit: int = 2 * MW, **more: object) -> RackSpec:
    """It draws its overhead."""
    return RackSpec(name, "node", watts, limit, tuple(Feed(f) for f in feeds), **more)  # type: ignore[arg-type]


HALL = FacilitySpec(
    node_types=(TYPE,),
    racks=tuple(rack(pair, pair) for pair in PAIRS),
    powers=(
        PowerSpec("grid", 20 * MW),
        *(PowerSpec(u, 2_400_000, parents=(Feed("grid"),), survivable=True) for u in "abcd"),
    ),
)


def read(spec: FacilitySpec) -> FacilityReport:
    return State(compile_facility(spec)).report()


def out(spec: FacilitySpec, *names: str) -> FacilitySpec:
    """With these elements out of service."""
    return replace(spec, powers=tuple(replace(p, online=p.name not in names) for p in spec.powers))


def rating(element: str, loss: str, load: int, limit: int, *second_to: str) -> WorstCase:
    contingency = Contingency(loss) if loss else NORMAL
    row = LimitRow(RowKind.POWER_NOMINAL, element)
    return WorstCase(contingency, row, load, limit, limit - load, second_to)


def test_a_balanced_hall() -> None:
    report = read(HALL)
    a = report.powers["a"]
    assert (a.usable_watts, a.nominal_watts, a.peak_watts, a.headroom_watts) == (
        2_400_000,
        1_500_000,
        1_500_000,
        900_000,
    )
    # Whichever partner is lost: the first of them is named.
    assert a.worst == rating("a", "b", 2_000_000, 2_400_000)
    assert report.powers["b"].worst == rating("b", "a", 2_000_000, 2_400_000)
    assert a.own_loss == OwnLoss(rating("b", "a", 2_000_000, 2_400_000), (), (), ())
    assert a.own_loss.within_limits
    grid = report.powers["grid"]
    assert (grid.worst, grid.own_loss) == (rating("grid", "", 6 * MW, 20 * MW), None)
    # One more watt of rack ab is one more of b if a is lost; of 400 kW left there it may have all.
    ab = report.racks["ab"]
    assert (ab.headroom_watts, ab.worst) == (400_000, rating("b", "a", 2_000_000, 2_400_000))
    assert (ab.switched_off_by, ab.second_to, ab.problem) == ((), (), "")


def test_a_rack_with_a_limit_of_its_own() -> None:
    racks = (rack("ab", "ab", limit=1_050_000), *HALL.racks[1:])
    ab = read(replace(HALL, racks=racks)).racks["ab"]
    assert (ab.headroom_watts, ab.worst) == (
        50_000,
        WorstCase(NORMAL, LimitRow(RowKind.RACK_NOMINAL, "ab"), MW, 1_050_000, 50_000),
    )


def test_a_half_loaded_row_has_more_headroom_than_its_element() -> None:
    """Half of what the rack adds reaches a: with 100 W left there it may add 200 W."""
    spec = replace(HALL, racks=(rack("ab", "ab", 4_799_800, limit=9 * MW),))
    powers = tuple(replace(p, survivable=False) for p in HALL.powers)
    ab = read(replace(spec, powers=powers)).racks["ab"]
    assert ab.worst == rating("a", "", 2_399_900, 2_400_000)
    assert ab.headroom_watts == 200


def test_an_overload_after_a_loss_names_the_element_and_the_watts() -> None:
    """A second rack on ab: without a, b carries 3 MW of its own pairs and half of ad, ac is no concern of it."""
    spec = replace(HALL, racks=(*HALL.racks, rack("ab2", "ab")))
    report = read(spec)
    # b: ab 1, ab2 1, bc 0.5, bd 0.5 MW
    assert report.powers["a"].own_loss == OwnLoss(rating("b", "a", 3 * MW, 2_400_000), (), (), ())
    assert not report.powers["a"].own_loss.within_limits
    assert report.powers["b"].worst == rating("b", "a", 3 * MW, 2_400_000)
    assert report.powers["b"].headroom_watts == 400_000
    assert report.racks["ab"].headroom_watts == -600_000


def test_what_one_loss_takes_with_it() -> None:
    """Rack lone hangs on a alone, and so does one of two units of the loop; the other unit is on b."""
    spec = replace(
        HALL,
        racks=(*HALL.racks, rack("lone", "a", 1000, liquid="loop")),
        coolings=(
            CoolingSpec(
                "loop",
                Medium.LIQUID,
                (CoolingUnit("u1", 500, 0, (Feed("a"),)), CoolingUnit("u2", 500, 0, (Feed("b"),))),
                needed_units=2,
            ),
        ),
    )
    report = read(spec)
    own = report.powers["a"].own_loss
    assert own is not None
    assert (own.switched_off, own.cooling_lost, own.within_limits) == (("lone",), ("loop",), True)
    assert report.racks["lone"].switched_off_by == (Contingency("a"),)
    loop = report.coolings["loop"]
    # 800 W of heat in liquid; b gone leaves one unit of 500 W, a gone takes the heat away too.
    assert (loop.heat_watts, loop.usable_watts, loop.headroom_watts) == (800, 1000, 200)
    assert loop.worst == WorstCase(Contingency("b"), LimitRow(RowKind.LIQUID, "loop"), 800, 500, -300)
    assert report.powers["b"].own_loss == OwnLoss(loop.worst, (), ("loop",), ())


def test_an_element_out_of_service_makes_its_partners_loss_a_second_one() -> None:
    """d gone: a, b and c carry 2 MW each.  Losing a too puts ab and ad, and so 3 MW and more, on b and c."""
    report = read(out(HALL, "d"))
    d = report.powers["d"]
    assert (d.live, d.usable_watts, d.headroom_watts, d.own_loss) == (False, 0, 0, None)
    own = report.powers["a"].own_loss
    assert own is not None
    # b: ab 1, bd 1, bc 0.5
    assert own == OwnLoss(rating("b", "a", 2_500_000, 2_400_000, "d"), ("ad",), (), ("d",))
    assert report.racks["ad"].switched_off_by == (Contingency("a"),)
    assert report.racks["ad"].second_to == ("d",)
    assert report.powers["b"].worst == rating("b", "a", 2_500_000, 2_400_000, "d")
    # a is 100 kW over without c (ab 0.5, ac 1, ad 1), and half of what ab gives up reaches it then.
    assert report.racks["ab"].headroom_watts == -200_000
    assert report.racks["ab"].worst == rating("a", "c", 2_500_000, 2_400_000, "d")


def test_after_a_loss_with_admission_going_on_a_second_loss_is_shown_and_bounds_nothing() -> None:
    report = read(replace(out(HALL, "d"), admit_after_loss=True))
    assert report.powers["b"].worst == rating("b", "a", 2_500_000, 2_400_000, "d")
    own = report.powers["a"].own_loss
    assert own is not None and not own.within_limits
    # Now: 2 MW on a and b; half of what ab adds reaches each.
    assert report.racks["ab"].headroom_watts == 800_000


def test_mutual_backups_are_second_losses_of_each_other() -> None:
    """2N: with a gone, the loss of b switches the racks off; no third element would pick anything up."""
    spec = FacilitySpec(
        node_types=(TYPE,),
        racks=(rack("r", "ab", 1000),),
        powers=tuple(PowerSpec(u, 10_000, survivable=True) for u in "ab"),
    )
    report = read(out(spec, "a"))
    assert report.powers["b"].own_loss == OwnLoss(None, ("r",), (), ("a",))
    assert report.racks["r"].second_to == ("a",)
    whole = read(spec)
    assert whole.powers["b"].own_loss == OwnLoss(rating("a", "b", 1000, 10_000), (), (), ())


@pytest.mark.parametrize(
    ("online", "designed", "lost"),
    [(None, True, False), (3, True, True), (2, True, True)],
)
def test_modules(online: int | None, designed: bool, lost: bool) -> None:
    powers = tuple(
        replace(p, modules=Modules(4, 3, 800_000, online)) if p.name == "a" else p for p in HALL.powers
    )
    modules = read(replace(HALL, powers=powers)).powers["a"].modules
    assert modules == Redundancy(4 if online is None else online, 3, 4)
    assert (modules.designed, modules.lost) == (designed, lost)


def test_modules_without_a_reserve_lose_none() -> None:
    assert not Redundancy(running=1, needed=2, installed=2).lost


def test_units_that_no_feed_reaches_do_not_run() -> None:
    units = (
        CoolingUnit("u1", 500, 0, (Feed("a"),)),
        CoolingUnit("u2", 500),
        CoolingUnit("u3", 500, online=False),
    )
    spec = replace(HALL, coolings=(CoolingSpec("loop", Medium.LIQUID, units, needed_units=1),))
    assert read(spec).coolings["loop"].units == Redundancy(running=2, needed=1, installed=3)
    assert read(out(spec, "a")).coolings["loop"].units == Redundancy(running=1, needed=1, installed=3)


def test_a_unit_with_an_error_is_installed_and_does_not_run() -> None:
    units = (CoolingUnit("u1", 500), CoolingUnit("u2", 500, 0, (Feed("a"), Feed("gone"))))
    spec = replace(HALL, coolings=(CoolingSpec("loop", Medium.LIQUID, units),))
    assert read(spec).coolings["loop"].units == Redundancy(running=1, needed=1, installed=2)


def test_a_budget_that_holds_always_has_its_worst_case_under_a_loss() -> None:
    """a and b carry 3 MW of 3.5 MW together; without c they take over its halves of ac and bc."""
    budget = BudgetSpec("order", ("a", "b"), (), 3_500_000, always=True)
    report = read(replace(HALL, budgets=(budget,))).budgets["order"]
    assert (report.nominal_watts, report.headroom_watts) == (3 * MW, 500_000)
    row = LimitRow(RowKind.BUDGET, "order")
    assert report.worst == WorstCase(Contingency("c"), row, 4 * MW, 3_500_000, -500_000)


def test_a_coming_budget_is_nobodys_worst_case() -> None:
    budget = BudgetSpec("order", ("a",), (), 1, starts_at=1000.0)
    report = read(replace(HALL, budgets=(budget,)))
    assert report.budgets == {}
    assert report.racks["ab"].worst == rating("b", "a", 2_000_000, 2_400_000)


def test_an_unusable_rack_has_no_headroom_and_no_worst_case() -> None:
    spec = replace(HALL, racks=(*HALL.racks, replace(rack("odd", "ab", 0), node_type="gone")))
    odd = read(spec).racks["odd"]
    assert (odd.headroom_watts, odd.worst) == (0, None)
    assert odd.problem == "hardware profile gone does not exist"


def test_domains_are_those_that_the_nodes_say() -> None:
    """A node in an unknown rack counts as a node; one that is ill, or in use, is not free."""
    state = State(
        compile_facility(HALL),
        [
            NodeSpec("n1", "ab", "x"),
            NodeSpec("n2", "ab", "x", healthy=False),
            NodeSpec("n3", "ab", "y"),
            NodeSpec("n4", "nowhere", "y"),
            NodeSpec("n5", "ab"),
        ],
    )
    state.set_unmanaged("n3", 1)
    before = {"x": DomainReport("x", 2, 1, 16), "y": DomainReport("y", 2, 0, 8)}
    assert state.report().domains == before
    with state.simulation():
        state.set_node(NodeSpec("n2", "ab", "x"))
        assert state.report().domains["x"] == DomainReport("x", 2, 2, 16)
        state.validate()
    assert state.report().domains == before
    state.remove_node("n1")
    assert state.report().domains["x"] == DomainReport("x", 1, 0, 8)
    state.validate()
