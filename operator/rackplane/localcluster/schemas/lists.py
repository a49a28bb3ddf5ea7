"""Lists that are maps or sets: no two elements with the same keys, no two equal elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rackplane.localcluster.errors import Cause, duplicate_value, invalid_value

from .validation import property_schema
from .values import Schema, child, key, same


def duplicates(schema: Schema | None, value: Any, path: str = "") -> Iterator[Cause]:
    """The second appearances of elements, anywhere below."""
    if schema is None:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            where = child(path, name) if name in (schema.get("properties") or {}) else key(path, name)
            if isinstance(item, (dict, list)):
                yield from duplicates(property_schema(schema, name), item, where)
    elif isinstance(value, list):
        match schema.get("x-kubernetes-list-type"):
            case "set":
                yield from _repeated(value, path)
            case "map":
                yield from _in_map(schema, value, path)
        items = schema.get("items")
        for index, item in enumerate(value):
            if isinstance(item, (dict, list)):
                yield from duplicates(items, item, f"{path}[{index}]")


def _in_map(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    for index, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            where = f"{path}[{index}]"
            yield invalid_value(where, item, "must be an object for an array of list-type map")
            return
    names = schema.get("x-kubernetes-list-map-keys") or ()
    yield from _repeated(
        [{name: item[name] for name in names if item and name in item} for item in value], path
    )


def _repeated(values: list[Any], path: str) -> Iterator[Cause]:
    """A cause for the second of several equal values; the third is not named."""
    if len({repr(value) for value in values}) == len(values):
        return
    for index, value in enumerate(values):
        if sum(same(value, other) for other in values[:index]) == 1:
            yield duplicate_value(f"{path}[{index}]", value)
