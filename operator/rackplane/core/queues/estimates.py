"""When gangs that wait could start, by what is expected now: for the first of the queue, and not too often."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rackplane.core.gangs.decisions import Estimate
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.ahead import cause, look_ahead
from rackplane.core.queues.following import follow
from rackplane.core.world import World
from rackplane.engine.explaining.times import when
from rackplane.engine.planning.outlook import Opening

__all__ = ["estimate", "without_estimate"]


def estimate(world: World, ahead: Sequence[GangRecord]) -> None:
    """Bring the estimate of one of the first gangs that wait, in the order of the queue, up to date.

    One costs some placements, and nothing else is decided meanwhile. So only the first gangs have one; each is renewed
    at most once in `estimate_seconds`, if something has changed; and they take turns.
    """
    settings = world.settings
    pause = settings.estimate_seconds / max(1, settings.estimated_gangs)
    due = [r for r in ahead if _may_have_one(world, r) and not _is_fresh(world, r.estimate)]
    if due and world.now - world.estimated_at >= pause:
        world.estimated_at = world.now
        follow(world)
        # Those without one first, in the order of the queue; then the oldest.
        oldest = min(due, key=lambda record: -math.inf if record.estimate is None else record.estimate.made)
        _note(world, oldest, _estimate(world, oldest))


def _may_have_one(world: World, record: GangRecord) -> bool:
    """What a place is held for starts then; that is known without another look."""
    return record.foreseeable and record.decision is None and record.key not in world.held_places


def without_estimate(world: World, ahead: Sequence[GangRecord]) -> None:
    """Take the estimates from gangs that should have none: further back in the queue, or a start is not foreseen."""
    near = {r.key for r in ahead if r.foreseeable and not (r.estimate is not None and r.estimate.held)}
    for key in [key for key in world.waiting.estimated if key not in near and key not in world.held_places]:
        if key in world.gangs:
            _note(world, world.gangs[key], None)
        world.waiting.estimated.pop(key, None)


def _is_fresh(world: World, known: Estimate | None) -> bool:
    if known is None:
        return False
    if known.version == world.stamp:
        return True
    awaited = known.at is None or known.at > world.now
    return awaited and world.now - known.made < world.settings.estimate_seconds


def _note(world: World, record: GangRecord, found: Estimate | None) -> None:
    old, record.estimate = record.estimate, found
    if found is not None:
        world.waiting.estimated[record.key] = None
    if (old and (old.at, old.words)) != (found and (found.at, found.words)):
        world.dirty[record.key] = None


def _estimate(world: World, record: GangRecord) -> Estimate:
    assert record.gang is not None
    outlook = look_ahead(world, record)
    opening = outlook.opening
    if opening is not None:
        words = _words(world, opening, asked=record.gang.spec.power.profile)
    elif outlook.certain:
        words = (
            f"nothing that is expected within {_period(world.settings.lookahead_seconds)} would let it start"
        )
    else:
        words = ""
    return Estimate(world.stamp, world.now, None if opening is None else opening.at, words)


def _words(world: World, opening: Opening, *, asked: str) -> str:
    profile = opening.placement.power_profile
    lower = f" at {profile}" if profile != asked else ""
    why = cause(opening.endings, world.reserved.ends)
    return f"could start{lower} at {when(opening.at)}, when {why}"


def _period(seconds: float) -> str:
    days, hours = seconds / 86_400, seconds / 3_600
    return f"{days:.0f} days" if days >= 2 else f"{hours:.0f} hours"
