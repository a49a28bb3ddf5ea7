"""The kinds of workloads that are known, and which of them a Gang or a pod is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rackplane.core.objects import Metadata, Pod
from rackplane.core.workloads.jobset import JOBSET
from rackplane.core.workloads.kubeflow import MPIJOB, PYTORCHJOB
from rackplane.core.workloads.kueue import WORKLOAD
from rackplane.core.workloads.ray import RAYCLUSTER, RAYJOB
from rackplane.core.workloads.trainjob import TRAINJOB
from rackplane.core.workloads.view import WorkloadKind

__all__ = ["KINDS", "gang_of_pod", "kind_named", "kind_of_gang", "kinds_named", "made_by"]

_ALL: Final = (JOBSET, TRAINJOB, PYTORCHJOB, MPIJOB, RAYCLUSTER, RAYJOB)
#: by name of the kind
KINDS: Final[Mapping[str, WorkloadKind]] = {each.kind: each for each in _ALL}

#: Kueue's Workload first: the pods of a JobSet that Kueue queues are its.
_WITH_KUEUE: Final = {WORKLOAD.kind: WORKLOAD, **KINDS}
_BY_PREFIX: Final = {each.prefix: each for each in _WITH_KUEUE.values()}


def kinds_named(text: str) -> list[WorkloadKind]:
    """The kinds that `JobSet,MPIJob` names, in its order.

    Raises:
        ValueError: one of them is not known.
    """
    names = list(filter(None, (each.strip() for each in text.split(","))))
    for name in names:
        if name not in KINDS:
            raise ValueError(f"{name!r} is none of {', '.join(KINDS)}")
    return [KINDS[name] for name in dict.fromkeys(names)]


def kind_named(kind: str) -> WorkloadKind:
    """One of `KINDS`, or Kueue's Workload."""
    return _WITH_KUEUE[kind]


def kind_of_gang(name: str) -> WorkloadKind | None:
    """The kind of workload that a Gang of this name is made for; None if it is for none of them."""
    # Asked of every gang at each look at it: one look-up instead of a comparison for each kind.
    return _BY_PREFIX.get(name[: name.find("-") + 1])


def made_by(metadata: Metadata) -> str | None:
    """The name of the Gang of the workload whose controller made this Job or workload; None if none of them did."""
    for owner in metadata.owner_references:
        kind = KINDS.get(owner.kind) if owner.controller else None
        if kind is not None and owner.api_version.startswith(f"{kind.group}/"):
            return f"{kind.prefix}{owner.name}"
    return None


def gang_of_pod(pod: Pod) -> str | None:
    """The name of the Gang of the workload that the pod is of; None if it is of none that is known."""
    for each in _WITH_KUEUE.values():
        name = each.name_of(pod)
        if name is not None:
            return f"{each.prefix}{name}"
    return None
