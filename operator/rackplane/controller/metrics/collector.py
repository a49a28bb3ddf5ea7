"""Reads a machine when it is scraped: nothing is kept twice, so nothing can drift."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Protocol

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from rackplane import __version__
from rackplane.controller.metrics import process
from rackplane.controller.metrics.elements import element_metrics
from rackplane.controller.metrics.families import one
from rackplane.controller.metrics.gangs import gang_metrics
from rackplane.controller.metrics.levels import Levels, domain_metrics
from rackplane.controller.metrics.orders import order_metrics
from rackplane.controller.metrics.queues import queue_metrics
from rackplane.controller.metrics.stops import stop_metrics
from rackplane.controller.metrics.telemetry import observed_metrics
from rackplane.controller.metrics.trouble import trouble_metrics
from rackplane.core.machine import Machine
from rackplane.engine.reporting.reports import FacilityReport
from rackplane.engine.reporting.stranded import stranded
from rackplane.engine.state import State

__all__ = ["MachineCollector"]


class Watched(Protocol):
    """Something that hears from the API server."""

    @property
    def last_activity(self) -> float: ...
    @property
    def forbidden(self) -> bool: ...
    @property
    def objects(self) -> int: ...
    @property
    def failures(self) -> int: ...


class MachineCollector(Collector):
    """What one process knows.

    Only the leader tells of gangs, queues and the facility: a standby knows the same, and two who say it would be
    added up. Scrapes run on the event loop that owns the machine, so the state is never read in the middle of a change;
    events may be handled between any two metrics that are yielded. What follows from the state alone is made anew only
    when that has changed.

    Args:
        machine: what is read.
        watched: by the name of their resource; `last_activity` is monotonic.
        backlog: writes that wait or are under way.
        gangs: so many gangs at most have series of their own.
        forget_queues: told which queues there are.
    """

    def __init__(
        self,
        machine: Machine,
        watched: Mapping[str, Watched],
        monotonic: Callable[[], float] = time.monotonic,
        *,
        backlog: Callable[[], int] = lambda: 0,
        gangs: int = 0,
        forget_queues: Callable[[Iterable[str]], None] = lambda _: None,
    ) -> None:
        self._machine = machine
        self._watched = watched
        self._monotonic = monotonic
        self._backlog = backlog
        self._gangs = gangs
        self._forget_queues = forget_queues
        self._levels = Levels(monotonic)
        self._stamp: tuple[int, int] | None = None
        self._report: FacilityReport | None = None
        self._facility: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        # Without this the registry would call `collect` to learn the names, before the machine has a state.
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._health()
        machine = self._machine
        if not machine.leading:
            self._stamp, self._report, self._facility = None, None, []
            return
        self._forget_queues(machine.world.catalog.queues())
        yield from list(queue_metrics(machine))
        yield from list(stop_metrics(machine))
        yield from list(trouble_metrics(machine.world))
        if self._gangs:
            yield from list(gang_metrics(machine.world, self._gangs))
        state = machine.state
        if state is None:
            return
        levels = self._levels.follow(state, machine.world.stamp)
        for metric in self._of_state(state):
            yield metric
            # One level after each metric: what happens is handled in between.
            next(levels, None)
        for _ in levels:
            continue
        yield from list(self._levels.metrics())

    def _health(self) -> Iterator[Metric]:
        machine, now = self._machine, self._monotonic()
        yield InfoMetricFamily("rackplane_build", process.BUILD.text, value={"version": __version__})
        yield process.LEADER.of(one(machine.leading))
        yield process.SYNCED.of(one(machine.synced))
        watched = self._watched.items()
        yield process.INFORMER_AGE.of(([n], max(0.0, now - w.last_activity)) for n, w in watched)
        yield process.INFORMER_FORBIDDEN.of(([n], w.forbidden) for n, w in watched)
        yield process.INFORMER_OBJECTS.of(([n], w.objects) for n, w in watched)
        yield process.INFORMER_FAILURES.of(([n], w.failures) for n, w in watched)
        yield process.PENDING_WRITES.of(one(self._backlog()))

    def _of_state(self, state: State) -> Iterator[Metric]:
        world = self._machine.world
        stamp, report, made = world.stamp, self._report, self._facility
        if self._stamp != stamp or report is None:
            report, made = state.report(), []
            for metric in chain(element_metrics(report, stranded(state)), list(domain_metrics(state))):
                made.append(metric)
                yield metric
            self._stamp, self._report, self._facility = stamp, report, made
        else:
            yield from made
        yield from list(order_metrics(world, report.budgets))
        if world.observed is not None:
            yield from list(observed_metrics(state, world.observed))
