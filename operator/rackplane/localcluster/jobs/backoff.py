"""When a failed pod may be replaced: the count of failures since the last success, and a delay that doubles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rackplane.localcluster.objects import Obj, condition, dig, meta, parse_timestamp

LONGEST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Record:
    """Failures of a Job's pods since one succeeded; `last` is when the last of them ended, in seconds."""

    failures: int = 0
    last: float = 0.0

    def with_ends(self, succeeded: Iterable[Obj], failed: Iterable[Obj]) -> Record:
        """The record after pods that ended since. A success forgets the failures before it."""
        good = sorted(finished_at(pod) for pod in succeeded)
        bad = sorted(finished_at(pod) for pod in failed)
        if not good:
            return Record(self.failures + len(bad), bad[-1]) if bad else self
        later = [when for when in bad if when > good[-1]]
        return Record(len(later), later[-1]) if later else Record()

    def remaining(self, now: float, first_seconds: float) -> float:
        """Seconds until the next pod may be created; 0 when it may be now."""
        return remaining(self.failures, self.last, now, first_seconds)


def remaining(failures: int, last: float, now: float, first_seconds: float) -> float:
    """Seconds left of the delay after the last of so many failures in a row."""
    if failures == 0:
        return 0.0
    delay = first_seconds
    for _ in range(failures - 1):
        delay *= 2
        if delay >= LONGEST_SECONDS:
            delay = LONGEST_SECONDS
            break
    return max(0.0, delay - (now - last))


def finished_at(pod: Obj) -> float:
    """When a pod ended, in seconds since the epoch, by the best witness there is.

    All containers' ends; the time it stopped being ready; when its deletion was asked for; its creation.
    """
    ends = _containers_end(pod)
    if ends is not None:
        return ends
    ready = condition(pod, "Ready")
    if ready is not None and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return parse_timestamp(ready["lastTransitionTime"])
    metadata = meta(pod)
    if metadata.get("deletionTimestamp"):
        asked = parse_timestamp(metadata["deletionTimestamp"])
        return asked - int(metadata.get("deletionGracePeriodSeconds") or 0)
    return parse_timestamp(metadata["creationTimestamp"])


def _containers_end(pod: Obj) -> float | None:
    sidecars = {
        container.get("name")
        for container in dig(pod, "spec", "initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    inits = dig(pod, "status", "initContainerStatuses") or ()
    latest = _latest(None, dig(pod, "status", "containerStatuses") or ())
    return _latest(latest, [status for status in inits if status.get("name") in sidecars])


def _latest(known: float | None, statuses: Iterable[Obj]) -> float | None:
    for status in statuses:
        when = dig(status, "state", "terminated", "finishedAt")
        if not when:
            return None
        end = parse_timestamp(when)
        known = end if known is None else max(known, end)
    return known
