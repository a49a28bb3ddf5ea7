"""From a labelled Job, or labelled bare pods, to the Gang that is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rackplane.api.labels import (
    COMPLETIONS_EQUAL,
    GANG_LABEL,
    GANG_SIZE,
    GROUP,
    MIN_SLOTS,
    QUEUE_LABEL,
    SEGMENT_SIZE,
    parse_request,
)
from rackplane.api.problems import FieldProblem
from rackplane.core.gangs.alike import joined
from rackplane.core.gangs.jobs import JOBS_PREFIX
from rackplane.core.gangs.jobs import job_outcome as job_outcome
from rackplane.core.gangs.parallelism import follows, own_slots, ranks_at_once
from rackplane.core.gangs.podgroups import PodGroups
from rackplane.core.gangs.ranks import in_order
from rackplane.core.gangs.together import disagreements, groups_of_jobs, slots_of, together
from rackplane.core.gangs.unlike import groups_of, too_many
from rackplane.core.objects import GangGroup, Job, Metadata, Pod, PodSpec, PriorityClass
from rackplane.core.pods.accelerators import Accelerators
from rackplane.core.pods.channels import channel_problems
from rackplane.core.pods.podclass import PodClass
from rackplane.core.pods.unmet import differing_company, unmet, unused_size
from rackplane.core.queues.priorities import priority_of, unknown_class
from rackplane.core.workloads.kinds import gang_of_pod
from rackplane.core.workloads.view import Workload

__all__ = [
    "API_VERSION",
    "desired_gang",
    "gang_name_of",
    "gang_name_of_job",
    "gang_name_of_pod",
    "job_outcome",
    "with_removals",
]

API_VERSION = f"{GROUP}/v1alpha1"
#: what may follow in the name of an object
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def gang_name_of_job(name: str) -> str:
    return f"job-{name}"


def gang_name_of(job: Job) -> str:
    """The Gang that a Job belongs to: one of its own, or that of all Jobs that name it."""
    labels = {**job.metadata.labels, **job.spec.template.metadata.labels}
    return _shared(labels) or gang_name_of_job(job.metadata.name)


def gang_name_of_pod(pod: Pod, groups: PodGroups | None = None) -> str | None:
    """The Gang that a pod belongs to, or None if it is none of ours: no queue label on it.

    Args:
        groups: the PodGroups that there are; None: a pod is no gang by what it names of them.
    """
    if QUEUE_LABEL not in pod.metadata.labels:
        return None
    # Before the owner: the pods of a JobSet are of Jobs too.
    workload = gang_of_pod(pod)
    if workload is not None:
        return workload
    for owner in pod.metadata.owner_references:
        if owner.controller and owner.kind == "Job":
            return _shared(pod.metadata.labels) or gang_name_of_job(owner.name)
    grouped = None if groups is None else groups.gang_of(pod)
    return grouped or f"pod-{pod.metadata.labels.get(GANG_LABEL) or pod.metadata.name}"


def _shared(labels: Mapping[str, str]) -> str | None:
    name = labels.get(GANG_LABEL, "")
    return f"{JOBS_PREFIX}{name}" if _NAME.fullmatch(name) else None


def desired_gang(
    *,
    namespace: str,
    name: str,
    job: Job | None,
    pods: Sequence[Pod],
    accelerators: Accelerators,
    level_by_node_label: Mapping[str, str],
    priority_classes: Mapping[str, PriorityClass],
    jobs: Sequence[Job] = (),
    workload: Workload | None = None,
    pod_groups: PodGroups | None = None,
) -> tuple[dict[str, Any], list[FieldProblem]]:
    """The Gang object for a Job, for Jobs that name one gang or for bare pods, and what is wrong with what they ask.

    Args:
        job: the Job, or None.
        jobs: the Jobs that name one gang, in order of name, or none.
        workload: what the Jobs stand for, if they are the sets of pods of a workload.
        pods: the bare pods, at least one if there is no Job.
        accelerators: counts what the pods ask for of them.
        level_by_node_label: what a level that is named by a node label means.
        priority_classes: by name.
        pod_groups: say how many the bare pods are that name one of them.
    """
    unknown_size: FieldProblem | None = None
    if job is not None:
        # Kueue puts its annotations on the pod template; ours are read from either place, the Job's own first.
        annotations = {**job.spec.template.metadata.annotations, **job.metadata.annotations}
        metadata, spec = job.metadata, job.spec.template.spec
        slots = own_slots(job)
        owners = [_owner("batch/v1", "Job", metadata)]
        kind, api_version = "Job", "batch/v1"
        templates = {"spec.template.spec": spec}
        kinds = [(namespace, job.spec.template.metadata.labels)]
    elif jobs:
        annotations = together(jobs)
        metadata, spec = jobs[0].metadata, jobs[0].spec.template.spec
        slots = sum(map(slots_of, jobs))
        owners = [_owner("batch/v1", "Job", each.metadata) for each in jobs]
        kind, api_version = "JobList", "batch/v1"
        called = "Job {}, spec.template.spec"
        if workload is not None:
            owners = [_owner(workload.api_version, workload.kind.kind, workload.metadata)]
            kind, api_version = workload.kind.kind, workload.api_version
            called = f"{workload.title}, pod template of {{}}"
        templates = {called.format(each.metadata.name): each.spec.template.spec for each in jobs}
        kinds = [(namespace, each.spec.template.metadata.labels) for each in jobs]
    else:
        first = min(pods, key=lambda pod: pod.metadata.name)
        annotations, metadata, spec = dict(first.metadata.annotations), first.metadata, first.spec
        slots = 1
        size = None if pod_groups is None else pod_groups.size_of((namespace, name), first)
        if isinstance(size, FieldProblem):
            unknown_size = size
        elif size is not None:
            annotations[GANG_SIZE] = str(size)
        owners = [_owner("v1", "Pod", pod.metadata) for pod in sorted(pods, key=lambda p: p.metadata.name)]
        kind, api_version = "Pod", "v1"
        templates = _templates(pods)
        labels = {frozenset(pod.metadata.labels.items()): pod.metadata.labels for pod in pods}
        kinds = [(namespace, each) for each in labels.values()]
    request, problems = parse_request(annotations, level_by_node_label=level_by_node_label)
    groups: list[GangGroup] = []
    segment, fewest = request.segment_slots, None if jobs else request.min_slots
    if jobs:
        problems += disagreements(jobs, request, workload)
        stands = [Pod(each.metadata, each.spec.template.spec) for each in jobs]
        problems += filter(None, (differing_company(stands, called),))
        whole = workload is not None or slots == request.gang_size
        groups = groups_of_jobs(jobs, accelerators, workload) if whole else []
        problems += filter(None, (too_many(groups),))
        # While Jobs are missing, what the gang is made of is not known.
        slots = sum(group.slots for group in groups) or request.gang_size or slots
    elif job is None:
        slots = request.gang_size or slots
        # While pods are missing, what the gang is made of is not known.
        if len(pods) >= slots:
            groups = groups_of(in_order(pods)[:slots], accelerators)
        problems += filter(None, (unknown_size, differing_company(pods), too_many(groups)))
        if problems and segment is not None and segment > slots:
            segment = None  # as below: its Gang tells of the problems
    else:
        problems += filter(None, (joined(job), unused_size(job, request.gang_size, slots)))
    for where, each in templates.items():
        problems += accelerators.problems(f"{where}.resourceClaims", namespace, each, slots=slots)
        problems += filter(None, (unknown_class(where, each, priority_classes),))
        problems += unmet(
            where,
            each,
            kinds,
            slots=slots,
            resources=accelerators.resources,
            level_by_node_label=level_by_node_label,
        )
    if request.compute_domain is not None:
        problems += channel_problems(name, namespace, templates, accelerators)
    resource, each_gpus = accelerators.of(namespace, spec) or (accelerators.main, 0)
    slots = max(slots, 1)
    if job is not None or jobs:
        # A Gang that breaks its kind's rules could not be created, and nobody would be told.
        if segment is not None and segment > slots:
            problems.append(_above_the_job(SEGMENT_SIZE, segment, slots))
            segment = None
        if fewest is not None and fewest > slots:
            problems.append(_above_the_job(MIN_SLOTS, fewest, slots))
            fewest = None
        if job and fewest is not None and fewest < slots and ranks_at_once(job) and not follows(job):
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
        "workload": {
            "apiVersion": api_version,
            "kind": kind,
            "name": name.removeprefix(JOBS_PREFIX) if jobs else metadata.name,
            "uid": "" if jobs else metadata.uid,
        }
        if workload is None
        else {
            "apiVersion": api_version,
            "kind": kind,
            "name": workload.metadata.name,
            "uid": workload.metadata.uid,
        },
        "slots": slots,
        "gpusPerSlot": each_gpus,
        "resourceName": resource,
        "priority": max(
            priority_of(each, priority_classes) for each in (templates.values() if jobs else [spec])
        )
        if workload is None or workload.priority is None
        else workload.priority,
        "topology": {key: value for key, value in topology.items() if value is not None},
        "power": {"profile": request.power_profile, "strict": request.power_strict},
        "disruption": str(request.disruption),
        "flexTier": request.flex_tier,
    }
    if request.expected_duration_seconds is not None:
        body_spec["expectedDurationSeconds"] = request.expected_duration_seconds
    if fewest is not None:
        body_spec["minSlots"] = fewest
    if request.compute_domain is not None:
        body_spec["computeDomain"] = str(request.compute_domain)
    if request.on_node_loss is not None:
        body_spec["onNodeLoss"] = str(request.on_node_loss)
    if groups and not problems:
        hardest = max(groups, key=lambda g: (g.slots * g.gpus_per_slot, g.gpus_per_slot))
        body_spec["groups"] = [
            {
                "name": g.name,
                "slots": g.slots,
                "gpusPerSlot": g.gpus_per_slot,
                "resourceName": g.resource_name,
                "podClass": g.pod_class,
                **({"workload": msgspec.to_builtins(g.workload)} if jobs else {}),
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
        for key in ("expectedDurationSeconds", "minSlots", "onNodeLoss", "computeDomain", "groups")
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
