"""What an Event must say: little in core/v1, more in events.k8s.io/v1, where it also may not be rewritten."""

from __future__ import annotations

from . import errors
from .errors import Cause, invalid_value, required
from .names import dns_subdomain, qualified_name
from .objects import Obj, name_of, namespace_of
from .resources import EVENTS, Resource

#: Characters of the note of an Event, and of its shorter fields.
NOTE_LIMIT = 1024
FIELD_LIMIT = 128
#: What an update through events.k8s.io/v1 may not change, in the words of the stored object.
_IMMUTABLE: tuple[tuple[str, object], ...] = (
    ("involvedObject", {}),
    ("reason", ""),
    ("message", ""),
    ("source", {}),
    ("firstTimestamp", None),
    ("lastTimestamp", None),
    ("count", 0),
    ("reason", ""),
    ("type", ""),
    ("eventTime", None),
    ("action", ""),
    ("related", None),
    ("reportingComponent", ""),
    ("reportingInstance", ""),
)
_SHOWN = {"reportingComponent": "reportingController"}


def check(resource: Resource, event: Obj, before: Obj | None = None) -> None:
    """Refuse an Event, as it is stored, that breaks the rules of the API it came through; others pass.

    Raises:
        ApiError: 422.
    """
    if resource.key != EVENTS:
        return
    strict = resource.group != ""
    causes = _common(event, strict=strict)
    if strict:
        causes += _strict_creation(event) if before is None else _strict_change(event, before)
    if causes:
        raise errors.invalid("", "Event", name_of(event), causes)


def _common(event: Obj, *, strict: bool) -> list[Cause]:
    about = (event.get("involvedObject") or {}).get("namespace") or ""
    space = namespace_of(event)
    mismatch = invalid_value("involvedObject.namespace", about, "does not match event.namespace")
    causes: list[Cause] = []
    if not event.get("eventTime"):
        if about != space and (about or space != "default"):
            causes.append(mismatch)
    else:
        if not about and space not in ("default", "kube-system"):
            causes.append(mismatch)
        causes += _reporter(event, "reportingController" if strict else "reportingComponent")
        for field in ("action", "reason"):
            if not event.get(field):
                causes.append(required(field))
            causes += _length(event, field, FIELD_LIMIT)
        causes += _length(event, "message", NOTE_LIMIT)
    return causes + [invalid_value("namespace", space, text) for text in dns_subdomain(space)]


def _reporter(event: Obj, path: str) -> list[Cause]:
    controller = str(event.get("reportingComponent") or "")
    causes = [] if controller else [required(path)]
    causes += [invalid_value(path, controller, text) for text in qualified_name(controller)]
    if not event.get("reportingInstance"):
        causes.append(required("reportingInstance"))
    return causes + _length(event, "reportingInstance", FIELD_LIMIT)


def _length(event: Obj, field: str, limit: int) -> list[Cause]:
    if len(str(event.get(field) or "").encode()) <= limit:
        return []
    return [invalid_value(field, "", f"can have at most {limit} characters")]


def _series(event: Obj) -> list[Cause]:
    series = event.get("series")
    if series is None:
        return []
    causes = []
    if (series.get("count") or 0) < 2:
        causes.append(invalid_value("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        causes.append(required("series.lastObservedTime"))
    return causes


def _strict_creation(event: Obj) -> list[Cause]:
    causes = _series(event)
    if not event.get("eventTime"):
        causes.append(required("eventTime"))
    if event.get("type") not in ("Normal", "Warning"):
        causes.append(invalid_value("type", "", f"has invalid value: {event.get('type') or ''}"))
    for field in ("firstTimestamp", "lastTimestamp", "count"):
        if event.get(field):
            causes.append(invalid_value(field, "", "needs to be unset"))
    source = event.get("source") or {}
    if source.get("component") or source.get("host"):
        causes.append(invalid_value("source", "", "needs to be unset"))
    return causes


def _strict_change(event: Obj, before: Obj) -> list[Cause]:
    causes = _series(event) if event.get("series") != before.get("series") else []
    for field, empty in _IMMUTABLE:
        value = event.get(field) or empty
        if value != (before.get(field) or empty):
            causes.append(invalid_value(_SHOWN.get(field, field), value, "field is immutable"))
    return causes
