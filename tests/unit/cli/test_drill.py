"""`rackplane drill`: whole answers, on a hall whose figures can be checked by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rackplane.cli import parser
from tests.unit.cli.hall import HALL, folder, gang

EXPECTED = Path(__file__).with_name("expected")
ORDER = {
    "apiVersion": "rackplane.dev/v1alpha1",
    "kind": "PowerBudget",
    "metadata": {"name": "order"},
    "spec": {
        "targets": {"powerDomains": ["utility"]},
        "limitWatts": 140_000,
        "interval": {"start": "2030-01-01T00:00:00Z", "end": "2030-01-01T04:00:00Z"},
    },
}


def nodes(rack: str) -> tuple[str, ...]:
    return tuple(f"{rack}-{n:02}" for n in range(1, 5))


#: Every rack is full: 4 x 10 kW and 2 kW of overhead each, 126 kW in all, and 5 + 4 kW on pdu-x.
GANGS = (
    gang("a", *nodes("r1"), disruption="Protected"),
    gang("b", *nodes("r2"), rack="r2", priority=5),
    gang("c", *nodes("r3"), rack="r3", disruption="Sheddable", power={"profile": "MaxP", "strict": True}),
)


def hall(path: Path, *more: dict[str, Any], **of_ups_b: Any) -> str:
    objects = [
        {**body, "spec": {**body["spec"], **of_ups_b}} if body["metadata"]["name"] == "ups-b" else body
        for body in HALL
    ]
    return folder(path / "hall", *objects, *GANGS, *more)


def run(capsys: pytest.CaptureFixture[str], where: str, *arguments: str) -> tuple[int, str]:
    code = parser.main(["drill", *arguments, "--facility", where])
    captured = capsys.readouterr()
    assert captured.err == ""
    return code, captured.out


def refused(capsys: pytest.CaptureFixture[str], where: str, *arguments: str, code: int = 2) -> str:
    assert parser.main(["drill", *arguments, "--facility", where]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize(
    ("name", "code", "arguments"),
    [
        # b takes r1, r2 and half of r3: 42 + 42 + 21 = 105 kW of 100 kW. A MaxQ cap on r2 frees 4 x 3 = 12 kW.
        ("drill-ups-a", 1, ["lose", "powerdomain/ups-a"]),
        # b takes r3 as well: 21 + 21 + 42 = 84 kW. pdu-x goes to the reserve.
        ("drill-ups-c", 0, ["lose", "pd/ups-c"]),
        # The last unit of the loop hangs on it: 126 x 0.8 = 100.8 kW of heat and nothing to take it.
        ("drill-pdu", 1, ["lose", "powerdomain/pdu-x"]),
        ("drill-rack", 1, ["lose", "rack/r2", "node/r1-01"]),
        ("drill-unit-back", 0, ["restore", "coolingzone/loop/cdu-2"]),
        # 126 + 9 = 135 kW of 130 kW.
        ("drill-budget", 1, ["lose", "powerbudget/order=130kW"]),
    ],
)
def test_drills(
    name: str, code: int, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = hall(tmp_path, ORDER, emergency={"percent": 110, "seconds": 600})
    assert run(capsys, where, *arguments) == (code, (EXPECTED / f"{name}.txt").read_text(encoding="utf-8"))


def test_a_budget_comes_with_its_own_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, hall(tmp_path, ORDER), "lose", "powerbudget/order") == (
        0,
        "Losing powerbudget/order: every limit is kept, and no rack or gang is lost.\n",
    )


def test_data_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = hall(tmp_path, emergency={"percent": 110, "seconds": 600})
    code, out = run(capsys, where, "lose", "powerdomain/ups-a", "-o", "json")
    over = {
        "element": "ups-b",
        "feed": "",
        "loadWatts": 105_000,
        "limitWatts": 100_000,
        "overWatts": 5_000,
    }
    data = json.loads(out)
    next_losses = data.pop("nextLosses")
    assert (code, data) == (
        1,
        {
            "survives": False,
            "exceeded": [{"limit": "continuous rating", **over}, {"limit": "peak limit", **over}],
            "exceededBefore": [],
            "racksWithoutPower": [],
            "gangsEnded": [],
            "coolingZones": [],
            "measures": [
                {
                    "gang": "default/job-b",
                    "action": "Cap",
                    "profile": "MaxQ",
                    "relativePerformancePercent": 85,
                    "freesWatts": 12_000,
                    "disruption": "Checkpointable",
                    "priority": 5,
                }
            ],
            "stillExceeded": [],
            "emergencyRatings": [{"powerDomain": "ups-b", "watts": 110_000, "seconds": 600}],
        },
    )
    assert [(n["lost"], n["secondTo"], n["racksWithoutPower"]) for n in next_losses] == [
        ("ups-b", ["ups-a"], ["r1", "r2"]),
        ("ups-c", ["ups-a"], []),
    ]


def curved(path: Path) -> str:
    objects = [
        {
            **body,
            "spec": {
                **body["spec"],
                "supplyCelsius": 30,
                "deratingCurve": [
                    {"supplyCelsius": 30, "percent": 100},
                    {"supplyCelsius": 50, "percent": 60},
                ],
            },
        }
        if body["kind"] == "CoolingZone"
        else body
        for body in HALL
    ]
    return folder(path / "hall", *objects, *GANGS)


def test_a_warmer_supply_is_read_off_the_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # 40 degrees: 80 percent of 120 kW. The heat is 126 x 0.8 = 100.8 kW.
    code, out = run(capsys, curved(tmp_path), "lose", "cz/loop=40C")
    assert code == 1
    assert "Cooling zone loop would be at 101 kW of 96 kW (5 kW over)." in out


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("ups-a", "ups-a: ups-a is none of powerdomain, coolingzone, rack, node, powerbudget"),
        ("powerdomain/ups-aa", "powerdomain/ups-aa: there is no PowerDomain ups-aa; did you mean ups-a?"),
        ("coolingzone/x", "coolingzone/x: there is no CoolingZone x; there is loop"),
        ("rack/z9", "rack/z9: there is no Rack z9; there are r1, r2, r3"),
        ("rack", "rack: write rack/NAME"),
        ("coolingzone/loop/cdu-1/x", "coolingzone/loop/cdu-1/x: write coolingzone/NAME/UNIT"),
        ("cz/loop/cdu-3", "cz/loop/cdu-3: there is no unit of cooling zone loop cdu-3; did you mean cdu-2?"),
        ("rack/r1=5", "rack/r1=5: a rack takes no value"),
        ("cz/loop=warm", "cz/loop=warm: warm is no temperature such as 45C"),
        ("cz/loop=45C", "cz/loop=45C: CoolingZone loop has no spec.deratingCurve to read the temperature by"),
        ("pb/order=much", "pb/order=much: much is no power such as 900kW or 1.2MW"),
        ("node/x", "node/x: there is no node of a known rack x"),
    ],
)
def test_what_is_not_there_is_said(
    what: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = 1 if "there is no" in said else 2
    assert refused(capsys, hall(tmp_path, ORDER), "lose", what, code=code) == f"rackplane: {said}\n"


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({"queues": ["research"]}, "it bounds queues or namespaces, not elements of the power path"),
    ],
)
def test_budgets_that_are_no_physics(
    targets: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {**ORDER, "spec": {**ORDER["spec"], "targets": targets}}  # type: ignore[dict-item]
    assert refused(capsys, hall(tmp_path, other), "lose", "pb/order") == f"rackplane: pb/order: {said}\n"


def planned(name: str, *windows: tuple[int, int]) -> dict[str, Any]:
    """One of the hall's elements with work in these hours of a day."""
    times = [{"start": f"2030-12-01T{a:02}:00:00Z", "end": f"2030-12-01T{b:02}:00:00Z"} for a, b in windows]
    [body] = [o for o in HALL if o["kind"] == "PowerDomain" and o["metadata"]["name"] == name]
    return {**body, "spec": {**body["spec"], "maintenance": times}}


def with_work(path: Path, *elements: dict[str, Any]) -> str:
    names = {(e["kind"], e["metadata"]["name"]) for e in elements}
    others = [o for o in HALL if (o["kind"], o["metadata"]["name"]) not in names]
    path.mkdir(exist_ok=True)
    return folder(path / "hall", *others, *elements, *GANGS)


def test_a_work_that_takes_the_other_side_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = with_work(tmp_path, planned("ups-a", (8, 12)))
    times = ["--start", "2030-12-01T06:00:00Z", "--end", "2030-12-01T18:00:00Z"]
    code, text = run(capsys, where, "maintain", "powerdomain/ups-b", *times)
    assert code == 1
    page = (Path(__file__).resolve().parents[3] / "docs" / "drill.md").read_text(encoding="utf-8")
    assert "".join(text.splitlines(keepends=True)[:3]) in page
    code, text = run(capsys, where, "maintain", "powerdomain/ups-b", *times, "-o", "json")
    data = json.loads(text)
    assert data["plannedThen"] == ["powerdomain/ups-a"]
    assert data["refused"] == [
        "power domain ups-b and power domain ups-a are out at the same time from 2030-12-01 08:00 to 12:00 UTC: racks "
        "r1 and r2 would be without power"
    ]
    later = ["--start", "2030-12-01T12:00:00Z", "--end", "2030-12-01T18:00:00Z"]
    assert json.loads(run(capsys, where, "maintain", "pd/ups-c", *later, "-o", "json")[1])["refused"] == []
    assert run(capsys, where, "maintain", "pd/ups-c", *later)[0] == 0
    assert "Refused" not in run(capsys, where, "maintain", "pd/ups-a")[1], (
        "what is planned alone is not refused"
    )
    assert "no work is planned in spec.maintenance of PowerDomain ups-b" in refused(
        capsys, where, "maintain", "pd/ups-b", code=1
    )
    assert "give both --start and --end" in refused(capsys, where, "maintain", "pd/ups-b", *times[:2])
    assert "are for maintain" in refused(capsys, where, "lose", "pd/ups-b", *times)


def test_works_that_overlap_are_an_error_of_validate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = with_work(tmp_path, planned("ups-a", (8, 12)), planned("ups-b", (11, 13)))
    assert parser.main(["validate", where, "-o", "json"]) == 1
    found = [f for f in json.loads(capsys.readouterr().out)["findings"] if f["rule"] == "overlapping-works"]
    assert [(f["kind"], f["names"], f["field"]) for f in found] == [
        ("PowerDomain", ["ups-a", "ups-b"], "spec.maintenance")
    ]
    where = with_work(tmp_path / "apart", planned("ups-a", (8, 12)), planned("ups-b", (12, 13)))
    parser.main(["validate", where, "-o", "json"])
    assert "overlapping-works" not in capsys.readouterr().out


def test_the_page_about_drills_shows_what_is_printed() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "drill.md").read_text(encoding="utf-8")
    assert (EXPECTED / "drill-ups-a.txt").read_text(encoding="utf-8") in page


def test_the_page_about_drills_names_every_rule_of_validate() -> None:
    root = Path(__file__).resolve().parents[3]
    page = (root / "docs" / "drill.md").read_text(encoding="utf-8")
    package = root / "operator" / "rackplane"
    sources = [
        package / "engine" / "planning" / "lint.py",
        package / "engine" / "planning" / "lintshape.py",
        package / "cli" / "validate.py",
    ]
    called = re.compile(r"Finding\(\s*Severity\.[A-Z]+,\s*\"([a-z-]+)\"")
    rules = {rule for source in sources for rule in called.findall(source.read_text(encoding="utf-8"))}
    assert rules == set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
