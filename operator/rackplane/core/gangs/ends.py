"""When gangs are expected to end."""

from __future__ import annotations

import contextlib
import heapq
import math

from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.world import World

__all__ = ["end_of_start", "expect", "expected_end", "planned_end", "run_over", "watch_end"]


def end_of_start(world: World, record: GangRecord, at: float) -> float:
    """When the gang is expected to end if it starts at `at`; both in seconds since the epoch.

    A gang that does not say how long it runs is taken to run for the assumed duration.
    """
    assert record.gang is not None
    # The API keeps whole seconds, and a restart must come to the same end.
    return math.floor(at) + (
        record.gang.spec.expected_duration_seconds or world.settings.assumed_duration_seconds
    )


def planned_end(world: World, record: GangRecord) -> float | None:
    """When the gang with a place was expected to end, whether it has or not; None if it is not known."""
    if record.decision is None or record.gang is None:
        return None
    start = record.decision.time
    if record.gang.status.started_at:
        with contextlib.suppress(ValueError):
            start = seconds(record.gang.status.started_at)
    return end_of_start(world, record, start)


def expected_end(world: World, record: GangRecord) -> float | None:
    """When the gang with a place is expected to end; None once it has run for longer, which tells nothing more."""
    end = planned_end(world, record)
    return end if end is not None and end > world.now else None


def expect(world: World, record: GangRecord) -> None:
    """Take note of when the gang is expected to end, as its Gang has it now."""
    if world.state is None or record.decision is None:
        return
    key, until = booking_key(record.key), expected_end(world, record)
    if until is None:
        world.look_at_usage(record.key)  # it may have begun later than was known, and is over later
    if until != world.state.until(key):
        world.state.expect(key, until)
        watch_end(world, key, until)
        world.look_at_usage(record.key)
        world.version += 1


def watch_end(world: World, key: str, until: float | None) -> None:
    """See to it that the booking is looked at when its expected end has come."""
    if until is not None:
        heapq.heappush(world.ends, (until, key))


def run_over(world: World) -> None:
    """Bookings whose expected end has come, and which are still there, count as running on."""
    assert world.state is not None
    while world.ends and world.ends[0][0] <= world.now:
        until, key = heapq.heappop(world.ends)
        if world.state.until(key) == until:
            world.state.expect(key, None)
            namespace, _, name = key.partition("/")
            world.look_at_usage((namespace, name))
            world.version += 1
