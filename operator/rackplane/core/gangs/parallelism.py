"""How many pods a Job runs at a time: its user's number, and ours while it runs with fewer slots.

While we hold a Job to fewer pods, its annotations have the number that its user wrote and the one that we wrote. If
`spec.parallelism` is another than ours, somebody has changed it since: then that is the user's number.

Of an Indexed Job whose completions are as many as its parallelism, one index is one rank, and all run at once. To run
fewer of them the API server lets both numbers be changed together, which changes the work: so only if the user says
that the ranks allow it. Of all other Jobs only the parallelism is changed, and the work stays as it is.
"""

from __future__ import annotations

from rackplane.api.labels import (
    COMPLETIONS_EQUAL,
    GRANTED_PARALLELISM,
    KUEUE_COMPLETIONS_EQUAL,
    REQUESTED_PARALLELISM,
)
from rackplane.api.numbers import whole_number
from rackplane.core.gangs.unlike import gpus_of
from rackplane.core.instructions import JobSize
from rackplane.core.objects import GangSpec, Job
from rackplane.engine.placing.growing import allowed_counts

__all__ = [
    "fewest_gpus",
    "fewest_slots",
    "follows",
    "full_size",
    "is_resized",
    "own_parallelism",
    "own_slots",
    "ranks_at_once",
    "size_for",
]


def fewest_slots(spec: GangSpec) -> int:
    """The fewest slots that the gang can run with, in whole segments if it has any."""
    if spec.min_slots is None or spec.groups:
        return spec.slots
    return allowed_counts(spec.min_slots, spec.slots, spec.topology.segment_slots)[0]


def fewest_gpus(spec: GangSpec) -> int:
    """GPUs of the fewest slots that the gang can run with."""
    return gpus_of(spec) * fewest_slots(spec) // spec.slots


def own_parallelism(job: Job) -> int:
    """The parallelism that the Job's user asks for."""
    asked, ours = _number(job, REQUESTED_PARALLELISM), _number(job, GRANTED_PARALLELISM)
    return asked if asked is not None and ours == job.spec.parallelism else job.spec.parallelism


def own_slots(job: Job) -> int:
    """The pods that the Job's user wants to run at a time."""
    completions = job.spec.completions
    if completions is None or follows(job):
        return own_parallelism(job)
    return min(own_parallelism(job), completions)


def ranks_at_once(job: Job) -> bool:
    """Whether all indexes of the Job run at the same time."""
    spec = job.spec
    return (
        spec.completion_mode == "Indexed"
        and spec.completions is not None
        and (spec.completions <= spec.parallelism or spec.completions <= own_parallelism(job))
    )


def follows(job: Job) -> bool:
    """Whether the Job's completions are changed with its parallelism: an index is a rank, and its user allows it."""
    spec = job.spec
    return (
        spec.completion_mode == "Indexed"
        and spec.completions == spec.parallelism
        and (_allowed(job) or spec.completions == _number(job, GRANTED_PARALLELISM))
    )


def size_for(job: Job, slots: int) -> JobSize | None:
    """What the Job must be given to run so many pods at a time; None if it has it."""
    own, together = own_parallelism(job), follows(job)
    if slots >= own_slots(job):
        size = JobSize(own, own if together else None, None)
    else:
        size = JobSize(slots, slots if together else None, own)
    asked, ours = _number(job, REQUESTED_PARALLELISM), _number(job, GRANTED_PARALLELISM)
    noted = size.requested if size.requested is None else size.parallelism
    if (job.spec.parallelism, asked, ours) == (size.parallelism, size.requested, noted):
        return None
    return size


def full_size(job: Job) -> JobSize | None:
    """What gives the Job its user's numbers back; None if it has them."""
    return size_for(job, own_slots(job)) if is_resized(job) else None


def is_resized(job: Job) -> bool:
    """Whether we hold, or held, the Job to fewer pods than its user asks for."""
    annotations = job.metadata.annotations
    return REQUESTED_PARALLELISM in annotations or GRANTED_PARALLELISM in annotations


def _allowed(job: Job) -> bool:
    annotations = {**job.spec.template.metadata.annotations, **job.metadata.annotations}
    return any(
        annotations.get(key, "").strip().lower() == "true"
        for key in (COMPLETIONS_EQUAL, KUEUE_COMPLETIONS_EQUAL)
    )


def _number(job: Job, key: str) -> int | None:
    """What we wrote; None for anything else."""
    number = whole_number(job.metadata.annotations.get(key))
    return number if number and number < 2**31 else None
