"""The Job controller."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.localcluster import ApiError

PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
MERGE = "application/merge-patch+json"
INDEX = "batch.kubernetes.io/job-completion-index"


def status(driver: Any, name: str = "j") -> Any:
    return driver.do("GET", f"{JOBS}/{name}")["status"]


def conditions(driver: Any) -> dict[str, str]:
    return {entry["type"]: entry["status"] for entry in status(driver).get("conditions", [])}


def suspend(driver: Any, value: bool) -> None:
    driver.do("PATCH", f"{JOBS}/j", {"spec": {"suspend": value}}, MERGE)


def indexes(driver: Any) -> list[str]:
    return sorted(pod["metadata"]["annotations"][INDEX] for pod in driver.pods())


def test_indexed_with_more_completions_than_parallelism(driver: Any) -> None:
    driver.job("j", completions=5, parallelism=2, completionMode="Indexed")
    assert indexes(driver) == ["0", "1"]
    for _ in range(5):
        for pod in driver.pods():
            if pod["status"]["phase"] == "Pending":
                driver.end(pod)
                break
    assert status(driver)["completedIndexes"] == "0-4"
    assert conditions(driver) == {"SuccessCriteriaMet": "True", "Complete": "True"}
    assert len(driver.pods()) == 5
    assert not any(pod["metadata"].get("finalizers") for pod in driver.pods())


def test_suspend_deletes_pods_without_counting_them(driver: Any) -> None:
    driver.job("j", parallelism=3, completions=3)
    suspend(driver, True)
    assert driver.pods() == []
    assert conditions(driver) == {"Suspended": "True"}
    assert "startTime" not in status(driver)
    assert "failed" not in status(driver)
    suspend(driver, False)
    assert len(driver.pods()) == 3
    assert conditions(driver) == {"Suspended": "False"}


def test_failures_are_replaced_after_a_backoff_and_fail_the_job_past_the_limit(driver: Any) -> None:
    driver.job("j", backoffLimit=1)
    driver.end(driver.pods()[0], "Failed")
    assert len(driver.pods()) == 1
    driver.time.advance(10)
    driver.cluster.settle()
    fresh = [pod for pod in driver.pods() if pod["status"]["phase"] == "Pending"]
    driver.end(fresh[0], "Failed")
    assert status(driver)["failed"] == 2
    assert conditions(driver) == {"FailureTarget": "True", "Failed": "True"}


def test_a_deleted_bound_pod_counts_as_a_failure_once(driver: Any) -> None:
    driver.node("n1")
    driver.job("j")
    name = driver.pods()[0]["metadata"]["name"]
    driver.do("DELETE", f"{PODS}/{name}")
    driver.do("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})
    assert status(driver)["failed"] == 1


def test_the_deadline_fails_the_job(driver: Any) -> None:
    driver.job("j", activeDeadlineSeconds=60)
    driver.time.advance(60)
    driver.cluster.settle()
    assert conditions(driver)["Failed"] == "True"
    assert status(driver)["conditions"][-1]["reason"] == "DeadlineExceeded"


@pytest.mark.parametrize(
    ("policy", "left"), [("Background", 0), ("Foreground", 0), ("Orphan", 1), (None, 1)], ids=str
)
def test_deletion_and_its_dependents(driver: Any, policy: str | None, left: int) -> None:
    driver.job("j")
    driver.do("DELETE", f"{JOBS}/j", {"propagationPolicy": policy} if policy else None)
    assert len(driver.pods()) == left
    assert driver.do("GET", JOBS)["items"] == []


def test_the_template_is_immutable(driver: Any) -> None:
    driver.job("j")
    body = {"spec": {"template": {"spec": {"priority": 3}}}}
    with pytest.raises(ApiError) as caught:
        driver.do("PATCH", f"{JOBS}/j", body, MERGE)
    assert caught.value.details["causes"][0]["field"] == "spec.template"


def test_cron_jobs_are_refused_as_not_implemented(driver: Any) -> None:
    with pytest.raises(ApiError) as caught:
        driver.do("GET", "/apis/batch/v1/namespaces/default/cronjobs")
    assert caught.value.code == 501
    assert "cronjobs.batch" in caught.value.message
