"""Jobs that are one gang: what they must agree on, what each is a group of, and what ends or stops all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rackplane.api.labels import GANG_LABEL, GANG_SIZE, MIN_SLOTS, QUEUE_LABEL, REQUEST_KEYS, UserRequest
from rackplane.api.problems import FieldProblem
from rackplane.core.gangs.jobs import job_outcome, suspended_by_us
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.unlike import slots_by_group
from rackplane.core.objects import GangGroup, GangWorkload, Job
from rackplane.core.pods.accelerators import Accelerators
from rackplane.core.pods.podclass import PodClass
from rackplane.core.workloads.view import Workload

__all__ = ["disagreements", "groups_of_jobs", "how_it_ended", "outcome", "slots_of", "stopped_by", "together"]


def slots_of(job: Job) -> int:
    """Pods that the Job runs at a time."""
    completions = job.spec.completions
    return job.spec.parallelism if completions is None else min(job.spec.parallelism, completions)


def together(jobs: Sequence[Job]) -> dict[str, str]:
    """The annotations of all; where they differ, those of the first."""
    found: dict[str, str] = {}
    for job in reversed(jobs):
        found |= _annotations(job)
    return found


def disagreements(
    jobs: Sequence[Job], request: UserRequest, workload: Workload | None = None
) -> Iterator[FieldProblem]:
    """What keeps the Jobs, or a workload's sets of pods, from being one gang.

    Args:
        jobs: in order of name.
        request: what their annotations ask for together.
        workload: what the Jobs stand for, if they stand for one.
    """
    if workload is not None:
        yield from _of_workload(workload, jobs, request)
        return
    first = jobs[0]
    for job in jobs:
        where, labels = f"Job {job.metadata.name}, ", job.spec.template.metadata.labels
        named = job.metadata.labels.get(GANG_LABEL)
        if named is not None and labels.get(GANG_LABEL) != named:
            yield FieldProblem(
                f"{where}spec.template.metadata.labels[{GANG_LABEL}]",
                f'is not "{named}" as on the Job, so its pods would not be known as the gang\'s.',
                "Create the Job again, with the admission policies of this version of the chart installed.",
            )
        if job.metadata.labels.get(QUEUE_LABEL) != first.metadata.labels.get(QUEUE_LABEL):
            yield FieldProblem(
                f"{where}metadata.labels[{QUEUE_LABEL}]",
                f"is another queue than that of Job {first.metadata.name} of the same gang.",
                "Give all Jobs of a gang the same queue.",
            )
        if slots_of(job) < 1:
            yield FieldProblem(
                f"{where}spec.parallelism", "is 0, so the gang could never be whole.", "Set it to 1 or more."
            )
    yield from _contradictions(jobs)
    total = sum(map(slots_of, jobs))
    if request.gang_size is None:
        yield FieldProblem(
            f"metadata.annotations[{GANG_SIZE}]",
            "is missing, so it is not known whether all Jobs of the gang are there.",
            f"Write on each how many pods all of them run together: {total:,} if these are all.",
        )
    elif total > request.gang_size:
        counted = ", ".join(f"{job.metadata.name} {slots_of(job):,}" for job in jobs)
        yield FieldProblem(
            f"metadata.annotations[{GANG_SIZE}]",
            f"is {request.gang_size:,}, but its Jobs run {total:,} pods together: {counted}.",
            f"Write {total:,}, or delete the Jobs that do not belong to it.",
        )
    if request.min_slots is not None:
        yield FieldProblem(
            f"metadata.annotations[{MIN_SLOTS}]",
            "is on a gang of several Jobs, which starts whole or not at all.",
            "Remove it.",
        )


def _of_workload(workload: Workload, jobs: Sequence[Job], request: UserRequest) -> Iterator[FieldProblem]:
    yield from workload.reading.problems
    queue = workload.metadata.labels.get(QUEUE_LABEL)
    for job in jobs:
        if job.spec.template.metadata.labels.get(QUEUE_LABEL) != queue:
            yield FieldProblem(
                f"{workload.title}, pod template of {job.metadata.name}, metadata.labels[{QUEUE_LABEL}]",
                f'is not "{queue}" as on the {workload.kind.kind}, so its pods would not be known as the gang\'s.',
                "Install the chart's admission policies with this kind in workloads.kinds and create it again.",
            )
    if GANG_LABEL in workload.metadata.labels:
        yield FieldProblem(
            f"metadata.labels[{GANG_LABEL}]",
            f"is on a {workload.kind.kind}, which is a gang of its own.",
            "Remove it, or make Jobs of what is to start together.",
        )
    yield from _contradictions(jobs, f"{workload.title}, pod template of {{}}")
    total = sum(map(slots_of, jobs))
    if request.gang_size not in (None, total):
        yield FieldProblem(
            f"metadata.annotations[{GANG_SIZE}]",
            f"is {request.gang_size:,}, but its pod templates and their replicas make {total:,} pods.",
            "Remove it: the size is read from them.",
        )
    if request.min_slots is not None:
        yield FieldProblem(
            f"metadata.annotations[{MIN_SLOTS}]",
            f"is on a {workload.kind.kind}, which starts whole or not at all.",
            "Remove it.",
        )


def _annotations(job: Job) -> dict[str, str]:
    return {**job.spec.template.metadata.annotations, **job.metadata.annotations}


def _contradictions(jobs: Sequence[Job], called: str = "Job {}") -> Iterator[FieldProblem]:
    said: dict[str, Job] = {}
    for job in jobs:
        mine = _annotations(job)
        for key in REQUEST_KEYS:
            if key not in mine:
                continue
            other = said.setdefault(key, job)
            theirs = _annotations(other)[key]
            if mine[key] != theirs:
                yield FieldProblem(
                    f"{called.format(job.metadata.name)}, metadata.annotations[{key}]",
                    f'is "{mine[key]}", but "{theirs}" on {called.format(other.metadata.name)} of the same gang.',
                    "Write the same on both, or on one of them.",
                )


def groups_of_jobs(
    jobs: Sequence[Job], accelerators: Accelerators, workload: Workload | None = None
) -> list[GangGroup]:
    """One group for each Job that has not ended, in their order.

    Args:
        workload: what the Jobs stand for, if they stand for one.
    """
    open_jobs = [job for job in jobs if job_outcome(job) is None]
    asked = [accelerators.of(job.metadata.namespace, job.spec.template.spec) for job in open_jobs]
    fallback = (next((of[0] for of in asked if of), accelerators.main), 0)
    found = []
    for job, own in zip(open_jobs, asked, strict=True):
        meta, spec = job.metadata, job.spec.template.spec
        resource, number = own or fallback
        of = GangWorkload("batch/v1", "Job", meta.name, meta.uid)
        if workload is not None:
            of = GangWorkload(
                workload.api_version, workload.kind.kind, workload.metadata.name, workload.metadata.uid
            )
        found.append(
            GangGroup(
                meta.name,
                slots_of(job),
                number,
                resource,
                PodClass(spec).digest,
                of,
            )
        )
    return found


def stopped_by(record: GangRecord) -> str | None:
    """Why a gang of several Jobs that has a place gives it up; None if it goes on.

    A Job that is complete stops nobody, be it that it has been deleted since.
    """
    for group, job, how in _each(record):
        name = f"{'Job' if record.workload is None else group.workload.kind} {group.workload.name}"
        if how == "Failed":
            return f"{name} failed, and the gang with it"
        if how is not None:
            continue
        if job is None or job.metadata.deletion_timestamp is not None:
            if record.workload is not None and record.workload.metadata.deletion_timestamp is None:
                return f"{name} has no pods of {group.name} any more"
            return f"{name} was deleted, and the gang stops with it"
        if job.spec.suspend and not suspended_by_us(job):
            if record.workload is not None and record.workload.check is not None:
                return f"{name} may not run: {record.workload.check.held}"
            return f"{name} was suspended by its user, and the gang stops with it"
    return None


def outcome(record: GangRecord) -> str | None:
    """ "Failed" once a Job of several has, "Complete" when all are, else None."""
    found = [how for _, _, how in _each(record)]
    if "Failed" in found:
        return "Failed"
    return "Complete" if found and None not in found else None


def how_it_ended(record: GangRecord) -> str:
    """What to say of a gang of several Jobs that is over."""
    if record.workload is not None:
        how = "failed" if outcome(record) == "Failed" else "is complete"
        return f"{record.workload.title} {how}"
    if outcome(record) != "Failed":
        return "all its Jobs are complete"
    by = ", ".join(name for name, job in record.jobs.items() if job_outcome(job) == "Failed")
    left = ", ".join(name for name, job in record.jobs.items() if job_outcome(job) is None)
    text = f"Job {by} failed" if by else "a Job of it failed"
    return f"{text}; suspended with it: {left}. Delete all Jobs of the gang to start anew" if left else text


def _each(record: GangRecord) -> Iterator[tuple[GangGroup, Job | None, str | None]]:
    """Each group, its Job if it is there, and how that ended."""
    for group, slots in zip(record.groups, slots_by_group(record.groups), strict=True):
        job = record.job_of(group)
        how = record.ended.get(group.workload.uid) if job is None else job_outcome(job)
        if job is None and how is None and record.released.issuperset(slots):
            how = "Complete"  # what was released while the gang has its place was over
        yield group, job, how
