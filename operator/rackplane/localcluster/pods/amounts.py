"""What may be wrong with the resources that a container, or a pod as a whole, asks for."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from rackplane.localcluster import names, quantities
from rackplane.localcluster.errors import (
    Cause,
    duplicate_value,
    forbidden_value,
    invalid_value,
    not_found_value,
    required,
    unsupported_value,
)
from rackplane.localcluster.objects import Obj

_HUGE = "hugepages-"
_OF_CONTAINERS = frozenset({"cpu", "memory", "ephemeral-storage"})
#: Names without a domain that mean something elsewhere, in quotas or for volumes.
_STANDARD = _OF_CONTAINERS | {
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
}


def extended(name: str) -> bool:
    """Whether a resource is counted whole and never overcommitted, as devices are."""
    return (
        not _native(name)
        and not name.startswith("requests.")
        and not names.qualified_name(f"requests.{name}")
    )


def _native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def _overcommits(name: str) -> bool:
    return _native(name) and not name.startswith(_HUGE)


def resource_causes(resources: Obj, where: str, claims: set[str]) -> list[Cause]:
    """Of the resources of a container; `claims` are the names of the pod's claims."""
    if not resources:
        return []
    causes = amount_causes(resources, where, _container_name)
    return causes + _claims(resources.get("claims") or [], f"{where}.claims", claims)


def pod_causes(spec: Obj, path: str) -> list[Cause]:
    """Of the resources of a pod as a whole."""
    resources = spec.get("resources")
    if resources is None:
        return []
    where = f"{path}.resources"
    causes: list[Cause] = []
    if resources.get("claims") is not None:
        detail = "claims may not be set for Resources at pod-level"
        causes.append(forbidden_value(f"{where}.claims", detail))
    causes += amount_causes(resources, where, _pod_name)
    requests, limits = quantities.read(resources.get("requests")), quantities.read(resources.get("limits"))
    for name, amount in sorted(quantities.container_requests(spec).items()):
        if name in requests and amount > requests[name]:
            total = quantities.write(amount, name)
            detail = f"must be greater than or equal to aggregate container requests of {total}"
            causes.append(invalid_value(f"{where}.requests[{name}]", resources["requests"][name], detail))
    for index, container in enumerate(spec.get("containers") or ()):
        for name, amount in quantities.read((container.get("resources") or {}).get("limits")).items():
            if name in limits and amount > limits[name]:
                shown = container["resources"]["limits"][name]
                detail = f"must be less than or equal to pod limits of {resources['limits'][name]}"
                causes.append(invalid_value(f"{where}.containers[{index}][{name}].limits", shown, detail))
    return causes


def amount_causes(resources: Obj, where: str, check_name: Callable[[str, str], list[Cause]]) -> list[Cause]:
    """Of limits and requests: names, amounts, and one against the other."""
    causes: list[Cause] = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, text in amounts.items():
            path = f"{where}.{kind}[{name}]"
            causes += check_name(name, path)
            value = _parse(text)
            causes += quantity_causes(name, text, value, path)
            if kind == "requests":
                causes += _against(name, text, limits, where)
            if name.startswith(_HUGE) and not _divisible(name, value):
                detail = f"{text} is not positive integer multiple of {name}"
                causes.append(invalid_value(path, text, detail))
    asked = {*limits, *requests}
    if any(name.startswith(_HUGE) for name in asked) and not asked & {"cpu", "memory"}:
        causes.append(forbidden_value(where, "HugePages require cpu or memory"))
    return causes


def quantity_causes(name: str, text: str, value: Fraction, path: str) -> list[Cause]:
    """Of one amount of a resource."""
    causes: list[Cause] = []
    if value < 0:
        causes.append(invalid_value(path, text, "must be greater than or equal to 0"))
    if (extended(name) or name in ("pods", "services", "secrets", "configmaps")) and value.denominator != 1:
        causes.append(invalid_value(path, text, "must be an integer"))
    return causes


def _against(name: str, text: str, limits: Obj, where: str) -> list[Cause]:
    limit = limits.get(name)
    if limit is None:
        if _overcommits(name):
            return []
        return [required(f"{where}.limits", "Limit must be set for non overcommitable resources")]
    asked, most = _parse(text), _parse(limit)
    if asked != most and not _overcommits(name):
        return [invalid_value(f"{where}.requests", text, f"must be equal to {name} limit of {limit}")]
    if asked > most:
        return [
            invalid_value(f"{where}.requests", text, f"must be less than or equal to {name} limit of {limit}")
        ]
    return []


def _parse(text: str) -> Fraction:
    return quantities.parse(str(text))


def _divisible(name: str, value: Fraction) -> bool:
    try:
        page = quantities.parse(name.removeprefix(_HUGE))
    except ValueError:
        return False
    return page > 0 and value % page == 0


def _resource_name(name: str, path: str) -> list[Cause]:
    wrong = [invalid_value(path, name, text) for text in names.qualified_name(name)]
    if not wrong and "/" not in name and name not in _STANDARD and not name.startswith(_HUGE):
        wrong.append(invalid_value(path, name, "must be a standard resource type or fully qualified"))
    return wrong


def _container_name(name: str, path: str) -> list[Cause]:
    if name in _OF_CONTAINERS:
        return []
    wrong = _resource_name(name, path)
    if "/" not in name:
        if not name.startswith(_HUGE):
            wrong.append(invalid_value(path, name, "must be a standard resource for containers"))
    elif not _native(name) and not extended(name):
        wrong.append(invalid_value(path, name, "doesn't follow extended resource name standard"))
    return wrong


def _pod_name(name: str, path: str) -> list[Cause]:
    wrong = _resource_name(name, path)
    if not wrong and name not in ("cpu", "memory") and not name.startswith(_HUGE):
        wrong.append(unsupported_value(path, name, ["cpu", "hugepages-", "memory"]))
    return wrong


def _claims(entries: list[Obj], path: str, claims: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        where, name, request = f"{path}[{index}]", entry.get("name") or "", entry.get("request") or ""
        if not name:
            causes.append(required(where))
            continue
        if name in seen:
            causes.append(duplicate_value(where, name))
        else:
            key = f"{name}/{request}" if request else name
            causes += [
                invalid_value(f"{where}.request", request, text)
                for text in names.dns_label(request)
                if request
            ]
            if key in seen:
                causes.append(duplicate_value(where, key))
            elif not request:
                causes += [
                    duplicate_value(where, name) for taken in sorted(seen) if taken.partition("/")[0] == name
                ]
            seen.add(key)
        if name not in claims:
            listed = f": {', '.join(sorted(claims))}" if claims else " which is empty"
            detail = f"must be one of the names in pod.spec.resourceClaims{listed}"
            causes.append(not_found_value(where, name, detail))
    return causes
