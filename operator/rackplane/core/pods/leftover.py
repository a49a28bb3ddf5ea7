"""What nodes have left of CPU and memory, as arrays in the engine's order of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rackplane.core.objects import Node
from rackplane.core.pods.appetite import FED
from rackplane.core.pods.podclass import allocatable
from rackplane.core.pods.room import Room
from rackplane.engine.model import InvariantViolation

__all__ = ["Leftover"]

Ints = NDArray[np.int64]


class Leftover:
    """Made when first asked for, and followed node by node.

    Args:
        nodes: as the API server has them, by name.
    """

    def __init__(self, nodes: Mapping[str, Node], room: Room) -> None:
        self._nodes = nodes
        self._room = room
        self._names: Sequence[str] = ()
        self._index: dict[str, int] = {}
        self._left: Ints = np.zeros((len(FED), 0), dtype=np.int64)
        self._position = 0

    def of(self, names: Sequence[str]) -> Ints:
        """Thousandths that no pod holds and no slot is promised, by resource of FED and node; do not write to it.

        Args:
            names: of the nodes; the same object as long as they are the same.
        """
        self._room.settle()
        changed = self._room.changes(self._position)
        if names is not self._names or changed is None:
            self._names = names
            self._index = {name: i for i, name in enumerate(names)}
            self._left = np.zeros((len(FED), len(names)), dtype=np.int64)
            changed = names
        self._follow(changed)
        self._position = self._room.position
        return self._left

    def _follow(self, changed: Iterable[str]) -> None:
        for name in changed:
            i = self._index.get(name)
            if i is not None:
                self._left[:, i] = self._now(name)

    def _now(self, name: str) -> list[int]:
        node, used = self._nodes.get(name), self._room.used(name)
        if node is None:
            return [0] * len(FED)
        return [max(0, allocatable(node, resource) - used.get(resource, 0)) for resource in FED]

    def validate(self) -> None:
        """Compare what is kept with a new count.

        Raises:
            InvariantViolation: something differs.
        """
        left = self.of(self._names)
        anew = np.array([self._now(name) for name in self._names], dtype=np.int64).reshape(-1, len(FED)).T
        if not np.array_equal(left, anew):
            raise InvariantViolation("what nodes have left of CPU and memory differs from a new count")
