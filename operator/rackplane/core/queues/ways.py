"""How gangs can make room for another one: stopped as a whole, or, an elastic one, with fewer slots.

Which slots an elastic gang gives up is known only where an index of its Job is a rank: the highest go. Of any other Job
the Job controller chooses the pods, so such a gang is stopped as a whole or left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.elastic import shrinkable
from rackplane.core.gangs.parallelism import fewest_slots
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.counting import profiles_of
from rackplane.core.queues.quota import Usage
from rackplane.core.queues.victims import victim_of
from rackplane.core.world import World
from rackplane.engine.placing.growing import allowed_counts
from rackplane.engine.preempting.costs import Victim
from rackplane.engine.queueing.quotas import Amounts

__all__ = ["Way", "is_in_the_way", "may_shrink", "released", "ways"]

MOST_SIZES = 4
"""So many smaller sizes of one gang are looked at, evenly spread from its largest to its smallest."""


@dataclass(frozen=True)
class Way:
    """The gang goes on with ``to`` slots; 0: it is stopped. ``usage`` is what it counts against quotas as it is."""

    world: World
    record: GangRecord
    to: int
    usage: Usage

    @property
    def booking(self) -> str:
        return booking_key(self.record.key)

    @cached_property
    def key(self) -> str:
        """Its name among all ways of all gangs."""
        return f"{self.booking} with {self.to}" if self.to else self.booking

    @cached_property
    def slots(self) -> tuple[int, ...]:
        """What it gives up; () is all of it."""
        return released(self.world, self.record.key, self.to)

    @cached_property
    def rest(self) -> Usage | None:
        """What it counts against quotas afterwards."""
        if not self.to:
            return None
        state = self.world.state
        placement = None if state is None else state.booking(self.booking)
        assert state is not None and placement is not None
        gpus: dict[str, int] = {}
        for slot, node in state.held(self.booking).items():
            if slot < self.to:
                gpus[node] = gpus.get(node, 0) + placement.gpus_of(slot)
        watts = state.increments(gpus, placement.power_profile, placement.metered).nominal_watts
        profiles = profiles_of(self.world, gpus.items())
        return replace(self.usage, gpus=sum(gpus.values()), nominal_watts=watts, profiles=profiles)

    @cached_property
    def freed(self) -> Amounts:
        """What its queue has more of."""
        before = self.usage.amounts()
        if self.rest is None:
            return before
        after = self.rest.amounts()
        return {resource: n - after.get(resource, 0) for resource, n in before.items()}

    @cached_property
    def victim(self) -> Victim:
        """The same as the engine knows it, and what it would cost now.

        Who goes on with fewer slots loses the work of those that it gives up.
        """
        whole = victim_of(self.world, self.record)
        if not self.to:
            return whole
        count = len(self.slots)
        lost = whole.lost_gpu_seconds * count // max(1, count + self.to)
        return replace(whole, key=self.key, gang=whole.key, slots=self.slots, lost_gpu_seconds=lost)


def ways(world: World, record: GangRecord, usage: Usage) -> Iterator[Way]:
    """All ways of a gang that may be stopped."""
    yield Way(world, record, 0, usage)
    for to in _sizes(world, record):
        yield Way(world, record, to, usage)


def released(world: World, gang: Key, to: int) -> tuple[int, ...]:
    """The slots that the gang gives up to go on with so many; () for none to go on with."""
    assert world.state is not None
    return tuple(slot for slot in world.state.held(booking_key(gang)) if slot >= to) if to else ()


def is_in_the_way(world: World, gang: Key, to: int) -> bool:
    """Whether the gang still holds something of what it makes room with."""
    record = world.gangs.get(gang)
    if record is None or record.decision is None:
        return False
    return bool(released(world, gang, to)) if to else True


def may_shrink(record: GangRecord, to: int) -> bool:
    """Whether the gang may go on with so many slots, or is about to."""
    return record.target <= to or shrinkable(record) >= record.target - to


def _sizes(world: World, record: GangRecord) -> Iterable[int]:
    gang, state = record.gang, world.state
    assert gang is not None and state is not None
    if gang.spec.min_slots is None or not record.keyed() or record.phase != "Running":
        return ()
    smaller = []
    if shrinkable(record):
        counts = allowed_counts(fewest_slots(gang.spec), gang.spec.slots, gang.spec.topology.segment_slots)
        smaller = [count for count in counts if count < record.target]
    if state.slots_held(booking_key(record.key)) > record.target:
        smaller.append(record.target)  # it is giving these up already
    if len(smaller) <= MOST_SIZES:
        return smaller
    last = len(smaller) - 1
    return [smaller[i * last // (MOST_SIZES - 1)] for i in range(MOST_SIZES)]
