"""What gangs count against the quota of their queues, up through the parents, and what is said where it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rackplane.api.queue import Queue, QueueQuota
from rackplane.engine.queueing.quotas import (
    GPUS,
    WATTS,
    Limit,
    QueueSpec,
    QuotaTree,
    amounts_of,
    profile_resource,
)
from rackplane.engine.queueing.words import sentence
from rackplane.engine.values import dataclass

__all__ = [
    "QuotaRefusal",
    "Usage",
    "queue_path",
    "queue_spec",
    "quota_refusal",
]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one admitted gang counts against its queue and namespace."""

    queue: str
    namespace: str
    gpus: int
    nominal_watts: int
    #: when it is expected to be over, in seconds since the epoch; None: not foreseen
    until: float | None = None
    #: GPUs by HardwareProfile, as far as it is known where they are
    profiles: tuple[tuple[str, int], ...] = ()

    def amounts(self) -> dict[str, int]:
        """The same by resource of the quotas."""
        return amounts_of(self.gpus, self.nominal_watts, dict(self.profiles))


@dataclass(frozen=True, slots=True)
class QuotaRefusal:
    """Why not, in one sentence with numbers. `of_watts`: at fewer watts the gang might start.

    `budget`: the PowerBudget that refuses it, "" if a queue does. `resource`: what the queue lacks, "" for a budget.
    """

    message: str
    of_watts: bool
    budget: str = ""
    resource: str = ""


def queue_spec(queue: Queue) -> QueueSpec:
    """A Queue as the quotas take it."""
    spec = queue.spec
    return QueueSpec(queue.metadata.name, spec.parent, dict(_limits(spec.quota)), spec.weight)


def _limits(quota: QueueQuota) -> Iterator[tuple[str, Limit]]:
    for resource, limit in (
        (GPUS, Limit(quota.gpus, quota.borrowing_limit_gpus, quota.lending_limit_gpus)),
        (WATTS, Limit(quota.watts, quota.borrowing_limit_watts, quota.lending_limit_watts)),
        *(
            (profile_resource(p.profile), Limit(p.gpus, p.borrowing_limit_gpus, p.lending_limit_gpus))
            for p in quota.profiles
        ),
    ):
        if limit != Limit():
            yield resource, limit


def queue_path(name: str, queue: Callable[[str], Queue | None]) -> Iterator[Queue]:
    """The queue and its parents, nearest first; a cycle of parents ends where it closes."""
    seen: set[str] = set()
    current: str | None = name
    while current is not None and current not in seen:
        seen.add(current)
        found = queue(current)
        if found is None:
            return
        yield found
        current = found.spec.parent


def quota_refusal(asked: Usage, tree: QuotaTree) -> QuotaRefusal | None:
    """Why the queue may not take this gang beside what the tree holds, or None if it may."""
    short = tree.check(asked.queue, asked.amounts())
    if short is None:
        return None
    return QuotaRefusal(sentence(short), of_watts=short.resource == WATTS, resource=short.resource)
