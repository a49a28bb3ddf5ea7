"""JobSet (jobset.x-k8s.io/v1alpha2): its fields, and what of it can start as a gang."""

from __future__ import annotations

from collections.abc import Iterator

from rackplane.api.labels import COMPLETION_INDEX
from rackplane.api.problems import FieldProblem
from rackplane.core.objects import Condition, JobSpec
from rackplane.core.workloads.fields import Fields, outcome_of
from rackplane.core.workloads.view import PodSet, Reading, WorkloadKind

__all__ = ["JOBSET"]

_PREFIX = "jobset.sigs.k8s.io"


class _JobTemplate(Fields, frozen=True):
    spec: JobSpec = JobSpec()


class _DependsOn(Fields, frozen=True):
    name: str = ""
    status: str = ""


class _ReplicatedJob(Fields, frozen=True):
    name: str = ""
    replicas: int = 1
    template: _JobTemplate = _JobTemplate()
    depends_on: tuple[_DependsOn, ...] = ()


class _StartupPolicy(Fields, frozen=True):
    startup_policy_order: str = "AnyOrder"


class _Spec(Fields, frozen=True):
    suspend: bool = False
    replicated_jobs: tuple[_ReplicatedJob, ...] = ()
    startup_policy: _StartupPolicy | None = None


class _ReplicatedJobStatus(Fields, frozen=True):
    name: str = ""
    succeeded: int = 0
    active: int = 0


class _Status(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()
    replicated_jobs_status: tuple[_ReplicatedJobStatus, ...] = ()


def _read(asked: _Spec, status: _Status) -> Reading:
    counts = {each.name: each for each in status.replicated_jobs_status}
    sets = []
    for each in asked.replicated_jobs:
        spec, seen = each.template.spec, counts.get(each.name, _ReplicatedJobStatus())
        together = spec.parallelism if spec.completions is None else min(spec.parallelism, spec.completions)
        # A Job of it that runs more indexes than it has places gives none of them a place of its own.
        ranked = spec.completion_mode == "Indexed" and spec.completions == together
        sets.append(
            PodSet(
                each.name,
                each.replicas * together,
                spec.template,
                index=((f"{_PREFIX}/job-index", together), (COMPLETION_INDEX, 1)) if ranked else (),
                active=seen.active * together,
                succeeded=seen.succeeded * together,
                rules=spec,
            )
        )
    outcome = outcome_of(status.conditions, done="Completed")
    return Reading(asked.suspend, tuple(sets), outcome, tuple(_problems(asked)))


def _problems(spec: _Spec) -> Iterator[FieldProblem]:
    """All pods of a gang must be there before the first is let go: none may be made only when others run."""
    if spec.startup_policy is not None and spec.startup_policy.startup_policy_order == "InOrder":
        yield FieldProblem(
            "spec.startupPolicy.startupPolicyOrder",
            "is InOrder, so that pods are made only when others are ready, and the gang would never be whole.",
            "Write AnyOrder, and let the pods wait for each other themselves.",
        )
    for number, each in enumerate(spec.replicated_jobs):
        if each.depends_on:
            yield FieldProblem(
                f"spec.replicatedJobs[{number}].dependsOn",
                f"lets {each.name} be made only after {each.depends_on[0].name}, and the gang would never be whole.",
                "Remove it, or make what comes first a Job of its own.",
            )


JOBSET = WorkloadKind(
    kind="JobSet",
    group="jobset.x-k8s.io",
    plural="jobsets",
    versions=("v1alpha2",),
    suspend=("spec", "suspend"),
    spec=_Spec,
    status=_Status,
    read=_read,
    name_label=f"{_PREFIX}/jobset-name",
    set_labels=(f"{_PREFIX}/replicatedjob-name",),
    makers=("TrainJob",),
)
