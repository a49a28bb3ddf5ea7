"""The write that changes where a running gang is: slots that it gains, or slots that go to other nodes.

One compare-and-swap write with a decision id of its own, booked from the moment it is asked for. `record.previous` is
what it was before, until the API server has the new one; so the same write can be asked for again.
"""

from __future__ import annotations

from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.parallelism import own_slots
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.slots import format_slots
from rackplane.core.gangs.statuses import admitted, reserved, timestamp
from rackplane.core.instructions import CommitGang
from rackplane.core.world import World

__all__ = ["moved_slots", "reassignment", "with_slots"]


def reassignment(world: World, record: GangRecord) -> CommitGang:
    """The write that makes what is booked for the gang its assignment, whatever of it the API server has."""
    assert world.state is not None and record.gang is not None and record.decision is not None
    decision, gang = record.decision, record.gang
    held = world.state.held(booking_key(record.key))
    released = set(range(len(decision.placement.slots))) - set(held)
    asked = gang.status.requested_power_profile or gang.spec.power.profile
    elastic = gang.spec.min_slots is not None
    moved = moved_slots(record)
    # One that shrinks meanwhile goes on with that, and of one that does not the number stays as it is.
    count = record.target if moved else len(held)
    words = f"runs {with_slots(record, count)}"
    if moved:
        words += f": {', '.join(f'slot {slot} goes from node {a} to {b}' for slot, a, b in moved[:4])}"
        words += f" and {len(moved) - 4} more move" if len(moved) > 4 else ""
    status = {
        **admitted(decision.placement, asked=asked),
        **reserved(world.state.reserved(booking_key(record.key))),
        **({"slots": count} if elastic and not moved else {}),
        "releasedSlots": format_slots(released) or None,
        "decision": {"id": decision.id, "term": decision.term, "time": timestamp(decision.time)},
        "message": words,
    }
    version = gang.metadata.resource_version
    shown = gang.status.decision
    previous = "" if shown is None or shown.id == decision.id else shown.id
    return CommitGang(record.key[0], record.key[1], version, decision.id, status, previous)


def moved_slots(record: GangRecord) -> list[tuple[int, str, str]]:
    """Slots that go from one node to another with the change that is under way."""
    if record.previous is None or record.decision is None:
        return []
    before, now = record.previous.placement.slots, record.decision.placement.slots
    kept = [slot for slot in range(min(len(before), len(now))) if slot not in record.released]
    return [(slot, before[slot], now[slot]) for slot in kept if before[slot] != now[slot]]


def with_slots(record: GangRecord, count: int) -> str:
    """ "with 4 of 8 slots", "with all 8 slots"."""
    assert record.gang is not None
    of = record.gang.spec.slots
    if record.job is not None and not record.external() and not record.several:
        of = own_slots(record.job)
    return f"with all {count} slots" if count >= of else f"with {count} of {of} slots"
