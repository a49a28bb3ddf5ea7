"""EASY backfill on one pool of GPUs, which the replay of traces is compared with: cases worked out by hand."""

from __future__ import annotations

from rackplane.simulator.gangs import Request
from rackplane.simulator.jobs import TraceJob
from tests.benchmarks.replay.pool import easy


def job(name: str, at: int, duration: int, gpus: int) -> Request:
    return Request(name, TraceJob(name, at, duration, gpus), {"slots": gpus, "gpusPerSlot": 1})


def test_who_goes_ahead_of_the_first_that_waits() -> None:
    jobs = [
        job("a", 0, 10, 6),  # runs from 0 to 10 on 6 of 8
        job("head", 1, 10, 8),  # needs all 8: promised 10, when a ends, with none to spare
        job("short", 2, 8, 2),  # would end at 10: in time, so it starts
        job("long", 3, 8, 2),  # would end at 11, past the promise; after short none is free anyway
        job("late", 11, 1, 2),  # head holds all from 10 to 20; then long comes first, with room for both
    ]
    assert easy(jobs, 8) == {"a": 0, "head": 10, "short": 2, "long": 20, "late": 20}


def test_what_is_to_spare_at_the_promised_time_may_be_taken_for_longer_once() -> None:
    jobs = [
        job("a", 0, 10, 4),
        job("b", 0, 20, 2),  # 2 of 8 are free
        job("head", 1, 5, 5),  # at 10 there are 6: promised 10, with 1 to spare
        job("one", 2, 100, 1),  # outlasts the promise on what is to spare
        job("two", 3, 100, 1),  # would do so too, but nothing is to spare any more: after head, at 15
        job("brief", 4, 6, 1),  # over by 10
    ]
    assert easy(jobs, 8) == {"a": 0, "b": 0, "head": 10, "one": 2, "two": 15, "brief": 4}


def test_the_promise_counts_all_that_end_at_one_time_and_jobs_that_came_at_once_go_by_name() -> None:
    jobs = [
        job("a", 0, 10, 4),
        job("b", 0, 10, 4),
        job("c", 0, 30, 2),  # at 10 there are 8: promised 10, with 6 to spare
        job("d", 0, 5, 8),  # waits for c, which takes 2 of the 8: promised 40
    ]
    assert easy(jobs, 8) == {"a": 0, "b": 0, "c": 10, "d": 40}


def test_nobody_waits_where_there_is_room() -> None:
    jobs = [job("a", 0, 100, 3), job("b", 50, 100, 3), job("c", 60, 1, 2)]
    assert easy(jobs, 8) == {"a": 0, "b": 50, "c": 60}
