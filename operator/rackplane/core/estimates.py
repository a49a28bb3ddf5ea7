"""When gangs that wait could start, by what is expected now: for the first of the queue, and not too often."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rackplane.core.asking import mask_of, quota_of, request_of, slots_without
from rackplane.core.budgets import GroupBudget
from rackplane.core.record import Estimate, GangRecord
from rackplane.core.world import World, booking_key
from rackplane.engine.explaining.times import when
from rackplane.engine.model import Placement, Request
from rackplane.engine.planning.outlook import Ending, Opening, Span, earliest_start

__all__ = ["estimate", "without_estimate"]


def estimate(world: World, ahead: Sequence[GangRecord]) -> None:
    """Bring the estimate of one of the first gangs that wait, in the order of the queue, up to date.

    One costs some placements, and nothing else is decided meanwhile. So only the first gangs have one; each is renewed
    at most once in `estimate_seconds`, if something has changed; and they take turns.
    """
    settings = world.settings
    pause = settings.estimate_seconds / max(1, settings.estimated_gangs)
    due = [r for r in ahead if r.foreseeable and r.decision is None and not _is_fresh(world, r.estimate)]
    if due and world.now - world.estimated_at >= pause:
        world.estimated_at = world.now
        # Those without one first, in the order of the queue; then the oldest.
        oldest = min(due, key=lambda record: -math.inf if record.estimate is None else record.estimate.made)
        _note(world, oldest, _estimate(world, oldest))


def without_estimate(world: World, waiting: Sequence[GangRecord]) -> None:
    """Take the estimates from gangs that should have none: further back in the queue, or a start is not foreseen."""
    most = world.settings.estimated_gangs
    for position, record in enumerate(waiting):
        if record.estimate is not None and (position >= most or not record.foreseeable):
            _note(world, record, None)


def _is_fresh(world: World, known: Estimate | None) -> bool:
    if known is None:
        return False
    if known.version == world.version:
        return True
    awaited = known.at is None or known.at > world.now
    return awaited and world.now - known.made < world.settings.estimate_seconds


def _note(world: World, record: GangRecord, found: Estimate | None) -> None:
    old, record.estimate = record.estimate, found
    if (old and (old.at, old.words)) != (found and (found.at, found.words)):
        world.dirty[record.key] = None


def _estimate(world: World, record: GangRecord) -> Estimate:
    assert world.state is not None and record.gang is not None
    settings = world.settings
    gangs = {booking_key(other.key): other for other in world.gangs.values() if other.decision is not None}
    world.usages()
    now = mask_of(world, record)
    # One mask for all probes, so that the engine follows it instead of counting every node for each.
    later, differing = now.changed({}), dict[str, None]()

    def request(at: float, over: frozenset[str]) -> Request:
        ended = [gangs[key] for key in over if key in gangs]
        freed = slots_without(world, record, ended)
        for node in {**differing, **freed}:
            later.set(node, freed[node] if node in freed else now.get(node))
        differing.clear()
        differing.update(dict.fromkeys(freed))
        return request_of(world, record, later, at=at, over=ended)

    def admits(placement: Placement, at: float) -> bool:
        return quota_of(world, record, placement, at=at) is None

    outlook = earliest_start(
        world.state,
        now=world.now,
        horizon=settings.lookahead_seconds,
        duration=world.end_of_start(record, 0.0),
        request=request,
        admits=admits,
        spans=[_spanned(budget) for budget in world.catalog.budgets.groups(world.now)],
    )
    opening = outlook.opening
    if opening is not None:
        words = _words(opening, asked=record.gang.spec.power.profile)
    elif outlook.certain:
        words = f"nothing that is expected within {_period(settings.lookahead_seconds)} would let it start"
    else:
        words = ""
    return Estimate(world.version, world.now, None if opening is None else opening.at, words)


def _spanned(budget: GroupBudget) -> Span:
    starts_at = -math.inf if budget.starts_at is None else budget.starts_at
    return Span(budget.name, starts_at, math.inf if budget.ends_at is None else budget.ends_at)


def _words(opening: Opening, *, asked: str) -> str:
    profile = opening.placement.power_profile
    lower = f" at {profile}" if profile != asked else ""
    return f"could start{lower} at {when(opening.at)}, when {_cause(opening.endings)}"


def _cause(endings: tuple[Ending, ...]) -> str:
    budgets = [e.name for e in endings if e.of_budget]
    gangs = [e.name for e in endings if not e.of_budget]
    parts = []
    if budgets:
        parts.append(f"PowerBudget {_named(budgets)} {'ends' if len(budgets) == 1 else 'end'}")
    if gangs:
        parts.append(f"gang {_named(gangs)} {'is' if len(gangs) == 1 else 'are'} expected to be over")
    return " and ".join(parts)


def _named(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _period(seconds: float) -> str:
    days, hours = seconds / 86_400, seconds / 3_600
    return f"{days:.0f} days" if days >= 2 else f"{hours:.0f} hours"
