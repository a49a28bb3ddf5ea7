"""What moves may cost, and whether they gain enough: the bounds of those that nobody is asked about."""

from __future__ import annotations

import contextlib

from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import seconds
from rackplane.core.gangs.unlike import gpus_of
from rackplane.core.queues.ahead import look_ahead
from rackplane.core.queues.following import follow
from rackplane.core.settings import MachineSettings
from rackplane.core.world import World
from rackplane.engine.planning.moverule import HOUR, MoveRule
from rackplane.engine.planning.moves import Bounds, MovePlan

__all__ = ["gains", "left", "rule_of", "saved_gpu_hours", "wait_without", "worth"]


def left(world: World) -> Bounds | None:
    """What one plan may come to now, by the plan's bounds and by what was moved within the last hour; None: nothing.

    What counts is in the Gangs, and so outlives the process; of a Gang that is gone this process alone knows.
    """
    done = dict(world.moved)
    for key, record in world.gangs.items():
        last = None if record.gang is None else record.gang.status.last_move
        if last is not None:
            with contextlib.suppress(ValueError):
                done[key] = (seconds(last.time), last.lost_gpu_seconds)
    return rule_of(world.settings).left([lost for time, lost in done.values() if world.now - time < HOUR])


def rule_of(settings: MachineSettings) -> MoveRule:
    """The rule that these settings make."""
    return MoveRule(
        most_moves=settings.most_moves,
        most_lost_gpu_hours=settings.most_lost_gpu_hours,
        moves_per_hour=settings.moves_per_hour,
        lost_gpu_hours_per_hour=settings.lost_gpu_hours_per_hour,
        least_gain=settings.least_gain,
    )


def wait_without(world: World, record: GangRecord) -> float | None:
    """In how many seconds the gang could start by itself; None: nothing expected within the lookahead lets it."""
    follow(world)
    opening = look_ahead(world, record).opening
    return None if opening is None else max(0.0, opening.at - world.now)


def saved_gpu_hours(world: World, record: GangRecord, wait: float | None) -> float:
    """GPU-hours of waiting that a start now saves a gang; without an end in sight the time looked ahead counts.

    Args:
        wait: in how many seconds it could start by itself.
    """
    assert record.gang is not None
    seconds_saved = world.settings.lookahead_seconds if wait is None else wait
    return seconds_saved * gpus_of(record.gang.spec) / HOUR


def gains(world: World, record: GangRecord, plan: MovePlan) -> bool:
    """Whether the moves save the gang that waits enough for what they lose."""
    saved = saved_gpu_hours(world, record, wait_without(world, record)) * HOUR
    return rule_of(world.settings).gains(saved, plan.lost_gpu_seconds)


def worth(world: World, plan: MovePlan) -> bool:
    """Whether the domains that come free are worth what the moves lose."""
    return plan.lost_gpu_seconds / HOUR <= world.settings.domain_gpu_hours * len(plan.domains)
