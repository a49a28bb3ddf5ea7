"""`rackplane simulate`: a whole run from files to files, the same bytes twice, and words about what cannot be."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from rackplane.cli import parser
from tests.unit.cli.hall import HALL, folder

JOBS = "name,submit,duration,gpus\na,0,3000,16\nb,10,5000,16\nc,20,2000,16\n"
FILES = (
    "elements.csv",
    "events.csv",
    "floor-plan.html",
    "jobs.csv",
    "plots.json",
    "report.html",
    "run.json",
    "series.csv",
)


@pytest.fixture
def hall(tmp_path: Path) -> str:
    (tmp_path / "jobs.csv").write_text(JOBS, encoding="utf-8")
    return folder(tmp_path / "hall", *HALL)


def simulate(hall: str, out: Path, *more: str) -> int:
    trace = str(out.parent / "jobs.csv")
    return parser.main(["simulate", "--facility", hall, "--trace", trace, "--out", str(out), *more])


def test_a_run_says_what_came_of_it_and_writes_the_same_bytes_twice(
    hall: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert simulate(hall, first, "--seed", "5") == simulate(hall, second, "--seed", "5") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:4] == [
        "hall: 48 GPUs, 4 a node, queues research",
        "jobs.csv (rackplane): 3 lines, 3 jobs to run, within 0.0 days",
        "3 jobs over in 0.1 days; 0 stops, 0.0 GPU-hours done again",
        "waits: mean 0.00 h, median 0.00 h, 95th percentile 0.00 h",
    ]
    assert sorted(path.name for path in first.iterdir()) == list(FILES)
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    run = json.loads((first / "run.json").read_text(encoding="utf-8"))
    assert (run["format"], run["seed"], run["facility"]["racks"], run["interrupted"]) == (
        *("rackplane.dev/run/v1", 5, 3, False),
    )
    assert run["command"] == "rackplane simulate --facility hall --trace jobs.csv --seed 5"
    assert run["facility"]["full_watts"] == 3 * 2_000 + 12 * 10_000
    assert run["summary"]["jobs"] == {"over": 3, "starts": 3, "stops": 0}
    assert run["summary"]["gpu_hours"]["held"] == round((3_000 + 5_000 + 2_353) * 16 / 3600, 1)
    with (first / "jobs.csv").open(encoding="utf-8", newline="") as file:
        ends = {row["name"]: (row["end"], row["profile"]) for row in csv.DictReader(file)}
    assert ends == {"a": ("3000", "MaxP"), "b": ("5010", "MaxP"), "c": ("2373", "MaxQ")}


def test_other_results_are_not_written_over(
    hall: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert simulate(hall, out, "--no-draws") == 0
    assert simulate(hall, out) != 0
    assert f"has {', '.join(FILES)} of another run: name another folder" in capsys.readouterr().err
    assert simulate(hall, out, "--force", "--no-draws") == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--policy", "lifo"), "there is no policy 'lifo'"),
        (("--policy", "queue=none"), "policy queue=none: the facility has no such Queue; it has research"),
        (("--sizes", "same-nodes"), "--sizes same-nodes needs --source-gpus"),
        (("--largest", "8"), "no job is left to run: 3 ask for more than 8 GPUs"),
        (("--load", "1", "--faster", "2"), "--load and --faster both say how close together jobs come"),
        (("--events", "none.yaml"), "none.yaml: cannot be read"),
        (("--policy", "topology=nvlink", "--cap", "20", "--sizes", "whole-nodes"), ""),
    ],
)
def test_what_cannot_be_run(
    hall: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], words: str
) -> None:
    assert bool(simulate(hall, tmp_path / "out", *more)) is bool(words)
    assert words in capsys.readouterr().err


def test_jobs_that_could_never_start_end_the_run_with_what_there_is(
    hall: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jobs.csv").write_text(JOBS + "large,30,100,20\n", encoding="utf-8")
    assert simulate(hall, tmp_path / "out", "--policy", "topology=nvlink") != 0
    assert "1 jobs wait for nothing at second 5,010: large, 20 GPUs: " in capsys.readouterr().err
    run = json.loads((tmp_path / "out/run.json").read_text(encoding="utf-8"))
    assert run["summary"]["jobs"]["over"] == 3 and run["stuck"].startswith("1 jobs wait for nothing")
    states = [
        line.rpartition(",")[2] for line in (tmp_path / "out/jobs.csv").read_text("utf-8").splitlines()[1:]
    ]
    assert states == ["over", "over", "over", "waiting"]


def test_what_is_broken_off_is_written(hall: str, tmp_path: Path) -> None:
    from rackplane.simulator.running import Plan, prepare

    plan = Plan(facility=hall, trace=str(tmp_path / "jobs.csv"), out=str(tmp_path / "out"))
    prepared = prepare(plan)

    def stop_at_the_second_end(now: int, over: int) -> None:
        prepared.simulation.broken_off = over == 2

    found = prepared.run(stop_at_the_second_end)
    assert (found["interrupted"], found["summary"]["seconds"], found["summary"]["jobs"]["over"]) == (
        True,
        3_000,
        2,
    )
    assert (tmp_path / "out/jobs.csv").read_text("utf-8").splitlines()[-1].endswith(",running")
