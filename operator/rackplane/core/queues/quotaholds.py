"""Quota, and room in budgets, held for the first gang that waits for it, so that smaller ones do not take it for ever.

Of each queue the first that waits for quota holds it, and of each PowerBudget on queues or namespaces the first that
waits for it: all that the gang needs of quotas and such budgets, from the earliest time at which all of them are
expected to take it. Whoever is asked after it goes ahead if it is over by then or leaves enough; or, of quota, if it is
of another queue that keeps within its own. Once that is there and the gang waits for nodes or watts, it holds it still,
from its estimated start on. All is worked out from the queue's order and the expected ends, so a restart comes to the
same.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from rackplane.core.gangs.asking import usage_of
from rackplane.core.gangs.decisions import Key, QuotaHold, booking_key, key_of
from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.following import quota_later, share_of
from rackplane.core.queues.groupbudgets import binds, excess, next_look
from rackplane.core.queues.quota import Usage
from rackplane.core.world import World
from rackplane.engine.explaining.times import when
from rackplane.engine.queueing.later import QuotaLater, Share, keeps_within
from rackplane.engine.queueing.quotas import WATTS, Amounts

__all__ = ["InWay", "QuotaHolds", "in_way", "let_quota_go"]


#: a gang, and from when and until when a place is held for it
_Place = tuple[str, float, float]

_COMPUTED = 8
"""So many of these times are worked out in one pass at most; the others keep theirs, or get one in the next."""


class QuotaHolds:
    """Who holds quota in one pass over the queue; those that are put bind whoever is asked after them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._left = _COMPUTED
        #: queues of which somebody holds quota, and PowerBudgets of which somebody holds watts
        self._queues: set[str] = set()
        self._budgets: set[str] = set()
        #: see `_beside`, by the root of a tree of quotas; and of which reservations that was found
        self._places: dict[str, frozenset[_Place]] = {}
        self._places_at = -1
        world.quota_ahead.clear()

    @property
    def seeks_any(self) -> bool:
        """Whether anybody more may hold quota whose time is not known yet."""
        return self._left > 0

    def is_sought(self, queue: str) -> bool:
        """Whether somebody of the queue may hold quota, and nobody of those asked so far does."""
        return self.seeks_any and queue not in self._queues

    def consider(self, record: GangRecord, asks: Amounts, budget: str, *, waits: bool) -> None:
        """Hold quota, and room in budgets, for a gang that was refused, if it is the first to wait for it.

        Args:
            asks: what it is to take of them; nothing if it waits for something else.
            budget: the PowerBudget that refuses it; "" if its queue does.
            waits: it may start without anybody doing something.
        """
        world = self._world
        assert record.gang is not None
        spec, held = record.gang.spec, world.held_quota.get(record.key)
        if held is not None and held.spec is not spec and held.spec != spec:
            held = None
        budget = budget if asks or held is None else held.budget
        first = budget not in self._budgets if budget else spec.queue not in self._queues
        # A place that is held for it holds all that too.
        may = waits and first and record.key not in world.held_places
        if not may or not (asks or held):
            let_quota_go(world, record.key)
            return
        if held is None or self._is_old(held) or held.beside != self._beside(record):
            if not self._left:
                world.waiting.due = min(world.waiting.due, world.now)
            else:
                self._left -= 1
                amounts = dict(held.share.amounts) if held is not None else asks
                held = self._worked_out(record, amounts, lacks_quota=bool(asks))
        if held is None:
            let_quota_go(world, record.key)
            return
        if budget:
            self._budgets.add(budget)
        else:
            self._queues.add(spec.queue)
        self._put(record, held if held.budget == budget else replace(held, budget=budget))

    def let_go_unasked(self) -> None:
        """Hold nothing for those whom the pass has not come to: others who ask the same stand before them by now."""
        for key in [key for key in self._world.held_quota if key not in self._world.quota_ahead]:
            let_quota_go(self._world, key)

    def _is_old(self, held: QuotaHold) -> bool:
        world = self._world
        if -math.inf < held.share.at <= world.now:
            return True
        return held.version != world.version and world.now - held.made >= world.settings.estimate_seconds

    def _beside(self, record: GangRecord) -> frozenset[_Place]:
        """The places that are held for those who were asked before it in this pass, and count beside it.

        What it holds answers for these and no others. Of quota that is held before it, which is another for each queue
        with every share that changes, it takes note when it is old. To be asked of one that holds no place itself.
        """
        assert record.gang is not None
        if self._places_at != (at := self._world.reserved.revision):
            self._places, self._places_at = {}, at
        root = self._world.ledger.tree.root(record.gang.spec.queue)
        if root not in self._places:
            self._places[root] = frozenset(self._counted(root))
        return self._places[root]

    def _counted(self, root: str) -> Iterator[_Place]:
        """The places that are held now and count in the quotas below that root, or in all: in a budget."""
        world = self._world
        in_all = bool(world.catalog.budgets.groups(world.now))
        for r in world.reserved:
            other = None if r.blocks else world.gangs.get(key_of(r.key))
            if other is None or other.gang is None:
                continue
            if in_all or world.ledger.tree.root(other.gang.spec.queue) == root:
                yield r.key, r.at, r.until

    def _worked_out(self, record: GangRecord, amounts: Amounts, *, lacks_quota: bool) -> QuotaHold | None:
        world = self._world
        assert record.gang is not None
        lasts = end_of_start(world, record, 0.0)
        spec, key = record.gang.spec, booking_key(record.key)
        wanted = Share(key, spec.queue, tuple(sorted(amounts.items())), world.now, world.now + lasts)
        latest = world.now + world.settings.lookahead_seconds
        at = _opening(world, wanted, latest)
        if at is None:
            return None
        estimate = record.estimate
        if not lacks_quota and estimate is not None and estimate.at is not None:
            at = max(at, estimate.at)  # it waits for nodes, or for watts of the facility
        if at <= world.now:
            share = replace(wanted, at=-math.inf, until=math.inf)
        else:
            share = replace(wanted, at=at, until=at + lasts)
        return QuotaHold(share, spec, world.now, world.version, beside=self._beside(record))

    def _put(self, record: GangRecord, held: QuotaHold) -> None:
        world, before = self._world, self._world.held_quota.get(record.key)
        world.held_quota[record.key] = world.quota_ahead[record.key] = held
        if held.share.at > world.now:
            world.waiting.due = min(world.waiting.due, held.share.at)
        if held.version != world.version:
            world.waiting.due = min(world.waiting.due, held.made + world.settings.estimate_seconds)
        if before is not None and before.share != held.share:
            world.version += 1  # who was held back by the old one may start now
        _tell(world, record, _words(world, held))


def _opening(world: World, wanted: Share, latest: float) -> float | None:
    """The first time at which quotas and budgets take the gang beside what is held for others; None: not by then."""
    # Only a budget counts across trees of quotas.
    root = None if world.catalog.budgets.groups(world.now) else world.ledger.tree.root(wanted.queue)
    others, at = _others(world, wanted.key, below=root), world.now
    lasts = wanted.until - wanted.at
    while at <= latest:
        opens = quota_later(world).opening(wanted, others, now=at, latest=latest)
        if opens is None:
            return None
        then = replace(wanted, at=opens, until=opens + lasts)
        refused = excess(world, then, gone=_late(world, opens), plus=others)
        if refused is None:
            return opens
        at = next_look(world, refused, then, others)
    return None


def _late(world: World, at: float) -> list[str]:
    """Gangs that run past their expected end, and are taken to be over by then."""
    return [key for key, end in world.reserved.ends.items() if end <= at]


def let_quota_go(world: World, key: Key) -> None:
    """Hold nothing of quota and budgets for the gang any more."""
    world.quota_ahead.pop(key, None)
    if world.held_quota.pop(key, None) is not None:
        world.version += 1  # who was held back by it may start now
        if key in world.gangs:
            _tell(world, world.gangs[key], "")


def _tell(world: World, record: GangRecord, words: str) -> None:
    if record.quota_words != words:
        record.quota_words = words
        world.dirty[record.key] = None


def _words(world: World, held: QuotaHold) -> str:
    share, held_of = held.share, []
    if held.budget and binds(world, held.budget, share):
        held_of.append(_of_budget(share, held.budget))
    if not held.budget or world.ledger.tree.is_bounded(share.queue):
        held_of.append("the quota that it needs")
    if not held_of:
        return ""  # nothing bounds it from then on
    start = "" if share.at == -math.inf else f" from {when(share.at)}"
    return f"{' and '.join(held_of)} {'is' if held_of[0].startswith('the') else 'are'} held for it{start}"


def _of_budget(share: Share, budget: str) -> str:
    return f"{dict(share.amounts).get(WATTS, 0) / 1000:,.1f} kW of PowerBudget {budget}"


@dataclass(frozen=True, slots=True)
class InWay:
    """What is held for another, and would not be there in time."""

    held: QuotaHold
    budget: str = ""
    """Of which PowerBudget; "": quota of its queue."""

    def words(self, now: float) -> str:
        """ "gang a/b, which holds quota of queue research from 14:10 UTC"."""
        share = self.held.share
        what = _of_budget(share, self.budget) if self.budget else f"quota of queue {share.queue}"
        return f"gang {share.key}, which holds {what} from {'now' if share.at <= now else when(share.at)}"


def in_way(
    world: World, asked: Usage, at: float, *, key: str, but: str, gone: Collection[str] = ()
) -> InWay | None:
    """For whom that is held which would not be there in time if the gang started at that time with that usage.

    Args:
        key: the gang that asks.
        but: a gang whose holding does not count.
        gone: bookings that would make way for it.
    """
    if not world.quota_ahead:
        return None
    mine, tree = replace(share_of(key, asked), at=at), world.ledger.tree
    budgets, root = bool(world.catalog.budgets.groups(world.now)), tree.root(asked.queue)
    later: QuotaLater | None = None
    known: list[Share] | None = None
    for held in world.quota_ahead.values():
        share = held.share
        if share.key in (key, but) or mine.until <= share.at or share.until <= at:
            continue
        if later is None:
            later = quota_later(world)
        may_delay = tree.root(share.queue) == root and (
            share.queue == mine.queue or not keeps_within(tree, mine, share.queue)
        )
        if not may_delay and not budgets:
            continue
        both = max(share.at, at)
        if known is None:
            known = _others(world, key, but)
        others = [s for s in known if s.key != share.key]
        # One who would not get it without this gang either is not kept from it by this gang.
        if may_delay and later.delays(mine, share, both, others, gone):
            return InWay(held)
        if not budgets:
            continue
        then, away = replace(share, at=both), {*gone, *_late(world, both)}
        there = [replace(s, at=-math.inf) for s in others if s.at <= both < s.until]
        refused = excess(world, then, gone=away, plus=[*there, mine])
        if refused is not None and excess(world, then, gone=away, plus=there) is None:
            return InWay(held, refused.budget.name)
    return None


def _others(world: World, *but: str, below: str | None = None) -> list[Share]:
    """What is held for others: quota and budgets, or places with what they will count.

    Args:
        below: the root of the tree of quotas that they are in; None: any.
    """
    tree = world.ledger.tree
    found = [
        held.share
        for held in world.quota_ahead.values()
        if held.share.key not in but and below in (None, tree.root(held.share.queue))
    ]
    for r in world.reserved:
        other = world.gangs.get(key_of(r.key))
        if other is None or other.gang is None or r.key in but:
            continue
        if below not in (None, tree.root(other.gang.spec.queue)):
            continue
        share = share_of(r.key, usage_of(world, other, r.placement, at=max(r.at, world.now)))
        found.append(replace(share, at=-math.inf if r.blocks else r.at, until=r.until))
    return found
