"""The numbers in the status of Queues: of each with all queues below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rackplane.core.queues.counting import counted
from rackplane.core.world import World
from rackplane.engine.queueing.quotas import GPUS, WATTS, profile_of

__all__ = ["NO_QUEUE", "queue_figures"]

NO_QUEUE: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("pending", "oldestWait", "admitted", "usedGpus", "usedWatts")),
    **dict.fromkeys(("borrowedGpus", "borrowedWatts", "profiles", "sharePermille", "usageHistory")),
}


def queue_figures(world: World) -> dict[str, dict[str, Any]]:
    """By name of the queue."""
    ledger, order = world.ledger, world.waiting.order
    admitted: dict[str, int] = {}
    for usage in counted(world):
        admitted[usage.queue] = admitted.get(usage.queue, 0) + 1
    found: dict[str, dict[str, Any]] = {}
    for queue in ledger.tree:
        name = queue.name
        used, borrowed = ledger.tree.used(name), ledger.tree.borrowed(name)
        profiles = [
            {"profile": profile, "usedGpus": used.get(resource, 0), "borrowedGpus": borrowed.get(resource, 0)}
            for resource in sorted({*used, *ledger.tree.bounded(name)})
            if (profile := profile_of(resource)) is not None
        ]
        found[name] = {
            "pending": 0,
            "oldestWait": None,
            "admitted": 0,
            "usedGpus": used.get(GPUS, 0),
            "usedWatts": used.get(WATTS, 0),
            "borrowedGpus": borrowed.get(GPUS, 0),
            "borrowedWatts": borrowed.get(WATTS, 0),
            "profiles": profiles,
            "sharePermille": int(ledger.shares.share(name, world.now) * 1000),
            "usageHistory": ledger.history(name, world.now),
        }
    for name in found:
        oldest = order.oldest(name)
        for level in ledger.tree.path(name):
            figures = found[level]
            figures["pending"] += order.count(name)
            figures["admitted"] += admitted.get(name, 0)
            figures["oldestWait"] = min(filter(None, (figures["oldestWait"], oldest)), default=None)
    return found
