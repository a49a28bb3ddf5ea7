"""Every instruction as the one HTTP request that carries it out, and every refusal as its reason."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from rackplane.api.kinds import BY_KIND
from rackplane.api.labels import (
    DECISION,
    GANG_LABEL,
    GRANTED_PARALLELISM,
    HOSTNAME_LABEL,
    MANAGED_TAINT,
    PLACEMENT_GATE,
    POWER_CAP_WATTS,
    POWER_PROFILE,
    REQUESTED_PARALLELISM,
    SLOT_ANNOTATION,
    SUSPENDED_BY,
    SUSPENDED_BY_VALUE,
)
from rackplane.core.events import FailureReason
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.instructions import (
    AnswerCheck,
    CapNode,
    CommitGang,
    CreateComputeDomain,
    CreateGang,
    DeleteComputeDomain,
    EvictPod,
    Instruction,
    JobSize,
    PublishEvent,
    ResizeJob,
    ResumeJob,
    SendCap,
    SetFinalizers,
    SuspendJob,
    SuspendWorkload,
    TaintNode,
    UngatePod,
    UpdateGangSpec,
    WriteFacilityStatus,
    WriteGangStatus,
)
from rackplane.core.workloads.kinds import KINDS
from rackplane.core.workloads.kueue import WORKLOAD
from rackplane.kube.client import APPLY_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, ApiError
from rackplane.kube.resources import COMPUTE_DOMAINS, EVENTS, GANGS, JOBS, NODES, PODS, Resource, facility

__all__ = ["Write", "failure", "requests_for", "subject"]

JSON: Final = "application/json"
#: The API server's bound on names (a DNS subdomain), less the dot and the id of an Event's name.
_EVENT_NAME_STEM: Final = 253 - 17
#: Who Events are from.
_REPORTER: Final = "rackplane"
#: As whom we write admission checks: the only fields of Kueue's Workloads that are ours.
_CHECK_MANAGER: Final = "rackplane-admission-check"


@dataclass(frozen=True, slots=True)
class Write:
    """One request to the API server; `body` is JSON to be."""

    method: str
    path: str
    body: Mapping[str, Any]
    content_type: str = JSON
    query: Mapping[str, str] | None = None


def requests_for(instruction: Instruction, *, now: float) -> Write:
    """The request that carries out an instruction.

    The same arguments give the same request, the id in an Event's name included: a repeated one is recognised.

    Args:
        now: seconds since the epoch; only an Event shows it.
    """
    match instruction:
        case CreateGang():
            return Write("POST", GANGS.path(instruction.namespace), instruction.body)
        case CreateComputeDomain():
            return Write("POST", COMPUTE_DOMAINS.path(instruction.namespace), instruction.body)
        case DeleteComputeDomain():
            path = COMPUTE_DOMAINS.path(instruction.namespace, instruction.name)
            return Write("DELETE", path, {"preconditions": {"uid": instruction.uid}})
        case UpdateGangSpec():
            path = GANGS.path(instruction.namespace, instruction.name)
            about: dict[str, Any] = {"resourceVersion": instruction.resource_version}
            if instruction.owners is not None:
                about["ownerReferences"] = instruction.owners
            return Write("PATCH", path, {"metadata": about, "spec": instruction.spec}, MERGE_PATCH)
        case CommitGang() | WriteGangStatus():
            path = GANGS.path(instruction.namespace, instruction.name, "status")
            version = {"resourceVersion": instruction.resource_version}
            return Write("PATCH", path, {"metadata": version, "status": instruction.status}, MERGE_PATCH)
        case SuspendJob() | ResumeJob() | ResizeJob():
            path = JOBS.path(instruction.namespace, instruction.name)
            return Write("PATCH", path, _job_patch(instruction), MERGE_PATCH)
        case SuspendWorkload():
            kind = KINDS[instruction.kind]
            resource = Resource(kind.group, instruction.version, kind.plural, namespaced=True)
            path = resource.path(instruction.namespace, instruction.name)
            about = {
                "uid": instruction.uid,
                "resourceVersion": instruction.resource_version,
                "annotations": {SUSPENDED_BY: SUSPENDED_BY_VALUE if instruction.suspend else None},
            }
            patch = {"metadata": about, **kind.switched(suspend=instruction.suspend)}
            return Write("PATCH", path, patch, MERGE_PATCH)
        case AnswerCheck():
            served = instruction.api_version.rpartition("/")[2]
            resource = Resource(WORKLOAD.group, served, WORKLOAD.plural, namespaced=True)
            path = resource.path(instruction.namespace, instruction.name, "status")
            # Kueue has set the entry's state to Pending, and sets it again when it evicts: ours is the say meanwhile.
            query = {"fieldManager": _CHECK_MANAGER, "force": "true"}
            return Write("PATCH", path, _check_status(instruction, now), APPLY_PATCH, query)
        case UngatePod():
            path = PODS.path(instruction.namespace, instruction.name)
            return Write("PATCH", path, _pod_patch(instruction), STRATEGIC_MERGE_PATCH)
        case EvictPod():
            path = PODS.path(instruction.namespace, instruction.name, "eviction")
            return Write("POST", path, _eviction(instruction))
        case CapNode():
            path = NODES.path(None, instruction.name)
            version = {"resourceVersion": instruction.resource_version}
            metadata = {**version, "annotations": instruction.annotations}
            return Write("PATCH", path, {"metadata": metadata}, MERGE_PATCH)
        case TaintNode():
            path = NODES.path(None, instruction.name)
            taints = [msgspec.to_builtins(taint) for taint in instruction.taints]
            metadata = {"resourceVersion": instruction.resource_version}
            return Write("PATCH", path, {"metadata": metadata, "spec": {"taints": taints}}, MERGE_PATCH)
        case PublishEvent():
            body = _event(instruction, now)
            return Write("POST", EVENTS.path(body["metadata"]["namespace"]), body)
        case WriteFacilityStatus():
            resource = facility(BY_KIND[instruction.kind].info.plural)
            path = resource.path(None, instruction.name, "status")
            return Write("PATCH", path, {"status": instruction.status}, MERGE_PATCH)
        case SetFinalizers():
            path = facility(BY_KIND[instruction.kind].info.plural).path(None, instruction.name)
            version = {"resourceVersion": instruction.resource_version}
            metadata = {**version, "finalizers": list(instruction.finalizers)}
            return Write("PATCH", path, {"metadata": metadata}, MERGE_PATCH)
        case SendCap():
            raise TypeError("caps for the power endpoint are no requests to the API server")


def subject(instruction: Instruction) -> tuple[str, ...]:
    """What an instruction writes to: instructions with the same subject are carried out in order."""
    match instruction:
        case CreateGang() | UpdateGangSpec() | CommitGang() | WriteGangStatus():
            return ("Gang", instruction.namespace, instruction.name)
        case CreateComputeDomain() | DeleteComputeDomain():
            return ("ComputeDomain", instruction.namespace, instruction.name)
        case SuspendJob() | ResumeJob() | ResizeJob():
            return ("Job", instruction.namespace, instruction.name)
        case SuspendWorkload():
            return (instruction.kind, instruction.namespace, instruction.name)
        case AnswerCheck():
            return ("Workload", instruction.namespace, instruction.name)
        case UngatePod() | EvictPod():
            return ("Pod", instruction.namespace, instruction.name)
        case CapNode() | TaintNode():
            return ("Node", instruction.name)
        case SendCap():
            return ("Endpoint", instruction.name)
        case PublishEvent():
            return ("Event", instruction.kind, instruction.namespace, instruction.name)
        case WriteFacilityStatus() | SetFinalizers():
            return (instruction.kind, instruction.name)


def failure(error: ApiError) -> FailureReason:
    """What a refusal means for the decision behind the write."""
    # 408 and 429 ask to come again; 401 is a token that expired, and the next request carries a new one.
    if error.status in (0, 401, 408, 429) or error.status >= 500:
        return FailureReason.UNAVAILABLE
    if error.status == 409:
        return FailureReason.CONFLICT
    if error.status == 404:
        return FailureReason.GONE
    return FailureReason.REJECTED


def _job_patch(instruction: SuspendJob | ResumeJob | ResizeJob) -> dict[str, Any]:
    # The uid makes the API server refuse a patch meant for an earlier Job of the same name, the resourceVersion one
    # that comes late: from a former leader, or after a user suspended the Job or changed its parallelism.
    metadata = {"uid": instruction.uid, "resourceVersion": instruction.resource_version}
    if isinstance(instruction, SuspendJob):
        annotations = {SUSPENDED_BY: SUSPENDED_BY_VALUE}
        return {"metadata": {**metadata, "annotations": annotations}, "spec": {"suspend": True}}
    notes: dict[str, str | None] = {} if instruction.size is None else _size_notes(instruction.size)
    spec: dict[str, Any] = {} if instruction.size is None else _size_spec(instruction.size)
    if isinstance(instruction, ResumeJob):
        notes, spec = {SUSPENDED_BY: None, **notes}, {"suspend": False, **spec}
    return {"metadata": {**metadata, "annotations": notes}, "spec": spec}


def _size_notes(size: JobSize) -> dict[str, str | None]:
    if size.requested is None:
        return {REQUESTED_PARALLELISM: None, GRANTED_PARALLELISM: None}
    return {REQUESTED_PARALLELISM: str(size.requested), GRANTED_PARALLELISM: str(size.parallelism)}


def _size_spec(size: JobSize) -> dict[str, Any]:
    if size.completions is None:
        return {"parallelism": size.parallelism}
    return {"parallelism": size.parallelism, "completions": size.completions}


def _check_status(instruction: AnswerCheck, now: float) -> dict[str, Any]:
    check: dict[str, Any] = {
        "name": instruction.check,
        "state": instruction.state,
        "message": instruction.message,
        "lastTransitionTime": instruction.since or timestamp(now),
    }
    if instruction.updates:
        check["podSetUpdates"] = list(instruction.updates)
    if instruction.requeue_seconds is not None:
        check["requeueAfterSeconds"] = instruction.requeue_seconds
    metadata = {
        "name": instruction.name,
        "namespace": instruction.namespace,
        "uid": instruction.uid,
        "resourceVersion": instruction.resource_version,
    }
    about = {"apiVersion": instruction.api_version, "kind": WORKLOAD.kind, "metadata": metadata}
    return {**about, "status": {"admissionChecks": [check]}}


def _pod_patch(instruction: UngatePod) -> dict[str, Any]:
    ours = {"key": MANAGED_TAINT, "operator": "Exists", "effect": "NoSchedule"}
    # The list has no merge key: a patch replaces it, so it repeats what the pod has (none may be taken away).
    tolerations = [dict(toleration) for toleration in instruction.tolerations]
    if ours not in tolerations:
        tolerations.append(ours)
    annotations = {
        SLOT_ANNOTATION: str(instruction.slot),
        POWER_PROFILE: instruction.power_profile,
        GANG_LABEL: instruction.gang,
    }
    if instruction.cap_watts is not None:
        annotations[POWER_CAP_WATTS] = str(instruction.cap_watts)
    # The resourceVersion makes the API server refuse one that comes late, from a former leader: the pod may have
    # another slot by then.
    metadata = {"uid": instruction.uid, "resourceVersion": instruction.resource_version}
    return {
        "metadata": {**metadata, "annotations": annotations},
        "spec": {
            "nodeSelector": {HOSTNAME_LABEL: instruction.hostname},
            "tolerations": tolerations,
            "schedulingGates": [{"$patch": "delete", "name": PLACEMENT_GATE}],
        },
    }


def _eviction(instruction: EvictPod) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": instruction.name, "namespace": instruction.namespace},
        # A pod of the same name that was made since is another one.
        "deleteOptions": {"preconditions": {"uid": instruction.uid}},
    }


def _named(instruction: PublishEvent) -> str:
    """Its words, with the decision that they tell of: `kubectl describe` shows no annotations of Events."""
    if not instruction.decision:
        return instruction.message
    return f"{instruction.message} (decision {instruction.decision})"


def _event(instruction: PublishEvent, now: float) -> dict[str, Any]:
    content = "\0".join(
        (repr(now), instruction.kind, instruction.uid, instruction.reason, instruction.message)
    )
    identity = hashlib.sha256(content.encode()).hexdigest()[:16]
    time = timestamp(int(now))
    about = {
        "apiVersion": instruction.api_version,
        "kind": instruction.kind,
        "name": instruction.name,
        "uid": instruction.uid,
    }
    if instruction.namespace:
        about["namespace"] = instruction.namespace
    stem = instruction.name[:_EVENT_NAME_STEM].rstrip(".-")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        # Events about cluster-scoped objects live in `default`, by convention.
        "metadata": {
            "name": f"{stem}.{identity}",
            "namespace": instruction.namespace or "default",
            **({"annotations": {DECISION: instruction.decision}} if instruction.decision else {}),
        },
        "involvedObject": about,
        "type": "Warning" if instruction.warning else "Normal",
        "reason": instruction.reason,
        "message": _named(instruction),
        "count": 1,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "source": {"component": _REPORTER},
        "reportingComponent": _REPORTER,
    }
