"""What is reserved, and what is held of quotas, answer for the world as it is, with the ends that are expected now."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rackplane.core.gangs.decisions import booking_key, key_of
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.quota import Usage
from rackplane.core.world import World
from rackplane.engine.queueing.later import QuotaLater, Share

__all__ = ["follow", "quota_later", "share_of"]


def follow(world: World) -> None:
    """Let what is reserved answer for the world as it is. Costs nothing where nothing has changed."""
    assert world.state is not None
    if world.reserved.stands_for(world.state, world.stamp):
        return
    count_usages(world)
    world.reserved.follow(world.state, world.stamp, world.lateness.ends(world.now))


def quota_later(world: World) -> QuotaLater:
    """The quotas at later times, by what gangs hold as they are now."""
    follow(world)
    tree, ends = world.ledger.tree, world.reserved.ends
    known, news = world.quota_later, world.ledger.news()
    if known is None or news is None or known[0].tree is not tree:
        shares = (_held(booking_key(gang), usage, ends) for gang, usage in world.ledger.by_gang())
        world.quota_later = QuotaLater(tree, shares), ends
        return world.quota_later[0]
    later, before = known
    changed = {booking_key(gang): gang for gang in news}
    if ends is not before:
        changed |= {b: key_of(b) for b in {**before, **ends} if before.get(b) != ends.get(b)}
    for booking, gang in changed.items():
        usage = world.ledger.get(gang)
        later.put(booking, None if usage is None else _held(booking, usage, ends))
    world.quota_later = later, ends
    return later


def share_of(booking: str, usage: Usage) -> Share:
    """What a gang with that usage holds of its queue's quota, until its expected end; without one, for ever."""
    amounts = tuple(sorted(usage.amounts().items()))
    return Share(booking, usage.queue, amounts, until=math.inf if usage.until is None else usage.until)


def _held(booking: str, usage: Usage, ends: Mapping[str, float]) -> Share:
    """Args:
    ends: when those are taken to be over whose expected end has passed.
    """
    amounts = tuple(sorted(usage.amounts().items()))
    until = ends.get(booking, math.inf) if usage.until is None else usage.until
    return Share(booking, usage.queue, amounts, until=until)
