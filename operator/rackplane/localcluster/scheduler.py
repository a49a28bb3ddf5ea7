"""A scheduler: the filters, the main scores and the preemption of kube-scheduler; binds what fits and says why not.

It does not allocate ResourceClaims: a pod whose claim nobody allocated stays pending and says so.
"""

from __future__ import annotations

from collections import Counter

from . import podrules
from .errors import ApiError
from .events import Recorder
from .objects import Obj, clone, dig, is_terminal, meta, name_of, namespace_of
from .resources import BUDGETS, CLAIMS, NAMESPACES, NODES, PODS
from .scheduling import preemption
from .scheduling.filters import Fit
from .scheduling.nodes import REQUIRED, Amounts, Key, NodeInfo, requests
from .scheduling.others import Neighbours
from .scheduling.scores import best
from .service import Service
from .store import DELETED, Change

_NAME = "default-scheduler"
_MANAGER = "kube-scheduler"


class Scheduler:
    """Binds pods that name `default-scheduler`, by priority, then age, then name."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.store
        self._pods = service.need("", "v1", "pods")
        self._events = Recorder(service.store, _NAME, service.clock)
        self._pending: dict[Key, None] = {}
        self._nodes: dict[str, NodeInfo] = {}
        self._bound: dict[Key, tuple[str, Amounts]] = {}
        self._nominated: dict[str, dict[Key, Obj]] = {}
        self._repelling: set[Key] = set()
        self._due = False

    def observe(self, change: Change) -> None:
        """Follow nodes and pods: what is used where, and whether another attempt is worthwhile."""
        if change.resource == PODS:
            self._observe_pod(change)
        elif change.resource == NODES:
            gone = change.type == DELETED
            self._info(change.name).read(None if gone else change.object)
            self._due = self._due or (not gone and _node_changed(change))
        elif change.resource == CLAIMS:
            self._due = True

    def _info(self, node: str) -> NodeInfo:
        return self._nodes.setdefault(node, NodeInfo(node))

    def _observe_pod(self, change: Change) -> None:
        key, pod = (change.namespace, change.name), change.object
        gone = change.type == DELETED or is_terminal(pod)
        node = dig(pod, "spec", "nodeName")
        held = self._bound.get(key)
        if held is not None and (gone or held[0] != node):
            self._info(held[0]).remove(key, held[1])
            del self._bound[key]
            self._repelling.discard(key)
            self._due = True
        self._note_nomination(key, pod, waits=not gone and not node)
        if gone or node:
            self._pending.pop(key, None)
            if gone:
                return
            if key in self._bound:
                self._info(node).pods[key] = pod
                return
            asked = requests(pod)
            self._bound[key] = (node, asked)
            self._info(node).add(key, pod, asked)
            if dig(pod, "spec", "affinity", "podAntiAffinity", REQUIRED):
                self._repelling.add(key)
            return
        spec = pod.get("spec") or {}
        waits = spec.get("schedulingGates") or meta(pod).get("deletionTimestamp")
        if waits or spec.get("schedulerName") != _NAME:
            self._pending.pop(key, None)
            return
        if change.previous is None or (change.previous.get("spec") or {}) != spec:
            self._due = True
        self._pending[key] = None

    def _note_nomination(self, key: Key, pod: Obj, *, waits: bool) -> None:
        node = str(dig(pod, "status", "nominatedNodeName") or "") if waits else ""
        if node:
            self._nominated.setdefault(node, {})[key] = pod
        if self._nominated:
            for other in [name for name, pods in self._nominated.items() if name != node and key in pods]:
                del self._nominated[other][key]
                if not self._nominated[other]:
                    del self._nominated[other]

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
        for pod in pods:
            self._attempt(pod)
        return True

    def _attempt(self, pod: Obj) -> None:
        unsupported = self._unsupported(pod)
        if unsupported is not None:
            self._report(pod, unsupported, None)
            return
        nodes = [info for info in self._nodes.values() if info.node is not None]
        fit = self._fit(pod, None)
        reasons: Counter[str] = Counter()
        fitting, helpful, helpless = [], [], 0
        for info in nodes:
            refusal = fit.refusal(info)
            if refusal is None:
                fitting.append(info)
                continue
            reasons.update(refusal[0])
            if refusal[1]:
                helpful.append(info)
            else:
                helpless += 1
        if fitting:
            self._bind(pod, best(fit, fitting).name)
        elif not nodes:
            self._report(pod, "no nodes available to schedule pods", None)
        else:
            listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
            self._preempt(
                pod, f"0/{len(nodes)} nodes are available: {listed}.", len(nodes), helpful, helpless
            )

    def _fit(self, pod: Obj, changed: NodeInfo | None) -> Fit:
        """The pod with what it has to know of other pods; one node may be other than it is."""
        spec = pod["spec"]
        affinity = spec.get("affinity") or {}
        sociable = (
            self._repelling
            or affinity.get("podAffinity")
            or affinity.get("podAntiAffinity")
            or spec.get("topologySpreadConstraints")
        )
        infos: list[NodeInfo] = []
        if sociable:
            present = (info for info in self._nodes.values() if info.node is not None)
            infos = [
                changed if changed is not None and info.name == changed.name else info for info in present
            ]
        namespaces = {
            name_of(found): meta(found).get("labels") or {}
            for found in (self._store.items(NAMESPACES) if sociable else ())
        }
        return Fit(pod, Neighbours(pod, infos, namespaces), self._nominated)

    def _bind(self, pod: Obj, node: str) -> None:
        try:
            bound = podrules.bind(pod, node, self._service.clock())
        except ApiError:
            return
        self._store.update(PODS, bound)
        self._events.record(
            pod, "Scheduled", f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {node}"
        )

    def _unsupported(self, pod: Obj) -> str | None:
        for entry in pod["spec"].get("resourceClaims") or ():
            name = entry.get("resourceClaimName")
            claim = self._store.get(CLAIMS, namespace_of(pod), name) if name else None
            if claim is None or dig(claim, "status", "allocation") is None:
                return "the embedded scheduler does not allocate ResourceClaims"
        return None

    def _preempt(self, pod: Obj, message: str, total: int, helpful: list[NodeInfo], helpless: int) -> None:
        why = preemption.ineligible(pod, self._nodes)
        if why:
            nominated = str(dig(pod, "status", "nominatedNodeName") or "")
            self._report(pod, f"{message} no new claims to deallocate, preemption: {why}", nominated)
            return
        budgets = self._store.items(BUDGETS) if helpful else []
        found = preemption.search(pod, helpful, helpless, lambda info: self._fit(pod, info), budgets)
        if found.best is None:
            hints = ", ".join(sorted(f"{count} {reason}" for reason, count in found.reasons.items()))
            told = f"no new claims to deallocate, preemption: 0/{total} nodes are available: {hints}."
            self._report(pod, f"{message} {told}", "")
            return
        for victim in found.best.pods:
            self._evict(victim, pod, found.best.node)
        self._report(pod, message, found.best.node)

    def _evict(self, victim: Obj, pod: Obj, node: str) -> None:
        """Delete a pod that has to make way, with its grace period; its status says why."""
        if meta(victim).get("deletionTimestamp"):
            return
        now = self._service.clock()
        entry = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": preemption.REASON,
            "message": f"{_NAME}: preempting to accommodate a higher priority pod",
            "observedGeneration": meta(victim).get("generation", 0),
        }

        def mark(obj: Obj) -> None:
            podrules.set_condition(obj, entry, now)

        self._service.change(self._pods, victim, mark, subresource="status", manager=_MANAGER)
        self._service.delete(self._pods, namespace_of(victim), name_of(victim))
        self._events.record(victim, "Preempted", f"Preempted by pod {meta(pod)['uid']} on node {node}")

    def _report(self, pod: Obj, message: str, nominated: str | None) -> None:
        """Say why a pod was not bound; `nominated` is the node it waits for, None leaves that as it is."""
        now = self._service.clock()
        entry = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "observedGeneration": meta(pod).get("generation", 0),
        }
        held = str(dig(pod, "status", "nominatedNodeName") or "")
        wanted = held if nominated is None else nominated

        def mark(obj: Obj) -> None:
            podrules.set_condition(obj, clone(entry), now)
            if wanted:
                obj["status"]["nominatedNodeName"] = wanted
            else:
                obj["status"].pop("nominatedNodeName", None)

        before = [c for c in dig(pod, "status", "conditions") or () if c.get("type") == "PodScheduled"]
        told = before and before[0].get("message") == message and before[0].get("reason") == "Unschedulable"
        if told and wanted == held:
            return
        self._service.change(self._pods, pod, mark, subresource="status", manager=_MANAGER)
        self._events.record(pod, "FailedScheduling", message, warning=True)


def _node_changed(change: Change) -> bool:
    """Whether a node changed in a way that could let a pod in: heartbeats do not."""
    old, new = change.previous, change.object
    if old is None:
        return True
    if meta(old).get("labels") != meta(new).get("labels") or old.get("spec") != new.get("spec"):
        return True
    return bool(dig(old, "status", "allocatable") != dig(new, "status", "allocatable"))
