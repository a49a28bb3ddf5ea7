"""`rackplane try`: one small Job says whether admission, operator and pods do their parts, and which does not."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.cli.errors import CommandError
from rackplane.cli.trial import Outcome, Trial, follow, job_of
from tests.support.harness import Harness, facility, started

GROUP = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings/"
JOB = job_of(
    "rackplane-try-1",
    namespace="default",
    queue="research",
    slots=2,
    resources={"nvidia.com/gpu": 1},
    image="busybox:1.37",
    command=["sleep", "5"],
)


async def tried(
    h: Harness, job: dict[str, Any] = JOB, *, works: bool = True, **options: Any
) -> tuple[Trial, list[str]]:
    said: list[str] = []

    async def pause() -> None:
        if works:
            h.advance(1)

    trial = await follow(h.cluster.client(), job, seconds=10, say=said.append, pause=pause, **options)
    return trial, said


def jobs(h: Harness) -> list[str]:
    h.settle()
    return [job["metadata"]["name"] for job in h.cluster.store.items(("batch", "jobs"))]


async def test_where_all_works_its_pods_start_and_it_is_deleted() -> None:
    h = started(facility(racks=1))
    trial, said = await tried(h)
    assert trial == Trial(Outcome.STARTED, "all 2 slots run")
    assert said == ["Job default/rackplane-try-1 created", "Running: all 2 slots run"]
    assert jobs(h) == [] and h.pods() == []


async def test_the_job_is_kept_if_that_is_asked_for() -> None:
    h = started(facility(racks=1))
    await tried(h, keep=True)
    assert jobs(h) == ["rackplane-try-1"]


@pytest.mark.parametrize("decided", [False, True])
async def test_one_that_waits_is_told_why(decided: bool) -> None:
    h = started(facility(racks=1))
    h.job("runs", slots=4, run=None)
    h.settle()
    trial, _ = await tried(h, decided=decided)
    assert trial.outcome is Outcome.WAITS
    assert trial.why.startswith(
        "needs 2 pods of 1 GPUs; the facility has 0 free; wait for gang default/job-runs to end"
    )
    assert jobs(h) == ["runs"]


async def test_a_queue_that_is_not_there_is_named() -> None:
    h = started(facility(racks=1))
    job = {**JOB, "metadata": {**JOB["metadata"], "labels": {"rackplane.dev/queue": "nobodys"}}}
    trial, _ = await tried(h, job)
    assert (trial.outcome, "nobodys" in trial.why) == (Outcome.WAITS, True)


async def test_where_nothing_queues_labelled_jobs_that_is_what_is_wrong() -> None:
    h = started(facility(racks=1))
    h.request("DELETE", f"{GROUP}rackplane-queue-jobs")
    trial, _ = await tried(h)
    assert trial == Trial(
        Outcome.BROKEN,
        "the Job was not suspended when it was created, so it started past the queue: there is no "
        "MutatingAdmissionPolicy of Rackplane, it does not select this namespace, or the chart's mode is "
        "Observe (kubectl get mutatingadmissionpolicybindings)",
    )
    assert jobs(h) == []


async def test_where_no_operator_leads_that_is_what_is_wrong() -> None:
    h = started(facility(racks=1))
    trial, said = await tried(h, works=False)
    assert trial == Trial(
        Outcome.BROKEN,
        "nobody decided about it within 10 s: no operator leads, or it cannot see this namespace "
        "(kubectl -n rackplane-system get pods,leases, and the leader's log)",
    )
    assert said == ["Job default/rackplane-try-1 created"]


async def test_a_job_that_the_api_server_refuses_is_an_error() -> None:
    h = started(facility(racks=1))
    job = {**JOB, "metadata": {**JOB["metadata"], "namespace": "nowhere"}}
    with pytest.raises(CommandError) as error:
        await tried(h, job)
    assert str(error.value) == (
        'Job nowhere/rackplane-try-1 was not created: 404 NotFound: namespaces "nowhere" not found'
    )
