"""What the unlike pods of one gang leave each other on a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rackplane.core.pods.podclass import Amounts, PodClass
from rackplane.core.pods.room import Room
from rackplane.engine.nodes.masks import NodeMask

__all__ = ["Sharing"]


@dataclass(frozen=True, eq=False)
class Sharing:
    """By classes of pods, judged as kube-scheduler judges them.

    Args:
        freed: what is gone from nodes by the time that is asked about.
        bounds: by class, the most pods of the gang on a node, whatever they are; none where amounts alone bound them.
    """

    room: Room
    kinds: tuple[PodClass, ...]
    freed: Mapping[str, Amounts] = field(default_factory=dict)
    bounds: tuple[NodeMask, ...] = ()

    def slots(self, group: int, node: str, taken: tuple[int, ...]) -> int:
        """Pods of that class that the node still takes beside so many of each."""
        more = {name: -amount for name, amount in self.freed.get(node, {}).items()}
        for kind, count in zip(self.kinds, taken, strict=True):
            if count:
                for name, amount in kind.held.items():
                    more[name] = more.get(name, 0) + amount * count
        slots = self.room.slots_with(self.kinds[group], node, more)
        return min(slots, self.bounds[group].get(node) - sum(taken)) if self.bounds else slots
