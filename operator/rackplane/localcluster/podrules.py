"""The rules of pods as the rest of the server uses them: creation, validation, binding, deletion, conditions."""

from __future__ import annotations

from . import quantities
from .errors import conflict
from .objects import Obj, clone, dig, is_terminal, meta, name_of, timestamp, with_condition
from .pods.admission import admit, tolerate
from .pods.defaults import default_pod as _default_pod
from .pods.defaults import default_template
from .pods.matchkeys import merge_label_keys
from .pods.spec import new_pod_causes
from .pods.spec import spec_causes as validate_spec
from .pods.status import prepare_status, status_causes
from .pods.updates import keep_admitted, update_causes
from .store import Store

GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"


def default_spec(spec: Obj) -> None:
    """All defaults of the spec of a pod, in place: what it has as soon as it is read."""
    default_template(spec)
    _default_pod(spec)


def default_pod(pod: Obj, store: Store) -> None:
    """What a pod has when admission policies see it: defaults, and what built-in admission fills in, in place.

    Raises:
        ApiError: 403, see `pods.admission.admit`.
    """
    default_spec(pod.setdefault("spec", {}))
    admit(pod, store)


def prepare_create(pod: Obj, store: Store) -> None:
    """Defaults, admission and the initial status of a new pod, in place.

    Raises:
        ApiError: 403, see `pods.admission.admit`.
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
                "lastTransitionTime": timestamp(store.clock()),
                "reason": "SchedulingGated",
                "message": GATED_MESSAGE,
            }
        ]
    pod["status"] = status
    merge_label_keys(pod)


def prepare_update(pod: Obj, before: Obj) -> None:
    """Defaults of a pod that is to replace `before`, in place, and what admission filled into that one."""
    default_spec(pod.setdefault("spec", {}))
    keep_admitted(pod["spec"], before.get("spec") or {})
    tolerate(pod["spec"])


def _qos(spec: Obj) -> str:
    """The class of service: by the pod's own resources where it has some, by those of its containers otherwise."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    parts = [spec["resources"]] if spec.get("resources") else [c.get("resources") or {} for c in containers]
    requests: dict[str, object] = {}
    limits: dict[str, object] = {}
    guaranteed = True
    for part in parts:
        asked, most = quantities.read(part.get("requests")), quantities.read(part.get("limits"))
        limited = {name: most[name] for name in ("cpu", "memory") if most.get(name)}
        guaranteed = guaranteed and len(limited) == 2
        for total, amounts in ((requests, asked), (limits, limited)):
            for name in ("cpu", "memory"):
                if amounts.get(name):
                    total[name] = total.get(name, 0) + amounts[name]  # type: ignore[operator]
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if guaranteed and requests == limits else "Burstable"


def bind(pod: Obj, node: str, now: float, annotations: Obj | None = None, labels: Obj | None = None) -> Obj:
    """The pod as bound to a node.

    Raises:
        ApiError: 409, it is being deleted, gated or bound already.
    """
    name = name_of(pod)
    spec = pod.get("spec") or {}
    if meta(pod).get("deletionTimestamp"):
        raise conflict("", "pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        why = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
        raise conflict("", "pods/binding", name, why)
    if spec.get("schedulingGates"):
        raise conflict("", "pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
    bound: Obj = clone(pod)
    bound["spec"]["nodeName"] = node
    (bound.get("status") or {}).pop("nominatedNodeName", None)
    for field, more in (("annotations", annotations), ("labels", labels)):
        if more:
            bound["metadata"][field] = {**(meta(bound).get(field) or {}), **more}
    set_condition(bound, {"type": "PodScheduled", "status": "True"}, now)
    return bound


def set_condition(obj: Obj, entry: Obj, now: float) -> None:
    """Set a pod condition in place and at its place; lastTransitionTime moves only when the status does."""
    status = obj.setdefault("status", {})
    status["conditions"] = with_condition(
        status.get("conditions") or [], {"lastProbeTime": None, **entry}, now
    )


def grace_seconds(pod: Obj, asked: int | None) -> int:
    """The grace period of a deletion: none for a pod no kubelet runs (unbound or finished)."""
    if not dig(pod, "spec", "nodeName") or is_terminal(pod):
        return 0
    value = dig(pod, "spec", "terminationGracePeriodSeconds") if asked is None else asked
    if value is None:
        return 0
    return 1 if value < 0 else int(value)


__all__ = [
    "bind",
    "default_pod",
    "default_spec",
    "default_template",
    "grace_seconds",
    "new_pod_causes",
    "prepare_create",
    "prepare_status",
    "prepare_update",
    "set_condition",
    "status_causes",
    "update_causes",
    "validate_spec",
]
