"""Series of single gangs, for the dashboard of one: off unless asked for, so many at most, and gone with the gang."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from rackplane.controller.metrics.families import Section, gauge, one
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.progress import waits_since
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.world import ACTIVE, World

__all__ = ["GANGS", "gang_metrics"]

_GANG: Final = ("namespace", "gang")

INFO: Final = gauge("gang_info", "Always 1.", *_GANG, "queue", "phase", "power_profile")
SLOTS: Final = gauge("gang_slots", "Slots that it asks for, or runs with.", *_GANG)
PODS: Final = gauge("gang_running_pods", "Its pods that run.", *_GANG)
GPUS: Final = gauge("gang_gpus", "GPUs that it holds; 0 while it waits.", *_GANG)
RACK_GPUS: Final = gauge("gang_rack_gpus", "GPUs that it holds in a rack.", *_GANG, "rack")
RESERVED: Final = gauge("gang_reserved_watts", "Watts that it adds over idle by the books.", *_GANG, "basis")
OBSERVED: Final = gauge(
    "gang_observed_watts",
    "What its nodes draw by telemetry, idle draw included.",
    *_GANG,
    only="where each of its nodes was read last, and holds nothing else",
)
POSITION: Final = gauge(
    "gang_position", "Its place in the order of all that wait; 1 is next.", *_GANG, only="while it waits"
)
WAIT: Final = gauge(
    "gang_wait_seconds", "How long it has waited, or waited for the place that it has.", *_GANG
)
ESTIMATED: Final = gauge(
    "gang_estimated_wait_seconds",
    "Until it could start by what is expected now.",
    *_GANG,
    only="while it waits and a start is foreseen",
)
PERFORMANCE: Final = gauge(
    "gang_performance_ratio",
    "Speed to expect at its power profile, by that without a cap.",
    *_GANG,
    only="while it has a place",
)
LEFT_OUT: Final = gauge("gangs_left_out", "Gangs without series of their own because there are too many.")

GANGS: Final = Section(
    "Single gangs",
    "Off by default: `metrics.gangs.enabled` in the chart, `--gang-metrics`. At most `metrics.gangs.limit` "
    "gangs have series, those with a place first, then the first of the queue; the series are gone when the "
    "gang is over.",
    (
        INFO,
        SLOTS,
        PODS,
        GPUS,
        RACK_GPUS,
        RESERVED,
        OBSERVED,
        POSITION,
        WAIT,
        ESTIMATED,
        PERFORMANCE,
        LEFT_OUT,
    ),
)


def gang_metrics(world: World, limit: int) -> Iterator[Metric]:
    """All of the section, of so many gangs at most."""
    shown, left_out = _chosen(world, limit)
    yield INFO.of(
        ([*r.key, r.gang.spec.queue, r.phase, _profile(r)], 1.0) for r in shown if r.gang is not None
    )
    yield SLOTS.of((r.key, r.target or (r.gang.spec.slots if r.gang is not None else 0)) for r in shown)
    yield PODS.of((r.key, sum(p.status.phase == "Running" for p in r.pods.values())) for r in shown)
    held = {r.key: {} if world.state is None else world.state.held_gpus(booking_key(r.key)) for r in shown}
    yield GPUS.of((key, sum(gpus.values())) for key, gpus in held.items())
    yield RACK_GPUS.of(
        ((*key, rack), gpus) for key, nodes in held.items() for rack, gpus in _by_rack(world, nodes).items()
    )
    placed = [r for r in shown if r.phase in ACTIVE]
    if world.state is not None:
        reserved = {r.key: world.state.reserved(booking_key(r.key)) for r in placed}
        yield RESERVED.of(
            ((*key, basis), watts)
            for key, each in reserved.items()
            for basis, watts in (("nominal", each.nominal_watts), ("peak", each.peak_watts))
        )
    yield OBSERVED.of((r.key, watts) for r in placed if (watts := _observed(world, r)) is not None)
    waits = [r for r in shown if r.phase not in ACTIVE]
    yield POSITION.of((r.key, r.position) for r in waits if r.position is not None)
    yield WAIT.of((r.key, wait) for r in shown if (wait := _wait(world, r)) is not None)
    yield ESTIMATED.of(
        (r.key, max(0.0, r.estimate.at - world.now))
        for r in waits
        if r.estimate is not None and r.estimate.at is not None
    )
    yield PERFORMANCE.of(
        (r.key, percent / 100)
        for r in placed
        if r.gang is not None and (percent := r.gang.status.expected_performance_percent) is not None
    )
    yield LEFT_OUT.of(one(left_out))


def _chosen(world: World, limit: int) -> tuple[list[GangRecord], int]:
    live = [r for r in world.gangs.values() if r.gang is not None and r.phase not in ("Finished", "Failed")]
    live.sort(key=lambda r: (r.phase not in ACTIVE, r.position or len(live) + 1, r.key))
    return live[:limit], max(0, len(live) - limit)


def _profile(record: GangRecord) -> str:
    assert record.gang is not None
    return record.gang.status.power_profile or record.gang.spec.power.profile


def _by_rack(world: World, gpus: object) -> Counter[str]:
    assert isinstance(gpus, dict)
    found = Counter[str]()
    for node, count in gpus.items():
        spec = None if world.state is None else world.state.node(node)
        if spec is not None and spec.rack:
            found[spec.rack] += count
    return found


def _observed(world: World, record: GangRecord) -> int | None:
    if world.observed is None or world.state is None:
        return None
    key = booking_key(record.key)
    nodes = world.state.held_gpus(key)
    alone = all(len(list(world.state.keys_on(node))) == 1 for node in nodes)
    read = [world.observed.nodes.get(node) for node in nodes]
    found = [watts for watts in read if watts is not None]
    return sum(found) if nodes and alone and len(found) == len(read) else None


def _wait(world: World, record: GangRecord) -> float | None:
    since = waits_since(record)
    if since is None or record.gang is None:
        return None
    decision = record.gang.status.decision
    try:
        until = seconds(decision.time) if decision is not None and record.phase in ACTIVE else world.now
    except ValueError:
        return None
    return max(0.0, until - since)
