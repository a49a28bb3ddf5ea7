"""The bounds of the packing benchmark where the most is known by hand; and its clusters, jobs and runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rackplane.engine.model import Placement
from tests.benchmarks.packing import bound, exact, jobs
from tests.benchmarks.packing.bound import Limits
from tests.benchmarks.packing.jobs import Arrival, guesses
from tests.benchmarks.packing.policies import first_fit, rackplane
from tests.benchmarks.packing.room import Decide, Room, Times, by_rule
from tests.benchmarks.packing.runs import offline, online
from tests.benchmarks.packing.view import Job


def limits(room: list[int], *, slack: list[float], watts: list[list[float]]) -> Limits:
    """Racks of 18 healthy nodes in one hall."""
    return Limits(
        hall=np.zeros(len(room), dtype=np.int64),
        room=np.array(room),
        nodes=np.full(len(room), 18),
        slack=np.array(slack),
        watts=np.array(watts).reshape(len(slack), len(room)),
    )


FREE = limits([72, 72], slack=[], watts=[])


@pytest.mark.parametrize(
    ("queue", "fluid", "whole"),
    [
        ({Job.of(64): 3}, 128, 128),  # one of 16 nodes a rack
        ({Job.of(40): 4}, 80, 80),  # one of 10 nodes a rack: two are 20
        ({Job.of(40): 4, Job.of(16): 9}, 144, 144),  # 10 + 4 + 4
        ({Job.of(128): 2, Job.of(4): 9}, 144, 144),  # two segments, and two nodes beside each
        ({Job.of(128): 1, Job.of(1): 3}, 131, 131),
        ({Job.of(160): 1}, 128, 0),  # two segments and 8 nodes need three racks: 0.8 of it fits two
        ({Job.of(3): 99}, 144, 108),  # one to a node: only the exact bound knows nodes
        ({Job.of(3): 18, Job.of(1): 99}, 144, 144),
    ],
)
def test_the_most_that_fits_two_idle_racks(queue: dict[Job, int], fluid: int, whole: int) -> None:
    most = bound.most_gpus(FREE, queue)
    assert int(most) == fluid
    assert exact.most_gpus(FREE, queue, at_most=most, reached=0) == whole


def test_the_most_that_a_shared_limit_feeds() -> None:
    fed = limits([72, 72], slack=[100_000.0], watts=[[1_625.0, 812.5]])
    queue = {Job.of(4): 99}
    # rack 1 costs half: all its 72 GPUs take 58.5 kW, and 41.5 kW feed 25.5 GPUs in rack 0
    assert bound.most_gpus(fed, queue) == pytest.approx(72 + 41_500 / 1_625)
    assert exact.most_gpus(fed, queue, at_most=144.0, reached=0) == 96


def test_the_bound_counts_a_job_no_more_often_than_it_is_there() -> None:
    assert bound.most_gpus(FREE, {Job.of(64): 0.5, Job.of(8): 1.25}) == pytest.approx(42.0)


def test_the_limits_are_those_of_the_facility() -> None:
    room = Room(8, 1, rackplane.choose)
    found = Limits.of(room)
    down = 18 - found.nodes
    assert down.sum() == 3  # 2 % of 144
    strong = np.arange(8) % 4 != 3
    assert found.room[strong].tolist() == (72 - 4 * down[strong]).tolist()
    assert found.room[~strong].tolist() == [64, 64]
    # each of two busways and UPS after the loss of the other, normal and lost: 93 % of 576 GPUs at the least
    least = min(s / w.max() for s, w in zip(found.slack, found.watts, strict=True))
    assert least == pytest.approx(0.93 * 576, abs=0.01)


def test_rows_and_halls_as_they_come() -> None:
    room = Room(64, 1, rackplane.choose)
    assert np.bincount(room.hall).tolist() == [48, 16]
    assert len(np.unique(room.row)) == 8


@pytest.mark.parametrize("mix", jobs.MIXES)
def test_jobs_are_drawn_by_the_seed_and_none_is_larger_than_half_the_cluster(mix: str) -> None:
    queue = jobs.queue(mix, 576, 1, demand=3.0)
    assert queue == jobs.queue(mix, 576, 1, demand=3.0)
    assert queue != jobs.queue(mix, 576, 2, demand=3.0)
    assert max(job.gpus for job in queue) <= 288
    assert sum(job.gpus for job in queue) >= 3 * 576 > sum(job.gpus for job in queue[:-1])
    stream = jobs.stream(mix, 576, 536.0, 1, load=1.05, count=200)
    assert stream == jobs.stream(mix, 576, 536.0, 1, load=1.05, count=200)
    later = [a for a in stream if a.at > 0][-199:]
    assert [a.at for a in later] == sorted(a.at for a in later)
    offered = sum(a.job.gpus * a.duration for a in stream[-200:]) / stream[-1].at
    assert offered == pytest.approx(1.05 * 536.0)


def test_a_share_of_jobs_and_of_time_gives_the_mean_duration() -> None:
    found = {job: (share, mean) for job, share, mean in jobs.sizes("Helios")}
    assert found[Job.of(1)] == pytest.approx((0.7219, 5.44 / 72.19))
    assert found[Job.of(64)] == pytest.approx((0.0038, 7.75 / 0.38 / 64))  # 63 GPUs take as many nodes


@pytest.mark.parametrize("decide", [rackplane.choose, by_rule(first_fit.choose)], ids=["ours", "a rule"])
def test_one_pass_skips_what_does_not_fit(decide: Decide) -> None:
    room = Room(8, 1, decide)
    # segments of 256 GPUs: 512 of at most 535; then what is left
    assert offline(room, [Job.of(256), Job.of(256), Job.of(64), Job.of(8), Job.of(16)]) == 512 + 8
    assert room.state.violations() == []
    room.state.validate()


@pytest.mark.parametrize("decide", [rackplane.choose, by_rule(first_fit.choose)], ids=["ours", "a rule"])
def test_what_waits_starts_when_something_ends_oldest_first(decide: Decide) -> None:
    whole, small = Job.of(288), Job.of(8)
    stream = [
        Arrival(0.0, whole, 5.0),
        Arrival(0.0, whole, 100.0),
        Arrival(1.0, replace(whole), 100.0),
        Arrival(10.0, small, 1.0),
    ]
    # 288 GPUs are 4 segments of 16 nodes and 8 nodes: two such jobs need 8 + 1 racks, so one runs at a time
    assert online(Room(8, 1, decide), stream) == pytest.approx(288.0)


def test_every_placement_of_ours_and_of_a_rule_keeps_every_limit() -> None:
    queue = jobs.queue("Helios", 576, 3, demand=3.0)
    for decide in (rackplane.choose, by_rule(first_fit.choose)):
        room = Room(8, 3, decide)
        running = offline(room, queue)
        assert running <= bound.most_gpus(Limits.of(Room(8, 3, decide)), Counter(queue))
        assert room.state.violations() == []
        room.state.validate()


def test_ours_is_told_when_jobs_start_and_how_long_they_say_they_run() -> None:
    asked: list[Times | None] = []

    def decide(room: Room, job: Job) -> Placement | None:
        asked.append(room.times)
        return rackplane.choose(room, job)

    stream = [Arrival(0.0, Job(1, 4), 50.0), Arrival(10.0, Job(2, 4), 5.0), Arrival(20.0, Job(1, 4), 1.0)]
    room = Room(8, 1, decide)
    online(room, stream, guesses=guesses(stream, 1, 0.0))
    assert asked == [Times(0.0, 50.0), Times(10.0, 5.0), Times(20.0, 1.0)]
    assert [room.state.until(key) for key in ("0", "2")] == [50.0, 21.0]
    rough = guesses(stream, 1, 1.0)
    assert rough is not None
    assert rough == guesses(stream, 1, 1.0) != [50.0, 5.0, 1.0]
    asked.clear()
    online(Room(8, 1, decide), stream, guesses=guesses(stream, 1, None))
    assert asked == [None, None, None]
