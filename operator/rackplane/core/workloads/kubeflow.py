"""PyTorchJob and MPIJob of Kubeflow (kubeflow.org): their fields, and what of them can start as a gang."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rackplane.api.problems import FieldProblem
from rackplane.core.objects import Condition, PodTemplate
from rackplane.core.workloads.fields import Fields, outcome_of
from rackplane.core.workloads.view import PodSet, Reading, WorkloadKind

__all__ = ["MPIJOB", "PYTORCHJOB"]

_PREFIX = "training.kubeflow.org"


class _Replicas(Fields, frozen=True):
    replicas: int = 1
    template: PodTemplate = PodTemplate()


class _RunPolicy(Fields, frozen=True):
    suspend: bool = False


class _ReplicaStatus(Fields, frozen=True):
    active: int = 0
    succeeded: int = 0


class _Status(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()
    replica_statuses: dict[str, _ReplicaStatus] = msgspec.field(default_factory=dict)


class _PyTorchSpec(Fields, frozen=True):
    run_policy: _RunPolicy = _RunPolicy()
    pytorch_replica_specs: dict[str, _Replicas] = msgspec.field(default_factory=dict)


class _MPISpec(Fields, frozen=True):
    run_policy: _RunPolicy = _RunPolicy()
    mpi_replica_specs: dict[str, _Replicas] = msgspec.field(default_factory=dict)
    launcher_creation_policy: str = "AtStartup"
    run_launcher_as_worker: bool = False


def _sets(
    replicas: Mapping[str, _Replicas], status: _Status, *, of_one: str, first: int = 0
) -> tuple[PodSet, ...]:
    """The sets in order of rank; the one of a single pod has no index label with every controller."""
    seen = status.replica_statuses
    found = []
    for name in sorted(replicas):
        each, count = replicas[name], seen.get(name, _ReplicaStatus())
        alone = name == of_one
        found.append(
            PodSet(
                name.lower(),
                each.replicas,
                each.template,
                index=() if alone else ((f"{_PREFIX}/replica-index", 1),),
                first=0 if alone else first,
                active=count.active,
                succeeded=count.succeeded,
            )
        )
    return tuple(found)


def _outcome(status: _Status) -> str | None:
    return outcome_of(status.conditions, done="Succeeded")


def _read_pytorch(spec: _PyTorchSpec, status: _Status) -> Reading:
    sets = _sets(spec.pytorch_replica_specs, status, of_one="Master")
    return Reading(spec.run_policy.suspend, sets, _outcome(status))


def _read_mpi(spec: _MPISpec, status: _Status) -> Reading:
    problems: tuple[FieldProblem, ...] = ()
    sets = _sets(
        spec.mpi_replica_specs, status, of_one="Launcher", first=1 if spec.run_launcher_as_worker else 0
    )
    if spec.launcher_creation_policy == "WaitForWorkersReady" and "Launcher" in spec.mpi_replica_specs:
        problems = (
            FieldProblem(
                "spec.launcherCreationPolicy",
                "is WaitForWorkersReady, so that the launcher is made only when the workers run, and the gang would "
                "never be whole.",
                "Write AtStartup.",
            ),
        )
    return Reading(spec.run_policy.suspend, sets, _outcome(status), problems)


PYTORCHJOB = WorkloadKind(
    kind="PyTorchJob",
    group="kubeflow.org",
    plural="pytorchjobs",
    versions=("v1",),
    suspend=("spec", "runPolicy", "suspend"),
    spec=_PyTorchSpec,
    status=_Status,
    read=_read_pytorch,
    mark=(f"{_PREFIX}/operator-name", ("pytorchjob-controller",)),
    name_label=f"{_PREFIX}/job-name",
    set_labels=(f"{_PREFIX}/replica-type",),
)
MPIJOB = WorkloadKind(
    kind="MPIJob",
    group="kubeflow.org",
    plural="mpijobs",
    versions=("v2beta1", "v1"),
    suspend=("spec", "runPolicy", "suspend"),
    spec=_MPISpec,
    status=_Status,
    read=_read_mpi,
    # The MPI operator's own, and that of the training operator.
    mark=(f"{_PREFIX}/operator-name", ("mpi-operator", "mpijob-controller")),
    name_label=f"{_PREFIX}/job-name",
    set_labels=(f"{_PREFIX}/replica-type", f"{_PREFIX}/job-role"),
)
