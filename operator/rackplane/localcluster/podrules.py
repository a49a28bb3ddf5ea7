"""What the API server does to pods: defaults, what may change and when, binding.

The rules about scheduling gates are the ones Rackplane lives by: gates only go, a node selector is only tightened,
and only while a gate remains.
"""

from __future__ import annotations

from typing import Any

from . import quantities
from .errors import Cause, conflict, forbidden, forbidden_value, invalid_value, required, unsupported_value
from .objects import Obj, clone, condition, dig, is_terminal, meta, name_of, timestamp
from .resources import PODS, PRIORITY_CLASSES
from .store import Store

GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_DEFAULT_TOLERATIONS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def default_template(spec: Obj) -> None:
    """Defaults of a pod spec, in a pod or in a template, in place."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("securityContext", {})
    for field in (
        "schedulingGates",
        "nodeSelector",
        "tolerations",
        "initContainers",
        "volumes",
        "imagePullSecrets",
    ):
        if field in spec and not spec[field]:
            del spec[field]  # Go omits them when empty, and a client may tell absent from empty
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            if not isinstance(container, dict):
                continue
            image = str(container.get("image", ""))
            tag = image.rpartition(":")[2] if ":" in image.rpartition("/")[2] else "latest"
            latest = tag == "latest" and "@" not in image
            container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
            resources = container.setdefault("resources", {})
            for kind in ("limits", "requests"):
                if resources.get(kind):  # a quantity may be written as a number and is always read as text
                    resources[kind] = {name: str(amount) for name, amount in resources[kind].items()}
            container.setdefault("terminationMessagePath", "/dev/termination-log")
            container.setdefault("terminationMessagePolicy", "File")
            for port in container.get("ports") or ():
                port.setdefault("protocol", "TCP")


def default_pod(pod: Obj, store: Store) -> None:
    """What a pod has when admission policies see it: defaults, and what built-in admission fills in, in place.

    Raises:
        ApiError: 403, the priority class does not exist.
    """
    spec = pod.setdefault("spec", {})
    default_template(spec)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            resources = container.get("resources") or {}
            if resources.get("limits"):
                resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
    _prioritise(pod, store)
    _tolerate(spec)


def _tolerate(spec: Obj) -> None:
    """Give a pod, new or changed, the tolerations every pod has unless it says otherwise, in place."""
    tolerations = list(spec.get("tolerations") or [])
    for key in _DEFAULT_TOLERATIONS:
        if not any(
            t.get("key") in (key, None, "") and t.get("effect") in ("NoExecute", None, "")
            for t in tolerations
        ):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            )
    spec["tolerations"] = tolerations


def prepare_update(pod: Obj, before: Obj) -> None:  # noqa: ARG001
    """Defaults of a pod that is to replace `before`, in place."""
    default_template(pod.setdefault("spec", {}))
    _tolerate(pod["spec"])


def prepare_create(pod: Obj, store: Store) -> None:
    """Defaults and the initial status of a new pod, in place.

    Raises:
        ApiError: 403, the priority class does not exist.
    """
    default_pod(pod, store)
    spec = pod["spec"]
    status: Obj = {"phase": "Pending", "qosClass": _qos(spec)}
    if spec.get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": None,
                "reason": "SchedulingGated",
                "message": GATED_MESSAGE,
            }
        ]
    pod["status"] = status


def _prioritise(pod: Obj, store: Store) -> None:
    spec = pod["spec"]
    name = spec.get("priorityClassName")
    policy = "PreemptLowerPriority"
    if name in _SYSTEM_PRIORITIES:
        value = _SYSTEM_PRIORITIES[name]
    elif name:
        found = store.get(PRIORITY_CLASSES, "", name)
        if found is None:
            raise forbidden("", "pods", name_of(pod), f"no PriorityClass with name {name} was found")
        value = int(found.get("value") or 0)
        policy = found.get("preemptionPolicy") or policy
    else:
        value = 0
        for found in store.items(PRIORITY_CLASSES):
            if found.get("globalDefault"):
                spec["priorityClassName"] = name_of(found)
                value = int(found.get("value") or 0)
                policy = found.get("preemptionPolicy") or policy
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", policy)


def _qos(spec: Obj) -> str:
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    any_request, guaranteed = False, True
    for container in containers:
        resources = container.get("resources") or {}
        requests, limits = (
            quantities.read(resources.get("requests")),
            quantities.read(resources.get("limits")),
        )
        for name in ("cpu", "memory"):
            any_request |= bool(requests.get(name) or limits.get(name))
            guaranteed &= bool(limits.get(name)) and requests.get(name, limits.get(name)) == limits.get(name)
    if not any_request:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def validate_spec(spec: Obj, path: str) -> list[Cause]:
    """What is wrong with a pod spec, in a pod or a template."""
    causes: list[Cause] = []
    containers = spec.get("containers")
    if not containers:
        causes.append(required(f"{path}.containers"))
    seen: set[str] = set()
    for index, container in enumerate(containers or ()):
        where = f"{path}.containers[{index}]"
        for field in ("name", "image"):
            if not container.get(field):
                causes.append(required(f"{where}.{field}"))
        if container.get("name") in seen:
            causes.append(
                Cause(f"{where}.name", "FieldValueDuplicate", f'Duplicate value: "{container["name"]}"')
            )
        seen.add(str(container.get("name")))
        causes += _validate_resources(container.get("resources") or {}, f"{where}.resources")
    if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
        known = ["Always", "OnFailure", "Never"]
        causes.append(unsupported_value(f"{path}.restartPolicy", spec.get("restartPolicy"), known))
    gates: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        where = f"{path}.schedulingGates[{index}]"
        name = str(gate.get("name") or "")
        if not name:
            causes.append(required(f"{where}.name", "must be non-empty"))
        if name in gates:
            causes.append(Cause(where, "FieldValueDuplicate", f'Duplicate value: "{name}"'))
        gates.add(name)
    if gates and spec.get("nodeName"):
        causes.append(
            forbidden_value(f"{path}.nodeName", "cannot be set until all schedulingGates have been cleared")
        )
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        if not toleration.get("key") and toleration.get("operator", "Equal") != "Exists":
            detail = (
                'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            )
            causes.append(
                invalid_value(f"{path}.tolerations[{index}].operator", toleration.get("operator", ""), detail)
            )
    return causes


def _validate_resources(resources: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for kind in ("limits", "requests"):
        for name, amount in (resources.get(kind) or {}).items():
            where = f"{path}.{kind}[{name}]"
            try:
                value = quantities.parse(str(amount))
            except ValueError:
                pattern = "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                causes.append(
                    invalid_value(where, amount, f"quantities must match the regular expression {pattern}")
                )
                continue
            if value < 0:
                causes.append(invalid_value(where, str(amount), "must be greater than or equal to 0"))
            if _extended(name) and value.denominator != 1:
                causes.append(invalid_value(where, str(amount), "must be an integer"))
    requests, limits = quantities.read(resources.get("requests")), quantities.read(resources.get("limits"))
    for name, amount in requests.items():
        shown = str((resources.get("requests") or {}).get(name))
        if name in limits and amount > limits[name]:
            detail = f"must be less than or equal to {name} limit of {resources['limits'][name]}"
            causes.append(invalid_value(f"{path}.requests", shown, detail))
        elif _extended(name) and name in limits and amount != limits[name]:
            detail = f"must be equal to {name} limit of {resources['limits'][name]}"
            causes.append(invalid_value(f"{path}.requests", shown, detail))
        elif _extended(name) and name not in limits:
            causes.append(required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
    return causes


def _extended(name: str) -> bool:
    return "/" in name and not name.startswith("kubernetes.io/")


FROZEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """What an update of a pod (not of its status) may not do."""
    causes: list[Cause] = []
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    gated = bool(before.get("schedulingGates"))
    had = {gate.get("name") for gate in before.get("schedulingGates") or ()}
    for gate in spec.get("schedulingGates") or ():
        if gate.get("name") not in had:
            detail = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            causes.append(forbidden_value("spec.schedulingGates", detail))
    munged: dict[str, Any] = clone(spec)
    _allow(munged, before, "schedulingGates")
    kept = [
        toleration
        for toleration in before.get("tolerations") or ()
        if toleration not in (spec.get("tolerations") or ())
    ]
    if kept:
        causes.append(
            forbidden_value(
                "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
            )
        )
    _allow(munged, before, "tolerations")
    deadline, old_deadline = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if old_deadline is not None and (deadline is None or deadline > old_deadline):
        where = "spec.activeDeadlineSeconds"
        causes.append(
            invalid_value(where, deadline, f"must be less than or equal to previous value {old_deadline}")
        )
    _allow(munged, before, "activeDeadlineSeconds")
    for field in ("containers", "initContainers"):
        for container, previous in zip(munged.get(field) or (), before.get(field) or (), strict=False):
            container["image"] = previous.get("image")
    if gated:
        selector, wanted = spec.get("nodeSelector") or {}, before.get("nodeSelector") or {}
        if any(selector.get(key) != value for key, value in wanted.items()):
            causes.append(invalid_value("spec.nodeSelector", selector, SELECTOR_ONLY_TIGHTENED))
        _allow(munged, before, "nodeSelector")
        causes += _affinity(spec, before)
        _allow(munged, before, "affinity")
    if munged != before:
        causes.append(forbidden_value("spec", FROZEN))
    return causes


SELECTOR_ONLY_TIGHTENED = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"


def _allow(munged: Obj, before: Obj, field: str) -> None:
    if field in before:
        munged[field] = before[field]
    else:
        munged.pop(field, None)


def _affinity(spec: Obj, before: Obj) -> list[Cause]:
    """While gated, required node affinity may be set, or have requirements added to each of its terms."""
    path = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    new_terms, old_terms = dig(spec, *path) or [], dig(before, *path) or []
    if not old_terms:
        return []
    where = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    if len(new_terms) != len(old_terms):
        return [
            invalid_value(
                where, new_terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
            )
        ]
    for index, (term, previous) in enumerate(zip(new_terms, old_terms, strict=True)):
        for field in ("matchExpressions", "matchFields"):
            if any(entry not in (term.get(field) or []) for entry in previous.get(field) or ()):
                return [
                    invalid_value(
                        f"{where}[{index}]", term, "only additions are allowed (no mutations or deletions)"
                    )
                ]
    return []


def bind(pod: Obj, node: str, now: float, annotations: Obj | None = None) -> Obj:
    """The pod as bound to a node.

    Raises:
        ApiError: 409, it is being deleted, gated or bound already.
    """
    name = name_of(pod)
    if meta(pod).get("deletionTimestamp"):
        raise conflict("", "pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
    if dig(pod, "spec", "nodeName"):
        raise conflict(
            "", "pods/binding", name, f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        )
    if dig(pod, "spec", "schedulingGates"):
        raise conflict("", "pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
    bound: Obj = clone(pod)
    bound["spec"]["nodeName"] = node
    if annotations:
        bound["metadata"]["annotations"] = {**(meta(bound).get("annotations") or {}), **annotations}
    set_condition(bound, {"type": "PodScheduled", "status": "True"}, now)
    return bound


def set_condition(obj: Obj, entry: Obj, now: float) -> None:
    """Set a pod condition in place; lastTransitionTime moves only when the status does."""
    status = obj.setdefault("status", {})
    before = condition(obj, entry["type"])
    moved = before is None or before.get("status") != entry["status"]
    when = timestamp(now) if moved or before is None else before.get("lastTransitionTime")
    full = {"lastProbeTime": None, "lastTransitionTime": when, **entry}
    others = [item for item in status.get("conditions") or [] if item.get("type") != entry["type"]]
    status["conditions"] = [*others, full]


def grace_seconds(pod: Obj, asked: int | None) -> int:
    """The grace period of a deletion: none for a pod no kubelet runs (unbound or finished)."""
    if not dig(pod, "spec", "nodeName") or is_terminal(pod):
        return 0
    value = dig(pod, "spec", "terminationGracePeriodSeconds") if asked is None else asked
    return max(0, int(30 if value is None else value))


__all__ = [
    "PODS",
    "bind",
    "default_template",
    "grace_seconds",
    "prepare_create",
    "set_condition",
    "validate_spec",
    "validate_update",
]
