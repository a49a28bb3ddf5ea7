"""Which nodes a gang is to prefer so that their free GPUs keep CPU and memory; what it takes of these itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.pods.appetite import FED, Takes
from rackplane.core.pods.leftover import Leftover
from rackplane.core.pods.podclass import Amounts
from rackplane.core.world import World
from rackplane.engine.model import Feeding
from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.placing.feeding import slots_fed, takes_more
from rackplane.engine.state import State

__all__ = ["feeding_of", "takes_of"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Feeding:
    """Args:
    needs: by accelerator resource, what a GPU needs of each resource of FED in the mean.
    each: what a slot asks for of each.
    gpus: of a slot.
    """

    state: State
    leftover: Leftover
    needs: Mapping[str, tuple[float, float]]
    each: tuple[int, ...]
    gpus: int

    def slots(self, names: Sequence[str], free: Ints) -> Ints:
        """As :class:`~rackplane.engine.model.Feeding` has it: the least over CPU and memory."""
        fed, kinds = np.full(len(names), UNLIMITED, dtype=np.int64), self.state.facility.rack_types
        nothing = (0.0,) * len(FED)
        by_rack = [nothing if kind is None else self.needs.get(kind.resource, nothing) for kind in kinds]
        need = np.array([*by_rack, nothing])[self.state.inventory.rack]  # the last: of nodes in no rack
        for i, left in enumerate(self.leftover.of(names)):
            if self.each[i]:
                fed = np.minimum(fed, slots_fed(free, left, need[:, i], each=self.each[i], gpus=self.gpus))
        return fed


def feeding_of(world: World, record: GangRecord) -> Feeding | None:
    """What a gang that waits is to prefer; None where every place is the same for that.

    So it is for a gang whose slots take whole nodes, whose pods are not alike, or of which only GPUs are known, and for
    one that asks for no more CPU and memory than its own GPUs need.
    """
    assert world.state is not None and record.gang is not None
    spec = record.gang.spec
    gpus, resource = spec.gpus_per_slot, spec.resource_name
    if spec.groups or record.external() or (gpus and gpus >= _most(world.state, resource)):
        return None
    kind = record.pod_class
    assert kind is not None  # it waits, so it has pods or a template
    each = tuple(kind.held.get(name, 0) for name in FED)
    own = {resource: _takes(spec.slots, gpus, kind.held)} if gpus else {}
    needs = world.appetite.needs(own)
    if gpus:
        needs = {resource: needs[resource]}
    if not any(
        takes_more(asked, need, gpus)
        for means in needs.values()
        for asked, need in zip(each, means, strict=True)
    ):
        return None
    return _Feeding(world.state, world.leftover, needs, each, gpus)


def takes_of(world: World, record: GangRecord) -> dict[str, Takes]:
    """What the gang's slots that take parts of nodes take, by accelerator resource: `Appetite` counts it."""
    state, decision, gang = world.state, record.decision, record.gang
    if state is None or decision is None or gang is None or record.external():
        return {}
    spec = gang.spec
    if not 0 < spec.gpus_per_slot < _most(state, spec.resource_name) and not spec.groups:
        return {}
    held = state.held(booking_key(record.key))
    if not spec.groups:
        kind = record.pod_class
        if not held or kind is None:
            return {}
        return {spec.resource_name: _takes(len(held), spec.gpus_per_slot, kind.held)}
    found: dict[str, Takes] = {}
    needs, slot = record.held_by_slot(), 0
    for group in spec.groups:
        there = [n for n in range(slot, slot + group.slots) if n in held and n in needs]
        slot += group.slots
        if there and 0 < group.gpus_per_slot < _most(state, group.resource_name):
            more = _takes(len(there), group.gpus_per_slot, needs[there[0]])
            before = found.get(group.resource_name, (0, 0, 0))
            found[group.resource_name] = before[0] + more[0], before[1] + more[1], before[2] + more[2]
    return found


def _takes(slots: int, gpus: int, each: Amounts) -> Takes:
    cpu, memory = (each.get(name, 0) for name in FED)
    return slots * gpus, slots * cpu, slots * memory


def _most(state: State, resource: str) -> int:
    """GPUs of the largest node with that resource."""
    return max((kind.gpus_per_node for kind in state.facility.types if kind.resource == resource), default=0)
