"""`rackplane capacity`: whole answers, on a hall whose figures can be checked by hand."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from rackplane.cli import parser
from tests.unit.cli.hall import HALL, folder, gang
from tests.unit.cli.terminal import shown

EXPECTED = Path(__file__).with_name("expected")


@pytest.fixture
def hall(tmp_path: Path) -> str:
    # r1 is full, so ups-a and ups-b have 21 kW of it each, and 3 kW for each idle node's rack beside it.
    return folder(tmp_path / "hall", *HALL, gang("a", "r1-01", "r1-02", "r1-03", "r1-04"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert parser.main(["capacity", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def expected(name: str) -> str:
    return (EXPECTED / f"{name}.txt").read_text(encoding="utf-8")


def test_whole_nodes_at_every_level_and_profile(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--facility", hall) == expected("capacity")


def test_one_level_and_profile_in_pods_of_one_gpu(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--level", "leaf", "--profile", "MaxQ", "--gpus-per-pod", "1", "--segment-size", "8"]
    assert run(capsys, *arguments, "--facility", hall) == expected("capacity-pods")


def test_data_for_programs(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--level", "facility", "--profile", "MaxP", "-o", "json"]
    data = json.loads(run(capsys, *arguments, "--facility", hall))
    (found,) = data["capacities"]
    tightest = found["stoppedBy"].pop("tightest")
    assert (tightest["name"], tightest["lost"], tightest["limit_watts"]) == ("ups-b", "ups-a", 100_000)
    assert found == {
        "nodeType": "small",
        "gpusPerPod": 4,
        "level": "facility",
        "profile": "MaxP",
        "pods": 7,
        "gpus": 28,
        "domain": "",
        "racks": ["r2", "r3"],
        "nominalWatts": 63_000,
        "peakWatts": 63_000,
        "relativePerformancePercent": 100,
        "stoppedBy": found["stoppedBy"],
    }


def test_it_fits_eighty_columns(hall: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, "capacity", "--level", "leaf", "--facility", hall)
    assert lines == [
        "The largest gang that could start now, in pods of 4 GPUs (small)",
        "",
        "LEVEL  PROFILE  PODS  GPUS    KW  SPEED  WHERE",
        "leaf   MaxP        7    28  63.0  100 %  leaf-1 (2 racks)",
        "  losing ups-a would put ups-b at 105 kW of 100 kW (5 kW over)",
        "leaf   MaxQ        8    32  48.0   85 %  leaf-1 (2 racks)",
        "  leaf-1 has 8 free",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--level", "leave"], "there is no level leave; did you mean leaf?"),
        (["--profile", "MaxR"], "no hardware profile has the power profile MaxR; did you mean MaxQ?"),
    ],
)
def test_what_is_not_there_is_said(
    hall: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parser.main(["capacity", *arguments, "--facility", hall]) == 1
    assert capsys.readouterr().err == f"rackplane: {said}\n"


def test_a_facility_without_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = folder(tmp_path / "hall", *(body for body in HALL if body["kind"] == "HardwareProfile"))
    assert run(capsys, "--facility", where) == (
        "No usable rack has nodes of a known hardware profile, so no gang could start.\n"
    )


def test_spares_are_counted_and_domains_that_are_short_of_them_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = copy.deepcopy(HALL)
    for each in objects:
        if each["kind"] == "NVLinkDomain" and each["metadata"]["name"] != "nvl-r3":
            each["spec"]["spareNodes"] = 2
    hall = folder(tmp_path / "hall", *objects, gang("a", "r1-01", "r1-02", "r1-03"))
    arguments = ["--level", "nvlink", "--profile", "MaxP", "--facility", hall]
    assert run(capsys, *arguments).endswith(
        "\n\nKept free as spares, beside that: 3 of 4 nodes in 2 NVLink domains. Short of spares: nvl-r1 has 1 of 2.\n"
    )
    assert json.loads(run(capsys, *arguments, "-o", "json"))["spares"] == [
        {"nvlinkDomain": "nvl-r1", "spareNodes": 2, "nodes": ["r1-04"]},
        {"nvlinkDomain": "nvl-r2", "spareNodes": 2, "nodes": ["r2-03", "r2-04"]},
    ]
