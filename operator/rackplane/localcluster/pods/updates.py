"""What an update of a pod may change.

The rules about scheduling gates are the ones Rackplane lives by: gates only go, a node selector is only tightened, and
only while a gate remains.
"""

from __future__ import annotations

from typing import Any

from rackplane.localcluster.errors import Cause, forbidden_value, invalid_value, required
from rackplane.localcluster.gojson import difference, internal
from rackplane.localcluster.objects import LARGEST_INT32, Obj, clone, dig

from .placement import toleration_causes
from .spec import pod_spec_causes

_FROZEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
)
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_MIRROR = "kubernetes.io/config.mirror"


def keep_admitted(spec: Obj, before: Obj) -> None:
    """What admission filled in at creation stays where an update leaves it out, in place."""
    for field in ("priority", "preemptionPolicy"):
        if spec.get(field) is None and before.get(field) is not None:
            spec[field] = before[field]


def update_causes(new: Obj, old: Obj) -> list[Cause]:
    """What an update of a pod (not of its status) may not do.

    Raises:
        ApiError: 501, see `spec.spec_causes`.
    """
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    causes = annotation_causes(new, old)
    if spec == before:
        return causes
    causes += pod_spec_causes(spec)
    for field in ("containers", "initContainers"):
        containers = spec.get(field) or []
        if len(containers) != len(before.get(field) or []):
            detail = "pod updates may not add or remove containers"
            return [*causes, forbidden_value(f"spec.{field}", detail)]
        for index, container in enumerate(containers):
            image = container.get("image") or ""
            where = f"spec.{field}[{index}].image"
            if not image:
                causes.append(required(where))
            if image != image.strip():
                causes.append(invalid_value(where, image, "must not have leading or trailing whitespace"))
    wrong, final = _deadline(spec, before)
    causes += wrong
    if final:
        return causes
    causes += _tolerations(spec, before)
    causes += _gates(spec, before)
    return causes + _frozen(spec, before)


def annotation_causes(new: Obj, old: Obj) -> list[Cause]:
    """Of annotations that belong to the node's agent."""
    now, then = (dig(pod, "metadata", "annotations") or {} for pod in (new, old))
    if now.get(_MIRROR) == then.get(_MIRROR):
        return []
    what = "remove or update" if _MIRROR in then else "add"
    return [forbidden_value(f"metadata.annotations[{_MIRROR}]", f"may not {what} mirror pod annotation")]


def _deadline(spec: Obj, before: Obj) -> tuple[list[Cause], bool]:
    """What is wrong with the deadline, and whether nothing else is looked at."""
    where, now, then = (
        "spec.activeDeadlineSeconds",
        spec.get("activeDeadlineSeconds"),
        before.get("activeDeadlineSeconds"),
    )
    if now is None:
        detail = "must not update from a positive integer to nil value"
        return ([invalid_value(where, None, detail)] if then is not None else []), False
    if not 0 <= now <= LARGEST_INT32:
        return [invalid_value(where, now, f"must be between 0 and {LARGEST_INT32}, inclusive")], True
    if then is not None and then < now:
        return [invalid_value(where, now, "must be less than or equal to previous value")], True
    return [], False


def _tolerations(spec: Obj, before: Obj) -> list[Cause]:
    tolerations = spec.get("tolerations") or []
    kept = [_without_seconds(entry) for entry in tolerations]
    if any(_without_seconds(entry) not in kept for entry in before.get("tolerations") or ()):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        return [forbidden_value("spec.tolerations", detail)]
    return toleration_causes(tolerations, "spec.tolerations")


def _without_seconds(toleration: Obj) -> Obj:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds" and value}


def _gates(spec: Obj, before: Obj) -> list[Cause]:
    had = {gate.get("name") for gate in before.get("schedulingGates") or ()}
    places = {gate.get("name"): index for index, gate in enumerate(spec.get("schedulingGates") or ())}
    return [
        forbidden_value(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{name}'",
        )
        for name, index in places.items()
        if name not in had
    ]


def _frozen(spec: Obj, before: Obj) -> list[Cause]:
    """Everything else: what may change is put back, and the rest must be equal."""
    rest: Obj = clone(spec)
    for field in ("containers", "initContainers"):
        for container, previous in zip(rest.get(field) or (), before.get(field) or (), strict=True):
            container["image"] = previous.get("image")
    for field in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        _put_back(rest, before, field)
    grace = "terminationGracePeriodSeconds"
    if (before.get(grace) or 0) < 0 and rest.get(grace) == 1:
        rest[grace] = before[grace]
    causes: list[Cause] = []
    if before.get("schedulingGates"):
        selector, wanted = spec.get("nodeSelector") or {}, before.get("nodeSelector") or {}
        if any(selector.get(key) != value for key, value in wanted.items()):
            detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            causes.append(
                invalid_value(
                    "spec.nodeSelector", internal(spec.get("nodeSelector"), "map[string]string"), detail
                )
            )
        _put_back(rest, before, "nodeSelector")
        causes += _node_affinity(spec, before)
        _put_back_node_affinity(rest, before)
    # Absent and empty are the same to the server; most updates differ in neither.
    if rest != before and internal(rest, "PodSpec") != internal(before, "PodSpec"):
        causes.append(forbidden_value("spec", f"{_FROZEN}{difference(before, rest, 'PodSpec')}"))
    return causes


def _put_back(rest: Obj, before: Obj, field: str) -> None:
    if field in before:
        rest[field] = before[field]
    else:
        rest.pop(field, None)


def _put_back_node_affinity(rest: Obj, before: Obj) -> None:
    old, new = dig(before, "affinity", "nodeAffinity"), dig(rest, "affinity", "nodeAffinity")
    if old == new:
        return
    affinity = rest.get("affinity")
    if affinity is None:
        rest["affinity"] = {"nodeAffinity": old}
    elif (
        before.get("affinity") is None
        and not affinity.get("podAffinity")
        and not affinity.get("podAntiAffinity")
    ):
        del rest["affinity"]
    elif old is None:
        del affinity["nodeAffinity"]
    else:
        affinity["nodeAffinity"] = old


def _node_affinity(spec: Obj, before: Obj) -> list[Cause]:
    """Required node affinity may be set while gated, or have requirements added behind those of each term."""
    old: list[Any] = dig(before, "affinity", "nodeAffinity", _REQUIRED, "nodeSelectorTerms") or []
    new: list[Any] | None = dig(spec, "affinity", "nodeAffinity", _REQUIRED, "nodeSelectorTerms")
    if not old:
        return []
    where = f"spec.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
    if len(new or ()) != len(old):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [invalid_value(where, internal(new, "[]NodeSelectorTerm"), detail)]
    detail = "only additions are allowed (no mutations or deletions)"
    return [
        invalid_value(f"{where}[{index}]", internal(term, "NodeSelectorTerm"), detail)
        for index, (term, previous) in enumerate(zip(new or (), old, strict=True))
        if not _only_adds(term, previous)
    ]


def _only_adds(term: Obj, previous: Obj) -> bool:
    fields = ("matchExpressions", "matchFields")
    if not any(previous.get(field) for field in fields) and any(term.get(field) for field in fields):
        return False  # an empty term matches nothing, and one requirement would make it match something
    return all(
        (term.get(field) or [])[: len(previous.get(field) or [])] == (previous.get(field) or [])
        for field in fields
    )
