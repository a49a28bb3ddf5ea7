"""The catcher hall with one UPS out: what the next loss would do, and what is admitted meanwhile."""

from __future__ import annotations

import pytest

from rackplane.core.settings import MachineSettings
from rackplane.engine.model import Placement, Refusal
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.placing.placement import place
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
    nodes_of,
    state_of,
    watts,
)

ADMIT = MachineSettings(admit_after_loss=True)
BLOCK_1 = [f"b1-{n}" for n in range(1, 5)]


def after_the_loss_of_ups_1(objects: list[Manifest]) -> list[Manifest]:
    return edited(objects, "PowerDomain", "ups-1", state="Offline")


@pytest.fixture(scope="module")
def full() -> State:
    state = state_of(documents("catcher"))
    fill(state)
    assert busy(state) == 288
    return state


def test_after_the_first_loss_nothing_is_over_and_every_next_loss_would_be(full: State) -> None:
    state = booked_like(full, after_the_loss_of_ups_1(documents("catcher")))
    assert [watts(state, f"ups-{u}") for u in "1234r"] == [0, 600_000, 600_000, 600_000, 600_000]
    found = state.violations()
    assert {(v.contingency.lost, v.row.element, v.load_watts, v.limit_watts) for v in found} == {
        (lost, "ups-r", 1_200_000, 600_000) for lost in ("ups-2", "ups-3", "ups-4")
    }
    assert {v.row.kind for v in found} == {RowKind.POWER_NOMINAL, RowKind.POWER_PEAK}


def test_the_next_losses_are_known_as_second_ones(full: State) -> None:
    facility = booked_like(full, after_the_loss_of_ups_1(documents("catcher"))).facility
    second = {facility.contingencies[c].lost: names for c, names in facility.second_loss.items()}
    # ups-r carries block-1 now: without it that block is dark, and so too heavy for nothing.
    assert second == dict.fromkeys(("ups-2", "ups-3", "ups-4", "ups-r"), ("ups-1",))
    assert {
        rack: [facility.contingencies[c].lost for c in lost] for rack, lost in facility.dropped.items()
    } == {rack: ["ups-r"] for rack in BLOCK_1}


def test_each_ups_says_that_its_loss_would_now_be_the_second(full: State) -> None:
    assert conditions(full, "PowerDomain", "ups-2")["SurvivesLoss"] == "True"
    state = booked_like(full, after_the_loss_of_ups_1(documents("catcher")))
    assert [conditions(state, "PowerDomain", f"ups-{u}")["SurvivesLoss"] for u in "234r"] == ["False"] * 4
    own = state.report().powers["ups-2"].own_loss
    assert own is not None
    assert own.second_to == ("ups-1",)
    assert own.worst is not None
    assert (own.worst.row.element, own.worst.load_watts, own.worst.headroom_watts) == (
        "ups-r",
        1_200_000,
        -600_000,
    )
    assert conditions(state, "Rack", "b1-1")["Survives"] == "False"
    assert conditions(state, "Rack", "b2-1")["Survives"] == "True"


def test_by_default_nothing_starts_in_place_of_what_ends(full: State) -> None:
    state = booked_like(full, after_the_loss_of_ups_1(documents("catcher")))
    state.release("gang-0")
    answer = place(state, ask(18, required="nvlink"))
    assert isinstance(answer, Refusal)
    tightest = answer.tightest
    assert tightest is not None
    assert (tightest.name, tightest.out_of_service) == ("ups-r", ("ups-1",))
    assert tightest.lost in {"ups-2", "ups-3", "ups-4"}
    assert (tightest.load_watts, tightest.limit_watts, tightest.over_watts) == (1_200_000, 600_000, 600_000)


def test_where_admission_goes_on_the_hall_fills_again_and_the_second_loss_is_still_shown(full: State) -> None:
    state = booked_like(full, after_the_loss_of_ups_1(documents("catcher")), ADMIT)
    before = state.violations()
    state.release("gang-0")
    answer = place(state, ask(18, required="nvlink"))
    assert isinstance(answer, Placement)
    state.book("next", answer)
    assert state.violations() == before
    assert len({v.contingency.lost for v in before}) == 3


def test_what_fits_from_idle_while_the_reserve_is_used() -> None:
    held = state_of(after_the_loss_of_ups_1(documents("catcher")))
    others = [node for node in held.nodes() if node.rack not in BLOCK_1]
    last = fill(held, capacity={node.name: 1 for node in others})
    # Block-1 idles at 168 kW on ups-r, so each other block may have 600 - 168 = 432 kW = 168 kW + 44 x 6 kW.
    assert (busy(held), int(held.nominal.sum())) == (3 * 44, 168_000 + 3 * 432_000)
    assert held.violations() == []
    tightest = last.tightest
    assert tightest is not None
    assert (tightest.name, tightest.load_watts, tightest.over_watts) == ("ups-r", 606_000, 6_000)
    answer = place(held, ask(capacity=nodes_of(held, *BLOCK_1)))
    assert isinstance(answer, Refusal)
    assert answer.tightest is not None
    assert (answer.tightest.name, answer.tightest.load_watts) == ("ups-r", 606_000)

    admitted = state_of(after_the_loss_of_ups_1(documents("catcher")), ADMIT)
    fill(admitted)
    assert (busy(admitted), int(admitted.nominal.sum())) == (288, 2_400_000)


def test_a_loss_that_shares_nothing_with_the_first_still_holds() -> None:
    """A fifth block with two UPS of its own beside the catcher's four."""
    objects = documents("catcher")
    template = next(o for o in objects if o["metadata"]["name"] == "ups-2")
    own = [
        {**template, "metadata": {"name": name}, "spec": template["spec"] | {"ratedWatts": 150_000 + 42_000}}
        for name in ("ups-x", "ups-y")
    ]
    feeds = [{"powerDomain": name, "weight": 1} for name in ("ups-x", "ups-y")]
    for rack in ("b4-3", "b4-4"):
        objects = edited(objects, "Rack", rack, feeds=feeds)
    state = state_of(after_the_loss_of_ups_1([*objects, *own]), ADMIT)
    last = fill(state, capacity=nodes_of(state, "b4-3", "b4-4"))
    assert busy(state) == 18
    tightest = last.tightest
    assert tightest is not None
    assert {tightest.lost, tightest.name} == {"ups-x", "ups-y"}
    assert (tightest.out_of_service, tightest.over_watts) == ((), 6_000)
