"""A node in the engine's state, and the accelerators on it that no booking of a gang counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rackplane.api.labels import POWER_CAP_WATTS, POWER_PROFILE
from rackplane.api.numbers import whole_number
from rackplane.core.gangs.decisions import Key, booking_key
from rackplane.core.objects import Pod
from rackplane.core.pods.pod import gpus, is_terminal
from rackplane.core.pods.usage import unmanaged_gpus
from rackplane.core.world import World
from rackplane.engine.model import NodeType
from rackplane.engine.physics.draw import find_cap

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
    behind = list(_left_behind(world, name))
    left = sum(gpus(pod.spec, node_type.resource) for pod in behind)
    profile = _profile_of_left(world, name, behind, node_type) if left else ""
    if (profile, left) != state.left_on(name):
        world.version += 1
        state.set_left(name, profile, left)
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


def _left_behind(world: World, node: str) -> Iterator[Pod]:
    """Pods on the node that their gang has left behind."""
    for key in world.pods_on.get(node, ()):
        gang = world.belonging.of_pod.get(key)
        record = world.gangs.get(gang) if gang is not None else None
        if record is not None and record.left and world.pods[key].metadata.uid in record.left:
            yield world.pods[key]


def _profile_of_left(world: World, name: str, pods: Iterable[Pod], node_type: NodeType) -> str:
    """The power profile that such pods count under.

    The node carries its cap until they are gone. If it is lower than theirs when they were let go, which was in force
    then, it counts once it is confirmed.
    """
    node = world.nodes.get(name)
    annotations = {} if node is None else node.metadata.annotations
    written, cap = annotations.get(POWER_PROFILE, ""), whole_number(annotations.get(POWER_CAP_WATTS))
    if cap is not None and world.confirmations.confirms(world, name, cap):
        return written
    profiles = {written, *(pod.metadata.annotations.get(POWER_PROFILE, "") for pod in pods)}
    return max(sorted(profiles), key=lambda profile: _watts(node_type, profile))


def _watts(node_type: NodeType, profile: str) -> int:
    """What a node is held to under the profile; one that is not known holds it to nothing."""
    cap = find_cap(node_type, profile)
    return node_type.max_watts if cap is None else cap.node_watts


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
