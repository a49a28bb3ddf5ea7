"""What bounds the slots of nodes beside GPUs and watts, as the caller knows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rackplane.engine.nodes.changelog import ChangeLog


class NodeMask:
    """What bounds the slots per node by all that the engine does not know: taints, selectors, CPU, memory.

    Made once for all pods that are alike, and changed node by node as nodes change.
    """

    def __init__(self, slots: Mapping[str, int]) -> None:
        """``slots``: node -> the most slots it takes; a node that is absent takes none."""
        self._slots = dict(slots)
        self._log: ChangeLog[str] = ChangeLog()
        self.origin: tuple[NodeMask, int] | None = None
        """What it was made of by `changed`, and how many changes that had had; it differs on `touched` since."""
        self.touched: tuple[str, ...] = ()

    @staticmethod
    def of(slots: Mapping[str, int] | NodeMask) -> NodeMask:
        """One made of these, or the one it is already."""
        return slots if isinstance(slots, NodeMask) else NodeMask(slots)

    def changed(self, slots: Mapping[str, int]) -> NodeMask:
        """Another one, that differs on these nodes."""
        found = NodeMask(self._slots)
        found._slots.update(slots)
        found.origin, found.touched = (self, self.position), tuple(slots)
        return found

    def set(self, node: str, slots: int) -> None:
        """Change one node; 0 takes none."""
        if self._slots.get(node, 0) != slots:
            if slots:
                self._slots[node] = slots
            else:
                del self._slots[node]
            self._log.add(node)

    def get(self, node: str) -> int:
        """The most slots the node takes."""
        return max(0, self._slots.get(node, 0))

    @property
    def position(self) -> int:
        """How many changes there have been."""
        return self._log.position

    def changes(self, since: int) -> Iterable[str] | None:
        """The nodes changed since, each once; None if there were too many to remember."""
        return self._log.since(since)

    def as_dict(self) -> dict[str, int]:
        """Node -> slots, of the nodes that take any."""
        return {node: slots for node, slots in self._slots.items() if slots > 0}


class Variant:
    """A mask that is as another one but on some nodes, on others at each question: one object, for views to follow."""

    def __init__(self, base: NodeMask) -> None:
        self.base = base
        self._mask, self._position = base.changed({}), base.position
        self._differing: dict[str, int] = {}

    def with_slots(self, slots: Mapping[str, int]) -> NodeMask:
        """The mask as the other one is now, with these numbers of slots where it says others; until the next call."""
        base, differing = self.base, self._differing
        moved = base.changes(self._position)
        if moved is None:
            self._mask, moved, differing = base.changed({}), (), {}
        self._position = base.position
        known = base._slots
        now = self._differing = {node: count for node, count in slots.items() if known.get(node, 0) != count}
        # From one question to the next few are others.
        for node in {*(node for node, _ in differing.items() ^ now.items()), *moved}:
            self._mask.set(node, now[node] if node in now else base.get(node))
        return self._mask
