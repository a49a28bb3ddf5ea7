"""Where everybody stands who waits, asked of a machine that does not lead: in which order, why, and until when.

Nothing is written. As with :mod:`core.offline.rehearsal`, the machine's books change as if the decisions had been made,
so it is good for no other question after it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.saying import why_it_waits
from rackplane.core.machine import Machine
from rackplane.core.objects import Gang
from rackplane.core.queues.estimates import estimate
from rackplane.core.queues.holds import know_held
from rackplane.core.queues.lining_up import pending
from rackplane.core.queues.queueing import schedule
from rackplane.core.world import World

__all__ = ["ESTIMATED", "Standing", "standings"]

ESTIMATED = 10
"""Gangs at the head of the queue whose start is worked out, as an operator does by default."""
_OVER = ("Finished", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One gang that has no place."""

    gang: Gang
    #: among all that wait for a place, 1 for who is asked first; None: it does not wait for one (yet)
    position: int | None
    #: it would be given a place at once
    could_start: bool = False
    #: when it could start by what is expected now, in seconds since the epoch; None: that is not known
    start: float | None = None
    #: the place that is held for it from then on; "" if none is
    held: str = ""
    #: as the condition Admitted has it
    reason: str = ""
    #: why it waits
    why: str = ""
    #: the whole sentence: why, what would help, and when it could start
    message: str = ""


def standings(machine: Machine) -> list[Standing]:
    """Everybody without a place: those who wait for one in the order in which they are asked, then the others by name.

    All are asked once, as in the operator's next pass. Positions are those before the pass.
    """
    world = machine.world
    in_line = [record.key for record in pending(world)]
    know_held(world)
    # Whom to stop for whom costs many searches, and is another question.
    world.settings = replace(world.settings, preempting_gangs=0, estimated_gangs=0)
    deque(schedule(world), maxlen=0)
    world.settings = replace(world.settings, estimated_gangs=ESTIMATED)
    _estimate_first(world)
    found = [_in_line(world, world.gangs[key], position) for position, key in enumerate(in_line, 1)]
    aside = sorted(set(world.gangs) - set(in_line))
    found += [_aside(record) for key in aside if _has_no_place(record := world.gangs[key])]
    return found


def _estimate_first(world: World) -> None:
    """When the first of those who still wait could start: one look gives one of them an estimate."""
    ahead = pending(world)[:ESTIMATED]
    for _ in ahead:
        world.estimated_at = -math.inf
        estimate(world, ahead)


def _in_line(world: World, record: GangRecord, position: int) -> Standing:
    assert record.gang is not None
    if record.decision is not None:
        racks = list(dict.fromkeys(group.rack for group in record.decision.placement.groups))
        why = f"could start now on {racks[0] if len(racks) == 1 else f'{len(racks)} racks'}"
        return Standing(
            gang=record.gang, position=position, could_start=True, start=world.now, why=why, message=why
        )
    place = world.waiting.order.get(record.key)
    answer = place and world.waiting.answer(place.line, end_of_start(world, record, world.now))
    reason, why = (
        (answer.wait.reason, answer.wait.words(record)) if answer else (record.reason, record.message)
    )
    known = record.estimate
    return Standing(
        gang=record.gang,
        position=position,
        start=None if known is None else known.at,
        held="" if known is None else known.held,
        reason=reason,
        why=why or "waits for its turn",
        message=why_it_waits(record) if record.message else why or "waits for its turn",
    )


def _has_no_place(record: GangRecord) -> bool:
    return record.gang is not None and record.decision is None and record.phase not in _OVER


def _aside(record: GangRecord) -> Standing:
    assert record.gang is not None
    why = record.gang.status.message or record.message or "the operator has not looked at it yet"
    return Standing(gang=record.gang, position=None, reason=record.reason, why=why, message=why)
