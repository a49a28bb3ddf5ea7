"""When a failed pod may be replaced, and how many Events a Job gets."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.localcluster import LocalCluster
from rackplane.localcluster.jobs.backoff import Record, finished_at, remaining
from rackplane.localcluster.objects import timestamp

JOBS = "/apis/batch/v1/namespaces/default/jobs"
PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"
T = 1_700_000_000.0


def pod(*, created: float = T, ends: tuple[float | None, ...] = (), **more: Any) -> Any:
    statuses = [
        {"name": str(number), "state": {"terminated": {"exitCode": 1, "finishedAt": end and timestamp(end)}}}
        for number, end in enumerate(ends)
    ]
    status = {"phase": "Failed", "containerStatuses": statuses, **more.pop("status", {})}
    return {"metadata": {"creationTimestamp": timestamp(created), **more}, "status": status}


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (50, 600)],
    ids=lambda value: str(value),
)
def test_the_delay_doubles_up_to_ten_minutes(failures: int, seconds: float) -> None:
    assert remaining(failures, T, T, 10.0) == seconds
    assert remaining(failures, T, T + 4, 10.0) == max(0, seconds - 4)
    assert remaining(failures, T, T + 1000, 10.0) == 0


@pytest.mark.parametrize(
    ("found", "when"),
    [
        pytest.param(pod(ends=(T + 5, T + 9)), T + 9, id="the-last-container"),
        pytest.param(
            pod(
                ends=(T + 5, None),
                status={
                    "conditions": [
                        {"type": "Ready", "status": "False", "lastTransitionTime": timestamp(T + 7)}
                    ]
                },
            ),
            T + 7,
            id="no-longer-ready",
        ),
        pytest.param(
            pod(deletionTimestamp=timestamp(T + 60), deletionGracePeriodSeconds=30), T + 30, id="deleted"
        ),
        pytest.param(pod(), T, id="created"),
    ],
)
def test_the_end_of_a_pod_by_the_best_witness(found: Any, when: float) -> None:
    assert finished_at(found) == when


def test_a_success_forgets_the_failures_before_it() -> None:
    failed = [pod(ends=(T + second,)) for second in (1, 2, 8)]
    record = Record().with_ends([], failed)
    assert record == Record(3, T + 8)
    assert record.with_ends([pod(ends=(T + 9,))], []) == Record()
    assert record.with_ends([pod(ends=(T + 5,))], failed) == Record(1, T + 8)
    assert record.with_ends([], []) is record


def test_changes_of_pods_are_collected_before_a_job_is_looked_at(driver: Any) -> None:
    cluster = LocalCluster(clock=driver.time, job_batch_seconds=1.0)
    driver.cluster = cluster
    driver.job("j", parallelism=2, completions=2, backoffLimit=0)
    for found in driver.pods():
        driver.end(found)
    assert "succeeded" not in driver.do("GET", f"{JOBS}/j")["status"]
    driver.time.advance(1)
    cluster.settle()
    assert driver.do("GET", f"{JOBS}/j")["status"]["succeeded"] == 2


def test_a_refused_pod_is_tried_again_until_it_is_taken(driver: Any) -> None:
    template = {
        "spec": {
            "restartPolicy": "Never",
            "priorityClassName": "high",
            "containers": [{"name": "main", "image": "train:1"}],
        }
    }
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"template": template},
    }
    driver.do("POST", JOBS, body)
    assert driver.pods() == []
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    high = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "high"},
        "value": 7,
    }
    driver.do("POST", classes, high)
    assert driver.pods() == []
    driver.time.advance(60)
    driver.cluster.settle()
    assert [found["spec"]["priority"] for found in driver.pods()] == [7]


def test_a_job_makes_no_more_events_than_a_recorder_lets_through(driver: Any) -> None:
    driver.job("j", parallelism=60, completions=60)
    events = driver.do("GET", "/api/v1/namespaces/default/events")["items"]
    told = [event for event in events if event["involvedObject"]["kind"] == "Job"]
    assert len(driver.pods()) == 60
    assert sorted(event["count"] for event in told) == [1] * 9 + [16]


def test_a_very_parallel_job_gets_all_its_pods(driver: Any) -> None:
    driver.job("j", parallelism=1100, completions=1100, completionMode="Indexed")
    assert len(driver.pods()) == 1100
    for found in driver.pods()[:700]:
        path = f"{PODS}/{found['metadata']['name']}/status"
        driver.cluster.request("PATCH", path, {"status": {"phase": "Succeeded"}}, content_type=MERGE)
    driver.cluster.settle()
    assert driver.do("GET", f"{JOBS}/j")["status"]["succeeded"] == 700
