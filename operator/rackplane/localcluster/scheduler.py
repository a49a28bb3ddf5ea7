"""A scheduler: gates, selectors, required node affinity, taints, resources; binds what fits and says why not.

It neither preempts nor allocates ResourceClaims nor spreads: a pod that needs that stays pending and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

from . import podrules, quantities
from .errors import ApiError
from .events import Recorder
from .objects import Obj, dig, is_terminal, meta, name_of, namespace_of
from .resources import CLAIMS, NODES, PODS
from .selectors import match_requirements
from .service import Service
from .store import DELETED, Change

_ZERO = Fraction(0)
Amounts = dict[str, Fraction]


class Scheduler:
    """Binds pods that name `default-scheduler`, by priority, then age, then name."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.store
        self._pods = service.need("", "v1", "pods")
        self._events = Recorder(service.store, "default-scheduler", service.clock)
        self._pending: dict[tuple[str, str], None] = {}
        self._used: dict[str, Amounts] = {}
        self._bound: dict[tuple[str, str], tuple[str, Amounts]] = {}
        self._due = False

    def observe(self, change: Change) -> None:
        """Follow nodes and pods: what is used where, and whether another attempt is worthwhile."""
        if change.resource == PODS:
            self._observe_pod(change)
        elif change.resource == NODES:
            self._due = self._due or (change.type != DELETED and _node_changed(change))
        elif change.resource == CLAIMS:
            self._due = True

    def _observe_pod(self, change: Change) -> None:
        key, pod = (change.namespace, change.name), change.object
        gone = change.type == DELETED or is_terminal(pod)
        node = dig(pod, "spec", "nodeName")
        held = self._bound.get(key)
        if held is not None and (gone or held[0] != node):
            self._account(*held, sign=-1)
            del self._bound[key]
            self._due = True
        if gone or node:
            self._pending.pop(key, None)
            if not gone and key not in self._bound:
                asked = {**quantities.pod_requests(pod["spec"]), "pods": Fraction(1)}
                self._bound[key] = (node, asked)
                self._account(node, asked, sign=1)
            return
        spec = pod.get("spec") or {}
        waits = spec.get("schedulingGates") or meta(pod).get("deletionTimestamp")
        if waits or spec.get("schedulerName") != "default-scheduler":
            self._pending.pop(key, None)
            return
        if change.previous is None or (change.previous.get("spec") or {}) != spec:
            self._due = True
        self._pending[key] = None

    def _account(self, node: str, asked: Amounts, *, sign: int) -> None:
        used = self._used.setdefault(node, {})
        for name, amount in asked.items():
            used[name] = used.get(name, _ZERO) + sign * amount

    def run(self) -> bool:
        """Try every pending pod once, if anything changed that could help; returns whether it tried."""
        if not self._due or not self._pending:
            self._due = False
            return False
        self._due = False
        found = [self._store.get(PODS, *key) for key in self._pending]
        pods = [pod for pod in found if pod is not None]
        pods.sort(
            key=lambda pod: (
                -int(dig(pod, "spec", "priority") or 0),
                str(meta(pod).get("creationTimestamp")),
                namespace_of(pod),
                name_of(pod),
            )
        )
        nodes = self._store.items(NODES)
        for pod in pods:
            self._attempt(pod, nodes)
        return True

    def _attempt(self, pod: Obj, nodes: list[Obj]) -> None:
        reasons: Counter[str] = Counter()
        helpless = 0
        unsupported = self._unsupported(pod)
        if unsupported is not None:
            self._report(pod, unsupported)
            return
        asked = {**quantities.pod_requests(pod["spec"]), "pods": Fraction(1)}
        best: tuple[Fraction, str] | None = None
        for node in nodes:
            causes, preemptible = self._filter(pod, asked, node)
            if causes:
                reasons.update(causes)
                helpless += not preemptible
                continue
            rank = (self._fullness(node, asked), name_of(node))
            best = rank if best is None or rank < best else best
        if best is None:
            self._report(pod, _message(len(nodes), reasons, helpless))
            return
        try:
            bound = podrules.bind(pod, best[1], self._service.clock())
        except ApiError:
            return
        self._store.update(PODS, bound)
        self._events.record(
            pod, "Scheduled", f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {best[1]}"
        )

    def _unsupported(self, pod: Obj) -> str | None:
        spec = pod["spec"]
        if dig(spec, "affinity", "podAffinity") or dig(spec, "affinity", "podAntiAffinity"):
            return "the embedded scheduler does not implement pod affinity"
        if any(
            e.get("whenUnsatisfiable") == "DoNotSchedule" for e in spec.get("topologySpreadConstraints") or ()
        ):
            return "the embedded scheduler does not implement topology spread constraints"
        for entry in spec.get("resourceClaims") or ():
            name = entry.get("resourceClaimName")
            claim = self._store.get(CLAIMS, namespace_of(pod), name) if name else None
            if claim is None or dig(claim, "status", "allocation") is None:
                return "the embedded scheduler does not allocate ResourceClaims"
        return None

    def _filter(self, pod: Obj, asked: Amounts, node: Obj) -> tuple[list[str], bool]:
        """Why a node does not fit (of the first filter that refuses), and whether preemption could ever help."""
        spec, node_spec = pod["spec"], node.get("spec") or {}
        tolerations = spec.get("tolerations") or []
        if node_spec.get("unschedulable"):
            taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
            if not any(tolerates(toleration, taint) for toleration in tolerations):
                return ["node(s) were unschedulable"], False
        for taint in node_spec.get("taints") or ():
            if taint.get("effect") in ("NoSchedule", "NoExecute") and not any(
                tolerates(t, taint) for t in tolerations
            ):
                return ["node(s) had untolerated taint(s)"], False
        if not matches_node(spec, node):
            return ["node(s) didn't match Pod's node affinity/selector"], False
        status = node.get("status") or {}
        room = quantities.read(status.get("allocatable") or status.get("capacity"))
        used = self._used.get(name_of(node), {})
        short = []
        preemptible = True
        for name, amount in sorted(asked.items(), key=lambda item: (item[0] != "pods", item[0])):
            if amount <= 0:
                continue
            if name == "pods" and "pods" not in room:
                continue
            if used.get(name, _ZERO) + amount > room.get(name, _ZERO):
                short.append("Too many pods" if name == "pods" else f"Insufficient {name}")
                preemptible = preemptible and amount <= room.get(name, _ZERO)
        return short, preemptible

    def _fullness(self, node: Obj, asked: Amounts) -> Fraction:
        """Share of cpu and memory in use with the pod on the node: less is better, as LeastAllocated has it."""
        room = quantities.read(dig(node, "status", "allocatable") or dig(node, "status", "capacity"))
        used = self._used.get(name_of(node), {})
        total = _ZERO
        for name in ("cpu", "memory"):
            if room.get(name):
                total += (used.get(name, _ZERO) + asked.get(name, _ZERO)) / room[name]
        return total

    def _report(self, pod: Obj, message: str) -> None:
        now = self._service.clock()
        entry = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "observedGeneration": meta(pod).get("generation", 0),
        }

        def mark(obj: Obj) -> None:
            podrules.set_condition(obj, entry, now)

        before = [c for c in dig(pod, "status", "conditions") or () if c.get("type") == "PodScheduled"]
        if before and before[0].get("message") == message and before[0].get("reason") == "Unschedulable":
            return
        self._service.change(self._pods, pod, mark, subresource="status", manager="kube-scheduler")
        self._events.record(pod, "FailedScheduling", message, warning=True)


def _message(total: int, reasons: Counter[str], helpless: int) -> str:
    if total == 0:
        return "no nodes available to schedule pods"
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    hints = []
    if total - helpless:
        hints.append(f"{total - helpless} No preemption victims found for incoming pod")
    if helpless:
        hints.append(f"{helpless} Preemption is not helpful for scheduling")
    return (
        f"0/{total} nodes are available: {listed}. no new claims to deallocate, "
        f"preemption: 0/{total} nodes are available: {', '.join(sorted(hints))}."
    )


def _node_changed(change: Change) -> bool:
    """Whether a node changed in a way that could let a pod in: heartbeats do not."""
    old, new = change.previous, change.object
    if old is None:
        return True
    if meta(old).get("labels") != meta(new).get("labels") or old.get("spec") != new.get("spec"):
        return True
    return bool(dig(old, "status", "allocatable") != dig(new, "status", "allocatable"))


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
    required = dig(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    fields = {"metadata.name": name_of(node)}
    for term in required.get("nodeSelectorTerms") or ():
        by_label, by_field = term.get("matchExpressions") or [], term.get("matchFields") or []
        # An empty term matches nothing.
        if (
            (by_label or by_field)
            and match_requirements(by_label, labels)
            and match_requirements(by_field, fields)
        ):
            return True
    return False
