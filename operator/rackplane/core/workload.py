"""From a labelled Job, or labelled bare pods, to the Gang that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rackplane.api.labels import (
    COMPLETIONS_EQUAL,
    GANG_LABEL,
    GROUP,
    MIN_SLOTS,
    QUEUE_LABEL,
    SEGMENT_SIZE,
    parse_request,
)
from rackplane.api.problems import FieldProblem
from rackplane.core.alike import joined, uncounted
from rackplane.core.objects import GangGroup, Job, Metadata, Pod, PodSpec, PriorityClass
from rackplane.core.parallelism import follows, own_slots, ranks_at_once
from rackplane.core.podclass import PodClass
from rackplane.core.pods import gpus
from rackplane.core.priorities import priority_of, unknown_class
from rackplane.core.record import in_order
from rackplane.core.unlike import groups_of, too_many
from rackplane.core.unmet import differing_company, unmet, unused_size

__all__ = [
    "API_VERSION",
    "desired_gang",
    "gang_name_of_job",
    "gang_name_of_pod",
    "job_outcome",
    "with_removals",
]

API_VERSION = f"{GROUP}/v1alpha1"


def gang_name_of_job(name: str) -> str:
    return f"job-{name}"


def gang_name_of_pod(pod: Pod) -> str | None:
    """The Gang that a pod belongs to, or None if it is none of ours: no queue label on it."""
    if QUEUE_LABEL not in pod.metadata.labels:
        return None
    for owner in pod.metadata.owner_references:
        if owner.controller and owner.kind == "Job":
            return gang_name_of_job(owner.name)
    return f"pod-{pod.metadata.labels.get(GANG_LABEL) or pod.metadata.name}"


def job_outcome(job: Job) -> str | None:
    """ "Complete" or "Failed" once the Job has ended, else None."""
    for condition in job.status.conditions:
        if condition.status == "True" and condition.type in ("Complete", "Failed"):
            return condition.type
    return None


def desired_gang(
    *,
    namespace: str,
    name: str,
    job: Job | None,
    pods: Sequence[Pod],
    resources: Sequence[str],
    level_by_node_label: Mapping[str, str],
    priority_classes: Mapping[str, PriorityClass],
) -> tuple[dict[str, Any], list[FieldProblem]]:
    """The Gang object for a Job, or for bare pods, and what is wrong with what is asked for.

    Args:
        job: the Job, or None for bare pods.
        pods: the bare pods, at least one if there is no Job.
        resources: accelerators that HardwareProfiles name; the first that the pods ask for is the gang's.
        level_by_node_label: what a level that is named by a node label means.
        priority_classes: by name.
    """
    if job is not None:
        # Kueue puts its annotations on the pod template; ours are read from either place, the Job's own first.
        annotations = {**job.spec.template.metadata.annotations, **job.metadata.annotations}
        metadata, spec = job.metadata, job.spec.template.spec
        slots = own_slots(job)
        owners = [_owner("batch/v1", "Job", metadata)]
        kind, api_version = "Job", "batch/v1"
        templates = {"spec.template.spec": spec}
        kinds = [(namespace, job.spec.template.metadata.labels)]
    else:
        first = min(pods, key=lambda pod: pod.metadata.name)
        annotations, metadata, spec = dict(first.metadata.annotations), first.metadata, first.spec
        slots = 1
        owners = [_owner("v1", "Pod", pod.metadata) for pod in sorted(pods, key=lambda p: p.metadata.name)]
        kind, api_version = "Pod", "v1"
        templates = _templates(pods)
        labels = {frozenset(pod.metadata.labels.items()): pod.metadata.labels for pod in pods}
        kinds = [(namespace, each) for each in labels.values()]
    request, problems = parse_request(annotations, level_by_node_label=level_by_node_label)
    groups: list[GangGroup] = []
    if job is None:
        slots = request.gang_size or slots
        # While pods are missing, what the gang is made of is not known.
        if len(pods) >= slots:
            groups = groups_of(in_order(pods)[:slots], resources)
        problems += filter(None, (differing_company(pods), too_many(groups)))
    else:
        problems += filter(None, (joined(job), unused_size(job, request.gang_size, slots)))
    for where, each in templates.items():
        problems += filter(
            None,
            (
                uncounted(f"{where}.resourceClaims", each, resources),
                unknown_class(where, each, priority_classes),
            ),
        )
        problems += unmet(
            where, each, kinds, slots=slots, resources=resources, level_by_node_label=level_by_node_label
        )
    resource = next((r for r in resources if gpus(spec, r)), resources[0] if resources else "nvidia.com/gpu")
    slots = max(slots, 1)
    segment, fewest = request.segment_slots, request.min_slots
    if job is not None:
        # A Gang that breaks its kind's rules could not be created, and nobody would be told.
        if segment is not None and segment > slots:
            problems.append(_above_the_job(SEGMENT_SIZE, segment, slots))
            segment = None
        if fewest is not None and fewest > slots:
            problems.append(_above_the_job(MIN_SLOTS, fewest, slots))
            fewest = None
        if fewest is not None and fewest < slots and ranks_at_once(job) and not follows(job):
            problems.append(_changes_the_work(fewest, job))
    elif fewest is not None and fewest > slots:
        fewest = None  # reported, or the pods do not say how many they are
    if fewest is not None and groups:
        what = "is set, but the pods of the gang are not alike: which of them may be missing is not known"
        problems.append(FieldProblem(f"metadata.annotations[{MIN_SLOTS}]", what, "Remove it."))
    topology: dict[str, Any] = {
        "required": request.required_topology,
        "preferred": request.preferred_topology,
        "segmentSlots": segment,
    }
    body_spec: dict[str, Any] = {
        "queue": metadata.labels.get(QUEUE_LABEL, ""),
        "workload": {"apiVersion": api_version, "kind": kind, "name": metadata.name, "uid": metadata.uid},
        "slots": slots,
        "gpusPerSlot": gpus(spec, resource),
        "resourceName": resource,
        "priority": priority_of(spec, priority_classes),
        "topology": {key: value for key, value in topology.items() if value is not None},
        "power": {"profile": request.power_profile, "strict": request.power_strict},
        "disruption": str(request.disruption),
        "flexTier": request.flex_tier,
    }
    if request.expected_duration_seconds is not None:
        body_spec["expectedDurationSeconds"] = request.expected_duration_seconds
    if fewest is not None:
        body_spec["minSlots"] = fewest
    if groups and not problems:
        hardest = max(groups, key=lambda g: (g.slots * g.gpus_per_slot, g.gpus_per_slot))
        body_spec["groups"] = [
            {
                "name": g.name,
                "slots": g.slots,
                "gpusPerSlot": g.gpus_per_slot,
                "resourceName": g.resource_name,
                "podClass": g.pod_class,
            }
            for g in groups
        ]
        body_spec["gpusPerSlot"] = max(g.gpus_per_slot for g in groups)
        body_spec["resourceName"] = hardest.resource_name
    body = {
        "apiVersion": API_VERSION,
        "kind": "Gang",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {QUEUE_LABEL: body_spec["queue"]},
            "ownerReferences": owners,
        },
        "spec": body_spec,
    }
    return body, problems


def with_removals(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """A Gang's spec as a merge patch: what is asked for no more is removed, its workload stays."""
    gone = {
        key: None
        for key in ("expectedDurationSeconds", "minSlots", "groups")
        if current.get(key) and key not in wanted
    }
    topology = {**dict.fromkeys(current.get("topology", ())), **wanted["topology"]}
    # A gang stays that of the workload it was made for: of bare pods, another may be the first by now.
    kept = {key: value for key, value in wanted.items() if key != "workload"}
    return {**kept, **gone, "topology": topology}


def _templates(pods: Sequence[Pod]) -> dict[str, PodSpec]:
    """By field, what bare pods ask for: of those that are alike the first."""
    kinds: dict[PodClass, Pod] = {}
    first, *others = sorted(pods, key=lambda pod: pod.metadata.name)
    for pod in (first, *(pod for pod in others if pod.spec != first.spec)):
        kinds.setdefault(PodClass(pod.spec), pod)
    return {f"Pod {pod.metadata.name}, spec": pod.spec for pod in kinds.values()}


def _above_the_job(key: str, value: int, slots: int) -> FieldProblem:
    what = f"is {value}, more than the {slots} pods that the Job runs at a time"
    return FieldProblem(f"metadata.annotations[{key}]", what, f"Write a number from 1 to {slots}.")


def _changes_the_work(fewest: int, job: Job) -> FieldProblem:
    count = job.spec.completions
    what = f"is {fewest}, but the Job is Indexed and runs its {count} indexes at once: fewer slots would be fewer ranks"
    remedy = (
        f'If its ranks allow that, make completions equal parallelism and write {COMPLETIONS_EQUAL}: "true"; '
        f"else remove {MIN_SLOTS}."
    )
    return FieldProblem(f"metadata.annotations[{MIN_SLOTS}]", what, remedy)


def _owner(api_version: str, kind: str, metadata: Metadata) -> Mapping[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "name": metadata.name, "uid": metadata.uid}
