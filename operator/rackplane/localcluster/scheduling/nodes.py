"""Nodes as a scheduler sees them: labels, taints, room, and the pods that are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from rackplane.localcluster import quantities
from rackplane.localcluster.objects import Obj, dig, meta, name_of
from rackplane.localcluster.selectors import match_requirements

ZERO = Fraction(0)
Amounts = dict[str, Fraction]
Key = tuple[str, str]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


class NodeInfo:
    """One node with its pods; `used` is the sum of what they ask for."""

    __slots__ = ("labels", "name", "node", "pods", "room", "taints", "used")

    def __init__(self, name: str) -> None:
        self.name = name
        self.node: Obj | None = None
        self.labels: Mapping[str, str] = {}
        self.taints: list[Obj] = []
        self.room: Amounts = {}
        self.pods: dict[Key, Obj] = {}
        self.used: Amounts = {}

    def read(self, node: Obj | None) -> None:
        """Take over the state of the node; None when it is gone."""
        self.node = node
        if node is not None:
            self.labels = meta(node).get("labels") or {}
            self.taints = dig(node, "spec", "taints") or []
            self.room = quantities.read(dig(node, "status", "allocatable") or dig(node, "status", "capacity"))

    def add(self, key: Key, pod: Obj, asked: Amounts) -> None:
        """Put a pod on the node."""
        self.pods[key] = pod
        for name, amount in asked.items():
            self.used[name] = self.used.get(name, ZERO) + amount

    def remove(self, key: Key, asked: Amounts) -> None:
        """Take a pod off the node."""
        self.pods.pop(key, None)
        for name, amount in asked.items():
            self.used[name] = self.used.get(name, ZERO) - amount

    def without(self, keys: Iterable[Key]) -> NodeInfo:
        """A copy in which some pods are not there."""
        copy = NodeInfo(self.name)
        copy.node, copy.labels, copy.taints, copy.room = self.node, self.labels, self.taints, self.room
        gone = set(keys)
        for key, pod in self.pods.items():
            if key not in gone:
                copy.add(key, pod, requests(pod))
        return copy


def requests(pod: Obj) -> Amounts:
    """What a pod takes of a node, its place among the pods included."""
    return {**quantities.pod_requests(pod.get("spec") or {}), "pods": Fraction(1)}


def tolerates(toleration: Mapping[str, object], taint: Mapping[str, object]) -> bool:
    """Whether one toleration covers one taint."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def matches_node(spec: Obj, node: Obj) -> bool:
    """Whether a node satisfies a pod's nodeSelector and required node affinity."""
    labels = meta(node).get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = dig(spec, "affinity", "nodeAffinity", REQUIRED)
    if required is None:
        return True
    return any(matches_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def matches_term(term: Obj, node: Obj) -> bool:
    """Whether a node satisfies one term of node affinity; an empty term matches nothing."""
    by_label, by_field = term.get("matchExpressions") or [], term.get("matchFields") or []
    return (
        bool(by_label or by_field)
        and match_requirements(by_label, meta(node).get("labels") or {})
        and match_requirements(by_field, {"metadata.name": name_of(node)})
    )
