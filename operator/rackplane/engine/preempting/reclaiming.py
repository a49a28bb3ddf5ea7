"""Which gangs of other queues a queue may have stopped, to get back the quota that they borrow.

A queue that stays within its own quota takes back from those that are above theirs. Both are judged below the nearest
queue that is above the two: what they share further up is nobody's own. A gang may be stopped if a queue on its side
would still be above its quota with all other victims gone; so a borrower is brought back towards its quota, and never
below it by more than one gang. The other side has to be within its quota once its gang has started: whoever was stopped
has no right to take that back, and no two gangs stop each other in turn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rackplane.engine.queueing.quotas import Amounts, QuotaTree


class Reclaiming:
    """One queue, and what the gangs that could be stopped hold: key -> their queue, and amounts by resource."""

    def __init__(self, tree: QuotaTree, queue: str, held: Mapping[str, tuple[str, Amounts]]) -> None:
        self._tree = tree
        self._mine = tree.path(queue)
        self._bounded = tree.bounded(queue)
        self._held = held
        paths = {other: tree.path(other) for other, _ in held.values()}
        self._paths = {key: paths[other] for key, (other, _) in held.items()}
        self._used = {level: tree.used(level) for path in (self._mine, *paths.values()) for level in path}

    def borrows(self, key: str) -> bool:
        """Whether the gang is in a queue of the same tree that is above its quota, on its own side of the tree."""
        return self._above_quota(key, ())

    def allowed(self, keys: Collection[str]) -> bool:
        """Whether each of these is in a queue that is above its quota even if the others are gone."""
        return all(self._above_quota(key, keys) for key in keys)

    def within(self, asked: Amounts, gone: Collection[str], stopped: Collection[str]) -> bool:
        """Whether the queue keeps within its quota with ``asked`` beside what it holds.

        Args:
            gone: gangs that hold nothing any more, of whatever queue.
            stopped: of these the ones of other queues, against which the queue has to be within its quota.
        """
        return all(
            self._left(level, resource, gone) >= asked.get(resource, 0)
            for level in dict.fromkeys(
                level for key in stopped for level in self._mine if level not in self._paths[key]
            )
            for resource in self._bounded
        )

    def _above_quota(self, key: str, others: Collection[str]) -> bool:
        path = self._paths[key]
        if path[-1] != self._mine[-1]:
            return False
        besides = [other for other in others if other != key]
        return any(
            self._left(level, resource, besides) < 0
            for level in path
            if level not in self._mine
            for resource in self._bounded
            if self._held[key][1].get(resource, 0)
        )

    def _left(self, level: str, resource: str, gone: Collection[str]) -> int:
        """What the queue has left of its quota; below 0, what it borrows."""
        freed = sum(self._held[key][1].get(resource, 0) for key in gone if level in self._paths[key])
        return (self._tree.nominal(level, resource) or 0) - self._used[level].get(resource, 0) + freed
