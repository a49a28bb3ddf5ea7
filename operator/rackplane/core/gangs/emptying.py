"""Gangs leave racks and NVLink domains that are being emptied: at a checkpoint, or at the deadline.

A gang is stopped whole and queues again with its age. One that has not started yet loses nothing and goes at once; one
that is Protected stays until the deadline; bare pods are never stopped, for that would fail them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rackplane.api.gang import Disruption
from rackplane.core.gangs.decisions import Key, key_of
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import condition, timestamp
from rackplane.core.gangs.stopping import DRAINED, stop
from rackplane.core.gangs.writing import conditions_of, gang_event, may_write, write
from rackplane.core.instructions import Instruction
from rackplane.core.queues.victims import saved_at
from rackplane.core.shedding.terms import is_ending, terms_of
from rackplane.core.site.draining import Drain
from rackplane.core.world import World

__all__ = ["DRAINING", "Emptying"]

DRAINING = "Draining"
"""Type of the condition of a gang that is to leave where it runs."""


class Emptying:
    """Looks at who is where nobody should be, after every batch of events."""

    def __init__(self) -> None:
        self._told: dict[Key, None] | None = None

    def resign(self) -> None:
        """This process no longer leads: whoever does finds out who was told."""
        self._told = None

    def run(self, world: World) -> Iterator[Instruction]:
        """The writes that stop who is due, and tell the others."""
        world.draining.look(world)
        if self._told is None:
            self._told = {key: None for key, record in world.gangs.items() if _is_told(record)}
        leaving = _leaving(world)
        for key in [key for key in self._told if key not in leaving]:
            record = world.gangs.get(key)
            if record is None or record.phase not in ("Admitted", "Running") or not _is_told(record):
                del self._told[key]
            elif may_write(record) and world.now >= record.not_before:
                yield from _call_off(world, record)
        for key, drains in leaving.items():
            record = world.gangs[key]
            if not may_write(record) or world.now < record.not_before:
                continue
            if not terms_of(world, record).stoppable or is_ending(record):
                continue
            self._told[key] = None
            why = _why_now(world, record, drains)
            if why is None:
                yield from _tell(world, record, drains)
            else:
                text = f"stopped: {why}"
                gone = condition(DRAINING, true=False, reason="Stopped", message=text, now=world.now)
                yield from stop(world, record, text, reason=DRAINED, also=(gone,))


def _leaving(world: World) -> dict[Key, list[Drain]]:
    """Gangs that hold nodes where nobody should be, and where, the earliest deadline first."""
    found: dict[Key, list[Drain]] = {}
    for drain in sorted(world.draining.drains.values(), key=lambda d: (_deadline(d), d.kind, d.name)):
        for booking in drain.gangs:
            record = world.gangs.get(key_of(booking))
            if record is not None and record.gang is not None and record.decision is not None:
                found.setdefault(record.key, []).append(drain)
    return dict(sorted(found.items()))


def _deadline(drain: Drain) -> float:
    return math.inf if drain.deadline is None else drain.deadline


def _why_now(world: World, record: GangRecord, drains: list[Drain]) -> str | None:
    """Why the gang is stopped now; None if it may stay for the time being."""
    assert record.gang is not None
    first = drains[0]
    # As with a lost element: an edit that is taken back at once stops nobody.
    grace = first.since + world.settings.shed_delay_seconds
    if world.now >= max(_deadline(first), grace):
        return f"{first.words}, and had to be empty by {timestamp(_deadline(first))}"
    if record.gang.spec.disruption == Disruption.PROTECTED:
        return None
    for drain in drains:
        if world.now < drain.since + world.settings.shed_delay_seconds:
            continue
        if not record.gang.status.started_at:
            return f"{drain.words}, and the gang had not started yet"
        if saved_at(record) > drain.since:
            return f"{drain.words}, and the gang has saved a checkpoint"
    return None


def _tell(world: World, record: GangRecord, drains: list[Drain]) -> Iterator[Instruction]:
    assert record.gang is not None
    first = drains[0]
    protected = record.gang.spec.disruption == Disruption.PROTECTED
    by = "" if first.deadline is None else f" by {timestamp(first.deadline)} at the latest"
    if protected and first.deadline is None:
        how = "the gang is Protected and stays until it ends"
    elif protected:
        how = f"the gang is Protected and is stopped{by}"
    else:
        how = f"the gang is stopped at its next checkpoint{',' if by else ''}{by}"
    text = f"{first.words}: {how}"
    known = next((c for c in record.gang.status.conditions if c.type == DRAINING), None)
    if known is not None and (known.status, known.message) == ("True", text):
        return
    told = condition(DRAINING, true=True, reason="CheckpointNow", message=text, now=world.now)
    if protected:
        told["reason"] = "Protected"
    yield from write(record, {"conditions": conditions_of(record, told)})
    yield from gang_event(record, warning=True, reason=told["reason"], message=text)


def _call_off(world: World, record: GangRecord) -> Iterator[Instruction]:
    text = "goes on: what it runs on is no longer being emptied"
    off = condition(DRAINING, true=False, reason="CalledOff", message=text, now=world.now)
    yield from write(record, {"conditions": conditions_of(record, off)})
    yield from gang_event(record, warning=False, reason="StopCalledOff", message=text)


def _is_told(record: GangRecord) -> bool:
    conditions = record.gang.status.conditions if record.gang is not None else []
    return any(c.type == DRAINING and c.status == "True" for c in conditions)
