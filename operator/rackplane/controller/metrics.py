"""Prometheus metrics: what happens is counted as it happens, what is is read from the machine at scrape time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from rackplane import __version__
from rackplane.api.gang import ShedAction
from rackplane.controller.facility_metrics import facility_metrics
from rackplane.core.gangs.decisions import Key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.planned import MOVE_RESULTS
from rackplane.core.queues.tally import Tally
from rackplane.core.settings import MachineSettings
from rackplane.core.site.actuation import BUCKETS, ActuationTimes
from rackplane.engine.state import State

__all__ = ["MachineCollector", "Metrics"]

#: kube-scheduler's buckets for its algorithm, so that the two can be laid side by side: 1 ms to 16 s.
_SECONDS: Final = tuple(0.001 * 2**i for i in range(15))


Labels = TypeVar("Labels", bound=tuple[str, ...])


class Metrics:
    """The counters and histograms of one operator, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.admission_attempts = Counter(
            "rackplane_admission_attempts",
            "Decisions written to a Gang, by result: admitted, or why the write did not count.",
            ["result"],
            registry=self.registry,
        )
        self.api_requests = Counter(
            "rackplane_api_requests",
            "Writes sent to the API server, by verb and HTTP status (0: no answer).",
            ["verb", "code"],
            registry=self.registry,
        )
        self.decision_seconds = Histogram(
            "rackplane_decision_duration_seconds",
            "Time the state machine took for one batch of events.",
            buckets=_SECONDS,
            registry=self.registry,
        )

        self.facility_reports = Counter(
            "rackplane_facility_reports",
            "Reports of facility events over HTTP, by source (empty: nobody known) and result: taken, repeated, "
            "outdated, unused (it says nothing that counts), refused (the answer says why), failed (the API server did "
            "not take it) or unauthorized.",
            ["source", "result"],
            registry=self.registry,
        )

    def count_report(self, source: str, result: str) -> None:
        self.facility_reports.labels(source=source, result=result).inc()

    def count_request(self, verb: str, code: int) -> None:
        self.api_requests.labels(verb=verb, code=str(code)).inc()


class Observed(Protocol):
    """`rackplane.core.machine.Machine`, as far as reading it goes."""

    @property
    def leading(self) -> bool: ...
    @property
    def synced(self) -> bool: ...
    @property
    def state(self) -> State | None: ...
    @property
    def settings(self) -> MachineSettings: ...
    @property
    def actuation(self) -> ActuationTimes | None: ...
    @property
    def gangs(self) -> Mapping[Key, GangRecord]: ...
    @property
    def tally(self) -> Tally: ...
    def pending_by_cause(self) -> Mapping[tuple[str, str], int]: ...
    @property
    def move_results(self) -> Mapping[str, int]: ...
    @property
    def gangs_on_lost_nodes(self) -> int: ...
    @property
    def emergency_ratings_used(self) -> int: ...


class Watched(Protocol):
    """Something that hears from the API server."""

    @property
    def last_activity(self) -> float: ...
    @property
    def forbidden(self) -> bool: ...


class MachineCollector(Collector):
    """Reads a machine when it is scraped: nothing is kept twice, so nothing can drift.

    Scrapes run on the event loop that owns the machine, so the state is never read in the middle of a change.

    Args:
        machine: what is read.
        informers: by the name of their resource; `last_activity` is monotonic.
    """

    def __init__(
        self,
        machine: Observed,
        informers: Mapping[str, Watched],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine = machine
        self._informers = informers
        self._monotonic = monotonic

    def describe(self) -> Iterable[Metric]:
        # Without this the registry would call `collect` to learn the names, before the machine has a state.
        return ()

    def collect(self) -> Iterator[Metric]:
        machine = self._machine
        yield InfoMetricFamily("rackplane_build", "Version of the operator.", value={"version": __version__})
        yield _gauge("rackplane_leader", "1 if this process decides, 0 if it stands by.", machine.leading)
        yield _gauge("rackplane_synced", "1 once every watched kind has been listed.", machine.synced)
        ages = GaugeMetricFamily(
            "rackplane_informer_age_seconds", "Time since the last sign of life.", labels=["resource"]
        )
        now = self._monotonic()
        for name, informer in self._informers.items():
            ages.add_metric([name], max(0.0, now - informer.last_activity))
        yield ages
        forbidden = GaugeMetricFamily(
            "rackplane_informer_forbidden",
            "1 where the operator may not list a kind that it can do without: its workloads are not seen.",
            labels=["resource"],
        )
        for name, informer in self._informers.items():
            forbidden.add_metric([name], informer.forbidden)
        yield forbidden
        waiting = GaugeMetricFamily(
            "rackplane_pending_gangs",
            "Gangs that wait for a decision, by queue (empty: it does not exist) and by what they wait for: nodes, "
            "power, budget, liquid, air, profile, quota, reserved (it may not delay others), misfit (waiting "
            "does not help) or other.",
            labels=["queue", "cause"],
        )
        for (queue, cause), count in sorted(machine.pending_by_cause().items()):
            waiting.add_metric([queue, cause], count)
        yield waiting
        moves = CounterMetricFamily(
            "rackplane_defragmentation_moves",
            "Gangs that were to be moved, by what became of them: placed (in the new place), released (the new place "
            "was lost, and it queued like any other), back (in the old place), given up (it was not stopped).",
            labels=["result"],
        )
        for result in MOVE_RESULTS:
            moves.add_metric([result], machine.move_results.get(result, 0))
        yield moves
        admitted = sum(record.decision is not None for record in machine.gangs.values())
        yield _gauge("rackplane_admitted_gangs", "Gangs that hold a decision.", admitted)
        yield from _stops(machine.tally)
        shed = GaugeMetricFamily(
            "rackplane_shed_gangs",
            "Running gangs that give way while an element is over its limit, by what is done: Cap or Stop.",
            labels=["action"],
        )
        statuses = [record.gang.status.shed for record in machine.gangs.values() if record.gang is not None]
        for action in ShedAction:
            shed.add_metric([action], sum(each is not None and each.action == action for each in statuses))
        yield shed
        if machine.actuation is not None:
            yield from _actuation(machine.actuation, machine.settings.actuation_seconds)
        if machine.settings.emergency_admission:
            yield _gauge(
                "rackplane_emergency_ratings_used",
                "Power domains that a loss may take up to their emergency ratings, because caps are in force in time.",
                machine.emergency_ratings_used,
            )
        yield _gauge(
            "rackplane_gangs_on_lost_nodes",
            "Gangs with a place of which some slots are on nodes that are gone, not ready or broken.",
            machine.gangs_on_lost_nodes,
        )
        state = machine.state
        if state is not None:
            yield from facility_metrics(state)


def _stops(tally: Tally) -> Iterator[Metric]:
    """What was stopped since this process began to lead; names as Kueue's where they mean the same."""
    whose = ["preempting_queue", "queue", "reason"]
    yield _counter(
        "rackplane_preempted_gangs",
        "Gangs stopped for others, by the queue that it was done for, their own, and the reason of their Event: "
        "Preempted (in the same queue) or Reclaimed (quota taken back).",
        whose,
        tally.preempted,
    )
    yield _counter(
        "rackplane_shrunk_gangs",
        "Elastic gangs that gave some of their slots up for others, by the same.",
        whose,
        tally.smaller,
    )
    yield _counter(
        "rackplane_preempted_gpu_seconds",
        "Work lost by gangs stopped for others, or made smaller: the GPUs that they give up times the time since their "
        "last checkpoint, and the restart.",
        whose,
        tally.lost_gpu_seconds,
    )
    yield _counter(
        "rackplane_preemption_plans",
        "Places held for a gang while others are stopped for it, by its queue and how that ended: started, abandoned "
        "(nobody was stopped yet), or given_up (somebody was).",
        ["queue", "result"],
        tally.plans,
    )
    yield _counter(
        "rackplane_node_loss_repairs",
        "Gangs that have got over the loss of nodes, by queue and result: swapped (other nodes took their slots), "
        "shrunk (an elastic gang runs without them) or moved (the whole gang was stopped and queued again).",
        ["queue", "result"],
        tally.repaired,
    )
    yield _counter(
        "rackplane_evicted_gangs",
        "Gangs that gave their place up before they were over, by queue and the reason of their Event.",
        ["queue", "reason"],
        tally.evicted,
    )


def _counter(name: str, text: str, labels: list[str], counts: Mapping[Labels, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, float(count))
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _actuation(times: ActuationTimes, assumed: float) -> Iterator[Metric]:
    counts = accumulate(times.counts)
    yield HistogramMetricFamily(
        "rackplane_cap_actuation_seconds",
        "Time from the writing of a lower power cap until it was confirmed, by node; what was not in time is in +Inf "
        "and not in the sum.",
        buckets=[
            ("+Inf" if math.isinf(most) else str(most), count)
            for most, count in zip(BUCKETS, counts, strict=True)
        ],
        sum_value=times.total_seconds,
    )
    yield _gauge(
        "rackplane_cap_actuation_p99_seconds",
        "99th percentile of the latest of these; what is set counts until enough have been measured.",
        times.p99(assumed),
    )
