"""A node in the engine's state, and the accelerators on it that no booking of a gang counts."""

from __future__ import annotations

from collections.abc import Iterator

from rackplane.api.labels import POWER_PROFILE
from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.objects import Pod
from rackplane.core.pods.pod import gpus, is_terminal
from rackplane.core.pods.usage import unmanaged_gpus
from rackplane.core.world import World

__all__ = ["refresh_node"]


def refresh_node(world: World, name: str) -> None:
    """The node as the engine is to know it, with what pods outside every gang take of it."""
    state = world.state
    assert state is not None
    node = world.nodes.get(name)
    spec = world.catalog.node_spec(node) if node is not None else None
    if state.node(name) != spec:
        world.stale.ledger = world.stale.ledger or (state.node(name) is None) != (spec is None)
        world.stale.usages.update(world.gangs_on(name))
        if spec is not None:
            state.set_node(spec)
        else:
            state.remove_node(name)
    if spec is None:
        return
    node_type = state.node_type(name)
    if node_type is None:
        return
    left = _left_behind(world, name, node_type.resource)
    if left != state.left_gpus(name):
        world.version += 1
        # They are held to the cap that the node carries, which stays until they are gone.
        state.set_left(
            name, node.metadata.annotations.get(POWER_PROFILE, "") if node is not None else "", left
        )
        world.caps.look((name,))
        world.dirty.update(world.gangs_on(name))
    count = unmanaged_gpus(
        list(_outside(world, name, node_type.resource)),
        resource=node_type.resource,
        gpus_per_node=node_type.gpus_per_node,
        drivers=world.settings.dra_drivers,
        claim=lambda namespace, claim: world.claims.get((namespace, claim)),
    )
    if count != state.unmanaged_gpus(name):
        world.version += 1
        state.set_unmanaged(name, count)
        world.dirty.update(world.gangs_on(name))


def _left_behind(world: World, node: str, resource: str) -> int:
    """Accelerators on the node that pods hold which their gang has left behind."""
    total = 0
    for key in world.pods_on.get(node, ()):
        gang = world.belonging.of_pod.get(key)
        record = world.gangs.get(gang) if gang is not None else None
        if record is not None and record.left and world.pods[key].metadata.uid in record.left:
            total += gpus(world.pods[key].spec, resource)
    return total


def _outside(world: World, node: str, resource: str) -> Iterator[Pod]:
    """Pods on the node that no booking of a gang counts already."""
    assert world.state is not None
    left: dict[Key, int] = {}
    for key in world.pods_on.get(node, ()):
        pod, gang = world.pods[key], world.belonging.of_pod.get(key)
        record = world.gangs.get(gang) if gang is not None else None
        if record is not None and pod.metadata.uid in record.left:
            continue
        if record is None or record.decision is None:
            yield pod
        elif record.external():
            # Anybody may put a label on a pod: no more counts as the gang's than what it was given here.
            free = left.get(record.key)
            if free is None:
                free = world.state.held_gpus(booking_key(record.key)).get(node, 0)
            asked = 0 if is_terminal(pod) else gpus(pod.spec, resource)
            left[record.key] = free - asked if asked <= free else free
            if asked > free:
                yield pod
        elif booking_key(record.key) not in world.state.keys_on(node):
            yield pod
