"""What is decided of a gang, booked in the engine: from the decision to the end, in whole or slot by slot."""

from __future__ import annotations

from dataclasses import replace

from rackplane.api.gang import ShedAction
from rackplane.core.gangs.decisions import Decision, booking_key
from rackplane.core.gangs.ends import expected_end, watch_end
from rackplane.core.gangs.holdings import promise
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.unlike import slot_gpus
from rackplane.core.objects import Gang
from rackplane.core.settings import Confirmation
from rackplane.core.world import World
from rackplane.engine.model import Group, Metered, Placement

__all__ = [
    "book",
    "book_changed",
    "book_figure",
    "confirm",
    "count_at",
    "follow_figure",
    "follow_profile",
    "keep_booked",
    "learned_figure",
    "placement_of",
    "rebook_known",
    "release",
    "unbook",
    "unbook_changed",
    "unbook_uncommitted",
]


def book(world: World, record: GangRecord, decision: Decision) -> None:
    """Book a decision from this moment; one that is committed is booked whatever the state says."""
    unbook(world, record)
    record.decision = decision
    shed = None if record.gang is None else record.gang.status.shed
    if decision.committed and shed is not None and shed.action == ShedAction.CAP and shed.from_profile:
        # Whether its nodes carry the lower cap is not known yet.
        record.counts_at, world.easing[record.key] = shed.from_profile, None
        if world.settings.confirmation is Confirmation.ENDPOINT:
            record.lowered_at = world.now  # it is asked once more, and has as long to answer
    world.belonging.give(record.key, decision.placement.slots)
    _book(world, record)
    _decision_changed(world, record, decision)  # which takes, and frees nothing for anybody


def confirm(world: World, record: GangRecord) -> None:
    """The API server has the decision that is booked: from here on it is carried out."""
    if record.decision is not None:
        record.decision = replace(record.decision, committed=True, released=None)
        before, record.previous = record.previous, None
        if before is not None:
            world.belonging.take(
                record.key, set(before.placement.slots) - set(record.decision.placement.slots)
            )
        world.caps.look(record.decision.placement.slots)


def unbook(world: World, record: GangRecord) -> None:
    """Give up what is booked for the gang."""
    decision, record.decision = record.decision, None
    record.deferred = False
    before, record.previous, record.slots, record.ungating = record.previous, None, {}, set()
    record.counts_at, record.raising = None, False
    world.easing.pop(record.key, None)
    world.elastic.pop(record.key, None)
    if decision is None:
        return
    also = () if before is None else before.placement.slots
    world.belonging.take(record.key, {*decision.placement.slots, *also})
    if world.state is not None:
        until = world.state.until(booking_key(record.key))
        world.state.release(booking_key(record.key))
        world.foreseen += until == world.now
    world.version += 1
    _decision_changed(world, record, decision)


def release(world: World, record: GangRecord, slots: frozenset[int]) -> None:
    """Free slots that are over."""
    if world.state is not None and record.decision is not None:
        world.state.release(booking_key(record.key), slots)
        world.version += 1
        _decision_changed(world, record, record.decision)


def book_changed(world: World, record: GangRecord, decision: Decision) -> None:
    """Book another assignment of a gang that runs, larger or with slots elsewhere; undone by `unbook_changed`, final
    by `confirm`."""
    assert world.state is not None and decision.released is not None
    record.previous, record.decision = record.decision, decision
    _rebook(world, record, decision, decision.released)


def unbook_changed(world: World, record: GangRecord) -> None:
    """The other assignment did not come about."""
    decision, record.decision, record.previous = record.decision, record.previous, None
    assert decision is not None and record.decision is not None
    world.belonging.take(record.key, set(decision.placement.slots) - set(record.decision.placement.slots))
    world.version += 1
    _rebook(world, record, record.decision, record.released)
    _decision_changed(world, record, decision)


def keep_booked(world: World, record: GangRecord) -> None:
    """Its Gang says of what it holds what does not count: until `confirm` it holds what is booked."""
    assert world.state is not None and record.decision is not None
    held = world.state.held(booking_key(record.key))
    record.decision = replace(
        record.decision, released=frozenset(range(record.slot_count())).difference(held)
    )


def unbook_uncommitted(world: World, record: GangRecord) -> None:
    """What was booked and never became the gang's is given up: its place, or what it would have grown by."""
    if record.previous is not None:
        unbook_changed(world, record)
    else:
        unbook(world, record)


def rebook_known(world: World) -> None:
    """Book what gangs were given in a state that is new, on their way as they may be."""
    world.ends.clear()
    for record in world.gangs.values():
        if record.decision is not None:
            _book(world, record, known=True)


def _rebook(world: World, record: GangRecord, decision: Decision, released: frozenset[int]) -> None:
    world.belonging.give(record.key, decision.placement.slots)
    if world.state is not None:
        held = sorted(set(range(len(decision.placement.slots))) - released)
        world.state.rebook(booking_key(record.key), _counted(record, decision), held, force=True)
    _decision_changed(world, record, decision)


def _book(world: World, record: GangRecord, *, known: bool = False) -> None:
    """Book its decision; one that was ``known`` before may be on its way: it counts, whatever has become of it."""
    if world.state is None or record.decision is None:
        return
    key = booking_key(record.key)
    until = expected_end(world, record)
    force = known or record.decision.committed
    world.state.book(key, _counted(record, record.decision), force=force, until=until)
    watch_end(world, key, until)
    released = record.released if record.decision.released is None else record.decision.released
    if released:
        world.state.release(key, released)


def follow_profile(world: World, record: GangRecord) -> None:
    """Its Gang says another power profile than its decision: of the two the higher counts until caps are in force."""
    decision, gang = record.decision, record.gang
    assert decision is not None and gang is not None
    before, now = decision.placement, placement_of(gang)
    changed = replace(
        before,
        power_profile=now.power_profile,
        nominal_watts=now.nominal_watts,
        peak_watts=now.peak_watts,
        liquid_watts=now.liquid_watts,
        air_watts=now.air_watts,
        relative_performance_percent=now.relative_performance_percent,
        metered=now.metered,
    )
    record.decision, record.raising = replace(decision, placement=changed), False
    if record.counts_at is None:
        record.counts_at, record.lowered_at = before.power_profile, world.now
    count_at(world, record, record.counts_at)


def follow_figure(world: World, record: GangRecord) -> None:
    """Its Gang says that it counts by its power profile where its decision has what was learned, or that again."""
    assert record.decision is not None and record.gang is not None
    now = placement_of(record.gang)
    changed = replace(
        record.decision.placement,
        metered=now.metered,
        nominal_watts=now.nominal_watts,
        liquid_watts=now.liquid_watts,
        air_watts=now.air_watts,
    )
    book_figure(world, record, changed)


def count_at(world: World, record: GangRecord, profile: str | None) -> None:
    """Count its load at that power profile; None: at that of its decision."""
    assert record.decision is not None
    own = record.decision.placement.power_profile
    record.counts_at = None if profile == own else profile
    if record.counts_at is None:
        world.easing.pop(record.key, None)
    else:
        world.easing[record.key] = None
    if world.state is not None:
        held = sorted(world.state.held(booking_key(record.key)))
        if held:
            world.state.rebook(booking_key(record.key), _counted(record, record.decision), held, force=True)
    world.version += 1
    _decision_changed(world, record, record.decision)


def book_figure(world: World, record: GangRecord, placement: Placement) -> None:
    """Count it where it is at what this placement says that its nodes draw."""
    assert record.decision is not None
    record.decision = replace(record.decision, placement=placement)
    count_at(world, record, record.counts_at)


def _counted(record: GangRecord, decision: Decision) -> Placement:
    """The placement as it is booked: what nodes may still draw counts."""
    if record.counts_at is None:
        return decision.placement
    return replace(decision.placement, power_profile=record.counts_at)


def _decision_changed(world: World, record: GangRecord, decision: Decision) -> None:
    world.placements += 1
    world.dirty[record.key] = None
    world.stale.nodes.update(dict.fromkeys(decision.placement.slots))
    world.stale.nodes.update(dict.fromkeys(record.look_for_left()))
    world.look_at_usage(record.key)
    promise(world, record)
    world.room.settle()
    world.caps.look(decision.placement.slots)


def placement_of(gang: Gang) -> Placement:
    """The placement that a Gang's status records."""
    status = gang.status
    groups = tuple(Group(a.nvlink_domain, a.rack, tuple(a.nodes)) for a in status.assignment)
    slots = tuple(node for group in groups for node in group.nodes)
    return Placement(
        slots=slots,
        groups=groups,
        gpus_per_slot=gang.spec.gpus_per_slot,
        power_profile=status.power_profile,
        nominal_watts=status.reserved_nominal_watts,
        peak_watts=status.reserved_peak_watts,
        liquid_watts=status.heat.liquid_watts,
        air_watts=status.heat.air_watts,
        relative_performance_percent=status.expected_performance_percent or 100,
        slot_gpus=slot_gpus(gang.spec, len(slots)),
        metered=() if status.counts_in_full else learned_figure(gang),
    )


def learned_figure(gang: Gang) -> Metered:
    """What its nodes may count at by what was learned, whether they do now or not."""
    return tuple((each.hardware_profile, each.node_watts) for each in gang.status.learned)
