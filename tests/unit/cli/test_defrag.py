"""`rackplane defrag`: whole answers, on a hall whose figures can be checked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rackplane.cli import parser
from tests.unit.cli.hall import HALL, folder, gang


def nodes(rack: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{rack}-{n:02}" for n in numbers)


#: r1 has 2 free nodes of 4, r2 has 3, r3 one: 24 GPUs, and no 4 nodes in one NVLink domain.
RUNNING = (
    gang("a", *nodes("r1", 1, 2)),
    gang("b", *nodes("r2", 1), rack="r2"),
    gang("c", *nodes("r3", 1, 2, 3), rack="r3", disruption="Protected"),
)
WANT = gang("want", slots=4, topology={"required": "nvlink"})


def amply_fed(body: dict[str, Any]) -> dict[str, Any]:
    is_ups = body["metadata"]["name"].startswith("ups")
    return {**body, "spec": {**body["spec"], "ratedWatts": 200_000}} if is_ups else body


def hall(path: Path, *more: dict[str, Any]) -> str:
    objects = [
        {**body, "spec": {**body["spec"], "ratedWatts": 200_000}}
        if body["metadata"]["name"].startswith("ups")
        else body
        for body in HALL
    ]
    return folder(path / "hall", *objects, *more)


def run(capsys: pytest.CaptureFixture[str], where: str, *arguments: str) -> tuple[int, str, str]:
    # An hour after the decisions of the gangs that run.
    code = parser.main(["defrag", *arguments, "--facility", where, "--at", "2026-11-21T10:00:00Z"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_cheapest_move_for_a_gang_that_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = hall(tmp_path, *RUNNING, WANT)
    # 4 GPUs for an hour, and five minutes to start again: 4.3 GPU-hours. To empty r1 would cost twice as much.
    assert run(capsys, where, "--dry-run") == (
        0,
        """\
1 move lets gang default/job-want start.
It would have 16 GPUs on r2-01..r2-04, 36 kW at MaxP.
The price: 4 GPUs stop and start again elsewhere, and 4.3 GPU-hours of work are done twice.
What it buys: it starts now instead of in 23.0 hours, which saves 368.0 GPU-hours of waiting.
No cheaper moves let it start.

MOVE GANG      DISRUPTION      PRIORITY  GPUS  GPU-HOURS LOST  FROM   TO
default/job-b  Checkpointable         0     4             4.3  r2-01  r3-04
""",
        "",
    )


def test_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, hall(tmp_path, *RUNNING, WANT), "--dry-run", "-o", "json")
    place = [{"nvlinkDomain": "nvl-r2", "rack": "r2", "nodes": [f"r2-{n:02}" for n in range(1, 5)]}]
    assert (code, json.loads(out)) == (
        0,
        {
            "waiting": ["default/job-want"],
            "movable": 2,
            "plan": {
                "starts": "default/job-want",
                "placement": {
                    "powerProfile": "MaxP",
                    "nominalWatts": 36_000,
                    "peakWatts": 36_000,
                    "assignment": place,
                },
                "domainsMadeWhole": [],
                "gpusMoved": 4,
                "gpuSecondsLost": 15_600,
                "secondsSaved": 82_800.0,
                "gpuHoursSaved": 368.0,
                "cheapest": True,
                "moves": [
                    {
                        "gang": "default/job-b",
                        "disruption": "Checkpointable",
                        "priority": 0,
                        "gpus": 4,
                        "gpuSecondsLost": 15_600,
                        "from": [{"nvlinkDomain": "nvl-r2", "rack": "r2", "nodes": ["r2-01"]}],
                        "to": [{"nvlinkDomain": "nvl-r3", "rack": "r3", "nodes": ["r3-04"]}],
                    }
                ],
            },
        },
    )


def test_whole_domains_where_nobody_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, hall(tmp_path, *RUNNING), "--dry-run") == (
        0,
        """\
1 move makes nvl-r2 whole.
The price: 4 GPUs stop and start again elsewhere, and 4.3 GPU-hours of work are done twice.

MOVE GANG      DISRUPTION      PRIORITY  GPUS  GPU-HOURS LOST  FROM   TO
default/job-b  Checkpointable         0     4             4.3  r2-01  r3-04
""",
        "",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "out"),
    [
        pytest.param(
            ["--max-gpu-hours", "4"],
            1,
            "No moves to propose.\n1 gang waits for a place: default/job-want.\n"
            "No moves of the 2 gangs that may be moved let one of them start or make a domain free, within these "
            "bounds.\n",
            id="bounded",
        ),
    ],
)
def test_nothing_within_the_bounds(
    arguments: list[str], code: int, out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, hall(tmp_path, *RUNNING, WANT), "--dry-run", *arguments) == (code, out, "")


def test_protected_gangs_stay_where_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [
        gang("a", *nodes("r1", 1), disruption="Protected"),
        gang("b", *nodes("r2", 1), rack="r2", disruption="Protected"),
    ]
    kept.append(RUNNING[2])
    assert run(capsys, hall(tmp_path, *kept, WANT), "--dry-run")[:2] == (
        1,
        "No moves to propose.\n1 gang waits for a place: default/job-want.\n"
        "No running gang may be moved: only Jobs that are not Protected are.\n",
    )


def test_nobody_of_a_higher_priority_is_moved_for_a_gang(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    high = gang("b", *nodes("r2", 1), rack="r2", priority=5)
    code, out, _ = run(capsys, hall(tmp_path, RUNNING[0], high, RUNNING[2], WANT), "--dry-run", "-o", "json")
    assert code == 0
    # It costs more than to move b would, by GPU-hours.
    assert [(m["gang"], m["to"][0]["rack"]) for m in json.loads(out)["plan"]["moves"]] == [
        ("default/job-a", "r2")
    ]


def test_an_idle_hall_has_nothing_to_move(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, hall(tmp_path), "--dry-run") == (
        0,
        "No moves to propose.\nNo gang waits for a place.\n"
        "No running gang may be moved: only Jobs that are not Protected are.\n",
        "",
    )


def test_it_moves_nothing_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, hall(tmp_path, *RUNNING, WANT)) == (
        2,
        "",
        "rackplane: it plans, and moves nothing itself: add --dry-run. To have the operator carry such moves out, "
        "within a budget, start it with --defragmentation=Move (chart: defragmentation.mode). To move a gang by hand, "
        "set spec.suspend of its Job to true, and to false again when the gang that waits has started\n",
    )


@pytest.mark.parametrize(
    "arguments", [["--max-moves", "0"], ["--max-gpu-hours", "inf"], ["--max-gpu-hours", "-1"]]
)
def test_bounds_that_are_none(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        parser.main(["defrag", "--dry-run", *arguments])
    assert exit.value.code == 2
    assert arguments[0] in capsys.readouterr().err
