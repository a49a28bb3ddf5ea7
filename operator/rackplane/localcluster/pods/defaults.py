"""Defaults of a pod spec, in a pod or in a template, and those only a pod gets. All in place."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from rackplane.localcluster import quantities
from rackplane.localcluster.errors import bad_request
from rackplane.localcluster.objects import Obj

#: Fields that Go leaves out when they are empty, and a client may tell absent from empty.
_OMITTED_EMPTY = (
    "schedulingGates",
    "nodeSelector",
    "tolerations",
    "initContainers",
    "volumes",
    "imagePullSecrets",
    "resourceClaims",
    "topologySpreadConstraints",
)
_DEFAULT_MODE = 0o644
_HOUR = 3600
#: Amounts of resources are rounded up to this.
_MILLI = Fraction(1, 1000)


def default_template(spec: Obj, of: str = "Pod") -> None:
    """Defaults of a pod spec wherever it stands, in a Pod or `of` another kind of the version v1.

    Raises:
        ApiError: 400, a quantity cannot be read.
    """
    try:
        _default_template(spec)
    except ValueError as problem:
        raise bad_request(f'{of} in version "v1" cannot be handled as a {of}: {problem}') from problem


def _default_template(spec: Obj) -> None:
    for field, value in (
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ):
        if not spec.get(field):
            spec[field] = value
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    # The older name of the field is kept equal for old clients; it counts only where the newer one is not set.
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for field in _OMITTED_EMPTY:
        if field in spec and not spec[field]:
            del spec[field]
    for container in containers(spec):
        _default_container(container)
    for volume in spec.get("volumes") or ():
        if isinstance(volume, dict):
            _default_volume(volume)
    if isinstance(spec.get("overhead"), dict):
        spec["overhead"] = _canonical(spec["overhead"])
    if isinstance(spec.get("resources"), dict):
        _canonical_resources(spec["resources"])


def default_pod(spec: Obj) -> None:
    """Defaults of a pod that its template does not get."""
    for container in containers(spec):
        resources = container["resources"]
        if resources.get("limits"):
            resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
    if isinstance(spec.get("resources"), dict):
        _default_pod_resources(spec)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        for container in containers(spec):
            for port in container.get("ports") or ():
                port["hostPort"] = port.get("hostPort") or port.get("containerPort")


def containers(spec: Obj) -> Iterator[Obj]:
    """The init containers and containers of a pod spec."""
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            if isinstance(container, dict):
                yield container


def _default_container(container: Obj) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = (
            "Always" if _is_latest(str(container.get("image") or "")) else "IfNotPresent"
        )
    if container.get("resources") is None:
        container["resources"] = {}
    _canonical_resources(container["resources"])
    for field, value in (
        ("terminationMessagePath", "/dev/termination-log"),
        ("terminationMessagePolicy", "File"),
    ):
        if not container.get(field):
            container[field] = value
    for port in container.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") if isinstance(variable, dict) else None
        if isinstance(source, dict):
            _default_selectors(source)
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(field), dict):
            _default_probe(container[field])
    lifecycle = container.get("lifecycle")
    for hook in (lifecycle or {}).values() if isinstance(lifecycle, dict) else ():
        if isinstance(hook, dict):
            _default_handler(hook)


def _is_latest(image: str) -> bool:
    if "@" in image:
        return False
    name = image.rpartition("/")[2]
    return ":" not in name or name.rpartition(":")[2] == "latest"


def _default_probe(probe: Obj) -> None:
    for field, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not probe.get(field):
            probe[field] = value
    _default_handler(probe)


def _default_handler(handler: Obj) -> None:
    http, grpc = handler.get("httpGet"), handler.get("grpc")
    if isinstance(http, dict):
        http["path"] = http.get("path") or "/"
        http["scheme"] = http.get("scheme") or "HTTP"
    if isinstance(grpc, dict) and grpc.get("service") is None:
        grpc["service"] = ""


def _default_selectors(source: Obj) -> None:
    """Of an environment variable's source or a downward API file: references to fields and to resources."""
    field, resource = source.get("fieldRef"), source.get("resourceFieldRef")
    if isinstance(field, dict):
        field["apiVersion"] = field.get("apiVersion") or "v1"
    if isinstance(resource, dict):
        resource["divisor"] = _canonical_one(resource.get("divisor") or "0")


def _default_volume(volume: Obj) -> None:
    sources = [name for name, value in volume.items() if name != "name" and value is not None]
    if not sources:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        source = volume.get(name)
        if isinstance(source, dict) and source.get("defaultMode") is None:
            source["defaultMode"] = _DEFAULT_MODE
    empty, host = volume.get("emptyDir"), volume.get("hostPath")
    if isinstance(empty, dict) and empty.get("sizeLimit") is not None:
        empty["sizeLimit"] = _canonical_one(empty["sizeLimit"])
    if isinstance(host, dict) and host.get("type") is None:
        host["type"] = ""
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        _default_selectors(item)
    for source in (volume.get("projected") or {}).get("sources") or ():
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            _default_selectors(item)
        token = source.get("serviceAccountToken")
        if isinstance(token, dict) and token.get("expirationSeconds") is None:
            token["expirationSeconds"] = _HOUR


def _default_pod_resources(spec: Obj) -> None:
    """Requests of the whole pod: the sum of its containers' where they have any, its limits elsewhere."""
    resources = spec["resources"]
    limits = dict(resources.get("limits") or {})
    requests = dict(resources.get("requests") or {})
    if limits or requests:
        for name, amount in quantities.container_limits(spec).items():
            if name.startswith("hugepages-") and name not in requests and name not in limits:
                limits[name] = quantities.write(amount)
    if limits:
        for name, amount in quantities.container_requests(spec).items():
            if name in ("cpu", "memory") and name not in requests:
                requests[name] = quantities.write(amount)
        for name, text in limits.items():
            if name in ("cpu", "memory") or name.startswith("hugepages-"):
                requests.setdefault(name, text)
        resources["limits"] = limits
        if requests:
            resources["requests"] = requests


def _canonical_resources(resources: Obj) -> None:
    for kind in ("limits", "requests"):
        if resources.get(kind):
            resources[kind] = _canonical(resources[kind])
        else:
            resources.pop(kind, None)


def _canonical(amounts: Obj) -> Obj:
    return {name: quantities.canonical(str(amount), finest=_MILLI) for name, amount in amounts.items()}


def _canonical_one(amount: Any) -> str:
    """A quantity may be written as a number, and is answered as text in its shortest form."""
    return quantities.canonical(str(amount))
