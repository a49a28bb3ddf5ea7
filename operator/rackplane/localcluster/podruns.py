"""A pod's run as node agents play it: how long it takes, how it ends, and which status says so."""

from __future__ import annotations

from .objects import Obj, dig, meta, parse_timestamp, timestamp

#: Seconds a pod runs, such as "2.5"; without it a pod runs until it is deleted.
RUN_SECONDS = "localcluster.rackplane.dev/run-seconds"
#: Exit code of its containers, "0" by default; another makes the pod Failed.
EXIT_CODE = "localcluster.rackplane.dev/exit-code"


def running_status(pod: Obj, now: float, *, address: str = "10.0.0.1") -> Obj:
    """The status patch that starts a pod: Running, Ready, with the time it started (seconds since the epoch)."""
    when = timestamp(now)
    containers = [
        _container(container, {"running": {"startedAt": when}}, ready=True)
        for container in dig(pod, "spec", "containers") or ()
    ]
    ready = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")
    conditions = [
        {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": when} for kind in ready
    ]
    return {
        "phase": "Running",
        "startTime": when,
        "hostIP": address,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": conditions,
        "containerStatuses": containers,
    }


def ended_status(pod: Obj, now: float, *, exit_code: int) -> Obj:
    """The status patch that ends a pod with an exit code."""
    when = timestamp(now)
    reason = "Completed" if exit_code == 0 else "Error"
    started = started_at(pod)
    ended: Obj = {"exitCode": exit_code, "reason": reason, "finishedAt": when}
    ended["startedAt"] = when if started is None else timestamp(started)
    containers = [
        _container(container, {"terminated": ended}, ready=False)
        for container in dig(pod, "spec", "containers") or ()
    ]
    why = "PodCompleted" if exit_code == 0 else "PodFailed"
    conditions = [
        {"type": kind, "status": "False", "reason": why, "lastProbeTime": None, "lastTransitionTime": when}
        for kind in ("ContainersReady", "Ready")
    ]
    phase = "Succeeded" if exit_code == 0 else "Failed"
    return {"phase": phase, "conditions": conditions, "containerStatuses": containers}


def _container(container: Obj, state: Obj, *, ready: bool) -> Obj:
    image = str(container.get("image"))
    return {
        "name": container.get("name"),
        "image": image,
        "imageID": image,
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "state": state,
        "containerID": f"rackplane://{container.get('name')}",
    }


def started_at(pod: Obj) -> float | None:
    """When the first container of a pod started, in seconds since the epoch; None before it did."""
    for entry in dig(pod, "status", "containerStatuses") or ():
        found = dig(entry, "state", "running", "startedAt")
        if found:
            return parse_timestamp(found)
    return None


def run_seconds(pod: Obj) -> float | None:
    """How long a pod runs; None (until deleted) without the annotation or when it is no number."""
    text = (meta(pod).get("annotations") or {}).get(RUN_SECONDS)
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None


def exit_code(pod: Obj) -> int:
    """The exit code a pod's annotation asks for; 0 without one, 1 when it is no number."""
    text = (meta(pod).get("annotations") or {}).get(EXIT_CODE, "0")
    return int(text) if text.lstrip("-").isdigit() else 1
