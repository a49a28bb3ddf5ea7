"""Whether a schema is structural: every value has one place that says its type, and combinations only restrict it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rackplane.localcluster.errors import Cause, forbidden_value, invalid_value, required

from .scalars import compiled
from .values import Schema

_EITHER = [{"type": "integer"}, {"type": "string"}]
_EMPTY_TYPE = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
#: What combinations may not say, since it belongs to the place itself.
_FORBIDDEN_BELOW = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def structural_problems(schema: Schema, path: str) -> list[Cause]:
    """What keeps a schema from being structural, sorted as people read it."""
    causes = [*_place(schema, "root", path), *_complete(schema, schema, path, path)]
    return sorted(causes, key=str)


def _place(schema: Schema, level: str, path: str) -> Iterator[Cause]:
    kind = schema.get("type") or ""
    embedded = schema.get("x-kubernetes-embedded-resource")
    preserve = schema.get("x-kubernetes-preserve-unknown-fields")
    either = schema.get("x-kubernetes-int-or-string")
    items, extra = schema.get("items"), schema.get("additionalProperties")
    properties = schema.get("properties") or {}
    if kind == "array" and items is None:
        yield required(f"{path}.items", "must be specified")
    if isinstance(items, dict):
        yield from _place(items, "item", f"{path}.items")
    for name, below in properties.items():
        yield from _place(below, "field", f"{path}.properties[{name}]")
    if extra is not None:
        if level == "root":
            yield forbidden_value(f"{path}.additionalProperties", "must not be used at the root")
        if isinstance(extra, dict):
            yield from _place(extra, "field", f"{path}.additionalProperties")
    if either and preserve:
        text = "must be false if x-kubernetes-int-or-string is true"
        yield invalid_value(f"{path}.x-kubernetes-preserve-unknown-fields", True, text)
    if either and embedded:
        text = "must be false if x-kubernetes-int-or-string is true"
        yield invalid_value(f"{path}.x-kubernetes-embedded-resource", True, text)
    yield from _restrictions(schema, level, path, spine=True)
    if embedded and kind != "object":
        text = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid_value(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)
    elif not kind and not either and not preserve:
        yield required(f"{path}.type", _EMPTY_TYPE[level])
    if embedded and extra is not None:
        text = "must not be used if x-kubernetes-embedded-resource is set"
        yield forbidden_value(f"{path}.additionalProperties", text)
    if level == "root" and kind and kind != "object":
        yield invalid_value(f"{path}.type", kind, "must be object at the root")
    if level == "root" or embedded:
        yield from _metadata(properties, level, path)
    if embedded and not preserve and not properties:
        text = "must not be empty if x-kubernetes-embedded-resource is true without"
        yield required(f"{path}.properties", f"{text} x-kubernetes-preserve-unknown-fields")


def _metadata(properties: dict[str, Schema], level: str, path: str) -> Iterator[Cause]:
    for name in ("kind", "apiVersion"):
        if name in properties and properties[name].get("type") != "string":
            where = f"{path}.properties[{name}].type"
            yield invalid_value(where, properties[name].get("type") or "", "must be string")
    metadata = properties.get("metadata")
    if metadata is None:
        return
    where = f"{path}.properties[metadata]"
    if metadata.get("type") != "object":
        yield invalid_value(f"{where}.type", metadata.get("type") or "", "must be object")
    if level == "root":
        rest = {name: value for name, value in metadata.items() if name not in ("type", "default") and value}
        if set(rest.get("properties") or ()) <= {"name", "generateName"}:
            rest.pop("properties", None)
        if rest:
            text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield forbidden_value(where, text)


def _restrictions(schema: Schema, level: str, path: str, *, spine: bool) -> Iterator[Cause]:
    skip_any = spine and schema.get("anyOf") == _EITHER
    first_all = schema.get("allOf") or [{}]
    skip_first = spine and first_all[0].get("anyOf") == _EITHER
    if not skip_any:
        for index, option in enumerate(schema.get("anyOf") or ()):
            yield from _below(option, level, f"{path}.anyOf[{index}]")
    for index, option in enumerate(schema.get("allOf") or ()):
        if skip_first and index == 0:
            option = {name: value for name, value in option.items() if name != "anyOf"}
        yield from _below(option, level, f"{path}.allOf[{index}]")
    for index, option in enumerate(schema.get("oneOf") or ()):
        yield from _below(option, level, f"{path}.oneOf[{index}]")
    if isinstance(schema.get("not"), dict):
        yield from _below(schema["not"], level, f"{path}.not")
    pattern = schema.get("pattern")
    if pattern:
        try:
            compiled(pattern)
        except re.error as problem:
            text = f"must be a valid regular expression, but isn't: {_as_go(pattern, problem)}"
            yield invalid_value(f"{path}.pattern", pattern, text)


def _as_go(pattern: str, problem: re.error) -> str:
    """What Go's regexp says of the commonest mistakes; Python's words for others."""
    text, at = problem.msg, problem.pos or 0
    if text.startswith("missing ), unterminated"):
        return f"error parsing regexp: missing closing ): `{pattern}`"
    if text.startswith("unbalanced parenthesis"):
        return f"error parsing regexp: unexpected ): `{pattern}`"
    if text.startswith("unterminated character set"):
        return f"error parsing regexp: missing closing ]: `{pattern[at:]}`"
    if text.startswith("nothing to repeat"):
        return f"error parsing regexp: missing argument to repetition operator: `{pattern[at]}`"
    return f"error parsing regexp: {text}: `{pattern}`"


def _below(schema: Schema, level: str, path: str) -> Iterator[Cause]:
    yield from _restrictions(schema, level, path, spine=False)
    if isinstance(schema.get("items"), dict):
        yield from _below(schema["items"], level, f"{path}.items")
    for name, child in (schema.get("properties") or {}).items():
        yield from _below(child, "field", f"{path}.properties[{name}]")
    for name, text in _FORBIDDEN_BELOW:
        if schema.get(name) or (name == "default" and schema.get(name) is not None):
            yield forbidden_value(f"{path}.{name}", text)
    if "metadata" in (schema.get("properties") or {}):
        yield forbidden_value(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _complete(value: Schema, spine: Schema | None, place: str, path: str) -> Iterator[Cause]:
    """Every field that a combination speaks of must have a place of its own."""
    for name, option in _options(value):
        yield from _complete_below(option, spine, place, f"{path}.{name}")


def _options(schema: Schema) -> Iterator[tuple[str, Any]]:
    if isinstance(schema.get("not"), dict):
        yield "not", schema["not"]
    for word in ("allOf", "anyOf", "oneOf"):
        for index, option in enumerate(schema.get(word) or ()):
            yield f"{word}[{index}]", option


def _complete_below(value: Schema, spine: Schema | None, place: str, path: str) -> Iterator[Cause]:
    if spine is None:
        yield required(place, f"because it is defined in {path}")
        return
    yield from _complete(value, spine, place, path)
    if isinstance(value.get("items"), dict):
        yield from _complete_below(value["items"], spine.get("items"), f"{place}.items", f"{path}.items")
    for name, below in (value.get("properties") or {}).items():
        end = f".properties[{name}]"
        yield from _complete_below(below, (spine.get("properties") or {}).get(name), place + end, path + end)
