"""RayCluster and RayJob of KubeRay (ray.io/v1): their fields, and what of them can start as a gang."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rackplane.api.problems import FieldProblem
from rackplane.core.objects import PodTemplate
from rackplane.core.workloads.fields import Fields
from rackplane.core.workloads.view import PodSet, Reading, WorkloadKind

__all__ = ["RAYCLUSTER", "RAYJOB"]

#: what KubeRay calls the group of the head
_HEAD = "headgroup"


class _Head(Fields, frozen=True):
    template: PodTemplate = PodTemplate()


class _Workers(Fields, frozen=True):
    group_name: str = ""
    replicas: int | None = None
    min_replicas: int = 0
    num_of_hosts: int = 1
    suspend: bool = False
    template: PodTemplate = PodTemplate()


class _ClusterSpec(Fields, frozen=True):
    suspend: bool = False
    enable_in_tree_autoscaling: bool = False
    head_group_spec: _Head = _Head()
    worker_group_specs: tuple[_Workers, ...] = ()


class _ClusterStatus(Fields, frozen=True):
    pass


class _JobSpec(Fields, frozen=True):
    suspend: bool = False
    shutdown_after_job_finishes: bool = False
    cluster_selector: dict[str, str] = msgspec.field(default_factory=dict)
    ray_cluster_spec: _ClusterSpec | None = None


class _JobStatus(Fields, frozen=True):
    job_status: str = ""
    job_deployment_status: str = ""


def _sets(spec: _ClusterSpec) -> tuple[PodSet, ...]:
    """The head, then the groups of workers in their order. Ray gives its pods no ranks."""
    found = [PodSet(_HEAD, 1, spec.head_group_spec.template)]
    for each in spec.worker_group_specs:
        replicas = each.min_replicas if each.replicas is None else each.replicas
        slots = 0 if each.suspend else replicas * each.num_of_hosts
        found.append(PodSet(each.group_name.lower(), slots, each.template))
    return tuple(found)


def _of_cluster(spec: _ClusterSpec, where: str) -> Iterator[FieldProblem]:
    if spec.enable_in_tree_autoscaling:
        yield FieldProblem(
            f"{where}.enableInTreeAutoscaling",
            "is true, so that the number of workers changes by itself, and a gang has a size.",
            "Set it to false, and replicas of each group to what is wanted.",
        )


def _read_cluster(spec: _ClusterSpec, _status: _ClusterStatus) -> Reading:
    # It serves until somebody deletes it.
    return Reading(spec.suspend, _sets(spec), None, tuple(_of_cluster(spec, "spec")))


def _read_job(spec: _JobSpec, status: _JobStatus) -> Reading:
    cluster = spec.ray_cluster_spec
    outcome = None
    if status.job_deployment_status in ("Complete", "Failed"):
        outcome = "Complete" if status.job_status == "SUCCEEDED" else "Failed"
    sets = () if cluster is None else _sets(cluster)
    return Reading(spec.suspend, sets, outcome, tuple(_of_job(spec)))


def _of_job(spec: _JobSpec) -> Iterator[FieldProblem]:
    if not spec.shutdown_after_job_finishes:
        yield FieldProblem(
            "spec.shutdownAfterJobFinishes",
            "is false, and KubeRay suspends only RayJobs that take their cluster down.",
            "Set it to true.",
        )
    if spec.ray_cluster_spec is not None:
        yield from _of_cluster(spec.ray_cluster_spec, "spec.rayClusterSpec")


RAYCLUSTER = WorkloadKind(
    kind="RayCluster",
    group="ray.io",
    plural="rayclusters",
    versions=("v1",),
    suspend=("spec", "suspend"),
    spec=_ClusterSpec,
    status=_ClusterStatus,
    read=_read_cluster,
    name_label="ray.io/cluster",
    set_labels=("ray.io/group",),
    makers=("RayService",),
)
#: Its pods are those of the RayCluster that it owns.
RAYJOB = WorkloadKind(
    kind="RayJob",
    group="ray.io",
    plural="rayjobs",
    versions=("v1",),
    suspend=("spec", "suspend"),
    spec=_JobSpec,
    status=_JobStatus,
    read=_read_job,
    name_label="",
    set_labels=("ray.io/group",),
)
