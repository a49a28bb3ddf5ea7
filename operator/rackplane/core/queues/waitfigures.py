"""Who waits, in numbers: for metrics. One look at every gang that waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.explaining import CAUSES
from rackplane.core.gangs.progress import waits_since
from rackplane.core.queues.lining_up import look
from rackplane.core.world import World

__all__ = ["WaitFigures", "wait_figures"]


@dataclass(frozen=True, slots=True)
class WaitFigures:
    """By queue; "" for gangs whose queue does not exist."""

    #: (queue, cause) -> gangs
    gangs: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: queue -> GPUs that they ask for
    gpus: Counter[str] = field(default_factory=Counter)
    #: queue -> since when the one waits that waits longest, in seconds since the epoch
    since: dict[str, float] = field(default_factory=dict)
    #: queue -> the next start that is expected, in seconds since the epoch
    next_start: dict[str, float] = field(default_factory=dict)


def wait_figures(world: World) -> WaitFigures:
    """What there is of each queue; one without gangs that wait is in none of them."""
    look(world)
    found, waiting = WaitFigures(), world.waiting
    for key in waiting.order:
        place, record = waiting.order.get(key), world.gangs[key]
        assert place is not None and record.gang is not None
        spec = record.gang.spec
        queue = spec.queue if world.catalog.queue(spec.queue) is not None else ""
        answer = waiting.answer(place.line, end_of_start(world, record, world.now))
        why = record.reason if answer is None else answer.wait.reason
        found.gangs[queue, CAUSES.get(why, "other")] += 1
        found.gpus[queue] += sum(g.slots * g.gpus_per_slot for g in spec.groups or (spec,))
        since = waits_since(record)
        if since is not None:
            found.since[queue] = min(since, found.since.get(queue, since))
        at = None if record.estimate is None else record.estimate.at
        if at is not None:
            found.next_start[queue] = min(at, found.next_start.get(queue, at))
    return found
