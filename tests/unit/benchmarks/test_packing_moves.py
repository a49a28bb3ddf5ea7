"""Moves in the packing benchmark: what they let start, and what they cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.core.settings import MachineSettings
from tests.benchmarks.packing.jobs import Arrival
from tests.benchmarks.packing.moving import Mover
from tests.benchmarks.packing.policies import rackplane
from tests.benchmarks.packing.room import Room
from tests.benchmarks.packing.runs import online
from tests.benchmarks.packing.view import Job

STREAM = [
    Arrival(0.0, Job.of(40), 1_000.0),
    Arrival(0.0, Job.of(16), 100_000.0),  # beside the first, and then alone in its rack
    Arrival(0.0, Job.of(40), 100_000.0),  # in the other rack
    Arrival(2_000.0, Job.of(64), 100_000.0),  # waits for a rack
    Arrival(4_000.0, Job.of(1), 1.0),
]
BUSY = 96 * 1_000 + 56 * 3_000


def busy(mover: Mover | None) -> float:
    told = [arrival.duration for arrival in STREAM]
    return online(Room(2, 1, rackplane.choose), STREAM, guesses=told, mover=mover) * 4_000


def test_a_job_starts_where_another_has_made_room_and_what_is_done_again_does_not_count() -> None:
    mover = Mover(1.0)
    # 200 s since its last checkpoint and 300 s to start again.
    assert busy(mover) == pytest.approx(BUSY + 64 * 2_000 - 16 * 500)
    assert (mover.moves, mover.lost_gpu_seconds) == (1, 16 * 500)


@pytest.mark.parametrize(
    "setting", [{"moves_per_hour": 0}, {"least_gain": 1e6}, {"most_lost_gpu_hours": 2.0}]
)
def test_nothing_is_moved_beyond_the_budget_or_for_too_little(setting: dict[str, float]) -> None:
    mover = Mover(1.0, replace(MachineSettings(), **setting))  # type: ignore[arg-type]
    assert busy(mover) == pytest.approx(BUSY)
    assert busy(None) == pytest.approx(BUSY)
    assert mover.moves == 0
