"""What waits and what runs, by queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from rackplane.controller.metrics.families import Section, gauge
from rackplane.core.machine import Machine
from rackplane.core.queues.counting import counted
from rackplane.core.queues.queuefigures import queue_figures
from rackplane.core.queues.waitfigures import wait_figures

__all__ = ["QUEUES", "queue_metrics"]

PHASES: Final = ("Pending", "Held", "Admitted", "Running", "Stopping")

PENDING: Final = gauge(
    "pending_gangs",
    "Gangs that wait for a decision, by queue (empty: it does not exist) and by what they wait for: nodes, "
    "power, budget, liquid, air, profile, quota, reserved (it may not delay others), misfit (waiting does not "
    "help) or other.",
    "queue",
    "cause",
)
PENDING_GPUS: Final = gauge("pending_gpus", "GPUs that gangs ask for which wait for a decision.", "queue")
OLDEST: Final = gauge(
    "oldest_pending_seconds",
    "How long the gang has waited that waits longest; 0 if none waits.",
    "queue",
)
ESTIMATED: Final = gauge(
    "estimated_wait_seconds",
    "Until the next start that is expected in the queue; none where no start is foreseen.",
    "queue",
)
GANGS: Final = gauge(
    "gangs",
    "Gangs by phase: Pending, Held (suspended by their user), Admitted, Running or Stopping.",
    "queue",
    "phase",
)
ACTIVE_GANGS: Final = gauge(
    "admitted_active_gangs",
    "Gangs that hold a place, by HardwareProfile of their nodes. One on nodes of several counts at each.",
    "queue",
    "hardware_profile",
)
ACTIVE_GPUS: Final = gauge(
    "admitted_active_gpus",
    "GPUs that gangs hold, by HardwareProfile.",
    "queue",
    "hardware_profile",
)
USED_GPUS: Final = gauge(
    "queue_used_gpus", "GPUs that count against the quota, of queues below too.", "queue"
)
USED_WATTS: Final = gauge(
    "queue_used_watts", "Nominal watts above idle that count against the quota, of queues below too.", "queue"
)
QUOTA_GPUS: Final = gauge("queue_nominal_quota_gpus", "GPUs of the quota; none where none is set.", "queue")
QUOTA_WATTS: Final = gauge(
    "queue_nominal_quota_watts", "Watts of the quota; none where none is set.", "queue"
)
BORROWED_GPUS: Final = gauge("queue_borrowed_gpus", "GPUs in use above the quota.", "queue")
BORROWED_WATTS: Final = gauge("queue_borrowed_watts", "Watts in use above the quota.", "queue")
SHARE: Final = gauge(
    "queue_share_ratio",
    "Part of what its parent has that counts as the queue's, now and of late, between 0 and 1.",
    "queue",
)

QUEUES: Final = Section(
    "Queues",
    "",
    (
        PENDING,
        PENDING_GPUS,
        OLDEST,
        ESTIMATED,
        GANGS,
        ACTIVE_GANGS,
        ACTIVE_GPUS,
        USED_GPUS,
        USED_WATTS,
        QUOTA_GPUS,
        QUOTA_WATTS,
        BORROWED_GPUS,
        BORROWED_WATTS,
        SHARE,
    ),
)


def queue_metrics(machine: Machine) -> Iterator[Metric]:
    """All of the section; every valid queue has series, with and without gangs."""
    world = machine.world
    queues = world.catalog.queues()
    waits = wait_figures(world)
    yield PENDING.of((key, count) for key, count in sorted(waits.gangs.items()))
    names = sorted({*queues, *waits.gpus})
    yield PENDING_GPUS.of(([name], waits.gpus[name]) for name in names)
    ages = {name: world.now - since for name, since in waits.since.items()}
    yield OLDEST.of(([name], max(0.0, ages.get(name, 0.0))) for name in names)
    yield ESTIMATED.of(([name], max(0.0, at - world.now)) for name, at in sorted(waits.next_start.items()))
    yield _by_phase(machine, queues)
    gangs, gpus = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    if world.state is not None:
        for usage in counted(world):
            for profile, count in usage.profiles:
                gangs[usage.queue, profile] += 1
                gpus[usage.queue, profile] += count
        # A gang without GPUs is on no profile, and holds a place all the same.
        for usage in counted(world):
            if not usage.profiles:
                gangs[usage.queue, ""] += 1
    yield ACTIVE_GANGS.of(sorted(gangs.items()))
    yield ACTIVE_GPUS.of(sorted(gpus.items()))
    figures = queue_figures(world) if world.state is not None else {}
    for family, field in (
        (USED_GPUS, "usedGpus"),
        (USED_WATTS, "usedWatts"),
        (BORROWED_GPUS, "borrowedGpus"),
        (BORROWED_WATTS, "borrowedWatts"),
    ):
        yield family.of(([name], each[field]) for name, each in figures.items())
    yield SHARE.of(([name], each["sharePermille"] / 1000) for name, each in figures.items())
    quotas = {name: queue.spec.quota for name, queue in queues.items()}
    yield QUOTA_GPUS.of(([name], q.gpus) for name, q in quotas.items() if q.gpus is not None)
    yield QUOTA_WATTS.of(([name], q.watts) for name, q in quotas.items() if q.watts is not None)


def _by_phase(machine: Machine, queues: object) -> Metric:
    assert isinstance(queues, dict)
    phases = Counter[tuple[str, str]]()
    for record in machine.gangs.values():
        if record.gang is not None and record.phase in PHASES:
            queue = record.gang.spec.queue
            phases[queue if queue in queues else "", record.phase] += 1
    for name in queues:
        for phase in PHASES:
            phases.setdefault((name, phase), 0)
    return GANGS.of(sorted(phases.items()))
