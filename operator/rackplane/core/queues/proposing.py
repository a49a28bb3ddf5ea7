"""Moves that would let a waiting gang start, or free whole domains: begun where that is allowed, else proposed.

Off unless the operator is told to. For the first gangs of the queue that nothing else lets start it is worked out now
and then, with few questions. With `--defragmentation=Move` what keeps within the budget and gains enough is begun
(:mod:`core.queues.relocating`), one plan at a time. All else, and all with `--defragmentation=Propose`, is told to the
gang that waits; a proposal is as of the time that it was made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import condition
from rackplane.core.gangs.writing import gang_event
from rackplane.core.instructions import Instruction
from rackplane.core.queues.beside import Beside
from rackplane.core.queues.movebudget import gains, left, worth
from rackplane.core.queues.moving import moves_for, moves_for_domains
from rackplane.core.queues.planned import MOVING, is_under_way
from rackplane.core.queues.relocating import begin
from rackplane.core.settings import Defragmentation
from rackplane.core.world import World
from rackplane.engine.planning.moves import Bounds, MovePlan

__all__ = ["MOVES_PROPOSED", "Proposals", "proposed", "withdraw"]

MOVES_PROPOSED = "MovesProposed"
"""Type of the condition, and reason of the Event."""

CHECKS = 40
"""Sets of gangs that the engine is asked about for one proposal."""
_NAMED = 3


class Proposals:
    """Works out, for few gangs in one pass over the queue, whom to move for them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._left = world.settings.proposing_gangs

    @property
    def is_open(self) -> bool:
        """Whether there may be one for another gang."""
        return self._world.settings.defragmentation is not Defragmentation.OFF and self._left > 0

    def consider(self, record: GangRecord, beside: Beside) -> Iterator[Instruction]:
        """Bring the proposal for a gang that waits up to date; an Event tells of one that is new."""
        world, settings = self._world, self._world.settings
        if settings.defragmentation is Defragmentation.OFF:
            return
        if not self._left:
            withdraw(world, record)
            return
        self._left -= 1
        moves = settings.defragmentation is Defragmentation.MOVE
        if record.proposed_version == world.version and not moves:
            return
        due = record.proposed_at + settings.proposing_seconds
        if world.now < due:
            world.waiting.due = min(world.waiting.due, due)
            return
        record.proposed_at, record.proposed_version = world.now, world.version
        if moves:
            # What was moved an hour ago does not count any more, though nothing else has changed.
            world.waiting.due = min(world.waiting.due, world.now + settings.proposing_seconds)
        if self._begin(record, beside):
            return
        lost = settings.most_lost_gpu_hours
        bounds = Bounds(settings.most_moves, None if lost is None else int(lost * 3600))
        plan = moves_for(world, record, bounds, beside, checks=CHECKS)
        words = "" if plan is None else _words(plan)
        if words == record.proposal:
            return
        is_new = plan is not None and _moved(plan) != record.proposed_moves
        record.proposal, record.proposed_moves = words, () if plan is None else _moved(plan)
        world.waiting.proposed[record.key] = None
        world.dirty[record.key] = None
        if is_new:
            yield from gang_event(record, warning=False, reason=MOVES_PROPOSED, message=words)

    def _begin(self, record: GangRecord, beside: Beside) -> bool:
        """Begin the cheapest moves that let the gang start, if that is allowed, within the budget and worth it."""
        world = self._world
        bounds = _allowed(world)
        if bounds is None:
            return False
        plan = moves_for(world, record, bounds, beside, checks=CHECKS, carried_out=True)
        if plan is None or not gains(world, record, plan):
            return False
        why = begin(world, plan, record)
        withdraw(world, record)
        # It waits for that alone from now on, in a line of its own.
        record.message, record.reason, record.refusal = why, MOVING, None
        record.misfit = record.foreseeable = False
        record.estimate = None
        return True

    def free_domains(self, beside: Beside) -> None:
        """Begin moves that make whole domains free, if they have a price and no gang is helped by others."""
        world, settings = self._world, self._world.settings
        if settings.defragmentation is not Defragmentation.MOVE or settings.domain_gpu_hours <= 0:
            return
        due = world.domains_sought + settings.proposing_seconds
        if world.now < due:
            world.waiting.due = min(world.waiting.due, due)
            return
        world.domains_sought = world.now
        world.waiting.due = min(world.waiting.due, world.now + settings.proposing_seconds)
        bounds = _allowed(world)
        if bounds is None:
            return
        plan = moves_for_domains(world, bounds, beside, carried_out=True)
        if plan is not None and plan.domains and worth(world, plan):
            begin(world, plan, None)


def _allowed(world: World) -> Bounds | None:
    """What moves may come to that are begun now; None: none are."""
    if world.settings.defragmentation is not Defragmentation.MOVE or is_under_way(world):
        return None
    return left(world)


def withdraw(world: World, record: GangRecord) -> None:
    """Propose nothing for the gang any more."""
    world.waiting.proposed.pop(record.key, None)
    if record.proposal:
        record.proposal, record.proposed_moves = "", ()
        world.dirty[record.key] = None


def proposed(record: GangRecord, now: float) -> list[dict[str, Any]]:
    """The condition that says so; none where there is no proposal and was none."""
    known = () if record.gang is None else record.gang.status.conditions
    if not record.proposal and all(c.type != MOVES_PROPOSED for c in known):
        return []
    return [
        condition(
            MOVES_PROPOSED,
            true=bool(record.proposal),
            reason="Proposed" if record.proposal else "NoMoves",
            message=record.proposal,
            now=now,
        )
    ]


def _moved(plan: MovePlan) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((move.key, move.after.slots) for move in plan.moves)


def _words(plan: MovePlan) -> str:
    assert plan.placement is not None
    moves = [f"{m.key} to {_racks([g.rack for g in m.after.groups])}" for m in plan.moves[:_NAMED]]
    more = f" and {len(plan.moves) - _NAMED} more" if len(plan.moves) > _NAMED else ""
    return (
        f"it would start on {_racks([g.rack for g in plan.placement.groups])} if "
        f"{'gang' if len(plan.moves) == 1 else 'gangs'} {', '.join(moves)}{more} moved, "
        f"{plan.lost_gpu_seconds / 3600:,.1f} GPU-hours lost (rackplane defrag --dry-run)"
    )


def _racks(names: list[str]) -> str:
    racks = list(dict.fromkeys(names))
    return ", ".join(racks[:_NAMED]) + (f" and {len(racks) - _NAMED} more" if len(racks) > _NAMED else "")
