"""What is read of other projects' workloads, from bodies as those projects document them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rackplane.core.gangs.workload import gang_name_of_pod
from rackplane.core.objects import Metadata, OwnerReference, Pod
from rackplane.core.workloads.kinds import KINDS, kind_of_gang, kinds_named, made_by
from rackplane.core.workloads.view import Body, Workload

CONTAINER = {
    "name": "main",
    "resources": {"limits": {"nvidia.com/gpu": 8, "cpu": "4"}, "requests": {"memory": 1.5}},
}
POD = {"metadata": {"creationTimestamp": None}, "spec": {"containers": [CONTAINER]}}


def seen(kind: str, spec: dict[str, Any], status: dict[str, Any] | None = None) -> Workload:
    known = KINDS[kind]
    body = Body(Metadata(name="train", namespace="ml", uid="u1"), spec, status or {})
    return known.view(body, known.versions[0])


def sets(workload: Workload) -> dict[str, tuple[int, int]]:
    """By set: pods that it runs, and of these how many have ended well."""
    return {each.name: (each.slots, each.succeeded) for each in workload.reading.pod_sets}


def ends(kind: str) -> list[tuple[str, str | None]]:
    well = "Completed" if kind == "JobSet" else "Succeeded"
    return [(well, "Complete"), ("Failed", "Failed"), ("Suspended", None)]


JOBSET: dict[str, Any] = {
    "replicatedJobs": [
        {
            "name": "driver",
            "replicas": 1,
            "template": {"spec": {"parallelism": 1, "completions": 1, "template": POD, "backoffLimit": 0}},
        },
        {
            "name": "workers",
            "replicas": 3,
            "template": {
                "spec": {"parallelism": 4, "completions": 4, "completionMode": "Indexed", "template": POD}
            },
        },
    ],
    "suspend": True,
    "successPolicy": {"operator": "All"},
    "network": {"enableDNSHostnames": True},
}
PYTORCH: dict[str, Any] = {
    "runPolicy": {"suspend": True, "cleanPodPolicy": "None"},
    "pytorchReplicaSpecs": {
        "Worker": {"replicas": 3, "restartPolicy": "OnFailure", "template": POD},
        "Master": {"restartPolicy": "OnFailure", "template": POD},
    },
}
MPI: dict[str, Any] = {
    "slotsPerWorker": 8,
    "runPolicy": {"suspend": True},
    "mpiReplicaSpecs": {
        "Worker": {"replicas": 2, "template": POD},
        "Launcher": {"replicas": 1, "template": POD},
    },
}
ALL = {"JobSet": JOBSET, "PyTorchJob": PYTORCH, "MPIJob": MPI}


def test_the_sets_of_a_jobset_stay_in_its_order_and_count_the_pods_of_all_their_jobs() -> None:
    status = {
        "replicatedJobsStatus": [{"name": "workers", "ready": 1, "succeeded": 2, "failed": 0, "active": 1}]
    }
    found = seen("JobSet", JOBSET, status)
    assert sets(found) == {"driver": (1, 0), "workers": (12, 8)}
    assert found.reading.suspend
    driver, workers = found.jobs().values()
    assert (driver.spec.completion_mode, driver.spec.backoff_limit) == ("NonIndexed", 0)
    assert (workers.spec.parallelism, workers.spec.completions, workers.spec.completion_mode) == (
        12,
        12,
        "Indexed",
    )
    assert workers.metadata == msgspec.structs.replace(found.metadata, name="workers")


def test_a_set_whose_pods_have_all_ended_well_is_complete_while_the_others_go_on() -> None:
    found = seen("JobSet", JOBSET, {"replicatedJobsStatus": [{"name": "driver", "succeeded": 1}]}).jobs()
    assert [[c.type for c in job.status.conditions] for job in found.values()] == [["Complete"], []]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("PyTorchJob", {"master": 1, "worker": 3}), ("MPIJob", {"launcher": 1, "worker": 2})],
)
def test_the_single_pod_of_kubeflow_comes_first_and_missing_replicas_are_one(
    kind: str, expected: dict[str, int]
) -> None:
    found = seen(kind, ALL[kind])
    assert [(each.name, each.slots) for each in found.reading.pod_sets] == list(expected.items())
    assert found.reading.suspend


@pytest.mark.parametrize("kind", ALL)
def test_quantities_that_are_numbers_in_a_custom_resource_are_read_as_a_pod_has_them(kind: str) -> None:
    for each in seen(kind, ALL[kind]).reading.pod_sets:
        (container,) = each.template.spec.containers
        assert container.resources.limits == {"nvidia.com/gpu": "8", "cpu": "4"}
        assert container.resources.requests == {"memory": "1.5"}


@pytest.mark.parametrize("kind", ALL)
def test_how_it_ended(kind: str) -> None:
    for condition, outcome in ends(kind):
        status = {"conditions": [{"type": condition, "status": "True", "lastTransitionTime": None}]}
        assert seen(kind, ALL[kind], status).reading.outcome == outcome
        status = {"conditions": [{"type": condition, "status": "False"}]}
        assert seen(kind, ALL[kind], status).reading.outcome is None


@pytest.mark.parametrize("kind", ALL)
def test_a_field_of_another_type_is_not_guessed_at(kind: str) -> None:
    field = {"JobSet": "replicatedJobs", "PyTorchJob": "pytorchReplicaSpecs", "MPIJob": "mpiReplicaSpecs"}[
        kind
    ]
    with pytest.raises(msgspec.ValidationError):
        seen(kind, {**ALL[kind], field: "three"})


KUBEFLOW = "training.kubeflow.org/"


def labelled(labels: dict[str, str]) -> Pod:
    return Pod(Metadata(name="p", labels={"rackplane.dev/queue": "q", **labels}))


@pytest.mark.parametrize(
    ("labels", "gang", "part"),
    [
        (
            {"jobset.sigs.k8s.io/jobset-name": "train", "jobset.sigs.k8s.io/replicatedjob-name": "workers"},
            "jobset-train",
            "workers",
        ),
        (
            {
                f"{KUBEFLOW}job-name": "train",
                f"{KUBEFLOW}operator-name": "pytorchjob-controller",
                f"{KUBEFLOW}replica-type": "worker",
            },
            "pytorchjob-train",
            "worker",
        ),
        (
            {
                f"{KUBEFLOW}job-name": "train",
                f"{KUBEFLOW}operator-name": "mpi-operator",
                f"{KUBEFLOW}job-role": "launcher",
            },
            "mpijob-train",
            "launcher",
        ),
        (
            {
                f"{KUBEFLOW}job-name": "train",
                f"{KUBEFLOW}operator-name": "mpijob-controller",
                f"{KUBEFLOW}replica-type": "Worker",
            },
            "mpijob-train",
            "worker",
        ),
        ({f"{KUBEFLOW}job-name": "train", f"{KUBEFLOW}operator-name": "tfjob-controller"}, "pod-p", None),
        ({}, "pod-p", None),
    ],
)
def test_a_pod_is_known_by_the_labels_that_its_controller_puts_on_it(
    labels: dict[str, str], gang: str, part: str | None
) -> None:
    found = labelled(labels)
    assert gang_name_of_pod(found) == gang
    kind = kind_of_gang(gang)
    assert (None if kind is None else kind.set_of(found)) == part


@pytest.mark.parametrize(
    ("kind", "spec", "which", "labels", "index"),
    [
        (
            "JobSet",
            JOBSET,
            "workers",
            {"jobset.sigs.k8s.io/job-index": "2", "batch.kubernetes.io/job-completion-index": "3"},
            11,
        ),
        (
            "JobSet",
            JOBSET,
            "workers",
            {"jobset.sigs.k8s.io/job-index": "3", "batch.kubernetes.io/job-completion-index": "0"},
            None,
        ),
        ("JobSet", JOBSET, "workers", {"jobset.sigs.k8s.io/job-index": "2"}, None),
        ("JobSet", JOBSET, "driver", {"jobset.sigs.k8s.io/job-index": "0"}, None),
        ("PyTorchJob", PYTORCH, "worker", {f"{KUBEFLOW}replica-index": "2"}, 2),
        ("MPIJob", MPI, "worker", {f"{KUBEFLOW}replica-index": "-1"}, None),
        ("MPIJob", {**MPI, "runLauncherAsWorker": True}, "worker", {f"{KUBEFLOW}replica-index": "2"}, 1),
        ("MPIJob", {**MPI, "runLauncherAsWorker": True}, "worker", {f"{KUBEFLOW}replica-index": "0"}, None),
    ],
)
def test_a_pods_place_in_its_set_is_that_of_its_index_labels(
    kind: str, spec: dict[str, Any], which: str, labels: dict[str, str], index: int | None
) -> None:
    found = seen(kind, spec).pod_set(which)
    assert found is not None
    assert found.index_of(labelled(labels)) == index


def test_the_patch_that_suspends_a_kind_changes_its_own_field() -> None:
    assert KINDS["JobSet"].switched(suspend=True) == {"spec": {"suspend": True}}
    assert KINDS["PyTorchJob"].switched(suspend=False) == {"spec": {"runPolicy": {"suspend": False}}}
    body = Body(Metadata(name="a"), {"runPolicy": {"suspend": True}})
    assert (KINDS["PyTorchJob"].is_suspended(body), KINDS["JobSet"].is_suspended(body)) == (True, False)


def test_kinds_are_named_in_a_list_and_an_unknown_one_is_refused() -> None:
    assert [each.kind for each in kinds_named(" MPIJob,JobSet,,MPIJob")] == ["MPIJob", "JobSet"]
    assert kinds_named("") == []
    with pytest.raises(ValueError, match="'TFJob' is none of JobSet, TrainJob, PyTorchJob, MPIJob"):
        kinds_named("TFJob")


RAY: dict[str, Any] = {
    "suspend": True,
    "headGroupSpec": {"rayStartParams": {}, "template": POD},
    "workerGroupSpecs": [
        {"groupName": "GPU", "replicas": 2, "numOfHosts": 4, "template": POD},
        {"groupName": "spot", "replicas": 3, "suspend": True, "template": POD},
        {"groupName": "cpu", "minReplicas": 1, "template": POD},
    ],
}


def test_a_raycluster_is_its_head_and_the_hosts_of_its_groups() -> None:
    found = seen("RayCluster", RAY, {"state": "ready"})
    assert sets(found) == {"headgroup": (1, 0), "gpu": (8, 0), "spot": (0, 0), "cpu": (1, 0)}
    assert list(found.jobs()) == ["headgroup", "gpu", "cpu"]
    assert (found.reading.outcome, found.reading.problems) == (None, ())


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ({}, None),
        ({"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}, None),
        ({"jobDeploymentStatus": "Suspended", "jobStatus": ""}, None),
        ({"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}, "Complete"),
        ({"jobDeploymentStatus": "Complete", "jobStatus": "FAILED"}, "Failed"),
        ({"jobDeploymentStatus": "Failed", "jobStatus": "FAILED"}, "Failed"),
    ],
)
def test_how_a_rayjob_ended(status: dict[str, Any], outcome: str | None) -> None:
    spec = {"suspend": False, "shutdownAfterJobFinishes": True, "rayClusterSpec": RAY}
    found = seen("RayJob", spec, status).reading
    assert (found.suspend, found.outcome, found.problems) == (False, outcome, ())
    assert [each.name for each in found.pod_sets] == ["headgroup", "gpu", "spot", "cpu"]


def test_who_made_an_object_is_its_controller_of_a_known_kind() -> None:
    def made(kind: str, api_version: str, controller: bool = True) -> str | None:
        owner = OwnerReference(kind, "train", "u", api_version, controller)
        return made_by(Metadata(name="x", owner_references=[owner]))

    assert made("JobSet", "jobset.x-k8s.io/v1alpha2") == "jobset-train"
    assert made("RayJob", "ray.io/v1") == "rayjob-train"
    assert made("JobSet", "example.com/v1") is None
    assert made("JobSet", "jobset.x-k8s.io/v1alpha2", controller=False) is None
    assert made("CronJob", "batch/v1") is None
