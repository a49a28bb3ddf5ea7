"""Kueue's Workload (kueue.x-k8s.io), as far as one of our AdmissionChecks answers for it.

Kueue queues, suspends and resumes what stands behind the Workload; we say where its pods fit. Read are the fields that
Kueue documents, the same in v1beta1 and v1beta2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from rackplane.api.base import GROUP
from rackplane.api.labels import (
    PLACEMENT_GATE,
    QUEUE_LABEL,
    SUSPENDED_BY,
    SUSPENDED_BY_VALUE,
    WORKLOAD_ANNOTATION,
)
from rackplane.api.problems import FieldProblem
from rackplane.core.objects import Condition, Gate, Metadata, PodTemplate, Toleration
from rackplane.core.workloads.checks import Check
from rackplane.core.workloads.fields import Fields
from rackplane.core.workloads.view import Body, PodSet, Reading, Workload, WorkloadKind, plain

__all__ = [
    "CONTROLLER",
    "KUEUE_GROUP",
    "WORKLOAD",
    "AdmissionCheck",
    "ResourceFlavor",
    "queue_of",
    "view",
]

KUEUE_GROUP: Final = "kueue.x-k8s.io"
#: spec.controllerName of the AdmissionChecks that are ours
CONTROLLER: Final = f"{GROUP}/placement"


class _Parameters(Fields, frozen=True):
    api_group: str = ""
    kind: str = ""
    name: str = ""


class _CheckSpec(Fields, frozen=True):
    controller_name: str = ""
    parameters: _Parameters | None = None


class _CheckStatus(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()


class AdmissionCheck(Fields, frozen=True):
    """Whom a ClusterQueue asks before it admits, and with which parameters."""

    metadata: Metadata
    spec: _CheckSpec = _CheckSpec()
    status: _CheckStatus = _CheckStatus()


class _FlavorSpec(Fields, frozen=True):
    node_labels: dict[str, str] = msgspec.field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()


class ResourceFlavor(Fields, frozen=True):
    """What Kueue puts on the pods of those that it gives quota of this flavor."""

    metadata: Metadata
    spec: _FlavorSpec = _FlavorSpec()


class _TopologyRequest(Fields, frozen=True):
    pod_index_label: str = ""
    sub_group_index_label: str = ""
    sub_group_count: int = 0


class _PodSet(Fields, frozen=True):
    name: str = "main"
    count: int = 1
    template: PodTemplate = PodTemplate()
    topology_request: _TopologyRequest = _TopologyRequest()


class _Spec(Fields, frozen=True):
    pod_sets: tuple[_PodSet, ...] = ()
    priority: int | None = None
    active: bool = True


class _Assignment(Fields, frozen=True):
    name: str = "main"
    count: int | None = None
    flavors: dict[str, str] = msgspec.field(default_factory=dict)
    topology_assignment: dict[str, Any] | None = None
    delayed_topology_request: str = ""


class _Admission(Fields, frozen=True):
    pod_set_assignments: tuple[_Assignment, ...] = ()


class _Update(Fields, frozen=True):
    name: str = ""
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)


class _CheckState(Fields, frozen=True):
    name: str
    state: str = "Pending"
    message: str = ""
    last_transition_time: str | None = None
    pod_set_updates: tuple[_Update, ...] = ()


class _Reclaimable(Fields, frozen=True):
    name: str = ""
    count: int = 0


class _Status(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()
    admission: _Admission | None = None
    admission_checks: tuple[_CheckState, ...] = ()
    reclaimable_pods: tuple[_Reclaimable, ...] = ()


def queue_of(check: AdmissionCheck) -> str:
    """The Queue that gangs of this check go through.

    Raises:
        ValueError: it names none; for people.
    """
    asked = check.spec.parameters
    if asked is None or (asked.api_group, asked.kind) != (GROUP, "Queue") or not asked.name:
        found = "missing" if asked is None else f"{asked.api_group} {asked.kind} {asked.name}"
        raise ValueError(
            f"spec.parameters is {found}: write apiGroup: {GROUP}, kind: Queue and the name of the Queue that its "
            "gangs go through"
        )
    return asked.name


def view(
    body: Body, version: str, checks: Mapping[str, AdmissionCheck], flavors: Mapping[str, ResourceFlavor]
) -> Workload | None:
    """A Workload as the core takes it; None if none of our checks is asked of it.

    It is awake while our check says Ready. It is suspended by us while we are asked and have not said so, and by its
    user, who is Kueue, while it has no quota and once we have asked Kueue to stop it.

    Args:
        checks: those of this controller whose parameters can be read, by name.
        flavors: by name.

    Raises:
        msgspec.ValidationError: a field that is read has another type than Kueue documents.
    """
    spec = msgspec.convert(plain(body.spec), type=_Spec)
    status = msgspec.convert(plain(body.status), type=_Status)
    ours = [each for each in status.admission_checks if each.name in checks]
    if not ours:
        return None
    asked = min(ours, key=lambda each: (each.state != "Ready", each.name))
    queue = queue_of(checks[asked.name])
    check = Check(
        asked.name, asked.state, asked.message, asked.last_transition_time, _held(spec, status, asked)
    )
    sets = tuple(_pod_sets(spec, status, asked, flavors, queue, gated=not _of_pods(body.metadata)))
    reading = Reading(
        suspend=bool(check.held) or check.state != "Ready",
        pod_sets=sets,
        outcome=_outcome(status),
        problems=tuple(_problems(spec, status, asked, ours, queue)),
    )
    notes = {SUSPENDED_BY: SUSPENDED_BY_VALUE} if reading.suspend and not check.held else {}
    # Whose pods these are is Kueue's to know: a JobSet that owns it is not to be taken for one that queues with us.
    metadata = msgspec.structs.replace(
        body.metadata, labels={QUEUE_LABEL: queue}, annotations=notes, owner_references=[]
    )
    return Workload(WORKLOAD, version, metadata, reading, check=check, priority=spec.priority)


def _of_pods(metadata: Metadata) -> bool:
    """Whether it stands for pods that are there already, which get no gate any more."""
    return any(owner.kind == "Pod" for owner in metadata.owner_references)


def _is_true(status: _Status, kind: str) -> bool:
    return any(c.type == kind and c.status == "True" for c in status.conditions)


def _held(spec: _Spec, status: _Status, asked: _CheckState) -> str:
    if not spec.active:
        return "spec.active is false"
    if status.admission is None or not _is_true(status, "QuotaReserved"):
        return "waits for quota in Kueue"
    if _is_true(status, "Evicted"):
        return "Kueue has evicted it"
    if asked.state in ("Retry", "Rejected"):
        return f"its admission check {asked.name} says {asked.state}, and Kueue takes its quota back"
    return ""


def _outcome(status: _Status) -> str | None:
    end = next((c for c in status.conditions if c.type == "Finished" and c.status == "True"), None)
    return None if end is None else "Failed" if end.reason == "Failed" else "Complete"


def _pod_sets(
    spec: _Spec,
    status: _Status,
    asked: _CheckState,
    flavors: Mapping[str, ResourceFlavor],
    queue: str,
    *,
    gated: bool,
) -> Iterator[PodSet]:
    """Its sets of pods as they will be: with what Kueue, and we ourselves, put on their templates."""
    assigned = {} if status.admission is None else {a.name: a for a in status.admission.pod_set_assignments}
    over = {each.name: each.count for each in status.reclaimable_pods}
    ours = {each.name: each for each in asked.pod_set_updates} if asked.state == "Ready" else {}
    for each in spec.pod_sets:
        given = assigned.get(each.name, _Assignment())
        count = each.count if given.count is None else given.count
        pods, labels = each.template.spec, each.template.metadata.labels
        selector, tolerations = dict(pods.node_selector), list(pods.tolerations)
        for name in dict.fromkeys(given.flavors.values()):
            flavor = flavors.get(name)
            if flavor is not None:
                selector |= flavor.spec.node_labels
                tolerations += (t for t in flavor.spec.tolerations if t not in tolerations)
        if each.name in ours:
            selector |= ours[each.name].node_selector
        gates = list(pods.scheduling_gates)
        if gated and all(gate.name != PLACEMENT_GATE for gate in gates):
            gates.append(Gate(PLACEMENT_GATE))  # by the admission policy for pods that have our label
        replace = msgspec.structs.replace
        template = PodTemplate(
            replace(each.template.metadata, labels={QUEUE_LABEL: queue, **labels}),
            replace(pods, node_selector=selector, tolerations=tolerations, scheduling_gates=gates),
        )
        yield PodSet(
            each.name,
            count,
            template,
            index=_index(each.topology_request, count),
            ranked_if_told=True,
            succeeded=min(over.get(each.name, 0), count),
        )


def _index(asked: _TopologyRequest, count: int) -> tuple[tuple[str, int], ...]:
    if not asked.pod_index_label:
        return ()
    if asked.sub_group_index_label and asked.sub_group_count and count % asked.sub_group_count == 0:
        return (asked.sub_group_index_label, count // asked.sub_group_count), (asked.pod_index_label, 1)
    return ((asked.pod_index_label, 1),)


def _problems(
    spec: _Spec,
    status: _Status,
    asked: _CheckState,
    ours: Sequence[_CheckState],
    queue: str,
) -> Iterator[FieldProblem]:
    for each in () if status.admission is None else status.admission.pod_set_assignments:
        if each.topology_assignment is not None or each.delayed_topology_request:
            yield FieldProblem(
                f"status.admission.podSetAssignments[{each.name}].topologyAssignment",
                "is set: Kueue has chosen nodes by its own topology, and Rackplane would choose others",
                "Use ResourceFlavors without topologyName in ClusterQueues that have this admission check.",
            )
    if len(ours) > 1:
        others = ", ".join(sorted(each.name for each in ours if each is not asked))
        yield FieldProblem(
            "status.admissionChecks",
            f"has {others} beside {asked.name}, and one gang has one place",
            "Give a ClusterQueue one admission check of Rackplane.",
        )
    for each_set in spec.pod_sets:
        own = each_set.template.metadata.labels.get(QUEUE_LABEL, queue)
        if own != queue:
            yield FieldProblem(
                f"spec.podSets[{each_set.name}].template.metadata.labels[{QUEUE_LABEL}]",
                f'is "{own}", and Kueue cannot put the "{queue}" of the admission check there',
                "Take the label off: what Kueue queues has it from the admission check.",
            )


def _unused(*_: Any) -> Reading:
    raise TypeError("a Workload of Kueue is read together with its checks and flavors: see `view`")


WORKLOAD = WorkloadKind(
    kind="Workload",
    group=KUEUE_GROUP,
    plural="workloads",
    versions=("v1beta2", "v1beta1"),
    suspend=("spec", "active"),
    spec=_Spec,
    status=_Status,
    read=_unused,
    name_label="",
    name_annotation=WORKLOAD_ANNOTATION,
    # By Kueue on every pod.
    set_labels=(f"{KUEUE_GROUP}/podset",),
)
