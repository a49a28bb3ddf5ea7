"""Quota of queues, up through their parents, and budgets that bind queues or namespaces."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from rackplane.api.queue import Queue

__all__ = ["Usage", "group_watts", "queue_path", "quota_refusal"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one admitted gang counts against its queue and namespace."""

    queue: str
    namespace: str
    gpus: int
    nominal_watts: int


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


def quota_refusal(
    asked: Usage,
    *,
    admitted: Iterable[Usage],
    queue: Callable[[str], Queue | None],
    budgets: Iterable[tuple[str, tuple[str, ...], tuple[str, ...], int]],
) -> str | None:
    """Why the queue may not take this gang now, in one sentence with numbers; None if it may.

    Args:
        asked: the gang; GPUs, and nominal watts over idle.
        admitted: what is admitted now.
        queue: looks a Queue up.
        budgets: (name, queues, namespaces, limit in W) of PowerBudgets in force that target those.
    """
    others = list(admitted)
    above = {u.queue: {q.metadata.name for q in queue_path(u.queue, queue)} for u in [*others, asked]}
    for level in queue_path(asked.queue, queue):
        name, quota = level.metadata.name, level.spec.quota
        if quota is None:
            continue
        used_gpus = sum(u.gpus for u in others if name in above[u.queue])
        if quota.gpus is not None and used_gpus + asked.gpus > quota.gpus:
            return (
                f"queue {name} has {quota.gpus - used_gpus} of its {quota.gpus} GPUs left, "
                f"and the gang needs {asked.gpus}"
            )
        used_watts = sum(u.nominal_watts for u in others if name in above[u.queue])
        if quota.watts is not None and used_watts + asked.nominal_watts > quota.watts:
            return (
                f"queue {name} has {(quota.watts - used_watts) / 1000:,.1f} kW of its "
                f"{quota.watts / 1000:,.1f} kW left, and the gang needs {asked.nominal_watts / 1000:,.1f} kW"
            )
    for name, queues, namespaces, limit in budgets:
        if not group_watts([asked], queues=queues, namespaces=namespaces, queue=queue):
            continue
        over = group_watts([*others, asked], queues=queues, namespaces=namespaces, queue=queue) - limit
        if over > 0:
            return f"power budget {name} of {limit / 1000:,.1f} kW would be exceeded by {over / 1000:,.1f} kW"
    return None


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
