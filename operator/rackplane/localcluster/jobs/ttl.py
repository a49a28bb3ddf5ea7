"""Deletes Jobs that ended `spec.ttlSecondsAfterFinished` ago, with their pods."""

from __future__ import annotations

from rackplane.localcluster.objects import Obj, dig, is_true, meta, name_of, namespace_of, parse_timestamp
from rackplane.localcluster.objects import condition as condition_of
from rackplane.localcluster.service import Service
from rackplane.localcluster.store import Preconditions


def expiry(job: Obj) -> float | None:
    """When a Job is to be deleted, in seconds since the epoch; None while it has not ended, or without a limit."""
    seconds = dig(job, "spec", "ttlSecondsAfterFinished")
    if seconds is None or meta(job).get("deletionTimestamp"):
        return None
    for kind in ("Complete", "Failed"):
        if is_true(job, kind):
            ended = (condition_of(job, kind) or {}).get("lastTransitionTime")
            return parse_timestamp(str(ended)) + int(seconds) if ended else None
    return None


def expire(service: Service, job: Obj) -> None:
    """Delete a Job in the foreground: it goes after its pods."""
    resource = service.need("batch", "v1", "jobs")
    same = Preconditions(uid=meta(job)["uid"])
    service.delete(resource, namespace_of(job), name_of(job), propagation="Foreground", preconditions=same)
