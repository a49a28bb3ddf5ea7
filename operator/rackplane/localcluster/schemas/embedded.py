"""Resources inside resources (`x-kubernetes-embedded-resource`): they need a kind, and metadata that could be real."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rackplane.localcluster.errors import Cause, invalid_value, required

from .validation import property_schema
from .values import Schema, child, key

_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LABEL_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def label_problem(text: str) -> str:
    """What keeps a text from being a DNS-1035 label; empty if it is one."""
    parts = []
    if len(text) > 63:
        parts.append("must be no more than 63 characters")
    if not _LABEL.fullmatch(text):
        parts.append(LABEL_TEXT)
    return ",".join(parts)


def resources(schema: Schema | None, value: Any, path: str = "") -> Iterator[Cause]:
    """What is wrong with the embedded resources anywhere below."""
    if schema is None:
        return
    if isinstance(value, dict):
        if schema.get("x-kubernetes-embedded-resource"):
            yield from _one(value, path)
        for name, item in value.items():
            if isinstance(item, (dict, list)):
                where = child(path, name) if name in (schema.get("properties") or {}) else key(path, name)
                yield from resources(property_schema(schema, name), item, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from resources(schema.get("items"), item, f"{path}[{index}]")


def _one(value: dict[str, Any], path: str) -> Iterator[Cause]:
    for name in ("apiVersion", "kind"):
        if name not in value:
            yield required(child(path, name))
    if "apiVersion" in value:
        version = value["apiVersion"]
        if not isinstance(version, str):
            yield invalid_value(child(path, "apiVersion"), version, "must be a string")
        elif not version:
            yield invalid_value(child(path, "apiVersion"), version, "must not be empty")
        elif version.count("/") > 1:
            yield invalid_value(
                child(path, "apiVersion"), version, f"unexpected GroupVersion string: {version}"
            )
    if "kind" in value:
        kind = value["kind"]
        if not isinstance(kind, str):
            yield invalid_value(child(path, "kind"), kind, "must be a string")
        elif not kind:
            yield invalid_value(child(path, "kind"), kind, "must not be empty")
        elif problem := label_problem(kind.lower()):
            text = f"may have mixed case, but should otherwise match: {problem}"
            yield invalid_value(child(path, "kind"), kind, text)
    given = (value.get("metadata") or {}).get("name")
    if isinstance(given, str) and given:
        where = f"{path}.metadata.name"
        if given in (".", ".."):
            yield invalid_value(where, given, f"may not be '{given}'")
        for letter in "/%":
            if letter in given:
                yield invalid_value(where, given, f"may not contain '{letter}'")
