"""Who makes way for a pod of higher priority: kube-scheduler's default preemption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rackplane.localcluster.objects import Obj, condition, dig, meta, name_of, namespace_of
from rackplane.localcluster.selectors import match_selector

from .filters import Fit
from .nodes import Key, NodeInfo

REASON = "PreemptionByScheduler"
_NO_VICTIMS = "No preemption victims found for incoming pod"
_NO_HELP = "Preemption is not helpful for scheduling"
#: A pod that fits a node if some others were not there: the same pod with what it knows of all nodes counted anew.
Refit = Callable[[NodeInfo], Fit]


@dataclass(frozen=True, slots=True)
class Victims:
    """The pods of a node that have to go, the most important first; `violations` break a disruption budget."""

    node: str
    pods: list[Obj]
    violations: int


@dataclass(slots=True)
class Search:
    """What a search for victims found."""

    best: Victims | None = None
    reasons: Counter[str] = field(default_factory=Counter)


def ineligible(pod: Obj, nodes: dict[str, NodeInfo]) -> str:
    """Why a pod may not preempt others; empty when it may."""
    if dig(pod, "spec", "preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    info = nodes.get(str(dig(pod, "status", "nominatedNodeName") or ""))
    if info is not None and any(
        _priority(other) < _priority(pod) and _makes_way(other) for other in info.pods.values()
    ):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def _makes_way(pod: Obj) -> bool:
    target = condition(pod, "DisruptionTarget") if meta(pod).get("deletionTimestamp") else None
    return target is not None and target.get("status") == "True" and target.get("reason") == REASON


def search(pod: Obj, helpful: Iterable[NodeInfo], others: int, refit: Refit, budgets: list[Obj]) -> Search:
    """Look for victims on the nodes where making room could help; `others` are the nodes where it cannot."""
    found = Search()
    if others:
        found.reasons[_NO_HELP] = others
    candidates = []
    for info in helpful:
        victims = _victims(pod, info, refit, budgets)
        if isinstance(victims, Victims):
            candidates.append(victims)
        else:
            found.reasons.update(victims)
    found.best = min(candidates, key=_cost, default=None)
    return found


def _victims(pod: Obj, info: NodeInfo, refit: Refit, budgets: list[Obj]) -> Victims | list[str]:
    lower = {key: other for key, other in info.pods.items() if _priority(other) < _priority(pod)}
    if not lower:
        return [_NO_VICTIMS]
    gone = set(lower)
    refused = _refusal(info, gone, refit)
    if refused is not None:
        return refused
    order = sorted(
        lower, key=lambda key: (-_priority(lower[key]), str(dig(lower[key], "status", "startTime") or ""))
    )
    violating = _violating([lower[key] for key in order], budgets)
    violations = 0
    for key in sorted(order, key=lambda key: key not in violating):
        if _refusal(info, gone - {key}, refit) is None:
            gone.discard(key)
        elif key in violating:
            violations += 1
    return Victims(info.name, [lower[key] for key in order if key in gone], violations)


def _refusal(info: NodeInfo, gone: set[Key], refit: Refit) -> list[str] | None:
    copy = info.without(gone)
    refusal = refit(copy).refusal(copy)
    return None if refusal is None else refusal[0]


def _violating(pods: list[Obj], budgets: list[Obj]) -> set[Key]:
    """The pods whose loss a disruption budget does not allow, if they go in this order."""
    left = [int(dig(budget, "status", "disruptionsAllowed") or 0) for budget in budgets]
    found = set()
    for pod in pods:
        labels = meta(pod).get("labels") or {}
        for index, budget in enumerate(budgets):
            selector = dig(budget, "spec", "selector")
            if (
                namespace_of(budget) != namespace_of(pod)
                or not selector
                or not match_selector(selector, labels)
            ):
                continue
            if name_of(pod) in (dig(budget, "status", "disruptedPods") or {}):
                continue
            left[index] -= 1
            if left[index] < 0:
                found.add((namespace_of(pod), name_of(pod)))
    return found


def _cost(victims: Victims) -> tuple[int, int, int, int, str]:
    priorities = [_priority(pod) + 2**31 for pod in victims.pods]
    return victims.violations, priorities[0], sum(priorities), len(priorities), victims.node


def _priority(pod: Obj) -> int:
    return int(dig(pod, "spec", "priority") or 0)
