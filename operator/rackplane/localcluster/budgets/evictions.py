"""Evictions: deletions that a disruption budget may refuse."""

from __future__ import annotations

from typing import Any

from rackplane.localcluster import errors
from rackplane.localcluster.objects import Obj, clone, dig, is_true, meta, name_of, namespace_of, timestamp
from rackplane.localcluster.podrules import set_condition
from rackplane.localcluster.resources import BUDGETS
from rackplane.localcluster.selectors import match_selector
from rackplane.localcluster.service import Service

from .rules import CONDITION, with_allowed

_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
#: How many evicted pods a budget may wait for.
_MOST_WAITING = 2000
_RETRY_SECONDS = 10


def check_budgets(service: Service, pod: Obj, *, dry_run: bool) -> None:
    """Ask the budgets of a pod, and note the eviction in the one that allows it.

    Raises:
        ApiError: 429, its budget does not allow it now; 500, it has several; 403, its budget waits for too many.
    """
    if _needs_no_budget(pod):
        return
    budgets = [
        budget
        for budget in service.store.items(BUDGETS, namespace_of(pod))
        if match_selector(dig(budget, "spec", "selector"), meta(pod).get("labels") or {})
    ]
    if len(budgets) > 1:
        raise errors.ApiError(500, "", _SEVERAL)
    if not budgets:
        return
    budget = budgets[0]
    status = budget.get("status") or {}
    if not is_true(pod, "Ready"):
        if dig(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow":
            return
        if int(status.get("currentHealthy") or 0) >= int(status.get("desiredHealthy") or 0) > 0:
            return
    _take_one(service, pod, budget, dry_run=dry_run)


def _needs_no_budget(pod: Obj) -> bool:
    phase = dig(pod, "status", "phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(meta(pod).get("deletionTimestamp"))


def _take_one(service: Service, pod: Obj, budget: Obj, *, dry_run: bool) -> None:
    status, name = budget.get("status") or {}, name_of(budget)
    if int(status.get("observedGeneration") or 0) < int(meta(budget).get("generation") or 0):
        text = f"The disruption budget {name} is still being processed by the server."
        raise _too_many(text, _RETRY_SECONDS)
    allowed = int(status.get("disruptionsAllowed") or 0)
    if len(status.get("disruptedPods") or ()) > _MOST_WAITING:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.forbidden("policy", "poddisruptionbudget", name, why)
    if allowed == 0:
        raise _too_many(_why_not(status, name), 0)
    if dry_run:
        return
    now = service.clock()
    taken: Obj = {
        **status,
        "disruptionsAllowed": allowed - 1,
        "disruptedPods": {**(status.get("disruptedPods") or {}), name_of(pod): timestamp(now)},
    }
    if allowed == 1:
        taken = with_allowed(taken, now)

    def put(obj: Obj) -> None:
        obj["status"] = taken

    service.change(service.need("policy", "v1", "poddisruptionbudgets"), budget, put, subresource="status")


def _why_not(status: Obj, name: str) -> str:
    entry = next((item for item in status.get("conditions") or () if item.get("type") == CONDITION), None)
    desired, healthy = int(status.get("desiredHealthy") or 0), int(status.get("currentHealthy") or 0)
    told = entry.get("message") if entry is not None and entry.get("status") == "False" else ""
    if entry is not None and told and entry.get("reason") == "SyncFailed":
        return f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {told}"
    if healthy <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    if entry is not None and told:
        return f"The disruption budget {name} does not allow evicting pods currently ({entry.get('reason')}): {told}"
    return f"The disruption budget {name} does not allow evicting pods currently"


def _too_many(text: str, seconds: int) -> errors.ApiError:
    details: dict[str, Any] = {"causes": [{"reason": "DisruptionBudget", "message": text}]}
    if seconds:
        details["retryAfterSeconds"] = seconds
    return errors.ApiError(429, "TooManyRequests", _REFUSED, details)


def mark(service: Service, pod: Obj) -> Obj:
    """Say in the pod's status that it is evicted; returns it as it is then."""
    marked = clone(pod)
    entry = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    set_condition(marked, entry, service.clock())
    return service.store.update(("", "pods"), marked)
