"""The rules of Roles and ClusterRoles. What they allow is not looked at: every user may do everything."""

from __future__ import annotations

from .errors import Cause, invalid_value, required
from .objects import Obj


def role(obj: Obj, _before: Obj | None) -> list[Cause]:
    """What breaks a rule in a Role."""
    return _rules(obj, namespaced=True)


def cluster_role(obj: Obj, _before: Obj | None) -> list[Cause]:
    """What breaks a rule in a ClusterRole."""
    return _rules(obj, namespaced=False)


def _rules(obj: Obj, *, namespaced: bool) -> list[Cause]:
    found: list[Cause] = []
    for place, rule in enumerate(obj.get("rules") or ()):
        where = f"rules[{place}]"
        if not rule.get("verbs"):
            found.append(required(f"{where}.verbs", "verbs must contain at least one value"))
        urls = rule.get("nonResourceURLs")
        if urls:
            path = f"{where}.nonResourceURLs"
            if namespaced:
                text = "namespaced rules cannot apply to non-resource URLs"
                found.append(invalid_value(path, urls, text))
            if any(rule.get(field) for field in ("apiGroups", "resources", "resourceNames")):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                found.append(invalid_value(path, urls, text))
            continue
        for field, what in (("apiGroups", "api group"), ("resources", "resource")):
            if not rule.get(field):
                text = f"resource rules must supply at least one {what}"
                found.append(required(f"{where}.{field}", text))
    return found
