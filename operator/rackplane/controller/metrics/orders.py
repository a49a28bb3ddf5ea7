"""Power budgets in force, what they find, and how well they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import Metric

from rackplane.controller.metrics.families import Section, counter, gauge
from rackplane.core.site.budgetstatus import budget_sums
from rackplane.core.world import World
from rackplane.engine.reporting.reports import BudgetReport

__all__ = ["ORDERS", "order_metrics"]

LIMIT: Final = gauge("budget_limit_watts", "Limit of a power budget in force.", "power_budget")
RESERVED: Final = gauge(
    "budget_reserved_watts", "Nominal watts of a power budget's targets by the books.", "power_budget"
)
HEADROOM: Final = gauge(
    "budget_headroom_watts",
    "What the targets of a power budget could still add now. Below 0: it is exceeded.",
    "power_budget",
)
WORST: Final = gauge(
    "budget_worst_headroom_watts",
    "What they could still add after the loss that is worst for it.",
    "power_budget",
    only="budgets on power domains and feed tags",
)
IN_FORCE: Final = counter(
    "budget_in_force_seconds", "Time that a power budget has been in force.", "power_budget"
)
EXCEEDED: Final = counter(
    "budget_exceeded_seconds", "Of that, the time for which it was exceeded by the books.", "power_budget"
)

ORDERS: Final = Section(
    "Orders and other power budgets",
    "A grid order is a PowerBudget too. Compliance is 1 less what was exceeded of the time in force. Budgets "
    "that are not in force have the counters alone.",
    (LIMIT, RESERVED, HEADROOM, WORST, IN_FORCE, EXCEEDED),
)


def order_metrics(world: World, budgets: Mapping[str, BudgetReport]) -> Iterator[Metric]:
    """All of the section; ``budgets`` are those on power."""
    found = {name: sums[0] for name, sums in budget_sums(world, budgets).items()}
    now = {name: each for name, each in found.items() if each.starts_at is None}
    yield LIMIT.of(([name], each.limit_watts) for name, each in now.items())
    yield RESERVED.of(([name], each.watts) for name, each in now.items())
    yield HEADROOM.of(([name], each.headroom_watts) for name, each in now.items())
    yield WORST.of(([name], b.worst.headroom_watts) for name, b in budgets.items())
    yield IN_FORCE.of(([name], seconds) for name, seconds in sorted(world.compliance.in_force.items()))
    yield EXCEEDED.of(([name], seconds) for name, seconds in sorted(world.compliance.exceeded.items()))
