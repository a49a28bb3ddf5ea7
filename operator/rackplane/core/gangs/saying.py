"""What a waiting gang's status says of why it waits, where it stands and when it could start."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rackplane.core.gangs.explaining import as_patch, topic
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import condition, timestamp
from rackplane.core.gangs.writing import conditions_of, gang_event, write
from rackplane.core.instructions import (
    Instruction,
)
from rackplane.core.objects import Condition, GangReservation
from rackplane.core.queues.holds import held_status
from rackplane.core.queues.proposing import MOVES_PROPOSED, proposed
from rackplane.core.world import World
from rackplane.engine.explaining.times import when
from rackplane.engine.reasons import ReliefKind

__all__ = ["say", "why_it_waits"]

_NOT_ALWAYS = ("forPreemption", "victims", "shrunk", "forMove", "keptFree", "moves")
"""Of a reservation: what is there of some, and must go when another one takes its place."""
_WAITS = frozenset({ReliefKind.GANG_END, ReliefKind.BUDGET_END})


def say(
    world: World,
    record: GangRecord,
    *,
    phase: str,
    ready: bool,
    reason: str,
    message: str,
    parts: Mapping[str, Any] | None = None,
) -> Iterator[Instruction]:
    """Write where a waiting gang stands, if that is news; an Event only if it is news of another kind."""
    assert record.gang is not None
    status = record.gang.status
    position = record.position if phase == "Pending" and ready else None
    estimate = record.estimate if position is not None else None
    start = None if estimate is None or estimate.at is None else timestamp(math.ceil(estimate.at))
    known = next((c for c in status.conditions if c.type == "Ready"), None)
    waits = phase == "Pending" and ready  # its position may not be known, far back in a long queue
    held = held_status(world, record) if waits else None
    if (
        status.phase == phase
        and status.message == message
        and status.explanation == parts
        and status.position == position
        and status.estimated_start == start
        and _same_reservation(status.reservation, held)
        and known is not None
        and known.status == ("True" if ready else "False")
        and _says(status.conditions, MOVES_PROPOSED) == record.proposal
    ):
        return
    settings = world.settings
    # What is held for it takes effect once it is written.
    at_once = (
        (position or math.inf) <= settings.told_gangs or held is not None or status.reservation is not None
    )
    if not world.telling.begin(record.key, settings.telling_gangs, at_once=at_once):
        return
    before = next((c.reason for c in status.conditions if c.type == "Admitted" and status.message), "")
    told = topic(before, status.message, status.explanation) == topic(reason, message, parts)
    wrote = False
    for instruction in write(
        record,
        {
            "phase": phase,
            "message": message,
            "position": position,
            "estimatedStart": start,
            "reservation": None if held is None else {**dict.fromkeys(_NOT_ALWAYS), **held},
            "explanation": as_patch(parts),
            "submittedAt": status.submitted_at
            or record.gang.metadata.creation_timestamp
            or timestamp(world.now),
            "observedGeneration": record.gang.metadata.generation,
            "conditions": conditions_of(
                record,
                condition(
                    "Ready",
                    true=ready,
                    reason="Accepted" if ready else reason,
                    message="" if ready else message,
                    now=world.now,
                ),
                condition("Admitted", true=False, reason=reason, message=message, now=world.now),
                *proposed(record, world.now),
            ),
        },
    ):
        wrote = True
        world.telling.sent(record.key)
        yield instruction
    if wrote and not told:
        yield from gang_event(record, warning=not ready, reason=reason, message=message)


def why_it_waits(record: GangRecord) -> str:
    """The sentence of a waiting gang's status: the reason, what would help, when it could start, what it holds."""
    text = _reason_and_start(record)
    return f"{text}; {record.quota_words}" if record.quota_words else text


def _reason_and_start(record: GangRecord) -> str:
    estimate = record.estimate
    known = record.message or "waits for its turn"
    if estimate is None or not estimate.words:
        return known
    waits = () if record.refusal is None else record.refusal.reliefs
    if estimate.at is not None and any(
        r.kind in _WAITS and r.message in known and when(estimate.at) in r.message for r in waits
    ):
        # It says so already.
        verb = "would hold" if estimate.words.startswith("would") else "holds"
        return f"{known}; {verb} {estimate.held} from then" if estimate.held else known
    return f"{known}; {estimate.words}"


def _says(conditions: Iterable[Condition], kind: str) -> str:
    return next((c.message for c in conditions if c.type == kind and c.status == "True"), "")


def _same_reservation(known: GangReservation | None, held: Mapping[str, Any] | None) -> bool:
    if known is None or held is None:
        return known is None and held is None
    return msgspec.convert(held, GangReservation) == known
