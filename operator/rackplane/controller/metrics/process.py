"""What one operator process counts as it happens, leader or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from rackplane.api.gang import ShedAction
from rackplane.controller.metrics import deciding
from rackplane.controller.metrics.families import Section, counter, gauge, histogram
from rackplane.core.measuring import Measured, Measurement

__all__ = ["PROCESS", "Metrics"]

#: kube-scheduler's buckets for its algorithm, so that the two can be laid side by side: 1 ms to 16 s.
SECONDS: Final = tuple(0.001 * 2**i for i in range(15))
_LAG: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

BUILD: Final = gauge("build_info", "Version of the operator; always 1.", "version")
LEADER: Final = gauge("leader", "1 if this process decides, 0 if it stands by.")
SYNCED: Final = gauge("synced", "1 once every watched kind has been listed.")
INFORMER_AGE: Final = gauge(
    "informer_age_seconds", "Time since the last sign of life of a watch.", "resource"
)
INFORMER_FORBIDDEN: Final = gauge(
    "informer_forbidden",
    "1 where the operator may not list a kind that it can do without: its workloads are not seen.",
    "resource",
)
INFORMER_OBJECTS: Final = gauge("informer_objects", "Objects that a watch knows of.", "resource")
INFORMER_FAILURES: Final = counter(
    "informer_failures", "Lists and watches that failed, and were tried again.", "resource"
)
API_REQUESTS: Final = counter(
    "api_requests", "Writes sent to the API server, by HTTP status (0: no answer).", "verb", "code"
)
API_SECONDS: Final = histogram(
    "api_request_duration_seconds",
    "Time until the API server answered a write, or until it was given up.",
    "verb",
    buckets=SECONDS,
)
PENDING_WRITES: Final = gauge("pending_writes", "Writes that wait for their turn or are under way.")
EVENTS: Final = counter("events", "Events that the state machine took in.")
TURN_SECONDS: Final = histogram(
    "turn_duration_seconds",
    "Time the state machine took for one batch of events: taking them in, and deciding.",
    buckets=SECONDS,
)
LOOP_LAG: Final = histogram(
    "event_loop_lag_seconds",
    "How much later than asked for the event loop woke up. Everything else waits as long.",
    buckets=_LAG,
)
REPORTS: Final = counter(
    "facility_reports",
    "Reports of facility events over HTTP, by source (empty: nobody known) and result: taken, repeated, "
    "outdated, unused (it says nothing that counts), refused (the answer says why), failed (the API server did "
    "not take it) or unauthorized.",
    "source",
    "result",
)

PROCESS: Final = Section(
    "The process",
    "Every replica tells these. Beside them are `process_*`, `python_gc_*` and `python_info` of prometheus_client.",
    (
        BUILD,
        LEADER,
        SYNCED,
        INFORMER_AGE,
        INFORMER_FORBIDDEN,
        INFORMER_OBJECTS,
        INFORMER_FAILURES,
        API_REQUESTS,
        API_SECONDS,
        PENDING_WRITES,
        EVENTS,
        TURN_SECONDS,
        LOOP_LAG,
        REPORTS,
    ),
)


class Metrics:
    """The counters and histograms of one operator, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.turn_seconds = TURN_SECONDS.observed(self.registry)
        self.loop_lag_seconds = LOOP_LAG.observed(self.registry)
        self._events = EVENTS.counted(self.registry)
        self._requests = API_REQUESTS.counted(self.registry)
        self._request_seconds = API_SECONDS.observed(self.registry)
        self._reports = REPORTS.counted(self.registry)
        self._attempts = deciding.ATTEMPTS.counted(self.registry)
        for result in deciding.RESULTS:
            self._attempts.labels(result)
        self._measured = {
            what: family.observed(self.registry) for what, family in deciding.HISTOGRAMS.items()
        }
        self._counted = {what: family.counted(self.registry) for what, family in deciding.COUNTERS.items()}
        for action in ShedAction:
            self._counted[Measured.SHED].labels(action.value)
        self._queues: set[str] = set()

    def count_turn(self, events: int, seconds: float) -> None:
        """The machine has handled so many events."""
        self._events.inc(events)
        self.turn_seconds.observe(seconds)

    def count_report(self, source: str, result: str) -> None:
        self._reports.labels(source=source, result=result).inc()

    def count_request(self, verb: str, code: int, seconds: float) -> None:
        self._requests.labels(verb=verb, code=str(code)).inc()
        self._request_seconds.labels(verb=verb).observe(seconds)

    def count_attempt(self, result: str) -> None:
        """An attempt to admit a gang has ended (`deciding.RESULTS`)."""
        self._attempts.labels(result=result).inc()

    def measure(self, measurements: Iterable[Measurement]) -> None:
        """What the machine measured."""
        for one in measurements:
            what = one.what
            if what in deciding.BY_QUEUE:
                self._queues.add(one.label)
            if what in self._counted:
                self._counted[what].labels(one.label).inc(one.value)
                continue
            if what is deciding.ATTEMPT and one.label == deciding.INADMISSIBLE:
                self.count_attempt(one.label)
            self._measured[what].labels(one.label).observe(one.value)

    def forget_queues(self, known: Iterable[str]) -> None:
        """Drop the series of queues that there are no more, so that their number stays bounded."""
        gone = self._queues.difference(known)
        self._queues -= gone
        for what in deciding.BY_QUEUE:
            family = self._counted.get(what) or self._measured[what]
            for queue in gone:
                family.remove(queue)
