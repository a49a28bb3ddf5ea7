"""What may be wrong with the containers of a pod spec."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rackplane.localcluster import names
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

from .amounts import resource_causes
from .handlers import lifecycle_causes, probe_causes

_PULL_POLICIES = ["Always", "IfNotPresent", "Never"]
_RESTART_POLICIES = ["Always", "Never", "OnFailure"]
_PROTOCOLS = ["SCTP", "TCP", "UDP"]
_FIELDS = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
]
_AMOUNTS = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
]
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def containers_causes(spec: Obj, path: str, volumes: Iterable[str], claims: set[str]) -> list[Cause]:
    """Of the containers, then of the init containers. `volumes` and `claims` are the names they may use."""
    regular = spec.get("containers") or []
    if not regular:
        causes = [required(f"{path}.containers")]
    else:
        causes = []
    known = set(volumes)
    seen: set[str] = set()
    for index, container in enumerate(regular):
        where = f"{path}.containers[{index}]"
        causes += _common(container, where, known, claims)
        name = container.get("name") or ""
        if name in seen:
            causes.append(duplicate_value(f"{where}.name", name))
        seen.add(name)
        causes += lifecycle_causes(container, where)
        causes += probe_causes(container, where)
        causes += _restart(container, where)
    causes += _host_ports(regular, f"{path}.containers")
    for index, container in enumerate(spec.get("initContainers") or ()):
        where = f"{path}.initContainers[{index}]"
        causes += _common(container, where, known, claims)
        causes += _restart(container, where)
        name = container.get("name") or ""
        if name in seen:
            causes.append(duplicate_value(f"{where}.name", name))
        elif name:
            seen.add(name)
        causes += _host_ports([container], f"{path}.initContainers")
        if container.get("restartPolicy") == "Always":
            causes += lifecycle_causes(container, where)
            causes += probe_causes(container, where)
            continue
        for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if container.get(field) is not None:
                detail = "may not be set for init containers without restartPolicy=Always"
                causes.append(forbidden_value(f"{where}.{field}", detail))
    return causes


def image_causes(containers: list[Obj], path: str) -> list[Cause]:
    """What a pod, unlike a template, may not have for an image."""
    return [
        invalid_value(f"{path}[{index}].image", image, "must not have leading or trailing whitespace")
        for index, container in enumerate(containers)
        if (image := container.get("image") or "") != image.strip()
    ]


def _common(container: Obj, where: str, volumes: set[str], claims: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    name = container.get("name") or ""
    if not name:
        causes.append(required(f"{where}.name"))
    else:
        causes += [invalid_value(f"{where}.name", name, text) for text in names.dns_label(name)]
    if not container.get("image"):
        causes.append(required(f"{where}.image"))
    policy = container.get("terminationMessagePolicy")
    if policy not in ("File", "FallbackToLogsOnError"):
        known = ["File", "FallbackToLogsOnError"]
        causes.append(unsupported_value(f"{where}.terminationMessagePolicy", policy, known))
    if container.get("ports"):
        causes += _ports(container["ports"], f"{where}.ports")
    if container.get("env"):
        causes += _environment(container["env"], f"{where}.env")
    for index, source in enumerate(container.get("envFrom") or ()):
        causes += _environment_from(source, f"{where}.envFrom", index)
    if container.get("volumeMounts"):
        causes += _mounts(container["volumeMounts"], f"{where}.volumeMounts", volumes)
    pull = container.get("imagePullPolicy")
    if pull not in _PULL_POLICIES:
        causes.append(unsupported_value(f"{where}.imagePullPolicy", pull, list(_PULL_POLICIES)))
    return causes + resource_causes(container.get("resources") or {}, f"{where}.resources", claims)


def _restart(container: Obj, where: str) -> list[Cause]:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if policy is None:
        detail = "must specify restartPolicy when restart rules are used"
        return [required(f"{where}.restartPolicy", detail)] if rules else []
    if policy not in _RESTART_POLICIES:
        return [unsupported_value(f"{where}.restartPolicy", policy, list(_RESTART_POLICIES))]
    return []


def _ports(ports: list[Obj], path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        name, number = port.get("name") or "", port.get("containerPort") or 0
        wrong = names.port_name(name) if name else []
        causes += [invalid_value(f"{where}.name", name, text) for text in wrong]
        if name and not wrong:
            if name in seen:
                causes.append(duplicate_value(f"{where}.name", name))
            seen.add(name)
        if not number:
            causes.append(required(f"{where}.containerPort"))
        else:
            causes += [
                invalid_value(f"{where}.containerPort", number, text) for text in names.port_number(number)
            ]
        if host := port.get("hostPort"):
            causes += [invalid_value(f"{where}.hostPort", host, text) for text in names.port_number(host)]
        if port.get("protocol") not in _PROTOCOLS:
            causes.append(unsupported_value(f"{where}.protocol", port.get("protocol"), list(_PROTOCOLS)))
    return causes


def _host_ports(containers: list[Obj], path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, container in enumerate(containers):
        for place, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            taken = f"{port.get('protocol')}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if taken in seen:
                causes.append(duplicate_value(f"{path}[{index}].ports[{place}].hostPort", taken))
            seen.add(taken)
    return causes


def _environment(variables: list[Obj], path: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, variable in enumerate(variables):
        where = f"{path}[{index}]"
        name = variable.get("name") or ""
        if not name:
            causes.append(required(f"{where}.name"))
        else:
            causes += [invalid_value(f"{where}.name", name, text) for text in names.environment_name(name)]
        if variable.get("valueFrom") is not None:
            causes += _source(variable, f"{where}.valueFrom")
    return causes


def _source(variable: Obj, where: str) -> list[Cause]:
    source = variable["valueFrom"]
    given = [name for name in _SOURCES if source.get(name) is not None]
    causes: list[Cause] = []
    if field := source.get("fieldRef"):
        causes += _field_reference(field, f"{where}.fieldRef")
    if amount := source.get("resourceFieldRef"):
        causes += _amount_reference(amount, f"{where}.resourceFieldRef")
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if reference := source.get(kind):
            causes += _key_reference(reference, f"{where}.{kind}")
    if not given:
        listed = ", ".join(f"`{name}`" for name in _SOURCES[:-1])
        causes.append(invalid_value(where, "", f"must specify one of: {listed} or `{_SOURCES[-1]}`"))
    elif variable.get("value"):
        causes.append(invalid_value(where, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        causes.append(invalid_value(where, "", "may not have more than one field specified at a time"))
    return causes


def _field_reference(reference: Obj, where: str) -> list[Cause]:
    path = str(reference.get("fieldPath") or "")
    if not path:
        return [required(f"{where}.fieldPath")]
    subscripted = path.endswith("']") and path.partition("[")[0] in (
        "metadata.labels",
        "metadata.annotations",
    )
    if path in _FIELDS or subscripted:
        return []
    if path in ("status.phase", "metadata.labels", "metadata.annotations", "spec.restartPolicy"):
        return [unsupported_value(f"{where}.fieldPath", path, list(_FIELDS))]
    detail = f"error converting fieldPath: field label not supported: {path}"
    return [invalid_value(f"{where}.fieldPath", path, detail)]


def _amount_reference(reference: Obj, where: str) -> list[Cause]:
    name = str(reference.get("resource") or "")
    if not name:
        return [required(f"{where}.resource")]
    if name in _AMOUNTS or name.startswith(("requests.hugepages-", "limits.hugepages-")):
        return []
    return [unsupported_value(f"{where}.resource", name, list(_AMOUNTS))]


def _key_reference(reference: Obj, where: str) -> list[Cause]:
    causes = [required(f"{where}.name")] if not reference.get("name") else []
    key = reference.get("key") or ""
    if not key:
        return [*causes, required(f"{where}.key")]
    return causes + [invalid_value(f"{where}.key", key, text) for text in names.config_key(key)]


def _environment_from(source: Obj, path: str, index: int) -> list[Cause]:
    causes: list[Cause] = []
    prefix = source.get("prefix") or ""
    if prefix:
        where = f"{path}[{index}].prefix"
        causes += [invalid_value(where, prefix, text) for text in names.environment_name(prefix)]
    given = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
    for kind in given:
        name = source[kind].get("name") or ""
        where = f"{path}[{index}].{kind}.name"
        if not name:
            causes.append(required(where))
        else:
            causes += [invalid_value(where, name, text) for text in names.dns_subdomain(name)]
    if not given:
        causes.append(invalid_value(path, "", "must specify one of: `configMapRef` or `secretRef`"))
    elif len(given) > 1:
        causes.append(invalid_value(path, "", "may not have more than one field specified at a time"))
    return causes


def _mounts(mounts: list[Obj], path: str, volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    taken: set[Any] = set()
    for index, mount in enumerate(mounts):
        where = f"{path}[{index}]"
        name, target = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            causes.append(required(f"{where}.name"))
        if name not in volumes:
            causes.append(not_found_value(f"{where}.name", name))
        if not target:
            causes.append(required(f"{where}.mountPath"))
        if target in taken:
            causes.append(invalid_value(f"{where}.mountPath", target, "must be unique"))
        taken.add(target)
        for field in ("subPath", "subPathExpr"):
            below = mount.get(field) or ""
            # The index is missing in the path that the real server names.
            if below.startswith("/"):
                causes.append(invalid_value(f"{path}.{field}", below, "must be a relative path"))
            if ".." in below.split("/"):
                causes.append(invalid_value(f"{path}.{field}", below, "must not contain '..'"))
    return causes
