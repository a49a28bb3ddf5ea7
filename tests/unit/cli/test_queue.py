"""`rackplane queue`: the tree of queues and who waits in them, as whole answers at 80 columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rackplane.cli import parser
from tests.unit.cli.hall import HALL, folder, gang
from tests.unit.cli.terminal import shown

EXPECTED = Path(__file__).with_name("expected")
AT = ("--at", "2026-11-21T12:00:00Z")


def queue(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "Queue",
        "metadata": {"name": name},
        "spec": spec,
    }


def waiting(name: str, of: str, slots: int, since: str, **spec: Any) -> dict[str, Any]:
    body = gang(name, queue=of, **{"slots": slots, "expectedDurationSeconds": 3_600, **spec})
    return {**body, "status": {"phase": "Pending", "submittedAt": f"2026-11-21T{since}:00Z"}}


#: Twelve nodes of 4 GPUs: a holds r1 until 14:00, and r2 and r3 are free.
LINE = (
    queue("hall", quota={"gpus": 32}),
    queue("training", parent="hall", weight=2, quota={"gpus": 12, "borrowingLimitGpus": 8}),
    queue("inference", parent="hall", quota={"gpus": 4}, priority=10),
    queue("later", hold=True, parent="gone"),
    gang("a", *(f"r1-{n:02}" for n in range(1, 5)), queue="training", expectedDurationSeconds=18_000),
    waiting("big", "training", 2, "09:30"),
    waiting("next", "training", 1, "10:00"),
    waiting("quick", "inference", 1, "11:15"),
    waiting("held", "later", 1, "11:50"),
    waiting("lost", "serach", 1, "11:59"),
    {
        **waiting("off", "training", 1, "11:00"),
        "status": {"phase": "Held", "message": "its Job is suspended"},
    },
)


@pytest.fixture
def hall(tmp_path: Path) -> str:
    return folder(tmp_path / "hall", *HALL, *LINE)


def expected(name: str) -> list[str]:
    return (EXPECTED / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def test_the_tree_of_queues(hall: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, "queue", "--facility", hall, *AT)
    assert lines == expected("queues")
    assert max(map(len, lines)) <= 80


def test_who_waits_in_a_queue_and_those_below_it(hall: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, "queue", "hall", "--facility", hall, *AT)
    assert lines == expected("queue-hall")
    assert max(map(len, lines)) <= 80


def test_on_a_wide_terminal_there_are_more_columns(hall: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, "queue", "hall", "--facility", hall, *AT, "-o", "wide")
    assert lines == expected("queue-hall-wide")


def test_data_for_programs(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["queue", "training", "--facility", hall, *AT, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    [training], [first, *others] = found["queues"], found["waiting"]
    assert training == {
        "name": "training",
        "parent": "hall",
        "exists": True,
        "weight": 2,
        "priority": 0,
        "hold": False,
        "quota": {"gpus": 12, "watts": None},
        "waitingGpus": 12,
        "status": {
            "pending": 2,
            "oldestWait": "2026-11-21T09:30:00Z",
            "admitted": 1,
            "usedGpus": 16,
            "usedWatts": 36_000,
            "borrowedGpus": 4,
            "borrowedWatts": 0,
            "profiles": [{"profile": "small", "usedGpus": 16, "borrowedGpus": 0}],
            "sharePermille": 250,
            "usageHistory": {"time": "2026-11-21T12:00:00Z", "gpuSeconds": 0, "wattSeconds": 0},
        },
        "problems": [],
    }
    assert first == {
        "position": 4,
        "namespace": "default",
        "name": "job-big",
        "queue": "training",
        "workload": {"kind": "Job", "name": "big"},
        "slots": 2,
        "gpus": 8,
        "priority": 0,
        "submittedAt": "2026-11-21T09:30:00Z",
        "couldStart": False,
        "estimatedStart": "2026-11-21T14:00:00Z",
        "holdsPlace": None,
        "reason": "OverQuota",
        "message": first["message"],
    }
    assert [(w["name"], w["position"], w["couldStart"]) for w in others] == [
        ("job-next", 5, True),
        ("job-off", None, False),
    ]


def test_the_shape_is_the_same_without_a_name(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["queue", "--facility", hall, *AT, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(q["name"] for q in found["queues"]) == [
        "hall",
        "inference",
        "later",
        "research",
        "serach",
        "training",
    ]
    assert [w["name"] for w in found["waiting"] if w["position"]] == [
        "job-quick",
        "job-held",
        "job-lost",
        "job-big",
        "job-next",
    ]
    assert {tuple(w) for w in found["waiting"]} == {tuple(found["waiting"][0])}


def test_a_queue_that_is_not_there(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["queue", "trainig", "--facility", hall]) == 1
    assert capsys.readouterr().err == "rackplane: there is no Queue trainig; did you mean training?\n"


def test_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = folder(tmp_path / "hall", *HALL)
    assert shown(monkeypatch, "queue", "--facility", where)[-1] == "Nobody waits."
    assert shown(monkeypatch, "queue", "research", "--facility", where)[-1] == "Nobody waits here."
