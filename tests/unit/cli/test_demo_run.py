"""The demo from start to end, small and fast: embedded cluster, node agents and the real operator."""

from __future__ import annotations

import re
import tempfile
from functools import partial
from pathlib import Path

import pytest

from rackplane.cli import demo, main
from rackplane.controller.settings import OperatorSettings


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A demo that fails leaves the operator's log behind.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_small_demo(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, floor = tmp_path / "run.jsonl", tmp_path / "floor.html"
    monkeypatch.setattr(demo, "OperatorSettings", partial(OperatorSettings, record=str(run)))
    assert demo.main(["--jobs", "4", "--speed", "4", "--save-ui", str(floor)]) == 0
    output = capsys.readouterr().out
    assert re.search(r"^The operator's metrics: http://127\.0\.0\.1:[1-9]\d*/metrics$", output, re.MULTILINE)
    assert re.search(r"^Floor plan: http://127\.0\.0\.1:[1-9]\d*/ui/$", output, re.MULTILINE)
    for name in ("kalos-000-64gpu", "kalos-002-64gpu", "kalos-003-128gpu"):
        for event in ("submitted ", "placed    ", "finished  "):
            assert f"{event} {name}" in output
    assert "89.6" in output and "179.2" in output
    # Each reason in the words of its Gang's status.
    assert "kalos-151-1024gpu (1,024 GPUs) is Pending" in output and "has 144 in all" in output
    assert "power budget evaluation-contract of 60.0 kW would be exceeded by 29.6 kW" in output
    assert "All 3 gangs that can start have finished" in output
    assert "make demo ARGS=--keep" in output
    # The floor plan in one file: short gangs may run between two frames, those that still wait are in the last one.
    assert f"The floor plan as recorded: {floor}" in output
    assert "default/job-kalos-151-1024gpu" in floor.read_text(encoding="utf-8")
    assert main(["replay", str(run)]) == 0
    assert capsys.readouterr().out.endswith(": all the same\n")


def test_out_of_time_names_what_did_not_finish(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--jobs", "2", "--seconds", "6", "--speed", "0.02"]) == 1
    output = capsys.readouterr().out
    assert "Not finished after" in output
    assert "kalos-000-64gpu is" in output


def test_outside_a_checkout_the_demo_says_what_it_misses(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("rackplane.cli.demo_load.__file__", str(tmp_path / "demo_load.py"))
    assert demo.main(["--jobs", "1"]) == 1
    assert "run the demo from a checkout" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["kind", "there-is-none"])
def test_a_facility_without_racks_of_trays_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--facility", name]) == 1
    assert "holds no racks, or others than those of 18 expectedNodes" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "x"])
def test_speed_is_above_zero(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.main(["--speed", value])
    assert "--speed" in capsys.readouterr().err
