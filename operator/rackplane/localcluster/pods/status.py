"""What a write to a pod's status may do."""

from __future__ import annotations

import ipaddress

from rackplane.localcluster import names
from rackplane.localcluster.errors import Cause, duplicate_value, forbidden_value, invalid_value
from rackplane.localcluster.objects import Obj, clone, dig, meta

from .updates import annotation_causes

_CONTAINERS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_SYSTEM_CONDITIONS = frozenset({"PodScheduled", "Ready", "Initialized"})


def prepare_status(new: Obj, old: Obj) -> None:
    """What a write to the status leaves as it was, in place."""
    owners = meta(old).get("ownerReferences")
    if owners:
        new["metadata"]["ownerReferences"] = clone(owners)
    else:
        new["metadata"].pop("ownerReferences", None)
    status, before = new.setdefault("status", {}), old.get("status") or {}
    for field in ("qosClass", "observedGeneration"):
        if not status.get(field) and before.get(field):
            status[field] = before[field]
    for field in _CONTAINERS:
        for entry in status.get(field) or ():
            _complete(entry)
    seen: dict[str, list[int]] = {}
    for entry in before.get("conditions") or ():
        seen.setdefault(str(entry.get("type")), []).append(entry.get("observedGeneration") or 0)
    for entry in status.get("conditions") or ():
        entry.setdefault("lastProbeTime", None)
        entry.setdefault("lastTransitionTime", None)
        generations = seen.get(str(entry.get("type"))) or [0]
        generation = generations.pop(0)
        if not entry.get("observedGeneration") and generation:
            entry["observedGeneration"] = generation


def _complete(entry: Obj) -> None:
    """A container's status always has these, in place; what is null is absent."""
    for field, value in (("image", ""), ("imageID", ""), ("ready", False), ("restartCount", 0), ("name", "")):
        entry.setdefault(field, value)
    for field in ("state", "lastState"):
        state = {kind: value for kind, value in (entry.get(field) or {}).items() if value is not None}
        for kind, times in (("running", ("startedAt",)), ("terminated", ("startedAt", "finishedAt"))):
            if kind in state:
                state[kind] = {**dict.fromkeys(times), **state[kind]}
        if "terminated" in state:
            state["terminated"].setdefault("exitCode", 0)
        entry[field] = state


def status_causes(new: Obj, old: Obj) -> list[Cause]:
    """What is wrong with a new status."""
    status, before = new.get("status") or {}, old.get("status") or {}
    causes = annotation_causes(new, old)
    for index, entry in enumerate(status.get("conditions") or ()):
        kind, generation = entry.get("type") or "", entry.get("observedGeneration") or 0
        where = f"status.conditions[{index}]"
        if generation < 0:
            causes.append(
                invalid_value(f"{where}.observedGeneration", generation, "must be a non-negative integer")
            )
        if kind not in _SYSTEM_CONDITIONS:
            causes += [invalid_value(f"{where}.Type", kind, text) for text in names.qualified_name(kind)]
    nominated = status.get("nominatedNodeName") or ""
    if nominated and nominated != before.get("nominatedNodeName"):
        where = "status.nominatedNodeName"
        causes += [invalid_value(where, nominated, text) for text in names.dns_subdomain(nominated)]
        if dig(old, "spec", "nodeName"):
            causes.append(forbidden_value(where, "may not be set on pods that are already bound to a node"))
    generation = status.get("observedGeneration") or 0
    if generation < 0:
        causes.append(
            invalid_value("status.observedGeneration", generation, "must be a non-negative integer")
        )
    if status.get("qosClass") != before.get("qosClass"):
        causes.append(invalid_value("status.qosClass", status.get("qosClass") or "", "field is immutable"))
    for field, kind in (("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")):
        causes += _back_to_life(status, before, old, field, kind)
    causes += _claims(status, new)
    for field in ("podIPs", "hostIPs"):
        causes += _addresses(status, before, field)
    return causes


def _back_to_life(status: Obj, before: Obj, pod: Obj, field: str, kind: str) -> list[Cause]:
    """A container that ended stays so unless it is one that is started again."""
    causes: list[Cause] = []
    now = {entry.get("name"): entry for entry in reversed(status.get(field) or ())}
    containers = {entry.get("name"): entry for entry in dig(pod, "spec", kind) or ()}
    for index, entry in enumerate(before.get(field) or ()):
        ended = dig(entry, "state", "terminated")
        new = now.get(entry.get("name"))
        if ended is None or new is None or dig(new, "state", "terminated") is not None:
            continue
        container = containers.get(entry.get("name"))
        if container is None or not _starts_again(container, pod["spec"], int(ended.get("exitCode") or 0)):
            detail = "may not be transitioned to non-terminated state"
            causes.append(forbidden_value(f"status.{field}[{index}].state", detail))
    return causes


def _starts_again(container: Obj, spec: Obj, code: int) -> bool:
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        listed = code in (codes.get("values") or ())
        if listed == (codes.get("operator") == "In"):
            return True
    policy = container.get("restartPolicy") or spec.get("restartPolicy")
    return bool(policy == "Always" or (policy == "OnFailure" and code != 0))


def _claims(status: Obj, pod: Obj) -> list[Cause]:
    causes: list[Cause] = []
    known = {claim.get("name") for claim in dig(pod, "spec", "resourceClaims") or ()}
    seen: set[str] = set()
    for index, entry in enumerate(status.get("resourceClaimStatuses") or ()):
        where, name = f"status.resourceClaimStatuses[{index}].name", entry.get("name") or ""
        if name not in known:
            causes.append(
                invalid_value(where, name, "must match the name of an entry in `spec.resourceClaims`")
            )
        if name in seen:
            causes.append(duplicate_value(where, name))
        seen.add(name)
    return causes


def _addresses(status: Obj, before: Obj, field: str) -> list[Cause]:
    causes: list[Cause] = []
    entries = status.get(field) or []
    kept = {entry.get("ip") for entry in before.get(field) or ()}
    if field == "hostIPs" and entries and entries[0].get("ip") != status.get("hostIP"):
        causes.append(
            invalid_value(f"status.{field}[0].ip", entries[0].get("ip") or "", "must be equal to `hostIP`")
        )
    families = []
    for index, entry in enumerate(entries):
        text = entry.get("ip") or ""
        try:
            families.append(ipaddress.ip_address(text).version)
        except ValueError:
            if text not in kept:
                detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                causes.append(invalid_value(f"status.{field}[{index}]", text, detail))
    if len(entries) > 1 and sorted(families) != [4, 6]:
        shown = [{"IP": entry.get("ip")} for entry in entries]
        detail = "may specify no more than one IP for each IP family"
        causes.append(invalid_value(f"status.{field}", shown, detail))
    return causes
