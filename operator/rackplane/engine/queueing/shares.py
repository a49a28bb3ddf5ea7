"""How much of what there is a queue counts as having: its weighted dominant share, now and over time.

Of each resource (GPUs, watts) the amount that counts is half what the queue's gangs hold now and half the average of
what they held, in which a second counts half after each half-life. The dominant share is the largest part of what the
parent has that any of the amounts is (Ghodsi et al., Dominant Resource Fairness, NSDI 2011), divided by the weight.

The sum over time of an amount u, each second weighted by 2^(-age/h), follows from its value H a time t ago by
H 2^(-t/h) + u (h / ln 2) (1 - 2^(-t/h)) while u does not change, and the average is H ln 2 / h.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rackplane.engine.model import InvariantViolation
from rackplane.engine.queueing.quotas import GPUS, WATTS, Amounts, QuotaTree

__all__ = ["History", "Rank", "Shares"]

_LN_2 = math.log(2)

#: Shares are compared in so many parts of the whole: finer differences are no reason to pass an older gang.
PARTS = 1_000_000

#: what queues are compared by: the share of each queue on the path from the root down
Rank = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class History:
    """What a queue's own gangs have held, decayed, at a time in seconds since the epoch."""

    at: float
    gpu_seconds: float
    watt_seconds: float


class _Account:
    """What is held, and was held, by some gangs."""

    __slots__ = ("at", "held", "sums")

    def __init__(self) -> None:
        self.held = {GPUS: 0, WATTS: 0}
        self.sums = {GPUS: 0.0, WATTS: 0.0}
        self.at = -math.inf

    def advance(self, now: float, half_life: float) -> None:
        if now <= self.at or not half_life:
            return
        if self.at > -math.inf:
            left = 2.0 ** ((self.at - now) / half_life)
            for resource, amount in self.held.items():
                gained = amount * (1.0 - left) * half_life / _LN_2
                self.sums[resource] = self.sums[resource] * left + gained
        self.at = now

    def counted(self, resource: str, half_life: float) -> float:
        held = self.held[resource]
        return (held + self.sums[resource] * _LN_2 / half_life) / 2 if half_life else held


class Shares:
    """Args:
    half_life_seconds: after it a second of use counts half; 0: only what is held now counts.
    """

    def __init__(self, half_life_seconds: float) -> None:
        self._half_life = half_life_seconds
        self._tree = QuotaTree()
        self._weights: dict[str, int] = {}
        self._inner: set[str] = set()
        self._all: Amounts = {}
        #: of the gangs of the queue itself, and of those with the ones below it
        self._own: dict[str, _Account] = {}
        self._whole: dict[str, _Account] = {}
        #: of each queue its part of a rank: with the queues below it, and of its own gangs alone
        self._parts: dict[str, int] = {}
        self._own_parts: dict[str, int] = {}
        self._known: dict[str, Rank] = {}
        #: by root the queues whose ranks are known: what is held in another tree has no say in them
        self._below: dict[str, list[str]] = {}
        self._known_at = -math.inf

    # -- what happens ------------------------------------------------------------------------------

    def shape(self, tree: QuotaTree, everything: Amounts, now: float) -> None:
        """Queues have come, gone or changed: what they have held is kept.

        Args:
            everything: GPUs and watts of the facility, which is what queues have where nothing bounds them.
        """
        self._tree, self._all = tree, everything
        specs = list(tree)
        self._weights = {spec.name: spec.weight for spec in specs}
        self._inner = {spec.parent for spec in specs if spec.parent is not None}
        own = self._own
        for account in own.values():
            account.advance(now, self._half_life)
        self._own = {
            name: own.get(name, _Account()) for name in {*self._weights, *(n for n in own if _holds(own[n]))}
        }
        self._whole = {name: _Account() for name in self._own}
        for name, account in self._own.items():
            account.advance(now, self._half_life)
            for level in tree.path(name):
                whole = self._whole.setdefault(level, _Account())
                whole.at = now
                for resource in (GPUS, WATTS):
                    whole.held[resource] += account.held[resource]
                    whole.sums[resource] += account.sums[resource]
        self._forget()

    def add(self, queue: str, amounts: Amounts, now: float, times: int = 1) -> None:
        """A gang of the queue holds these from now on; with ``times`` -1 it does no more."""
        path = self._tree.path(queue)
        accounts = [self._own.setdefault(queue, _Account())]
        accounts += [self._whole.setdefault(level, _Account()) for level in path]
        for account in accounts:
            account.advance(now, self._half_life)
            for resource in (GPUS, WATTS):
                account.held[resource] += amounts.get(resource, 0) * times
        for other in self._below.pop(path[-1], ()):
            self._known.pop(other, None)
        self._own_parts.pop(queue, None)
        for level in path:
            self._parts.pop(level, None)

    def remember(self, queue: str, history: History) -> None:
        """Take over what was written down before a restart, as if what is held now had been held since."""
        own = self._own.setdefault(queue, _Account())
        fresh = _Account()
        fresh.held, fresh.at = dict(own.held), history.at
        fresh.sums = {GPUS: history.gpu_seconds, WATTS: history.watt_seconds}
        fresh.advance(max(own.at, history.at), self._half_life)
        for level in self._tree.path(queue):
            whole = self._whole.setdefault(level, _Account())
            whole.advance(fresh.at, self._half_life)
            for resource in (GPUS, WATTS):
                whole.sums[resource] += fresh.sums[resource] - own.sums[resource]
        own.sums, own.at = fresh.sums, fresh.at
        self._forget()

    def _forget(self) -> None:
        self._known.clear()
        self._below.clear()
        self._parts.clear()
        self._own_parts.clear()

    # -- questions ---------------------------------------------------------------------------------

    def held(self, queue: str) -> Amounts:
        """What the queue's own gangs hold."""
        return _held(self._own.get(queue))

    def history(self, queue: str, now: float) -> History | None:
        """What the queue's own gangs have held; None if no history is kept."""
        account = self._own.get(queue)
        if account is None or not self._half_life:
            return None
        account.advance(now, self._half_life)
        return History(now, account.sums[GPUS], account.sums[WATTS])

    def share(self, queue: str, now: float) -> float:
        """The queue's dominant share, with the queues below it, of what its parent has; not divided by its weight."""
        path = self._tree.path(queue)
        return self._dominant(self._whole.get(queue), path[1:], now)

    def rank(self, queue: str, now: float) -> Rank:
        """What the queue is compared by: from the root down each queue's share by its weight, in `PARTS`.

        A queue that has others below it competes with them, with what its own gangs hold and a weight of 1.
        """
        if now != self._known_at:
            self._forget()
            self._known_at = now
        known = self._known.get(queue)
        if known is None:
            known = self._known[queue] = self._rank(queue, now)
        return known

    def _rank(self, queue: str, now: float) -> Rank:
        path = self._tree.path(queue)
        self._below.setdefault(path[-1], []).append(queue)
        found = [self._part(name, path[i + 1 :], now) for i, name in enumerate(path)]
        found.reverse()
        if queue in self._inner:
            own = self._own_parts.get(queue)
            if own is None:
                own = self._own_parts[queue] = int(self._dominant(self._own.get(queue), path, now) * PARTS)
            found.append(own)
        return tuple(found)

    def _part(self, queue: str, above: list[str], now: float) -> int:
        known = self._parts.get(queue)
        if known is None:
            share = self._dominant(self._whole.get(queue), above, now)
            known = self._parts[queue] = int(share * PARTS / self._weights.get(queue, 1))
        return known

    def _dominant(self, account: _Account | None, above: list[str], now: float) -> float:
        if account is None:
            return 0.0
        account.advance(now, self._half_life)
        return max(
            account.counted(resource, self._half_life) / max(1, self._has(above, resource))
            for resource in (GPUS, WATTS)
        )

    def _has(self, above: list[str], resource: str) -> int:
        """What there is to share: the quota of the nearest queue above that has one, or else everything."""
        for name in above:
            nominal = self._tree.nominal(name, resource)
            if nominal is not None:
                return nominal
        return self._all.get(resource, 0)

    # -- check -------------------------------------------------------------------------------------

    def validate(self, held: Iterable[tuple[str, Amounts]]) -> None:
        """Compare with a new count of what gangs hold.

        Raises:
            InvariantViolation: a figure differs.
        """
        fresh: dict[str, dict[str, int]] = {}
        for queue, amounts in held:
            for level in self._tree.path(queue):
                sums = fresh.setdefault(level, {GPUS: 0, WATTS: 0})
                for resource in sums:
                    sums[resource] += amounts.get(resource, 0)
        for name in {*fresh, *self._whole}:
            mine = _held(self._whole.get(name))
            if mine != fresh.get(name, _held(None)):
                raise InvariantViolation(f"queue {name} shares {mine}, by a new count {fresh.get(name)}")


def _held(account: _Account | None) -> Mapping[str, int]:
    return {GPUS: 0, WATTS: 0} if account is None else account.held


def _holds(account: _Account) -> bool:
    return any(account.held.values())
