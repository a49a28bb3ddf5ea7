"""`rackplane operator`: everything wired together, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import structlog

from rackplane import __version__
from rackplane.api.fabric import parse_fabric
from rackplane.controller.actuators.endpoint import PowerEndpoint
from rackplane.controller.collecting import collected
from rackplane.controller.executor import Executor
from rackplane.controller.facility import FacilityWatch, Seen
from rackplane.controller.floorplan.watch import FloorPlanWatch
from rackplane.controller.informers import core_informers
from rackplane.controller.kueue.join import KueueJoin
from rackplane.controller.kueue.watch import kueue_informers
from rackplane.controller.leadership import Leadership
from rackplane.controller.metrics import Metrics
from rackplane.controller.metrics.looplag import watch_loop
from rackplane.controller.parts import Parts
from rackplane.controller.reports.desk import Desk
from rackplane.controller.runtime import Runtime
from rackplane.controller.settings import OperatorSettings
from rackplane.core import events as e
from rackplane.core.instructions import Instruction, SendCap
from rackplane.core.machine import Machine
from rackplane.core.settings import Confirmation, Defragmentation, MachineSettings, Shedding, parse_conditions
from rackplane.core.workloads.kinds import kinds_named
from rackplane.kube.client import Client, KubeClient
from rackplane.kube.informer import Informer
from rackplane.kube.leader import Elector

__all__ = ["Operator", "Surroundings", "run"]

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process takes from the world besides the API server; tests have their own."""

    wall: Callable[[], float] = time.time
    """Seconds since the epoch. It may be set forward or back."""

    monotonic: Callable[[], float] = time.monotonic

    random: Random = field(default_factory=Random)
    """Spreads the ends of watches and the pauses after failures."""

    watch_facility: Callable[[Seen], Awaitable[None]] | None = None
    """Tells changes of the facility until cancelled; None: kopf does."""


class Operator:
    """One operator process on a connected client; `run` it, `stop` it.

    Several can live in one event loop, as the tests and the demo have it.
    """

    def __init__(
        self, *, settings: OperatorSettings, client: Client, surroundings: Surroundings | None = None
    ) -> None:
        self.settings = settings
        self._around = surroundings or Surroundings()
        self.machine = Machine(
            stopwatch=time.perf_counter,
            settings=MachineSettings(
                validate=settings.validate,
                observe=settings.mode == "Observe",
                taint_nodes=settings.taint_nodes,
                node_loss_seconds=settings.node_loss_seconds,
                lost_node_conditions=parse_conditions(settings.lost_node_conditions),
                admit_after_loss=settings.admit_after_loss,
                shedding=Shedding(settings.shedding),
                shed_protected=settings.shed_protected,
                actuation_seconds=settings.actuation_seconds,
                emergency_admission=settings.emergency_admission,
                emergency_margin_seconds=settings.emergency_margin_seconds,
                confirmation=Confirmation(settings.confirmation),
                send_caps=bool(settings.power_endpoint),
                telemetry=bool(settings.telemetry_url),
                restore_seconds=settings.restore_seconds,
                ramp_watts_per_second=(
                    settings.ramp_watts_per_second if math.isfinite(settings.ramp_watts_per_second) else None
                ),
                assumed_duration_seconds=settings.assumed_duration_seconds,
                reservations=settings.reservations,
                defragmentation=Defragmentation(settings.defragmentation),
                most_moves=settings.defragmentation_max_moves,
                most_lost_gpu_hours=_finite(settings.defragmentation_max_gpu_hours),
                moves_per_hour=settings.defragmentation_moves_per_hour,
                lost_gpu_hours_per_hour=_finite(settings.defragmentation_gpu_hours_per_hour),
                least_gain=settings.defragmentation_least_gain,
                domain_gpu_hours=settings.defragmentation_domain_gpu_hours,
                rest_seconds=settings.defragmentation_rest_seconds,
                share_half_life_seconds=settings.share_half_life_seconds,
                lookahead_seconds=settings.lookahead_seconds,
                compute_domains=settings.compute_domains,
                pod_groups=not settings.ignore_pod_groups,
                fabric=parse_fabric(settings.fabric_levels, settings.fabric_labels),
            ),
        )
        self.metrics = Metrics()
        #: The ports of metrics and health, once it listens.
        self.ports = (0, 0)
        #: The port of the endpoint for reports, once it listens; 0: there is none.
        self.reports_port = 0
        #: The port of /debug/decisions, once it listens; 0: it is not served.
        self.decisions_port = 0
        #: The port of the floor plan, once it listens; 0: there is none. And its frames.
        self.ui_port = 0
        self.floor_plan: FloorPlanWatch | None = None
        #: Takes reports of facility events, from HTTP or from within.
        self.desk = Desk(
            client=client,
            elements=lambda: self.machine.world.catalog.elements(),
            count=self.metrics.count_report,
            clock=self._around.wall,
        )
        #: Set once every watched kind has been listed.
        self.ready = asyncio.Event()
        self._client = client
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Make `run` hand over the Lease and return."""
        self._stop.set()

    async def run(self) -> None:
        """Watch, lead when it is our turn, until stopped.

        Raises:
            ExceptionGroup: something that cannot be carried on from; a new process starts afresh.
        """
        settings = self.settings
        async with asyncio.TaskGroup() as tasks:
            leadership: Leadership
            executor = Executor(
                client=self._client,
                elector=(elector := self._elector()),
                feed=lambda event: leadership.outcome(event),
                metrics=self.metrics,
                tasks=tasks,
                concurrency=settings.concurrency,
                clock=self._around.wall,
            )
            endpoint = PowerEndpoint(
                settings.power_endpoint,
                feed=lambda event: runtime.feed(event),
                token_file=settings.power_endpoint_token_file,
                timeout=settings.power_endpoint_timeout_seconds,
            )

            def submit(instruction: Instruction) -> None:
                if isinstance(instruction, SendCap):
                    endpoint.submit(instruction)
                else:
                    executor.submit(instruction)

            def abandon() -> None:
                executor.abandon()
                endpoint.abandon()

            runtime = Runtime(
                machine=self.machine,
                submit=submit,
                metrics=self.metrics,
                clock=self._around.wall,
                monotonic=self._around.monotonic,
                measured=self.machine.measured,
            )
            informers = core_informers(
                self._client,
                runtime.feed,
                kinds=kinds_named(settings.workload_kinds),
                compute_domains=settings.compute_domains,
                pod_groups=not settings.ignore_pod_groups,
                **self._informing,
            )
            kueue = KueueJoin(runtime.feed) if settings.kueue else None
            if kueue is not None:
                informers |= kueue_informers(self._client, kueue, **self._informing)
            facility = FacilityWatch(
                client=self._client,
                kubeconfig=settings.kubeconfig,
                feed=runtime.feed,
                resync=settings.facility_resync_seconds,
                watch=self._around.watch_facility,
                monotonic=self._around.monotonic,
            )
            leadership = Leadership(
                relist=informers["gangs"].relist,
                feed=runtime.feed,
                abandon=abandon,
                ready=self.ready,
            )
            leadership.elector = elector
            parts = Parts(
                settings=settings,
                client=self._client,
                machine=self.machine,
                metrics=self.metrics,
                desk=self.desk,
                ready=self.ready,
                wall=self._around.wall,
                monotonic=self._around.monotonic,
            )
            async with (
                parts.server(runtime, informers, facility, lambda: executor.backlog) as server,
                contextlib.AsyncExitStack() as more,
            ):
                self.ports = server.ports
                runtime.journal = journal = parts.journal()
                if journal.ring is not None:
                    server_of_decisions = parts.decision_server(journal.ring, elector)
                    self.decisions_port = (await more.enter_async_context(server_of_decisions)).port
                if settings.record:
                    runtime.record = more.enter_context(contextlib.closing(parts.recording()))
                if settings.reports_tokens:
                    self.reports_port = (await more.enter_async_context(parts.report_server())).port
                if settings.ui:
                    self.floor_plan = parts.floor_plan()
                    page = await more.enter_async_context(parts.floor_plan_server(self.floor_plan))
                    self.ui_port = page.port
                log.info("started", version=__version__, identity=settings.identity, ports=server.ports)
                watching = [
                    tasks.create_task(informer.run(), name=f"watch {name}")
                    for name, informer in informers.items()
                ]
                watching.append(tasks.create_task(facility.run(), name="facility"))
                watching.append(tasks.create_task(endpoint.run(), name="power endpoint"))
                lag = watch_loop(self.metrics.loop_lag_seconds, monotonic=self._around.monotonic)
                watching.append(tasks.create_task(lag, name="event loop lag"))
                if settings.telemetry_url:
                    watching.append(tasks.create_task(parts.telemetry(runtime).run(), name="telemetry"))
                    watching.append(tasks.create_task(parts.elements().run(), name="telemetry of elements"))
                if self.floor_plan is not None:
                    watching.append(tasks.create_task(self.floor_plan.run(), name="floor plan"))
                if kueue is not None:
                    keeper = parts.keeper(kueue, informers)
                    watching.append(tasks.create_task(keeper.run(), name="admission checks"))
                if settings.discovery:
                    watching.append(tasks.create_task(parts.discoverer().run(), name="discovery"))
                deciding = tasks.create_task(runtime.run(), name="machine")
                leading = tasks.create_task(self._lead(elector, leadership), name="lease")
                syncing = tasks.create_task(self._sync(runtime, informers, facility), name="sync")
                await self._stop.wait()

                # First stop deciding, then let the writes under way end, and only then let a successor begin: the
                # Lease is released by `elector.run` as it ends, and `lost` has dropped what was not sent.
                log.info("stopping")
                syncing.cancel()
                deciding.cancel()
                abandon()
                await executor.drain(settings.shutdown_seconds)
                elector.stop()
                if self.ready.is_set():
                    await leading
                leading.cancel()
                for task in watching:
                    task.cancel()
        log.info("stopped")

    async def _lead(self, elector: Elector, leadership: Leadership) -> None:
        # Who has not seen the cluster yet must not keep the Lease from one who has, nor guess at the lowest term.
        await self.ready.wait()
        await elector.run(leadership.gained, leadership.lost)

    async def _sync(
        self, runtime: Runtime, informers: dict[str, Informer[Any]], facility: FacilityWatch
    ) -> None:
        for informer in informers.values():
            await informer.synced.wait()
        await facility.synced.wait()
        # After everything that the lists fed: the queue keeps the order.
        runtime.feed(e.Synced())
        self.ready.set()
        log.info("synced", objects={name: len(informer.cache) for name, informer in informers.items()})

    def _elector(self) -> Elector:
        settings = self.settings
        return Elector(
            self._client,
            namespace=settings.namespace,
            name=settings.lease_name,
            identity=settings.identity,
            lease_seconds=settings.lease_seconds,
            renew_seconds=settings.lease_renew_seconds,
            retry_seconds=settings.lease_retry_seconds,
            least_term=self._least_term,
            monotonic=self._around.monotonic,
            wall=self._around.wall,
        )

    def _least_term(self) -> int:
        terms = [
            r.gang.status.decision.term
            for r in self.machine.gangs.values()
            if r.gang and r.gang.status.decision
        ]
        return max(terms, default=0) + 1

    @property
    def _informing(self) -> dict[str, Any]:
        return {"random": self._around.random, "monotonic": self._around.monotonic}


def _finite(value: float) -> float | None:
    """Settings say inf where there is no bound."""
    return value if math.isfinite(value) else None


async def run(settings: OperatorSettings) -> None:
    """Connect and run until SIGTERM or SIGINT.

    Raises:
        ApiError: there is no usable configuration.
        ExceptionGroup: as `Operator.run`.
    """
    client = await KubeClient.connect(settings.kubeconfig)
    try:
        operator = Operator(settings=settings, client=client)
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, operator.stop)
                stack.callback(loop.remove_signal_handler, number)
            async with collected():
                await operator.run()
    finally:
        await client.close()
