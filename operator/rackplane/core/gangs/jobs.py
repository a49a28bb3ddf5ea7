"""What of a Job, or of a pod of one, decides the way of its gang."""

from __future__ import annotations

from rackplane.api.labels import SUSPENDED_BY, SUSPENDED_BY_VALUE
from rackplane.core.objects import Job, Pod

__all__ = ["JOBS_PREFIX", "job_outcome", "owner_of", "suspended_by_us"]

#: what the name of a Gang begins with whose Jobs name it
JOBS_PREFIX = "jobs-"


def owner_of(pod: Pod) -> str | None:
    """The uid of the Job that made it; None for a bare pod."""
    return next((o.uid for o in pod.metadata.owner_references if o.controller and o.kind == "Job"), None)


def job_outcome(job: Job) -> str | None:
    """ "Complete" or "Failed" once the Job has ended, else None."""
    for condition in job.status.conditions:
        if condition.status == "True" and condition.type in ("Complete", "Failed"):
            return condition.type
    return None


def suspended_by_us(job: Job) -> bool:
    return job.spec.suspend and job.metadata.annotations.get(SUSPENDED_BY) == SUSPENDED_BY_VALUE
