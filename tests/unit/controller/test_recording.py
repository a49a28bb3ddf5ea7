"""The file of a recording: whose it is, how large it may be, and that the operator goes on without it."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from rackplane.controller.metrics import Metrics
from rackplane.controller.recording import Recording
from rackplane.controller.runtime import Runtime
from rackplane.core.events import Event, Synced, TimePassed, WriteSucceeded
from rackplane.core.instructions import Instruction, SuspendJob
from rackplane.core.settings import MachineSettings

STOP = SuspendJob("ml", "train", "u1", "5")


def make(file: Path, *, bound: int = 1 << 20) -> Recording:
    return Recording(str(file), MachineSettings(), bound=bound, identity="a", wall=lambda: 1.0)


def lines(file: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]


class Decider:
    def handle(self, now: float, *events: Event) -> list[Instruction]:
        if TimePassed() in events:
            raise ValueError("no")
        return [STOP] if Synced() in events else []


def test_what_the_machine_is_told_and_asks_for_is_written(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    runtime = Runtime(machine=Decider(), submit=lambda _: None, metrics=Metrics(), clock=lambda: 7.0)
    runtime.record = make(file)
    for event in (Synced(), WriteSucceeded(STOP), TimePassed()):
        runtime.feed(event)
        if isinstance(event, TimePassed):
            with pytest.raises(ValueError, match="no"):
                runtime.turn()
        else:
            runtime.turn()
    head, *rest = lines(file)
    assert head["recording"] == 1 and head["identity"] == "a"
    asked = {"namespace": "ml", "name": "train", "uid": "u1", "resource_version": "5"}
    assert rest == [
        {"line": "told", "batch": 1, "at": 7.0, "events": [["Synced", {}]]},
        {"line": "asked", "batch": 1, "first": 1, "instructions": [["SuspendJob", asked]]},
        {"line": "told", "batch": 2, "at": 7.0, "events": [["WriteSucceeded", {"of": 1}]]},
        {"line": "told", "batch": 3, "at": 7.0, "events": [["TimePassed", {}]]},
        {"line": "end", "why": "error", "batches": 3, "error": "ValueError: no"},
    ]


def test_only_its_owner_may_read_it_and_the_one_before_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    for _ in range(3):
        recording = make(file)
        recording.told(1.0, [Synced()])
        recording.close()
        recording.close()  # once more does nothing
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.jsonl", "run.jsonl.1"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [line.get("why") for line in lines(file)] == [None, None, "stopped"]


def test_it_ends_when_it_is_as_large_as_it_may_be(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    with capture_logs() as logs:
        recording = make(file, bound=5_000)
        for second in range(1_000):
            recording.told(float(second), [TimePassed()])
        recording.close()
    assert 5_000 <= file.stat().st_size < 5_000 + 8_192 + 200  # and what was waiting to be written
    assert lines(file)[-1] == {"line": "end", "why": "full", "batches": len(lines(file)) - 2, "error": ""}
    assert [entry["event"] for entry in logs] == [
        "recording",
        "the recording is as large as it may be and ends",
    ]


def test_what_cannot_be_recorded_ends_it_and_not_the_operator(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    recording = make(file)
    with capture_logs() as logs:
        recording.told(1.0, [WriteSucceeded(STOP)])  # of an instruction that nobody asked for
        recording.told(2.0, [Synced()])
    assert lines(file)[1:] == [{"line": "end", "why": "failed", "batches": 0, "error": ""}]
    assert logs[-1]["log_level"] == "error" and "KeyError" in logs[-1]["error"]


def test_a_directory_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make(tmp_path / "none" / "run.jsonl")
