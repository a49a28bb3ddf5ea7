"""The cells kubectl shows for built-in kinds (kubernetes `pkg/printers/internalversion`).

Their columns, with what the server says they mean, are data: `columns.json`, which `tests/tools/record_columns.py`
writes from a real server.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from .objects import Obj, condition, dig, meta, name_of, parse_timestamp
from .podcells import pod_cells
from .resources import Resource

Cell = str | int | float | bool | None
Cells = Callable[[Obj, float], list[Cell]]
NONE = "<none>"


@cache
def _definitions() -> dict[str, list[Obj]]:
    text = files(__package__).joinpath("columns.json").read_text(encoding="utf-8")
    found: dict[str, list[Obj]] = json.loads(text)
    return found


def builtin_columns(resource: Resource) -> tuple[list[Obj], Cells]:
    """Column definitions and the row function of a built-in kind; name and creation where it has no own ones."""
    key = f"{resource.plural}.{resource.group}".rstrip(".")
    definitions = _definitions()
    return definitions.get(key, definitions["roles.rbac.authorization.k8s.io"]), _CELLS.get(
        resource.plural, _created
    )


def age(seconds: float) -> str:
    """A duration as kubectl writes it: `37s`, `5m2s`, `3h12m`, `2d4h`, `400d`."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    total = max(0, total)
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    if days < 2920:
        years, rest = divmod(days, 365)
        return f"{years}y{rest}d" if rest else f"{years}y"
    return f"{days // 365}y"


def since(text: Any, now: float) -> str:
    """The age of a time, given in the form of the API."""
    return age(now - parse_timestamp(str(text))) if text else "<unknown>"


def _age(obj: Obj, now: float) -> str:
    return since(meta(obj).get("creationTimestamp"), now)


def _created(obj: Obj, _: float) -> list[Cell]:
    return [name_of(obj), meta(obj).get("creationTimestamp")]


def _pod(pod: Obj, now: float) -> list[Cell]:
    ready, status, restarts, last = pod_cells(pod)
    spec, state = pod.get("spec") or {}, pod.get("status") or {}
    gates = [gate.get("conditionType") for gate in spec.get("readinessGates") or ()]
    met = sum((condition(pod, str(gate)) or {}).get("status") == "True" for gate in gates)
    addresses = state.get("podIPs") or [{}]
    return [
        name_of(pod),
        ready,
        status,
        f"{restarts} ({since(last, now)} ago)" if restarts and last else str(restarts),
        _age(pod, now),
        addresses[0].get("ip") or NONE,
        spec.get("nodeName") or NONE,
        state.get("nominatedNodeName") or NONE,
        f"{met}/{len(gates)}" if gates else NONE,
    ]


def _node(node: Obj, now: float) -> list[Cell]:
    ready = condition(node, "Ready")
    status = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    if dig(node, "spec", "unschedulable"):
        status += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = meta(node).get("labels") or {}
    roles = {key.removeprefix(prefix) for key in labels if key.startswith(prefix) and key != prefix}
    roles |= {labels["kubernetes.io/role"]} if labels.get("kubernetes.io/role") else set()
    info = dig(node, "status", "nodeInfo") or {}
    addresses: dict[str, str] = {}
    for entry in dig(node, "status", "addresses") or ():
        addresses.setdefault(entry.get("type"), entry.get("address"))
    kernel = info.get("kernelVersion") or "<unknown>"
    return [
        name_of(node),
        status,
        ",".join(sorted(roles)) or NONE,
        _age(node, now),
        info.get("kubeletVersion") or "",
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or "<unknown>",
        f"{kernel} ({info['architecture']})" if info.get("architecture") else kernel,
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _job(job: Obj, now: float) -> list[Cell]:
    spec, status = job.get("spec") or {}, job.get("status") or {}
    succeeded = int(status.get("succeeded") or 0)
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    elif (spec.get("parallelism") or 0) > 1:
        completions = f"{succeeded}/1 of {spec['parallelism']}"
    else:
        completions = f"{succeeded}/1"
    duration = ""
    if status.get("startTime"):
        end = parse_timestamp(status["completionTime"]) if status.get("completionTime") else now
        duration = age(end - parse_timestamp(status["startTime"]))
    containers = dig(spec, "template", "spec", "containers") or ()
    return [
        name_of(job),
        _job_status(job),
        completions,
        duration,
        _age(job, now),
        ",".join(str(c.get("name")) for c in containers),
        ",".join(str(c.get("image")) for c in containers),
        _selector(spec.get("selector") or {}),
    ]


def _job_status(job: Obj) -> str:
    for kind in ("Complete", "Failed"):
        if (condition(job, kind) or {}).get("status") == "True":
            return kind
    if meta(job).get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if (condition(job, kind) or {}).get("status") == "True":
            return kind
    return "Running"


def _selector(selector: Obj) -> str:
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for entry in selector.get("matchExpressions") or ():
        key, values = entry["key"], ",".join(sorted(entry.get("values") or ()))
        match entry["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(sorted(parts)) or NONE


def _event(event: Obj, now: float) -> list[Cell]:
    about = event.get("involvedObject") or event.get("regarding") or {}
    first = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")
    last = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp") or first
    count = event.get("count") or event.get("deprecatedCount") or 1
    if series := event.get("series"):
        last, count = series.get("lastObservedTime"), series.get("count") or 0
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = (
        source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    )
    instance = source.get("host") or event.get("reportingInstance") or ""
    kind = str(about.get("kind") or "").lower()
    return [
        since(last, now),
        str(event.get("type") or ""),
        str(event.get("reason") or ""),
        f"{kind}/{about['name']}" if about.get("name") else kind,
        str(about.get("fieldPath") or ""),
        f"{component}, {instance}" if instance else component,
        str(event.get("message") or event.get("note") or "").strip(),
        since(first, now),
        int(count),
        name_of(event),
    ]


def _binding(binding: Obj, now: float) -> list[Cell]:
    role, subjects = binding.get("roleRef") or {}, binding.get("subjects") or ()
    found: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in subjects:
        name = str(subject.get("name"))
        if subject.get("kind") == "ServiceAccount":
            name = f"{subject.get('namespace') or ''}/{name}"
        found.setdefault(str(subject.get("kind")), []).append(name)
    return [
        name_of(binding),
        f"{role.get('kind')}/{role.get('name')}",
        _age(binding, now),
        *(", ".join(found[kind]) for kind in ("User", "Group", "ServiceAccount")),
    ]


def _budget(budget: Obj, now: float) -> list[Cell]:
    bounds = [dig(budget, "spec", field) for field in ("minAvailable", "maxUnavailable")]
    shown: list[Cell] = ["N/A" if bound is None else str(bound) for bound in bounds]
    return [name_of(budget), *shown, int(dig(budget, "status", "disruptionsAllowed") or 0), _age(budget, now)]


def _claim(claim: Obj, now: float) -> list[Cell]:
    states = ["deleted"] if meta(claim).get("deletionTimestamp") else []
    if dig(claim, "status", "allocation") is not None:
        states += ["allocated", *(["reserved"] if dig(claim, "status", "reservedFor") else [])]
    elif not states:
        states.append("pending")
    return [name_of(claim), ",".join(states), _age(claim, now)]


def _service(service: Obj, now: float) -> list[Cell]:
    spec = service.get("spec") or {}
    kind = spec.get("type") or ""
    outside = ",".join(spec.get("externalIPs") or ())
    external = {"LoadBalancer": outside or "<pending>", "ExternalName": spec.get("externalName") or ""}
    ports = [
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol') or 'TCP'}"
        for port in spec.get("ports") or ()
    ]
    chosen = ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items()))
    addresses = spec.get("clusterIPs") or [NONE]
    shown = external.get(kind, outside or NONE)
    return [
        name_of(service),
        kind,
        addresses[0],
        shown,
        ",".join(ports) or NONE,
        _age(service, now),
        chosen or NONE,
    ]


def _policy(what: str) -> Cells:
    def cells(policy: Obj, now: float) -> list[Cell]:
        kind = dig(policy, "spec", "paramKind")
        shown = f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else "<unset>"
        return [name_of(policy), len(dig(policy, "spec", what) or ()), shown, _age(policy, now)]

    return cells


def _policy_binding(binding: Obj, now: float) -> list[Cell]:
    params = dig(binding, "spec", "paramRef") or {}
    shown = f"{params.get('namespace') or '*'}/{params['name']}" if params.get("name") else "<unset>"
    return [name_of(binding), dig(binding, "spec", "policyName") or "", shown, _age(binding, now)]


def _just(*path: str, empty: Cell = "") -> Cells:
    """A kind of one column between name and age."""
    return lambda obj, now: [name_of(obj), dig(obj, *path) or empty, _age(obj, now)]


_CELLS: dict[str, Cells] = {
    "pods": _pod,
    "nodes": _node,
    "jobs": _job,
    "events": _event,
    "leases": _just("spec", "holderIdentity"),
    "namespaces": _just("status", "phase"),
    "configmaps": lambda obj, now: [
        name_of(obj),
        len(obj.get("data") or {}) + len(obj.get("binaryData") or {}),
        _age(obj, now),
    ],
    "secrets": lambda obj, now: [
        name_of(obj),
        str(obj.get("type") or ""),
        len(obj.get("data") or {}),
        _age(obj, now),
    ],
    "services": _service,
    "priorityclasses": lambda obj, now: [
        name_of(obj),
        int(obj.get("value") or 0),
        bool(obj.get("globalDefault")),
        _age(obj, now),
        str(obj.get("preemptionPolicy") or ""),
    ],
    "poddisruptionbudgets": _budget,
    "rolebindings": _binding,
    "clusterrolebindings": _binding,
    "resourceclaims": _claim,
    "resourceslices": lambda obj, now: [
        name_of(obj),
        dig(obj, "spec", "nodeName") or "",
        dig(obj, "spec", "driver") or "",
        dig(obj, "spec", "pool", "name") or "",
        _age(obj, now),
    ],
    "validatingadmissionpolicies": _policy("validations"),
    "mutatingadmissionpolicies": _policy("mutations"),
    "validatingadmissionpolicybindings": _policy_binding,
    "mutatingadmissionpolicybindings": _policy_binding,
    **{
        kind: lambda obj, now: [name_of(obj), len(obj.get("webhooks") or ()), _age(obj, now)]
        for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
    },
    **{
        kind: lambda obj, now: [name_of(obj), _age(obj, now)]
        for kind in ("serviceaccounts", "deviceclasses", "resourceclaimtemplates")
    },
}
