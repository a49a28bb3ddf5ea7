"""What bounds the slots of nodes beside GPUs and watts, as the caller knows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class NodeMask:
    """What bounds the slots per node by all that the engine does not know: taints, selectors, CPU, memory.

    Made once for all pods that are alike, and changed node by node as nodes change.
    """

    def __init__(self, slots: Mapping[str, int]) -> None:
        """``slots``: node -> the most slots it takes; a node that is absent takes none."""
        self._slots = dict(slots)
        self._log: list[str] = []

    @staticmethod
    def of(slots: Mapping[str, int] | NodeMask) -> NodeMask:
        """One made of these, or the one it is already."""
        return slots if isinstance(slots, NodeMask) else NodeMask(slots)

    def changed(self, slots: Mapping[str, int]) -> NodeMask:
        """Another one, that differs on these nodes."""
        return NodeMask({**self._slots, **slots})

    def set(self, node: str, slots: int) -> None:
        """Change one node; 0 takes none."""
        if self._slots.get(node, 0) != slots:
            self._slots[node] = slots
            self._log.append(node)

    def get(self, node: str) -> int:
        """The most slots the node takes."""
        return max(0, self._slots.get(node, 0))

    @property
    def position(self) -> int:
        """How many changes there have been."""
        return len(self._log)

    def changes(self, since: int) -> Iterable[str]:
        """The nodes changed since, each once."""
        return dict.fromkeys(self._log[since:])
