"""`rackplane plan`: answers within 80 columns, the answer in the first line; words about what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rackplane.cli import parser
from tests.unit.cli.hall import HALL, folder

JOBS = "name,submit,duration,gpus\na,0,3000,16\nb,10,5000,16\nc,20,2000,16\n"
QUESTIONS = {
    "more-racks": ("--feed", "ups-c"),
    "redundancy": ("--schemes", "as-is,2N"),
    "binding": (),
    "power-profile": ("--queue", "research", "--profile", "MaxQ"),
    "order": ("--at", "20m", "--hours", "0.05", "--percent", "30"),
}
FIRST_LINES = {
    "more-racks": "ups-c carries",
    "redundancy": "as-is against 2N on",
    "binding": "ups-",
    "power-profile": "MaxQ for queue research frees",
    "order": "An order of 30 % less (at day 0.0, for 0.05 h)",
}


@pytest.fixture
def hall(tmp_path: Path) -> str:
    (tmp_path / "jobs.csv").write_text(JOBS, encoding="utf-8")
    return folder(tmp_path / "hall", *HALL)


def plan(hall: str, question: str, *more: str) -> int:
    trace = str(Path(hall).parent / "jobs.csv")
    common = ("--facility", hall, "--trace", trace, "--no-draws", "--every", "600")
    return parser.main(["plan", *common, "--question", question, *more])


@pytest.mark.parametrize(("question", "begins"), FIRST_LINES.items())
def test_an_answer_begins_with_a_sentence_and_keeps_within_80_columns(
    question: str, begins: str, hall: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(hall, question, *QUESTIONS[question]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(begins)


def test_programs_get_the_sentence_and_the_figures(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(hall, "binding", "-o", "json") == 0
    data = json.loads(capsys.readouterr().out)
    assert list(data) == [
        *("question", "answer", "firstToBind", "samples", "samplesWithWaitingJobs", "elements", "notes")
    ]
    assert sorted(of["name"] for of in data["elements"]) == ["loop", "ups-a", "ups-b", "ups-c", "utility"]


def test_more_racks_needs_no_trace(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["plan", "--facility", hall, "--question", "more-racks", "--feed", "ups-c"]) == 0
    assert capsys.readouterr().out.startswith(
        "ups-c carries 0 more racks of small (4 nodes, 42.0 kW) beside every"
    )


@pytest.mark.parametrize(
    ("question", "more", "code", "words"),
    [
        ("order", ("--feed", "ups-x"), 3, "--feed ups-x: the facility has no such PowerDomain; it has pdu-x"),
        ("order", ("--schemes", "2N"), 2, "--schemes goes with --question redundancy, not with order"),
        ("order", ("--at", "noon"), 3, '--at is "noon", no time of the run'),
        ("more-racks", (), 2, "--question more-racks needs --feed"),
        (
            "power-profile",
            ("--queue", "research", "--profile", "MaxX"),
            3,
            "--profile MaxX: no hardware of the",
        ),
        (
            "power-profile",
            ("--queue", "other", "--profile", "MaxQ"),
            3,
            "--queue other: the facility has no such",
        ),
    ],
)
def test_what_cannot_be_answered(
    question: str, more: tuple[str, ...], code: int, words: str, hall: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(hall, question, *more) == code
    assert words in capsys.readouterr().err


def test_a_question_about_runs_needs_a_trace(hall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["plan", "--facility", hall, "--question", "binding"]) == 2
    assert "--question binding needs --trace: it is answered by runs" in capsys.readouterr().err
