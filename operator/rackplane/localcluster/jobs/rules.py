"""What the API server does to batch/v1 Jobs: defaults, selector and labels, what may change and when."""

from __future__ import annotations

from typing import Any

from rackplane.localcluster import names, podrules
from rackplane.localcluster.errors import Cause, invalid_value
from rackplane.localcluster.gojson import internal
from rackplane.localcluster.objects import LARGEST_INT32, Obj, clone, dig, is_true, meta, name_of

from . import checks
from .labels import NAME_LABEL, OLD_NAME_LABEL, OLD_UID_LABEL, UID_LABEL
from .statuschecks import status_causes, tidy

#: What may change in the template of a Job that is suspended and has no pods.
_SCHEDULING = ("nodeSelector", "tolerations", "schedulingGates")


def default(job: Obj) -> None:
    """Fill in what a client left out, in place."""
    spec = job.setdefault("spec", {})
    for field in [name for name, value in spec.items() if value is None]:
        del spec[field]
    if "parallelism" not in spec and "completions" not in spec:
        spec["completions"] = 1
    failed_only = "podFailurePolicy" in spec
    for field, value in (
        ("parallelism", 1),
        ("backoffLimit", LARGEST_INT32 if "backoffLimitPerIndex" in spec else 6),
        ("completionMode", "NonIndexed"),
        ("suspend", False),
        ("podReplacementPolicy", "Failed" if failed_only else "TerminatingOrFailed"),
        ("manualSelector", False),
    ):
        spec.setdefault(field, value)
    policy = spec.get("podFailurePolicy")
    if policy is not None:
        policy["rules"] = (
            policy.get("rules") or None
        )  # as upstream, whose storage cannot tell empty from none
    for rule in (policy or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            if not pattern.get("status"):
                pattern["status"] = "True"
    template = spec.setdefault("template", {})
    podrules.default_template(template.setdefault("spec", {}), "Job")
    share_labels(job)


def share_labels(job: Obj) -> None:
    """A Job without labels has those of its template: the same mapping, so that what is added there is here too."""
    labels = dig(job, "spec", "template", "metadata", "labels")
    if labels and not meta(job).get("labels"):
        job["metadata"]["labels"] = labels


def prepare_create(job: Obj) -> None:
    """Defaults, generated selector and labels, in place. The object has its uid already."""
    default(job)
    spec = job["spec"]
    if not spec["manualSelector"]:
        uid, name = meta(job)["uid"], name_of(job)
        template = spec["template"]
        metadata = template["metadata"] = {**(template.get("metadata") or {})}
        labels = metadata["labels"] = metadata.get("labels") or {}
        for key, value in (
            (OLD_NAME_LABEL, name),
            (NAME_LABEL, name),
            (OLD_UID_LABEL, uid),
            (UID_LABEL, uid),
        ):
            labels.setdefault(key, value)
        selector = spec.get("selector") or {}
        spec["selector"] = {**selector, "matchLabels": {UID_LABEL: uid} | (selector.get("matchLabels") or {})}
    share_labels(job)
    if "labels" in job["metadata"]:
        job["metadata"]["labels"] = dict(job["metadata"]["labels"])
    job["status"] = {}


def prepare_status(job: Obj, before: Obj) -> list[Cause]:
    """Bring a Job whose status is to be stored into its form, in place; what is wrong with the status."""
    tidy(job)
    share_labels(job)
    return status_causes(job, before)


def warnings(job: Obj, before: Obj | None = None) -> list[str]:
    """What the API server warns of when a Job is created or, with `before`, changed."""
    spec, found = job["spec"], []
    faults = names.dns_label(name_of(job)) if before is None else ()
    if faults:
        found.append(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS "
            f"label is recommended: [{' '.join(faults)}]"
        )
    if before is None or meta(before).get("generation") != meta(job).get("generation"):
        many = spec.get("completionMode") == "Indexed" and (spec.get("completions") or 0) > 100_000
        if many and (spec.get("parallelism") or 0) > 10_000:
            found.append(
                "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than "
                "10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
            )
    return found


def validate(job: Obj) -> list[Cause]:
    """What is wrong with a Job to be created."""
    return checks.job_causes(job)


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """What an update of a Job (not of its status) may not do."""
    spec, before = new["spec"], old["spec"]
    labels = dig(before, "template", "metadata", "labels") or {}
    causes = checks.job_causes(new, prefixed=NAME_LABEL in labels and UID_LABEL in labels)
    # Upstream checks the spec once for itself and once as an update; a client sees each cause twice.
    causes += checks.spec_causes(spec)
    causes += _completions(spec, before)
    causes += _frozen(spec, before, "selector", internal(spec.get("selector"), checks.SELECTOR))
    causes += _template(new, old)
    for field, kind in (
        ("completionMode", ""),
        ("podFailurePolicy", "PodFailurePolicy"),
        ("backoffLimitPerIndex", ""),
        ("managedBy", ""),
        ("successPolicy", "SuccessPolicy"),
    ):
        value = spec.get(field)
        causes += _frozen(spec, before, field, internal(value, kind) if kind and value else value)
    return causes


def _frozen(spec: Obj, before: Obj, field: str, shown: Any) -> list[Cause]:
    if _same(spec.get(field), before.get(field)):
        return []
    return [invalid_value(f"spec.{field}", shown, "field is immutable")]


def _completions(spec: Obj, before: Obj) -> list[Cause]:
    """Fixed, unless the Job is Indexed and scales: then they are as many as the parallelism."""
    wanted = spec.get("completions")
    if wanted == before.get("completions"):
        return []
    if spec.get("completionMode") != "Indexed":
        return [invalid_value("spec.completions", wanted, "field is immutable")]
    if wanted is None or wanted == spec.get("parallelism"):
        return []
    detail = "can only be modified in tandem with spec.parallelism"
    return [invalid_value("spec.completions", wanted, detail)]


def _template(new: Obj, old: Obj) -> list[Cause]:
    template, before = new["spec"]["template"], old["spec"]["template"]
    suspended = bool(dig(old, "spec", "suspend"))
    if not (suspended and _without_pods(old)):
        if _same(template, before):
            return []
        return [invalid_value("spec.template", internal(template, "PodTemplateSpec"), "field is immutable")]
    allowed = _with_directives(template["spec"], before["spec"])
    for field in ("containers", "initContainers"):
        fresh, known = template["spec"].get(field) or [], allowed.get(field) or []
        if len(fresh) == len(known):
            for container, other in zip(fresh, known, strict=True):
                if container.get("name") == other.get("name"):
                    other["resources"] = container.get("resources")
    if _same(template["spec"], allowed):
        return []
    shown = internal(template["spec"], "PodSpec")
    return [invalid_value("spec.template.spec", shown, "field is immutable")]


def _without_pods(job: Obj) -> bool:
    """Whether a suspended Job never ran, or is known to have stopped."""
    never = not dig(job, "status", "startTime")
    return (never or is_true(job, "Suspended")) and not dig(job, "status", "active")


def _with_directives(spec: Obj, before: Obj) -> Obj:
    """The old pod spec with the new one's scheduling directives; of affinity that is the part about nodes."""
    allowed: Obj = clone(before)
    for field in _SCHEDULING:
        allowed[field] = spec.get(field)
    fresh, known = spec.get("affinity"), allowed.get("affinity")
    if fresh is not None or known is not None:
        affinity = {**(known or {}), "nodeAffinity": (fresh or {}).get("nodeAffinity")}
        allowed["affinity"] = affinity if fresh is not None or _tidy(affinity) else None
    return allowed


def _same(one: Any, other: Any) -> bool:
    return bool(_tidy(one) == _tidy(other))


def _tidy(value: Any) -> Any:
    """Without what is empty: absent, null and empty are the same to the API server."""
    if isinstance(value, dict):
        parts = {key: _tidy(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part not in (None, [], {}, "")}
    if isinstance(value, list):
        return [_tidy(part) for part in value]
    return value
