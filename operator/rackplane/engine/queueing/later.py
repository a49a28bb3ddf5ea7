"""Quotas as they will be: without what is expected to be over by a time, and with what is held for others from then on.

Backfill on quota is as on nodes (:mod:`engine.queueing.reservations`): who waits for quota holds it from the earliest
time at which enough is expected to be there. Another may take some before, if it is over by then or leaves enough.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter

from rackplane.engine.queueing.quotas import Amounts, Change, QuotaTree, Shortfall
from rackplane.engine.values import dataclass

__all__ = ["QuotaLater", "Share", "keeps_within"]


@dataclass(frozen=True, slots=True)
class Share:
    """What one gang holds of its queue's quota, or is to hold: from ``at`` to ``until``."""

    key: str
    queue: str
    amounts: tuple[tuple[str, int], ...]
    at: float = -math.inf
    until: float = math.inf


class _Ends:
    """Shares that are expected to end, in order of that, and what all up to a time amount to."""

    def __init__(self) -> None:
        self.order: list[tuple[float, str]] = []
        self._amounts: dict[str, tuple[tuple[str, int], ...]] = {}
        #: of the first so many, from none on, as far as they have been asked for and still hold
        self._sums: list[dict[str, int]] = [{}]

    def put(self, share: Share) -> None:
        at = bisect_left(self.order, (share.until, share.key))
        self.order.insert(at, (share.until, share.key))
        self._amounts[share.key] = share.amounts
        del self._sums[at + 1 :]

    def drop(self, share: Share) -> None:
        at = bisect_left(self.order, (share.until, share.key))
        del self.order[at]
        del self._amounts[share.key]
        del self._sums[at + 1 :]

    def over(self, at: float) -> Amounts:
        """What is over by then, together."""
        count = bisect_right(self.order, at, key=lambda end: end[0])
        for _, key in self.order[len(self._sums) - 1 : count]:
            total = dict(self._sums[-1])
            for resource, amount in self._amounts[key]:
                total[resource] = total.get(resource, 0) + amount
            self._sums.append(total)
        return self._sums[count]


class QuotaLater:
    """Answers for the tree as it is, which is told to it gang by gang.

    What ends counts queue by queue and not gang by gang: a question costs as much as the tree has queues in use.
    """

    def __init__(self, tree: QuotaTree, running: Iterable[Share] = ()) -> None:
        """``running``: what the tree holds, each with its expected end."""
        self.tree = tree
        self._of: dict[str, Share] = {}
        #: by the root of the tree they are in: queues, and all that ends there in order
        self._queues: dict[str, dict[str, _Ends]] = {}
        self._order: dict[str, list[tuple[float, str]]] = {}
        for share in running:
            self.put(share.key, share)

    def put(self, key: str, share: Share | None) -> None:
        """What the gang of that key holds from now on, as the tree knows it already; None: nothing."""
        old = self._of.pop(key, None)
        if old is not None and old.until < math.inf:
            root = self.tree.root(old.queue)
            self._queues[root][old.queue].drop(old)
            order = self._order[root]
            del order[bisect_left(order, (old.until, key))]
        if share is None:
            return
        self._of[key] = share
        if share.until < math.inf:
            root = self.tree.root(share.queue)
            self._queues.setdefault(root, {}).setdefault(share.queue, _Ends()).put(share)
            insort(self._order.setdefault(root, []), (share.until, key))

    def takes(
        self, wanted: Share, at: float, others: Iterable[Share] = (), gone: Collection[str] = ()
    ) -> bool:
        """Whether the quotas take it at that time.

        Args:
            others: what is held for others, or asked for before it; it counts while it lasts.
            gone: gangs that hold nothing any more, whatever their expected end.
        """
        changes = self._then(wanted, at, others, gone)
        return self.tree.check_beside(wanted.queue, dict(wanted.amounts), changes) is None

    def delays(
        self, asked: Share, wanted: Share, at: float, others: Iterable[Share], gone: Collection[str] = ()
    ) -> bool:
        """Whether the quotas take ``wanted`` at that time as `takes` says, and do not beside ``asked``."""
        changes, amounts = self._then(wanted, at, others, gone), dict(wanted.amounts)
        if self.tree.check_beside(wanted.queue, amounts, changes) is not None:
            return False
        changes += _there([asked], at, wanted.key)
        return self.tree.check_beside(wanted.queue, amounts, changes) is not None

    def _then(self, wanted: Share, at: float, others: Iterable[Share], gone: Collection[str]) -> list[Change]:
        """How the tree will differ, as far as that has a say in what ``wanted`` may take."""
        root = self.tree.root(wanted.queue)
        changes = self._over(root, at)
        left = (self._of[key] for key in dict.fromkeys(gone) if key in self._of)
        changes += [(s.queue, dict(s.amounts), -1) for s in left if s.until > at]
        changes += _there((s for s in others if self.tree.root(s.queue) == root), at, wanted.key)
        return changes

    def opening(self, wanted: Share, others: Sequence[Share], *, now: float, latest: float) -> float | None:
        """When the quotas take it first, ``now`` or when something is over; None: not by ``latest``.

        Args:
            wanted: ``until`` less ``at`` is how long it lasts.
            others: what is held for others, which it must not delay.
        """
        root, lasts, missing = self.tree.root(wanted.queue), wanted.until - wanted.at, 0
        others = [s for s in others if s.key != wanted.key and self.tree.root(s.queue) == root]
        given, held = self._order.get(root, ()), {s.until for s in others if now < s.until < math.inf}
        beside = [(s.at, s.until, (s.queue, dict(s.amounts), 1)) for s in others]
        short: Shortfall | None = None
        below: dict[str, bool] = {}
        reached = 0
        times: list[float] = sorted({now, *held, *map(itemgetter(0), given)})
        for at in times[bisect_left(times, now) :]:
            if at > latest:
                return None
            if short is not None:
                while reached < len(given) and given[reached][0] <= at:
                    share = self._of[given[reached][1]]
                    reached += 1
                    if share.queue not in below:
                        below[share.queue] = short.queue in self.tree.path(share.queue)
                    for resource, amount in share.amounts:
                        missing -= amount * (resource == short.resource and below[share.queue])
                if missing > 0 and at not in held:
                    continue  # not enough of what it lacked has come back
            short = self._short(wanted, at, at + lasts, self._over(root, at), beside)
            if short is None:
                return at
            missing, below = short.missing, {}
            reached = bisect_right(given, at, key=itemgetter(0))
        return None

    def _over(self, root: str, at: float) -> list[Change]:
        """What is over by then in one tree."""
        ends = self._queues.get(root, {}).items()
        return [(queue, over, -1) for queue, of_queue in ends if (over := of_queue.over(at))]

    def _short(
        self,
        wanted: Share,
        at: float,
        until: float,
        gone: Sequence[Change],
        others: Sequence[tuple[float, float, Change]],
    ) -> Shortfall | None:
        """What it lacks, with what is over by then gone: at once, or when one begins while it lasts.

        Args:
            others: what is held for others, from when and until when.
        """
        amounts = dict(wanted.amounts)
        for begin in [at, *(start for start, _, _ in others if at < start < until)]:
            changes = [*gone, *(change for start, end, change in others if start <= begin < end)]
            short = self.tree.check_beside(wanted.queue, amounts, changes)
            if short is not None:
                return short
        return None


def _there(others: Iterable[Share], at: float, but: str) -> Iterator[Change]:
    """What is held for others at that time, as changes of the tree."""
    return ((s.queue, dict(s.amounts), 1) for s in others if s.at <= at < s.until and s.key != but)


def keeps_within(tree: QuotaTree, asked: Share, other: str) -> bool:
    """Whether with ``asked`` its queue is within its own quota, so that it need not wait for queue ``other``.

    Judged below the nearest queue that is above the two. A queue shares all it has with itself and those below it.
    """
    theirs = set(tree.path(other))
    own = [level for level in tree.path(asked.queue) if level not in theirs]
    amounts = dict(asked.amounts)
    return bool(own) and all(
        (tree.nominal(level, resource) or 0) - tree.used(level).get(resource, 0) >= amounts.get(resource, 0)
        for level in own
        for resource in tree.bounded(asked.queue)
    )
