"""The metadata of a custom resource as it is read: its Go type, and what finalizers are warned of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rackplane.localcluster.metadata import STANDARD_FINALIZERS

from .values import type_of

_KNOWN = {
    **dict.fromkeys(("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"), "string"),
    **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), "time"),
    **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), "int64"),
    **dict.fromkeys(("labels", "annotations"), "map[string]string"),
    "ownerReferences": "[]v1.OwnerReference",
    "finalizers": "[]string",
    "managedFields": "[]v1.ManagedFieldsEntry",
}
_JSON = {"boolean": "bool", "integer": "number"}
_TYPES = {"string": "string", "int64": "integer", "map[string]string": "object"}


def unknown_fields(metadata: Any) -> list[str]:
    """Remove what metadata does not have, in place; returns the paths."""
    if not isinstance(metadata, dict):
        return []
    removed = sorted(name for name in metadata if name not in _KNOWN)
    for name in removed:
        del metadata[name]
    return [f"metadata.{name}" for name in removed]


def wrong_type(metadata: Any) -> str:
    """What the decoder says of the first value of a wrong type; empty if there is none."""
    if not isinstance(metadata, dict):
        return ""
    for name, value in metadata.items():
        kind = _KNOWN.get(name)
        if value is None or kind is None:
            continue
        wanted = "array" if kind.startswith("[]") else _TYPES.get(kind)
        if wanted is not None and type_of(value) != wanted:
            return _mismatch(value, name, kind)
        inner: list[Any] = []
        if kind == "map[string]string":
            inner = list(value.values())
        elif kind == "[]string":
            inner = value
        for item in inner:
            if item is not None and not isinstance(item, str):
                return _mismatch(item, name, "string")
    return ""


def _mismatch(value: Any, name: str, kind: str) -> str:
    actual = type_of(value)
    return f"json: cannot unmarshal {_JSON.get(actual, actual)} into Go struct field ObjectMeta.{name} of type {kind}"


def finalizer_warnings(added: list[str]) -> Iterator[str]:
    """What the server says of finalizers that could be anybody's."""
    for name in sorted(added):
        if "/" in name or name in STANDARD_FINALIZERS:
            continue
        advice = "prefer a domain-qualified finalizer name"
        path = " including a path (/)" if "." in name else ""
        yield (
            f'metadata.finalizers: "{name}": {advice}{path} to avoid accidental conflicts with other finalizer writers'
        )
