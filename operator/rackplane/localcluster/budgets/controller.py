"""The disruption controller: counts the pods of every budget and says how many may go.

As the real one does, it takes the expected number of pods from whoever controls them when the budget is a share or a
maximum of unavailable ones. Jobs have no scale, so such a budget over pods of a Job fails, and says so.
"""

from __future__ import annotations

from rackplane.localcluster.errors import ApiError
from rackplane.localcluster.events import Recorder
from rackplane.localcluster.objects import (
    Clock,
    Obj,
    condition,
    controller_of,
    dig,
    is_true,
    meta,
    name_of,
    parse_timestamp,
    with_condition,
)
from rackplane.localcluster.podrules import set_condition
from rackplane.localcluster.resources import BUDGETS, PODS
from rackplane.localcluster.selectors import match_selector
from rackplane.localcluster.service import Service
from rackplane.localcluster.store import DELETED, Change

from .rules import CONDITION, with_allowed

#: Seconds within which a pod whose eviction was allowed is expected to be deleted.
DELETION_SECONDS = 120.0
_UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the "
    "status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these "
    'pods please set ".spec.minAvailable" field of the PDB to an integer value.'
)
Key = tuple[str, str]


class SyncFailed(Exception):
    """The expected number of pods cannot be found out."""


class DisruptionController:
    """Keeps the status of PodDisruptionBudgets."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.store
        self._clock: Clock = service.clock
        self._budgets = service.need("policy", "v1", "poddisruptionbudgets")
        self._pods = service.need("", "v1", "pods")
        self._events = Recorder(service.store, "controllermanager", service.clock)
        self._known: dict[str, set[str]] = {}
        self._due: dict[Key, None] = {}
        self._later: dict[Key, float] = {}
        self._stale: dict[Key, float] = {}

    def observe(self, change: Change) -> None:
        """Note which budgets have to be counted again."""
        if change.resource == BUDGETS:
            self._observe_budget(change)
        elif change.resource == PODS:
            names = self._known.get(change.namespace)
            if names:
                self._due.update(((change.namespace, name), None) for name in sorted(names))
            self._note_target(change)

    def _observe_budget(self, change: Change) -> None:
        names = self._known.setdefault(change.namespace, set())
        key = (change.namespace, change.name)
        if change.type == DELETED:
            names.discard(change.name)
            self._due.pop(key, None)
            self._later.pop(key, None)
        else:
            names.add(change.name)
            self._due[key] = None

    def _note_target(self, change: Change) -> None:
        """A pod that was to be disrupted and is not is told so after a while."""
        pod, key = change.object, (change.namespace, change.name)
        target = condition(pod, "DisruptionTarget") if dig(pod, "status", "conditions") else None
        if (
            target is None
            or change.type == DELETED
            or meta(pod).get("deletionTimestamp")
            or target.get("status") != "True"
            or target.get("reason") == "TerminationByKubelet"
            or dig(pod, "status", "phase") in ("Succeeded", "Failed")
        ):
            self._stale.pop(key, None)
        else:
            self._stale[key] = parse_timestamp(target["lastTransitionTime"]) + DELETION_SECONDS

    def next_wake(self) -> float | None:
        """When there is something to do that no change announces, in seconds since the epoch."""
        return min((*self._later.values(), *self._stale.values()), default=None)

    def run(self) -> bool:
        """Count what is due; returns whether anything was."""
        now = self._clock()
        for key in [key for key, when in self._later.items() if when <= now]:
            del self._later[key]
            self._due[key] = None
        stale = [key for key, when in self._stale.items() if when <= now]
        for key in stale:
            del self._stale[key]
            self._forget_target(key)
        due, self._due = list(self._due), {}
        for key in due:
            budget = self._store.get(BUDGETS, *key)
            if budget is not None:
                self._sync(key, budget)
        return bool(due or stale)

    def _forget_target(self, key: Key) -> None:
        pod, now = self._store.get(PODS, *key), self._clock()
        if pod is not None:
            entry = {"type": "DisruptionTarget", "status": "False"}
            self._service.change(
                self._pods, pod, lambda obj: set_condition(obj, entry, now), subresource="status"
            )

    def _sync(self, key: Key, budget: Obj) -> None:
        selector = dig(budget, "spec", "selector")
        pods = [
            pod
            for pod in self._store.items(PODS, key[0])
            if match_selector(selector, meta(pod).get("labels") or {})
        ]
        if not pods:
            self._events.record(budget, "NoPods", "No matching pods found")
        try:
            expected, desired, unmanaged = self._expected(budget, pods)
        except SyncFailed as problem:
            text = f"Failed to calculate the number of expected pods: {problem}"
            self._events.record(budget, "CalculateExpectedPodCountFailed", text, warning=True)
            self._fail(budget, str(problem))
            return
        if unmanaged:
            shown = _UNMANAGED.format(selector=_go_selector(selector))
            self._events.record(budget, "UnmanagedPods", shown, warning=True)
        now = self._clock()
        disrupted = self._disrupted(key, budget, pods, now)
        healthy = sum(
            is_true(pod, "Ready") and not meta(pod).get("deletionTimestamp") and name_of(pod) not in disrupted
            for pod in pods
        )
        allowed = max(0, healthy - desired) if expected > 0 else 0
        status: Obj = {
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "observedGeneration": meta(budget)["generation"],
        }
        if disrupted:
            status["disruptedPods"] = disrupted
        before = budget.get("status") or {}
        status["conditions"] = before.get("conditions") or []
        if {**before, "conditions": status["conditions"]} == status and _up_to_date(before, allowed):
            return
        self._write(budget, with_allowed(status, now))

    def _expected(self, budget: Obj, pods: list[Obj]) -> tuple[int, int, list[str]]:
        """How many pods there should be, how many of them must be healthy, and which are controlled by nobody."""
        spec = budget.get("spec") or {}
        most, least = spec.get("maxUnavailable"), spec.get("minAvailable")
        if most is not None:
            expected, unmanaged = _scale(pods)
            return expected, max(0, expected - _share(most, expected)), unmanaged
        if isinstance(least, str):
            expected, unmanaged = _scale(pods)
            return expected, _share(least, expected), unmanaged
        return (len(pods), int(least), []) if least is not None else (0, 0, [])

    def _disrupted(self, key: Key, budget: Obj, pods: list[Obj], now: float) -> Obj:
        """The pods whose eviction was allowed and that are not deleted yet, for as long as that may take."""
        noted = dig(budget, "status", "disruptedPods") or {}
        result: Obj = {}
        self._later.pop(key, None)
        for pod in pods:
            when = noted.get(name_of(pod))
            if when is None or meta(pod).get("deletionTimestamp"):
                continue
            end = parse_timestamp(when) + DELETION_SECONDS
            if end < now:
                text = f"Pod was expected by PDB {key[0]}/{key[0]} to be deleted but it wasn't"
                self._events.record(pod, "NotDeleted", text, warning=True)
                continue
            result[name_of(pod)] = when
            self._later[key] = min(end + 1.0, self._later.get(key, end + 1.0))
        return result

    def _fail(self, budget: Obj, why: str) -> None:
        """What cannot be counted allows nothing."""
        before = budget.get("status") or {}
        entry: Obj = {
            "type": CONDITION,
            "status": "False",
            "reason": "SyncFailed",
            "message": why,
        }
        if before.get("observedGeneration"):
            entry["observedGeneration"] = before["observedGeneration"]
        conditions = with_condition(before.get("conditions") or [], entry, self._clock())
        self._write(budget, {**before, "disruptionsAllowed": 0, "conditions": conditions})

    def _write(self, budget: Obj, status: Obj) -> None:
        def put(obj: Obj) -> None:
            obj["status"] = status

        try:
            self._service.change(self._budgets, budget, put, subresource="status")
        except ApiError:
            self._due[meta(budget)["namespace"], name_of(budget)] = None


def _up_to_date(status: Obj, allowed: int) -> bool:
    wanted = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    entry = next((item for item in status.get("conditions") or () if item.get("type") == CONDITION), None)
    return entry is not None and (entry.get("status"), entry.get("reason")) == wanted


def _scale(pods: list[Obj]) -> tuple[int, list[str]]:
    """The sum of what the controllers of pods ask for; nothing served here that controls pods has a scale."""
    unmanaged = []
    for pod in pods:
        owner = controller_of(pod)
        if owner is None:
            unmanaged.append(name_of(pod))
            continue
        group = str(owner.get("apiVersion")).rpartition("/")[0]
        if group == "batch" and owner.get("kind") == "Job":
            raise SyncFailed("jobs.batch does not implement the scale subresource")
        raise SyncFailed(f'found no controllers for pod "{name_of(pod)}"')
    return 0, unmanaged


def _share(value: int | str, total: int) -> int:
    """A number, or a percentage of a total, rounded up."""
    return int(value) if isinstance(value, int) else -(-int(value[:-1]) * total // 100)


def _go_selector(selector: Obj | None) -> str:
    """A label selector as Go prints it in a message."""
    parts = [
        f"{field}:{_go_value(selector[key])}"
        for field, key in (("MatchLabels", "matchLabels"), ("MatchExpressions", "matchExpressions"))
        if selector is not None
        if key in selector
    ]
    return f"&LabelSelector{{{','.join(parts)},}}"


def _go_value(value: object) -> str:
    if isinstance(value, dict):
        return "map[string]string{" + "".join(f"{key}: {value[key]}," for key in sorted(value)) + "}"
    return "[]LabelSelectorRequirement{}"
