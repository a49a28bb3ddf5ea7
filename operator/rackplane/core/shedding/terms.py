"""What may be done to each gang that runs, and what that would lose."""

from __future__ import annotations

from rackplane.api.gang import Disruption
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.priorities import standing
from rackplane.core.queues.victims import is_leaving, victim_of
from rackplane.core.world import World
from rackplane.engine.shedding.terms import Disruption as May
from rackplane.engine.shedding.terms import Terms

__all__ = ["is_ending", "takes_caps", "terms_of"]


def terms_of(world: World, record: GangRecord) -> Terms:
    """What the gang, which has a place, allows. What cannot be read is not stopped lightly: it counts as Protected."""
    assert record.gang is not None and record.decision is not None
    spec = record.gang.spec
    known = spec.disruption in list(Disruption)
    return Terms(
        May(spec.disruption) if known else May.PROTECTED,
        standing(spec, world.catalog.queue),
        strict=not takes_caps(world, record),
        stoppable=_in_hand(record) and (record.external() or record.of_job()),
        lost_gpu_seconds=victim_of(world, record).lost_gpu_seconds,
    )


def takes_caps(world: World, record: GangRecord) -> bool:
    """Whether its power profile may be lowered now, and it is not known that nothing comes of that."""
    assert record.gang is not None
    return not record.gang.spec.power.strict and _in_hand(record) and not _does_not_take_caps(world, record)


def is_ending(record: GangRecord) -> bool:
    """Whether its load goes away by itself."""
    return record.phase == "Stopping" or ((bool(record.jobs) or record.external()) and is_leaving(record))


def _in_hand(record: GangRecord) -> bool:
    """Whether its decision is known to be in the API server, and no change of it is under way."""
    decision = record.decision
    return decision is not None and decision.committed and record.previous is None and not record.committing


def _does_not_take_caps(world: World, record: GangRecord) -> bool:
    """Whether a lower cap was asked for and is not in force in time: it counts as not done."""
    late = world.now > record.lowered_at + world.settings.actuation_seconds
    return record.counts_at is not None and not record.raising and late
