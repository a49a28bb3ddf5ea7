"""The taint that keeps pods without a place off the nodes of racks, put on by the operator where it is told to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rackplane.api.labels import MANAGED_TAINT
from rackplane.core.events import FailureReason
from rackplane.core.instructions import TaintNode
from rackplane.core.objects import Node, Taint

if TYPE_CHECKING:
    from rackplane.core.world import World

__all__ = ["Taints"]


class Taints:
    """Which nodes to look at, and the writes that are under way.

    Only nodes that a Rack claims are tainted. It is never taken off here: who put it on is not known, and a node that
    changes racks belongs to none for a while.
    """

    def __init__(self) -> None:
        self._stale: dict[str, None] = {}
        #: by node: the resourceVersion that the last write is based on
        self._asked: dict[str, str] = {}
        #: nodes whose write failed, and when they are looked at again, in seconds since the epoch
        self._again: dict[str, float] = {}

    def look(self, nodes: Iterable[str]) -> None:
        """Something about these nodes, or about what claims them, has changed."""
        self._stale.update(dict.fromkeys(nodes))

    def resign(self) -> None:
        """This process no longer leads: answers to what it wrote say nothing any more."""
        for kept in (self._stale, self._asked, self._again):
            kept.clear()

    def run(self, world: World) -> Iterator[TaintNode]:
        """The writes that taint what is not tainted, at most one for each version of a node."""
        stale, self._stale = self._stale, {}
        due = [name for name, at in self._again.items() if world.now >= at]
        for name in due:
            del self._again[name]
        for name in dict.fromkeys([*stale, *due]):
            node = world.nodes.get(name)
            if node is None or _is_tainted(node) or world.catalog.node_spec(node) is None:
                self._asked.pop(name, None)
                continue
            version = node.metadata.resource_version
            if self._asked.get(name) != version and name not in self._again:
                self._asked[name] = version
                yield TaintNode(
                    name, version, (*node.spec.taints, Taint(key=MANAGED_TAINT, effect="NoSchedule"))
                )

    def failed(self, world: World, instruction: TaintNode, reason: FailureReason) -> None:
        """The write did not take effect, or nobody knows."""
        self._asked.pop(instruction.name, None)
        if reason is not FailureReason.GONE:
            pause = world.settings.longest_retry_seconds
            # One that is refused for want of a right stays so until somebody gives it.
            soon = reason in (FailureReason.CONFLICT, FailureReason.UNAVAILABLE)
            self._again[instruction.name] = world.now + (world.settings.retry_seconds if soon else pause)


def _is_tainted(node: Node) -> bool:
    return any((taint.key, taint.effect) == (MANAGED_TAINT, "NoSchedule") for taint in node.spec.taints)
