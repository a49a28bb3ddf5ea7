"""`rackplane tree`: whole answers, on a hall whose figures can be checked by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rackplane.cli import parser
from rackplane.cli.output import console_for
from rackplane.cli.view import Branch, Gauge, Tree, lines, show
from tests.unit.cli.hall import HALL, folder, gang

#: r1 is full at MaxP, half of r3 runs at MaxQ: 42 kW, 6 kW and 18 kW with 2 kW of overhead each.
GANGS = (
    gang("a", "r1-01", "r1-02", "r1-03", "r1-04"),
    gang("b", "r3-01", "r3-02", rack="r3", profile="MaxQ"),
)


@pytest.fixture
def hall(tmp_path: Path) -> str:
    return folder(tmp_path / "hall", *HALL, *GANGS)


UNKNOWN_FEED = "Rack r3: power domain ups-z does not exist; create PowerDomain ups-z or correct the name."
EXPECTED = Path(__file__).with_name("expected")


def expected(name: str) -> str:
    return (EXPECTED / f"{name}.txt").read_text(encoding="utf-8")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert parser.main(["tree", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def data(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(run(capsys, *arguments, "-o", "json"))


def test_the_power_path_from_the_sources_down(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "power", "--facility", hall) == expected("power")


def test_each_rack_has_a_line_if_asked(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "power", "ups-a", "-r", "--facility", hall) == expected("power-below-ups-a")


def test_the_way_up_from_a_rack(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "power", "r3", "--facility", hall) == expected("power-above-r3")


def test_options_and_the_name_may_stand_in_any_order(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "power", "--facility", hall, "r3") == expected("power-above-r3")
    assert run(capsys, "--facility", hall, "power", "r3") == expected("power-above-r3")


def test_the_cooling_loops(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "cooling", "--facility", hall) == expected("cooling")


def test_the_fabric(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fabric", "--facility", hall) == expected("fabric")


def test_parts_of_an_nvlink_domain_and_levels_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"n{n}", "labels": {"rack": "r1", "example.com/part": f"p{n // 2}"}},
            "status": {
                "allocatable": {"nvidia.com/gpu": "4"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
        for n in range(4)
    ]
    path = folder(tmp_path / "hall", *HALL, *nodes)
    levels = ("--fabric-levels", "part,nvlink,leaf,hall", "--fabric-labels", "part=example.com/part")
    found = data(capsys, "fabric", "nvl-r1", "--facility", path, *levels)
    (domain,) = found["places"]
    assert [(p["level"], p["name"], p["nodes"]) for p in domain["parts"]] == [
        ("part", "p0", 2),
        ("part", "p1", 2),
    ]
    assert "part" in run(capsys, "fabric", "p1", "--facility", path, *levels)


def test_levels_that_cannot_be_are_told(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["tree", "fabric", "--facility", hall, "--fabric-levels", "leaf,leaf"]) == 2
    assert "--fabric-levels, --fabric-labels: level leaf is named twice" in capsys.readouterr().err


def test_nodes_that_are_down_and_domains_that_take_no_gangs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1", "labels": {"rack": "r2"}},
        "status": {
            "allocatable": {"nvidia.com/gpu": "4"},
            "conditions": [{"type": "Ready", "status": "False"}],
        },
    }
    changed = [dict(body) for body in HALL]
    for body in changed:
        if body["metadata"]["name"] == "nvl-r3":
            body["spec"] = {**body["spec"], "state": "Draining", "spareNodes": 1}
    path = folder(tmp_path / "hall", *changed, node)
    assert run(capsys, "fabric", "leaf-1", "--facility", path) == expected("fabric-down")


def test_a_limit_that_is_exceeded_is_told_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [dict(body) for body in HALL]
    for body in small:
        if body["metadata"]["name"] == "ups-b":
            body["spec"] = {**body["spec"], "ratedWatts": 50_000}
    path = folder(tmp_path / "hall", *small, *GANGS)
    assert run(capsys, "power", "ups-b", "--facility", path) == expected("power-over")


def test_what_is_wrong_with_the_facility_stands_below(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [dict(body) for body in HALL]
    for body in wrong:
        if body["metadata"]["name"] == "r3":
            feeds = [{"powerDomain": "ups-z", "weight": 1}]
            body["spec"] = {**body["spec"], "feeds": feeds}
    path = folder(tmp_path / "hall", *wrong)
    assert run(capsys, "power", "ups-c", "--facility", path).splitlines()[-1] == UNKNOWN_FEED
    assert data(capsys, "power", "ups-c", "--facility", path)["problems"] == [UNKNOWN_FEED]


def test_an_empty_facility_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder(tmp_path / "empty", HALL[-1])
    found = [
        run(capsys, what, "--facility", path).splitlines()[-1] for what in ("power", "cooling", "fabric")
    ]
    assert found == ["There are no PowerDomains.", "There are no CoolingZones.", "There are no Racks."]


def test_a_name_that_is_not_there_brings_the_nearest(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for what, name in (("power", "usp-a"), ("cooling", "lop"), ("fabric", "leaf1")):
        assert parser.main(["tree", what, name, "--facility", hall]) == 1
        said[what] = capsys.readouterr().err
    assert said == {
        "power": "rackplane: there is no PowerDomain and no Rack usp-a; did you mean ups-a?\n",
        "cooling": "rackplane: there is no CoolingZone and no Rack lop; did you mean loop?\n",
        "fabric": "rackplane: no part of the fabric and no rack with nodes is called leaf1; did you mean leaf-1?\n",
    }


# -- for programs ------------------------------------------------------------------------------------


def test_json_has_each_element_once_with_its_parents_and_the_status_of_the_api(
    hall: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = data(capsys, "power", "--facility", hall)
    assert list(found) == ["tree", "elements", "racks", "problems"]
    assert [e["name"] for e in found["elements"]] == [
        "pdu-x",
        "ups-a",
        "ups-b",
        "ups-c",
        "ups-old",
        "ups-r",
        "utility",
    ]
    pdu, ups = found["elements"][0], found["elements"][1]
    assert pdu["parents"] == [
        {"powerDomain": "ups-c", "weight": 1, "role": "Active"},
        {"powerDomain": "ups-r", "weight": 1, "role": "Standby"},
    ]
    assert ups == {
        "name": "ups-a",
        "type": "UPS",
        "state": "Online",
        "live": True,
        "survivable": True,
        "parents": [{"powerDomain": "utility", "weight": 1, "role": "Active"}],
        "status": {
            "reservedNominalWatts": 24_000,
            "reservedPeakWatts": 24_000,
            "ownLoss": {
                "withinLimits": True,
                "worst": {
                    "loss": "ups-a",
                    "kind": "ContinuousRating",
                    "element": "ups-b",
                    "loadWatts": 57_000,
                    "limitWatts": 100_000,
                    "headroomWatts": 43_000,
                },
                "racksSwitchedOff": 0,
                "racks": [],
                "zonesReduced": 0,
                "zones": [],
                "secondTo": [],
            },
            "usableWatts": 100_000,
            "strandedWatts": 16_000,
            "stranded": [{"cause": "NoIdleNode", "watts": 16_000}],
            "headroomWatts": 76_000,
            "worstContingency": {
                "loss": "ups-b",
                "kind": "ContinuousRating",
                "element": "ups-a",
                "loadWatts": 48_000,
                "limitWatts": 100_000,
                "headroomWatts": 52_000,
            },
            "unfedNodes": 0,
            "unfedWatts": 0,
            "unfed": [],
        },
    }
    assert [r["name"] for r in found["racks"]] == ["r1", "r2", "r3"]
    assert found["racks"][0]["status"]["headroomWatts"] == 8_000
    assert found["problems"] == []


def test_json_of_a_part_has_that_part_alone(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    below = data(capsys, "power", "ups-c", "--facility", hall)
    above = data(capsys, "power", "r1", "--facility", hall)
    assert [[e["name"] for e in found["elements"]] for found in (below, above)] == [
        ["pdu-x", "ups-c"],
        ["ups-a", "ups-b", "utility"],
    ]
    assert [[r["name"] for r in found["racks"]] for found in (below, above)] == [["r3"], ["r1"]]


def test_json_of_cooling_and_fabric(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    [zone] = data(capsys, "cooling", "--facility", hall)["zones"]
    assert zone["units"][1] == {
        "name": "cdu-2",
        "capacityWatts": 120_000,
        "drawWatts": 4_000,
        "feeds": ["pdu-x"],
        "running": False,
    }
    assert (zone["status"]["heatWatts"], zone["status"]["runningUnits"], zone["racks"]) == (
        52_800,
        1,
        ["r1", "r2", "r3"],
    )
    [hall_1] = data(capsys, "fabric", "--facility", hall)["places"]
    assert {
        key: hall_1[key] for key in ("level", "name", "nodes", "freeNodes", "usedNodes", "downNodes")
    } == {
        "level": "hall",
        "name": "h1",
        "nodes": 12,
        "freeNodes": 6,
        "usedNodes": 6,
        "downNodes": 0,
    }
    assert [part["name"] for part in hall_1["parts"][0]["parts"]] == ["nvl-r1", "nvl-r2", "nvl-r3"]


# -- drawing -----------------------------------------------------------------------------------------

SAMPLE = Tree(
    ("name", "used, {worst} worst", "remarks"),
    ("kW",),
    [
        Branch(
            "top",
            "Kind",
            Gauge(0.5, 0.75, stranded=0.1),
            ("1,000.0",),
            "a remark that is too long for a narrow terminal",
            children=[Branch("x", gauge=Gauge(0.2, 1.5), figures=("2.0",)), Branch("y", reference=True)],
        )
    ],
)


def drawn(width: int, *, ascii: bool) -> list[str]:
    return [line.plain for line in lines(SAMPLE, width=width, ascii=ascii)]


def test_bars_shrink_before_remarks_are_cut() -> None:
    assert drawn(200, ascii=False) == [
        "name       used, ▒ worst                  kW  remarks",
        "top  Kind  ████████████▒▒▒▒▒▒░░░░··  1,000.0  a remark that is too long for a narrow terminal",
        "├─ x       █████▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▶      2.0",
        "└─ y ↑",
    ]
    assert drawn(60, ascii=False) == [
        "name                        kW  remarks",
        "top  Kind  █████▒▒▒░·  1,000.0  a remark that is too long f…",
        "├─ x       ██▒▒▒▒▒▒▒▶      2.0",
        "└─ y ↑",
    ]


def test_on_a_narrow_terminal_details_go_and_remarks_have_lines_of_their_own() -> None:
    assert drawn(52, ascii=False) == [
        "name    used, ▒ worst                  kW",
        "top     ████████████▒▒▒▒▒▒░░░░··  1,000.0",
        "│  a remark that is too long for a narrow terminal",
        "├─ x    █████▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▶      2.0",
        "└─ y ↑",
    ]
    assert drawn(40, ascii=False) == [
        "name    used, ▒ worst               kW",
        "top     ██████████▒▒▒▒▒▒░░░··  1,000.0",
        "│  a remark that is too long for a narr…",
        "├─ x    ████▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▶      2.0",
        "└─ y ↑",
    ]


def test_without_utf8_everything_is_ascii() -> None:
    assert drawn(200, ascii=True) == [
        "name       used, + worst                  kW  remarks",
        "top  Kind  ############++++++....    1,000.0  a remark that is too long for a narrow terminal",
        "|- x       #####++++++++++++++++++>      2.0",
        "`- y ^",
    ]
    narrow = drawn(40, ascii=True)
    assert "".join(narrow).isascii()
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show(SAMPLE, console_for(file=file))
    file.seek(0)
    assert file.read().splitlines() == drawn(200, ascii=True)


def test_the_least_load_is_seen_and_only_a_full_bar_is_full() -> None:
    tree = Tree(("n", "", ""), (), [Branch("x", gauge=Gauge(load)) for load in (0, 0.001, 0.999, 1.0, 1.001)])
    bars = [line.plain[3:] for line in lines(tree, width=100, ascii=True)][1:]
    assert bars == ["." * 24, "#" + "." * 23, "#" * 23 + ".", "#" * 24, "#" * 23 + ">"]


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def printed(**environment: str) -> str:
        file = io.StringIO()
        show(
            SAMPLE,
            Console(file=file, force_terminal=True, width=100, _environ={"TERM": "xterm", **environment}),
        )
        return file.getvalue()

    assert "\x1b[31m" in printed()
    assert "\x1b[3" not in printed(NO_COLOR="1")
    plain = io.StringIO()
    show(SAMPLE, console_for(file=plain))
    assert "\x1b" not in plain.getvalue()


def test_what_is_being_deleted_carries_on_and_takes_nothing_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leaving = [dict(body) for body in HALL]
    for body in leaving:
        if body["metadata"]["name"] in ("ups-b", "loop"):
            body["metadata"] = {**body["metadata"], "deletionTimestamp": "2026-11-21T09:00:00Z"}
    path = folder(tmp_path / "hall", *leaving, *GANGS)
    power = run(capsys, "power", "ups-b", "--facility", path).splitlines()[1]
    assert power.endswith("takes nothing more, it is being deleted; losing ups-a: 57.0 of 0.0 kW")
    loop = run(capsys, "cooling", "--facility", path).splitlines()[1]
    assert "  takes no more heat, it is being deleted or cannot be read; own liquid cooling; " in loop
