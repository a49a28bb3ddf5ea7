"""The engine's state, and all that is kept beside it, brought up to what has been seen."""

from __future__ import annotations

from dataclasses import replace

from rackplane.core.gangs.booking import rebook_known
from rackplane.core.gangs.ends import run_over
from rackplane.core.gangs.holdings import promise
from rackplane.core.gangs.occupying import recount_labels
from rackplane.core.pods.outside import refresh_node
from rackplane.core.queues.counting import count_usages, shape_ledger
from rackplane.core.shedding.emergency import mark_gangs
from rackplane.core.world import World
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.state import State

__all__ = ["refresh"]


def refresh(world: World) -> None:
    stale = world.stale
    if stale.facility or world.state is None:
        _rebuild(world)
    if world.settings.taint_nodes:
        world.taints.look(stale.nodes)
    for name in stale.nodes:
        _look_at(world, name)
    stale.nodes.clear()
    for key in stale.promises:
        if key in world.gangs:
            promise(world, world.gangs[key])
    stale.promises.clear()
    recount_labels(world)
    # A pod that takes the slot it was promised changes nothing for anybody else.
    world.version += world.room.settle()
    world.version += world.neighbours.settle()
    run_over(world)
    mark_gangs(world)
    if stale.ledger:
        shape_ledger(world)
    count_usages(world)


def _look_at(world: World, name: str) -> None:
    """A node that gangs come to and go from is the same as before, as long as it has no pods and is the same object."""
    node, empty = world.nodes.get(name), name not in world.pods_on
    if node is not None and empty and world.bare.get(name) is node:
        return
    refresh_node(world, name)
    world.losses.judge(world, name)
    if node is not None and empty and not world.losses.of(name):
        world.bare[name] = node
    else:
        world.bare.pop(name, None)


def _rebuild(world: World) -> None:
    """The facility is another one: a new state, with what gangs were given."""
    stale = world.stale
    stale.facility = False
    facility = replace(world.catalog.spec(world.now), admit_after_loss=world.settings.admit_after_loss)
    world.state = State(compile_facility(facility))
    for node in world.nodes.values():
        spec = world.catalog.node_spec(node)
        if spec is not None:
            world.state.set_node(spec)
    rebook_known(world)
    world.bare.clear()
    stale.nodes.update(dict.fromkeys(world.nodes))
    gangs = dict.fromkeys(world.gangs)
    world.dirty.update(gangs)
    # A profile's watts may have changed.
    world.caps.look(world.belonging.nodes())
    stale.promises.update(gangs)
    stale.usages.update(gangs)
    stale.ledger = True
