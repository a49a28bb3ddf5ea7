"""Filters that look at other pods: affinity and anti-affinity between pods, and topology spread constraints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from rackplane.localcluster.objects import Obj, dig, meta, namespace_of
from rackplane.localcluster.selectors import match_selector

from .nodes import REQUIRED, NodeInfo, matches_node, tolerates

_AFFINITY = "node(s) didn't match pod affinity rules"
_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
_EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules"
_SPREAD = "node(s) didn't match pod topology spread constraints"
_HIDDEN = ("NoSchedule", "NoExecute")
Refusal = tuple[str, bool]


class Neighbours:
    """What other pods mean for one pod, counted once for all nodes.

    Args:
        nodes: all nodes, or those as they would be if some pods made way.
        namespaces: labels of every namespace, which selectors of namespaces look at.
    """

    def __init__(
        self, pod: Obj, nodes: Iterable[NodeInfo], namespaces: Mapping[str, Mapping[str, str]]
    ) -> None:
        self._pod = pod
        self._namespaces = namespaces
        self._wanted = _terms(pod, "podAffinity")
        self._unwanted = _terms(pod, "podAntiAffinity")
        constraints = dig(pod, "spec", "topologySpreadConstraints") or ()
        self._spread = [entry for entry in constraints if entry.get("whenUnsatisfiable") == "DoNotSchedule"]
        self._near: list[Counter[str]] = [Counter() for _ in self._wanted]
        self._against: list[Counter[str]] = [Counter() for _ in self._unwanted]
        self._refusing: set[tuple[str, str]] = set()
        self._counts: list[Counter[str]] = [Counter() for _ in self._spread]
        for info in nodes:
            self._count(info)

    def _count(self, info: NodeInfo) -> None:
        for other in info.pods.values():
            if self._wanted and all(self._selects(term, self._pod, other) for term in self._wanted):
                for term, near in zip(self._wanted, self._near, strict=True):
                    _tally(near, term, info)
            for term, against in zip(self._unwanted, self._against, strict=True):
                if self._selects(term, self._pod, other):
                    _tally(against, term, info)
            for term in _terms(other, "podAntiAffinity"):
                key = str(term.get("topologyKey"))
                if key in info.labels and self._selects(term, other, self._pod):
                    self._refusing.add((key, info.labels[key]))
        if self._spread and all(entry.get("topologyKey") in info.labels for entry in self._spread):
            for entry, counts in zip(self._spread, self._counts, strict=True):
                if _included(entry, self._pod, info):
                    value = info.labels[entry["topologyKey"]]
                    counts[value] += _matching(entry, self._pod, info)

    def _selects(self, term: Obj, owner: Obj, other: Obj) -> bool:
        """Whether a term of one pod means another."""
        namespace = namespace_of(other)
        named, selector = term.get("namespaces") or [], term.get("namespaceSelector")
        if selector is None:
            if namespace not in (named or [namespace_of(owner)]):
                return False
        elif namespace not in named and not match_selector(selector, self._namespaces.get(namespace, {})):
            return False
        return match_selector(term.get("labelSelector"), meta(other).get("labels") or {})

    def spread(self, info: NodeInfo) -> Refusal | None:
        """Why topology spread constraints refuse a node, and whether making room could help."""
        for entry, counts in zip(self._spread, self._counts, strict=True):
            value = info.labels.get(entry["topologyKey"])
            if value is None:
                return f"{_SPREAD} (missing required label)", False
            fewest = (
                min(counts.values(), default=0) if len(counts) >= int(entry.get("minDomains") or 1) else 0
            )
            own = match_selector(entry.get("labelSelector"), meta(self._pod).get("labels") or {})
            if counts[value] + own - fewest > int(entry["maxSkew"]):
                return _SPREAD, True
        return None

    def affinity(self, info: NodeInfo) -> Refusal | None:
        """Why affinity between pods refuses a node, and whether making room could help."""
        if self._wanted and not self._is_near(info):
            return _AFFINITY, False
        for term, against in zip(self._unwanted, self._against, strict=True):
            value = info.labels.get(str(term.get("topologyKey")))
            if value is not None and against[value]:
                return _ANTI_AFFINITY, True
        if any(info.labels.get(key) == value for key, value in self._refusing):
            return _EXISTING, True
        return None

    def _is_near(self, info: NodeInfo) -> bool:
        values = [info.labels.get(str(term.get("topologyKey"))) for term in self._wanted]
        if any(value is None for value in values):
            return False
        if all(near[str(value)] for near, value in zip(self._near, values, strict=True)):
            return True
        # The first of its kind has nobody to be near to, and may start anywhere.
        return not any(self._near) and all(self._selects(term, self._pod, self._pod) for term in self._wanted)


def _terms(pod: Obj, kind: str) -> list[Obj]:
    return dig(pod, "spec", "affinity", kind, REQUIRED) or []


def _tally(counts: Counter[str], term: Obj, info: NodeInfo) -> None:
    value = info.labels.get(str(term.get("topologyKey")))
    if value is not None:
        counts[value] += 1


def _included(entry: Obj, pod: Obj, info: NodeInfo) -> bool:
    """Whether a node is one that pods are spread over."""
    if info.node is None:
        return False
    if entry.get("nodeAffinityPolicy", "Honor") == "Honor" and not matches_node(pod["spec"], info.node):
        return False
    if entry.get("nodeTaintsPolicy", "Ignore") == "Honor":
        tolerations = pod["spec"].get("tolerations") or []
        for taint in info.taints:
            if taint.get("effect") in _HIDDEN and not any(tolerates(one, taint) for one in tolerations):
                return False
    return True


def _matching(entry: Obj, pod: Obj, info: NodeInfo) -> int:
    selector = entry.get("labelSelector")
    if not selector:
        return 0
    namespace = namespace_of(pod)
    return sum(
        key[0] == namespace
        and not meta(other).get("deletionTimestamp")
        and match_selector(selector, meta(other).get("labels") or {})
        for key, other in info.pods.items()
    )
