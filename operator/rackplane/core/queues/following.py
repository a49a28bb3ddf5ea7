"""What is reserved answers for the world as it is, with the ends that are expected now."""

from __future__ import annotations

from rackplane.core.gangs.decisions import key_of
from rackplane.core.gangs.ends import planned_end
from rackplane.core.world import World
from rackplane.engine.queueing.reservations import extended_end

__all__ = ["follow"]


def follow(world: World) -> None:
    """Let what is reserved answer for the world as it is. Costs nothing where nothing has changed."""
    assert world.state is not None
    if world.reserved.stands_for(world.state, world.stamp):
        return
    ends = {}
    for key in tuple(world.state.keys()):
        if world.state.until(key) is None:
            record = world.gangs.get(key_of(key))
            planned = None if record is None else planned_end(world, record)
            if planned is not None:
                ends[key] = extended_end(planned, world.now)
    world.reserved.follow(world.state, world.stamp, ends)
