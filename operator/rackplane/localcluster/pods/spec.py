"""What is wrong with a pod spec, in the order the API server tells it."""

from __future__ import annotations

from rackplane.localcluster import names
from rackplane.localcluster.errors import Cause, forbidden_value, invalid_value, required, unsupported_value
from rackplane.localcluster.objects import LARGEST_INT32, Obj

from .amounts import pod_causes, quantity_causes
from .containers import containers_causes, image_causes
from .placement import (
    affinity_causes,
    claim_causes,
    gate_causes,
    label_causes,
    spread_causes,
    toleration_causes,
)
from .volumes import volume_causes

_RESTART_POLICIES = ["Always", "OnFailure", "Never"]
_DNS_POLICIES = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]


def spec_causes(spec: Obj, path: str) -> list[Cause]:
    """Of a pod spec with its defaults, in a pod or in a template.

    Raises:
        ApiError: 501, it has volumes of a kind that is not known here.
    """
    causes, volumes = volume_causes(spec.get("volumes") or [], f"{path}.volumes")
    claims = spec.get("resourceClaims") or []
    causes += claim_causes(claims, f"{path}.resourceClaims")
    names_of_claims = {str(claim["name"]) for claim in claims if claim.get("name")}
    causes += containers_causes(spec, path, volumes, names_of_claims)
    causes += pod_causes(spec, path)
    for field, known in (("restartPolicy", _RESTART_POLICIES), ("dnsPolicy", _DNS_POLICIES)):
        if spec.get(field) not in known:
            causes.append(unsupported_value(f"{path}.{field}", spec.get(field), list(known)))
    if spec.get("nodeSelector"):
        causes += label_causes(spec["nodeSelector"], f"{path}.nodeSelector")
    causes += _identities(spec.get("securityContext") or {}, f"{path}.securityContext")
    if spec.get("affinity"):
        causes += affinity_causes(spec["affinity"], f"{path}.affinity")
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        kind = gate.get("conditionType") or ""
        where = f"{path}.readinessGates[{index}].conditionType"
        causes += [invalid_value(where, kind, text) for text in names.qualified_name(kind)]
    if spec.get("schedulingGates"):
        causes += gate_causes(spec["schedulingGates"], f"{path}.schedulingGates")
    if spec.get("topologySpreadConstraints"):
        causes += spread_causes(spec["topologySpreadConstraints"], f"{path}.topologySpreadConstraints")
    for field in ("serviceAccountName", "nodeName"):
        if value := spec.get(field):
            causes += [invalid_value(f"{path}.{field}", value, text) for text in names.dns_subdomain(value)]
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= LARGEST_INT32:
        detail = f"must be between 1 and {LARGEST_INT32}, inclusive"
        causes.append(invalid_value(f"{path}.activeDeadlineSeconds", deadline, detail))
    for field in ("hostname", "subdomain"):
        if value := spec.get(field):
            causes += [invalid_value(f"{path}.{field}", value, text) for text in names.dns_label(value)]
    if spec.get("tolerations"):
        causes += toleration_causes(spec["tolerations"], f"{path}.tolerations")
    for field in ("priorityClassName", "runtimeClassName"):
        if value := spec.get(field):
            causes += [invalid_value(f"{path}.{field}", value, text) for text in names.dns_subdomain(value)]
    if spec.get("preemptionPolicy") not in (None, "PreemptLowerPriority", "Never"):
        known = ["PreemptLowerPriority", "Never"]
        causes.append(unsupported_value(f"{path}.preemptionPolicy", spec["preemptionPolicy"], known))
    return causes


def pod_spec_causes(spec: Obj) -> list[Cause]:
    """Of the spec of a pod itself.

    Raises:
        ApiError: 501.
    """
    causes = spec_causes(spec, "spec")
    if spec.get("hostNetwork"):
        for index, container in enumerate(spec.get("containers") or ()):
            for place, port in enumerate(container.get("ports") or ()):
                host = port.get("hostPort") or 0
                if host != port.get("containerPort"):
                    where = f"spec.containers[{index}].ports[{place}].hostPort"
                    detail = "must match `containerPort` when `hostNetwork` is true"
                    causes.append(invalid_value(where, host, detail))
    for field in ("containers", "initContainers"):
        causes += image_causes(spec.get(field) or [], f"spec.{field}")
    return causes


def new_pod_causes(spec: Obj) -> list[Cause]:
    """Of the spec of a pod that is to be created.

    Raises:
        ApiError: 501.
    """
    causes = pod_spec_causes(spec)
    if spec.get("ephemeralContainers"):
        causes.append(forbidden_value("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        detail = "cannot be set until all schedulingGates have been cleared"
        causes.append(forbidden_value("spec.nodeName", detail))
    return causes


def _identities(context: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for field in ("fsGroup", "runAsUser", "runAsGroup"):
        value = context.get(field)
        if value is not None and not 0 <= value <= LARGEST_INT32:
            detail = f"must be between 0 and {LARGEST_INT32}, inclusive"
            causes.append(invalid_value(f"{path}.{field}", value, detail))
    return causes


__all__ = ["new_pod_causes", "pod_spec_causes", "quantity_causes", "required", "spec_causes"]
