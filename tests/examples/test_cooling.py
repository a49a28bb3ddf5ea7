"""Cooling that is lost together with power, and units that are lost within redundancy."""

from __future__ import annotations

import pytest

from rackplane.engine.model import Cause, Placement, Refusal
from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.engine.placing.placement import place
from rackplane.engine.reasons import ElementKind
from rackplane.engine.reporting.reports import Redundancy
from rackplane.engine.state import State
from tests.examples.halls import (
    Manifest,
    ask,
    booked_like,
    busy,
    conditions,
    documents,
    edited,
    fill,
    named,
    rewired,
    state_of,
    watts,
)

LIQUID = LimitRow(RowKind.LIQUID, "hall-liquid")


def heat(state: State, row: LimitRow) -> tuple[float, float]:
    """Normal load and limit of a zone, in watts."""
    cell = state.facility.row_index[row]
    return float(state.loads[cell]), float(state.facility.limits[cell])


def states(objects: list[Manifest], zone: str, **of_unit: str) -> list[Manifest]:
    """A copy with units of a zone in these states: cdu_1="Offline"."""
    units = named(objects, "CoolingZone")[zone]["units"]
    changed = [u | {"state": of_unit.get(u["name"].replace("-", "_"), "Online")} for u in units]
    return edited(objects, "CoolingZone", zone, units=changed)


@pytest.mark.parametrize(
    ("folder", "lost", "gone", "left"),
    [
        ("2n", "board-a", {"ups-a", "mech-a"}, {"hall-air": (2, 2), "hall-liquid": (1, 1)}),
        ("3n2", "ups-a", set(), {"hall-liquid": (2, 2)}),
        ("n-plus-1", "mech-a", set(), {"hall-air": (2, 2), "hall-liquid": (2, 1)}),
    ],
)
def test_a_power_loss_that_takes_cooling_with_it_is_survived_as_built(
    folder: str, lost: str, gone: set[str], left: dict[str, tuple[int, int]]
) -> None:
    state = state_of(documents(folder))
    fill(state)
    after = booked_like(state, edited(documents(folder), "PowerDomain", lost, state="Offline"))
    assert set(state.facility.live) - set(after.facility.live) == {lost, *gone}
    assert not [v for v in after.violations() if v.contingency.normal]
    running = {z: (r.units.running, r.units.needed) for z, r in after.report().coolings.items()}
    assert running == left
    # Units are lost, and what may be used is the same.
    before = state.report().coolings
    assert all(r.usable_watts == before[z].usable_watts for z, r in after.report().coolings.items())


@pytest.mark.parametrize(
    ("folder", "zone", "unit", "onto", "losses", "kind", "one_unit", "nodes"),
    [
        ("2n", "hall-air", "crah-3", "mech-a", {"board-a", "mech-a"}, Cause.AIR, 80_000, 46),
        ("n-plus-1", "hall-air", "crah-3", "mech-a", {"mech-a"}, Cause.AIR, 80_000, 46),
        ("3n2", "hall-liquid", "cdu-c", "ups-a", {"ups-a"}, Cause.LIQUID, 800_000, 69),
    ],
)
def test_one_unit_on_the_wrong_feed_holds_the_hall_to_what_is_left_of_the_cooling(
    folder: str, zone: str, unit: str, onto: str, losses: set[str], kind: Cause, one_unit: int, nodes: int
) -> None:
    state = state_of(rewired(documents(folder), zone, unit, onto))
    last = fill(state)
    assert busy(state) == nodes
    assert last.cause is kind
    tightest = last.tightest
    assert tightest is not None
    assert (tightest.kind, tightest.name) == (ElementKind.COOLING_ZONE, zone)
    assert tightest.lost in losses
    assert (tightest.limit_watts, tightest.normal_limit_watts) == (one_unit, 2 * one_unit)
    percent = 87 if kind is Cause.LIQUID else 13
    assert tightest.needed_watts == 6_000 * percent // 100
    load = (int(state.nominal.sum()) + 6_000) * percent / 100
    assert tightest.load_watts == pytest.approx(load, abs=1)
    assert tightest.over_watts == pytest.approx(load - one_unit, abs=1)


def test_the_watts_of_a_cdu_go_with_it() -> None:
    state = state_of(documents("3n2"))
    fill(state)
    assert sum(watts(state, f"ups-{u}") for u in "abc") == 1_800_000 + 3 * 20_000
    assert watts(state, "ups-b", "ups-a") + watts(state, "ups-c", "ups-a") == 1_800_000 + 2 * 20_000


def test_one_cdu_of_an_n_plus_1_pair_lost_needs_no_shedding_and_says_that_the_redundancy_is_gone() -> None:
    objects = documents("n-plus-1")
    full = state_of(objects)
    fill(full)
    zone = full.report().coolings["hall-liquid"]
    assert (zone.usable_watts, zone.units, zone.units.lost) == (1_100_000, Redundancy(2, 1, 2), False)

    after = booked_like(full, states(objects, "hall-liquid", cdu_1="Offline"))
    assert after.violations() == []
    zone = after.report().coolings["hall-liquid"]
    assert (zone.usable_watts, zone.heat_watts) == (1_100_000, 1_044_000)
    assert (zone.units, zone.units.lost) == (Redundancy(1, 1, 2), True)
    assert conditions(full, "CoolingZone", "hall-liquid")["RedundancyLost"] == "False"
    assert conditions(after, "CoolingZone", "hall-liquid")["RedundancyLost"] == "True"
    assert conditions(after, "CoolingZone", "hall-air")["RedundancyLost"] == "False"

    # Gangs go on starting: what ends is replaced.
    after.release("gang-0")
    assert isinstance(place(after, ask(18, required="nvlink")), Placement)


def test_without_transfer_switches_a_cdu_that_is_out_makes_the_loss_of_the_other_board_a_second_one() -> None:
    objects = rewired(documents("n-plus-1"), "hall-liquid", "cdu-1", "mech-a")
    objects = rewired(objects, "hall-liquid", "cdu-2", "mech-b")
    state = state_of(states(objects, "hall-liquid", cdu_1="Offline"))
    (violation,) = state.violations()
    assert (violation.contingency.lost, violation.row) == ("mech-b", LIQUID)
    answer = place(state, ask())
    assert isinstance(answer, Refusal)
    tightest = answer.tightest
    assert tightest is not None
    assert (tightest.lost, tightest.name, tightest.limit_watts) == ("mech-b", "hall-liquid", 0)
    assert tightest.normal_limit_watts == 1_100_000


def test_the_second_cdu_lost_leaves_nothing() -> None:
    objects = states(documents("n-plus-1"), "hall-liquid", cdu_1="Offline", cdu_2="Offline")
    state = state_of(objects)
    assert heat(state, LIQUID) == (8 * 42_000 * 0.87, 0)
    answer = place(state, ask())
    assert isinstance(answer, Refusal)
    assert answer.cause is Cause.LIQUID
    tightest = answer.tightest
    assert tightest is not None
    assert (tightest.name, tightest.limit_watts, tightest.added_watts) == ("hall-liquid", 0, 5_220)
    assert tightest.load_watts == tightest.over_watts == 8 * 42_000 * 87 // 100 + 5_220


@pytest.mark.parametrize(
    ("online", "usable", "over"), [(6, 1_200_000, 0), (5, 1_200_000, 0), (4, 960_000, 240_000)]
)
def test_a_module_lost_within_redundancy_changes_nothing_and_one_beyond_it_does(
    online: int, usable: int, over: int
) -> None:
    objects = documents("n-plus-1")
    full = state_of(objects)
    fill(full)
    modules = named(objects, "PowerDomain")["ups"]["redundancy"] | {"online": online}
    after = booked_like(full, edited(objects, "PowerDomain", "ups", redundancy=modules))
    row = LimitRow(RowKind.POWER_NOMINAL, "ups")
    assert after.facility.limits[after.facility.row_index[row]] == usable
    assert {v.load_watts - v.limit_watts for v in after.violations() if v.row == row} == (
        {over} if over else set()
    )
