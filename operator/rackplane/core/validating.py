"""What is kept step by step, compared with a new count of everything: on in the tests."""

from __future__ import annotations

from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.gangs.ends import expected_end
from rackplane.core.gangs.feeding import takes_of
from rackplane.core.gangs.holdings import unbound
from rackplane.core.gangs.occupying import occupied
from rackplane.core.gangs.record import GangRecord
from rackplane.core.pods.neighbours import Pods
from rackplane.core.pods.pod import is_terminal
from rackplane.core.pods.podclass import Amounts, held_by
from rackplane.core.queues import sound
from rackplane.core.queues.counting import count_usages, usage_held
from rackplane.core.queues.lining_up import pending, waiting_in_order
from rackplane.core.world import World
from rackplane.engine.model import InvariantViolation
from rackplane.engine.state import State

__all__ = ["validate"]


def validate(world: World) -> None:
    """Count everything anew and compare.

    Raises:
        InvariantViolation: something that must always be true is not.
    """
    if world.state is None:
        return
    world.state.validate()
    _what_nodes_hold(world)
    count_usages(world)
    world.ledger.validate([usage for key in world.gangs if (usage := usage_held(world, key)) is not None])
    if waiting_in_order(world) != pending(world):
        raise InvariantViolation("the queue differs from a new look at all gangs")
    sound.check(world)
    booked = set(world.state.keys())
    for record in world.gangs.values():
        _of_gang(world, world.state, record, booked=booking_key(record.key) in booked)


def _of_gang(world: World, state: State, record: GangRecord, *, booked: bool) -> None:
    decision = record.decision
    if decision is None and booked:
        raise InvariantViolation(f"{record.key} has a booking and no decision")
    if booked and decision is not None and decision.committed:
        end = expected_end(world, record)
        if state.until(booking_key(record.key)) != end:
            raise InvariantViolation(f"{record.key} is not booked until {end}, as it is expected to run")
    slots = list(record.slots.values())
    if len(slots) != len(set(slots)):
        raise InvariantViolation(f"{record.key}: two pods hold one slot: {record.slots}")


def _what_nodes_hold(world: World) -> None:
    used: dict[str, dict[str, int]] = {}
    promised: dict[Key, tuple[Pods, dict[str, int]]] = {
        key: (pods, dict(nodes)) for key, pods, nodes in occupied(world)
    }
    for pod in world.pods.values():
        if pod.spec.node_name and not is_terminal(pod):
            _add_pod(used, pod.spec.node_name, held_by(pod.spec))
    for record in world.gangs.values():
        if record.decision is None:
            continue
        needs = record.held_by_slot()
        for slot, node in unbound(world, record):
            if slot in needs:
                _add_pod(used, node, needs[slot])
            if record.template is not None and not record.external():
                there = promised.setdefault(record.key, (record.promised(), {}))[1]
                there[node] = there.get(node, 0) + 1
    world.room.validate(used)
    world.neighbours.validate(promised)
    world.restrictions.validate(world.room.masks())
    world.leftover.validate()
    world.appetite.validate({key: takes_of(world, record) for key, record in world.gangs.items()})


def _add_pod(used: dict[str, dict[str, int]], node: str, each: Amounts) -> None:
    held = used.setdefault(node, {})
    for name, amount in each.items():
        held[name] = held.get(name, 0) + amount
