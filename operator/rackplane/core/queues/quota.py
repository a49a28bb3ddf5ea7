"""Quota of queues, up through their parents, and budgets that bind queues or namespaces."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from rackplane.api.queue import Queue, QueueQuota
from rackplane.core.site.budgets import GroupBudget
from rackplane.engine.explaining.times import when
from rackplane.engine.queueing.quotas import (
    GPUS,
    WATTS,
    Amounts,
    Limit,
    QueueSpec,
    QuotaTree,
    amounts_of,
    profile_of,
    profile_resource,
)
from rackplane.engine.queueing.words import sentence

__all__ = [
    "QuotaRefusal",
    "Usage",
    "budget_refusal",
    "group_watts",
    "queue_path",
    "queue_spec",
    "quota_refusal",
    "usage_by",
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


def usage_by(booking: str, queue: str, amounts: Amounts) -> Usage:
    """What a gang counts, from the amounts by resource."""
    profiles = tuple((name, n) for resource, n in sorted(amounts.items()) if (name := profile_of(resource)))
    namespace = booking.partition("/")[0]
    return Usage(queue, namespace, amounts.get(GPUS, 0), amounts.get(WATTS, 0), profiles=profiles)


@dataclass(frozen=True, slots=True)
class QuotaRefusal:
    """Why not, in one sentence with numbers. `of_watts`: at fewer watts the gang might start.

    `of_budget`: a PowerBudget refuses it, not a queue. `resource`: what the queue lacks, "" for a budget.
    """

    message: str
    of_watts: bool
    of_budget: bool = False
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


def budget_refusal(
    asked: Usage,
    *,
    admitted: Iterable[Usage],
    queue: Callable[[str], Queue | None],
    budgets: Iterable[GroupBudget],
    at: float,
) -> QuotaRefusal | None:
    """Why budgets on queues and namespaces do not take this gang, or None if they do.

    Args:
        asked: the gang; GPUs, and nominal watts over idle.
        admitted: what runs at that time, without what is over by then.
        queue: looks a Queue up.
        budgets: PowerBudgets that target queues or namespaces, in force or coming.
        at: when the gang would start, in seconds since the epoch.
    """
    others = list(admitted)
    for budget in budgets:
        over = _over_budget(asked, budget, others=others, queue=queue, at=at)
        if over > 0:
            start = budget.starts_at if budget.starts_at is not None and budget.starts_at > at else None
            coming = "" if start is None else f", in force from {when(start)},"
            return QuotaRefusal(
                f"power budget {budget.name} of {budget.limit_watts / 1000:,.1f} kW{coming} would be exceeded by "
                f"{over / 1000:,.1f} kW" + (" then" if coming else ""),
                of_watts=True,
                of_budget=True,
            )
    return None


def _over_budget(
    asked: Usage,
    budget: GroupBudget,
    *,
    others: Iterable[Usage],
    queue: Callable[[str], Queue | None],
    at: float,
) -> int:
    """By how many watts the gang would break the budget, when it starts or, for one that comes later, then."""
    if budget.ends_at is not None and budget.ends_at <= at:
        return 0
    start = at if budget.starts_at is None else max(at, budget.starts_at)
    running = [u for u in others if start <= at or u.until is None or u.until > start]
    if start > at and asked.until is not None and asked.until <= start:
        return 0
    group = {"queues": budget.queues, "namespaces": budget.namespaces}
    if not group_watts([asked], **group, queue=queue):
        return 0
    return group_watts([*running, asked], **group, queue=queue) - budget.limit_watts


def group_watts(
    usages: Iterable[Usage],
    *,
    queues: Collection[str],
    namespaces: Collection[str],
    queue: Callable[[str], Queue | None],
) -> int:
    """Nominal watts over idle of the gangs in these namespaces, or in these queues or queues below them."""
    return sum(
        u.nominal_watts
        for u in usages
        if u.namespace in namespaces
        or any(level.metadata.name in queues for level in queue_path(u.queue, queue))
    )
