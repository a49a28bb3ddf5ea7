"""PyTorchJob and MPIJob of Kubeflow (kubeflow.org): their fields, and what of them can start as a gang."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rackplane.api.problems import FieldProblem
from rackplane.core.objects import Condition, PodTemplate
from rackplane.core.workloads.view import PodSet, Reading, WorkloadKind

__all__ = ["MPIJOB", "PYTORCHJOB"]

_PREFIX = "training.kubeflow.org"


class _Object(msgspec.Struct, frozen=True, rename="camel"):
    pass


class _Replicas(_Object, frozen=True):
    replicas: int = 1
    template: PodTemplate = PodTemplate()


class _RunPolicy(_Object, frozen=True):
    suspend: bool = False


class _ReplicaStatus(_Object, frozen=True):
    active: int = 0
    succeeded: int = 0


class _Status(_Object, frozen=True):
    conditions: tuple[Condition, ...] = ()
    replica_statuses: dict[str, _ReplicaStatus] = {}


class _PyTorchSpec(_Object, frozen=True):
    run_policy: _RunPolicy = _RunPolicy()
    pytorch_replica_specs: dict[str, _Replicas] = {}


class _MPISpec(_Object, frozen=True):
    run_policy: _RunPolicy = _RunPolicy()
    mpi_replica_specs: dict[str, _Replicas] = {}
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
    ends = {c.type for c in status.conditions if c.status == "True"}
    return "Failed" if "Failed" in ends else "Complete" if "Succeeded" in ends else None


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
