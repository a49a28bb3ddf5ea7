"""`rackplane replay`: what it prints and returns, for whole, cut, damaged and foreign files."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from rackplane import __version__
from rackplane.cli.parser import main
from rackplane.controller.recording import Recording
from rackplane.core.events import Synced, TimePassed
from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, facility

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One gang that starts and ends, as an operator records it."""
    file = tmp_path_factory.mktemp("run") / "run.jsonl"
    made: list[Recording] = []

    def record(settings: MachineSettings) -> Recording:
        made.append(Recording(str(file), settings, bound=1 << 20, identity="a", wall=lambda: 0.0))
        return made[-1]

    h = Harness(record=record)
    h.apply(*facility())
    h.start_machine()
    h.job("train", slots=2, run=5)
    h.advance(10)
    assert h.phase("job-train") == "Finished"
    made[0].close()
    return file.read_bytes()


def replayed(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    (tmp_path / "f").write_bytes(content)
    code = main(["replay", str(tmp_path / "f")])
    said = capsys.readouterr()
    return code, (said.out + said.err.replace(str(tmp_path / "f"), "FILE")).splitlines()


def test_the_same_decisions(tmp_path: Path, recorded: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    code, (said,) = replayed(tmp_path, recorded, capsys)
    assert code == 0
    events = sum(len(msgspec.json.decode(line).get("events", ())) for line in recorded.splitlines())
    assert said.startswith(f"{events} events, 1 decisions, ") and said.endswith(
        " instructions, 2023-11-14 22:13:20 UTC to 2023-11-14 22:13:30 UTC: all the same"
    )


def test_sets_in_another_order_decide_the_same(tmp_path: Path, recorded: bytes) -> None:
    file = tmp_path / "run.jsonl"
    file.write_bytes(recorded)
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(ROOT / "operator")}
    command = [sys.executable, "-m", "rackplane", "replay", str(file)]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.endswith(": all the same\n")


def test_packed_and_cut_in_the_middle_of_a_line(
    tmp_path: Path, recorded: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = recorded.splitlines(keepends=True)
    cut = gzip.compress(b"".join(lines[:-2]) + lines[-2][:-9])
    code, said = replayed(
        tmp_path, cut[:-8], capsys
    )  # without the sum at the end, as a process that was killed leaves it
    assert code == 0
    assert said[:2] == [
        "The last line is not whole and was left out.",
        "There is no last line: the process was killed, or still records.",
    ]
    assert said[2].endswith(": all the same")


def test_another_decision(tmp_path: Path, recorded: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    changed = recorded.replace(b'"hostname":"r1-n1"', b'"hostname":"r2-n1"')
    code, said = replayed(tmp_path, changed, capsys)
    assert code == 1
    number = said[0].removeprefix("Batch ").split(",")[0]
    pod = said[2].split(",")[0].removeprefix("  now:      UngatePod ")
    assert pod.startswith("default/train-1-")
    assert said == [
        f"Batch {number}, event {said[0].split('event ')[1].split(',')[0]}, 2023-11-14 22:13:20 UTC: instruction 2 is "
        "another one.",
        f"  recorded: UngatePod {pod}, slot 1, hostname r2-n1",
        f"  now:      UngatePod {pod}, slot 1, hostname r1-n1",
        '    hostname: recorded "r2-n1", now "r1-n1"',
        said[-1],
    ]
    assert said[-1].startswith("  told in this batch: ")


def test_another_version_says_so(tmp_path: Path, recorded: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    older = recorded.replace(f'"version":"{__version__}"'.encode(), b'"version":"0.0.1"', 1)
    older = older.replace(b'"settings":{', b'"settings":{"tea":true,', 1)
    code, said = replayed(tmp_path, older, capsys)
    assert code == 0
    assert said[:2] == [
        f"Recorded by version 0.0.1, replayed by {__version__}.",
        "Settings that this version does not have: tea.",
    ]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda whole: b"", "rackplane: FILE: line 1: this is no recording of `rackplane operator --record`"),
        (
            lambda whole: whole.replace(b'{"line":"asked"', b'{"line":"asked', 1),
            "rackplane: FILE: line 3: cannot be",
        ),
        (
            lambda whole: gzip.compress(whole)[:200] + b"\0" * 200,
            "rackplane: FILE: line 1: cannot be unpacked",
        ),
        (lambda whole: b"".join(whole.splitlines(keepends=True)[::2]), "rackplane: FILE: line "),
    ],
)
def test_damaged_files_are_refused_with_the_line(
    tmp_path: Path, recorded: bytes, capsys: pytest.CaptureFixture[str], spoil: object, said: str
) -> None:
    assert callable(spoil)
    code, lines = replayed(tmp_path, spoil(recorded), capsys)
    assert code == 3
    assert lines[0].startswith(said), lines


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "none")]) == 3
    assert capsys.readouterr().err == f"rackplane: {tmp_path / 'none'}: No such file or directory\n"


@pytest.mark.parametrize(("again", "code"), [("boom", 0), ("other", 1)])
def test_an_error_of_the_machine_is_replayed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    again: str,
    code: int,
) -> None:
    file = tmp_path / "run.jsonl.gz"
    recording = Recording(str(file), MachineSettings(), bound=1 << 20, identity="a")
    recording.told(5.0, [Synced()])
    recording.asked([])
    recording.told(6.0, [TimePassed()])
    recording.raised(KeyError("boom"))
    recording.close()

    def handle(self: object, now: float, *events: object) -> list[object]:
        if now == 6.0:
            raise KeyError(again)
        return []

    monkeypatch.setattr("rackplane.core.machine.Machine.handle", handle)
    assert main(["replay", str(file)]) == code
    said = capsys.readouterr().out
    if code:
        assert "recorded: KeyError: 'boom'; now: KeyError: 'other'" in said
    else:
        assert said.endswith(": all the same, and the same error at the end: KeyError: 'boom'\n")
