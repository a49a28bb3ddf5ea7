"""`rackplane compare`: a table within a terminal, the same for programs, and words about what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rackplane.cli import parser
from rackplane.cli.errors import Exit
from tests.unit.cli.terminal import shown
from tests.unit.simulator.run_data import written


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    shorter = written(
        tmp_path / "shorter",
        policy__reservations=0,
        summary__wait_seconds__p95=1_800.0,
        seed=7,
        draws={"correlation": 0.8},
    )
    return [written(tmp_path / "first"), shorter, written(tmp_path / "elsewhere", facility__name="4n3")]


def test_runs_stand_beside_each_other_in_80_columns(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, "compare", *runs)
    assert lines == [
        "A  first: hall, 3 jobs of jobs.csv",
        "B  shorter: hall, 3 jobs of jobs.csv",
        "C  elsewhere: 4n3, 3 jobs of jobs.csv",
        "!  elsewhere ran on another facility than first: 4n3 (48 GPUs), not hall (48",
        "   GPUs)",
        "",
        "What they were given that differs:",
        "   facility: A hall (48 GPUs), B hall (48 GPUs), C 4n3 (48 GPUs)",
        "   policy.reservations: A 1, B 0, C 1",
        "   draws.correlation: A none, B 0.8, C none",
        "   seed: A 0, B 7, C 0",
        "",
        "                                    A          B                C",
        "Jobs over                           3          3                3",
        "Until the last is over          1.0 d      1.0 d            1.0 d",
        "Waits, mean                    0.50 h     0.50 h           0.50 h",
        "Waits, median                  0.00 h     0.00 h           0.00 h",
        "Waits, 95th percentile         1.00 h     0.50 h -50 %     1.00 h",
        "  8-63 GPUs, median            0.00 h     0.00 h           0.00 h",
        "  8-63 GPUs, 95th pct          1.00 h     1.00 h           1.00 h",
        "GPUs held                      50.0 %     50.0 %           50.0 %",
        "GPU-hours held              576 GPU-h  576 GPU-h        576 GPU-h",
        "  of them done again          6 GPU-h    6 GPU-h          6 GPU-h",
        "Stops                               0          0                0",
        "Racks per gang                   1.50       1.50             1.50",
        "  beyond the fewest              0.50       0.50             0.50",
        "Fragmentation, mean            25.0 %     25.0 %           25.0 %",
        "Stranded power, mean          10.0 kW    10.0 kW          10.0 kW",
        "Least headroom, worst loss    -1.0 kW    -1.0 kW          -1.0 kW",
        "Over a limit, reserved           32 s       32 s             32 s",
        "  after one loss more             0 s        0 s              0 s",
        "Energy reserved               1.5 MWh    1.5 MWh          1.5 MWh",
    ]


def test_more_runs_than_fit_are_continued_below(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, "compare", *runs, *runs, width=60)
    assert max(map(len, lines)) <= 60
    assert [line.split() for line in lines if line.startswith(" " * 30)] == [
        ["A", "B"],
        ["C", "D"],
        ["E", "F"],
    ]
    assert sum(line.startswith("Waits, mean") for line in lines) == 3


def test_the_same_for_programs(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["compare", *runs, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["runs"][2] == {
        "name": "elsewhere",
        "facility": "4n3",
        "trace": "jobs.csv",
        "jobs": 3,
        "seed": 0,
        "ended": True,
    }
    assert found["warnings"] == [
        "elsewhere ran on another facility than first: 4n3 (48 GPUs), not hall (48 GPUs)"
    ]
    assert found["differences"][1] == {"what": "policy.reservations", "values": [1, 0, 1]}
    [p95] = [m for m in found["measures"] if m["name"] == "wait_p95_seconds"]
    assert p95 == {
        "name": "wait_p95_seconds",
        "label": "Waits, 95th percentile",
        "unit": "seconds of waiting",
        "better": "less",
        "values": [3_600.0, 1_800.0, 3_600.0],
    }


def test_what_is_no_run_is_said(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["compare", runs[0], str(tmp_path)]) == Exit.UNANSWERED
    assert "name a folder that `rackplane simulate --out` wrote: it has a run.json" in capsys.readouterr().err
    assert parser.main(["compare", *runs * 9]) == Exit.USAGE
    assert "name at most 26 folders, not 27" in capsys.readouterr().err
