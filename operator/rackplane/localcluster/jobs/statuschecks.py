"""What a write to the status of a Job may say, most of it only where it changes what is there.

`spec.managedBy` lets others write it; these rules keep what clients rely on: an end is an end, counts only grow.
"""

from __future__ import annotations

from typing import Any

from rackplane.localcluster.errors import Cause, duplicate_value, invalid_value, required
from rackplane.localcluster.gojson import internal
from rackplane.localcluster.objects import Obj, condition, dig, is_true, parse_timestamp

from .checks import not_negative
from .policychecks import IndexesFault, check_indexes, interval

_ENDS = ("Failed", "Complete", "FailureTarget")


class _Change:
    """The old and the new status of a Job, and what differs."""

    def __init__(self, new: Obj, old: Obj) -> None:
        self.new, self.old = new, old
        self.spec: Obj = new["spec"]
        self.status: Obj = new.get("status") or {}
        self.before: Obj = old.get("status") or {}

    def changed(self, *fields: str) -> bool:
        return any((self.status.get(f) or None) != (self.before.get(f) or None) for f in fields)

    def turned(self, *kinds: str) -> bool:
        return any(is_true(self.new, kind) != is_true(self.old, kind) for kind in kinds)

    @property
    def ended(self) -> bool:
        return is_true(self.new, "Complete") or is_true(self.new, "Failed")

    @property
    def ending(self) -> bool:
        return self.ended != (is_true(self.old, "Complete") or is_true(self.old, "Failed"))

    @property
    def indexed(self) -> bool:
        return bool(self.spec.get("completionMode") == "Indexed")


def _conditions(detail: str) -> Cause:
    return Cause("status.conditions", "FieldValueInvalid", f"Invalid value: {detail}")


def tidy(job: Obj) -> None:
    """Bring the status of a Job, in place, into the form the API server stores: what is zero is left out."""
    status = job.get("status") or {}
    kept = {key: value for key, value in status.items() if value is not None}
    for field in ("active", "succeeded", "failed", "completedIndexes", "conditions"):
        if field in kept and not kept[field]:
            del kept[field]
    for entry in kept.get("conditions") or ():
        for field in ("lastProbeTime", "lastTransitionTime"):
            entry.setdefault(field, None)
    job["status"] = kept


def status_causes(new: Obj, old: Obj) -> list[Cause]:
    """What an update of a Job's status may not do."""
    change = _Change(new, old)
    return (
        _counts(change)
        + _terminal(change)
        + _times(change)
        + _of_ended(change)
        + _indexes(change)
        + _rest(change)
        + _since(change)
    )


def _counts(change: _Change) -> list[Cause]:
    causes: list[Cause] = []
    for field in ("active", "succeeded", "failed", "ready", "terminating"):
        causes += not_negative(f"status.{field}", change.status.get(field))
    seen: set[str] = set()
    for kind in ("succeeded", "failed"):
        for number, uid in enumerate(dig(change.status, "uncountedTerminatedPods", kind) or ()):
            where = f"status.uncountedTerminatedPods.{kind}[{number}]"
            if not uid:
                causes.append(invalid_value(where, uid, "must not be empty"))
            elif uid in seen:
                causes.append(duplicate_value(where, uid))
            seen.add(uid)
    return causes


def _terminal(change: _Change) -> list[Cause]:
    new = change.new
    causes: list[Cause] = []
    if not is_true(new, "Complete"):
        return causes
    if is_true(new, "Failed") and change.turned("Complete", "Failed"):
        causes.append(_conditions("cannot set Complete=True and Failed=true conditions"))
    if is_true(new, "FailureTarget") and change.turned("Complete", "FailureTarget"):
        causes.append(_conditions("cannot set Complete=True and FailureTarget=true conditions"))
    return causes


def _times(change: _Change) -> list[Cause]:
    path, status = "status.completionTime", change.status
    complete, ended_at, started = (
        is_true(change.new, "Complete"),
        status.get("completionTime"),
        status.get("startTime"),
    )
    causes: list[Cause] = []
    if change.turned("Complete") or change.changed("completionTime"):
        if ended_at and not complete:
            detail = "cannot set completionTime when there is no Complete=True condition"
            causes.append(invalid_value(path, ended_at, detail))
        if complete and not ended_at:
            causes.append(required(path, "completionTime is required for Complete jobs"))
    moved = change.changed("startTime", "completionTime")
    if moved and started and ended_at and parse_timestamp(ended_at) < parse_timestamp(started):
        causes.append(invalid_value(path, ended_at, "must be equal to or after `startTime`"))
    return causes


def _of_ended(change: _Change) -> list[Cause]:
    new, status = change.new, change.status
    causes: list[Cause] = []
    unannounced = is_true(new, "Failed") and not is_true(new, "FailureTarget")
    if unannounced and (change.turned("Failed") or change.changed("failedIndexes")):
        detail = "cannot set Failed=True condition without the FailureTarget=true condition"
        causes.append(_conditions(detail))
    unannounced = is_true(new, "Complete") and not is_true(new, "SuccessCriteriaMet")
    if unannounced and change.turned("Complete", "SuccessCriteriaMet"):
        detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        causes.append(_conditions(detail))
    if not change.ended:
        return causes
    active = status.get("active") or 0
    if active > 0 and (change.ending or change.changed("active")):
        causes.append(invalid_value("status.active", active, "active>0 is invalid for finished job"))
    never_ran = change.spec.get("suspend") is True and change.spec.get("completions") == 0
    if not status.get("startTime") and (change.ending or change.changed("startTime")) and not never_ran:
        causes.append(required("status.startTime", "startTime is required for finished job"))
    uncounted = status.get("uncountedTerminatedPods") or {}
    left = any(uncounted.get(kind) for kind in ("succeeded", "failed"))
    if left and (change.ending or change.changed("uncountedTerminatedPods")):
        shown = internal(uncounted, "UncountedTerminatedPods")
        path = "status.uncountedTerminatedPods"
        causes.append(invalid_value(path, shown, "must be empty for finished job"))
    return causes


def _indexes(change: _Change) -> list[Cause]:
    status, spec = change.status, change.spec
    causes: list[Cause] = []
    completed, failed = str(status.get("completedIndexes") or ""), status.get("failedIndexes")
    completions, per_index = spec.get("completions"), spec.get("backoffLimitPerIndex") is not None
    new_completed = change.changed("completedIndexes")
    new_failed = status.get("failedIndexes") != change.before.get("failedIndexes")
    paths = {"completedIndexes": "status.completedIndexes", "failedIndexes": "status.failedIndexes"}
    if new_completed and completions is not None:
        causes += _faults(paths["completedIndexes"], completed, completions, "completedIndexes")
    if new_failed and completions is not None and per_index and failed is not None:
        causes += _faults(paths["failedIndexes"], failed, completions, "failedIndexes")
    if new_completed and completed and not change.indexed:
        detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
        causes.append(invalid_value(paths["completedIndexes"], completed, detail))
    if new_failed and failed is not None and not per_index:
        detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        causes.append(invalid_value(paths["failedIndexes"], failed, detail))
    if (new_failed or new_completed) and completions is not None and failed is not None:
        shared = _overlap(completed, failed, completions)
        if shared is not None:
            detail = f"failedIndexes and completedIndexes overlap at index: {shared}"
            causes.append(invalid_value(paths["failedIndexes"], failed, detail))
    return causes


def _faults(path: str, text: str, completions: int, field: str) -> list[Cause]:
    try:
        check_indexes(text, completions)
    except IndexesFault as fault:
        return [invalid_value(path, text, f"error parsing {field}: {fault}")]
    return []


def _overlap(completed: str, failed: str, completions: int) -> int | None:
    """The first index in both lists; intervals that cannot be read are left out."""

    def read(text: str) -> list[tuple[int, int]]:
        found = []
        for part in text.split(",") if text else ():
            try:
                found.append(interval(part, completions))
            except IndexesFault:
                continue
        return found

    shared = [
        max(one[0], other[0])
        for one in read(completed)
        for other in read(failed)
        if one[0] <= other[1] and other[0] <= one[1]
    ]
    return min(shared, default=None)


def _rest(change: _Change) -> list[Cause]:
    new, status = change.new, change.status
    causes: list[Cause] = []
    terminating, ready = status.get("terminating") or 0, status.get("ready") or 0
    if terminating > 0 and change.ended and (change.ending or change.changed("terminating")):
        detail = "terminating>0 is invalid for finished job"
        causes.append(invalid_value("status.terminating", terminating, detail))
    if ready > (status.get("active") or 0) and change.changed("ready", "active"):
        causes.append(invalid_value("status.ready", ready, "cannot set more ready pods than active"))
    if is_true(new, "SuccessCriteriaMet"):
        if is_true(new, "Failed"):
            causes.append(_conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions"))
        if is_true(new, "FailureTarget"):
            causes.append(_conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"))
    elif change.spec.get("successPolicy") is not None and is_true(new, "Complete"):
        detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        causes.append(_conditions(detail))
    return causes


def _since(change: _Change) -> list[Cause]:
    """What was said once and may not be taken back."""
    new, old, status, before = change.new, change.old, change.status, change.before
    causes = [
        _conditions(f"cannot disable the terminal {kind}=True condition")
        for kind in _ENDS
        if is_true(old, kind) and not is_true(new, kind)
    ]
    spec = change.spec
    scales = change.indexed and spec.get("completions") == spec.get("parallelism")
    for field, grows in (("failed", True), ("succeeded", not scales)):
        count: Any = status.get(field) or 0
        if grows and count < (before.get(field) or 0):
            causes.append(invalid_value(f"status.{field}", count, f"cannot decrease the {field} counter"))
    ended = status.get("completionTime")
    if ended and before.get("completionTime") and change.changed("completionTime"):
        causes.append(invalid_value("status.completionTime", ended, "field is immutable"))
    resumed = is_true(old, "Suspended") and (condition(new, "Suspended") or {}).get("status") == "False"
    if before.get("startTime") and change.changed("startTime") and not spec.get("suspend") and not resumed:
        detail = "field is immutable for unsuspended job once set"
        causes.append(invalid_value("status.startTime", status.get("startTime"), detail))
    if is_true(old, "SuccessCriteriaMet") and not is_true(new, "SuccessCriteriaMet"):
        causes.append(_conditions("cannot disable the SuccessCriteriaMet=True condition"))
    late = is_true(old, "Complete") and not is_true(old, "SuccessCriteriaMet")
    if late and is_true(new, "SuccessCriteriaMet"):
        detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        causes.append(_conditions(detail))
    return causes
