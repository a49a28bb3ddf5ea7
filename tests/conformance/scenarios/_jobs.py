"""Jobs and their pods as the scenarios write them: objects, and the steps that move them."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, delete, get, patch, post

JOBS = "/apis/batch/v1/namespaces/${ns}/jobs"
J = f"{JOBS}/j"
MAIN: dict[str, Any] = {"name": "main", "image": "train:1"}
#: No scheduler looks at its pods, so that nothing but the Job controller acts.
POD: dict[str, Any] = {"restartPolicy": "Never", "schedulerName": "nobody", "containers": [MAIN]}
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
        }
    }
}
APART = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
        ]
    }
}
INDEXED: dict[str, Any] = {"completionMode": "Indexed", "completions": 3, "parallelism": 3}
#: A spec that leaves nothing to the defaults of the API server.
FULL: dict[str, Any] = {
    "activeDeadlineSeconds": 600,
    "backoffLimit": 0,
    "completionMode": "NonIndexed",
    "completions": 4,
    "managedBy": "example.org/other",
    "manualSelector": False,
    "parallelism": 2,
    "podReplacementPolicy": "Failed",
    "suspend": True,
    "ttlSecondsAfterFinished": 3600,
}
PODS = "/api/v1/namespaces/${ns}/pods"
EVENTS = "/api/v1/namespaces/${ns}/events"
LONG_AGO = "2020-01-01T00:00:00Z"
DISRUPTED: dict[str, Any] = {
    "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
}
PER_INDEX: dict[str, Any] = {**INDEXED, "backoffLimitPerIndex": 1}


def job(name: str = "j", *, metadata: Any = None, template: Any = None, pod: Any = None, **spec: Any) -> Any:
    """A Job; `pod` is merged into the spec of its template, `template` into the metadata of that."""
    inner: dict[str, Any] = {"spec": {**POD, **(pod or {})}}
    if template is not None:
        inner["metadata"] = template
    return {"metadata": {"name": name, **(metadata or {})}, "spec": {"template": inner, **spec}}


def refused(**spec: Any) -> Ask:
    """A Job nobody creates: suspended, so that one which passes does no harm."""
    return post(JOBS, job(**{"suspend": True, **spec}))


def rules(*entries: Any) -> dict[str, Any]:
    """A pod failure policy or a success policy."""
    return {"rules": list(entries)}


def exit_codes(operator: str, *values: int, action: str = "FailJob", **more: Any) -> dict[str, Any]:
    """A rule on exit codes."""
    return {"action": action, "onExitCodes": {"operator": operator, "values": list(values), **more}}


def conditions(action: str, *patterns: tuple[str, str]) -> dict[str, Any]:
    """A rule on pod conditions."""
    return {
        "action": action,
        "onPodConditions": [{"type": kind, "status": value} for kind, value in patterns],
    }


def resources(amount: str) -> dict[str, Any]:
    """The one container with a CPU request."""
    return {"containers": [{**MAIN, "resources": {"requests": {"cpu": amount}}}]}


def of_template(spec: Any, **metadata: Any) -> Any:
    """A merge patch of the template."""
    return {"spec": {"template": {"metadata": metadata, "spec": spec} if metadata else {"spec": spec}}}


def made(name: str = "j", **spec: Any) -> Ask:
    """A Job is created; its answer is kept, for its version."""
    return post(JOBS, job(name, **spec), view="nothing", save="job")


def becomes(name: str = "j", **fields: Any) -> Ask:
    """The status of a Job when these fields of it have these values; `__` stands for a dot."""
    until = {f"object.status.{key.replace('__', '.')}": value for key, value in fields.items()}
    return get(f"{JOBS}/{name}", until=until, view="of_job")


def pods(count: int, *, save: str = "pods", view: str = "pods_of_job", phase: str = "", **until: Any) -> Ask:
    """The pods, all or those in a phase, when there are so many."""
    wanted = {
        f"object.items.{count}": None,
        **{key.replace("__", "."): value for key, value in until.items()},
    }
    if count:
        wanted[f"object.items.{count - 1}.spec.schedulerName"] = "nobody"
    query = {"fieldSelector": f"status.phase={phase}"} if phase else {}
    return get(PODS, query=query, until=wanted, save=save, view=view)


def one(place: int, pods: str = "pods") -> str:
    """The path of a pod of a list that was kept."""
    return f"{PODS}/${{{pods}.items.{place}.metadata.name}}"


def terminated(code: int, name: str = "main") -> dict[str, Any]:
    """The status of a container that ended."""
    return {
        "name": name,
        "image": "train:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "finishedAt": LONG_AGO}},
    }


def running(place: int, pods: str = "pods", *, restarts: int = 0, ready: bool = True) -> Ask:
    """A kubelet says that a pod runs."""
    container = {
        "name": "main",
        "image": "train:1",
        "imageID": "",
        "ready": ready,
        "restartCount": restarts,
        "state": {"running": {"startedAt": LONG_AGO}},
    }
    entry = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": LONG_AGO}
    status = {"phase": "Running", "containerStatuses": [container], "conditions": [entry]}
    return patch(f"{one(place, pods)}/status", {"status": status}, view="nothing")


def ends(place: int, code: int = 0, pods: str = "pods", **status: Any) -> Ask:
    """A kubelet says that a pod ended, and how."""
    phase = "Failed" if code else "Succeeded"
    body = {"phase": phase, "containerStatuses": [terminated(code)], **status}
    return patch(f"{one(place, pods)}/status", {"status": body}, view="nothing")


def kill(place: int, pods: str = "pods") -> Ask:
    """A pod is removed for good."""
    return delete(one(place, pods), {"gracePeriodSeconds": 0}, view="nothing")


def events(reason: str = "", count: int = 1) -> Ask:
    """What was said of Jobs; with a reason, when there are so many Events of it."""
    selector = "involvedObject.kind=Job" + (f",reason={reason}" if reason else "")
    until = {f"object.items.{count - 1}.reason": reason} if reason else {}
    return get(EVENTS, query={"fieldSelector": selector}, until=until, view="told")


def ends_with(place: int, *statuses: dict[str, Any], pods: str = "pods", **more: Any) -> Ask:
    """A pod of several containers fails."""
    body = {"phase": "Failed", "containerStatuses": list(statuses), **more}
    return patch(f"{one(place, pods)}/status", {"status": body}, view="nothing")


SUSPEND = patch(J, {"spec": {"suspend": True}}, view="nothing")
RESUME = patch(J, {"spec": {"suspend": False}}, view="nothing")
SUSPENDED = {"conditions__0__type": "Suspended", "conditions__0__status": "True"}
RESUMED = {"conditions__0__type": "Suspended", "conditions__0__status": "False"}
NODE = post("/api/v1/nodes", {"metadata": {"name": "node-${ns}"}}, view="nothing")
ON_NODE = {"nodeName": "node-${ns}"}
NODES = ("/api/v1/nodes/node-${ns}",)
