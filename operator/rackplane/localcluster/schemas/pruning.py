"""What becomes of an object before it is judged: unknown fields go, defaults come."""

from __future__ import annotations

from typing import Any

from rackplane.localcluster.objects import clone

from .values import Schema

META = frozenset({"apiVersion", "kind", "metadata"})
_UNSET: Schema = {}


def prune(schema: Schema, value: Any) -> list[str]:
    """Remove the fields of a resource that its schema does not know, in place; returns their paths, sorted."""
    removed: list[str] = []
    _prune({**schema, "x-kubernetes-embedded-resource": True}, value, "", removed)
    return sorted(removed)


def prune_default(schema: Schema, value: Any) -> list[str]:
    """The same for a default, which is the root of nothing unless its schema says so."""
    removed: list[str] = []
    _prune(schema, value, "", removed)
    return removed


def _prune(schema: Schema | None, value: Any, path: str, removed: list[str]) -> None:
    if isinstance(value, list):
        items = schema.get("items") if schema else None
        for index, item in enumerate(value):
            if schema and schema.get("x-kubernetes-preserve-unknown-fields") and items is None:
                return
            _prune(items, item, f"{path}[{index}]", removed)
    if not isinstance(value, dict):
        return
    schema = schema or _UNSET
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    embedded = schema.get("x-kubernetes-embedded-resource")
    keep = schema.get("x-kubernetes-preserve-unknown-fields")
    for name in list(value):
        if embedded and name in META:
            continue
        where = f"{path}.{name}" if path else name
        if name in properties:
            _prune(properties[name], value[name], where, removed)
        elif extra:
            # `additionalProperties: true` says nothing of what is inside, so what is inside goes.
            _prune(extra if isinstance(extra, dict) else None, value[name], where, removed)
        elif not keep:
            del value[name]
            removed.append(where)


def drop_nulls(schema: Schema | None, value: Any) -> None:
    """Remove nulls that are neither allowed nor replaced by a default, in place."""
    if isinstance(value, dict):
        for name, item in list(value.items()):
            below = _schema_of(schema, name)
            if (
                item is None
                and below is not None
                and not below.get("nullable")
                and below.get("default") is None
            ):
                del value[name]
            else:
                drop_nulls(below, item)
    elif isinstance(value, list):
        items = schema.get("items") if schema else None
        for item in value:
            drop_nulls(items, item)


def _schema_of(schema: Schema | None, name: str) -> Schema | None:
    if schema is None:
        return None
    found = (schema.get("properties") or {}).get(name)
    if found is None:
        found = schema.get("additionalProperties")
    return found if isinstance(found, dict) else None


def default(schema: Schema | None, value: Any) -> None:
    """Fill in schema defaults, in place. A null where none is allowed counts as absent."""
    if schema is None:
        return
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for name, below in properties.items():
            if below.get("default") is not None and (
                name not in value or (value[name] is None and not below.get("nullable"))
            ):
                value[name] = clone(below["default"])
        extra = schema.get("additionalProperties")
        for name, item in value.items():
            if name in properties:
                default(properties[name], item)
            elif isinstance(extra, dict):
                default(extra, item)
    elif isinstance(value, list):
        items = schema.get("items")
        for index, item in enumerate(value):
            if item is None and items and not items.get("nullable") and items.get("default") is not None:
                value[index] = item = clone(items["default"])
            default(items, item)
