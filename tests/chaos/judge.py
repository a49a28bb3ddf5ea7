"""What must hold in the cluster at every write and after every step, judged from the API server's objects alone.

Loads and limits are plain sums (`watts`); nothing of the operator is asked but, for the Lease, who believes to lead.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rackplane.localcluster.store import ADDED, DELETED, Change
from tests.chaos.books import Body, Books, gated, is_over, released_of, slots_of
from tests.chaos.hall import ACTUATION_SECONDS, GPUS, NODES
from tests.chaos.late import RETRY_SECONDS, LateCommits
from tests.chaos.watts import Load
from tests.support.harness import GROUP, Harness

__all__ = ["Judge"]

#: Of an element that stands no more than its limit: two seconds in which nobody is stopped, then the time that a cap
#: has to be in force, and the look every second of operator, agents and judge.
RELIEVED_SECONDS = 2 + ACTUATION_SECONDS + 5
#: How long after a change of the facility a commit may still be one that was decided before it.
NEWS_SECONDS = 3.0
#: How long after trouble with the API it may have to list anew what it watches.
LISTED_SECONDS = 12.0
#: How long a request may be on its way while there is trouble with the API.
SENT_SECONDS = 30.0
#: How long a pod that its slot has left may be there before it is asked to go: the commit, the look at the Lease.
EVICTED_SECONDS = 15.0
#: How long the pods of a gang may be let go one after the other.
STARTED_SECONDS = 5.0
#: Sums of parts of watts.
TOLERANCE_WATTS = 0.5


class Judge:
    """Watches one cluster; raises AssertionError where something must never be.

    Args:
        stint: who has begun to lead in a term, and since which list of the Gangs; empty: nobody.
        told_of_node: by process and uid, for how many seconds it has known of the node; less than none: it does not.
    """

    def __init__(
        self, h: Harness, stint: Callable[[int], str], told_of_node: Callable[[str, str], float]
    ) -> None:
        self.h = h
        self.books = Books()
        #: when the operator last could not do its work, or had only just begun to
        self.disturbed_at = h.time.now
        #: when it last might not hear of something, or nobody led
        self.blind_at = h.time.now
        #: whose request is being answered: an operator's name, or nothing
        self.writer = ""
        #: what was looked at, for the report
        self.counts: Counter[str] = Counter()
        self._told_of_node = told_of_node
        self._changed_at = h.time.now
        self._seen = -1
        #: what was found first in the middle of a request
        self.problem: AssertionError | None = None
        self._nodes: set[str] = set()
        #: nodes that were deleted and made anew
        self._remade: set[str] = set()
        self._over_since: dict[tuple[str, str], float] = {}
        self._late = LateCommits(h.cluster, stint)
        self._promised: dict[str, tuple[str, str]] = {}
        #: when a gang's power profile was last changed where it is, and the cap that it had before, in watts
        self._lowered: dict[str, tuple[float, int]] = {}
        self._left: dict[str, float] = {}
        self._half: dict[str, float] = {}
        h.cluster.store.subscribe(self.changed)

    @property
    def calm(self) -> float:
        """For how many seconds an operator has been leading and could do its work."""
        return self.h.time.now - self.disturbed_at

    # -- as it happens

    def changed(self, change: Change) -> None:
        """One change of the store, at the moment it is made."""
        with self._remembered():
            self._changed(change)

    def _changed(self, change: Change) -> None:
        if self.books.changed(change):
            self._changed_at = self.h.time.now
        if change.resource == ("", "nodes") and change.type == ADDED:
            name = change.object["metadata"]["name"]
            if name in self._nodes:
                self._remade.add(name)
            self._nodes.add(name)
        if change.resource == (GROUP, "gangs"):
            self._gang_changed(change)
        elif change.resource == ("", "pods"):
            self._pod_changed(change)
        elif change.resource == ("batch", "jobs"):
            self._job_changed(change)

    def sends(self, identity: str) -> None:
        """A process begins to send a write: nobody else may hold the Lease."""
        holder = self._late.holder()
        self.counts["writes"] += 1
        with self._remembered():
            assert holder in ("", identity), f"{identity} writes while {holder} holds the Lease"

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        """What is found in the middle of somebody's request is raised by the next look, whoever hears of it first."""
        try:
            yield
        except AssertionError as problem:
            self.problem = self.problem or problem
            raise

    def _gang_changed(self, change: Change) -> None:
        before = self._promised.pop(change.name, None)
        gang = self.books.gangs.get(change.name)
        if change.type == DELETED or gang is None:
            self._late.forget(change.name)
            self._half.pop(change.name, None)
            self._lowered.pop(change.name, None)
            return
        status = gang["status"]
        decision = status["decision"]
        now = self._promised[change.name] = (decision["id"], status["powerProfile"])
        if before == now:
            return
        if before is None or before[0] != now[0]:
            self.counts["places given" if before is None else "places changed"] += 1
            # The successor must take it back, unless it listed it when it took over.
            late = self._late.committed(change.name, decision["term"], self.h.time.now)
            self.counts["commits of an old leader"] += late
        else:
            self.counts["power profiles changed"] += 1
            self._lowered[change.name] = self.h.time.now, self.books.hall.cap(before[1])
        self._check_admission(change.name, before[1] if before and before[0] == now[0] else None)

    def _check_admission(self, name: str, before: str | None) -> None:
        """A gang that is given a place, or a higher profile, adds to nothing that is too much, after any one loss.

        Args:
            before: the profile it had in this place; None: it is new there.
        """
        known = self.h.time.now - self._changed_at > NEWS_SECONDS
        if not known or self._late.disputed or self.h.time.now - self.blind_at < LISTED_SECONDS:
            return
        self.counts["admissions checked"] += 1
        hall, new, old = self.books.hall, self.books.promised(), self.books.promised({name: before})
        for lost, unit in hall.losses():
            normal = not lost and not unit
            loads = hall.loads(new, lost, unit, orders=normal)
            if not any(load.watts > load.limit + TOLERANCE_WATTS for load in loads):
                continue
            for load, was in zip(loads, hall.loads(old, lost, unit, orders=normal), strict=True):
                assert load.watts <= max(load.limit, was.watts) + TOLERANCE_WATTS, (
                    f"{name} adds to {load.element} when {lost or unit or 'nothing'} is lost: {load.watts:.0f} of "
                    f"{load.limit:.0f} W, {was.watts:.0f} W before"
                )

    def _pod_changed(self, change: Change) -> None:
        """The moment the first pod of a gang is let go every slot has its pod, and each goes where it was decided."""
        before, pod = change.previous, change.object
        if before is None or change.type == DELETED or not gated(before) or gated(pod):
            return
        self.counts["pods let go"] += 1
        name = pod["metadata"]["annotations"]["rackplane.dev/gang"]
        gang = self.books.gangs.get(name)
        assert gang is not None, f"a pod of {name} was let go without a place"
        slot = int(pod["metadata"]["annotations"]["rackplane.dev/slot"])
        node = slots_of(gang)[slot]
        where = pod["spec"]["nodeSelector"]["kubernetes.io/hostname"]
        assert where == node, f"slot {slot} of {name} is on {node}, and its pod was let go to {where}"
        self._late.acts(name, self.writer, "let a pod go")
        if node in self.books.nodes:
            profile, most = self.books.profile_on(node), self._cap_of(gang)
            unseen = profile is None and node in self._remade and self._takes_for_the_old(node)
            self.counts["pods let go to a node that was made anew unseen"] += unseen
            assert unseen or (profile is not None and self.books.hall.cap(profile) <= most), (
                f"a pod of {name} was let go to {node}, which carries the cap of {profile} and not {most} W"
            )
        others = [p for p in self.books.pods_of(gang) if p["metadata"]["uid"] != pod["metadata"]["uid"]]
        if gang["status"]["phase"] != "Admitted" or any(not gated(p) for p in others):
            return
        job = self.h.get("batch", "jobs", gang["spec"]["workload"]["name"])
        left = job["spec"]["completions"] - job.get("status", {}).get("succeeded", 0)
        assert len(others) + 1 >= min(gang["spec"]["slots"], left), (
            f"{name} was half started: a pod was let go when {len(others) + 1} of {gang['spec']['slots']} were there"
        )

    def _takes_for_the_old(self, node: str) -> bool:
        """Whether who writes did not know, when it was decided, that the node is another one.

        The one that was deleted carried the cap; who is not told of that, for a watch is silent, goes by it.
        """
        told = self._told_of_node(self.writer, self.books.nodes[node]["metadata"]["uid"])
        on_its_way = SENT_SECONDS if self.calm < SENT_SECONDS else NEWS_SECONDS
        return told < on_its_way

    def _cap_of(self, gang: Body) -> int:
        """Watts that a node of the gang may draw; where that was lowered just now, a pod may be on its way yet."""
        cap = self.books.hall.cap(gang["status"]["powerProfile"])
        at, before = self._lowered.get(gang["metadata"]["name"], (-math.inf, 0))
        on_its_way = SENT_SECONDS if self.calm < SENT_SECONDS else NEWS_SECONDS
        return max(cap, before) if self.h.time.now - at < on_its_way else cap

    def _job_changed(self, change: Change) -> None:
        before, job = change.previous, change.object
        if before is None or not before["spec"].get("suspend") or job["spec"].get("suspend"):
            return
        name = self.books.gang_of(change.name)
        if name is not None:
            self._late.acts(name, self.writer, "resumed the Job")
        assert name is not None or not self.writer, f"{self.writer} resumed {change.name}, which has no place"

    # -- after each step

    def look(self) -> None:
        """Everything that is asked of the cluster as it is now."""
        if self.problem is not None:
            raise self.problem
        self.counts["looks"] += 1
        revision = self.h.cluster.store.revision
        if revision != self._seen or self._left:
            self._seen = revision
            self._used_once()
            self._promised_once()
        self._started_whole()
        self._late.look(self.h.time.now, self.disturbed_at)
        self._within_limits()

    def _used_once(self) -> None:
        used = {node: sum(gpus.values()) for node, gpus in self.books.running.items()}
        assert all(n <= GPUS for n in used.values()), f"a GPU is used twice: {_most(used)}"

    def _promised_once(self) -> None:
        promised: Counter[str] = Counter()
        for name, gang in self.books.gangs.items():
            slots, over = slots_of(gang), released_of(gang)
            assert len(slots) == gang["spec"]["slots"], f"{name} is split: {slots}"
            if gang["spec"].get("topology", {}).get("required") == "nvlink":
                assert len({NODES[node] for node in slots}) == 1, f"{name} is in several NVLink domains"
            taken: set[int] = set()
            for pod in self.books.pods_of(gang):
                slot = pod["metadata"].get("annotations", {}).get("rackplane.dev/slot")
                if slot is None or is_over(pod) or gated(pod):
                    continue
                where = pod["spec"]["nodeSelector"]["kubernetes.io/hostname"]
                if where != slots[int(slot)]:
                    self._left_behind(pod, f"slot {slot} of {name} is on {where}, not {slots[int(slot)]}")
                    continue
                assert int(slot) not in taken, f"two pods hold slot {slot} of {name}"
                assert int(slot) not in over, f"slot {slot} of {name} was given back, and its pod is there"
                taken.add(int(slot))
            if self._late.is_void(name) or (name in self._late and self.calm < NEWS_SECONDS):
                continue
            for slot, node in enumerate(slots):
                promised[node] += 0 if slot in over else gang["spec"]["gpusPerSlot"]
        assert all(n <= GPUS for n in promised.values()), f"a GPU is booked twice: {_most(promised)}"

    def _left_behind(self, pod: Body, what: str) -> None:
        """A pod that is not where its slot is: its slot has gone elsewhere, and it is soon on its way out."""
        since = self._left.setdefault(pod["metadata"]["uid"], self.h.time.now)
        if "deletionTimestamp" not in pod["metadata"] and self.calm > EVICTED_SECONDS:
            assert self.h.time.now - since <= EVICTED_SECONDS, what

    def _started_whole(self) -> None:
        """A gang of which one pod was let go has soon no pod that waits, but for those that have no node to go to."""
        now, half = self.h.time.now, {}
        for name, gang in self.books.gangs.items():
            pods = self.books.pods_of(gang)
            waiting = [p for p in pods if gated(p) and "deletionTimestamp" not in p["metadata"]]
            if gang["status"]["phase"] == "Stopping" or not waiting or len(waiting) == len(pods):
                continue
            lost = [n for n in slots_of(gang) if n not in self.books.nodes or n in self.h.down]
            if len(waiting) > len(lost):
                half[name] = self._half.get(name, now)
        self._half = half
        for name, since in half.items():
            if since > self.disturbed_at + RETRY_SECONDS:
                self.counts["gangs seen on their way"] += 1
                assert now - since <= STARTED_SECONDS, f"{name} is half started since {now - since:.0f} s"

    def _within_limits(self) -> None:
        """No element is above its limit for longer than is said, as far as an operator was there to see to it."""
        now, hall, drawn = self.h.time.now, self.books.hall, self.books.drawn(self.h.down)
        over = [load for load in hall.loads(drawn) if load.watts > load.limit + TOLERANCE_WATTS]
        if over:
            spared, idle = hall.best_effort(), {load.element: load for load in hall.loads(self.books.idle())}
            over = [x for x in over if x.element not in spared and idle[x.element].watts <= x.limit]
        self.counts["looks that found an element over its limit"] += bool(over)
        self.counts["most kW"] = max(self.counts["most kW"], round(sum(drawn.values()) / 1000))
        since = {key: self._over_since.get(key, now) for load in over for key in _clocks(load)}
        self._over_since = since
        for load in over:
            for (element, what), most in _clocks(load).items():
                passed = now - max(since[element, what], self.disturbed_at)
                label = f"longest of {most:.0f} s over a limit"
                self.counts[label] = max(self.counts[label], round(passed))
                assert passed <= most, (
                    f"{element} carries {load.watts:.0f} of {load.limit:.0f} W {what}since "
                    f"{now - since[element, what]:.0f} s\n{self.h.summary()}"
                )


def _clocks(load: Load) -> dict[tuple[str, str], float]:
    """For how many seconds an element may be above its limit, and above what it stands for a while."""
    clocks = {(load.element, ""): max(load.seconds, RELIEVED_SECONDS)}
    if load.watts > load.stands + TOLERANCE_WATTS:
        clocks[load.element, "beyond what it stands for a while "] = RELIEVED_SECONDS
    return clocks


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return Counter(counts).most_common(3)
