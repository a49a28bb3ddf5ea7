"""What gangs with a place count against quotas and in the shares of queues, kept in step gang by gang."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, ItemsView, Iterable, Iterator, Mapping, ValuesView
from contextlib import contextmanager, suppress
from typing import Any

from rackplane.api.queue import Queue
from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.statuses import seconds, timestamp
from rackplane.core.queues.quota import Usage, queue_path, queue_spec
from rackplane.core.site.budgets import Group
from rackplane.engine.model import InvariantViolation
from rackplane.engine.queueing.draws import Draws
from rackplane.engine.queueing.quotas import Amounts, QuotaTree
from rackplane.engine.queueing.shares import History, Shares

__all__ = ["Ledger"]

_MOST = 2**53 - 1
_GROUPS = 64
"""Sums for more groups than so many are dropped and made anew as they are asked for: budgets come and go."""


class Ledger:
    """Args:
    half_life_seconds: after it a second of use counts half in the shares; 0: no history.
    """

    def __init__(self, half_life_seconds: float) -> None:
        self.tree = QuotaTree()
        self.shares = Shares(half_life_seconds)
        self._queues: Mapping[str, Queue] = {}
        self._usages: dict[Key, Usage] = {}
        self._draws: dict[Group, Draws] = {}
        #: see `news`
        self._news: dict[Key, None] | None = None
        self._remembered: set[str] = set()
        self._written: dict[str, Mapping[str, Any]] = {}

    def shape(
        self,
        queues: Mapping[str, Queue],
        everything: Amounts,
        statuses: Mapping[str, Mapping[str, Any]],
        now: float,
    ) -> None:
        """Queues have come, gone or changed, or what there is to share has.

        Args:
            everything: GPUs and watts of the facility.
            statuses: by queue, its status as last seen: what it held before a restart is read from it, once.
        """
        self._queues = queues
        self._draws.clear()  # queues may have another parent
        self.tree = QuotaTree(queue_spec(queue) for queue in queues.values())
        for usage in self._usages.values():
            self.tree.add(usage.queue, usage.amounts())
        self.shares.shape(self.tree, everything, now)
        for name in queues:
            if name not in self._remembered:
                self._remembered.add(name)
                history = _history(statuses.get(name, {}))
                if history is not None:
                    self.shares.remember(name, history)

    def put(self, gang: Key, usage: Usage | None, now: float) -> None:
        """What the gang holds from now on."""
        old = self._usages.get(gang)
        if old == usage:
            return
        if old is not None:
            del self._usages[gang]
            self.tree.remove(old.queue, old.amounts())
            self.shares.add(old.queue, old.amounts(), now, -1)
        for group, draws in self._draws.items():
            draws.drop(booking_key(gang))
            if usage is not None and self.counts(group, usage.queue, usage.namespace):
                draws.put(booking_key(gang), usage.nominal_watts, usage.until)
        if self._news is not None:
            self._news[gang] = None
            if len(self._news) > 2 * len(self._usages) + 64:
                self._news = None  # nobody has asked for long
        if usage is not None:
            self._usages[gang] = usage
            self.tree.add(usage.queue, usage.amounts())
            self.shares.add(usage.queue, usage.amounts(), now)

    def news(self) -> Collection[Key] | None:
        """Gangs that may hold something else than at the last call; None: any may."""
        found, self._news = self._news, {}
        return found

    def get(self, gang: Key) -> Usage | None:
        """What the gang holds; None if it has no place."""
        return self._usages.get(gang)

    def counts(self, group: Group, queue: str, namespace: str) -> bool:
        """Whether gangs of that queue and namespace are of the group."""
        return namespace in group.namespaces or any(
            level.metadata.name in group.queues for level in queue_path(queue, self._queues.get)
        )

    def draws(self, group: Group) -> Draws:
        """What the gangs of the group draw, now and later."""
        if group not in self._draws:
            if len(self._draws) >= _GROUPS:
                self._draws.clear()
            self._draws[group] = self._drawn(group, self._usages.items())
        return self._draws[group]

    def _drawn(self, group: Group, held: Iterable[tuple[Key, Usage]]) -> Draws:
        draws = Draws()
        for gang, usage in held:
            if self.counts(group, usage.queue, usage.namespace):
                draws.put(booking_key(gang), usage.nominal_watts, usage.until)
        return draws

    def usages(self) -> ValuesView[Usage]:
        return self._usages.values()

    def by_gang(self) -> ItemsView[Key, Usage]:
        return self._usages.items()

    @contextmanager
    def changed(self, gone: Iterable[Usage], plus: Iterable[Usage]) -> Iterator[QuotaTree]:
        """The quotas with some not held and others held too, for as long as it is asked."""
        changes = [
            *((usage.queue, usage.amounts(), -1) for usage in gone),
            *((usage.queue, usage.amounts(), 1) for usage in plus),
        ]
        with self.tree.changed(changes):
            yield self.tree

    def history(self, queue: str, now: float) -> Mapping[str, Any] | None:
        """What `status.usageHistory` is to be: None if nothing is kept.

        While nothing is held the old one says the same: it is decayed when it is read.
        """
        idle = not any(self.shares.held(queue).values())
        if idle and queue in self._written:
            return self._written[queue]
        found = self.shares.history(queue, now)
        if found is None or (idle and found.gpu_seconds < 1 and found.watt_seconds < 1):
            self._written.pop(queue, None)
            return None
        self._written[queue] = {
            "time": timestamp(found.at),
            "gpuSeconds": min(_MOST, round(found.gpu_seconds)),
            "wattSeconds": min(_MOST, round(found.watt_seconds)),
        }
        if not idle:
            return self._written.pop(queue)
        return self._written[queue]

    def validate(self, usages: Iterable[Usage]) -> None:
        """Compare with a new count.

        Raises:
            InvariantViolation: something differs.
        """
        found = list(usages)
        if Counter(found) != Counter(self._usages.values()):
            raise InvariantViolation("what gangs count against quotas differs from a new count")
        held = [(usage.queue, usage.amounts()) for usage in found]
        self.tree.validate(held)
        self.shares.validate(held)
        for group, draws in self._draws.items():
            if draws.held != self._drawn(group, self._usages.items()).held:
                raise InvariantViolation(f"what the gangs of {group} draw differs from a new count")


def _history(status: Mapping[str, Any]) -> History | None:
    known = status.get("usageHistory")
    if not isinstance(known, Mapping):
        return None
    with suppress(KeyError, TypeError, ValueError):
        return History(seconds(known["time"]), float(known["gpuSeconds"]), float(known["wattSeconds"]))
    return None
