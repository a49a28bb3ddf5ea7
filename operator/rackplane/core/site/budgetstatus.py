"""What a PowerBudget's status says: what it finds now, and what it will find when it next starts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rackplane.api.base import kilowatts
from rackplane.api.power_budget import PowerBudget, PowerBudgetSpec
from rackplane.core.gangs.statuses import condition, timestamp
from rackplane.core.queues.counting import count_usages
from rackplane.core.site.budgets import GroupBudget
from rackplane.core.world import World
from rackplane.engine.explaining.phrases import against, moment
from rackplane.engine.explaining.phrases import kilowatts as words
from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.engine.reporting.reports import BudgetReport, WorstCase
from rackplane.engine.state import State

__all__ = ["BUDGET_TYPES", "Sum", "budget_figures", "budget_judgements", "budget_sums"]

_EXCEEDED: Final = "Exceeded"
_EXCEEDED_AT_START: Final = "ExceededAtStart"
#: Types of the conditions that are written here.
BUDGET_TYPES: Final = frozenset({_EXCEEDED, _EXCEEDED_AT_START})


@dataclass(frozen=True, slots=True)
class Sum:
    """Nominal watts of a budget's targets by the books, and its limit, in one stretch of time."""

    watts: int
    limit_watts: int
    #: None: in force now
    starts_at: float | None = None
    ends_at: float | None = None
    #: of one that applies Always: the loss that leaves it least
    worst: WorstCase | None = None

    @property
    def headroom_watts(self) -> int:
        return self.limit_watts - self.watts


def budget_sums(world: World, reports: Mapping[str, BudgetReport]) -> dict[str, list[Sum]]:
    """By name of a valid or invalid budget: what it finds in force, if it is, and at its next start, if there is one.

    Of a budget on power by the engine's sums, of one on queues or namespaces by what their gangs add over idle.
    """
    assert world.state is not None
    found: dict[str, list[Sum]] = {}
    for name, report in reports.items():
        row = LimitRow(RowKind.BUDGET, name)
        ends_at = float(world.state.facility.cell_ends[world.state.facility.row_index[row]])
        end = None if ends_at == math.inf else ends_at
        found[name] = [Sum(report.nominal_watts, report.limit_watts, None, end, report.worst)]
    for name, coming in _coming(world.state).items():
        found.setdefault(name, []).append(coming)
    first: dict[tuple[str, bool], GroupBudget] = {}
    for budget in world.catalog.budgets.groups(world.now):
        first.setdefault((budget.name, budget.starts_at is None), budget)
    count_usages(world)
    for (name, _), budget in first.items():
        found.setdefault(name, []).append(_of_groups(world, budget))
    return {name: sorted(sums, key=lambda s: s.starts_at or -math.inf) for name, sums in found.items()}


def _coming(state: State) -> dict[str, Sum]:
    """By name, the first stretch that is to come of each budget on power."""
    first: dict[str, LimitRow] = {}
    for row in state.facility.rows:
        if row.kind is RowKind.BUDGET and row.starts_at is not None:
            known = first.get(row.element)
            if known is None or known.starts_at is None or row.starts_at < known.starts_at:
                first[row.element] = row
    result = {}
    for name, row in first.items():
        cell = state.facility.row_index[row]
        result[name] = Sum(
            round(float(state.loads[cell])), int(state.facility.limits[cell]), row.starts_at, row.ends_at
        )
    return result


def _of_groups(world: World, budget: GroupBudget) -> Sum:
    start = -math.inf if budget.starts_at is None else budget.starts_at
    watts = world.ledger.draws(budget.group).at(start)
    return Sum(watts, budget.limit_watts, budget.starts_at, budget.ends_at)


def budget_figures(world: World, sums: Sequence[Sum], name: str) -> dict[str, Any]:
    """The numbers of one budget; None for each that does not apply, so that none of an earlier time is left."""
    now = next((s for s in sums if s.starts_at is None), None)
    then = next((s for s in sums if s.starts_at is not None), None)
    limit = now or then
    return {
        "active": world.catalog.budgets.in_force(name, world.now),
        "activeUntil": None if now is None or now.ends_at is None else _stamp(now.ends_at),
        "reservedNominalWatts": None if now is None else now.watts,
        "headroomWatts": None if now is None else now.headroom_watts,
        "nextStart": None if then is None or then.starts_at is None else _stamp(then.starts_at),
        "nextEnd": None if then is None or then.ends_at is None else _stamp(then.ends_at),
        "expectedWatts": None if then is None else then.watts,
        "expectedHeadroomWatts": None if then is None else then.headroom_watts,
        "limitKilowatts": None if limit is None else kilowatts(limit.limit_watts),
        "reservedKilowatts": None if now is None else kilowatts(now.watts),
        "headroomKilowatts": None if now is None else kilowatts(now.headroom_watts),
        "expectedKilowatts": None if then is None else kilowatts(then.watts),
    }


def budget_judgements(world: World, sums: Sequence[Sum], name: str) -> list[dict[str, Any]]:
    """Whether the budget is exceeded, and whether it will be when it next starts; absent where it has no such time."""
    budget = world.catalog.get(PowerBudget, name)
    about = _about(budget.spec) if budget is not None else ""
    return [
        _exceeded(s, about, world.now) if s.starts_at is None else _at_start(s, about, world.now)
        for s in sums
    ]


def _exceeded(found: Sum, about: str, now: float) -> dict[str, Any]:
    worst = found.worst
    if found.headroom_watts < 0:
        text = f"{against(found.watts, found.limit_watts)} by the books: what would add to it waits{about}"
        return condition(_EXCEEDED, true=True, reason="AboveLimit", message=text, now=now)
    if worst is not None and worst.headroom_watts < 0:
        load = against(worst.load_watts, worst.limit_watts)
        text = f"losing {worst.loss.label} would make it {load}: what would add to it waits{about}"
        return condition(_EXCEEDED, true=True, reason="AboveLimitAfterLoss", message=text, now=now)
    text = f"{words(found.watts)} of {words(found.limit_watts)} by the books{about}"
    return condition(_EXCEEDED, true=False, reason="WithinLimit", message=text, now=now)


def _at_start(found: Sum, about: str, now: float) -> dict[str, Any]:
    start = f"expected at {moment(found.starts_at or now)}"
    if found.headroom_watts < 0:
        text = f"{against(found.watts, found.limit_watts)} {start}: what would add to it waits{about}"
        return condition(_EXCEEDED_AT_START, true=True, reason="AboveLimit", message=text, now=now)
    text = f"{words(found.watts)} of {words(found.limit_watts)} {start}{about}"
    return condition(_EXCEEDED_AT_START, true=False, reason="WithinLimit", message=text, now=now)


def _about(spec: PowerBudgetSpec) -> str:
    """What its sender wants to read again."""
    order = f"order {spec.correlation_id}" if spec.correlation_id else ""
    effort = "best effort" if spec.best_effort else ""
    said = ", ".join(filter(None, (order, effort)))
    return f" ({said})" if said else ""


def _stamp(seconds: float) -> str:
    return timestamp(math.ceil(seconds))
