"""The pod garbage collector: ends pods that no kubelet will end, and removes the oldest of too many that have ended.

It looks every 20 s, as kube-controller-manager's does. A pod whose node does not exist goes 40 s after that was first
seen, so 40 to 60 s after the node was deleted.
"""

from __future__ import annotations

import math
from typing import Final

from .errors import ApiError
from .objects import Clock, Obj, dig, is_terminal, is_true, meta, name_of, namespace_of
from .podrules import set_condition
from .resources import NODES, PODS
from .service import Service
from .store import DELETED, Change

__all__ = ["PodCollector"]

PERIOD_SECONDS: Final = 20.0
QUARANTINE_SECONDS: Final = 40.0
#: pods that have ended and may stay: kube-controller-manager's --terminated-pod-gc-threshold
TERMINATED_PODS: Final = 12_500
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
Key = tuple[str, str]


class PodCollector:
    """Deletes pods for which nobody else can.

    Args:
        terminated_pods: how many ended pods may stay; 0: any number.
    """

    def __init__(self, service: Service, *, terminated_pods: int = TERMINATED_PODS) -> None:
        self._service = service
        self._store = service.store
        self._clock: Clock = service.clock
        self._pods = service.need("", "v1", "pods")
        self._most = terminated_pods
        self._began = self._next = service.clock()
        #: whether a look may find something
        self._suspicious = False
        self._ended: set[Key] = set()
        #: nodes that pods name and that do not exist, and until when they may come back
        self._quarantine: dict[str, float] = {}

    def observe(self, change: Change) -> None:
        """Note what makes a look worth while."""
        if change.resource == NODES:
            suspicious = change.type == DELETED or _out_of_service(change.object)
        else:
            suspicious = change.resource == PODS and self._is_suspicious(change)
        if suspicious and not self._suspicious:
            self._suspect()

    def _suspect(self) -> None:
        """Look at the next of the times at which it looks."""
        periods = math.floor((self._clock() - self._began) / PERIOD_SECONDS) + 1
        self._suspicious, self._next = True, self._began + periods * PERIOD_SECONDS

    def _is_suspicious(self, change: Change) -> bool:
        pod, key = change.object, (change.namespace, change.name)
        if change.type == DELETED:
            self._ended.discard(key)
            return False
        if is_terminal(pod):
            self._ended.add(key)
        node = dig(pod, "spec", "nodeName")
        found = self._store.get(NODES, "", node) if node else None
        leaving = bool(meta(pod).get("deletionTimestamp"))
        return (
            (bool(node) and found is None)
            or (leaving and (found is None or _out_of_service(found)))
            or 0 < self._most < len(self._ended)
        )

    def next_wake(self) -> float | None:
        """When it looks next, in seconds since the epoch; None while there is nothing to look for."""
        return self._next if self._suspicious else None

    def run(self) -> bool:
        """Look, if it is time to; returns whether it did."""
        now = self._clock()
        # A clock that was set back does not keep it from looking for longer than a period.
        if not self._suspicious or self._next - PERIOD_SECONDS <= now < self._next:
            return False
        self._suspicious = False
        if self._look(now):
            self._suspect()
        return True

    def _look(self, now: float) -> bool:
        """End and delete what is due; returns whether anything is left for the next time."""
        pods = self._store.items(PODS)
        going = [*self._too_many(), *(pod for pod in pods if self._is_out_of_service(pod))]
        for pod in going:
            self._remove(pod)
        orphans = [
            pod for pod in pods if (node := _node_of(pod)) and self._store.get(NODES, "", node) is None
        ]
        gone = {node for node, until in self._quarantine.items() if until <= now}
        for node in gone:
            del self._quarantine[node]
        for pod in orphans:
            self._quarantine.setdefault(_node_of(pod), now + QUARANTINE_SECONDS)
            if _node_of(pod) in gone:
                self._remove(pod, lost=True)
        unbound = [pod for pod in pods if meta(pod).get("deletionTimestamp") and not _node_of(pod)]
        for pod in unbound:
            self._remove(pod)
        return bool(going or orphans or unbound or self._quarantine)

    def _too_many(self) -> list[Obj]:
        """Of the pods that have ended, as many as there are too many: those that a kubelet evicted, then the oldest."""
        excess = len(self._ended) - self._most
        if self._most <= 0 or excess <= 0:
            return []
        ended = [pod for key in self._ended if (pod := self._store.get(PODS, *key)) is not None]
        ended.sort(key=lambda pod: (not _is_evicted(pod), meta(pod)["creationTimestamp"], name_of(pod)))
        return ended[:excess]

    def _is_out_of_service(self, pod: Obj) -> bool:
        if not meta(pod).get("deletionTimestamp"):
            return False
        node = self._store.get(NODES, "", _node_of(pod))
        return node is not None and _out_of_service(node) and not is_true(node, "Ready")

    def _remove(self, pod: Obj, *, lost: bool = False) -> None:
        """Say that the pod has failed, unless it has ended, and delete it at once; finalizers hold it."""
        now = self._clock()

        def fail(obj: Obj) -> None:
            status = obj.setdefault("status", {})
            status["phase"] = "Failed"
            status["observedGeneration"] = generation = meta(obj).get("generation", 0)
            if lost:
                entry = {
                    "type": "DisruptionTarget",
                    "observedGeneration": generation,
                    "status": "True",
                    "reason": "DeletionByPodGC",
                    "message": "PodGC: node no longer exists",
                }
                set_condition(obj, entry, now)

        try:
            if not is_terminal(pod):
                self._service.change(self._pods, pod, fail, subresource="status")
            if self._store.get(PODS, namespace_of(pod), name_of(pod)) is not None:
                self._service.delete(self._pods, namespace_of(pod), name_of(pod), grace_seconds=0)
        except ApiError:
            self._suspect()  # an admission policy refused it: that is tried again


def _node_of(pod: Obj) -> str:
    return str(dig(pod, "spec", "nodeName") or "")


def _out_of_service(node: Obj) -> bool:
    taints: list[Obj] = dig(node, "spec", "taints") or []
    return any(taint.get("key") == OUT_OF_SERVICE for taint in taints)


def _is_evicted(pod: Obj) -> bool:
    """Whether a kubelet that was short of something ended it."""
    status: Obj = pod.get("status") or {}
    return (status.get("phase"), status.get("reason")) == ("Failed", "Evicted")
