"""Budgets on queues and namespaces count for reservations: who waits for one holds what it needs of it, in time."""

from __future__ import annotations

import pytest

from rackplane.core.gangs.statuses import timestamp
from tests.support.backfilling import (
    LASTS,
    a_long_one_wants_it_too,
    a_stream_wants_it_too,
    at,
    hall,
    job,
    reason,
    started,
    status,
)
from tests.support.harness import START, Harness, thing


def with_budget(
    limit: int, *, targets: dict[str, list[str]] | None = None, quota: int | None = None, **times: float
) -> Harness:
    """Eight nodes of four GPUs, each adding 4 kW in use, and a budget on what the gangs of some draw.

    ``times``: when it starts and ends, in seconds from now on; without them it always holds.
    """
    harness = hall(racks=2)
    if quota is not None:
        harness.patch("/apis/rackplane.dev/v1alpha1/queues/research", {"spec": {"quota": {"gpus": quota}}})
    when = {"interval": {name: timestamp(START + t) for name, t in times.items()}} if times else {}
    harness.apply(
        thing("PowerBudget", "team", targets=targets or {"queues": ["research"]}, limitWatts=limit, **when)
    )
    harness.settle()
    return harness


def test_a_stream_of_small_gangs_does_not_keep_one_waiting_that_lacks_watts_of_its_queue() -> None:
    a_stream_wants_it_too(
        with_budget(16_000),
        "power budget team of 16.0 kW would be exceeded by 16.0 kW; could start at 2023-11-14 22:15 UTC, when gang "
        "default/job-early-3 is expected to be over; 16.0 kW of PowerBudget team are held for it from 2023-11-14 22:15 "
        "UTC",
    )


def test_who_would_take_watts_of_a_budget_in_time_is_told_whose_they_are() -> None:
    a_long_one_wants_it_too(with_budget(16_000), "16.0 kW of PowerBudget team")


@pytest.mark.parametrize(
    ("targets", "phase"), [({"namespaces": ["default"]}, "Pending"), ({"queues": ["research"]}, "Running")]
)
def test_it_is_held_against_all_who_count_in_the_budget_and_against_nobody_else(
    targets: dict[str, list[str]], phase: str
) -> None:
    harness = with_budget(16_000, targets=targets)
    harness.apply(thing("Queue", "other", priority=-1))
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.job("of-another-queue", slots=1, run=500, queue="other", annotations={LASTS: "500s"})
    harness.advance(3)
    assert (harness.phase("job-of-another-queue"), harness.phase("job-large")) == (phase, "Pending")
    harness.advance(97)
    assert started(harness, "large") == at(100)


def test_a_coming_budget_is_held_for_the_first_that_may_run_in_it() -> None:
    """From 60 s on 16 kW: `first` has them until 100 s, then `large`; whoever runs on past 100 s would take some."""
    harness = with_budget(16_000, start=60, end=1_000)
    job(harness, "first", 4, 100)
    harness.settle()
    job(harness, "large", 4, 200)
    harness.advance(2)
    assert status(harness, "large")["message"] == (
        "power budget team of 16.0 kW, in force from 2023-11-14 22:15 UTC, would be exceeded by 16.0 kW then; could "
        "start at 2023-11-14 22:15 UTC, when gang default/job-first is expected to be over; 16.0 kW of PowerBudget "
        "team are held for it from 2023-11-14 22:15 UTC"
    )
    job(harness, "short", 2, 50)
    job(harness, "long", 2, 900)
    harness.advance(2)
    assert (harness.phase("job-short"), harness.phase("job-long")) == ("Running", "Pending")
    harness.advance(96)
    assert (started(harness, "large"), harness.phase("job-long")) == (at(100), "Pending")


def test_who_waits_for_the_end_of_a_budget_holds_its_quota_from_then_on() -> None:
    harness = with_budget(8_000, quota=16, start=10, end=100)
    job(harness, "large", 4, 200)
    harness.advance(2)
    assert status(harness, "large")["message"].endswith(
        "could start at 2023-11-14 22:15 UTC, when PowerBudget team ends; the quota that it needs is held for it from "
        "2023-11-14 22:15 UTC"
    )
    job(harness, "over-by-then", 1, 80)
    job(harness, "still-there", 1, 150)
    harness.advance(3)
    assert (harness.phase("job-over-by-then"), harness.phase("job-still-there")) == ("Running", "Pending")
    assert reason(harness, "still-there") == "Reserved"
    harness.advance(96)
    assert started(harness, "large") == at(100)


def test_quota_is_held_from_when_the_budgets_take_the_gang_too() -> None:
    """The quota comes back at 50 s; but then the budget would not carry the gang before 100 s."""
    harness = with_budget(4_000, quota=16, start=60, end=100)
    job(harness, "first", 1, 50)
    harness.settle()
    job(harness, "large", 4, 200)
    harness.advance(2)
    assert status(harness, "large")["estimatedStart"] == at(100)
    job(harness, "between", 3, 55)
    harness.advance(2)
    assert harness.phase("job-between") == "Running", "it is over by 100 s"
    harness.advance(96)
    assert started(harness, "large") == at(100)
