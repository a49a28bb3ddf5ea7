"""Halls whose gangs say how long they run, and two stories in which others want what the first of them waits for."""

from __future__ import annotations

from typing import Any

from rackplane.core.gangs.statuses import timestamp
from rackplane.core.settings import MachineSettings
from tests.support.harness import START, Harness, facility

__all__ = [
    "LASTS",
    "a_long_one_wants_it_too",
    "a_stream_wants_it_too",
    "at",
    "hall",
    "job",
    "reason",
    "started",
    "status",
]

LASTS = "rackplane.dev/expected-duration"


def hall(*, racks: int = 1, nodes: int = 4, reservations: int = 1, **settings: Any) -> Harness:
    settings = {"estimate_seconds": 1.0, **settings}
    harness = Harness(settings=MachineSettings(validate=True, reservations=reservations, **settings))
    harness.apply(*facility(racks=racks, nodes=nodes))
    harness.start_machine()
    return harness


def job(harness: Harness, name: str, slots: int, lasts: int | None, *, runs: float | None = None) -> None:
    """`lasts` is what its user says, `runs` what it does."""
    said = {} if lasts is None else {LASTS: f"{lasts}s"}
    harness.job(name, slots=slots, run=runs if runs is not None else lasts, annotations=said)


def status(harness: Harness, name: str) -> dict[str, Any]:
    found: dict[str, Any] = harness.gang(f"job-{name}")["status"]
    return found


def reason(harness: Harness, name: str) -> str:
    """Why it is admitted, or is not."""
    return next(str(c["reason"]) for c in status(harness, name)["conditions"] if c["type"] == "Admitted")


def started(harness: Harness, name: str) -> str | None:
    return status(harness, name).get("startedAt")


def at(seconds: float) -> str:
    return timestamp(START + seconds)


def a_stream_wants_it_too(harness: Harness, waits: str) -> None:
    """What four nodes use is all there is; a gang of four comes, and then one of one node every nine seconds.

    Args:
        waits: what the large one is told.
    """
    for i in range(4):
        job(harness, f"early-{i}", 1, 30 + 10 * i)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(2)
    assert status(harness, "large")["message"] == waits
    for i in range(6):
        job(harness, f"small-{i}", 1, 25)
        harness.advance(9)
    harness.advance(5)
    assert started(harness, "large") == at(60)
    # Those that were over by then have gone ahead of it.
    assert [started(harness, f"small-{i}") is not None for i in range(6)] == [True] + [False] * 5


def a_long_one_wants_it_too(harness: Harness, holds: str) -> None:
    """A gang of four waits for one of three to end, and one of one node would still run then.

    Args:
        holds: what the long one is told that the large one holds.
    """
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    job(harness, "long", 1, 200)
    harness.advance(3)
    assert reason(harness, "long") == "Reserved"
    assert status(harness, "long")["message"].startswith(
        f"may not delay gang default/job-large, which holds {holds} from 2023-11-14 22:15 UTC"
    )
    harness.restart_machine()
    harness.advance(20)
    assert harness.phase("job-long") == "Pending"
    harness.advance(80)
    assert (started(harness, "large"), harness.phase("job-long")) == (at(100), "Pending")
