"""Pods as their Job sees them: which count as what, which go first, and how a new one is made."""

from __future__ import annotations

from typing import Any

from rackplane.localcluster.objects import (
    Obj,
    clone,
    dig,
    is_true,
    meta,
    name_of,
    namespace_of,
    parse_timestamp,
)
from rackplane.localcluster.objects import condition as condition_of

from . import policies
from .labels import INDEX, INDEX_FAILURES, INDEX_IGNORED_FAILURES, TRACKING_FINALIZER

NO_INDEX = -1
_ENDED = ("Succeeded", "Failed")
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_LONGEST_PREFIX = 58
_LONGEST_NAME = 253


def phase(pod: Obj) -> str:
    """The phase of a stored pod."""
    return str((pod.get("status") or {}).get("phase"))


def is_tracked(pod: Obj) -> bool:
    """Whether its end has not been counted yet."""
    return TRACKING_FINALIZER in (pod["metadata"].get("finalizers") or ())


def is_active(pod: Obj) -> bool:
    """Whether it runs, or will."""
    return "deletionTimestamp" not in pod["metadata"] and phase(pod) not in _ENDED


def is_terminating(pod: Obj) -> bool:
    """Whether its deletion was asked for and it has not ended."""
    return "deletionTimestamp" in pod["metadata"] and phase(pod) not in _ENDED


def replaced_only_when_failed(job: Obj) -> bool:
    """Whether a pod under deletion keeps its place until it has ended."""
    spec = job["spec"]
    return spec.get("podReplacementPolicy") == "Failed" or spec.get("podFailurePolicy") is not None


def is_failed(pod: Obj, job: Obj) -> bool:
    """Whether it failed. One under deletion counts at once, unless only failed pods are replaced."""
    if "deletionTimestamp" not in pod["metadata"] or replaced_only_when_failed(job):
        return phase(pod) == "Failed"
    return phase(pod) != "Succeeded"


def is_indexed(job: Obj) -> bool:
    """Whether each completion of the Job has a number of its own."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Obj) -> int:
    """The completion index; `NO_INDEX` when it has none that can be read."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX)
    return int(text) if text is not None and text.isascii() and text.isdecimal() else NO_INDEX


def has_valid_index(pod: Obj, job: Obj) -> bool:
    """Whether its index is one of the Job's; of a Job without indexes always."""
    return not is_indexed(job) or NO_INDEX < index_of(pod) < int(job["spec"]["completions"])


def index_failures(pod: Obj) -> int:
    """How often its index had failed when it was created, ignored failures left out."""
    return _count(pod, INDEX_FAILURES)


def all_index_failures(pod: Obj) -> int:
    """How often its index had failed when it was created, ignored failures included."""
    return _count(pod, INDEX_FAILURES) + _count(pod, INDEX_IGNORED_FAILURES)


def _count(pod: Obj, annotation: str) -> int:
    text = (meta(pod).get("annotations") or {}).get(annotation, "")
    number = int(text) if text.isascii() and text.isdecimal() else 0
    return number if number < 2**31 else 0


def removal_order(pod: Obj) -> tuple[Any, ...]:
    """Sorts pods that are too many: those that have come least far go first."""
    ready = is_true(pod, "Ready")
    since = (condition_of(pod, "Ready") or {}).get("lastTransitionTime") if ready else None
    statuses = dig(pod, "status", "containerStatuses") or ()
    return (
        bool(dig(pod, "spec", "nodeName")),
        _PHASES.get(str(dig(pod, "status", "phase")), 0),
        ready,
        -parse_timestamp(since) if since else 0.0,
        -max((int(status.get("restartCount") or 0) for status in statuses), default=0),
        -parse_timestamp(str(meta(pod)["creationTimestamp"])),
    )


def surplus(job: Obj, active: list[Obj], at_least: int) -> list[Obj]:
    """Active pods to delete: `at_least` so many, and all that share an index or have none of the Job's."""
    removed: list[Obj] = []
    left = active
    if not at_least and (not is_indexed(job) or _all_in_place(job, active)):
        return []
    if is_indexed(job):
        left = []
        holders: dict[int, list[Obj]] = {}
        for pod in sorted(active, key=index_of):
            holders.setdefault(index_of(pod) if has_valid_index(pod, job) else NO_INDEX, []).append(pod)
        for index, same in holders.items():
            if index == NO_INDEX:
                removed += same
            else:
                *extra, kept = sorted(same, key=removal_order)
                removed += extra
                left.append(kept)
    missing = max(0, at_least - len(removed))
    return removed + (sorted(left, key=removal_order)[:missing] if missing else [])


def _all_in_place(job: Obj, active: list[Obj]) -> bool:
    """Whether each pod has a valid index of its own."""
    found = {index_of(pod) for pod in active}
    end = int(job["spec"]["completions"])
    return len(found) == len(active) and all(NO_INDEX < index < end for index in found)


def new_pod(job: Obj, index: int | None, replaced: Obj | None = None) -> Obj:
    """A pod of the Job's template, to be created; `replaced` is the failed one whose index it takes over."""
    template, name = job["spec"]["template"], name_of(job)
    given = meta(template)
    labels, annotations = dict(given.get("labels") or {}), dict(given.get("annotations") or {})
    spec = clone(template["spec"])
    prefix = f"{name}-" if len(name) < _LONGEST_NAME else name
    if index is not None:
        labels[INDEX] = annotations[INDEX] = str(index)
        spec["hostname"] = f"{name}-{index}"
        end = f"-{index}-"
        prefix = f"{name[: _LONGEST_PREFIX - len(end)]}{end}"
        _add_index_variable(spec)
        if job["spec"].get("backoffLimitPerIndex") is not None:
            annotations |= _failure_counts(job, replaced)
    metadata = {
        "generateName": prefix,
        "namespace": namespace_of(job),
        "labels": labels,
        "finalizers": list(dict.fromkeys([*(given.get("finalizers") or ()), TRACKING_FINALIZER])),
        "ownerReferences": [owner_reference(job)],
    }
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def owner_reference(job: Obj) -> Obj:
    """How a pod names the Job that controls it."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name_of(job),
        "uid": meta(job)["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _add_index_variable(spec: Obj) -> None:
    path = f"metadata.labels['{INDEX}']"
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            known = container.get("env") or []
            if all(entry.get("name") != "JOB_COMPLETION_INDEX" for entry in known):
                source = {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}
                container["env"] = [*known, {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}]


def _failure_counts(job: Obj, replaced: Obj | None) -> dict[str, str]:
    if replaced is None:
        return {INDEX_FAILURES: "0"}
    counted = _count(replaced, INDEX_FAILURES)
    ignored = _count(replaced, INDEX_IGNORED_FAILURES)
    if policies.judge(job["spec"].get("podFailurePolicy"), replaced).counts:
        counted += 1
    else:
        ignored += 1
    counts = {INDEX_FAILURES: str(counted)}
    if ignored:
        counts[INDEX_IGNORED_FAILURES] = str(ignored)
    return counts
