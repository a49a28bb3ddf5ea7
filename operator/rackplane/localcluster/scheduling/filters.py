"""Why a node does not fit a pod: the filters of kube-scheduler's default profile, in their order.

Each answers with reasons, and whether they could go away if pods of less priority made way.
"""

from __future__ import annotations

from collections.abc import Iterable

from rackplane.localcluster.objects import Obj, meta

from .nodes import ZERO, Amounts, Key, NodeInfo, matches_node, requests, tolerates
from .others import Neighbours

_CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_ORDER = {"pods": 0, "cpu": 1, "memory": 2, "ephemeral-storage": 3}
Refusal = tuple[list[str], bool]


class Fit:
    """One pod that looks for a node.

    Args:
        nominated: pods of no less priority that wait for room they were promised, by node.
    """

    def __init__(self, pod: Obj, neighbours: Neighbours, nominated: dict[str, dict[Key, Obj]]) -> None:
        self.pod = pod
        self.spec: Obj = pod["spec"]
        self.asked: Amounts = requests(pod)
        self.neighbours = neighbours
        self._nominated = nominated
        self._own = (str(meta(pod).get("namespace")), str(meta(pod).get("name")))
        self._priority = int(self.spec.get("priority") or 0)
        self._ports = list(_ports(pod))
        self._sorted = sorted(
            ((name, amount) for name, amount in self.asked.items() if amount > 0),
            key=lambda item: (_ORDER.get(item[0], 4), item[0]),
        )

    def refusal(self, info: NodeInfo) -> Refusal | None:
        """Why a node does not fit; None when it does."""
        assert info.node is not None
        tolerations = self.spec.get("tolerations") or ()
        if (info.node.get("spec") or {}).get("unschedulable") and not any(
            tolerates(one, _CORDONED) for one in tolerations
        ):
            return ["node(s) were unschedulable"], False
        for taint in info.taints:
            if taint.get("effect") in ("NoSchedule", "NoExecute") and not any(
                tolerates(one, taint) for one in tolerations
            ):
                return ["node(s) had untolerated taint(s)"], False
        if not matches_node(self.spec, info.node):
            return ["node(s) didn't match Pod's node affinity/selector"], False
        if self._ports and self._taken(info):
            return ["node(s) didn't have free ports for the requested pod ports"], True
        short = self._short(info)
        if short is not None:
            return short
        found = self.neighbours.spread(info) or self.neighbours.affinity(info)
        return ([found[0]], found[1]) if found is not None else None

    def _taken(self, info: NodeInfo) -> bool:
        taken = [port for other in info.pods.values() for port in _ports(other)]
        return any(_clash(mine, other) for mine in self._ports for other in taken)

    def _short(self, info: NodeInfo) -> Refusal | None:
        promised = self._promised(info.name)
        reasons: list[str] = []
        helpful = True
        for name, amount in self._sorted:
            room = info.room.get(name, ZERO)
            if info.used.get(name, ZERO) + promised.get(name, ZERO) + amount > room:
                reasons.append("Too many pods" if name == "pods" else f"Insufficient {name}")
                helpful = helpful and (name == "pods" or amount <= room)
        return (reasons, helpful) if reasons else None

    def _promised(self, node: str) -> Amounts:
        waiting = self._nominated.get(node)
        if not waiting:
            return {}
        total: Amounts = {}
        for key, other in waiting.items():
            if key != self._own and int(other["spec"].get("priority") or 0) >= self._priority:
                for name, amount in requests(other).items():
                    total[name] = total.get(name, ZERO) + amount
        return total


def _ports(pod: Obj) -> Iterable[tuple[str, str, int]]:
    spec = pod.get("spec") or {}
    lasting = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *lasting):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(port["hostPort"])


def _clash(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    anywhere = "0.0.0.0"
    return one[1:] == other[1:] and (one[0] == other[0] or anywhere in (one[0], other[0]))
