"""PowerBudgets as the engine and the quotas take them: each stretch of time in which one holds, and what is wrong.

An error in a budget never lifts it: one that does not decode bounds whatever it can be read to target by 0 W and at
all times, one that decodes but targets what does not exist counts as 0 W at its times.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rackplane.api.power_budget import BudgetScope, PowerBudget, PowerBudgetSpec
from rackplane.api.power_domain import PowerDomain
from rackplane.core.site.budgettimes import ALWAYS, Stretch, in_force, next_change, stretches
from rackplane.engine.model import BudgetSpec, Problem

__all__ = ["STRETCHES", "Budgets", "Group", "GroupBudget"]

#: A budget is given to the engine for its first stretches only, so that a schedule of many short windows costs no more
#: than this: two a day for a week, and the one after. `Budgets.rows` says why an admission needs but the first.
STRETCHES = 16


class Group(NamedTuple):
    """Gangs that are counted together: those of these queues and the queues below them, and of these namespaces."""

    queues: tuple[str, ...]
    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupBudget:
    """A budget on what the gangs of queues and namespaces draw above idle, in one stretch of time.

    `limit_watts` bounds nominal watts; times are in seconds since the epoch.
    """

    name: str
    queues: tuple[str, ...]
    namespaces: tuple[str, ...]
    limit_watts: int
    #: None: in force now
    starts_at: float | None = None
    #: None: without end
    ends_at: float | None = None

    @property
    def group(self) -> Group:
        """Whose watts it bounds."""
        return Group(self.queues, self.namespaces)


class Budgets:
    """The PowerBudgets of a facility.

    Args:
        valid: by name, those that decode.
        broken: by name, the spec as written of those that do not.
        domains: the PowerDomains that decode.
        known_domains: names of all PowerDomains.
        known_queues: names of all Queues.
        horizon: how far ahead starts of gangs are estimated, in seconds.
    """

    def __init__(
        self,
        *,
        valid: Mapping[str, PowerBudget],
        broken: Mapping[str, object],
        domains: Mapping[str, PowerDomain],
        known_domains: Collection[str],
        known_queues: Collection[str],
        horizon: float,
    ) -> None:
        self.horizon = horizon
        self._valid = valid
        self._broken = broken
        self._domains = domains
        self._known_domains = known_domains
        self._known_queues = known_queues
        self._tags = {domain.spec.feed_tag for domain in domains.values()} - {None}
        # Every decision of one pass asks for them, and time zones are slow.
        self._groups: tuple[float, list[GroupBudget]] | None = None

    # --- times --------------------------------------------------------------------------------------

    def stretches(self, name: str, now: float) -> list[Stretch]:
        """When the budget is in force, from `now` on, to the first stretch that starts after the horizon.

        One that does not decode always is.
        """
        if name in self._broken:
            return [ALWAYS]
        budget = self._valid.get(name)
        return [] if budget is None else stretches(budget.spec, now, self.horizon)

    def in_force(self, name: str, now: float) -> bool:
        """Whether it bounds anything at `now`."""
        return name in self._broken or (name in self._valid and in_force(self._valid[name].spec, now))

    def next_change(self, now: float) -> float | None:
        """When `rows` or `groups` next answer otherwise, after `now`; None if they never will."""
        times = [next_change(budget.spec, now, self.horizon) for budget in self._valid.values()]
        return min((time for time in times if time is not None), default=None)

    # --- what the engine and the quotas take --------------------------------------------------------

    def rows(self, now: float) -> Iterator[BudgetSpec]:
        """Budgets on power domains and feed tags: one entry for each stretch of time.

        For a start at some time, the stretch in force then, or else the next one, decides alone. The bookings that
        are expected to run at a later stretch are among those that run at an earlier one, and so is the gang that
        asks. The coefficients and the limit are the same and no coefficient is negative, so the load at the later
        stretch is at most that at the earlier, and what fits there fits later too. A booking that overruns its
        expectation counts at every stretch.

        So an admission needs the first entry only, however far away it is. An estimate asks about starts at any time
        within the horizon: it needs every stretch that starts within it, and the one after.
        """
        for name in sorted({*self._valid, *self._broken}):
            budget = self._valid.get(name)
            if budget is None:
                raw = self._broken[name]
                powers, tags = _written(raw, "powerDomains"), _written(raw, "feedTags")
                elsewhere = _written(raw, "queues") or _written(raw, "namespaces")
                if not elsewhere and not self._any_known(powers, tags):
                    powers = tuple(self._domains)  # it may have meant any of them
                if powers or tags:
                    yield BudgetSpec(name, powers, tags, 0)
                continue
            spec = budget.spec
            powers, tags = spec.targets.power_domains, spec.targets.feed_tags
            if not (powers or tags):
                continue
            if not _is_mixed(spec) and not self._any_known(powers, tags):
                powers = (*powers, *self._domains)
            always, limit = spec.applies_to is BudgetScope.ALWAYS, self._limit(spec)
            for starts_at, ends_at in self._times(spec, now):
                yield BudgetSpec(
                    name, powers, tags, limit, always=always, starts_at=starts_at, ends_at=ends_at
                )

    def groups(self, now: float) -> list[GroupBudget]:
        """Budgets on queues and namespaces: one entry for each stretch of time, in order of name and time."""
        if self._groups is not None and self._groups[0] == now:
            return self._groups[1]
        found: list[GroupBudget] = []
        for name in sorted({*self._valid, *self._broken}):
            budget = self._valid.get(name)
            if budget is None:
                queues, namespaces = (
                    _written(self._broken[name], "queues"),
                    _written(self._broken[name], "namespaces"),
                )
                if queues or namespaces:
                    found.append(GroupBudget(name, queues, namespaces, 0))
                continue
            targets = budget.spec.targets
            if targets.queues or targets.namespaces:
                limit = self._limit(budget.spec)
                found.extend(
                    GroupBudget(name, targets.queues, targets.namespaces, limit, starts_at, ends_at)
                    for starts_at, ends_at in self._times(budget.spec, now)
                )
        self._groups = (now, found)
        return found

    def _times(self, spec: PowerBudgetSpec, now: float) -> Iterator[tuple[float | None, float | None]]:
        for stretch in stretches(spec, now, self.horizon)[:STRETCHES]:
            yield (
                None if stretch.start <= now else stretch.start,
                None if stretch.end == math.inf else stretch.end,
            )

    def _limit(self, spec: PowerBudgetSpec) -> int:
        """Its limit in watts; 0 if it bounds things that are not added up, or not all of them are known."""
        return 0 if _is_mixed(spec) or any(True for _ in self._dangling(spec)) else spec.limit_watts

    def _any_known(self, powers: Collection[str], tags: Collection[str]) -> bool:
        return any(name in self._known_domains for name in powers) or any(tag in self._tags for tag in tags)

    def _dangling(self, spec: PowerBudgetSpec) -> Iterator[tuple[str, str, str]]:
        """Targets that do not exist: the field, what is wrong and the remedy, in words."""
        targets = spec.targets
        for name in targets.power_domains:
            if name not in self._known_domains:
                remedy = f"create PowerDomain {name} or correct the name"
                yield "spec.targets.powerDomains", f"power domain {name} does not exist", remedy
        for tag in targets.feed_tags:
            if tag not in self._tags:
                remedy = "set feedTag on a PowerDomain or correct the tag"
                yield "spec.targets.feedTags", f"no power domain has the feed tag {tag}", remedy
        for name in targets.queues:
            if name not in self._known_queues:
                remedy = f"create Queue {name} or correct the name"
                yield "spec.targets.queues", f"queue {name} does not exist", remedy

    # --- problems -----------------------------------------------------------------------------------

    def problems(self) -> Iterator[Problem]:
        """What is wrong with budgets that decode, whether or not they are in force."""
        for name, budget in self._valid.items():
            for index, window in enumerate(budget.spec.schedule):
                if not window.time_zone_known:
                    yield Problem(
                        "PowerBudget",
                        name,
                        f"spec.schedule[{index}].timeZone",
                        f"time zone {window.time_zone} is not known, so the budget is in force at all times",
                        "write an IANA time zone such as America/Chicago",
                    )
            if _is_mixed(budget.spec):
                yield Problem(
                    "PowerBudget",
                    name,
                    "spec.targets",
                    "the budget has both power domains or feed tags and queues or namespaces, which are not counted "
                    "together; it counts as 0 W",
                    "write one PowerBudget for the power domains and one for the queues",
                )
            for where, message, remedy in self._dangling(budget.spec):
                yield Problem("PowerBudget", name, where, f"{message}; the budget counts as 0 W", remedy)


def _written(raw: object, target: str) -> tuple[str, ...]:
    """A list of targets as written in a budget that does not decode, as far as it can be read."""
    targets = raw.get("targets") if isinstance(raw, Mapping) else None
    names = targets.get(target) if isinstance(targets, Mapping) else None
    return tuple(n for n in names if isinstance(n, str)) if isinstance(names, list | tuple) else ()


def _is_mixed(spec: PowerBudgetSpec) -> bool:
    targets = spec.targets
    return bool(targets.power_domains or targets.feed_tags) and bool(targets.queues or targets.namespaces)
