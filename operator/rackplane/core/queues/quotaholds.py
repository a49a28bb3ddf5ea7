"""Quota held for the first gang of each queue that waits for it, so that smaller ones do not take it for ever.

The gang holds what it needs of its queue's quota from the earliest time at which so much is expected to be there.
Whoever is asked after it goes ahead if it is over by then, leaves enough, or is of another queue that keeps within its
own quota. Once the quota is there and the gang waits for nodes or watts, it holds it still, from its estimated start
on. All is worked out from the queue's order and the expected ends, so a restart comes to the same.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

from rackplane.core.gangs.asking import usage_of
from rackplane.core.gangs.decisions import Key, QuotaHold, booking_key, key_of
from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.following import quota_later, share_of
from rackplane.core.queues.quota import Usage
from rackplane.core.world import World
from rackplane.engine.explaining.times import when
from rackplane.engine.queueing.later import Share, keeps_within
from rackplane.engine.queueing.quotas import Amounts

__all__ = ["QuotaHolds", "in_way", "let_quota_go"]


_COMPUTED = 8
"""So many of these times are worked out in one pass at most; the others keep theirs, or get one in the next."""


class QuotaHolds:
    """Who holds quota in one pass over the queue; those that are put bind whoever is asked after them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._left = _COMPUTED
        self._queues: set[str] = set()
        world.quota_ahead.clear()

    def is_sought(self, queue: str) -> bool:
        """Whether somebody of the queue may hold quota, and nobody of those asked so far does."""
        return self._left > 0 and queue not in self._queues

    def consider(self, record: GangRecord, asks: Amounts, *, waits: bool) -> None:
        """Hold quota for a gang that was refused, if it is the first of its queue to wait for it.

        Args:
            asks: what it lacks some of; nothing if it waits for something else.
            waits: it may start without anybody doing something.
        """
        world = self._world
        assert record.gang is not None
        spec, held = record.gang.spec, world.held_quota.get(record.key)
        if held is not None and held.spec != spec:
            held = None
        # A place that is held for it holds its quota too.
        may = waits and spec.queue not in self._queues and record.key not in world.held_places
        if not may or not (asks or held):
            let_quota_go(world, record.key)
            return
        if held is None or self._is_old(held):
            if not self._left:
                world.waiting.due = min(world.waiting.due, world.now)
            else:
                self._left -= 1
                amounts = dict(held.share.amounts) if held is not None else asks
                held = self._worked_out(record, amounts, lacks_quota=bool(asks))
        if held is None:
            let_quota_go(world, record.key)
            return
        self._queues.add(spec.queue)
        self._put(record, held)

    def _is_old(self, held: QuotaHold) -> bool:
        world = self._world
        if -math.inf < held.share.at <= world.now:
            return True
        return held.version != world.version and world.now - held.made >= world.settings.estimate_seconds

    def _worked_out(self, record: GangRecord, amounts: Amounts, *, lacks_quota: bool) -> QuotaHold | None:
        world = self._world
        assert record.gang is not None
        lasts = end_of_start(world, record, 0.0)
        spec, key = record.gang.spec, booking_key(record.key)
        wanted = Share(key, spec.queue, tuple(sorted(amounts.items())), world.now, world.now + lasts)
        latest = world.now + world.settings.lookahead_seconds
        others = _others(world, spec.queue, key)
        at = quota_later(world).opening(wanted, others, now=world.now, latest=latest)
        if at is None:
            return None
        estimate = record.estimate
        if not lacks_quota and estimate is not None and estimate.at is not None:
            at = max(at, estimate.at)  # it waits for nodes or watts
        if at <= world.now:
            share = replace(wanted, at=-math.inf, until=math.inf)
        else:
            share = replace(wanted, at=at, until=at + lasts)
        return QuotaHold(share, spec, world.now, world.version)

    def _put(self, record: GangRecord, held: QuotaHold) -> None:
        world, before = self._world, self._world.held_quota.get(record.key)
        world.held_quota[record.key] = world.quota_ahead[record.key] = held
        if held.share.at > world.now:
            world.waiting.due = min(world.waiting.due, held.share.at)
        if held.version != world.version:
            world.waiting.due = min(world.waiting.due, held.made + world.settings.estimate_seconds)
        if before is not None and before.share != held.share:
            world.version += 1  # who was held back by the old one may start now
        _tell(world, record, _words(held))


def let_quota_go(world: World, key: Key) -> None:
    """Hold no quota for the gang any more."""
    world.quota_ahead.pop(key, None)
    if world.held_quota.pop(key, None) is not None:
        world.version += 1  # who was held back by it may start now
        if key in world.gangs:
            _tell(world, world.gangs[key], "")


def _tell(world: World, record: GangRecord, words: str) -> None:
    if record.quota_words != words:
        record.quota_words = words
        world.dirty[record.key] = None


def _words(held: QuotaHold) -> str:
    if held.share.at == -math.inf:
        return "the quota that it needs is held for it"
    return f"the quota that it needs is held for it from {when(held.share.at)}"


def in_way(
    world: World, asked: Usage, at: float, *, key: str, but: str, gone: Collection[str] = ()
) -> QuotaHold | None:
    """For whom quota is held that would not be there in time if the gang started at that time with that usage.

    Args:
        key: the gang that asks.
        but: a gang whose holding does not count.
        gone: bookings that would make way for it.
    """
    if not world.quota_ahead:
        return None
    tree = world.ledger.tree
    mine = replace(share_of(key, asked), at=at)
    root = tree.root(mine.queue)
    for held in world.quota_ahead.values():
        share = held.share
        if share.key in (key, but) or tree.root(share.queue) != root:
            continue
        if mine.until <= share.at or share.until <= at:
            continue
        if share.queue != mine.queue and keeps_within(tree, mine, share.queue):
            continue
        later, both = quota_later(world), max(share.at, at)
        others = _others(world, mine.queue, share.key, key, but)
        # One who would not get it without this gang either is not kept from it by this gang.
        if not later.takes(share, both, [*others, mine], gone) and later.takes(share, both, others, gone):
            return held
    return None


def _others(world: World, queue: str, *but: str) -> list[Share]:
    """What is held for others that may have a say in that queue: quota, or places with what they will count."""
    tree = world.ledger.tree
    root = tree.root(queue)
    shares = (held.share for held in world.quota_ahead.values())
    found = [share for share in shares if share.key not in but and tree.root(share.queue) == root]
    for r in world.reserved:
        other = world.gangs.get(key_of(r.key))
        if other is None or other.gang is None or r.key in but or tree.root(other.gang.spec.queue) != root:
            continue
        share = share_of(r.key, usage_of(world, other, r.placement, at=max(r.at, world.now)))
        found.append(replace(share, at=-math.inf if r.blocks else r.at, until=r.until))
    return found
