"""The rules of the kinds whose rules are few: ConfigMap, Secret, Namespace, Node, PriorityClass, Lease."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable
from typing import Any

from . import errors, jsonsyntax, quantities, rbacrules
from .errors import Cause, forbidden_value, invalid_value, required
from .metadata import STANDARD_FINALIZERS
from .names import config_key, label_value, qualified_name
from .objects import Obj, meta, name_of
from .pods.amounts import quantity_causes
from .pods.placement import EFFECTS
from .resources import LEASES, NODES, PRIORITY_CLASSES, RBAC, Resource
from .store import GroupResource, Store

#: Bytes of the data of a ConfigMap or Secret together.
DATA_LIMIT = 1024 * 1024
#: The highest value of a PriorityClass that is not the system's own.
HIGHEST_PRIORITY = 1_000_000_000
#: The classes every cluster has, and their values.
SYSTEM_CLASSES: dict[str, tuple[int, str]] = {
    "system-cluster-critical": (
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    "system-node-critical": (
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
}
_KEPT = "field is immutable when `immutable` is set"
_CONFIG_MAPS: GroupResource = ("", "configmaps")
_SECRETS: GroupResource = ("", "secrets")

#: The data a Secret of a type must have.
_SECRET_DATA = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
}


def prepare(resource: Resource, obj: Obj, before: Obj | None = None) -> None:
    """Fill in what the server fills in of itself, in place."""
    if resource.key == NODES:
        _prepare_node(obj, before)
    elif resource.key == PRIORITY_CLASSES:
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")
        obj.setdefault("value", 0)
    elif resource.key == LEASES:
        spec = obj.setdefault("spec", {})
        for field in ("strategy", "preferredHolder"):
            # Coordinated leader election is off by default, and its fields are dropped.
            spec.pop(field, None)


def causes(resource: Resource, obj: Obj, before: Obj | None = None) -> list[Cause]:
    """What breaks a rule of its kind in an object to be created, or to replace `before`; metadata aside."""
    check = _CHECKS.get(resource.key)
    return check(obj, before) if check is not None else []


# -- ConfigMap and Secret


def _keys(field: str, data: Obj) -> list[Cause]:
    return [invalid_value(f"{field}[{key}]", key, text) for key in data for text in config_key(key)]


def _size(text: Any) -> int:
    try:
        return len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return len(str(text))


def _immutable(obj: Obj, before: Obj | None, fields: tuple[str, ...]) -> list[Cause]:
    if before is None or not before.get("immutable"):
        return []
    found = [] if obj.get("immutable") else [forbidden_value("immutable", _KEPT)]
    return found + [
        forbidden_value(field, _KEPT)
        for field in fields
        if (obj.get(field) or {}) != (before.get(field) or {})
    ]


def _config_map(obj: Obj, before: Obj | None) -> list[Cause]:
    found = _immutable(obj, before, ("data", "binaryData"))
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in sorted(data):
        found += _keys("data", {key: None})
        if key in binary:
            found.append(invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData"))
    found += _keys("binaryData", dict.fromkeys(sorted(binary)))
    size = sum(len(str(value).encode()) for value in data.values()) + sum(map(_size, binary.values()))
    return found + ([errors.too_long("", DATA_LIMIT)] if size > DATA_LIMIT else [])


def _secret(obj: Obj, before: Obj | None) -> list[Cause]:
    found: list[Cause] = []
    kind, data = obj.get("type"), obj.get("data") or {}
    if before is not None and kind != before.get("type"):
        found.append(invalid_value("type", kind, "field is immutable"))
    found += _immutable(obj, before, ("data",)) + _keys("data", dict.fromkeys(sorted(data)))
    if sum(map(_size, data.values())) > DATA_LIMIT:
        found.append(errors.too_long("data", DATA_LIMIT))
    for key in _SECRET_DATA.get(str(kind), ()):
        if key not in data or (kind == "kubernetes.io/ssh-auth" and not data[key]):
            found.append(required(f"data[{key}]"))
        elif "dockerc" in key and (problem := _no_json_object(data[key])):
            found.append(invalid_value(f"data[{key}]", "<secret contents redacted>", problem))
    if kind == "kubernetes.io/basic-auth" and "username" not in data and "password" not in data:
        found += [required("data[username]"), required("data[password]")]
    if kind == "kubernetes.io/service-account-token":
        key = "kubernetes.io/service-account.name"
        if not (meta(obj).get("annotations") or {}).get(key):
            found.append(required(f"metadata.annotations[{key}]"))
    return found


def _no_json_object(encoded: Any) -> str:
    text = base64.b64decode(encoded).decode(errors="replace")
    problem = jsonsyntax.problem(text)
    if problem or text.lstrip()[:1] in ("{", "n"):
        return problem
    kind = {'"': "string", "[": "array", "t": "bool", "f": "bool"}.get(text.lstrip()[:1], "number")
    return f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"


# -- Namespace


def namespace_causes(obj: Obj, subresource: str) -> list[Cause]:
    """What is wrong with a namespace written to one of its subresources."""
    checks = {"status": _phase_causes, "finalize": _hold_causes}
    return checks[subresource](obj) if subresource in checks else []


def _hold_causes(obj: Obj) -> list[Cause]:
    """What is wrong with the `spec.finalizers` of a namespace, which only its /finalize changes."""
    found: list[Cause] = []
    for index, finalizer in enumerate((obj.get("spec") or {}).get("finalizers") or ()):
        path = f"spec.finalizers[{index}]"
        found += [invalid_value(path, finalizer, text) for text in qualified_name(finalizer)]
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            found.append(invalid_value(path, finalizer, text))
    return found


def _phase_causes(obj: Obj) -> list[Cause]:
    """What is wrong with the phase a write to a namespace's status says."""
    phase, deleted = (obj.get("status") or {}).get("phase", ""), "deletionTimestamp" in meta(obj)
    if not deleted and phase != "Active":
        text = "may only be 'Active' if `deletionTimestamp` is empty"
        return [invalid_value("status.Phase", phase, text)]
    if deleted and phase != "Terminating":
        text = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        return [invalid_value("status.Phase", phase, text)]
    return []


# -- Node


def _prepare_node(obj: Obj, before: Obj | None) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("podCIDR") and not spec.get("podCIDRs"):
        spec["podCIDRs"] = [spec["podCIDR"]]
    elif spec.get("podCIDRs") and not spec.get("podCIDR"):
        spec["podCIDR"] = spec["podCIDRs"][0]
    if before is None:
        obj.setdefault("status", {})
    default_node_status(obj)


def default_node_status(obj: Obj) -> None:
    """A node offers all it has, unless it says what it offers."""
    status = obj.get("status") or {}
    if status.get("capacity") is not None and status.get("allocatable") is None:
        obj["status"] = {**status, "allocatable": dict(status["capacity"])}


def _taints(taints: list[Obj]) -> list[Cause]:
    found: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        path = f"metadata.taints[{index}]"
        key, value, effect = (str(taint.get(part) or "") for part in ("key", "value", "effect"))
        found += [invalid_value(f"{path}.key", key, text) for text in qualified_name(key)]
        if texts := label_value(value):
            found.append(invalid_value(f"{path}.value", value, ";".join(texts)))
        if not effect:
            found.append(required(f"{path}.effect"))
        elif effect not in EFFECTS:
            found.append(errors.unsupported_value(f"{path}.effect", effect, list(EFFECTS)))
        if (key, effect) in seen:
            shown = {"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint.get("timeAdded")}
            text = f"Duplicate value: {errors.show(shown)}: taints must be unique by key and effect pair"
            found.append(Cause(path, "FieldValueDuplicate", text))
        seen.add((key, effect))
    return found


def _ranges(cidrs: list[str]) -> list[Cause]:
    found: list[Cause] = []
    families = []
    for index, cidr in enumerate(cidrs):
        try:
            families.append(ipaddress.ip_network(cidr, strict=False).version if "/" in cidr else 0)
        except ValueError:
            families.append(0)
        if not families[-1]:
            text = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            found.append(invalid_value(f"spec.podCIDRs[{index}]", cidr, text))
    if len(families) > len(set(families)) and all(families):
        text = "may specify no more than one CIDR for each IP family"
        found.append(invalid_value("spec.podCIDRs", cidrs, text))
    return found


def node_status_causes(obj: Obj) -> list[Cause]:
    """What is wrong with what a node says it has."""
    status = obj.get("status") or {}
    return [
        cause
        for kind in ("capacity", "allocatable")
        for name, amount in (status.get(kind) or {}).items()
        for cause in quantity_causes(name, amount, quantities.parse(amount), f"status.{kind}.{name}")
    ]


def _node(obj: Obj, before: Obj | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    taints, amounts = _taints(spec.get("taints") or []), node_status_causes(obj)
    found = taints + amounts + _ranges(spec.get("podCIDRs") or [])
    if before is None:
        return found
    # Taints and amounts are looked at twice.
    found += amounts
    old = before.get("spec") or {}
    if old.get("podCIDRs") and old["podCIDRs"] != spec.get("podCIDRs"):
        text = 'node updates may not change podCIDR except from "" to valid'
        found.append(forbidden_value("spec.podCIDRs", text))
    if old.get("providerID") and old["providerID"] != spec.get("providerID"):
        text = 'node updates may not change providerID except from "" to valid'
        found.append(forbidden_value("spec.providerID", text))
    return found + taints


# -- PriorityClass and Lease


def _priority_class(obj: Obj, before: Obj | None) -> list[Cause]:
    policy, value, name = obj.get("preemptionPolicy"), obj.get("value") or 0, name_of(obj)
    if before is not None:
        found = []
        if value != (before.get("value") or 0):
            found.append(forbidden_value("value", "may not be changed in an update."))
        if policy != before.get("preemptionPolicy"):
            found.append(invalid_value("preemptionPolicy", policy, "field is immutable"))
        return found
    found = []
    if name.startswith("system-"):
        problem = _system_problem(obj, name, value)
        if problem:
            text = "priority class names with 'system-' prefix are reserved for system use only. error: "
            found.append(forbidden_value("metadata.name", text + problem))
    elif value > HIGHEST_PRIORITY:
        text = f"maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}"
        found.append(forbidden_value("value", text))
    if policy not in ("PreemptLowerPriority", "Never"):
        found.append(errors.unsupported_value("preemptionPolicy", policy, ["PreemptLowerPriority", "Never"]))
    return found


def only_default(store: Store, obj: Obj, *, new: bool) -> None:
    """Refuse a second default among the PriorityClasses.

    Raises:
        ApiError: 403, another class is the default; or the same one, as long as it is there to be created.
    """
    if not obj.get("globalDefault"):
        return
    found = [other for other in store.items(PRIORITY_CLASSES) if other.get("globalDefault")]
    if not found:
        return
    default = name_of(min(found, key=lambda other: int(other.get("value") or 0)))
    if new or default != name_of(obj):
        why = f"PriorityClass {default} is already marked as default. Only one default can exist"
        raise errors.forbidden(*PRIORITY_CLASSES, name_of(obj), why)


def _system_problem(obj: Obj, name: str, value: int) -> str:
    if name not in SYSTEM_CLASSES:
        return f"{name} is not a known system priority class"
    if value != SYSTEM_CLASSES[name][0]:
        return f"value of {name} PriorityClass must be {SYSTEM_CLASSES[name][0]}"
    return f"globalDefault of {name} PriorityClass must be false" if obj.get("globalDefault") else ""


def _lease(obj: Obj, _before: Obj | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    found = []
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and duration <= 0:
        found.append(invalid_value("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        text = "must be greater than or equal to 0"
        found.append(invalid_value("spec.leaseTransitions", transitions, text))
    return found


_CHECKS: dict[GroupResource, Callable[[Obj, Obj | None], list[Cause]]] = {
    _CONFIG_MAPS: _config_map,
    _SECRETS: _secret,
    NODES: _node,
    PRIORITY_CLASSES: _priority_class,
    LEASES: _lease,
    (RBAC, "roles"): rbacrules.role,
    (RBAC, "clusterroles"): rbacrules.cluster_role,
}


def system_classes() -> list[Obj]:
    """The PriorityClasses every cluster has."""
    return [
        {"metadata": {"name": name}, "value": value, "description": description}
        for name, (value, description) in SYSTEM_CLASSES.items()
    ]
