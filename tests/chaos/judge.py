"""What must hold in the cluster after every step, judged from the API server's objects alone.

Loads and limits are the oracle's (`tests.property.engine.oracle`): a second evaluator in plain Python that knows
nothing of the engine. Of the operator only the reading of the custom resources is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rackplane.api.labels import POWER_PROFILE
from rackplane.core.gangs.slots import parse_slots
from rackplane.core.site.facility import Catalog
from rackplane.engine.model import FacilitySpec
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.localcluster.store import DELETED, Change
from tests.chaos.hall import ACTUATION_SECONDS, EMERGENCY_SECONDS, GPUS, NODES
from tests.property.engine.oracle import Oracle
from tests.property.engine.oracle_draws import Draws, Work, draws
from tests.property.engine.oracle_world import Loss, Row
from tests.support.harness import GPU, GROUP, Harness

__all__ = ["Judge"]

OVER = ("Succeeded", "Failed")
PLACED = ("Admitted", "Running", "Stopping")
Body = dict[str, Any]

#: Two seconds in which nobody is stopped, what the element stands, two kinds of measures one after the other, and the
#: look every second of operator, agents and judge.
STATED_SECONDS = 2 + EMERGENCY_SECONDS + 2 * ACTUATION_SECONDS + 5
#: How long after a change of the facility a commit may still be one that was decided before it.
NEWS_SECONDS = 3.0
#: How long a pod that its slot has left may be there before it is asked to go: the commit, the look at the Lease.
EVICTED_SECONDS = 15.0


class Judge:
    """Watches one cluster; raises AssertionError where something must never be."""

    def __init__(self, h: Harness) -> None:
        self.h = h
        #: when the operator last could not do its work, or had only just begun to
        self.disturbed_at = h.time.now
        #: what was looked at, for the report
        self.counts: Counter[str] = Counter()
        self._catalog = Catalog()
        self._spec: FacilitySpec | None = None
        self._oracle: Oracle | None = None
        self._changed_at = h.time.now
        self._over_since: dict[Row, float] = {}
        self._late: dict[str, str] = {}
        self._promised: dict[str, tuple[str, str]] = {}
        self._left: dict[str, float] = {}
        h.cluster.store.subscribe(self.changed)

    @property
    def calm(self) -> float:
        """For how many seconds an operator has been leading and could do its work."""
        return self.h.time.now - self.disturbed_at

    # -- as it happens

    def changed(self, change: Change) -> None:
        """One change of the store, at the moment it is made."""
        resource = change.resource
        if resource == (GROUP, "gangs"):
            self._gang_changed(change)
        elif resource == ("", "pods"):
            self._pod_changed(change)
        elif resource == ("", "nodes"):
            if change.previous is None or change.type == DELETED:
                self._changed_at = self.h.time.now
        elif resource[0] == GROUP:
            kind = change.object["kind"]
            if change.type == DELETED:
                news = self._catalog.drop(kind, change.name)
            else:
                news = self._catalog.put(kind, change.name, change.object)
            if news:
                self._changed_at, self._spec = self.h.time.now, None

    def _gang_changed(self, change: Change) -> None:
        status = change.object.get("status") or {}
        placed = change.type != DELETED and status.get("phase") in PLACED
        before = self._promised.pop(change.name, None)
        if not placed:
            self._late.pop(change.name, None)
            return
        decision = status["decision"]
        now = self._promised[change.name] = (decision["id"], status["powerProfile"])
        if before == now:
            return
        if before is None or before[0] != now[0]:
            self.counts["commits"] += 1
            if decision["term"] < self.term():
                # An old leader's: the successor must take it back, unless it listed it when it took over.
                self._late[change.name] = decision["id"]
                self.counts["commits of an old leader"] += 1
            else:
                self._late.pop(change.name, None)
        self._check_admission(change.name, before[1] if before and before[0] == now[0] else None)

    def _check_admission(self, name: str, before: str | None) -> None:
        """A gang that is given a place, or a higher profile, adds to nothing that is too much, after any one loss.

        Args:
            before: the profile it had in this place; None: it is new there.
        """
        known = self.h.time.now - self._changed_at > NEWS_SECONDS
        if not known or self._late or self.calm < NEWS_SECONDS:
            return
        self.counts["admissions checked"] += 1
        oracle = self.oracle()
        new, old = oracle.loads(self.promises()), oracle.loads(self.promises({name: before}))
        for loss, row in oracle.violations(new, tolerance=TOLERANCE_WATTS):
            if row.starts_at is None:
                assert new[loss][row] <= old[loss][row] + TOLERANCE_WATTS, (
                    f"{name} adds to {row} when {loss} is lost: {new[loss][row]:.0f} of "
                    f"{oracle.worlds[loss].limit(row):.0f} W, {old[loss][row]:.0f} W before"
                )

    def _pod_changed(self, change: Change) -> None:
        """The moment the first pod of a gang is let go every slot has its pod, and each goes where it was decided."""
        before, pod = change.previous, change.object
        if before is None or change.type == DELETED:
            return
        if not before["spec"].get("schedulingGates") or pod["spec"].get("schedulingGates"):
            return
        self.counts["pods let go"] += 1
        name = pod["metadata"]["annotations"]["rackplane.dev/gang"]
        gang = self.h.cluster.store.get((GROUP, "gangs"), "default", name)
        assert gang is not None, f"a pod of {name} was let go, and the Gang does not exist"
        assert gang["status"]["phase"] in PLACED, f"a pod of {name} was let go without a place"
        slot = int(pod["metadata"]["annotations"]["rackplane.dev/slot"])
        assert pod["spec"]["nodeSelector"]["kubernetes.io/hostname"] == slots_of(gang)[slot]
        others = [p for p in self.pods_of(gang) if p["metadata"]["uid"] != pod["metadata"]["uid"]]
        if gang["status"]["phase"] != "Admitted" or any(not p["spec"].get("schedulingGates") for p in others):
            return
        job = self.h.get("batch", "jobs", gang["spec"]["workload"]["name"])
        left = job["spec"]["completions"] - job.get("status", {}).get("succeeded", 0)
        assert len(others) + 1 >= min(gang["spec"]["slots"], left), f"{name} was half started"

    # -- after each step

    def look(self) -> None:
        """Everything that is asked of the cluster as it is now."""
        self.counts["looks"] += 1
        self._used_once()
        self._promised_once()
        self._within_limits()

    def _used_once(self) -> None:
        used: Counter[str] = Counter()
        for pod in self.h.pods():
            if runs(pod):
                used[pod["spec"]["nodeName"]] += gpus_of(pod)
        assert all(n <= GPUS for n in used.values()), f"a GPU is used twice: {used.most_common(3)}"

    def _promised_once(self) -> None:
        promised: Counter[str] = Counter()
        pods: dict[str, list[Body]] = {}
        for pod in self.h.pods():
            for owner in pod["metadata"].get("ownerReferences", ()):
                pods.setdefault(owner["name"], []).append(pod)
        for gang in self.placed():
            name, slots = gang["metadata"]["name"], slots_of(gang)
            assert len(slots) == gang["spec"]["slots"], f"{name} is split: {slots}"
            if gang["spec"].get("topology", {}).get("required") == "nvlink":
                assert len({NODES[node] for node in slots}) == 1, f"{name} is in several NVLink domains"
            taken: set[int] = set()
            for pod in pods.get(gang["spec"]["workload"]["name"], ()):
                slot = pod["metadata"].get("annotations", {}).get("rackplane.dev/slot")
                if slot is None or pod["status"].get("phase") in OVER or gated(pod):
                    continue
                where = pod["spec"]["nodeSelector"]["kubernetes.io/hostname"]
                if where != slots[int(slot)]:
                    self._left_behind(pod, f"slot {slot} of {name} is on {where}, not {slots[int(slot)]}")
                    continue
                assert int(slot) not in taken, f"two pods hold slot {slot} of {name}"
                taken.add(int(slot))
            if name in self._late and self.calm < NEWS_SECONDS:
                continue
            over = parse_slots(gang["status"].get("releasedSlots", ""))
            for slot, node in enumerate(slots):
                promised[node] += 0 if slot in over else gang["spec"]["gpusPerSlot"]
        assert all(n <= GPUS for n in promised.values()), f"a GPU is booked twice: {promised.most_common(3)}"

    def _left_behind(self, pod: Body, what: str) -> None:
        """A pod that is not where its slot is: its slot has gone elsewhere, and it is soon on its way out."""
        since = self._left.setdefault(pod["metadata"]["uid"], self.h.time.now)
        if "deletionTimestamp" not in pod["metadata"] and self.calm > EVICTED_SECONDS:
            assert self.h.time.now - since <= EVICTED_SECONDS, what

    def _within_limits(self) -> None:
        """No element is above its limit for longer than is said, as far as an operator was there to see to it."""
        now, oracle = self.h.time.now, self.oracle()
        world, spared = oracle.worlds[Loss()], self._best_effort()
        real, least = world.loads(self.drawn()), world.loads(self.idle())
        over = {
            row
            for row, watts in real.items()
            if watts > world.limit(row) + TOLERANCE_WATTS
            and row.starts_at is None
            and row.element not in spared
            and least[row] <= world.limit(row)
        }
        self.counts["looks that found an element over its limit"] += bool(over)
        self._over_since = {row: self._over_since.get(row, now) for row in over}
        for row, since in self._over_since.items():
            seconds = now - max(since, self.disturbed_at)
            self.counts["longest over a limit, s"] = max(
                self.counts["longest over a limit, s"], round(seconds)
            )
            assert seconds <= STATED_SECONDS, (
                f"{row} carries {real[row]:.0f} of {world.limit(row):.0f} W since {now - since:.0f} s\n"
                + self.h.summary()
            )

    # -- what is there

    def term(self) -> int:
        lease = self.h.cluster.store.get(("coordination.k8s.io", "leases"), "rackplane-system", "rackplane")
        return 0 if lease is None else int(lease["spec"].get("leaseTransitions") or 0)

    def placed(self) -> list[Body]:
        gangs = self.h.cluster.store.items((GROUP, "gangs"))
        return [gang for gang in gangs if gang.get("status", {}).get("phase") in PLACED]

    def pods_of(self, gang: Body) -> list[Body]:
        return self.h.pods_of(gang["spec"]["workload"]["name"])

    def oracle(self) -> Oracle:
        spec = self._catalog.spec(self.h.time.now)
        if self._oracle is None or spec != self._spec:
            self._spec, self._oracle = spec, Oracle(spec)
        return self._oracle

    def drawn(self) -> Draws:
        """What nodes really draw: idle, and what runs on them at the cap that they carry. A lost node's pods do not."""
        works: dict[str, list[Work]] = {}
        profiles = {
            node["metadata"]["name"]: node["metadata"].get("annotations", {}).get(POWER_PROFILE)
            for node in self.nodes()
        }
        for pod in self.h.pods():
            if runs(pod) and pod["spec"]["nodeName"] not in self.h.down:
                name = pod["spec"]["nodeName"]
                works.setdefault(name, []).append(Work(gpus_of(pod), profiles.get(name)))
        return self._draws(works)

    def promises(self, instead: Mapping[str, str | None] | None = None) -> Draws:
        """What nodes draw once everything that is promised runs, lost nodes or not.

        Args:
            instead: other power profiles than their Gangs have, by gang; None leaves the gang out.
        """
        others = instead or {}
        works: dict[str, list[Work]] = {}
        for gang in self.placed():
            over = parse_slots(gang["status"].get("releasedSlots", ""))
            profile = others.get(gang["metadata"]["name"], gang["status"]["powerProfile"])
            for slot, node in enumerate(slots_of(gang)):
                if slot not in over and profile is not None:
                    work = Work(gang["spec"]["gpusPerSlot"], profile)
                    works.setdefault(node, []).append(work)
        return self._draws(works)

    def idle(self) -> Draws:
        return self._draws({})

    def nodes(self) -> list[Body]:
        return list(self.h.cluster.store.items(("", "nodes")))

    def _draws(self, works: dict[str, list[Work]]) -> Draws:
        return draws(
            self.oracle().spec,
            [
                (n["metadata"]["labels"]["rackplane.dev/rack"], works.get(n["metadata"]["name"], ()))
                for n in self.nodes()
            ],
        )

    def _best_effort(self) -> set[str]:
        budgets = self.h.cluster.store.items((GROUP, "powerbudgets"))
        return {b["metadata"]["name"] for b in budgets if b["spec"].get("bestEffort")}


def slots_of(gang: Body) -> list[str]:
    return [name for group in gang["status"]["assignment"] for name in group["nodes"]]


def runs(pod: Body) -> bool:
    return bool(pod["spec"].get("nodeName")) and pod["status"].get("phase") not in OVER


def gated(pod: Body) -> bool:
    return bool(pod["spec"].get("schedulingGates"))


def gpus_of(pod: Body) -> int:
    return int(pod["spec"]["containers"][0]["resources"].get("limits", {}).get(GPU, 0))
