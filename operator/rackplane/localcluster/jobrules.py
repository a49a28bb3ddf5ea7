"""What the API server does to batch/v1 Jobs: defaults, selector and labels, what may change."""

from __future__ import annotations

from typing import Any

from . import podrules
from .errors import Cause, forbidden_value, invalid_value, not_implemented, required, unsupported_value
from .objects import Obj, clone, condition, dig, meta, name_of

UID_LABEL = "batch.kubernetes.io/controller-uid"
NAME_LABEL = "batch.kubernetes.io/job-name"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
TRACKING_FINALIZER = "batch.kubernetes.io/job-tracking"
#: Fields whose behaviour the Job controller here does not have: refused rather than ignored.
_UNSUPPORTED = ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes")


def prepare_create(job: Obj) -> None:
    """Defaults, generated selector and labels, in place. The object has its uid already.

    Raises:
        ApiError: 501, it uses a field the Job controller here does not implement.
    """
    default(job)
    spec = job["spec"]
    if not spec["manualSelector"]:
        uid, name = meta(job)["uid"], name_of(job)
        own = {UID_LABEL: uid, NAME_LABEL: name, "controller-uid": uid, "job-name": name}
        template = spec["template"]
        metadata = template.get("metadata") or {}
        metadata["labels"] = {**(metadata.get("labels") or {}), **own}
        template["metadata"] = metadata
        spec["selector"] = {"matchLabels": {UID_LABEL: uid}}
    job["status"] = {}


def default(job: Obj) -> None:
    """Defaults, in place.

    Raises:
        ApiError: 501, it uses a field the Job controller here does not implement.
    """
    spec = job.setdefault("spec", {})
    for field in _UNSUPPORTED:
        if spec.get(field) is not None:
            raise not_implemented(f"spec.{field} of a Job")
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1
    for field, value in (
        ("backoffLimit", 6),
        ("completionMode", "NonIndexed"),
        ("suspend", False),
        ("podReplacementPolicy", "TerminatingOrFailed"),
        ("manualSelector", False),
    ):
        if spec.get(field) is None:
            spec[field] = value
    template = spec.setdefault("template", {})
    podrules.default_template(template.setdefault("spec", {}))


def validate(job: Obj) -> list[Cause]:
    """What is wrong with a Job on its own."""
    causes: list[Cause] = []
    spec = job["spec"]
    for field in (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    ):
        value = spec.get(field)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            causes.append(invalid_value(f"spec.{field}", value, "must be an integer"))
        elif value < 0:
            causes.append(invalid_value(f"spec.{field}", value, "must be greater than or equal to 0"))
    modes = ["Indexed", "NonIndexed"]
    if spec.get("completionMode") not in modes:
        causes.append(unsupported_value("spec.completionMode", spec.get("completionMode"), modes))
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        causes.append(required("spec.completions", "when completion mode is Indexed"))
    template = dig(spec, "template", "spec") or {}
    causes += podrules.validate_spec(template, "spec.template.spec")
    if template.get("restartPolicy") == "Always":
        known = ["OnFailure", "Never"]
        causes = [c for c in causes if c.field != "spec.template.spec.restartPolicy"]
        causes.append(
            unsupported_value("spec.template.spec.restartPolicy", "Always", known)
            if "restartPolicy" in template
            else required("spec.template.spec.restartPolicy")
        )
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """What an update of a Job (not of its status) may not do."""
    causes = validate(new)
    spec, before = new["spec"], old["spec"]
    for field in _UNSUPPORTED:
        if spec.get(field) != before.get(field):
            raise not_implemented(f"spec.{field} of a Job")
    if spec.get("completions") != before.get("completions"):
        elastic = before.get("completionMode") == "Indexed" and spec.get("completions") == spec.get(
            "parallelism"
        )
        if not elastic:
            causes.append(invalid_value("spec.completions", spec.get("completions"), "field is immutable"))
    for field in ("selector", "completionMode", "manualSelector", "podReplacementPolicy", "managedBy"):
        if spec.get(field) != before.get(field):
            causes.append(invalid_value(f"spec.{field}", spec.get(field), "field is immutable"))
    template, previous = spec.get("template"), before.get("template")
    if template != previous and not (_template_open(old) and _scheduling_only(template, previous)):
        causes.append(invalid_value("spec.template", template, "field is immutable"))
    return causes


def _template_open(job: Obj) -> bool:
    """Whether scheduling directives of the template may change: suspended, and known to be so by its controller."""
    if not dig(job, "spec", "suspend"):
        return False
    if not dig(job, "status", "startTime"):
        return True
    suspended = condition(job, "Suspended")
    return suspended is not None and suspended.get("status") == "True" and not dig(job, "status", "active")


def _scheduling_only(template: Any, previous: Any) -> bool:
    munged = clone(template)
    old_meta, old_spec = previous.get("metadata") or {}, previous.get("spec") or {}
    metadata = munged.setdefault("metadata", {})
    for holder, source, fields in (
        (metadata, old_meta, ("labels", "annotations")),
        (
            munged.setdefault("spec", {}),
            old_spec,
            ("nodeSelector", "tolerations", "schedulingGates", "affinity"),
        ),
    ):
        for field in fields:
            if field in source:
                holder[field] = source[field]
            else:
                holder.pop(field, None)
    if not metadata and "metadata" not in previous:
        del munged["metadata"]
    return bool(munged == previous)


def forbidden_status(new: Obj, old: Obj) -> list[Cause]:
    """What an update of a Job's status may not do: leave a terminal state."""
    causes: list[Cause] = []
    for kind in ("Complete", "Failed"):
        before, after = condition(old, kind), condition(new, kind)
        if before and before.get("status") == "True" and not (after and after.get("status") == "True"):
            causes.append(
                forbidden_value("status.conditions", f"cannot disable the terminal {kind}=True condition")
            )
    return causes
