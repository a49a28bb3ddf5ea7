"""4N/3 with two rows on one pair: every sum is right, and the hall does not survive a loss."""

from __future__ import annotations

import pytest

from rackplane.engine.model import Cause, Placement, Refusal
from rackplane.engine.placing.placement import place
from rackplane.engine.reasons import ElementKind
from rackplane.engine.reporting.stranded import StrandedBy, stranded
from tests.examples.halls import (
    ask,
    blind,
    booked_like,
    busy,
    documents,
    fill,
    named,
    nodes_of,
    state_of,
    watts,
)

FOLDER = "4n3-unbalanced"
PAIR = {("ups-a", "ups-b"), ("ups-b", "ups-a")}


def racks(*rows: str) -> list[str]:
    return [name for name in named(documents(FOLDER), "Rack") if name.rpartition("-")[0] in rows]


def test_the_normal_load_of_the_full_hall_fits_and_the_loss_of_ups_a_puts_ups_b_at_150_percent() -> None:
    adds_up = state_of(blind(documents(FOLDER)))
    fill(adds_up)
    assert (busy(adds_up), adds_up.violations()) == (864, [])
    assert [watts(adds_up, f"ups-{u}") for u in "abcd"] == [2_400_000, 2_400_000, 1_200_000, 1_200_000]

    over = booked_like(adds_up, documents(FOLDER)).violations()
    assert not [v for v in over if v.contingency.normal]
    found = {(v.contingency.lost, v.row.element): (v.load_watts, v.limit_watts) for v in over}
    assert found == {
        ("ups-a", "ups-b"): (3_600_000, 2_400_000),
        ("ups-b", "ups-a"): (3_600_000, 2_400_000),
        ("ups-c", "ups-a"): (3_000_000, 2_400_000),
        ("ups-c", "ups-b"): (3_000_000, 2_400_000),
        ("ups-d", "ups-a"): (3_000_000, 2_400_000),
        ("ups-d", "ups-b"): (3_000_000, 2_400_000),
    }


def test_one_gang_of_all_nodes_is_refused_by_the_loss_the_element_and_the_watts() -> None:
    answer = place(state_of(documents(FOLDER)), ask(864, required="spine", segment_slots=18))
    assert isinstance(answer, Refusal)
    assert answer.cause is Cause.POWER
    tightest = answer.tightest
    assert tightest is not None
    assert (tightest.kind, tightest.domain) == (ElementKind.POWER_DOMAIN, "hall-1")
    assert (tightest.lost, tightest.name) in PAIR
    assert (tightest.load_watts, tightest.limit_watts) == (3_600_000, 2_400_000)
    assert (tightest.normal_limit_watts, tightest.over_watts) == (2_400_000, 1_200_000)
    # 16 racks of ab and ab2 whole, and 16 of two other rows by halves: 24 racks of 18 nodes of 6 kW above idle
    assert (tightest.needed_watts, tightest.added_watts) == (864 * 6_000, 24 * 18 * 6_000)


@pytest.mark.parametrize("first", ["ab", "ab2"])
def test_the_hall_is_refused_before_it_is_full(first: str) -> None:
    state = state_of(documents(FOLDER))
    last = fill(state, capacity=nodes_of(state, *racks(first)))
    assert busy(state) == 8 * 18
    second = "ab" if first == "ab2" else "ab2"
    last = fill(state, capacity=nodes_of(state, *racks(second)))
    # ab and ab2 whole, and bc and bd idle by halves: 2,400 = 1,200 + 336 + n x 6 + 336, so n = 88
    assert busy(state) == 8 * 18 + 88
    tightest = last.tightest
    assert tightest is not None
    assert (tightest.lost, tightest.name) in PAIR
    assert (tightest.load_watts, tightest.limit_watts, tightest.over_watts) == (2_406_000, 2_400_000, 6_000)


def test_at_best_664_of_864_nodes_are_safe() -> None:
    state = state_of(documents(FOLDER))
    fill(state, capacity=nodes_of(state, *racks("ac", "ad", "bc", "bd")))
    assert busy(state) == 4 * 8 * 18
    fill(state)
    assert (busy(state), int(state.nominal.sum())) == (664, 6_000_000)
    assert state.violations() == []
    (unfed,) = stranded(state).unfed
    assert (unfed.cause, unfed.nodes, unfed.watts) == (StrandedBy.POWER, 200, 1_200_000)
    assert (unfed.loss.lost, unfed.row.element) in PAIR


def test_nothing_of_the_balanced_hall_is_stranded_by_its_limits() -> None:
    result = stranded(state_of(documents("4n3")))
    assert (result.filled_nodes, result.unfed) == (864, ())


def test_of_six_gangs_of_a_row_each_the_balanced_hall_takes_all_and_this_one_does_not() -> None:
    taken = {}
    for folder in ("4n3", FOLDER):
        state = state_of(documents(folder))
        for number in range(6):
            answer = place(state, ask(144, required="leaf", segment_slots=18))
            if isinstance(answer, Placement):
                state.book(f"row-{number}", answer)
        taken[folder] = busy(state)
    assert taken["4n3"] == 864
    assert taken[FOLDER] < 664
