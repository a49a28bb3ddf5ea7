"""A gang gets its place: booked at once, and the gang's by one compare-and-swap write."""

from __future__ import annotations

from collections.abc import Iterator

from rackplane.core.gangs.booking import book
from rackplane.core.gangs.decisions import Decision
from rackplane.core.gangs.profiles import lowered
from rackplane.core.gangs.reassigning import with_slots
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import admitted, condition, timestamp
from rackplane.core.gangs.writing import conditions_of
from rackplane.core.instructions import CommitGang, Instruction
from rackplane.core.learning.counting import learned_of, words
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.proposing import proposed
from rackplane.core.world import World
from rackplane.engine.model import Placement

__all__ = ["commit", "start"]


def start(world: World, record: GangRecord, placement: Placement) -> Iterator[Instruction]:
    """Book the place for the gang at once, and ask for the write that makes it so."""
    assert record.gang is not None
    version = record.gang.metadata.resource_version
    # Term and resourceVersion together name one attempt: no two decisions of a gang share them.
    decision = Decision(
        id=f"{world.term}-{version}", term=world.term, time=world.now, placement=placement, committed=False
    )
    record.position = None
    book(world, record, decision)
    count_usages(world)  # the share of its queue is larger from here on, for who is asked next
    if record.gang_write == version:
        record.deferred = True
        return
    record.committing, record.gang_write = True, version
    yield commit(world, record)


def commit(world: World, record: GangRecord) -> CommitGang:
    """The write that makes a booked decision the gang's."""
    assert world.state is not None and record.gang is not None and record.decision is not None
    decision, asked = record.decision, record.gang.spec.power.profile
    where = ", ".join(dict.fromkeys(group.rack for group in decision.placement.groups))
    domains = {group.domain for group in decision.placement.groups} - {""}
    if len(domains) > 1:
        where = f"{where}, over {len(domains)} NVLink domains"
    lower = lowered(world.state, decision.placement, asked)
    text = f"placed on {where}" if lower is None else f"placed on {where} {lower}"
    if record.gang.spec.min_slots is not None:
        text = f"{text}, {with_slots(record, len(decision.placement.slots))}"
    learned = learned_of(world, record, decision.placement)
    text = f"{text}{words(learned)}"
    status = {
        **admitted(decision.placement, asked=asked),
        "learned": learned,
        "phase": "Admitted",
        "slots": len(decision.placement.slots),
        "decision": {"id": decision.id, "term": decision.term, "time": timestamp(decision.time)},
        "message": text,
        # Its age is kept if it has to give its place up.
        "submittedAt": record.gang.status.submitted_at or record.gang.metadata.creation_timestamp,
        "observedGeneration": record.gang.metadata.generation,
        "conditions": conditions_of(
            record,
            condition("Ready", true=True, reason="Accepted", message="", now=world.now),
            condition("Admitted", true=True, reason="Placed", message=text, now=world.now),
            *proposed(record, world.now),
        ),
    }
    return CommitGang(
        namespace=record.key[0],
        name=record.key[1],
        resource_version=record.gang.metadata.resource_version,
        decision_id=decision.id,
        status=status,
    )
