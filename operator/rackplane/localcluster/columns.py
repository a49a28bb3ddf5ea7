"""The columns kubectl shows for built-in kinds (kubernetes `pkg/printers/internalversion`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .objects import Obj, condition, dig, meta, name_of, parse_timestamp
from .resources import EVENTS, JOBS, LEASES, NAMESPACES, NODES, PODS, Resource

Cell = str | int | float | bool | None
Cells = Callable[[Obj], list[Cell]]
NONE = "<none>"


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


def _since(text: Any, now: float) -> str:
    if not text:
        return "<unknown>"
    return age(now - parse_timestamp(str(text)))


def _columns(*entries: tuple[str, str, int]) -> list[Obj]:
    return [
        {
            "name": name,
            "type": kind,
            "format": "name" if index == 0 and name == "Name" else "",
            "description": name,
            "priority": priority,
        }
        for index, (name, kind, priority) in enumerate(entries)
    ]


def builtin_columns(resource: Resource, now: float) -> tuple[list[Obj], Cells]:
    """Column definitions and the row function of a built-in kind; name and age where it has no own ones."""
    if resource.key == PODS:
        return _columns(
            ("Name", "string", 0),
            ("Ready", "string", 0),
            ("Status", "string", 0),
            ("Restarts", "string", 0),
            ("Age", "string", 0),
            ("IP", "string", 1),
            ("Node", "string", 1),
            ("Nominated Node", "string", 1),
            ("Readiness Gates", "string", 1),
        ), lambda pod: _pod(pod, now)
    if resource.key == NODES:
        return _columns(
            ("Name", "string", 0),
            ("Status", "string", 0),
            ("Roles", "string", 0),
            ("Age", "string", 0),
            ("Version", "string", 0),
            ("Internal-IP", "string", 1),
            ("External-IP", "string", 1),
            ("OS-Image", "string", 1),
            ("Kernel-Version", "string", 1),
            ("Container-Runtime", "string", 1),
        ), lambda node: _node(node, now)
    if resource.key == JOBS:
        return _columns(
            ("Name", "string", 0),
            ("Status", "string", 0),
            ("Completions", "string", 0),
            ("Duration", "string", 0),
            ("Age", "string", 0),
            ("Containers", "string", 1),
            ("Images", "string", 1),
            ("Selector", "string", 1),
        ), lambda job: _job(job, now)
    if resource.key == EVENTS:
        return _columns(
            ("Last Seen", "string", 0),
            ("Type", "string", 0),
            ("Reason", "string", 0),
            ("Object", "string", 0),
            ("Subobject", "string", 1),
            ("Source", "string", 1),
            ("Message", "string", 0),
            ("First Seen", "string", 1),
            ("Count", "string", 1),
            ("Name", "string", 1),
        ), lambda event: _event(event, now)
    if resource.key == LEASES:
        return _columns(("Name", "string", 0), ("Holder", "string", 0), ("Age", "string", 0)), lambda lease: [
            name_of(lease),
            str(dig(lease, "spec", "holderIdentity") or ""),
            _created(lease, now),
        ]
    if resource.key == NAMESPACES:
        return _columns(("Name", "string", 0), ("Status", "string", 0), ("Age", "string", 0)), lambda obj: [
            name_of(obj),
            str(dig(obj, "status", "phase") or ""),
            _created(obj, now),
        ]
    if resource.plural == "configmaps":
        return _columns(("Name", "string", 0), ("Data", "string", 0), ("Age", "string", 0)), lambda obj: [
            name_of(obj),
            len(obj.get("data") or {}) + len(obj.get("binaryData") or {}),
            _created(obj, now),
        ]
    if resource.plural == "secrets":
        return _columns(
            ("Name", "string", 0), ("Type", "string", 0), ("Data", "string", 0), ("Age", "string", 0)
        ), lambda obj: [name_of(obj), str(obj.get("type")), len(obj.get("data") or {}), _created(obj, now)]
    if resource.plural == "priorityclasses":
        return _columns(
            ("Name", "string", 0),
            ("Value", "integer", 0),
            ("Global-Default", "boolean", 0),
            ("Age", "string", 0),
            ("PreemptionPolicy", "string", 0),
        ), lambda obj: [
            name_of(obj),
            int(obj.get("value") or 0),
            bool(obj.get("globalDefault")),
            _created(obj, now),
            str(obj.get("preemptionPolicy") or ""),
        ]
    if resource.plural == "resourceclaims":
        return _columns(("Name", "string", 0), ("State", "string", 0), ("Age", "string", 0)), lambda obj: [
            name_of(obj),
            _claim_state(obj),
            _created(obj, now),
        ]
    if resource.plural == "customresourcedefinitions":
        return _columns(("Name", "string", 0), ("Created At", "date", 0)), lambda obj: [
            name_of(obj),
            str(meta(obj).get("creationTimestamp")),
        ]
    return _columns(("Name", "string", 0), ("Age", "string", 0)), lambda obj: [
        name_of(obj),
        _created(obj, now),
    ]


def _created(obj: Obj, now: float) -> str:
    return _since(meta(obj).get("creationTimestamp"), now)


def _claim_state(claim: Obj) -> str:
    states = []
    if meta(claim).get("deletionTimestamp"):
        states.append("deleted")
    if dig(claim, "status", "allocation") is not None:
        states.append("allocated")
    if dig(claim, "status", "reservedFor"):
        states.append("reserved")
    return ",".join(states) or "pending"


def pod_status(pod: Obj) -> str:
    """The STATUS column of a pod."""
    status = pod.get("status") or {}
    reason = str(status.get("reason") or status.get("phase") or "")
    scheduled = condition(pod, "PodScheduled")
    if scheduled and scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        reason = (
            waiting.get("reason")
            or ended.get("reason")
            or (f"ExitCode:{ended['exitCode']}" if ended.get("exitCode") else reason)
        )
    if meta(pod).get("deletionTimestamp") and status.get("reason") == "NodeLost":
        return "Unknown"
    if meta(pod).get("deletionTimestamp") and status.get("phase") not in ("Succeeded", "Failed"):
        return "Terminating"
    return reason


def _pod(pod: Obj, now: float) -> list[Cell]:
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    containers = status.get("containerStatuses") or []
    ready = sum(bool(entry.get("ready")) for entry in containers)
    restarts = sum(int(entry.get("restartCount") or 0) for entry in containers)
    gates = [gate.get("conditionType") for gate in spec.get("readinessGates") or ()]
    met = sum((condition(pod, str(gate)) or {}).get("status") == "True" for gate in gates)
    return [
        name_of(pod),
        f"{ready}/{len(spec.get('containers') or ())}",
        pod_status(pod),
        str(restarts),
        _created(pod, now),
        status.get("podIP") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        f"{met}/{len(gates)}" if gates else NONE,
    ]


def _node(node: Obj, now: float) -> list[Cell]:
    ready = condition(node, "Ready")
    status = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    if dig(node, "spec", "unschedulable"):
        status += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = sorted(
        key.removeprefix(prefix) for key in meta(node).get("labels") or {} if key.startswith(prefix)
    )
    info = dig(node, "status", "nodeInfo") or {}
    addresses = {entry.get("type"): entry.get("address") for entry in dig(node, "status", "addresses") or ()}
    return [
        name_of(node),
        status,
        ",".join(roles) or NONE,
        _created(node, now),
        str(info.get("kubeletVersion") or ""),
        addresses.get("InternalIP") or NONE,
        addresses.get("ExternalIP") or NONE,
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _job(job: Obj, now: float) -> list[Cell]:
    spec, status = job.get("spec") or {}, job.get("status") or {}
    succeeded = int(status.get("succeeded") or 0)
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    elif (spec.get("parallelism") or 1) > 1:
        completions = f"{succeeded}/1 of {spec['parallelism']}"
    else:
        completions = f"{succeeded}/1"
    duration = ""
    if status.get("startTime"):
        end = parse_timestamp(status["completionTime"]) if status.get("completionTime") else now
        duration = age(end - parse_timestamp(status["startTime"]))
    state = "Running"
    if _true(job, "Complete"):
        state = "Complete"
    elif _true(job, "Failed"):
        state = "Failed"
    elif meta(job).get("deletionTimestamp"):
        state = "Terminating"
    elif _true(job, "Suspended"):
        state = "Suspended"
    elif _true(job, "FailureTarget"):
        state = "FailureTarget"
    elif _true(job, "SuccessCriteriaMet"):
        state = "SuccessCriteriaMet"
    containers = dig(spec, "template", "spec", "containers") or ()
    selector = dig(spec, "selector", "matchLabels") or {}
    return [
        name_of(job),
        state,
        completions,
        duration,
        _created(job, now),
        ",".join(str(c.get("name")) for c in containers),
        ",".join(str(c.get("image")) for c in containers),
        ",".join(f"{key}={value}" for key, value in sorted(selector.items())),
    ]


def _true(obj: Obj, kind: str) -> bool:
    return (condition(obj, kind) or {}).get("status") == "True"


def _event(event: Obj, now: float) -> list[Cell]:
    about = event.get("involvedObject") or event.get("regarding") or {}
    first = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")
    last = (
        event.get("lastTimestamp")
        or event.get("deprecatedLastTimestamp")
        or dig(event, "series", "lastObservedTime")
    )
    count = int(event.get("count") or event.get("deprecatedCount") or dig(event, "series", "count") or 1)
    source = (
        dig(event, "source", "component")
        or event.get("reportingComponent")
        or event.get("reportingController")
        or ""
    )
    message = str(event.get("message") or event.get("note") or "").strip()
    return [
        _since(last or first, now),
        str(event.get("type") or ""),
        str(event.get("reason") or ""),
        f"{str(about.get('kind') or '').lower()}/{about.get('name')}",
        str(about.get("fieldPath") or ""),
        str(source),
        message,
        _since(first or last, now),
        count,
        name_of(event),
    ]
