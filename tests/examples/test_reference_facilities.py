"""The reference facilities e1 to e8 of docs/reference-facilities.md, each made by the command that the page names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rackplane.cli import parser
from rackplane.core.offline.snapshot import load_folder
from rackplane.engine.model import Placement, Refusal
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State
from tests.examples.halls import ROOT, ask, blind, booked_like, busy, fill, state_of, watts

PAGE = (ROOT / "docs/reference-facilities.md").read_text(encoding="utf-8")
COMMANDS = {
    match[1]: match[2].replace("\\\n", " ")
    for match in re.finditer(r"^rackplane facility new (\S+) ((?:.*\\\n)*.*)$", PAGE, re.MULTILINE)
}


def made(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the page's command writes; `validate` has no errors for it."""
    monkeypatch.chdir(ROOT)
    folder = tmp_path / name
    assert parser.main(["facility", "new", str(folder), *shlex.split(COMMANDS[name])]) == 0
    assert parser.main(["validate", str(folder)]) == 0
    return folder


@pytest.fixture
def state(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    return state_of(load_folder(made(request.param, tmp_path, monkeypatch)))


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("state", [name], indirect=True)


def full(state: State, **more: object) -> State:
    fill(state, **more)
    assert state.violations() == []
    return state


def test_the_page_has_a_command_for_each() -> None:
    assert list(COMMANDS) == ["e1", "e2", "e2-negative", "e3", "e4", "e5", "e6", "e7", "e8"]


@of("e1")
def test_a_gb300_row(state: State) -> None:
    [row] = [p for p in state.facility.powers.values() if p.name == "row-1"]
    assert {(r.overhead_watts + 18 * 6_600, r.limit_watts) for r in state.facility.racks} == {
        (132_000, 142_000)
    }
    assert (row.rated_watts, row.base_load_watts, 8 * 142_000 + 64_000) == (1_200_000, 64_000, 1_200_000)
    assert watts(state, "row-1") == 64_000 + 8 * 31_200
    assert busy(full(state)) == 144
    assert {z.name: (z.needed_units, len(z.units)) for z in state.facility.coolings.values()} == {
        "liquid": (1, 2),
        "air": (2, 3),
    }


@of("e2")
def test_a_hall_of_4n3(state: State) -> None:
    assert len(state.facility.racks) == 48
    assert busy(full(state)) == 864
    # 1,120 kW a row as a quarter of six rows is a UPS's: 75 % of its rating and, after a loss, all of it at peak.
    assert [watts(state, f"ups-{u}") for u in "abcd"] == [6 * 1_120_000 / 4] * 4
    assert [watts(state, f"ups-{u}", lost="ups-a") for u in "bcd"] == [6 * 1_120_000 / 3] * 3


@of("e2-negative")
def test_the_same_with_two_rows_on_one_pair(state: State, tmp_path: Path) -> None:
    adds_up = full(state_of(blind(load_folder(tmp_path / "e2-negative"))))
    assert busy(adds_up) == 864
    assert [watts(adds_up, f"ups-{u}") for u in "abcd"] == [2_240_000, 2_240_000, 1_120_000, 1_120_000]
    over = booked_like(adds_up, load_folder(tmp_path / "e2-negative")).violations()
    worst = max(over, key=lambda v: v.load_watts)
    assert (worst.contingency.normal, worst.limit_watts) == (False, 2_400_000)
    assert 0 < busy(full(state)) < 864


@of("e3")
def test_a_hall_of_2n(state: State) -> None:
    assert busy(full(state)) == 864
    assert [watts(state, f"ups-{u}") for u in "ab"] == [6 * 1_120_000 / 2] * 2
    assert max(6 * 1_200_000 / 2, watts(state, "ups-a")) <= 3_600_000
    assert watts(state, "ups-a", lost="ups-b") == 6 * 1_120_000


@of("e4")
def test_a_catcher(state: State) -> None:
    names = [p.name for p in state.facility.powers.values() if p.name.startswith("ups-")]
    assert names == ["ups-1", "ups-2", "ups-3", "ups-4", "ups-r"]
    assert {state.facility.powers[name].rated_watts for name in names} == {2_400_000}
    assert busy(full(state)) == 8 * 144
    assert watts(state, "ups-r") == 0
    assert watts(state, "ups-r", lost="ups-1") == watts(state, "ups-1") == 2 * 1_120_000


@of("e5")
def test_a_row_of_vera_rubin(state: State) -> None:
    assert [z.name for z in state.facility.coolings.values()] == ["liquid"]
    [loop] = state.facility.coolings.values()
    assert (loop.needed_units, [u.capacity_watts for u in loop.units]) == (1, [2_000_000] * 2)
    # 230 kW a rack at Max-P, 190 kW at Max-Q, the profile's rounding aside.
    assert busy(full(state, power_profile="MaxP")) == 144
    assert watts(state, "row-1") == pytest.approx(8 * 230_000, rel=0.001)
    for key in list(state.keys()):
        state.release(key)
    assert busy(full(state, power_profile="MaxQ")) == 144
    assert watts(state, "row-1") == pytest.approx(8 * 190_000, rel=0.001)


@of("e6")
def test_a_unit_of_dgx_h100(state: State, tmp_path: Path) -> None:
    assert [z.name for z in state.facility.coolings.values()] == ["air"]
    for number in range(32):
        answer = place(state, ask(gpus_per_slot=8))
        assert isinstance(answer, Placement)
        state.book(f"gang-{number}", answer)
    assert isinstance(place(state, ask(gpus_per_slot=8)), Refusal)
    # At peak 40.8 kW a rack; the profile says that nodes in training draw 70 % of the way from idle to that.
    assert "| row | 8 racks: 326,400 W |" in (tmp_path / "e6/README.md").read_text(encoding="utf-8")
    assert watts(state, "row-1") == 32 * (2_100 + 0.7 * (10_200 - 2_100))


@of("e7")
def test_the_twin_of_the_dps_simulator(state: State) -> None:
    ratings = {p.name: p.rated_watts for p in state.facility.powers.values()}
    assert ratings == {
        "utility": 750_000,
        "switchboard": 1_600_000,
        **{f"row-{number}": 450_000 for number in (1, 2, 3, 4)},
    }
    for number in range(131):
        answer = place(state, ask(power_profile="High"))
        assert isinstance(answer, Placement)
        state.book(f"gang-{number}", answer)
    assert (watts(state, "utility"), watts(state, "row-1")) == (746_600, 201_600)
    refused = place(state, ask(power_profile="High"))
    assert isinstance(refused, Refusal) and refused.tightest is not None
    assert (refused.tightest.name, refused.tightest.load_watts) == ("utility", 751_200)


def test_a_campus_of_750_mw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert parser.main(["facility", "new", str(tmp_path / "e8"), *shlex.split(COMMANDS["e8"])]) == 0
    readme = (tmp_path / "e8/README.md").read_text(encoding="utf-8")
    assert "22 halls, 1,056 racks, 19,008 nodes, 76,032 GPUs; utility 750,000,000 W" in readme
    assert "by 4N/3 with UPS of 2,400,000 W" in readme
