"""What may be wrong with the probes and lifecycle hooks of a container."""

from __future__ import annotations

from typing import Any

from rackplane.localcluster import names
from rackplane.localcluster.errors import Cause, forbidden_value, invalid_value, required, unsupported_value
from rackplane.localcluster.objects import Obj

_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_KINDS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


def probe_causes(container: Obj, where: str) -> list[Cause]:
    """Of the three probes of a container."""
    causes: list[Cause] = []
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(field)
        if probe is None:
            continue
        path = f"{where}.{field}"
        causes += _handler(probe, path)
        for count in _COUNTS:
            value = probe.get(count) or 0
            if value < 0:
                causes.append(invalid_value(f"{path}.{count}", value, "must be greater than or equal to 0"))
        grace = probe.get("terminationGracePeriodSeconds")
        if grace is not None and grace <= 0:
            causes.append(
                invalid_value(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
            )
        if field == "readinessProbe":
            if grace is not None:
                detail = "must not be set for readinessProbes"
                causes.append(invalid_value(f"{path}.terminationGracePeriodSeconds", grace, detail))
        elif probe.get("successThreshold") != 1:
            causes.append(
                invalid_value(f"{path}.successThreshold", probe.get("successThreshold"), "must be 1")
            )
    return causes


def lifecycle_causes(container: Obj, where: str) -> list[Cause]:
    """Of the hooks of a container."""
    lifecycle = container.get("lifecycle") or {}
    causes: list[Cause] = []
    for field in ("postStart", "preStop"):
        if lifecycle.get(field) is not None:
            causes += _handler(lifecycle[field], f"{where}.lifecycle.{field}")
    return causes


def _handler(handler: Obj, where: str) -> list[Cause]:
    causes: list[Cause] = []
    first = True
    for kind in _KINDS:
        action = handler.get(kind)
        if action is None:
            continue
        path = f"{where}.{kind}"
        if not first:
            causes.append(forbidden_value(path, "may not specify more than 1 handler type"))
            continue
        first = False
        if kind == "exec" and not action.get("command"):
            causes.append(required(f"{path}.command"))
        elif kind == "httpGet":
            causes += _port(action.get("port"), f"{path}.port")
            if action.get("scheme") not in ("HTTP", "HTTPS"):
                causes.append(unsupported_value(f"{path}.scheme", action.get("scheme"), ["HTTP", "HTTPS"]))
        elif kind in ("tcpSocket", "grpc"):
            causes += _port(action.get("port"), f"{path}.port")
    if first:
        causes.append(required(where, "must specify a handler type"))
    return causes


def _port(port: Any, where: str) -> list[Cause]:
    if isinstance(port, str):
        return [invalid_value(where, port, text) for text in names.port_name(port)]
    return [invalid_value(where, port or 0, text) for text in names.port_number(port or 0)]
