"""The Job controller: batch/v1 Jobs as Kubernetes 1.36 runs them, without pod failure and success policies.

Synchronous: `observe` notes what a change concerns, `run` reconciles it. Status is counted from tracked pods: a
finished pod is counted in the same write sequence that takes its tracking finalizer away, so nothing counts twice.
"""

from __future__ import annotations

from typing import Any

from .events import Recorder
from .jobrules import INDEX_LABEL, TRACKING_FINALIZER, UID_LABEL
from .objects import (
    Obj,
    clone,
    condition,
    controller_of,
    dig,
    is_terminal,
    is_true,
    meta,
    name_of,
    namespace_of,
    parse_timestamp,
    timestamp,
)
from .resources import JOBS, PODS
from .service import Service
from .store import DELETED, Change

_REACHED = ("CompletionsReached", "Reached expected number of succeeded pods")
_BACKOFF = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
_DEADLINE = ("DeadlineExceeded", "Job was active longer than specified deadline")


class JobController:
    """Reconciles Jobs. `backoff_seconds` delays the first replacement of a failed pod; it doubles up to 10 min."""

    def __init__(self, service: Service, *, backoff_seconds: float = 10.0) -> None:
        self._service = service
        self._store = service.store
        self._jobs = service.need("batch", "v1", "jobs")
        self._pods = service.need("", "v1", "pods")
        self._events = Recorder(service.store, "job-controller", service.clock)
        self._backoff_seconds = backoff_seconds
        self._dirty: dict[tuple[str, str], None] = {}
        self._pods_of: dict[str, dict[tuple[str, str], None]] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._timers: dict[tuple[str, str], float] = {}

    def observe(self, change: Change) -> None:
        """Note which Job a change concerns."""
        if change.resource == JOBS:
            self._dirty[change.namespace, change.name] = None
            if change.type == DELETED:
                self._failures.pop(meta(change.object)["uid"], None)
                self._timers.pop((change.namespace, change.name), None)
        elif change.resource == PODS:
            for obj in (change.object, change.previous):
                owner = controller_of(obj) if obj is not None else None
                if owner is None or owner.get("kind") != "Job":
                    continue
                pods = self._pods_of.setdefault(owner["uid"], {})
                key = (change.namespace, change.name)
                if change.type == DELETED:
                    pods.pop(key, None)
                else:
                    pods[key] = None
                self._dirty[change.namespace, owner["name"]] = None

    def run(self) -> bool:
        """Reconcile what is due; returns whether there was anything."""
        now = self._service.clock()
        for key, when in list(self._timers.items()):
            if when <= now:
                del self._timers[key]
                self._dirty[key] = None
        if not self._dirty:
            return False
        due, self._dirty = list(self._dirty), {}
        for namespace, name in due:
            self._sync(namespace, name)
        return True

    def next_wake(self) -> float | None:
        """When (seconds since the epoch) something is due without any change; None when nothing is."""
        return min(self._timers.values(), default=None)

    # -- one Job

    def _sync(self, namespace: str, name: str) -> None:
        job = self._store.get(JOBS, namespace, name)
        if job is None:
            self._release_orphans()
            return
        managed_by = dig(job, "spec", "managedBy")
        if managed_by not in (None, "kubernetes.io/job-controller"):
            return
        pods = self._tracked(job)
        if is_true(job, "Complete") or is_true(job, "Failed") or meta(job).get("deletionTimestamp"):
            for pod in pods:
                self._untrack(pod)
            self._expire(job)
            return
        _Sync(self, job, pods).run()

    def _tracked(self, job: Obj) -> list[Obj]:
        keys = self._pods_of.get(meta(job)["uid"], {})
        pods = [self._store.get(PODS, *key) for key in sorted(keys)]
        return [
            pod
            for pod in pods
            if pod is not None and (controller_of(pod) or {}).get("uid") == meta(job)["uid"]
        ]

    def _release_orphans(self) -> None:
        """Pods whose Job is gone keep no tracking finalizer: nobody would ever take it away."""
        for uid in [uid for uid in self._pods_of if self._store.by_uid(uid) is None]:
            for key in list(self._pods_of[uid]):
                pod = self._store.get(PODS, *key)
                if pod is not None:
                    self._untrack(pod)
            del self._pods_of[uid]

    def _untrack(self, pod: Obj) -> None:
        def without(obj: Obj) -> None:
            kept = [entry for entry in meta(obj).get("finalizers") or () if entry != TRACKING_FINALIZER]
            obj["metadata"]["finalizers"] = kept

        if TRACKING_FINALIZER in (meta(pod).get("finalizers") or ()):
            self._service.change(self._pods, pod, without)

    def _expire(self, job: Obj) -> None:
        ttl = dig(job, "spec", "ttlSecondsAfterFinished")
        if ttl is None or meta(job).get("deletionTimestamp"):
            return
        ended = condition(job, "Complete") or condition(job, "Failed") or {}
        when = parse_timestamp(ended["lastTransitionTime"]) + ttl
        if when <= self._service.clock():
            self._service.delete(self._jobs, namespace_of(job), name_of(job), propagation="Foreground")
        else:
            self._timers[namespace_of(job), name_of(job)] = when


class _Sync:
    """One reconciliation of one unfinished Job."""

    def __init__(self, controller: JobController, job: Obj, pods: list[Obj]) -> None:
        self.c = controller
        self.job = job
        self.spec: Obj = job["spec"]
        self.status: Obj = clone(job.get("status") or {})
        self.now = controller._service.clock()
        self.indexed = self.spec.get("completionMode") == "Indexed"
        self.pods = pods
        self.done: set[int] = set(parse_ranges(str(self.status.get("completedIndexes") or "")))

    def run(self) -> None:
        before = clone(self.status)
        suspended = bool(self.spec.get("suspend"))
        if not self.status.get("startTime") and not suspended:
            self.status["startTime"] = timestamp(self.now)
        self._count_finished()
        failure = self._failure(suspended)
        if failure is not None:
            self._condition("FailureTarget", "True", *failure)
            for pod in self._active():
                self._delete(pod)
        elif self._complete():
            self._condition("SuccessCriteriaMet", "True", *_REACHED)
            for pod in self._active():
                self._delete(pod)
        elif suspended:
            self._suspend()
        else:
            self._resume()
            self._scale()
        self._finish()
        self._write(before)

    # -- counting

    def _refresh(self) -> list[Obj]:
        self.pods = self.c._tracked(self.job)
        return self.pods

    def _index(self, pod: Obj) -> int | None:
        text = (meta(pod).get("annotations") or {}).get(INDEX_LABEL)
        return int(text) if text is not None and str(text).isdigit() else None

    def _failed(self, pod: Obj) -> bool:
        """As upstream: a pod under deletion counts as failed at once unless only failed pods are replaced."""
        if dig(pod, "status", "phase") == "Failed":
            return True
        if self.spec.get("podReplacementPolicy") == "Failed":
            return False
        return bool(meta(pod).get("deletionTimestamp")) and dig(pod, "status", "phase") != "Succeeded"

    def _active(self) -> list[Obj]:
        return [
            pod for pod in self._refresh() if not is_terminal(pod) and not meta(pod).get("deletionTimestamp")
        ]

    def _count_finished(self) -> None:
        failures = 0
        for pod in self.pods:
            if TRACKING_FINALIZER not in (meta(pod).get("finalizers") or ()):
                continue
            index = self._index(pod)
            valid = not self.indexed or (index is not None and index < int(self.spec["completions"]))
            if dig(pod, "status", "phase") == "Succeeded":
                if self.indexed:
                    if valid and index is not None:
                        self.done.add(index)
                else:
                    self.status["succeeded"] = int(self.status.get("succeeded") or 0) + 1
            elif self._failed(pod):
                if valid:
                    self.status["failed"] = int(self.status.get("failed") or 0) + 1
                    failures += 1
            else:
                continue
            self.c._untrack(pod)
        uid = meta(self.job)["uid"]
        if failures:
            count = self.c._failures.get(uid, (0, 0.0))[0] + failures
            self.c._failures[uid] = (count, self.now)
        if self.indexed:
            self.done = {index for index in self.done if index < int(self.spec["completions"])}
            self.status["succeeded"] = len(self.done)
            self.status["completedIndexes"] = write_ranges(self.done)
            for key in ("succeeded", "completedIndexes"):
                if not self.status[key]:
                    del self.status[key]

    # -- deciding

    def _failure(self, suspended: bool) -> tuple[str, str] | None:
        target = condition({"status": self.status}, "FailureTarget")
        if target is not None:
            return str(target["reason"]), str(target["message"])
        restarts = 0
        if dig(self.spec, "template", "spec", "restartPolicy") == "OnFailure":
            for pod in self.pods:
                for entry in dig(pod, "status", "containerStatuses") or ():
                    restarts += int(entry.get("restartCount") or 0)
        if int(self.status.get("failed") or 0) + restarts > int(self.spec.get("backoffLimit", 6)):
            return _BACKOFF
        deadline = self.spec.get("activeDeadlineSeconds")
        if deadline is not None and not suspended and self.status.get("startTime"):
            end = parse_timestamp(self.status["startTime"]) + deadline
            if self.now >= end:
                return _DEADLINE
            self._wake(end)
        return None

    def _wake(self, when: float) -> None:
        key = (namespace_of(self.job), name_of(self.job))
        self.c._timers[key] = min(when, self.c._timers.get(key, when))

    def _complete(self) -> bool:
        if is_true({"status": self.status}, "SuccessCriteriaMet"):
            return True
        succeeded = int(self.status.get("succeeded") or 0)
        completions = self.spec.get("completions")
        if completions is None:
            return succeeded > 0 and not self._active()
        return succeeded >= int(completions)

    # -- acting

    def _suspend(self) -> None:
        for pod in self._active():
            self._delete(pod)
        was = condition({"status": self.status}, "Suspended")
        if was is None or was.get("status") != "True":
            self._condition("Suspended", "True", "JobSuspended", "Job suspended")
            self.c._events.record(self.job, "Suspended", "Job suspended")
        self.status.pop("startTime", None)

    def _resume(self) -> None:
        if is_true({"status": self.status}, "Suspended"):
            self._condition("Suspended", "False", "JobResumed", "Job resumed")
            self.status["startTime"] = timestamp(self.now)
            self.c._events.record(self.job, "Resumed", "Job resumed")
            self._failure(False)

    def _scale(self) -> None:
        if meta(self.job).get("deletionTimestamp"):
            return
        active = self._active()
        parallelism = int(self.spec.get("parallelism", 1))
        if self.indexed:
            wanted, missing, surplus = self._indexed_plan(active, parallelism)
        else:
            succeeded = int(self.status.get("succeeded") or 0)
            completions = self.spec.get("completions")
            if completions is None:
                wanted = len(active) if succeeded else parallelism
            else:
                wanted = min(int(completions) - succeeded, parallelism)
            order = sorted(active, key=_removal_order)
            surplus = order[: max(0, len(active) - wanted)]
            missing = [None] * max(0, wanted - len(active))
        for pod in surplus:
            self._delete(pod)
        if self.spec.get("podReplacementPolicy") == "Failed":
            terminating = [p for p in self.pods if meta(p).get("deletionTimestamp") and not is_terminal(p)]
            missing = missing[: max(0, wanted - len(active) - len(terminating))]
        if not missing:
            return
        count, last = self.c._failures.get(meta(self.job)["uid"], (0, 0.0))
        ready = last + min(600.0, self.c._backoff_seconds * 2 ** (min(count, 20) - 1)) if count else 0.0
        if ready > self.now:
            self._wake(ready)
            return
        for index in missing:
            self._create(index)

    def _indexed_plan(self, active: list[Obj], parallelism: int) -> tuple[int, list[int | None], list[Obj]]:
        completions = int(self.spec["completions"])
        held: dict[int, Obj] = {}
        surplus: list[Obj] = []
        for pod in sorted(active, key=_removal_order, reverse=True):
            index = self._index(pod)
            if index is None or index >= completions or index in self.done or index in held:
                surplus.append(pod)
            else:
                held[index] = pod
        wanted = min(completions - len(self.done), parallelism)
        for index in sorted(held, reverse=True)[: max(0, len(held) - wanted)]:
            surplus.append(held.pop(index))
        blocked: set[int] = set()
        if self.spec.get("podReplacementPolicy") == "Failed":
            gone = [p for p in self.pods if meta(p).get("deletionTimestamp") and not is_terminal(p)]
            blocked = {found for found in map(self._index, gone) if found is not None}
        free = [i for i in range(completions) if i not in self.done and i not in held and i not in blocked]
        return wanted, list(free[: max(0, wanted - len(held))]), surplus

    def _create(self, index: int | None) -> None:
        job, name = self.job, name_of(self.job)
        template = self.spec["template"]
        metadata = clone(meta(template))
        spec = clone(template["spec"])
        prefix = f"{name}-" if index is None else f"{name}-{index}-"
        pod_name = f"{prefix[:58]}{self.c._store.suffix()}"
        if index is not None:
            metadata["labels"] = {**(metadata.get("labels") or {}), INDEX_LABEL: str(index)}
            metadata["annotations"] = {**(metadata.get("annotations") or {}), INDEX_LABEL: str(index)}
            spec.setdefault("hostname", f"{name[: 63 - len(f'-{index}')]}-{index}")
            variable = {
                "name": "JOB_COMPLETION_INDEX",
                "valueFrom": {
                    "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX_LABEL}']"}
                },
            }
            for field in ("initContainers", "containers"):
                for container in spec.get(field) or ():
                    if not any(entry.get("name") == variable["name"] for entry in container.get("env") or ()):
                        container["env"] = [*(container.get("env") or []), clone(variable)]
        pod = {
            "metadata": {
                **metadata,
                "name": pod_name,
                "generateName": prefix,
                "namespace": namespace_of(job),
                "finalizers": [*(metadata.get("finalizers") or []), TRACKING_FINALIZER],
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": name,
                        "uid": meta(job)["uid"],
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "spec": spec,
        }
        created = self.c._service.create(self.c._pods, pod)
        self.c._events.record(job, "SuccessfulCreate", f"Created pod: {name_of(created)}")

    def _delete(self, pod: Obj) -> None:
        """Stop a pod on the Job's own account: untracked first, so that it counts neither way."""
        self.c._untrack(pod)
        namespace, name = namespace_of(pod), name_of(pod)
        if self.c._store.get(PODS, namespace, name) is not None:
            self.c._service.delete(self.c._pods, namespace, name, propagation="Background")
            self.c._events.record(self.job, "SuccessfulDelete", f"Deleted pod: {name}")

    # -- status

    def _condition(self, kind: str, value: str, reason: str, message: str) -> None:
        entries = list(self.status.get("conditions") or [])
        known = next((entry for entry in entries if entry["type"] == kind), None)
        if known is not None and (known["status"], known["reason"]) == (value, reason):
            return
        when = timestamp(self.now)
        fresh = {
            "type": kind,
            "status": value,
            "lastProbeTime": when,
            "lastTransitionTime": when,
            "reason": reason,
            "message": message,
        }
        if known is None:
            entries.append(fresh)
        else:
            entries[entries.index(known)] = fresh
        self.status["conditions"] = entries

    def _finish(self) -> None:
        """Counts of what is there now, and the terminal condition once no pod is left running."""
        pods = self._refresh()
        active = [pod for pod in pods if not is_terminal(pod) and not meta(pod).get("deletionTimestamp")]
        terminating = [pod for pod in pods if not is_terminal(pod) and meta(pod).get("deletionTimestamp")]
        if active:
            self.status["active"] = len(active)
        else:
            self.status.pop("active", None)
        self.status["ready"] = sum(is_true(pod, "Ready") for pod in active)
        self.status["terminating"] = len(terminating)
        self.status["uncountedTerminatedPods"] = {}
        if active or terminating:
            return
        failed = condition({"status": self.status}, "FailureTarget")
        succeeded = condition({"status": self.status}, "SuccessCriteriaMet")
        if failed is not None:
            self._condition("Failed", "True", str(failed["reason"]), str(failed["message"]))
            self.c._events.record(self.job, str(failed["reason"]), str(failed["message"]), warning=True)
        elif succeeded is not None:
            self._condition("Complete", "True", str(succeeded["reason"]), str(succeeded["message"]))
            self.status["completionTime"] = timestamp(self.now)
            self.c._events.record(self.job, "Completed", "Job completed")

    def _write(self, before: Obj) -> None:
        if self.status == before:
            return
        status = self.status

        def put(obj: Obj) -> None:
            obj["status"] = status

        self.c._service.change(self.c._jobs, self.job, put, subresource="status")


def _removal_order(pod: Obj) -> tuple[Any, ...]:
    """Which active pods go first: unbound, then pending, then not ready, then the youngest."""
    bound = bool(dig(pod, "spec", "nodeName"))
    running = dig(pod, "status", "phase") == "Running"
    created = parse_timestamp(str(meta(pod)["creationTimestamp"]))
    return (bound, running, is_true(pod, "Ready"), -created, name_of(pod))


def parse_ranges(text: str) -> list[int]:
    """The numbers in `1,3-5,7`; the empty text has none."""
    numbers: list[int] = []
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def write_ranges(numbers: set[int]) -> str:
    """Numbers as Kubernetes writes completedIndexes: runs of three and more as `3-5`, shorter ones listed."""
    parts: list[str] = []
    run: list[int] = []
    for number in [*sorted(numbers), None]:
        if run and number == run[-1] + 1:
            run.append(run[-1] + 1)
            continue
        if len(run) >= 3:
            parts.append(f"{run[0]}-{run[-1]}")
        else:
            parts.extend(str(entry) for entry in run)
        run = [] if number is None else [number]
    return ",".join(parts)


__all__ = ["UID_LABEL", "JobController", "parse_ranges", "write_ranges"]
