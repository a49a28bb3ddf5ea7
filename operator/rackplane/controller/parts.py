"""The parts of an operator process that settings turn on or shape, made from what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from rackplane.api.fabric import RACK_LABELS, parse_rack_labels
from rackplane.controller.decisions.access import Access
from rackplane.controller.decisions.journal import Journal, alike
from rackplane.controller.decisions.ring import Ring
from rackplane.controller.decisions.server import DecisionServer, Replica
from rackplane.controller.discovering import Discoverer
from rackplane.controller.facility import FacilityWatch
from rackplane.controller.floorplan.server import FloorPlanServer
from rackplane.controller.floorplan.watch import FloorPlanWatch
from rackplane.controller.http import Health, HttpServer
from rackplane.controller.kueue.active import CheckKeeper
from rackplane.controller.kueue.join import KueueJoin
from rackplane.controller.metrics import MachineCollector, Metrics
from rackplane.controller.recording import Recording
from rackplane.controller.reports.desk import Desk
from rackplane.controller.reports.server import ReportServer, Tokens
from rackplane.controller.runtime import Runtime
from rackplane.controller.settings import OperatorSettings
from rackplane.controller.telemetry.elements import ElementWatch
from rackplane.controller.telemetry.observations import Observations
from rackplane.controller.telemetry.prometheus import Prometheus
from rackplane.controller.telemetry.watch import TelemetryWatch
from rackplane.core import events as e
from rackplane.core.discovery.template import read_template
from rackplane.core.gangs.decisions import key_of
from rackplane.core.machine import Machine
from rackplane.core.site.observed import drifts
from rackplane.kube.client import Client
from rackplane.kube.informer import Informer
from rackplane.kube.leader import Elector

__all__ = ["Parts"]

#: Seconds without a turn of the machine, which ticks every second, after which it counts as hung.
_HUNG_SECONDS = 60.0
#: Of decisions that are kept about so many bytes at most.
_DECISION_BYTES = 8 << 20
#: For so long a rack must draw too much before it drifts.
_DRIFT_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Makes each part; whoever asks for it runs it."""

    settings: OperatorSettings
    client: Client
    machine: Machine
    metrics: Metrics
    desk: Desk
    ready: asyncio.Event
    """Set once every watched kind has been listed."""

    wall: Callable[[], float]
    """Seconds since the epoch. It may be set forward or back."""

    monotonic: Callable[[], float]

    def recording(self) -> Recording:
        """Keeps what the machine is told and asks for."""
        settings = self.settings
        return Recording(
            settings.record,
            self.machine.settings,
            bound=settings.record_mebibytes << 20,
            identity=settings.identity,
            wall=self.wall,
            monotonic=self.monotonic,
        )

    def journal(self) -> Journal:
        """Tells the log what follows from decisions, and keeps the last ones if they are to be served."""
        settings = self.settings
        ring = Ring(entries=settings.decisions_kept, size=_DECISION_BYTES) if settings.decisions else None
        journal = Journal(ring, self.machine.world)
        if ring is not None:
            self.machine.world.trace = journal
        return journal

    def decision_server(self, ring: Ring, elector: Elector) -> DecisionServer:
        """Serves them."""
        settings, waiting = self.settings, self.machine.world.waiting

        def line_of(gang: str) -> Hashable:
            place = waiting.order.get(key_of(gang))
            return None if place is None else alike(place.line)

        return DecisionServer(
            ring=ring,
            access=Access(self.client, monotonic=self.monotonic),
            replica=Replica(
                identity=settings.identity,
                leading=lambda: self.machine.leading,
                leader=lambda: elector.holder,
                line_of=line_of,
            ),
            host=settings.host,
            port=settings.decisions_port,
            tls=settings.decisions_tls,
        )

    def telemetry(self, runtime: Runtime) -> TelemetryWatch:
        """Asks a Prometheus what nodes draw; its metrics are registered."""
        settings = self.settings
        watch = TelemetryWatch(
            Prometheus(settings.telemetry_url, token_file=settings.telemetry_token_file),
            Observations(
                stale_seconds=settings.telemetry_stale_seconds,
                drift_percent=settings.telemetry_drift_percent,
                drift_seconds=_DRIFT_SECONDS,
                drifted=lambda rack: drifts(self.machine.world.catalog.conditions("Rack", rack)),
            ),
            query=settings.telemetry_query,
            label=settings.telemetry_label,
            host_watts=settings.telemetry_host_watts,
            stale_seconds=settings.telemetry_stale_seconds,
            seconds=settings.telemetry_seconds,
            state=lambda: self.machine.state,
            tell=lambda observed: runtime.feed(e.DrawsObserved(observed)),
            wall=self.wall,
            monotonic=self.monotonic,
        )
        self.metrics.registry.register(watch)
        return watch

    def elements(self) -> ElementWatch:
        """Asks it about elements of the facility, and reports what it says."""
        settings = self.settings
        return ElementWatch(
            Prometheus(settings.telemetry_url, token_file=settings.telemetry_token_file),
            self.desk,
            supply_query=settings.telemetry_supply_query,
            state_query=settings.telemetry_state_query,
            leading=lambda: self.machine.leading,
            seconds=settings.telemetry_seconds,
            wall=self.wall,
        )

    def keeper(self, join: KueueJoin, informers: dict[str, Informer[Any]]) -> CheckKeeper:
        """Says of Kueue's AdmissionChecks whether they are answered."""
        return CheckKeeper(
            self.client,
            checks=lambda: join.checks,
            resource=lambda: informers["kueue admissionchecks"].resource,
            has_queue=lambda name: self.machine.world.catalog.queue(name) is not None,
            # Who only observes answers nobody: Kueue gives no quota in vain then.
            leading=lambda: self.machine.leading and not self.machine.settings.observe,
            clock=self.wall,
        )

    def discoverer(self) -> Discoverer:
        """Writes Racks and NVLinkDomains from the labels of nodes."""
        settings, fabric = self.settings, self.machine.settings.fabric
        labels, template = settings.discovery_rack_labels, settings.discovery_rack_template
        return Discoverer(
            self.client,
            nodes=lambda: self.machine.world.nodes.values(),
            fabric=fabric,
            rack_labels=parse_rack_labels(labels, fabric) if labels else RACK_LABELS,
            template=read_template(template) if template else None,
            leading=lambda: self.machine.leading,
            seconds=settings.discovery_seconds,
        )

    def report_server(self) -> ReportServer:
        """Takes reports of facility events over HTTP."""
        settings = self.settings
        return ReportServer(
            desk=self.desk,
            tokens=Tokens(settings.reports_tokens),
            count=self.metrics.count_report,
            ready=self.ready.is_set,
            clock=self.wall,
            host=settings.host,
            port=settings.reports_port,
            tls=settings.reports_tls,
        )

    def floor_plan(self) -> FloorPlanWatch:
        """Takes the floor plan's frames."""
        settings = self.settings
        return FloorPlanWatch(
            self.machine,
            seconds=settings.ui_seconds,
            history_seconds=settings.ui_history_seconds,
            wall=self.wall,
        )

    def floor_plan_server(self, watch: FloorPlanWatch) -> FloorPlanServer:
        """Serves the floor plan."""
        return FloorPlanServer(watch, host=self.settings.ui_host, port=self.settings.ui_port)

    def server(
        self,
        runtime: Runtime,
        informers: dict[str, Informer[Any]],
        facility: FacilityWatch,
        backlog: Callable[[], int],
    ) -> HttpServer:
        """Metrics and probes: of the machine, of each watch by name, and how many writes wait or are under way."""
        settings = self.settings
        watched: dict[str, Any] = {**informers, "facility": facility}
        collector = MachineCollector(
            self.machine,
            watched,
            self.monotonic,
            backlog=backlog,
            gangs=settings.gang_metrics_limit if settings.gang_metrics else 0,
            forget_queues=self.metrics.forget_queues,
        )
        self.metrics.registry.register(collector)
        ages: dict[str, Callable[[], float]] = {
            name: (lambda watch=watch: watch.last_activity)  # type: ignore[misc]
            for name, watch in watched.items()
        }
        ages["machine"] = lambda: runtime.last_turn
        limits = dict.fromkeys(watched, settings.silence_seconds)
        # The facility's kinds are only sure to be heard of when they are listed.
        limits["facility"] = settings.silence_seconds + settings.facility_resync_seconds
        limits["machine"] = _HUNG_SECONDS
        return HttpServer(
            registry=self.metrics.registry,
            health=Health(ages=ages, limits=limits, ready=lambda: self.machine.synced, clock=self.monotonic),
            host=settings.host,
            metrics_port=settings.metrics_port,
            health_port=settings.health_port,
        )
