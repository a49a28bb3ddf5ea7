"""What has happened: the only things that change a `Machine`, each named in the past tense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rackplane.core.claims import ComputeDomain, ResourceClaim, ResourceClaimTemplate
from rackplane.core.gangs.podgroups import PodGroup
from rackplane.core.instructions import Instruction
from rackplane.core.objects import Gang, Job, Node, Pod, PriorityClass
from rackplane.core.site.observed import Observed
from rackplane.core.workloads.view import Workload

__all__ = [
    "ClaimChanged",
    "ClaimDeleted",
    "ClaimTemplateChanged",
    "ClaimTemplateDeleted",
    "ComputeDomainChanged",
    "ComputeDomainDeleted",
    "ComputeDomainsServed",
    "DrawsObserved",
    "Event",
    "FacilityChanged",
    "FacilityDeleted",
    "FailureReason",
    "GangChanged",
    "GangDeleted",
    "JobChanged",
    "JobDeleted",
    "LeadershipGained",
    "LeadershipLost",
    "NodeChanged",
    "NodeDeleted",
    "PodChanged",
    "PodDeleted",
    "PodGroupChanged",
    "PodGroupDeleted",
    "PriorityClassChanged",
    "PriorityClassDeleted",
    "Synced",
    "TimePassed",
    "WorkloadChanged",
    "WorkloadDeleted",
    "WriteFailed",
    "WriteSucceeded",
]


@dataclass(frozen=True, slots=True)
class FacilityChanged:
    """A HardwareProfile, Rack, NVLinkDomain, PowerDomain, PowerBudget, CoolingZone or Queue was seen, as raw JSON."""

    kind: str
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FacilityDeleted:
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class NodeChanged:
    node: Node


@dataclass(frozen=True, slots=True)
class NodeDeleted:
    name: str


@dataclass(frozen=True, slots=True)
class PodChanged:
    pod: Pod


@dataclass(frozen=True, slots=True)
class PodDeleted:
    """The object is gone from the API server: its containers are too, so its watts are free."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class JobChanged:
    job: Job


@dataclass(frozen=True, slots=True)
class JobDeleted:
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class WorkloadChanged:
    """A workload of another project's kind was seen."""

    workload: Workload


@dataclass(frozen=True, slots=True)
class WorkloadDeleted:
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class GangChanged:
    gang: Gang


@dataclass(frozen=True, slots=True)
class GangDeleted:
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ClaimChanged:
    claim: ResourceClaim


@dataclass(frozen=True, slots=True)
class ClaimDeleted:
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ClaimTemplateChanged:
    template: ResourceClaimTemplate


@dataclass(frozen=True, slots=True)
class ClaimTemplateDeleted:
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ComputeDomainChanged:
    domain: ComputeDomain


@dataclass(frozen=True, slots=True)
class ComputeDomainDeleted:
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ComputeDomainsServed:
    """The cluster has the kind ComputeDomain, or has not."""

    served: bool


@dataclass(frozen=True, slots=True)
class PodGroupChanged:
    group: PodGroup


@dataclass(frozen=True, slots=True)
class PodGroupDeleted:
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class PriorityClassChanged:
    priority_class: PriorityClass


@dataclass(frozen=True, slots=True)
class PriorityClassDeleted:
    name: str


@dataclass(frozen=True, slots=True)
class DrawsObserved:
    """Telemetry was asked, and this is known now; it changes nothing but what status says."""

    observed: Observed


@dataclass(frozen=True, slots=True)
class Synced:
    """Every watched kind has been listed once. Nothing is decided before."""


@dataclass(frozen=True, slots=True)
class LeadershipGained:
    """This process holds the Lease, and every Gang that the API server held at that moment has been seen since."""

    term: int


@dataclass(frozen=True, slots=True)
class LeadershipLost:
    pass


class FailureReason(StrEnum):
    CONFLICT = "Conflict"  # the object changed since we read it, or is another of the same name
    GONE = "Gone"  # the object does not exist
    REJECTED = "Rejected"  # the API server will not take this write however often it is tried
    UNAVAILABLE = "Unavailable"  # no answer, or an answer that asks to try again: the write may have happened


@dataclass(frozen=True, slots=True)
class WriteSucceeded:
    instruction: Instruction


@dataclass(frozen=True, slots=True)
class WriteFailed:
    instruction: Instruction
    reason: FailureReason
    message: str


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing happened but the clock moved on."""


Event = (
    FacilityChanged
    | FacilityDeleted
    | NodeChanged
    | NodeDeleted
    | PodChanged
    | PodDeleted
    | JobChanged
    | JobDeleted
    | WorkloadChanged
    | WorkloadDeleted
    | GangChanged
    | GangDeleted
    | ClaimChanged
    | ClaimDeleted
    | ClaimTemplateChanged
    | ClaimTemplateDeleted
    | ComputeDomainChanged
    | ComputeDomainDeleted
    | ComputeDomainsServed
    | PodGroupChanged
    | PodGroupDeleted
    | PriorityClassChanged
    | PriorityClassDeleted
    | DrawsObserved
    | Synced
    | LeadershipGained
    | LeadershipLost
    | WriteSucceeded
    | WriteFailed
    | TimePassed
)
Events = Sequence[Event]
