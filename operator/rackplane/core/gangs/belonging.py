"""What belongs to which gang: nodes that it was given, Jobs, pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rackplane.core.gangs.decisions import Key
from rackplane.core.workloads.view import Workload

__all__ = ["Belonging"]

_NONE: Mapping[Key, None] = {}


class Belonging:
    def __init__(self) -> None:
        #: by namespace and name of the pod, and of the Job
        self.of_pod: dict[Key, Key] = {}
        self.of_job: dict[Key, Key] = {}
        #: gangs that another gang stands for: a RayCluster's, whose RayJob it is that queues
        self.made_for: dict[Key, Key] = {}
        #: by gang of a workload that has no sets of pods itself, the workload that its controller made of it
        self.sets_of: dict[Key, Workload] = {}
        self._on: dict[str, dict[Key, None]] = {}

    def on_node(self, node: str) -> Mapping[Key, None]:
        """Gangs that were given a slot on the node, in order of decision."""
        return self._on.get(node, _NONE)

    def nodes(self) -> Iterable[str]:
        """Nodes on which some gang was given a slot."""
        return self._on

    def give(self, gang: Key, nodes: Iterable[str]) -> None:
        for node in nodes:
            self._on.setdefault(node, {})[gang] = None

    def take(self, gang: Key, nodes: Iterable[str]) -> None:
        """Nodes that the gang was given are no longer its own; each may be named more than once."""
        for node in set(nodes):
            here = self._on[node]
            del here[gang]
            if not here:
                del self._on[node]
