"""Running gangs give way when an element is over its limit: capped first, stopped where that is not enough.

What is to be given up is worked out from the state as it is (:mod:`rackplane.engine.shedding.relieving`) and kept in
`status.shed` of each Gang, so that a process that dies goes on from there. A cap is one write of the Gang; its nodes'
annotations follow, and until they are in force the load counts as it was: what does not take its cap in time is stopped
instead, where it may be. A Checkpointable gang is stopped at its next checkpoint, or when the element stands its load
no longer: that is its emergency rating, or how long a cooling loop rides through; without either it is stopped at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rackplane.api.gang import ShedAction
from rackplane.api.power_budget import PowerBudget
from rackplane.core.gangs.booking import count_at
from rackplane.core.gangs.decisions import booking_key, key_of
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import condition, rated, seconds, timestamp
from rackplane.core.gangs.stopping import SHED, stop
from rackplane.core.gangs.writing import conditions_of, gang_event, may_write, write
from rackplane.core.instructions import Instruction
from rackplane.core.queues.victims import saved_at
from rackplane.core.settings import Shedding
from rackplane.core.shedding.overloads import element_of, loaded_by
from rackplane.core.shedding.placements import POWER_CAPPED, at_profile
from rackplane.core.shedding.restoring import Restoring
from rackplane.core.shedding.terms import is_ending, terms_of
from rackplane.core.world import World
from rackplane.engine.explaining.phrases import against
from rackplane.engine.physics.loads import Violation
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.shedding.relieving import exceeded, relieve
from rackplane.engine.shedding.terms import Disruption, Measure
from rackplane.engine.state import State

__all__ = ["Relief"]


class Relief:
    """Looks at the loads after every batch of events."""

    def __init__(self) -> None:
        self._planned: tuple[int, int, int] | None = None
        self._restoring = Restoring()

    def run(self, world: World) -> Iterator[Instruction]:
        """The writes that bring every limit back under what it carries, or give back what is not needed any more."""
        if world.state is None:
            return
        self._settle(world)
        over = [v for v in exceeded(world.state) if not _is_retired(world, v)]
        world.overloads.look(world, over)
        if world.settings.shedding is Shedding.OFF:
            return
        if over:
            yield from self._shed(world, world.state, over)
        else:
            self._planned = None
            yield from self._call_off(world)
        yield from self._restoring.run(world)

    def _settle(self, world: World) -> None:
        """Loads count at the lower cap once all nodes are sure to carry it."""
        assert world.state is not None
        for key in list(world.easing):
            record = world.gangs[key]
            if record.raising:
                continue
            held = world.state.held_gpus(booking_key(key))
            if all(world.caps.in_force(world, (node for node, gpus in held.items() if gpus)).values()):
                count_at(world, record, None)

    # -- giving way --------------------------------------------------------------------------------

    def _shed(self, world: World, state: State, over: Sequence[Violation]) -> Iterator[Instruction]:
        yield from self._stop_those_who_are_due(world)
        seen = (world.version, world.placements, int(world.now))
        if seen == self._planned:
            return
        self._planned = seen
        soft = _best_effort(world, over)
        records = [r for r in world.gangs.values() if r.gang is not None and r.decision is not None]
        plan = relieve(
            state,
            {booking_key(record.key): terms_of(world, record) for record in records},
            coming={
                booking_key(record.key): at
                for record in records
                if (at := _coming(world, record)) is not None
            },
            spare_protected=not world.settings.shed_protected,
            may_stop=world.settings.shedding is Shedding.STOP,
            best_effort=soft,
        )
        why = _why(over)
        hard = [v for v in over if not (v.row.kind is RowKind.BUDGET and v.row.element in soft)]
        for measure in plan.measures:
            record = world.gangs[key_of(measure.gang)]
            if not may_write(record) or world.now < record.not_before:
                continue
            if measure.stops:
                cause = loaded_by(state, measure.gang, hard) or over
                yield from self._announce_or_stop(world, record, measure, cause, why)
            else:
                yield from _cap(world, state, record, measure, why)

    def _announce_or_stop(
        self, world: World, record: GangRecord, measure: Measure, cause: Sequence[Violation], why: str
    ) -> Iterator[Instruction]:
        if world.now < world.overloads.began(cause) + world.settings.shed_delay_seconds:
            self._planned = None  # nothing else need change before it is time
            return
        deadline = world.overloads.stood_until(world, cause) - world.settings.actuation_seconds
        if measure.terms.disruption is Disruption.SHEDDABLE or world.now >= deadline:
            yield from stop(world, record, f"stopped: {why}", reason=SHED)
            return
        shed = {
            "action": ShedAction.STOP,
            "since": timestamp(world.now),
            "deadline": timestamp(math.floor(deadline)),
            "fromProfile": None,
            "why": why,
        }
        text = f"is stopped at its next checkpoint, by {timestamp(deadline)} at the latest: {why}"
        yield from write(record, {"shed": shed, "message": text})
        yield from gang_event(record, warning=True, reason="CheckpointNow", message=text)

    def _stop_those_who_are_due(self, world: World) -> Iterator[Instruction]:
        for record in _giving_way(world):
            shed = _pending_stop(record)
            if shed is None or not may_write(record) or world.now < record.not_before:
                continue
            assert record.gang is not None and record.gang.status.shed is not None
            saved = saved_at(record) > seconds(record.gang.status.shed.since)
            if saved or world.now >= shed:
                why = f"stopped: {record.gang.status.shed.why}"
                yield from stop(world, record, why, reason=SHED)

    def _call_off(self, world: World) -> Iterator[Instruction]:
        """Stops that were announced and are not needed any more."""
        for record in _giving_way(world):
            if _pending_stop(record) is not None and may_write(record):
                text = "goes on: no limit is exceeded any more"
                yield from write(record, {"shed": None, "message": text})
                yield from gang_event(record, warning=False, reason="StopCalledOff", message=text)


def _giving_way(world: World) -> list[GangRecord]:
    return [world.gangs[key] for key in world.shed]


def _cap(world: World, state: State, record: GangRecord, measure: Measure, why: str) -> Iterator[Instruction]:
    assert record.gang is not None and record.decision is not None
    shed, placement = record.gang.status.shed, record.decision.placement
    again = shed is not None and shed.action == ShedAction.CAP
    lower = at_profile(state, record, placement, measure.profile, measure.relative_performance_percent)
    top = shed.from_profile if shed is not None and again else placement.power_profile
    text = f"runs at {measure.profile} instead of {top}: {why}"
    status = {
        **rated(lower),
        "shed": {
            "action": ShedAction.CAP,
            "since": timestamp(world.now),
            "fromProfile": top,
            "deadline": None,
            "why": why,
        },
        "message": text,
        "conditions": conditions_of(
            record, condition(POWER_CAPPED, true=True, reason=SHED, message=text, now=world.now)
        ),
    }
    yield from write(record, status)
    yield from gang_event(record, warning=True, reason=POWER_CAPPED, message=text)


def _coming(world: World, record: GangRecord) -> str | None:
    """The power profile at which the gang is about to run, "" if it is about to end; None if nothing is under way."""
    if is_ending(record) or _pending_stop(record) is not None:
        return ""
    assert record.decision is not None
    on_its_way = record.counts_at is not None and not record.raising
    if on_its_way and world.now <= record.lowered_at + world.settings.actuation_seconds:
        return record.decision.placement.power_profile
    return None


def _pending_stop(record: GangRecord) -> float | None:
    """When a gang that runs is to be stopped, in seconds since the epoch; None if it is not."""
    shed = None if record.gang is None or record.decision is None else record.gang.status.shed
    if shed is None or shed.action != ShedAction.STOP or is_ending(record):
        return None
    return seconds(shed.deadline) if shed.deadline else -math.inf


def _is_retired(world: World, violation: Violation) -> bool:
    """Whether the element is being deleted, or cannot be read: it takes nothing new, and what runs there may go on.

    A mistake in a file must not stop what runs.
    """
    kind, name = element_of(violation)
    if kind == "Rack" and violation.limit_watts <= 0:
        return True  # its profile, or what feeds it, is: a rack of its own has a limit above 0
    entry = world.catalog.elements().get((kind, name))
    return entry is not None and entry.retired


def _best_effort(world: World, over: Sequence[Violation]) -> set[str]:
    """The budgets among these for whose sake nobody is stopped."""
    names = {v.row.element for v in over if v.row.kind is RowKind.BUDGET}
    found = {name: world.catalog.get(PowerBudget, name) for name in names}
    return {name for name, budget in found.items() if budget is not None and budget.spec.best_effort}


def _why(over: Sequence[Violation]) -> str:
    # Of the two limits of one element, continuous and peak, the first is named.
    worst = max(over, key=lambda v: v.load_watts - v.limit_watts)
    text = f"{worst.row.label} carries {against(round(worst.load_watts), round(worst.limit_watts))}"
    others = len({v.row.element for v in over} - {worst.row.element})
    if not others:
        return text
    return f"{text}, and {others} more {'elements are' if others > 1 else 'element is'} over the limit"
