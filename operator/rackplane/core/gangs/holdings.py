"""What a gang takes of nodes: its pods that are there, and what is promised to slots whose pods are not bound yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.feeding import takes_of
from rackplane.core.gangs.occupying import occupy
from rackplane.core.gangs.ranks import annotated_slot
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.unlike import slots_by_group
from rackplane.core.pods.pod import is_terminal
from rackplane.core.pods.podclass import Amounts
from rackplane.core.world import World

__all__ = ["holdings", "holdings_of", "holdings_on", "promise", "unbound"]


def holdings(world: World, record: GangRecord) -> Iterator[tuple[str, Amounts, int]]:
    """What the gang takes of nodes: the node, what one pod holds there, and how many such pods."""
    for pod in world.pods_of_maker(record) if record.external() else record.live_pods():
        found = world.room.of_pod((pod.metadata.namespace, pod.metadata.name))
        if found is not None:
            yield *found, 1
    for each, pods in world.room.of_gang(record.key):
        for node, count in pods.items():
            yield node, each, count


def holdings_of(
    world: World, record: GangRecord, slots: Collection[int]
) -> Iterator[tuple[str, Amounts, int]]:
    """As `holdings`, of what is there for these slots, or promised to them."""
    for pod in record.live_pods():
        found = world.room.of_pod((pod.metadata.namespace, pod.metadata.name))
        # A process that has just begun has not assigned slots yet; pods that are let go say which is theirs.
        if found is not None and record.slots.get(pod.metadata.uid, annotated_slot(pod)) in slots:
            yield *found, 1
    if world.state is None:
        return
    # Of slots whose pods are bound nothing is promised: what those have left on a node is not kept for them twice.
    waiting = unbound(world, record)
    given = Counter(node for slot, node in waiting if slot in slots)
    kept = Counter(node for slot, node in waiting if slot not in slots)
    for each, pods in world.room.of_gang(record.key):
        for node, count in given.items():
            promised = min(count, pods.get(node, 0) - kept[node])
            if promised > 0:
                yield node, each, promised


def holdings_on(world: World, record: GangRecord, node: str) -> Iterator[tuple[Amounts, int]]:
    """As `holdings`, of one node that the gang was given."""
    for key in world.pods_on.get(node, ()):
        if world.belonging.of_pod.get(key) == record.key and not is_terminal(world.pods[key]):
            found = world.room.of_pod(key)
            if found is not None:
                yield found[1], 1
    for each, pods in world.room.of_gang(record.key):
        if pods.get(node):
            yield each, pods[node]


def promise(world: World, record: GangRecord) -> None:
    """Note what the slots will need whose pods are not bound yet, what of cliques the gang occupies, and what it takes
    with its GPUs."""
    occupy(world, record)
    world.appetite.put(record.key, takes_of(world, record))
    kind = None if record.decision is None else record.pod_class
    if kind is None or world.state is None:
        world.room.promise(record.key)
        world.neighbours.promise(record.key, None, {})
        return
    waiting = unbound(world, record)
    count = Counter(node for _, node in waiting)
    if not record.external():  # of whose pods nothing is known that others would look at
        world.neighbours.promise(record.key, record.promised(), count)
    if not record.groups:
        world.room.promise(record.key, (kind.held, count))
        return
    held = record.held_by_slot()
    world.room.promise(
        record.key,
        *(
            (held[slots[0]], Counter(node for slot, node in waiting if slot in slots))
            for slots in slots_by_group(record.groups)
            if slots and slots[0] in held
        ),
    )


def unbound(world: World, record: GangRecord) -> list[tuple[int, str]]:
    """Slots whose pods are not bound yet, with the node of each."""
    assert world.state is not None
    held = world.state.held(booking_key(record.key)).items()
    if record.external():
        there = Counter(pod.spec.node_name for pod in world.pods_of_maker(record))
        waiting = []
        for slot, node in held:
            if there[node] > 0:
                there[node] -= 1
            else:
                waiting.append((slot, node))
        return waiting
    bound = {record.slots.get(p.metadata.uid) for p in record.live_pods() if p.spec.node_name}
    return [(slot, node) for slot, node in held if slot not in bound]
