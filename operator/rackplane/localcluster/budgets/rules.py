"""What the API server demands of PodDisruptionBudgets, and their DisruptionAllowed condition."""

from __future__ import annotations

import re
from typing import Any

from rackplane.localcluster.errors import Cause, invalid_value, unsupported_value
from rackplane.localcluster.objects import Obj, with_condition
from rackplane.localcluster.pods.placement import selector_causes

_POLICIES = ["AlwaysAllow", "IfHealthyBudget"]
_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
_PERCENT = re.compile("[0-9]+%")
_NO_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
CONDITION = "DisruptionAllowed"


def prepare_create(budget: Obj) -> None:
    """A new budget's status: nothing is known yet."""
    budget.setdefault("spec", {})
    budget["status"] = dict.fromkeys(_COUNTS, 0)


def spec_causes(budget: Obj) -> list[Cause]:
    """What is wrong with a budget's spec."""
    spec = budget.get("spec") or {}
    causes: list[Cause] = []
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        shown = {
            "MinAvailable": least,
            "Selector": spec.get("selector"),
            "MaxUnavailable": most,
            "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
        }
        causes.append(invalid_value("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
    for field, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            causes += _amount(value, f"spec.{field}")
    causes += selector_causes(spec.get("selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _POLICIES:
        causes.append(unsupported_value("spec.unhealthyPodEvictionPolicy", policy, list(_POLICIES)))
    return causes


def _amount(value: Any, path: str) -> list[Cause]:
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            return [invalid_value(path, value, _NO_PERCENT)]
        return [invalid_value(path, value, "must not be greater than 100%")] if int(value[:-1]) > 100 else []
    return [invalid_value(path, value, "must be greater than or equal to 0")] if value < 0 else []


def status_causes(budget: Obj) -> list[Cause]:
    """What is wrong with a budget's status."""
    status = budget.get("status") or {}
    return [
        invalid_value(f"status.{field}", status[field], "must be greater than or equal to 0")
        for field in _COUNTS
        if (status.get(field) or 0) < 0
    ]


def with_allowed(status: Obj, now: float) -> Obj:
    """A copy of a status whose condition says whether a disruption is allowed."""
    allowed = int(status.get("disruptionsAllowed") or 0) > 0
    entry = {
        "type": CONDITION,
        "status": "True" if allowed else "False",
        "reason": "SufficientPods" if allowed else "InsufficientPods",
        "message": "",
        "observedGeneration": status.get("observedGeneration", 0),
    }
    return {**status, "conditions": with_condition(status.get("conditions") or [], entry, now)}
