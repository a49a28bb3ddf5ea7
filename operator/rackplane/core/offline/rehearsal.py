"""What the operator would decide about gangs that wait, asked of a machine that does not lead.

Nothing is written. The machine's books change as if the decisions had been made, so it is good for one question.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from rackplane.api.labels import (
    GANG_LABEL,
    GANG_SIZE,
    PLACEMENT_GATE,
    QUEUE_LABEL,
    SUSPENDED_BY,
    SUSPENDED_BY_VALUE,
)
from rackplane.api.problems import FieldProblem
from rackplane.core import events as e
from rackplane.core.gangs.asking import accelerators_of
from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.jobs import JOBS_PREFIX
from rackplane.core.gangs.podgroups import (
    GangPolicy,
    PodGroup,
    PodGroupSpec,
    SchedulingPolicy,
    group_of_gang,
)
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.gangs.together import groups_of_jobs
from rackplane.core.gangs.unlike import groups_of
from rackplane.core.gangs.workload import (
    desired_gang,
    gang_name_of,
    gang_name_of_job,
    gang_name_of_pod,
    job_outcome,
)
from rackplane.core.machine import Machine
from rackplane.core.objects import (
    Container,
    Gang,
    Gate,
    Job,
    JobSpec,
    Metadata,
    Pod,
    PodSpec,
    PodTemplate,
    PodTemplateMetadata,
    Resources,
    SchedulingGroup,
)
from rackplane.core.pods.accelerators import Accelerators
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.holds import is_cleared, know_held
from rackplane.core.queues.lining_up import pending
from rackplane.core.queues.movebudget import saved_gpu_hours, wait_without
from rackplane.core.queues.moving import movable, moves_for, moves_for_domains
from rackplane.core.queues.queueing import schedule
from rackplane.core.workloads.kinds import kind_of_gang
from rackplane.core.workloads.view import PodSet, Reading, Workload, WorkloadKind
from rackplane.engine.planning.moves import Bounds, MovePlan

__all__ = ["Tidying", "decide", "stand_in", "stand_in_all", "submit", "submit_all", "submitted", "tidy"]

TIDIED = 20
"""Gangs at the head of the queue for which moves are looked for."""

_GATE = Gate(PLACEMENT_GATE)


def submitted(job: Job) -> Job:
    """A labelled Job as the chart's admission policy stores it: suspended by us, and its pods gated."""
    spec, metadata = job.spec, job.metadata
    if not spec.suspend:
        annotations = {**metadata.annotations, SUSPENDED_BY: SUSPENDED_BY_VALUE}
        metadata = msgspec.structs.replace(metadata, annotations=annotations)
    pod = spec.template.spec
    if _GATE not in pod.scheduling_gates:
        pod = msgspec.structs.replace(pod, scheduling_gates=[*pod.scheduling_gates, _GATE])
    ours = {key: metadata.labels[key] for key in (QUEUE_LABEL, GANG_LABEL) if key in metadata.labels}
    labels = {**spec.template.metadata.labels, **ours}
    template = PodTemplate(msgspec.structs.replace(spec.template.metadata, labels=labels), pod)
    return Job(metadata, msgspec.structs.replace(spec, suspend=True, template=template), job.status)


def submit(
    machine: Machine, workload: Job | Sequence[Job] | Sequence[Pod], now: float
) -> tuple[Key, list[FieldProblem]]:
    """Queue a labelled Job, or the Jobs or bare pods of one gang, as if they had been created now.

    Returns:
        The gang's key, and what could not be read of the request; with any of that nothing was queued.
    """
    given = [workload] if isinstance(workload, Job) else workload
    jobs = sorted(
        (submitted(job) for job in given if isinstance(job, Job)), key=lambda job: job.metadata.name
    )
    pods = [pod for pod in given if isinstance(pod, Pod)]
    name = gang_name_of(jobs[0]) if jobs else gang_name_of_pod(pods[0], machine.world.pod_groups)
    assert name is not None  # labelled, as the caller has made sure
    key = ((jobs or pods)[0].metadata.namespace, name)
    several = name.startswith(JOBS_PREFIX)
    catalog = machine.world.catalog
    body, problems = desired_gang(
        namespace=key[0],
        name=name,
        job=jobs[0] if jobs and not several else None,
        jobs=jobs if several else (),
        pods=pods,
        accelerators=accelerators_of(machine.world),
        level_by_node_label=catalog.fabric.level_by_label,
        priority_classes=machine.world.priority_classes,
        pod_groups=machine.world.pod_groups,
    )
    if problems:
        return key, problems
    body["metadata"] |= {"creationTimestamp": timestamp(now), "resourceVersion": "1"}
    events: list[e.Event] = [*map(e.JobChanged, jobs), *map(e.PodChanged, pods)]
    machine.handle(now, *events, e.GangChanged(msgspec.convert(body, type=Gang)))
    return key, []


def submit_all(machine: Machine, now: float) -> dict[Key, list[FieldProblem]]:
    """Queue what a folder describes and no operator has seen: labelled Jobs and pods without a Gang.

    A Gang that waits and whose Job or pods are not there gets stand-ins that ask for its GPUs and nothing else.

    Returns:
        What could not be read of the requests, by the key of the gang that was not queued.
    """
    found: dict[Key, list[FieldProblem]] = {}
    for key, record in list(machine.gangs.items()):
        if record.gang is None:
            jobs = [j for j in record.jobs.values() if QUEUE_LABEL in j.metadata.labels]
            workload: Sequence[Job] | Sequence[Pod] = [j for j in jobs if job_outcome(j) is None]
            if not record.jobs:
                workload = record.live_pods()
            if workload and (problems := submit(machine, workload, now)[1]):
                found[key] = problems
        elif record.phase == "Pending" and record.decision is None:
            if record.template is None:
                machine.handle(now, *stand_in(record.gang))
            else:
                awake = [submitted(job) for job in record.jobs.values() if not job.spec.suspend]
                machine.handle(now, *map(e.JobChanged, awake))
    return found


def stand_in(gang: Gang) -> list[e.Event]:
    """A Job, or bare pods, that would have made this Gang."""
    spec, namespace = gang.spec, gang.metadata.namespace
    wanted = {spec.resource_name: str(spec.gpus_per_slot)} if spec.gpus_per_slot else {}
    pod = PodSpec(
        containers=[Container(Resources(requests=wanted))], scheduling_gates=[_GATE], priority=spec.priority
    )
    labels = {QUEUE_LABEL: spec.queue}
    if gang.metadata.name.startswith(gang_name_of_job("")):
        name = gang.metadata.name.removeprefix(gang_name_of_job(""))
        metadata = Metadata(name=name, namespace=namespace, uid=spec.workload.uid, labels=labels)
        return [
            e.JobChanged(
                submitted(Job(metadata, JobSpec(parallelism=spec.slots, template=PodTemplate(spec=pod))))
            )
        ]
    if gang.metadata.name.startswith(JOBS_PREFIX):
        return _jobs_of(gang, pod, labels)
    kind = kind_of_gang(gang.metadata.name)
    if kind is not None:
        return _workload_of(gang, kind, pod, labels)
    grouped = group_of_gang(gang.metadata.name)
    name = grouped or gang.metadata.name.removeprefix("pod-")
    said = {GANG_LABEL: name}, {GANG_SIZE: str(spec.slots)}
    named: list[e.Event] = []
    if grouped is not None:
        said, pod = ({}, {}), msgspec.structs.replace(pod, scheduling_group=SchedulingGroup(grouped))
        policy = SchedulingPolicy(gang=GangPolicy(spec.slots))
        named = [e.PodGroupChanged(PodGroup(Metadata(grouped, namespace), PodGroupSpec(policy)))]
    kinds = [] if spec.groups else [(f"{name}-", pod)] * spec.slots
    for group in spec.groups:
        own = {group.resource_name: str(group.gpus_per_slot)} if group.gpus_per_slot else {}
        kinds += [(f"{group.name}-", _asking(pod, own))] * group.slots
    pods = [
        Pod(
            Metadata(
                name=f"{prefix}{slot}",
                namespace=namespace,
                uid=f"{namespace}/{name}/{slot}",
                labels={**labels, **said[0]},
                annotations=said[1],
            ),
            kind,
        )
        for slot, (prefix, kind) in enumerate(kinds)
    ]
    # Its groups are known by the classes of its pods, which are those of the stand-ins now.
    groups = groups_of(pods, Accelerators(list(dict.fromkeys(g.resource_name for g in spec.groups))))
    known = msgspec.structs.replace(gang, spec=msgspec.structs.replace(spec, groups=groups))
    return [*named, *map(e.PodChanged, pods), *([e.GangChanged(known)] if spec.groups else [])]


def stand_in_all(machine: Machine, now: float) -> None:
    """Give gangs that run, and whose Jobs are not there, Jobs that ask for their GPUs and nothing else."""
    for record in list(machine.gangs.values()):
        gang = record.gang
        if gang is None or record.decision is None or record.template is not None or gang.spec.groups:
            continue
        if gang.metadata.name.startswith(gang_name_of_job("")):
            for event in stand_in(gang):
                if isinstance(event, e.JobChanged):
                    spec = msgspec.structs.replace(event.job.spec, suspend=False)
                    event = e.JobChanged(msgspec.structs.replace(event.job, spec=spec))
                machine.handle(now, event)


def _jobs_of(gang: Gang, pod: PodSpec, labels: dict[str, str]) -> list[e.Event]:
    spec, name = gang.spec, gang.metadata.name.removeprefix(JOBS_PREFIX)
    jobs = []
    for group in spec.groups:
        own = {group.resource_name: str(group.gpus_per_slot)} if group.gpus_per_slot else {}
        metadata = Metadata(
            name=group.workload.name,
            namespace=gang.metadata.namespace,
            uid=group.workload.uid,
            labels={**labels, GANG_LABEL: name},
            annotations={GANG_SIZE: str(spec.slots)},
        )
        template = PodTemplate(spec=_asking(pod, own))
        jobs.append(submitted(Job(metadata, JobSpec(parallelism=group.slots, template=template))))
    # As with bare pods.
    groups = groups_of_jobs(jobs, Accelerators(list(dict.fromkeys(g.resource_name for g in spec.groups))))
    known = msgspec.structs.replace(gang, spec=msgspec.structs.replace(spec, groups=groups))
    return [*map(e.JobChanged, jobs), *([e.GangChanged(known)] if groups else [])]


def _workload_of(gang: Gang, kind: WorkloadKind, pod: PodSpec, labels: dict[str, str]) -> list[e.Event]:
    """A workload of this kind that would have made this Gang, and the Gang with the classes of its pods."""
    spec = gang.spec
    sets = (
        [PodSet("pods", spec.slots, PodTemplate(PodTemplateMetadata(labels), pod))] if not spec.groups else []
    )
    for group in spec.groups:
        own = {group.resource_name: str(group.gpus_per_slot)} if group.gpus_per_slot else {}
        template = PodTemplate(PodTemplateMetadata(labels), _asking(pod, own))
        sets.append(PodSet(group.name, group.slots, template))
    metadata = Metadata(
        name=spec.workload.name,
        namespace=gang.metadata.namespace,
        uid=spec.workload.uid,
        labels=labels,
        annotations={SUSPENDED_BY: SUSPENDED_BY_VALUE},
    )
    version = spec.workload.api_version.rpartition("/")[2]
    workload = Workload(kind, version, metadata, Reading(suspend=True, pod_sets=tuple(sets)))
    resources = list(dict.fromkeys(g.resource_name for g in spec.groups)) or [spec.resource_name]
    groups = groups_of_jobs(list(workload.jobs().values()), Accelerators(resources), workload)
    known = msgspec.structs.replace(gang, spec=msgspec.structs.replace(spec, groups=groups))
    return [e.WorkloadChanged(workload), e.GangChanged(known)]


def _asking(pod: PodSpec, wanted: dict[str, str]) -> PodSpec:
    return msgspec.structs.replace(pod, containers=[Container(Resources(requests=wanted))])


def decide(machine: Machine, key: Key) -> GangRecord:
    """One pass over the queue, as the operator's next: every gang that waits is asked in its order.

    Returns:
        The gang's record: its `decision` if it has a place, or would get one; else `message` and the rest say why not.

    Raises:
        KeyError: no such gang.
    """
    record, world = machine.gangs[key], machine.world
    if record.decision is not None:
        return record
    settings = world.settings
    know_held(world)
    # What would help costs many searches, and so does whom to stop: it is asked for this gang alone, after those before
    # it have had their turn.
    world.settings = replace(settings, explain_gangs=0, estimated_gangs=0, preempting_gangs=0)
    deque(schedule(world), maxlen=0)
    world.settings = settings
    if record.decision is None:
        world.waiting.ask_again(key)
        deque(schedule(world), maxlen=0)
    return record


@dataclass(frozen=True, slots=True)
class Tidying:
    """What moves there are. ``waiting`` are the gangs that moves could help, ``passed_over`` those they do not.

    ``wait`` is in how many seconds the one that is helped could start by itself (None: nothing expected lets it), and
    ``saved_gpu_hours`` what the moves save it.
    """

    plan: MovePlan | None
    waiting: tuple[str, ...]
    passed_over: tuple[str, ...]
    movable: int
    wait: float | None = None
    saved_gpu_hours: float = 0.0


def tidy(machine: Machine, bounds: Bounds, *, domains_only: bool = False) -> Tidying:
    """The cheapest moves for the first gang in the queue that any help, after one pass over the queue.

    If they help none, or none waits, those that make whole domains free.
    """
    world, settings = machine.world, machine.world.settings
    know_held(world)
    world.settings = replace(settings, explain_gangs=0, estimated_gangs=0, preempting_gangs=0)
    deque(schedule(world), maxlen=0)
    world.settings = settings
    beside = Beside(world)
    waiting = [
        record for record in pending(world) if record.foreseeable and not is_cleared(world, record.key)
    ]
    names = [booking_key(record.key) for record in waiting]
    could_move = len(movable(world))
    if not domains_only:
        for position, record in enumerate(waiting[:TIDIED]):
            plan = moves_for(world, record, bounds, beside)
            if plan is not None:
                wait = wait_without(world, record)
                saved = saved_gpu_hours(world, record, wait)
                return Tidying(plan, tuple(names), tuple(names[:position]), could_move, wait, saved)
    plan = moves_for_domains(world, bounds, beside)
    return Tidying(plan, tuple(names), (), could_move)
