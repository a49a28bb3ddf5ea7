"""What is to be written, as data: the only things a `Machine` asks of the world.

Every instruction can be repeated: it carries the uid or the resourceVersion of the object that it was decided on, so
that a write meant for an earlier state of the world is refused by the API server instead of being carried out.

``decision`` is the id of the decision that an instruction follows from, as the Gang's status has it; "" if it follows
from none. It is for people: logs and Events name it, and nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rackplane.core.objects import Taint

__all__ = [
    "AnswerCheck",
    "CapNode",
    "CommitGang",
    "CreateComputeDomain",
    "CreateGang",
    "DeleteComputeDomain",
    "EvictPod",
    "Instruction",
    "JobSize",
    "PublishEvent",
    "ResizeJob",
    "ResumeJob",
    "SendCap",
    "SetFinalizers",
    "SuspendJob",
    "SuspendWorkload",
    "TaintNode",
    "UngatePod",
    "UpdateGangSpec",
    "WriteFacilityStatus",
    "WriteGangStatus",
]


@dataclass(frozen=True, slots=True)
class CreateGang:
    namespace: str
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CreateComputeDomain:
    """Of the gang of that name."""

    namespace: str
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteComputeDomain:
    """Of the gang of that name; by its uid, so that one that was made since under that name stays."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class UpdateGangSpec:
    namespace: str
    name: str
    resource_version: str
    spec: Mapping[str, Any]
    #: whose end is that of the Gang; None: as they are
    owners: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class CommitGang:
    """The commit point: the decision itself, compare-and-swap on the Gang's resourceVersion."""

    namespace: str
    name: str
    resource_version: str
    decision_id: str
    status: Mapping[str, Any]
    #: the decision that it takes the place of, of a gang that goes on elsewhere or with another size; "" of one that
    #: starts
    previous: str = ""

    @property
    def admits(self) -> bool:
        """Whether the gang gets its place by it; else it has one, and changes something of it."""
        return "phase" in self.status


@dataclass(frozen=True, slots=True)
class WriteGangStatus:
    """Any other change of a Gang's status (a merge patch: None removes a field), compare-and-swap as well."""

    namespace: str
    name: str
    resource_version: str
    status: Mapping[str, Any]
    decision: str = ""


@dataclass(frozen=True, slots=True)
class SuspendJob:
    """Stop its pods, compare-and-swap: what a former leader sends late must not stop what a successor has resumed."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    gang: str = ""
    decision: str = ""


@dataclass(frozen=True, slots=True)
class JobSize:
    """How many pods a Job runs at a time."""

    parallelism: int
    #: None leaves them as they are
    completions: int | None
    #: its user's own parallelism, to be kept in an annotation; None: `parallelism` is that
    requested: int | None


@dataclass(frozen=True, slots=True)
class ResumeJob:
    """Let the Job go on, with that size if there is one: in one write, so that it never runs with another."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    size: JobSize | None = None
    gang: str = ""
    decision: str = ""


@dataclass(frozen=True, slots=True)
class ResizeJob:
    """Change the size alone; compare-and-swap, so that whoever changed it meanwhile wins."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    size: JobSize
    gang: str = ""
    decision: str = ""


@dataclass(frozen=True, slots=True)
class SuspendWorkload:
    """Stop a workload's pods, or let it make them; compare-and-swap, as with Jobs."""

    #: one of `rackplane.core.workloads.kinds.KINDS`, and the version that it is served in
    kind: str
    version: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    gang: str
    #: False: it may go on
    suspend: bool
    decision: str = ""


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """What our admission check says in the status of one of Kueue's Workloads; compare-and-swap, as with Jobs."""

    api_version: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    gang: str
    check: str
    state: str
    #: when it came to be in that state, as the API writes times; None: now
    since: str | None
    message: str
    #: what Kueue is to put on the pods of each set
    updates: tuple[Mapping[str, Any], ...] = ()
    #: with Retry: how long Kueue waits before it gives quota again; None: it does not
    requeue_seconds: int | None = None
    decision: str = ""


@dataclass(frozen=True, slots=True)
class UngatePod:
    """Give a pod its slot: node selector, toleration, annotations, and the removal of our gate, in one patch."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    hostname: str
    slot: int
    gang: str
    power_profile: str
    tolerations: tuple[Mapping[str, Any], ...]
    #: what the pod's whole node is held to; None for a gang without accelerators
    cap_watts: int | None = None
    decision: str = ""


@dataclass(frozen=True, slots=True)
class EvictPod:
    """Delete a pod as a disruption: budgets may refuse it, and its owner sees that it did not fail by itself."""

    namespace: str
    name: str
    uid: str
    gang: str
    decision: str = ""


@dataclass(frozen=True, slots=True)
class CapNode:
    """The power cap of a node, written where its agent reads it: annotations, None removes one.

    Compare-and-swap on the Node's resourceVersion: what a former leader sends late is refused, and whoever sees a
    later version of the Node knows whether the write took effect.
    """

    name: str
    resource_version: str
    annotations: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class TaintNode:
    """The taints of a node, ours among them: all, for the API server keeps the list as one value."""

    name: str
    resource_version: str
    taints: tuple[Taint, ...]


@dataclass(frozen=True, slots=True)
class SendCap:
    """The power cap of a node, for the endpoint that sets caps; no watts: no gang is there any more.

    May be repeated: it says what is to be, not what is to change.
    """

    name: str
    #: of the whole node
    watts: int | None
    profile: str
    #: those that hold it, as namespace/name
    gangs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublishEvent:
    """A Kubernetes Event on an object, in plain words. Losing one loses nothing but the words."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    warning: bool
    reason: str
    message: str
    decision: str = ""


@dataclass(frozen=True, slots=True)
class WriteFacilityStatus:
    kind: str
    name: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetFinalizers:
    """All finalizers of a facility object; compare-and-swap, because the list holds those of others too."""

    kind: str
    name: str
    resource_version: str
    finalizers: tuple[str, ...]


Instruction = (
    CreateGang
    | CreateComputeDomain
    | DeleteComputeDomain
    | UpdateGangSpec
    | CommitGang
    | WriteGangStatus
    | SuspendJob
    | ResumeJob
    | ResizeJob
    | SuspendWorkload
    | AnswerCheck
    | UngatePod
    | EvictPod
    | CapNode
    | TaintNode
    | SendCap
    | PublishEvent
    | WriteFacilityStatus
    | SetFinalizers
)
