"""What was stopped, moved, repaired and shed; names as Kueue's where they mean the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client.core import HistogramMetricFamily, Metric

from rackplane.api.gang import ShedAction
from rackplane.controller.metrics import deciding
from rackplane.controller.metrics.families import Section, counter, gauge, histogram, one
from rackplane.core.gangs import stopping
from rackplane.core.machine import Machine
from rackplane.core.measuring import Measured
from rackplane.core.queues import preempting
from rackplane.core.queues.planned import MOVE_RESULTS
from rackplane.core.queues.tally import ABANDONED, GIVEN_UP, STARTED
from rackplane.core.site.actuation import BUCKETS, ActuationTimes

__all__ = ["STOPS", "stop_metrics"]

Labels = TypeVar("Labels", bound=tuple[str, ...])

_WHOSE: Final = ("preempting_queue", "queue", "reason")

PREEMPTED: Final = counter(
    "preempted_gangs",
    "Gangs stopped for others, by the queue that it was done for, their own, and the reason of their Event: "
    "Preempted (in the same queue) or Reclaimed (quota taken back).",
    *_WHOSE,
)
SHRUNK: Final = counter(
    "shrunk_gangs", "Elastic gangs that gave some of their slots up for others, by the same.", *_WHOSE
)
LOST: Final = counter(
    "preempted_gpu_seconds",
    "Work lost by gangs stopped for others, or made smaller: the GPUs that they give up times the time since "
    "their last checkpoint, and the restart.",
    *_WHOSE,
)
PLANS: Final = counter(
    "preemption_plans",
    "Places held for a gang while others are stopped for it, by its queue and how that ended: started, "
    "abandoned (nobody was stopped yet), or given_up (somebody was).",
    "queue",
    "result",
)
REPAIRS: Final = counter(
    "node_loss_repairs",
    "Gangs that have got over the loss of nodes, by queue and result: swapped (other nodes took their slots), "
    "shrunk (an elastic gang runs without them) or moved (the whole gang was stopped and queued again).",
    "queue",
    "result",
)
EVICTED: Final = counter(
    "evicted_gangs",
    "Gangs that gave their place up before they were over, by queue and the reason of their Event.",
    "queue",
    "reason",
)
MOVES: Final = counter(
    "defragmentation_moves",
    "Gangs that were to be moved, by what became of them: placed (in the new place), released (the new place "
    "was lost, and it queued like any other), back (in the old place), given up (it was not stopped).",
    "result",
)
ON_LOST: Final = gauge(
    "gangs_on_lost_nodes",
    "Gangs with a place of which some slots are on nodes that are gone, not ready or broken.",
)
SHED: Final = gauge(
    "shed_gangs",
    "Running gangs that give way while an element is over its limit, by what is done: Cap or Stop.",
    "action",
)
OVERLOADED: Final = gauge(
    "overloaded_elements", "Elements that are over a limit in the state as it is, by kind.", "kind"
)
ACTUATION: Final = histogram(
    "cap_actuation_seconds",
    "Time from the writing of a lower power cap until it was confirmed, by node; what was not in time is in "
    "+Inf and not in the sum.",
    buckets=BUCKETS[:-1],
    only="where somebody confirms caps",
)
ACTUATION_P99: Final = gauge(
    "cap_actuation_p99_seconds",
    "99th percentile of the latest of these; what is set counts until enough have been measured.",
    only="where somebody confirms caps",
)
CAP_FAILURES: Final = counter(
    "cap_failures",
    "Lower power caps that were not confirmed in time, by node.",
    only="where somebody confirms caps",
)
EMERGENCY: Final = gauge(
    "emergency_ratings_used",
    "Power domains that a loss may take up to their emergency ratings, because caps are in force in time.",
    only="with `shedding.emergencyAdmission`",
)

STOPS: Final = Section(
    "Stopped, moved, repaired, shed",
    "Counters begin at 0 when a process begins to lead.",
    (
        PREEMPTED,
        SHRUNK,
        LOST,
        PLANS,
        EVICTED,
        REPAIRS,
        ON_LOST,
        MOVES,
        deciding.COUNTERS[Measured.SHED],
        SHED,
        OVERLOADED,
        ACTUATION,
        ACTUATION_P99,
        CAP_FAILURES,
        EMERGENCY,
    ),
)


def stop_metrics(machine: Machine) -> Iterator[Metric]:
    """All of the section but for `sheds_total`, which is counted as it happens."""
    tally, queues = machine.tally, list(machine.world.catalog.queues())
    # An increase from nothing is none to Prometheus: what may well be counted is told as 0 before.
    own = [(queue, queue, preempting.PREEMPTED) for queue in queues]
    yield PREEMPTED.of(_sorted(tally.preempted, own))
    yield SHRUNK.of(_sorted(tally.smaller, own))
    yield LOST.of(_sorted(tally.lost_gpu_seconds, own))
    yield PLANS.of(_sorted(tally.plans, [(q, r) for q in queues for r in (STARTED, ABANDONED, GIVEN_UP)]))
    reasons = (preempting.PREEMPTED, preempting.RECLAIMED, stopping.NODE_LOST, stopping.SHED)
    yield EVICTED.of(_sorted(tally.evicted, [(q, r) for q in queues for r in reasons]))
    yield REPAIRS.of(
        _sorted(tally.repaired, [(q, r) for q in queues for r in ("swapped", "shrunk", "moved")])
    )
    yield ON_LOST.of(one(machine.gangs_on_lost_nodes))
    yield MOVES.of(([result], machine.move_results.get(result, 0)) for result in MOVE_RESULTS)
    records = [machine.gangs[key] for key in machine.world.shed if key in machine.gangs]
    told = [r.gang.status.shed for r in records if r.gang is not None]
    yield SHED.of(
        ([action.value], sum(each is not None and each.action == action for each in told))
        for action in ShedAction
    )
    yield OVERLOADED.of(([kind], count) for kind, count in machine.world.overloads.by_kind().items())
    if machine.actuation is not None:
        yield _actuation(machine.actuation)
        yield ACTUATION_P99.of(one(machine.actuation.p99(machine.settings.actuation_seconds)))
        yield CAP_FAILURES.of(one(machine.actuation.counts[-1]))
    if machine.settings.emergency_admission:
        yield EMERGENCY.of(one(machine.emergency_ratings_used))


def _sorted(counts: Mapping[Labels, int], expected: Iterable[Labels]) -> list[tuple[Labels, float]]:
    """The counts, and 0 for what is expected and was not counted yet."""
    every = {**dict.fromkeys(expected, 0), **counts}
    return [(labels, float(count)) for labels, count in sorted(every.items())]


def _actuation(times: ActuationTimes) -> Metric:
    counts = accumulate(times.counts)
    return HistogramMetricFamily(
        ACTUATION.name,
        ACTUATION.text,
        buckets=[
            ("+Inf" if math.isinf(most) else str(most), count)
            for most, count in zip(BUCKETS, counts, strict=True)
        ],
        sum_value=times.total_seconds,
    )
