"""What each redundancy scheme may carry: full to the watt, not a GPU more, and every single loss survived."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import groupby
from typing import NamedTuple

import pytest

from rackplane.engine.model import Refusal
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.placing.placement import place
from rackplane.engine.reasons import ElementKind
from rackplane.engine.state import State
from tests.examples.halls import (
    ROOT,
    Manifest,
    ask,
    booked_like,
    busy,
    documents,
    edited,
    fill,
    named,
    nodes_of,
    state_of,
    watts,
    with_rack,
)


class Scheme(NamedTuple):
    """Sources of one rating, and the part of all of them that may be used: the table in docs/physics.md."""

    folder: str
    sources: tuple[str, ...]
    usable: Fraction


SCHEMES = [
    Scheme("2n", ("ups-a", "ups-b"), Fraction(1, 2)),
    Scheme("3n2", ("ups-a", "ups-b", "ups-c"), Fraction(2, 3)),
    Scheme("4n3", ("ups-a", "ups-b", "ups-c", "ups-d"), Fraction(3, 4)),
    Scheme("5n4", ("ups-a", "ups-b", "ups-c", "ups-d", "ups-e"), Fraction(4, 5)),
    Scheme("catcher", ("ups-1", "ups-2", "ups-3", "ups-4", "ups-r"), Fraction(4, 5)),
]
FOLDERS = ("2n", "3n2", "4n3", "5n4", "catcher", "n-plus-1")


@cache
def full(folder: str) -> State:
    """The hall with every node at work; not to be changed."""
    state = state_of(documents(folder))
    fill(state)
    assert busy(state) == len(list(state.nodes()))
    assert state.violations() == []
    return state


def one_rack_on_each_path(objects: list[Manifest]) -> list[str]:
    def path(name: str) -> str:
        return ",".join(feed["powerDomain"] for feed in racks[name]["feeds"])

    racks = named(objects, "Rack")
    return [next(group) for _, group in groupby(sorted(racks, key=path), key=path)]


def survivable(folder: str) -> list[str]:
    powers = named(documents(folder), "PowerDomain")
    return [name for name, spec in powers.items() if spec.get("survivable")]


LOSSES = [(folder, lost) for folder in FOLDERS for lost in survivable(folder)]
PATHS = [(folder, rack) for folder in FOLDERS for rack in one_rack_on_each_path(documents(folder))]


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.folder)
def test_a_full_hall_leaves_the_survivors_of_each_loss_with_what_the_formula_says(scheme: Scheme) -> None:
    powers = named(documents(scheme.folder), "PowerDomain")
    rated = {powers[source]["ratedWatts"] for source in scheme.sources}
    (one,) = rated
    usable = scheme.usable * one * len(scheme.sources)
    state = full(scheme.folder)
    for lost in scheme.sources:
        left = [watts(state, source, lost) for source in scheme.sources if source != lost]
        assert sum(left) == pytest.approx(float(usable), abs=1)
        assert max(left) <= one + 1


def test_modules_carry_what_is_needed_of_them_and_no_more() -> None:
    modules = named(documents("n-plus-1"), "PowerDomain")["ups"]["redundancy"]
    assert (modules["installed"], modules["needed"]) == (6, 5)
    assert watts(full("n-plus-1"), "ups") == modules["needed"] * modules["moduleWatts"] == 1_200_000


@pytest.mark.parametrize(("folder", "lost"), LOSSES)
def test_every_single_loss_is_survived(folder: str, lost: str) -> None:
    """As computed beforehand, and as it is once it has happened and is the new normal."""
    before = full(folder)
    after = booked_like(before, edited(documents(folder), "PowerDomain", lost, state="Offline"))
    assert [v for v in after.violations() if v.contingency.normal] == []
    for name in after.facility.live:
        # No cell is kept for a loss that lightens an element.
        assert watts(after, name) == pytest.approx(watts(before, name, lost)) or (
            watts(after, name) < watts(before, name) == watts(before, name, lost)
        )


@pytest.mark.parametrize(("folder", "like"), PATHS)
def test_a_full_hall_takes_not_one_gpu_more_on_any_path(folder: str, like: str) -> None:
    hall = full(folder)
    grown = booked_like(hall, with_rack(documents(folder), like))
    answer = place(grown, ask(gpus_per_slot=1))
    assert isinstance(answer, Refusal)
    tightest = answer.tightest
    assert tightest is not None
    # A quarter of a node of 7 kW, on a limit that is used to the watt.
    facility = hall.facility
    contingencies = {c.lost for c in facility.contingencies}
    assert tightest.kind is ElementKind.POWER_DOMAIN
    assert tightest.lost in contingencies
    assert tightest.limit_watts == facility.powers[tightest.name].rated_watts or folder == "n-plus-1"
    assert watts(hall, tightest.name, tightest.lost) == pytest.approx(tightest.limit_watts, abs=0.01)
    assert tightest.over_watts == tightest.needed_watts == tightest.load_watts - tightest.limit_watts


def test_the_balanced_4n3_hall_refuses_the_first_gpu_of_a_49th_rack() -> None:
    grown = booked_like(full("4n3"), with_rack(documents("4n3"), like="ab-1"))
    assert int(grown.nominal.sum()) == 7_200_000
    answer = place(grown, ask(gpus_per_slot=1))
    assert isinstance(answer, Refusal)
    tightest = answer.tightest
    assert tightest is not None
    assert (tightest.lost, tightest.name) in {("ups-a", "ups-b"), ("ups-b", "ups-a")}
    assert (tightest.load_watts, tightest.limit_watts, tightest.over_watts) == (2_401_750, 2_400_000, 1_750)


def test_the_balanced_4n3_hall_takes_one_gang_of_all_its_nodes() -> None:
    state = state_of(documents("4n3"))
    whole = place(state, ask(864, required="spine", segment_slots=18))
    assert not isinstance(whole, Refusal)
    assert (len(set(whole.slots)), whole.nominal_watts) == (864, 864 * 6000)


def test_a_rack_may_not_draw_more_than_the_shelves_of_one_side_deliver() -> None:
    """Two sides of 4 x 33 kW: normally 75 kW each, after a loss the rack's 150 kW on 132 kW."""
    objects = documents("2n")
    feeds = [feed | {"limitWatts": 4 * 33_000} for feed in named(objects, "Rack")["r1"]["feeds"]]
    state = state_of(edited(objects, "Rack", "r1", feeds=feeds))
    only = nodes_of(state, "r1")
    answer = fill(state, capacity=only)
    # 24 kW + 18 x 1 kW idle + 15 x 6 kW = 132 kW
    assert (busy(state), int(state.nominal[state.facility.rack_index["r1"]])) == (15, 132_000)
    tightest = answer.tightest
    assert tightest is not None
    assert (tightest.name, tightest.feed) in {("r1", "ups-a"), ("r1", "ups-b")}
    assert tightest.lost in {"ups-a", "ups-b", "board-a", "board-b"} - {tightest.feed}
    assert (tightest.load_watts, tightest.limit_watts) == (138_000, 132_000)
    assert not [
        r for r in state.facility.rows if r.kind is RowKind.FEED and r.element not in named(objects, "Rack")
    ]


@pytest.mark.parametrize(
    "scheme", [s for s in SCHEMES if s.folder != "catcher"], ids=lambda scheme: scheme.folder
)
def test_the_page_on_physics_gives_the_same_part(scheme: Scheme) -> None:
    lines = (ROOT / "docs" / "physics.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith("| ") and f"facilities/{scheme.folder}/" in line]
    part = f"{100 * float(scheme.usable):.1f}".removesuffix(".0") + " %"
    assert row.split(" | ")[3] == part
