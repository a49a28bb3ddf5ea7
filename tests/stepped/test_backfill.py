"""A large gang that cannot start holds its place; small ones go ahead only if they do not delay it."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from rackplane.core.queues import ahead, reserving
from rackplane.engine.queueing import reservations
from tests.support.backfilling import (
    LASTS,
    at,
    hall,
    job,
    started,
    status,
)
from tests.support.harness import Harness


def test_a_short_gang_goes_ahead_of_a_large_one_and_a_long_one_does_not() -> None:
    harness = hall()
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(5)
    job(harness, "long", 1, 200)
    harness.advance(2)
    long = status(harness, "long")
    assert long["message"] == (
        "may not delay gang default/job-large, which holds r1 from 2023-11-14 22:15 UTC; could start at "
        "2023-11-14 22:17 UTC, when gang default/job-large is expected to be over"
    )
    assert [c["reason"] for c in long["conditions"] if c["type"] == "Admitted"] == ["Reserved"]
    job(harness, "short", 1, 50)
    harness.advance(5)
    assert harness.gangs() == {
        "job-first": "Running",
        "job-large": "Pending",
        "job-long": "Pending",
        "job-short": "Running",
    }
    large = status(harness, "large")
    assert large["estimatedStart"] == at(100)
    assert large["reservation"]["startTime"] == at(100)
    assert [node for group in large["reservation"]["assignment"] for node in group["nodes"]] == [
        "r1-n0", "r1-n1", "r1-n2", "r1-n3",
    ]  # fmt: skip
    assert large["reservation"]["why"] == "gang default/job-first is expected to be over"
    assert "holds r1 from 2023-11-14 22:15 UTC, when gang default/job-first is expected" in large["message"]
    assert large["position"] == 1
    harness.advance(100)
    assert harness.phase("job-large") == "Running"
    assert "reservation" not in status(harness, "large")
    assert started(harness, "large") == at(100)
    harness.advance(105)
    assert harness.phase("job-long") == "Running"


def test_who_may_not_delay_another_is_told_so_again_without_a_search() -> None:
    harness = hall()
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(5)
    job(harness, "long", 1, 200)
    job(harness, "short", 1, 50)
    harness.advance(5)
    assert harness.phase("job-short") == "Running"
    with patch.object(reserving, "backfill", wraps=reservations.backfill) as searched:
        harness.advance(60)
    assert harness.phase("job-short") == "Finished"
    assert searched.call_count == 0, "the node that is free is one of those that are held"
    told = "may not delay gang default/job-large, which holds r1 from 2023-11-14 22:15 UTC"
    assert status(harness, "long")["message"].startswith(told)
    harness.advance(140)
    assert harness.phase("job-large") == "Finished"
    assert harness.phase("job-long") == "Running"


def test_who_may_not_delay_another_is_told_of_the_next_that_holds_a_place() -> None:
    harness = hall()
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(5)
    job(harness, "next", 4, 100)
    harness.advance(2)
    job(harness, "long", 1, 500)
    harness.advance(5)
    assert "may not delay gang default/job-large" in status(harness, "long")["message"]
    harness.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/large")
    harness.advance(5)
    assert "may not delay gang default/job-next" in status(harness, "long")["message"]


def test_a_held_place_is_not_worked_out_anew_when_a_gang_ends() -> None:
    harness = hall()
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    job(harness, "short", 1, 50, runs=30)
    harness.advance(10)
    assert harness.phase("job-short") == "Running"
    with patch.object(reserving, "fits_then", wraps=ahead.fits_then) as asked:
        harness.advance(40)
        assert harness.phase("job-short") == "Finished"
        assert asked.call_count == 1, "once since it was found"
        harness.node_ready("r1-n3", False)
        harness.advance(5)
        assert asked.call_count > 1
    assert "reservation" not in status(harness, "large")


def test_without_reservations_whoever_fits_goes_ahead() -> None:
    harness = hall(reservations=0)
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    job(harness, "long", 1, 200)
    harness.advance(5)
    assert harness.phase("job-long") == "Running"
    assert "reservation" not in status(harness, "large")


def test_a_gang_that_fits_beside_the_reserved_place_goes_ahead_however_long_it_runs() -> None:
    harness = hall(racks=2)
    job(harness, "first", 3, 100)
    harness.settle()
    harness.job("large", slots=4, run=100, annotations={LASTS: "100s"})
    harness.advance(2)
    assert harness.phase("job-large") == "Running", "the other rack is free"
    job(harness, "next", 4, 100)
    harness.advance(2)
    assert status(harness, "next")["reservation"]["startTime"] == at(100)
    job(harness, "long", 1, 5_000)
    harness.advance(2)
    assert harness.phase("job-long") == "Pending", "it would be in the way on either rack"


def test_a_gang_finds_another_place_when_the_best_one_is_reserved() -> None:
    harness = hall(racks=2, nodes=3)
    job(harness, "a", 2, 50)
    job(harness, "b", 2, 1_000)
    harness.advance(3)
    job(harness, "large", 3, 100)
    harness.advance(3)
    held = status(harness, "large")["reservation"]
    assert held["startTime"] == at(50)
    rack = held["assignment"][0]["rack"]
    job(harness, "long", 1, 3_000)
    harness.advance(3)
    other = status(harness, "long")["assignment"][0]["rack"]
    assert {rack, other} == {"r1", "r2"}


def test_a_gang_that_overruns_moves_the_reservation_and_never_the_limit() -> None:
    harness = hall()
    job(harness, "first", 3, 100, runs=400)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(90)
    assert status(harness, "large")["reservation"]["startTime"] == at(100)
    harness.advance(35)
    held = status(harness, "large")["reservation"]
    assert held["startTime"] == at(140), "it has run over by 20 s, so it may by 40 s"
    assert held["why"] == "gang default/job-first, past the expected end, is taken to be over"
    harness.advance(30)
    assert status(harness, "large")["reservation"]["startTime"] == at(180)
    harness.until(lambda: harness.phase("job-large") == "Running", seconds=300)
    assert started(harness, "large") == at(400)


def test_one_that_overruns_is_taken_to_give_its_quota_back_too() -> None:
    harness = hall(racks=2)
    harness.patch("/apis/rackplane.dev/v1alpha1/queues/research", {"spec": {"quota": {"gpus": 32}}})
    job(harness, "keep", 4, None)
    harness.settle()
    job(harness, "first", 3, 20, runs=23)
    job(harness, "large", 4, 60)
    harness.advance(5)
    job(harness, "long", 1, 3_600)
    harness.advance(16)
    assert status(harness, "large")["reservation"]["startTime"] == at(25)
    harness.advance(4)
    assert (harness.phase("job-large"), harness.phase("job-long")) == ("Running", "Pending")


def test_a_gang_that_ends_early_lets_the_reserved_one_start_at_once() -> None:
    harness = hall()
    job(harness, "first", 3, 500, runs=60)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(30)
    assert status(harness, "large")["reservation"]["startTime"] == at(500)
    harness.advance(32)
    assert harness.phase("job-large") == "Running"


def test_a_reservation_survives_the_process_and_does_not_jump() -> None:
    harness = hall(racks=2)
    job(harness, "a", 4, 100)
    job(harness, "b", 4, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(5)
    before = status(harness, "large")["reservation"]
    harness.restart_machine()
    harness.advance(5)
    assert status(harness, "large")["reservation"] == before
    job(harness, "long", 1, 5_000)
    harness.until(lambda: harness.phase("job-large") == "Running", seconds=200)
    assert started(harness, "large") == at(100)


@pytest.mark.parametrize(("reservations", "phase"), [(1, "Running"), (2, "Pending")])
def test_the_second_in_the_queue_is_protected_only_with_a_reservation_of_its_own(
    reservations: int, phase: str
) -> None:
    harness = hall(reservations=reservations)
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "second", 3, 50)
    job(harness, "third", 4, 50)
    harness.advance(5)
    assert status(harness, "second")["reservation"]["startTime"] == at(100)
    assert (status(harness, "third").get("reservation") or {}).get("startTime") == (
        at(150) if reservations == 2 else None
    )
    assert status(harness, "third")["estimatedStart"] == at(150)
    job(harness, "long", 1, 1_000)
    harness.advance(5)
    assert harness.phase("job-long") == phase


def test_who_waits_for_quota_holds_nothing_and_blocks_nobody_else() -> None:
    harness = hall()
    harness.patch("/apis/rackplane.dev/v1alpha1/queues/research", {"spec": {"quota": {"gpus": 8}}})
    harness.apply(
        {"apiVersion": "rackplane.dev/v1alpha1", "kind": "Queue", "metadata": {"name": "free"}, "spec": {}}
    )
    job(harness, "first", 2, 100)
    harness.settle()
    job(harness, "second", 1, 100)
    harness.job("other", slots=1, run=500, queue="free", annotations={LASTS: "500s"})
    harness.advance(5)
    assert "reservation" not in status(harness, "second")
    assert harness.phase("job-other") == "Running"


def test_a_gang_that_goes_leaves_its_place_to_the_others() -> None:
    harness = hall()
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    job(harness, "long", 1, 500)
    harness.advance(5)
    assert harness.phase("job-long") == "Pending"
    harness.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/large")
    harness.advance(5)
    assert harness.phase("job-long") == "Running"


def test_a_stream_of_small_gangs_does_not_keep_a_large_one_waiting() -> None:
    harness = hall()
    for i in range(4):
        job(harness, f"early-{i}", 1, 30 + 10 * i)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(2)
    assert status(harness, "large")["reservation"]["startTime"] == at(60)
    for i in range(6):
        job(harness, f"small-{i}", 1, 25)
        harness.advance(9)
    harness.advance(5)
    assert started(harness, "large") == at(60)
    # Those that were over by then have gone ahead of it.
    assert [started(harness, f"small-{i}") is not None for i in range(6)] == [True] + [False] * 5


def test_a_place_where_gangs_run_on_past_its_time_is_kept_free_until_they_are_over() -> None:
    harness = hall()
    job(harness, "first", 3, 100, runs=400)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(3)
    job(harness, "before", 1, 40)
    harness.advance(2)
    assert harness.phase("job-before") == "Running", "it says that it is over in time"
    assert "keptFree" not in status(harness, "large")["reservation"]
    harness.advance(145)
    held = status(harness, "large")["reservation"]
    assert (held["startTime"], held["keptFree"], held["why"]) == (
        at(180), True, "gang default/job-first, past the expected end, is taken to be over",
    )  # fmt: skip
    job(harness, "after", 1, 10)
    harness.advance(5)
    assert status(harness, "after")["message"].startswith(
        "may not delay gang default/job-large, which holds r1, which is kept free for it, from 2023-11-14 22:17 UTC"
    )
    harness.restart_machine()
    harness.advance(245)
    assert harness.phase("job-after") == "Pending"
    assert started(harness, "large") == at(400)
    harness.advance(105)
    assert harness.phase("job-after") == "Running"


def test_a_gang_of_higher_priority_takes_the_first_place_in_the_queue_and_with_it_the_reservation() -> None:
    harness = hall()
    job(harness, "first", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(3)
    assert status(harness, "large")["reservation"]["startTime"] == at(100)
    template = {"priorityClassName": "high", "priority": 1_000}
    harness.apply(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "high"},
            "value": 1_000,
        }
    )
    harness.job("urgent", slots=4, run=50, annotations={LASTS: "50s"}, template=template)
    harness.advance(3)
    assert status(harness, "urgent")["reservation"]["startTime"] == at(100)
    assert "reservation" not in status(harness, "large")
    assert status(harness, "large")["estimatedStart"] == at(150)


def test_who_is_first_again_soon_takes_its_place_up_again_without_another_search() -> None:
    harness = hall(estimate_seconds=10.0)
    job(harness, "runs", 3, 100)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(5)
    held = status(harness, "large")["reservation"]
    meta = {"name": "high"}
    harness.apply(
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": meta, "value": 9}
    )
    harness.job(
        "urgent", slots=4, run=10, annotations={LASTS: "10s"},
        template={"priorityClassName": "high", "priority": 9},
    )  # fmt: skip
    harness.advance(2)
    assert status(harness, "urgent").get("reservation") and not status(harness, "large").get("reservation")
    with patch.object(
        reserving, "look_ahead", side_effect=AssertionError("it has a place that is still good")
    ):
        harness.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/urgent")
        harness.advance(2)
    assert status(harness, "large")["reservation"] == held


def test_an_earlier_place_is_looked_for_only_where_nodes_may_be_free_by_then() -> None:
    harness = hall(racks=2)
    job(harness, "first", 3, 300)
    job(harness, "next", 2, 1_000, runs=60)
    job(harness, "other", 2, 200)
    harness.settle()
    with patch.object(reserving, "look_ahead", wraps=ahead.look_ahead) as search:
        job(harness, "large", 4, 100)
        harness.advance(5)
        assert (status(harness, "large")["reservation"]["startTime"], search.call_count) == (at(300), 1)
        job(harness, "short", 1, 20)
        harness.advance(40)
        assert harness.phase("job-short") == "Finished"
        assert search.call_count == 1, "who came and went as told leaves no more room than there was"
        harness.advance(25)
        assert harness.phase("job-next") == "Finished"
        assert status(harness, "large")["reservation"]["startTime"] == at(200), "by then nothing is there"
        assert search.call_count == 2


def test_a_place_on_a_rack_that_is_drained_is_looked_for_elsewhere() -> None:
    harness = hall(racks=2)
    job(harness, "a", 4, 100)
    job(harness, "b", 4, 150)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(3)
    held = status(harness, "large")["reservation"]
    assert (held["startTime"], held["assignment"][0]["rack"]) == (at(100), "r1")
    harness.patch("/apis/rackplane.dev/v1alpha1/racks/r1", {"spec": {"state": "Draining"}})
    harness.advance(3)
    held = status(harness, "large")["reservation"]
    assert (held["startTime"], held["assignment"][0]["rack"]) == (at(150), "r2")


def test_on_a_node_that_is_shared_then_processors_count_too() -> None:
    harness = hall(nodes=1)

    def shared(name: str, gpus: int, cpu: int, lasts: int) -> None:
        limits = {"nvidia.com/gpu": gpus, "cpu": str(cpu)}
        containers = [
            {"name": "main", "image": "train:1", "resources": {"limits": limits, "requests": limits}}
        ]
        harness.job(
            name, slots=1, run=lasts, annotations={LASTS: f"{lasts}s"}, template={"containers": containers}
        )

    shared("first", 2, 10, 100)
    harness.settle()
    shared("large", 3, 60, 100)
    harness.advance(2)
    assert status(harness, "large")["reservation"]["startTime"] == at(100)
    shared("many", 1, 10, 1_000)
    harness.advance(2)
    shared("few", 1, 2, 1_000)
    harness.advance(2)
    assert (harness.phase("job-many"), harness.phase("job-few")) == ("Pending", "Running")
    harness.advance(96)
    assert started(harness, "large") == at(100)


def plan(harness: Harness, kind: str, name: str, start: float, end: float) -> None:
    windows = [{"start": at(start), "end": at(end), "reason": "new busway"}]
    harness.patch(f"/apis/rackplane.dev/v1alpha1/{kind}/{name}", {"spec": {"maintenance": windows}})


def test_a_gang_that_would_run_into_maintenance_goes_elsewhere_or_waits_until_it_is_over() -> None:
    harness = hall()
    plan(harness, "racks", "r1", 100, 200)
    job(harness, "short", 1, 50)
    job(harness, "long", 2, 150)
    job(harness, "unsaid", 1, None, runs=30)
    harness.advance(5)
    assert harness.phase("job-short") == "Running"
    long = status(harness, "long")
    assert "4 that maintenance takes away before it is expected to be over" in long["message"]
    assert long["estimatedStart"] == at(200)
    assert long["reservation"]["why"] == "maintenance of rack r1 ends"
    assert harness.phase("job-unsaid") == "Pending", "it is taken to run for a day"
    harness.advance(60)
    job(harness, "late", 1, 50)
    harness.advance(5)
    assert harness.phase("job-late") == "Pending", "it would end at 120 s at the earliest"
    harness.advance(60)
    job(harness, "meanwhile", 1, 5)
    harness.advance(20)
    assert harness.phase("job-meanwhile") == "Pending", "the rack is out of service"
    harness.until(lambda: harness.phase("job-long") == "Running", seconds=100)
    assert started(harness, "long") == at(200)


def test_a_reserved_place_is_given_up_for_maintenance_that_is_planned_meanwhile() -> None:
    harness = hall(racks=2)
    job(harness, "a", 4, 100)
    job(harness, "b", 4, 150)
    harness.settle()
    job(harness, "large", 4, 100)
    harness.advance(3)
    assert status(harness, "large")["reservation"]["assignment"][0]["rack"] == "r1"
    plan(harness, "racks", "r1", 150, 400)
    harness.advance(3)
    held = status(harness, "large")["reservation"]
    assert (held["startTime"], held["assignment"][0]["rack"]) == (at(150), "r2")


def test_maintenance_of_an_nvlink_domain_takes_its_nodes_and_no_others() -> None:
    harness = hall(racks=2)
    plan(harness, "nvlinkdomains", "nvl-r1", 100, 200)
    for i in range(2):
        job(harness, f"long-{i}", 2, 150)
    job(harness, "short", 2, 50)
    harness.advance(5)
    racks = {name: {g["rack"] for g in status(harness, name)["assignment"]} for name in ("long-0", "long-1")}
    assert racks == {"long-0": {"r2"}, "long-1": {"r2"}}
    assert harness.phase("job-short") == "Running"
