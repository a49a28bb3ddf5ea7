"""TrainJob of Kubeflow Trainer (trainer.kubeflow.org/v1alpha1). Its pods are those of the JobSet that is made of it."""

from __future__ import annotations

from rackplane.core.objects import Condition
from rackplane.core.workloads.fields import Fields, outcome_of
from rackplane.core.workloads.jobset import JOBSET
from rackplane.core.workloads.view import Reading, WorkloadKind

__all__ = ["TRAINJOB"]


class _Spec(Fields, frozen=True):
    suspend: bool = False


class _Status(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()


def _read(spec: _Spec, status: _Status) -> Reading:
    # What runs is in its runtime, and merged by its controller alone: the JobSet says it.
    return Reading(spec.suspend, (), outcome_of(status.conditions, done="Complete"))


TRAINJOB = WorkloadKind(
    kind="TrainJob",
    group="trainer.kubeflow.org",
    plural="trainjobs",
    versions=("v1alpha1",),
    suspend=("spec", "suspend"),
    spec=_Spec,
    status=_Status,
    read=_read,
    name_label="",
    set_labels=JOBSET.set_labels,
    sets_of=JOBSET.kind,
)
