"""Gangs that were capped get their power profile back: when there has been room for it for a while, one by one.

Highest priority first, then whoever gave way first; each only as far as every limit is kept after every loss, as at an
admission, and no faster than the ramp allows. The load counts at the higher profile before it is written, and the caps
of the nodes are lifted after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rackplane.api.gang import ShedAction
from rackplane.core.gangs.booking import count_at
from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import condition, rated
from rackplane.core.gangs.writing import conditions_of, gang_event, may_write, write
from rackplane.core.instructions import Instruction
from rackplane.core.queues.priorities import standing
from rackplane.core.shedding.placements import POWER_CAPPED, at_profile, speed_at
from rackplane.core.world import World
from rackplane.engine.model import Placement
from rackplane.engine.physics.draw import find_cap
from rackplane.engine.placing.keeping import keeps_limits
from rackplane.engine.state import State

__all__ = ["Restoring"]


class Restoring:
    """Since when there has been room for whom, and how many watts' worth of caps may be lifted."""

    def __init__(self) -> None:
        self._room_since: dict[Key, float] = {}
        self._lifted_at = -math.inf
        self._seen: tuple[int, int] | None = None
        self._due = -math.inf

    def run(self, world: World) -> Iterator[Instruction]:
        """The writes that lift caps now."""
        if world.state is None or (self._seen == world.stamp and world.now < self._due):
            return
        self._seen, self._due = world.stamp, math.inf
        capped = [
            record
            for key in world.shed
            # Of a gang whose slots are all over no node is left to draw more.
            if _may_rise(world, record := world.gangs[key]) and world.state.held(booking_key(key))
        ]
        known, self._room_since = self._room_since, {}
        for record in sorted(capped, key=lambda r: _rank(world, r)):
            higher = _higher(world.state, record)
            if higher is None:
                continue
            since = self._room_since[record.key] = known.get(record.key, world.now)
            due = max(since + world.settings.restore_seconds, self._ramp(world, record, higher))
            if world.now < due:
                self._due = min(self._due, due)
                continue
            self._lifted_at, self._seen = world.now, None
            yield from _lift(world, record, higher)

    def _ramp(self, world: World, record: GangRecord, higher: Placement) -> float:
        """When so many watts more may be drawn, in seconds since the epoch."""
        ramp = world.settings.ramp_watts_per_second
        if ramp is None:
            return -math.inf
        assert record.decision is not None
        return self._lifted_at + (higher.nominal_watts - record.decision.placement.nominal_watts) / ramp


def _may_rise(world: World, record: GangRecord) -> bool:
    gang = record.gang
    return (
        gang is not None
        and gang.status.shed is not None
        and gang.status.shed.action == ShedAction.CAP
        and record.phase in ("Admitted", "Running")
        and record.decision is not None
        and record.decision.committed
        and record.previous is None
        and record.counts_at is None
        and may_write(record)
        and world.now >= record.not_before
    )


def _rank(world: World, record: GangRecord) -> tuple[int, str, tuple[str, str]]:
    assert record.gang is not None and record.gang.status.shed is not None
    return -standing(record.gang.spec, world.catalog.queue), record.gang.status.shed.since, record.key


def _higher(state: State, record: GangRecord) -> Placement | None:
    """The highest profile up to the one it came from at which every limit is kept, after every loss."""
    assert record.gang is not None and record.gang.status.shed is not None and record.decision is not None
    placement, key = record.decision.placement, booking_key(record.key)
    types = [t for node in state.held_gpus(key) if (t := state.node_type(node)) is not None]
    now, top = placement.power_profile, record.gang.status.shed.from_profile
    watts = {cap.name: cap.node_watts for t in types[:1] for cap in t.caps}
    floor, ceiling = watts.get(now, 0), watts.get(top, math.inf)
    between = [top, *sorted((n for n, w in watts.items() if floor < w < ceiling), key=lambda n: -watts[n])]
    for profile in between:
        if any(find_cap(t, profile) is None for t in types):
            continue
        with state.simulation():
            held = sorted(state.held(key))
            higher = at_profile(state, record, placement, profile, speed_at(state, key, profile))
            state.rebook(key, higher, held, force=True)
            kept = keeps_limits(state, key)
        if kept:
            return higher
    return None


def _lift(world: World, record: GangRecord, higher: Placement) -> Iterator[Instruction]:
    assert record.gang is not None and record.gang.status.shed is not None
    whole = higher.power_profile == record.gang.status.shed.from_profile
    text = f"runs at {higher.power_profile} again: there is room for it"
    status = {
        **rated(higher),
        "message": text,
        "conditions": conditions_of(
            record,
            condition(POWER_CAPPED, true=not whole, reason="Restored", message=text, now=world.now),
        ),
    }
    if whole:
        status["shed"] = None
    wrote = False
    for instruction in write(record, status):
        wrote = record.raising = True
        count_at(world, record, higher.power_profile)
        yield instruction
    if wrote:
        yield from gang_event(record, warning=False, reason="PowerRestored", message=text)
