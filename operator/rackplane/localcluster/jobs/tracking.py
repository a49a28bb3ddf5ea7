"""Counting ended pods so that none is counted twice or lost, and ending the Job.

A pod holds a finalizer until it is counted. Its uid is written to the status first, then the finalizer goes, then the
uid turns into a count: whoever watches, and whoever takes over in between, can tell what has been counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from rackplane.localcluster.objects import Obj, meta

from . import indexes, pods, policies
from .control import Control
from .state import State

#: The most uids the status may hold; the rest is counted by the next reconciliations.
MOST_UNCOUNTED = 500


def track(state: State, control: Control, *, flush: bool) -> bool:
    """Count what ended, write the status, let the counted pods go; returns whether the Job has ended with it.

    `flush` says that the status has changed already.

    Raises:
        ApiError: 422, the API server does not take the status.
    """
    held = {meta(pod)["uid"] for pod in state.tracked}
    flush = _count(state, held) or flush
    done, changed, full = _collect(state)
    flush = flush or changed
    if pods.is_indexed(state.job):
        flush = _write_indexes(state) or flush
    flush = _announce(state) or flush
    if flush:
        state.job = control.write_status(state.job)
        state.written = True
    for pod in done:
        control.untrack(pod)
        held.discard(meta(pod)["uid"])
    flush = _count(state, held)
    ended = not full and _end(state)
    if flush or ended:
        state.job = control.write_status(state.job)
    if ended:
        _report(state, control)
    return ended


def _count(state: State, held: set[str]) -> bool:
    """Turn uids whose pods have lost the finalizer into counts; returns whether there were any."""
    changed = False
    for kind in ("succeeded", "failed"):
        listed = state.uncounted(kind)
        kept = [uid for uid in listed if uid in held]
        if len(kept) != len(listed):
            state.status[kind] = int(state.status.get(kind) or 0) + len(listed) - len(kept)
            state.status["uncountedTerminatedPods"][kind] = kept
            changed = True
    return changed


def _collect(state: State) -> tuple[list[Obj], bool, bool]:
    """Pods that may go, whether the status has changed, and whether it can take no more uids."""
    job, indexed = state.job, pods.is_indexed(state.job)
    policy = state.spec.get("podFailurePolicy")
    succeeded, failed = state.uncounted("succeeded"), state.uncounted("failed")
    new_indexes: list[int] = []
    done: list[Obj] = []
    before, full = len(succeeded) + len(failed), False
    for pod in sorted(state.tracked, key=pods.index_of) if indexed else state.tracked:
        is_failed = pods.is_failed(pod, job)
        if not _may_go(state, pod, is_failed):
            continue
        done.append(pod)
        uid, index = meta(pod)["uid"], pods.index_of(pod)
        valid = pods.has_valid_index(pod, job)
        if pods.phase(pod) == "Succeeded" and uid not in state.uncounted_failed:
            if not indexed:
                if uid not in state.uncounted_succeeded:
                    succeeded.append(uid)
            elif valid and not indexes.has(state.counted_indexes, index):
                new_indexes.append(index)
        elif (
            (is_failed or _fails(state.finished))
            and uid not in state.uncounted_failed
            and valid
            and policies.judge(policy, pod).counts
        ):
            failed.append(uid)
        if len(new_indexes) + len(succeeded) + len(failed) >= MOST_UNCOUNTED:
            full = True
            break
    state.status["uncountedTerminatedPods"] = {"succeeded": succeeded, "failed": failed}
    state.succeeded_indexes = indexes.union(state.succeeded_indexes, indexes.of(new_indexes))
    changed = bool(new_indexes) or len(succeeded) + len(failed) != before
    return done, changed, full


def _may_go(state: State, pod: Obj, is_failed: bool) -> bool:
    """Whether nothing will ask after a pod any more."""
    if (
        state.finished is not None
        or pods.phase(pod) == "Succeeded"
        or meta(state.job).get("deletionTimestamp")
    ):
        return True
    if not is_failed:
        return False
    waiting = state.delayed.get(pods.index_of(pod))
    return waiting is None or meta(waiting)["uid"] != meta(pod)["uid"]


def _fails(finished: Obj | None) -> bool:
    """When a Job ends otherwise than well, each pod that has not ended counts as failed."""
    return finished is not None and finished["type"] != "SuccessCriteriaMet"


def _write_indexes(state: State) -> bool:
    status = state.status
    completed = indexes.write(state.succeeded_indexes)
    changed = completed != (status.get("completedIndexes") or "")
    status["succeeded"] = indexes.count(state.succeeded_indexes)
    status["completedIndexes"] = completed
    failed = None if state.failed_indexes is None else indexes.write(state.failed_indexes)
    if failed != status.get("failedIndexes"):
        changed = True
        status["failedIndexes"] = failed
    return changed


def _announce(state: State) -> bool:
    """Say that the Job is about to end, before its pods go; returns whether that is new."""
    about = state.finished
    if about is None:
        return False
    if about["type"] == "FailureTarget":
        state.add_condition(about)
        state.finished = state.condition("Failed", about["reason"], about["message"])
        return True
    if about["type"] == "SuccessCriteriaMet":
        new = state.holds("SuccessCriteriaMet") is None
        if new:
            state.add_condition(about)
        state.finished = state.condition("Complete", about["reason"], about["message"])
        return new
    return False


def _end(state: State) -> bool:
    """End the Job unless a pod is left uncounted or terminating."""
    if state.finished is None or _any(state.status["uncountedTerminatedPods"].values()) or state.terminating:
        return False
    state.ensure_condition(state.finished)
    if state.finished["type"] == "Complete":
        state.status["completionTime"] = state.finished["lastTransitionTime"]
    return True


def _any(lists: Iterable[list[str]]) -> bool:
    return any(bool(entries) for entries in lists)


def _report(state: State, control: Control) -> None:
    finished, job = state.finished or {}, state.job
    if finished.get("type") != "Complete":
        control.events.record(job, finished["reason"], finished["message"], warning=True)
        return
    wanted = state.spec.get("completions")
    if wanted is not None and int(state.status.get("succeeded") or 0) > int(wanted):
        message = "Too many succeeded pods running after completion count reached"
        control.events.record(job, "TooManySucceededPods", message, warning=True)
    control.events.record(job, "Completed", "Job completed")
