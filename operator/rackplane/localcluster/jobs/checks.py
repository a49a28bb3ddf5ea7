"""What the API server demands of a Job on its own. Causes come in the order of kube-apiserver."""

from __future__ import annotations

import re
from typing import Any

from rackplane.localcluster import names, podrules
from rackplane.localcluster.errors import Cause, invalid_value, required, unsupported_value
from rackplane.localcluster.gojson import internal
from rackplane.localcluster.objects import Obj, dig, meta, name_of
from rackplane.localcluster.selectors import match_selector

from .labels import NAME_LABEL, OLD_NAME_LABEL, OLD_UID_LABEL, UID_LABEL
from .policychecks import failure_policy_causes, success_policy_causes

#: The type of `spec.selector` where values are shown.
SELECTOR = "*metav1.LabelSelector"
_MANY = 100_000
_MOST_PARALLEL_OF_MANY = 10_000
_LONGEST_MANAGED_BY = 63
_MOST_ANNOTATIONS = 256 * 1024
_PATH = re.compile(r"^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$")
_PATH_TEXT = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"


def job_causes(job: Obj, *, prefixed: bool = True) -> list[Cause]:
    """What is wrong with a Job; `prefixed` asks for the labels with a prefix besides the old ones."""
    spec = job["spec"]
    causes = _generated_selector(job, prefixed) + spec_causes(spec)
    completions = spec.get("completions")
    if spec.get("completionMode") == "Indexed" and completions:
        last = f"{name_of(job)}-{completions - 1}"
        if names.dns_label(last):
            detail = f"will not able to create pod with invalid DNS label: {last}"
            causes.append(invalid_value("metadata.name", name_of(job), detail))
    return causes


def _generated_selector(job: Obj, prefixed: bool) -> list[Cause]:
    """Unless the user brings the selector, it and the labels it finds must be those that were generated."""
    spec, uid, name = job["spec"], str(meta(job)["uid"]), name_of(job)
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    wanted = {OLD_UID_LABEL: uid, OLD_NAME_LABEL: name}
    if prefixed:
        wanted |= {UID_LABEL: uid, NAME_LABEL: name}
    labels = dig(spec, "template", "metadata", "labels") or {}
    causes = []
    for key, value in wanted.items():
        where = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            causes.append(required(where, f"must be '{value}'"))
        elif labels[key] != value:
            causes.append(invalid_value(where, dict(sorted(labels.items())), f"must be '{value}'"))
    if not match_selector(spec["selector"], wanted):
        causes.append(
            invalid_value(
                "spec.selector", internal(spec["selector"], SELECTOR), "`selector` not auto-generated"
            )
        )
    return causes


def spec_causes(spec: Obj) -> list[Cause]:
    """What is wrong with a Job's spec."""
    causes = _numbers(spec) + _managed_by(spec) + _completion_mode(spec)
    causes += failure_policy_causes(spec) + success_policy_causes(spec) + _replacement(spec)
    template = spec.get("template") or {}
    causes += _labels(dig(template, "metadata", "labels") or {})
    causes += _annotations(dig(template, "metadata", "annotations") or {})
    causes += podrules.validate_spec(template.get("spec") or {}, "spec.template.spec")
    causes += _restart_policy(spec)
    selector = spec.get("selector")
    if selector is None:
        causes.append(required("spec.selector"))
    labels = dict(sorted((dig(template, "metadata", "labels") or {}).items()))
    if not match_selector(selector, labels):
        detail = "`selector` does not match template `labels`"
        causes.append(invalid_value("spec.template.metadata.labels", labels or None, detail))
    return causes


def _labels(labels: Obj) -> list[Cause]:
    path, causes = "spec.template.labels", []
    for key, value in sorted(labels.items()):
        causes += [invalid_value(path, key, fault) for fault in names.qualified_name(key)]
        causes += [invalid_value(path, value, fault) for fault in names.label_value(value)]
    return causes


def _annotations(annotations: Obj) -> list[Cause]:
    path, causes = "spec.template.annotations", []
    for key in sorted(annotations):
        causes += [invalid_value(path, key, fault) for fault in names.qualified_name(key.lower())]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _MOST_ANNOTATIONS:
        detail = f"Too long: may not be more than {_MOST_ANNOTATIONS} bytes"
        causes.append(Cause(path, "FieldValueTooLong", detail))
    return causes


def not_negative(path: str, value: Any) -> list[Cause]:
    """A count below 0."""
    if value is None or value >= 0:
        return []
    return [invalid_value(path, value, "must be greater than or equal to 0")]


def _numbers(spec: Obj) -> list[Cause]:
    causes = []
    for field in (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ):
        causes += not_negative(f"spec.{field}", spec.get(field))
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        causes.append(required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    return causes


def _managed_by(spec: Obj) -> list[Cause]:
    value, path = spec.get("managedBy"), "spec.managedBy"
    if value is None:
        return []
    causes = []
    host, slash, rest = value.partition("/")
    if not value:
        causes.append(required(path))
    elif not slash or not host or not rest:
        detail = 'must be a domain-prefixed path (such as "acme.io/foo")'
        causes.append(invalid_value(path, value, detail))
    else:
        causes += [invalid_value(path, host, fault) for fault in names.dns_subdomain(host)]
        if not _PATH.match(rest):
            causes.append(invalid_value(path, rest, _PATH_TEXT))
    if len(value) > _LONGEST_MANAGED_BY:
        detail = f"Too long: may not be more than {_LONGEST_MANAGED_BY} bytes"
        causes.append(Cause(path, "FieldValueTooLong", detail))
    return causes


def _completion_mode(spec: Obj) -> list[Cause]:
    mode = spec.get("completionMode")
    if mode == "Indexed":
        return _indexed(spec)
    causes = []
    if mode != "NonIndexed":
        modes = ["NonIndexed", "Indexed"]
        return [unsupported_value("spec.completionMode", mode, modes)]
    for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
        if spec.get(field) is not None:
            causes.append(invalid_value(f"spec.{field}", spec[field], "requires indexed completion mode"))
    return causes


def _indexed(spec: Obj) -> list[Cause]:
    completions, parallelism = spec.get("completions"), spec.get("parallelism") or 0
    most_failed = spec.get("maxFailedIndexes")
    causes = []
    if completions is None:
        causes.append(required("spec.completions", "when completion mode is Indexed"))
    if parallelism > _MANY:
        detail = f"must be less than or equal to {_MANY} when completion mode is Indexed"
        causes.append(invalid_value("spec.parallelism", parallelism, detail))
    path = "spec.maxFailedIndexes"
    if completions is not None and most_failed is not None and most_failed > completions:
        causes.append(invalid_value(path, most_failed, "must be less than or equal to completions"))
    if most_failed is not None and most_failed > _MANY:
        causes.append(invalid_value(path, most_failed, f"must be less than or equal to {_MANY}"))
    if completions is None or completions <= _MANY or spec.get("backoffLimitPerIndex") is None:
        return causes
    if most_failed is None:
        causes.append(required(path, f"must be specified when completions is above {_MANY}"))
    limit = _MOST_PARALLEL_OF_MANY
    when = f"when completions are above {_MANY} and used with backoff limit per index"
    detail = f"must be less than or equal to {limit} {when}"
    if parallelism > limit:
        causes.append(invalid_value("spec.parallelism", parallelism, detail))
    if most_failed is not None and most_failed > limit:
        causes.append(invalid_value(path, most_failed, detail))
    return causes


def _replacement(spec: Obj) -> list[Cause]:
    value, known = spec.get("podReplacementPolicy"), ["Failed", "TerminatingOrFailed"]
    if spec.get("podFailurePolicy") is not None:
        known = ["Failed"]
    if value is None or value in known:
        return []
    return [unsupported_value("spec.podReplacementPolicy", value, known)]


def _restart_policy(spec: Obj) -> list[Cause]:
    path = "spec.template.spec.restartPolicy"
    value = dig(spec, "template", "spec", "restartPolicy")
    if value in (None, "", "Always"):
        return [required(path, 'valid values: "OnFailure", "Never"')]
    if value not in ("OnFailure", "Never"):
        return [unsupported_value(path, value, ["OnFailure", "Never"])]
    if spec.get("podFailurePolicy") is not None and value != "Never":
        detail = 'only "Never" is supported when podFailurePolicy is specified'
        return [invalid_value(path, value, detail)]
    return []
