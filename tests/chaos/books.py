"""What is in the cluster, by what is asked of it, kept up to date change by change: looking costs little."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from typing import Any

from rackplane.api.labels import POWER_PROFILE
from rackplane.core.gangs.slots import parse_slots
from rackplane.localcluster.store import DELETED, Change
from tests.chaos.hall import NODES
from tests.chaos.watts import Hall
from tests.support.harness import GPU, GROUP

__all__ = ["Body", "Books", "gated", "is_over", "released_of", "slots_of"]

Body = dict[str, Any]
PLACED = ("Admitted", "Running", "Stopping")


class Books:
    """Feed it every change of the store."""

    def __init__(self) -> None:
        self.hall = Hall()
        self.nodes: dict[str, Body] = {}
        #: gangs that have a place
        self.gangs: dict[str, Body] = {}
        #: by Job
        self.pods: dict[str, dict[str, Body]] = defaultdict(dict)
        #: those that an agent has still to do with: they run, or are to be removed
        self.on_nodes: dict[str, Body] = {}
        #: GPUs by node and pod
        self.running: dict[str, dict[str, int]] = defaultdict(dict)

    def changed(self, change: Change) -> bool:
        """Take a change in; returns whether it is one of the hall."""
        group, plural = change.resource
        gone = change.type == DELETED
        if plural == "pods":
            self._pod_changed(change.object, gone)
        elif plural == "nodes":
            was = len(self.nodes)
            if gone:
                self.nodes.pop(change.name, None)
            else:
                self.nodes[change.name] = change.object
            return len(self.nodes) != was
        elif plural == "gangs":
            if not gone and (change.object.get("status") or {}).get("phase") in PLACED:
                self.gangs[change.name] = change.object
            else:
                self.gangs.pop(change.name, None)
        elif group == GROUP:
            return self.hall.put(change.object["kind"], change.name, None if gone else change.object["spec"])
        return False

    def _pod_changed(self, pod: Body, gone: bool) -> None:
        uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName")
        for owner in pod["metadata"].get("ownerReferences", ()):
            if gone:
                self.pods[owner["name"]].pop(uid, None)
            else:
                self.pods[owner["name"]][uid] = pod
        if not node:
            return
        self.running[node].pop(uid, None)
        self.on_nodes.pop(uid, None)
        if gone:
            return
        if not is_over(pod):
            limits = pod["spec"]["containers"][0]["resources"].get("limits", {})
            self.running[node][uid] = int(limits.get(GPU, 0))
        if not is_over(pod) or "deletionTimestamp" in pod["metadata"]:
            self.on_nodes[uid] = pod

    def pods_of(self, gang: Body) -> list[Body]:
        return list(self.pods[gang["spec"]["workload"]["name"]].values())

    def gang_of(self, job: str) -> str | None:
        """The gang that the Job is, if it has a place."""
        return next((n for n, gang in self.gangs.items() if gang["spec"]["workload"]["name"] == job), None)

    def profile_on(self, node: str) -> str | None:
        """The power profile that the node carries; None: none."""
        found: str | None = self.nodes[node]["metadata"].get("annotations", {}).get(POWER_PROFILE)
        return found

    def drawn(self, down: Set[str]) -> dict[str, float]:
        """Watts that racks really draw: idle nodes, and what runs on them at the cap that they carry.

        Args:
            down: nodes that are lost, and whose pods draw nothing.
        """
        work = {
            node: self.hall.draw(sum(gpus.values()), self.profile_on(node))
            for node, gpus in self.running.items()
            if gpus and node in self.nodes and node not in down
        }
        return self._racks(work)

    def promised(self, instead: Mapping[str, str | None] | None = None) -> dict[str, float]:
        """Watts that racks draw once everything that is promised runs, lost nodes or not.

        Args:
            instead: other power profiles than their Gangs have, by gang; None leaves the gang out.
        """
        others = instead or {}
        work: dict[str, int] = defaultdict(int)
        for name, gang in self.gangs.items():
            over, profile = released_of(gang), others.get(name, gang["status"]["powerProfile"])
            if profile is None:
                continue
            each = self.hall.draw(gang["spec"]["gpusPerSlot"], profile)
            for slot, node in enumerate(slots_of(gang)):
                if slot not in over:
                    work[node] += each
        return self._racks(work)

    def idle(self) -> dict[str, float]:
        return self._racks({})

    def _racks(self, work: Mapping[str, int]) -> dict[str, float]:
        return self.hall.racks({name: NODES[name] for name in self.nodes}, work)


def slots_of(gang: Body) -> list[str]:
    return [name for group in gang["status"]["assignment"] for name in group["nodes"]]


def released_of(gang: Body) -> frozenset[int]:
    return parse_slots(gang["status"].get("releasedSlots", ""))


def is_over(pod: Body) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def gated(pod: Body) -> bool:
    return bool(pod["spec"].get("schedulingGates"))
