"""A Gang as the API server has it now: what its status says was decided is what is booked for it."""

from __future__ import annotations

from rackplane.core.gangs.booking import (
    book,
    confirm,
    follow_figure,
    follow_profile,
    keep_booked,
    placement_of,
    release,
    unbook,
    unbook_changed,
)
from rackplane.core.gangs.decisions import Decision, Key, booking_key
from rackplane.core.gangs.ends import expect
from rackplane.core.gangs.progress import count_progress, follow_wait
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.objects import Gang
from rackplane.core.queues.holds import hold_for_retry
from rackplane.core.queues.preempting import count_stop
from rackplane.core.repair.mending import count_repair
from rackplane.core.world import ACTIVE, World

__all__ = ["gang_changed", "gang_deleted"]


def gang_changed(world: World, gang: Gang, *, leading: bool) -> None:
    key = (gang.metadata.namespace, gang.metadata.name)
    record = world.record(key)
    before, record.gang = record.gang, gang
    record.creating = False
    if before is None or before.spec.queue != gang.spec.queue:
        world.look_at_usage(key)
    decision, status = record.decision, gang.status
    if status.shed is not None:
        world.shed[key] = None
    else:
        world.shed.pop(key, None)
    follow_wait(world, record, before)
    if leading and before is not None:
        count_stop(world, record, before)
        count_repair(world, record, before)
        count_progress(world, record, before)
    if status.phase in ACTIVE and status.decision is not None and status.assignment:
        if decision is not None and decision.id == status.decision.id:
            if not decision.committed or decision.released is not None:
                confirm(world, record)
                world.tally.ended(key, started=True)
            elif status.power_profile != decision.placement.power_profile:
                follow_profile(world, record)
            elif placement_of(gang).metered != decision.placement.metered:
                follow_figure(world, record)
        elif record.previous is not None and record.previous.id == status.decision.id:
            if not record.committing and record.gang_write != gang.metadata.resource_version:
                unbook_changed(world, record)
        elif leading and before is not None and _is_stray_change(world, record, before):
            # A former leader's, after our first list: what it changed does not count, and is taken back.
            keep_booked(world, record)
            return
        elif leading and before is not None and status.decision.term < world.term:
            # A former leader's commit that came after our first list: it does not count, and it is taken back.
            unbook(world, record)
            return
        else:
            book(
                world,
                record,
                Decision(
                    status.decision.id,
                    status.decision.term,
                    _seconds(status.decision.time),
                    placement_of(gang),
                    committed=True,
                ),
            )
        expect(world, record)
        if before is not None and before.status.released_slots != status.released_slots:
            release(world, record, record.released)
        return
    if decision is None:
        return
    if decision.committed or record.previous is not None:
        if status.phase != "Failed" or not record.live_pods():
            unbook(world, record)
    elif record.deferred and before is not None and before.spec == gang.spec:
        pass  # what it waited for has been written
    elif not record.committing and record.gang_write != gang.metadata.resource_version:
        # Our commit did not take effect, and the Gang has moved on without it.
        unbook(world, record)
        if leading:
            hold_for_retry(world, record, decision)


def gang_deleted(world: World, key: Key) -> None:
    record = world.gangs.get(key)
    if record is None:
        return
    unbook(world, record)
    world.tally.ended(key, started=False)
    record.gang, record.creating, record.committing = None, False, False
    world.shed.pop(key, None)
    world.look_at_usage(key)
    record.gang_write = None
    if record.job is None and not record.pods:
        del world.gangs[key]
        world.dirty.pop(key, None)
        world.waiting.look((key,))
    else:
        world.dirty[key] = None


def _is_stray_change(world: World, record: GangRecord, before: Gang) -> bool:
    """Whether the Gang has an assignment of an earlier term that we do not know, of the place that the gang is in: it
    holds more, or has some slots elsewhere."""
    decision, gang, state = record.decision, record.gang, world.state
    if decision is None or not decision.committed or gang is None or state is None:
        return False
    if gang.status.decision is None or gang.status.decision.term >= world.term:
        return False
    if gang.status.phase != before.status.phase:
        return False
    held, shown = state.held(booking_key(record.key)), dict(enumerate(placement_of(gang).slots))
    return bool(held) and any(shown.get(slot) == node for slot, node in held.items())


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError:
        return 0.0
