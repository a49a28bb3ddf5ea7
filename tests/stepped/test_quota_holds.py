"""Who waits for quota holds it from the time at which it is expected to be there."""

from __future__ import annotations

from typing import Any

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
from tests.support.harness import Harness, thing


def with_quota(gpus: int, **settings: Any) -> Harness:
    """Eight nodes of four GPUs, and a queue that may use so many of them."""
    harness = hall(racks=2, **settings)
    harness.patch("/apis/rackplane.dev/v1alpha1/queues/research", {"spec": {"quota": {"gpus": gpus}}})
    return harness


def test_a_stream_of_small_gangs_does_not_keep_one_waiting_that_lacks_quota() -> None:
    harness = with_quota(16)
    a_stream_wants_it_too(
        harness,
        "queue research has 0 of its 16 GPUs left, and the gang needs 16; could start at 2023-11-14 22:15 UTC, when "
        "gang default/job-early-3 is expected to be over; the quota that it needs is held for it from 2023-11-14 22:15 "
        "UTC",
    )
    assert reason(harness, "small-3") == "OverQuota"


def test_a_small_gang_that_would_take_quota_in_time_is_told_whose_it_is() -> None:
    a_long_one_wants_it_too(with_quota(16), "quota of queue research")


def test_no_quota_is_held_for_one_that_fits_nowhere_whatever_quota_it_had() -> None:
    """Also while others hold all the places that may be held, so that none is looked for to find that out."""
    harness = hall(racks=2)
    harness.apply(
        thing("Queue", "research", quota={"gpus": 20}), thing("Queue", "first", quota={}, priority=10)
    )
    job(harness, "runs", 3, 100)
    harness.job("beside", slots=4, run=90, queue="first", annotations={LASTS: "90s"})
    harness.settle()
    near = {LASTS: "100s", "rackplane.dev/required-topology": "nvlink"}
    harness.job("head", slots=4, run=100, queue="first", annotations=near)
    harness.advance(2)
    harness.job("wide", slots=5, run=100, annotations=near)
    harness.advance(2)
    assert "reservation" in status(harness, "head")
    job(harness, "small", 1, 500)
    harness.advance(15)
    admitted = [c for c in status(harness, "wide")["conditions"] if c["type"] == "Admitted"]
    assert [c["reason"] for c in admitted] == ["DoesNotFit"]
    assert harness.phase("job-small") == "Running", status(harness, "small")["message"]


def test_quota_is_held_against_those_who_borrow_it_and_not_against_those_who_use_their_own() -> None:
    harness = hall(racks=2)
    harness.patch(
        "/apis/rackplane.dev/v1alpha1/queues/research", {"spec": {"parent": "all", "quota": {"gpus": 16}}}
    )
    for name, gpus in (("all", None), ("lent", 4), ("own", 4)):
        spec = {} if gpus is None else {"parent": "all", "quota": {"gpus": gpus}}
        harness.apply(
            {
                "apiVersion": "rackplane.dev/v1alpha1",
                "kind": "Queue",
                "metadata": {"name": name},
                "spec": spec,
            }
        )
    job(harness, "first", 5, 100)
    harness.settle()
    job(harness, "large", 5, 100)
    harness.advance(3)
    assert harness.phase("job-large") == "Pending", "five nodes are held of the six that there are for all"
    said = {LASTS: "500s"}
    harness.job("borrows", slots=2, run=500, queue="lent", annotations=said)
    harness.advance(3)
    assert harness.phase("job-borrows") == "Pending"
    harness.job("within", slots=1, run=500, queue="own", annotations=said)
    harness.advance(3)
    assert harness.phase("job-within") == "Running"


def test_quota_that_is_there_is_held_while_the_gang_waits_for_nodes() -> None:
    harness = with_quota(16, reservations=0)
    harness.apply(
        {"apiVersion": "rackplane.dev/v1alpha1", "kind": "Queue", "metadata": {"name": "free"}, "spec": {}}
    )
    harness.job("others", slots=5, run=300, queue="free", annotations={LASTS: "300s"})
    job(harness, "first", 3, 50)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(60)
    # Its queue has all its quota; of the nodes three are free.
    assert harness.phase("job-large") == "Pending"
    job(harness, "long", 1, 1_000)
    job(harness, "short", 1, 100)
    harness.advance(20)
    assert (harness.phase("job-long"), harness.phase("job-short")) == ("Pending", "Running")
    harness.until(lambda: harness.phase("job-large") == "Running", seconds=300)
    assert started(harness, "large") == at(300)


def test_quota_is_not_held_any_more_for_one_that_others_who_ask_the_same_have_come_before() -> None:
    harness = with_quota(16)
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(3)
    assert "is held for it" in status(harness, "large")["message"]
    harness.apply(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "high"},
            "value": 9,
        }
    )
    harness.job(
        "urgent", slots=4, run=100, annotations={LASTS: "100s"},
        template={"priorityClassName": "high", "priority": 9},
    )  # fmt: skip
    harness.advance(5)
    held = {name: "is held for it" in status(harness, name)["message"] for name in ("urgent", "large")}
    assert held == {"urgent": True, "large": False}
