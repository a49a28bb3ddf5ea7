"""A JobSet over HTTP, on the embedded cluster or any other: suspended, placed, stopped for another gang, resumed.

Its controller is not there: the test does what it documents.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from rackplane.kube.client import ApiError
from tests.integration.test_any_cluster import GROUP, LIMIT_SECONDS, Body, Site, endless
from tests.integration.test_any_cluster import pytestmark as pytestmark
from tests.integration.test_any_cluster import site as site
from tests.support import foreign


@contextlib.asynccontextmanager
async def controller(site: Site, jobset: str) -> AsyncIterator[None]:
    """Keeps the Jobs of the JobSet as it is: there, and suspended if it is."""

    async def run() -> None:
        while True:
            body = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", **(await site.get(jobset))}
            for wanted in foreign.child_jobs(body):
                path = f"{site.jobs}/{wanted['metadata']['name']}"
                try:
                    found = await site.get(path)
                except ApiError:
                    found = await site.create(site.jobs, wanted)
                if found["spec"]["suspend"] != wanted["spec"]["suspend"]:
                    await site.patch(path, {"spec": {"suspend": wanted["spec"]["suspend"]}})
            await asyncio.sleep(0.1)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def as_soon_as_known(site: Site, path: str, body: Body) -> Body:
    """Create it; the policies of a real server know the schema of a new kind a moment later than it is served."""
    end = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            return await site.create(path, body)
        except ApiError as error:
            if error.status != 503 or time.monotonic() > end:
                raise
        await asyncio.sleep(0.5)


def running(gang: Body) -> bool:
    return bool(gang.get("status", {}).get("phase") == "Running")


@pytest.mark.parametrize("site", [{"crds": [foreign.crd("JobSet")]}], indirect=True)
async def test_a_jobset_starts_whole_makes_way_and_comes_back(site: Site) -> None:
    queue = f"{GROUP}/queues/{site.word}"
    await site.patch(queue, {"spec": {"preemption": {"withinQueue": "LowerPriority"}}})
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    await site.create(classes, {"metadata": {"name": f"{site.word}-high"}, "value": 1_000})
    template = endless(site.job("t"))["spec"]["template"]
    jobs = [foreign.replicated("work", jobs=2, pods=4, template=template)]
    body = foreign.workload("JobSet", "train", {"replicatedJobs": jobs}, labels={foreign.QUEUE: site.word})
    jobsets = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{site.namespace}/jobsets"
    made = await as_soon_as_known(site, jobsets, body)
    assert made["metadata"]["annotations"] == {"rackplane.dev/suspended-by": "rackplane"}
    jobset, gang = f"{jobsets}/train", site.gang("jobset-train")
    async with controller(site, jobset):
        first = await site.until(gang, running)
        placed = {}
        for pod in await site.pods():
            labels = pod["metadata"]["labels"]
            index = (
                labels["jobset.sigs.k8s.io/job-index"],
                labels["batch.kubernetes.io/job-completion-index"],
            )
            placed[index] = int(pod["metadata"]["annotations"]["rackplane.dev/slot"])
        assert placed == {(str(job), str(pod)): job * 4 + pod for job in range(2) for pod in range(4)}
        urgent = site.job("urgent", slots=4)
        urgent["spec"]["template"]["spec"].update(priorityClassName=f"{site.word}-high", priority=1_000)
        await site.create(site.jobs, urgent)
        held = await site.until(jobset, lambda found: found["spec"]["suspend"] is True)
        assert held["metadata"]["annotations"]["rackplane.dev/suspended-by"] == "rackplane"
        again = await site.until(
            gang, lambda g: running(g) and g["status"]["decision"] != first["status"]["decision"]
        )
        assert again["status"]["submittedAt"] == first["status"]["submittedAt"]
        assert (await site.get(site.gang("job-urgent")))["status"]["phase"] == "Finished"
        # Its user stops it: it gives its place up and stays as the user has it.
        await site.patch(jobset, {"spec": {"suspend": True}})
        await site.until(gang, lambda g: g["status"]["phase"] == "Held")
        left = await site.get(jobset)
        assert (left["spec"]["suspend"], left["metadata"].get("annotations", {})) == (True, {})
