"""`rackplane facility new`: halls beside the hand-made ones of examples/facilities, and what cannot be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rackplane.cli import parser
from rackplane.core.offline.snapshot import load_folder, snapshot
from rackplane.engine.model import Placement, Request
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State

EXAMPLES = Path(__file__).parents[3] / "examples/facilities"
ROUNDED = ("--rack-overhead", "24000", "--no-cooling")


def new(folder: Path, *more: str) -> State:
    """The facility, with what was written to the folder."""
    assert parser.main(["facility", "new", str(folder), *more]) == 0
    state = snapshot(load_folder(folder)).state
    assert state is not None
    return state


def example(name: str) -> State:
    state = snapshot(load_folder(EXAMPLES / name)).state
    assert state is not None
    return state


def largest(state: State) -> int:
    """Nodes of the largest gang of whole nodes, in any rack."""
    nodes = len(list(state.nodes()))
    found = place(state, Request(slots=nodes, gpus_per_slot=4, resource="nvidia.com/gpu"))
    return nodes if isinstance(found, Placement) else 0


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("4n3", ("--scheme", "4N/3", "--ups-rating", "2400000")),
        ("3n2", ("--scheme", "3N/2")),
    ],
)
def test_a_hall_as_one_was_made_by_hand(tmp_path: Path, name: str, figures: tuple[str, ...]) -> None:
    theirs = example(name)
    racks, paths = len(theirs.facility.racks), {"4n3": 6, "3n2": 3}[name]
    profile = str(EXAMPLES / name / "profile.yaml")
    size = "--rows", str(paths), "--racks", str(racks // paths), "--nodes", "18"
    ours = new(tmp_path / "hall", "--profile", profile, *figures, *ROUNDED, *size)
    assert parser.main(["validate", str(tmp_path / "hall"), "--strict"]) == 0
    assert len(ours.facility.racks) == racks
    assert (
        {r.limit_watts for r in ours.facility.racks}
        == {150_000}
        == {r.limit_watts for r in theirs.facility.racks}
    )
    assert len(list(ours.nodes())) == len(list(theirs.nodes()))
    ups = [p for p in ours.facility.powers.values() if p.survivable]
    assert len(ups) == len(
        [p for p in theirs.facility.powers.values() if p.survivable and p.name.startswith("ups")]
    )
    # Full to the watt, and every single loss is survived: each UPS carries what it must after the loss of another.
    nodes = len(list(ours.nodes()))
    assert largest(ours) == nodes
    assert {p.rated_watts for p in ups} == {racks * 150_000 // (len(ups) - 1)}


def test_a_row_of_modules_with_its_own_base_load(tmp_path: Path) -> None:
    row = new(
        *(tmp_path / "row", "--scheme", "N+1", "--rows", "1", "--profile", "gb300-nvl72"),
        *(
            "--row-base",
            "64000",
            "--row-rating",
            "1200000",
            "--ups-rating",
            "1250000",
            "--rack-limit",
            "142000",
        ),
    )
    theirs = example("gb300-row")
    assert largest(row) == largest(theirs) == 144
    ours, hand = row.facility, theirs.facility
    for facility in (ours, hand):
        assert {(r.overhead_watts, r.limit_watts) for r in facility.racks} == {(13_200, 142_000)}
    for name, other in (("row-1", "row"), ("ups", "ups")):
        mine, made = ours.powers[name], hand.powers[other]
        assert (mine.rated_watts, mine.base_load_watts, mine.modules) == (
            *(made.rated_watts, made.base_load_watts, made.modules),
        )
    assert {z.needed_units: len(z.units) for z in ours.coolings.values()} == {1: 2, 2: 3}


def test_a_catcher_and_nodes_that_are_domains_of_their_own(tmp_path: Path) -> None:
    catcher = new(tmp_path / "catcher", "--scheme", "catcher", "--profile", "gb300-nvl72", "--racks", "2")
    assert largest(catcher) == 8 * 18
    assert [p for p in catcher.facility.powers if "ups" in p] == ["ups-1", "ups-2", "ups-3", "ups-4", "ups-r"]
    air = new(tmp_path / "air", "--scheme", "N", "--rows", "1", "--profile", "dgx-h100")
    assert len(list(air.nodes())) == 32 and not (tmp_path / "air/nvlinkdomains.yaml").exists()
    assert [z.name for z in air.facility.coolings.values()] == ["air"]


def test_what_a_row_draws_beside_its_racks_is_drawn_whatever_feeds_it(tmp_path: Path) -> None:
    size = "--profile", "gb300-nvl72", "--racks", "2", "--no-cooling"
    for scheme, per_rack, of_a_row in (("2N", 5_000, 0), ("catcher-2", 5_000, 0), ("N", 0, 10_000)):
        folder = tmp_path / scheme
        facility = new(folder, "--scheme", scheme, *size, "--row-base", "10000").facility
        assert {r.overhead_watts for r in facility.racks} == {13_200 + per_rack}
        assert sum(p.base_load_watts for p in facility.powers.values()) == of_a_row


def test_pairs_that_are_not_even_need_larger_ups(tmp_path: Path) -> None:
    size = "--profile", "gb300-nvl72", "--racks", "1", "--no-cooling"
    hall = new(tmp_path / "hall", "--scheme", "3N/2", "--pairs", "ab,AB,ac", *size)
    assert [(r.name, [f.power for f in r.feeds]) for r in hall.facility.racks] == [
        ("ab-1-1", ["ups-a", "ups-b"]),
        ("ab-2-1", ["ups-a", "ups-b"]),
        ("ac-1", ["ups-a", "ups-c"]),
    ]
    # Without B: both rows of AB and half of AC, 2.5 racks of 141.504 kW at peak.
    assert {p.rated_watts for p in hall.facility.powers.values() if p.name != "utility"} == {360_000}
    command = "--scheme 3N/2 --profile gb300-nvl72 --pairs ab,AB,ac --racks 1 --no-cooling"
    assert command in (tmp_path / "hall/README.md").read_text(encoding="utf-8")
    assert largest(hall) == 3 * 18


def test_a_campus_of_halls_that_share_nothing_but_the_utility(tmp_path: Path) -> None:
    campus = new(
        *(tmp_path / "campus", "--halls", "2", "--scheme", "2N", "--profile", "gb300-nvl72", "--racks", "2"),
        *("--utility-rating", "750000000", "--queue", "train"),
    )
    assert sorted(path.name for path in (tmp_path / "campus").iterdir()) == [
        *("README.md", "hall-01", "hall-02", "profile.yaml", "queue.yaml", "site.yaml"),
    ]
    assert [r.name for r in campus.facility.racks] == ["h01-ab-1", "h01-ab-2", "h02-ab-1", "h02-ab-2"]
    assert campus.facility.powers["utility"].rated_watts == 750_000_000
    readme = (tmp_path / "campus/README.md").read_text(encoding="utf-8")
    assert "--halls 2 --racks 2 --queue train --utility-rating 750000000" in readme
    assert "| campus | 2 halls, 4 racks, 72 nodes, 288 GPUs; utility 750,000,000 W |" in readme


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--scheme", "3N"), "--scheme 3N: it is one of N, N+1, 2N, 3N/2"),
        (("--scheme", "4N/3", "--rows", "4"), "4N/3 has 6 paths"),
        (("--scheme", "2N", "--row-rating", "1"), "--row-rating: with 2N rows have no busway"),
        (("--scheme", "2N", "--switchboard"), "--switchboard: with 2N the UPS are the scheme"),
        (("--scheme", "3N/2", "--pairs", "AB,AD"), "--pairs AD: no pair of 3N/2: its UPS are A, B, C"),
        (("--scheme", "3N/2", "--pairs", "AB,CC"), "--pairs CC: no pair of 3N/2"),
        (("--scheme", "N", "--pairs", "AB"), "--pairs AB: no pair of N: it has no pairs"),
        (("--scheme", "3N/2", "--pairs", "AB,AC", "--rows", "3"), "--pairs names 2: give a multiple of that"),
        (
            ("--scheme", "2N", "--rack-limit", "1000"),
            "--rack-limit 1000: idle, a rack draws 31,200 W already",
        ),
        (("--scheme", "2N", "--crah-capacity", "1000"), "--crah-capacity 1000: a hall would need "),
        (("--scheme", "2N", "--profile", "b200"), "--profile b200: there is none; it is one of dgx-b200"),
        (("--scheme", "2N", "--profile", "none.yaml"), "none.yaml"),
        (("--scheme", "2N", "--queue", "No Name"), "--queue No Name: a name has lower-case letters"),
    ],
)
def test_what_cannot_be_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], words: str
) -> None:
    arguments = ["facility", "new", str(tmp_path / "hall"), "--profile", "gb300-nvl72", *more]
    assert parser.main(arguments) != 0
    assert words in capsys.readouterr().err
    assert not (tmp_path / "hall").exists()


def test_nothing_is_written_over_unless_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def again(*more: str) -> Any:
        return parser.main(
            ["facility", "new", str(tmp_path), "--scheme", "2N", "--profile", "gb300-nvl72", *more]
        )

    assert again("--racks", "1") == 0
    (tmp_path / "queue.yaml").write_text("# mine\n", encoding="utf-8")
    assert again("--racks", "1") != 0
    assert "and 7 more of these files: name another folder, or --force" in capsys.readouterr().err
    assert (tmp_path / "queue.yaml").read_text(encoding="utf-8") == "# mine\n"
    assert again("--racks", "1", "--force") == 0
    assert again("--racks", "1", "--no-cooling", "--force") != 0
    assert "has cooling.yaml, which is of no design of these figures" in capsys.readouterr().err
