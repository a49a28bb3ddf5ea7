"""Where the lost slots of a running gang may go, by all that a new gang is asked: nodes, watts, pods' wishes, quota."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from rackplane.core.gangs.asking import mask_of, quota_of, request_of, usage_of
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.ends import expected_end
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.counting import count_usages
from rackplane.core.world import World
from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.physics import draw
from rackplane.engine.placing.growing import relocated
from rackplane.engine.placing.replacing import replacement

__all__ = ["elsewhere"]


def elsewhere(
    world: World, record: GangRecord, lost: Collection[int], gone: Collection[int]
) -> Placement | None:
    """The gang's placement with the lost slots on other nodes; None if there is none.

    What runs comes before what waits: nodes that are held for a waiting gang are passed over only if others do.

    Args:
        gone: of these slots nothing draws any more where they were; what the others draw there still counts.
    """
    assert world.state is not None and record.decision is not None
    count_usages(world)
    placement, lost_nodes = record.decision.placement, {*world.losses.nodes()}
    mask = mask_of(world, record)
    request = replace(
        request_of(world, record, mask),
        power_profile=placement.power_profile,
        strict=True,
        metered=((placement.power_profile, placement.metered),),
        until=expected_end(world, record),
    )
    held_back = {node for held in world.held_places.values() for node in held.reservation.placement.slots}
    with world.state.simulation():
        world.state.release(booking_key(record.key), gone)
        for without in dict.fromkeys((frozenset(held_back | lost_nodes), frozenset(lost_nodes))):
            found = _elsewhere(world, record, lost, _without(request, without))
            if found is not None:
                return found
    return None


def _elsewhere(world: World, record: GangRecord, lost: Collection[int], request: Request) -> Placement | None:
    assert world.state is not None and record.decision is not None
    placement, key = record.decision.placement, booking_key(record.key)
    # Of slots that are lost and gone nothing is booked in the simulation, but they are the gang's all the same.
    held = {**{slot: placement.slots[slot] for slot in lost}, **world.state.held(key)}
    booked = world.state.held(key)
    places = replacement(world.state, placement, booked, lost, request).places
    if places is None:
        return None
    gpus: dict[str, int] = {}
    for slot, node in {**held, **{slot: place[2] for slot, place in places.items()}}.items():
        gpus[node] = gpus.get(node, 0) + placement.gpus_of(slot)
    moved = relocated(
        placement, places, world.state.increments(gpus, placement.power_profile, placement.metered)
    )
    moved = replace(moved, relative_performance_percent=_performance(world, moved))
    return moved if _is_admitted(world, record, moved) else None


def _is_admitted(world: World, record: GangRecord, moved: Placement) -> bool:
    """Whether quotas and budgets take the gang there, or it counts no more than now: they may be lower by now."""
    now = world.ledger.get(record.key)
    before = {} if now is None else now.amounts()
    after = usage_of(world, record, moved, goes_on=True).amounts()
    if all(amount <= before.get(resource, 0) for resource, amount in after.items()):
        return True
    return quota_of(world, record, moved, without=(booking_key(record.key),), goes_on=True) is None


def _without(request: Request, nodes: Collection[str]) -> Request:
    none = dict.fromkeys(nodes, 0)

    def less(capacity: Mapping[str, int] | NodeMask | None) -> NodeMask:
        return NodeMask.of(capacity or {}).changed(none)

    if request.groups:
        groups = tuple(replace(group, capacity=less(group.capacity)) for group in request.groups)
        return replace(request, groups=groups)
    return replace(request, capacity=less(request.capacity))


def _performance(world: World, placement: Placement) -> int:
    """Speed of the gang's slowest node type there, in percent."""
    assert world.state is not None
    found = [placement.relative_performance_percent]
    for node in set(placement.slots):
        node_type = world.state.node_type(node)
        cap = None if node_type is None else draw.find_cap(node_type, placement.power_profile)
        if cap is not None:
            found.append(cap.relative_performance_percent)
    return min(found)
