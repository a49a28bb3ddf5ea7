"""PodGroups come and go: which gang their pods are of, and how large it is, may be another."""

from __future__ import annotations

from rackplane.core.arrivals import put_pod
from rackplane.core.gangs.decisions import Key
from rackplane.core.gangs.podgroups import PodGroup
from rackplane.core.world import World

__all__ = ["drop_pod_group", "put_pod_group"]


def put_pod_group(world: World, group: PodGroup) -> None:
    if world.pod_groups.put(group):
        _look_at_pods(world, (group.metadata.namespace, group.metadata.name))


def drop_pod_group(world: World, key: Key) -> None:
    if world.pod_groups.drop(key):
        _look_at_pods(world, key)


def _look_at_pods(world: World, group: Key) -> None:
    gangs: dict[Key, None] = {}
    for key in list(world.pod_groups.pods_of(group)):
        put_pod(world, world.pods[key])
        gangs[world.belonging.of_pod[key]] = None
    for gang in gangs:
        world.record(gang)
        world.pods_differ(gang)
