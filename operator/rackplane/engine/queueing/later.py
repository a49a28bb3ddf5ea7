"""Quotas as they will be: without what is expected to be over by a time, and with what is held for others from then on.

Backfill on quota is as on nodes (:mod:`engine.queueing.reservations`): who waits for quota holds it from the earliest
time at which enough is expected to be there. Another may take some before, if it is over by then or leaves enough.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rackplane.engine.queueing.quotas import QuotaTree, Shortfall

__all__ = ["QuotaLater", "Share", "keeps_within"]


@dataclass(frozen=True, slots=True)
class Share:
    """What one gang holds of its queue's quota, or is to hold: from ``at`` to ``until``."""

    key: str
    queue: str
    amounts: tuple[tuple[str, int], ...]
    at: float = -math.inf
    until: float = math.inf


class QuotaLater:
    """Answers for the tree as it is now; to be made anew when anybody has got or given back something."""

    def __init__(self, tree: QuotaTree, running: Iterable[Share]) -> None:
        """``running``: what the tree holds, each with its expected end."""
        self.tree = tree
        self._running: dict[str, list[Share]] = {}
        self._of: dict[str, Share] = {}
        for share in running:
            self._of[share.key] = share
            if share.until < math.inf:
                self._running.setdefault(tree.path(share.queue)[-1], []).append(share)
        for shares in self._running.values():
            shares.sort(key=lambda s: (s.until, s.key))

    def takes(
        self, wanted: Share, at: float, others: Iterable[Share] = (), gone: Collection[str] = ()
    ) -> bool:
        """Whether the quotas take it at that time.

        Args:
            others: what is held for others, or asked for before it; it counts while it lasts.
            gone: gangs that hold nothing any more, whatever their expected end.
        """
        root = self.tree.path(wanted.queue)[-1]
        ended = self._ended(root, at)
        over = {share.key for share in ended}
        ended = [*ended, *(self._of[key] for key in gone if key in self._of and key not in over)]
        plus = [s for s in others if s.at <= at < s.until and s.key != wanted.key]
        with self._changed(ended, plus):
            return self.tree.check(wanted.queue, dict(wanted.amounts)) is None

    def opening(self, wanted: Share, others: Sequence[Share], *, now: float, latest: float) -> float | None:
        """When the quotas take it first, ``now`` or when something is over; None: not by ``latest``.

        Args:
            wanted: ``until`` less ``at`` is how long it lasts.
            others: what is held for others, which it must not delay.
        """
        lasts, missing = wanted.until - wanted.at, 0
        short: Shortfall | None = None
        with self._changed((), ()) as undo:
            for at, (over, is_other) in sorted(self._endings(wanted, others, now).items()):
                if at > latest:
                    return None
                for share in over:
                    self.tree.add(share.queue, dict(share.amounts), -1)
                    undo.append((share, 1))
                    if short is not None and short.queue in self.tree.path(share.queue):
                        missing -= dict(share.amounts).get(short.resource, 0)
                if missing > 0 and not is_other:
                    continue  # not enough of what it lacked has come back
                short = self._short(wanted, at, at + lasts, others)
                if short is None:
                    return at
                missing = short.missing
        return None

    def _endings(
        self, wanted: Share, others: Iterable[Share], now: float
    ) -> dict[float, tuple[list[Share], bool]]:
        """When something ends: what the tree holds that is over then, and whether what was held for others is."""
        found: dict[float, tuple[list[Share], bool]] = {now: ([], True)}
        for share in self._running.get(self.tree.path(wanted.queue)[-1], ()):
            found.setdefault(max(now, share.until), ([], False))[0].append(share)
        for share in others:
            if now < share.until < math.inf:
                found[share.until] = (found.get(share.until, ([], True))[0], True)
        return found

    def _short(self, wanted: Share, at: float, until: float, others: Sequence[Share]) -> Shortfall | None:
        """What it lacks, with what is over by then gone already: at once, or when one begins while it lasts."""
        for begin in [at, *(s.at for s in others if at < s.at < until)]:
            plus = [s for s in others if s.at <= begin < s.until and s.key != wanted.key]
            with self._changed((), plus):
                short = self.tree.check(wanted.queue, dict(wanted.amounts))
            if short is not None:
                return short
        return None

    def _ended(self, root: str, at: float) -> list[Share]:
        shares = self._running.get(root, [])
        return shares[: bisect_right(shares, at, key=lambda s: s.until)]

    @contextmanager
    def _changed(self, minus: Iterable[Share], plus: Iterable[Share]) -> Iterator[list[tuple[Share, int]]]:
        """The tree without some and with others; what is changed further is undone too, if it is noted."""
        undo: list[tuple[Share, int]] = []
        for times, shares in ((-1, minus), (1, plus)):
            for share in shares:
                self.tree.add(share.queue, dict(share.amounts), times)
                undo.append((share, -times))
        try:
            yield undo
        finally:
            for share, times in reversed(undo):
                self.tree.add(share.queue, dict(share.amounts), times)


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
