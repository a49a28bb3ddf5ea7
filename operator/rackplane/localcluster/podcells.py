"""What kubectl shows of the state of a pod: how many containers are ready, what it does, how often it restarted."""

from __future__ import annotations

from typing import Any

from .objects import Obj, condition, meta


def pod_cells(pod: Obj) -> tuple[str, str, int, str]:
    """READY, STATUS, the number of restarts, and when the last container ended that was restarted ('' if none)."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = {
        container.get("name")
        for container in spec.get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    total = len(spec.get("containers") or ()) + len(sidecars)
    scheduled = condition(pod, "PodScheduled") or {}
    reason = str(status.get("reason") or status.get("phase") or "")
    if scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    first = status.get("initContainerStatuses") or []
    stuck, ready = _initialization(first, sidecars, len(spec.get("initContainers") or ()))
    counted = first
    if not stuck or (condition(pod, "Initialized") or {}).get("status") == "True":
        running = status.get("containerStatuses") or []
        counted = [entry for entry in first if entry.get("name") in sidecars] + running
        reason, up = _containers(running, reason, pod)
        ready += up
    else:
        reason = stuck
    if meta(pod).get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            reason = "Terminating"
    restarts = sum(int(entry.get("restartCount") or 0) for entry in counted)
    ends = [
        ((entry.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or "" for entry in counted
    ]
    return f"{ready}/{total}", reason, restarts, max(ends, default="")


def _ended(state: Obj, prefix: str = "") -> str:
    if state.get("reason"):
        return f"{prefix}{state['reason']}"
    if state.get("signal"):
        return f"{prefix}Signal:{state['signal']}"
    return f"{prefix}ExitCode:{state.get('exitCode') or 0}"


def _initialization(statuses: list[Obj], sidecars: set[Any], total: int) -> tuple[str, int]:
    """What initialization is stuck at ('' if at nothing), and the sidecars that are ready."""
    ready = 0
    for index, entry in enumerate(statuses):
        state = entry.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated")
        if ended is not None and not ended.get("exitCode"):
            continue
        if entry.get("name") in sidecars and entry.get("started"):
            ready += bool(entry.get("ready"))
            continue
        if ended is not None:
            return _ended(ended, "Init:"), ready
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}", ready
        return f"Init:{index}/{total}", ready
    return "", ready


def _containers(statuses: list[Obj], reason: str, pod: Obj) -> tuple[str, int]:
    ready, running, failure = 0, False, ""
    for entry in reversed(statuses):
        state = entry.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif ended is not None:
            reason = _ended(ended)
            failure = reason if ended.get("exitCode") else failure
        elif entry.get("ready") and state.get("running") is not None:
            running = True
            ready += 1
    if reason == "Completed":
        if running and (condition(pod, "Ready") or {}).get("status") == "True":
            reason = "Running"
        elif failure:
            reason = failure
        elif running:
            reason = "NotReady"
    return reason, ready
