"""PowerBudgets that name queues or namespaces: what they take, now and at a later time.

A gang counts from its start until its expected end, and so does what is held for others. Between two times at which
something begins the sum only falls. So a budget takes a gang if it does when both hold first, and whenever something
that is held for others begins meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.ledger import Ledger
from rackplane.core.queues.quota import QuotaRefusal
from rackplane.core.site.budgets import Group, GroupBudget
from rackplane.core.world import World
from rackplane.engine.explaining.times import when
from rackplane.engine.queueing.later import Share
from rackplane.engine.queueing.quotas import WATTS

__all__ = ["Excess", "binds", "budget_refusal", "counts_anywhere", "excess", "excess_of", "next_look"]


@dataclass(frozen=True, slots=True)
class Excess:
    """A budget that a gang would exceed, by so many watts, at that time; in seconds since the epoch."""

    budget: GroupBudget
    watts: int
    at: float


def budget_refusal(found: Excess, start: float) -> QuotaRefusal:
    """The same in words, for a gang that would start at that time."""
    budget = found.budget
    begins = budget.starts_at if budget.starts_at is not None and budget.starts_at > start else None
    coming = "" if begins is None else f", in force from {when(begins)},"
    return QuotaRefusal(
        f"power budget {budget.name} of {budget.limit_watts / 1000:,.1f} kW{coming} would be exceeded by "
        f"{found.watts / 1000:,.1f} kW" + (" then" if coming else ""),
        of_watts=True,
        budget=budget.name,
    )


def counts_anywhere(world: World, queue: str) -> bool:
    """Whether a quota or a PowerBudget on queues or namespaces may refuse what a gang of the queue asks for."""
    return not world.ledger.tree.takes_all(queue) or bool(world.catalog.budgets.groups(world.now))


def excess(
    world: World, asked: Share, *, gone: Collection[str] = (), plus: Sequence[Share] = ()
) -> Excess | None:
    """The first budget that does not take the gang from `Share.at` to `Share.until`; None if all do.

    Args:
        asked: from -inf on, if it is to start now.
        gone: bookings that do not count.
        plus: what counts beside those that do, each from its `Share.at` to its `Share.until`.
    """
    budgets = world.catalog.budgets.groups(world.now)
    if not budgets:
        return None
    count_usages(world)
    return excess_of(world.ledger, budgets, asked, gone=gone, plus=plus)


def excess_of(
    ledger: Ledger,
    budgets: Iterable[GroupBudget],
    asked: Share,
    *,
    gone: Collection[str] = (),
    plus: Sequence[Share] = (),
) -> Excess | None:
    """As `excess`, of these budgets and by that ledger."""
    members: dict[Group, list[Share]] = {}
    for budget in budgets:
        group = budget.group
        if not _counts(ledger, group, asked):
            continue
        first = max(asked.at, -math.inf if budget.starts_at is None else budget.starts_at)
        last = min(asked.until, math.inf if budget.ends_at is None else budget.ends_at)
        if first >= last:
            continue
        if group not in members:
            members[group] = [share for share in plus if _counts(ledger, group, share)]
        draws, others = ledger.draws(group), members[group]
        for at in [first, *sorted(s.at for s in others if first < s.at < last)]:
            there = sum(_watts(s) for s in others if s.at <= at < s.until)
            over = draws.at(at, gone) + there + _watts(asked) - budget.limit_watts
            if over > 0:
                return Excess(budget, over, at)
    return None


def next_look(world: World, found: Excess, asked: Share, plus: Iterable[Share]) -> float:
    """The first time after the start of `asked` at which the budget may take it; infinite if there is none.

    Args:
        found: why it does not, if it starts then.
        plus: what is held for others.
    """
    ledger, budget = world.ledger, found.budget
    draws = ledger.draws(budget.group)
    less = draws.falls_to(draws.at(found.at) - found.watts, found.at)
    late = (at for at in world.reserved.ends.values() if at > asked.at)
    over = (s.until for s in plus if s.until > asked.at and _counts(ledger, budget.group, s))
    end = math.inf if budget.ends_at is None else budget.ends_at
    return min(less, end, *late, *over)


def binds(world: World, name: str, share: Share) -> bool:
    """Whether the PowerBudget of that name counts the gang at any time between `Share.at` and `Share.until`."""
    return any(
        (budget.starts_at is None or budget.starts_at < share.until)
        and (budget.ends_at is None or budget.ends_at > max(share.at, world.now))
        and _counts(world.ledger, budget.group, share)
        for budget in world.catalog.budgets.groups(world.now)
        if budget.name == name
    )


def _counts(ledger: Ledger, group: Group, share: Share) -> bool:
    return _watts(share) > 0 and ledger.counts(group, share.queue, share.key.partition("/")[0])


def _watts(share: Share) -> int:
    return dict(share.amounts).get(WATTS, 0)
