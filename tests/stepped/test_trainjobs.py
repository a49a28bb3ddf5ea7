"""TrainJobs: the gang is the TrainJob's, its pods are those of the JobSet that Kubeflow Trainer makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.api.labels import SUSPENDED_BY
from tests.support.foreign import Body, crd, jobset_controller, trainjob_controller, workload
from tests.support.harness import RUN, Harness, facility, started

PATH = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/default/trainjobs"


def site(**options: Any) -> Harness:
    h = started(facility(racks=1), **options)
    h.apply(crd("JobSet"), crd("TrainJob"))
    h.controllers += [trainjob_controller, jobset_controller]
    return h


def trainjob(nodes: int = 4, run: float | None = 20, **metadata: Any) -> Body:
    notes = {} if run is None else {RUN: str(run)}
    spec = {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": nodes}}
    return workload("TrainJob", "train", spec, **{"annotations": notes, **metadata})


def suspended(h: Harness) -> tuple[str, bool]:
    """Who suspended the TrainJob, "" for nobody; and whether its JobSet is."""
    body = h.get("trainer.kubeflow.org", "trainjobs", "train")
    ours = SUSPENDED_BY in body["metadata"].get("annotations", {})
    jobset = h.get("jobset.x-k8s.io", "jobsets", "train")
    who = ("us" if ours else "user") if body["spec"].get("suspend") else ""
    assert SUSPENDED_BY not in jobset["metadata"].get("annotations", {})
    return who, bool(jobset["spec"].get("suspend"))


@pytest.mark.parametrize("restarts", [False, True])
def test_one_gang_waits_suspended_starts_whole_in_order_of_rank_and_finishes(restarts: bool) -> None:
    h = site()
    h.job("before", slots=2, run=10)
    h.until(lambda: h.phase("job-before") == "Running")
    h.request("POST", PATH, trainjob())
    h.settle()
    assert h.gangs() == {"job-before": "Running", "trainjob-train": "Pending"}
    assert (suspended(h), len(h.pods())) == (("us", True), 2)
    if restarts:
        h.restart_machine()
    h.until(lambda: h.phase("trainjob-train") == "Running", seconds=60)
    assert suspended(h) == ("", False)
    gang, body = h.gang("trainjob-train"), h.get("trainer.kubeflow.org", "trainjobs", "train")
    assert [each["uid"] for each in gang["metadata"]["ownerReferences"]] == [body["metadata"]["uid"]]
    assert [(g["name"], g["slots"], g["gpusPerSlot"]) for g in gang["spec"]["groups"]] == [("node", 4, 4)]
    ranks = {
        pod["metadata"]["annotations"]["rackplane.dev/slot"]: pod["metadata"]["labels"][
            "batch.kubernetes.io/job-completion-index"
        ]
        for pod in h.pods()
        if "jobset.sigs.k8s.io/jobset-name" in pod["metadata"]["labels"]
    }
    assert ranks == {"0": "0", "1": "1", "2": "2", "3": "3"}
    h.until(lambda: h.phase("trainjob-train") == "Finished", seconds=60)
    assert h.gang("trainjob-train")["status"]["message"] == "TrainJob train is complete"
    assert sorted(h.gangs()) == ["job-before", "trainjob-train"]


def test_what_its_user_suspends_gives_its_place_up_and_is_not_resumed() -> None:
    h = site()
    h.request("POST", PATH, trainjob(run=None))
    h.until(lambda: h.phase("trainjob-train") == "Running")
    h.patch(f"{PATH}/train", {"spec": {"suspend": True}})
    h.until(lambda: h.phase("trainjob-train") == "Held", seconds=60)
    h.advance(10)
    assert (suspended(h), h.pods()) == (("user", True), [])
    h.patch(f"{PATH}/train", {"spec": {"suspend": False}})
    h.until(lambda: h.phase("trainjob-train") == "Running", seconds=60)


def test_without_the_label_neither_it_nor_its_jobset_is_touched() -> None:
    h = site()
    body = trainjob(run=None)
    body["metadata"]["labels"] = {}
    h.request("POST", PATH, body)
    h.advance(3)
    assert (h.gangs(), suspended(h), len(h.pods())) == ({}, ("", False), 4)


def test_a_jobset_that_is_deleted_under_it_gives_the_place_back() -> None:
    h = site()
    h.request("POST", PATH, trainjob(run=None))
    h.until(lambda: h.phase("trainjob-train") == "Running")
    h.controllers.remove(trainjob_controller)
    path = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets/train"
    h.request("DELETE", path, {"propagationPolicy": "Background"})
    h.advance(5)
    assert h.machine.state is not None
    assert (set(h.machine.state.keys()), h.pods()) == (set(), [])
