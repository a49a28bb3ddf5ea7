"""The parts of an object: its status, and what is desired of it. A write changes the one or the other."""

from __future__ import annotations

from .objects import Obj, clone, meta
from .resources import Resource


def with_status(resource: Resource, obj: Obj, before: Obj) -> Obj:
    """What a write to /status changes: the status and, for some built-in kinds, labels and annotations too."""
    result: Obj = clone(before)
    _take(result, obj, "status")
    if not resource.crd:
        for field in ("labels", "annotations", "finalizers"):
            _take(result["metadata"], meta(obj), field)
    return result


def without_status(obj: Obj, before: Obj) -> None:
    """Give an object the status that the stored one has, in place: only a write to /status changes that."""
    _take(obj, before, "status")


def desired(resource: Resource, obj: Obj) -> Obj:
    """What `metadata.generation` counts the changes of."""
    ignored = {"metadata", "apiVersion", "kind"}
    if "status" in resource.subresources:
        ignored.add("status")
    return {key: value for key, value in obj.items() if key not in ignored}


def _take(target: Obj, source: Obj, field: str) -> None:
    if field in source:
        target[field] = source[field]
    else:
        target.pop(field, None)
