"""Paths into a schema as `fieldPath` of a rule and `selectableFields` write them: `.spec.map['a key']`."""

from __future__ import annotations

import re

from .values import Schema

_TOKEN = re.compile(r"'(?:[^'\\]|\\.)+'|[.\[\]]|[^.\[\]]+")


class PathError(ValueError):
    """The path leads nowhere; the text says where it breaks off."""


def resolve(path: str, schema: Schema, *, brackets: bool = True) -> tuple[str, Schema]:
    """The path as causes show it, and the schema it leads to.

    Raises:
        PathError: it is malformed, or no such field is in the schema.
    """
    tokens = _TOKEN.findall(path)
    shown, at = "", 0
    while at < len(tokens):
        token = tokens[at]
        if token == "[":
            if not brackets:
                raise PathError("array notation is not allowed")
            name = _next(tokens, at + 1)
            if len(name) < 2 or name[0] != "'" or name[-1] != "'":
                raise PathError(f"expected single quoted string but got {name}")
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
            if _next(tokens, at + 2) != "]":
                raise PathError(f"expected ] but got {tokens[at + 2]}")
            at += 3
        elif token == ".":
            name = _next(tokens, at + 1)
            at += 2
        else:
            raise PathError(f"expected [ or . but got: {token}")
        properties, extra = schema.get("properties"), schema.get("additionalProperties")
        if properties:
            if name not in properties:
                raise PathError("does not refer to a valid field")
            schema, shown = properties[name], f"{shown}.{name}" if shown else name
        elif isinstance(extra, dict):
            schema, shown = extra, f"{shown}[{name}]"
        else:
            raise PathError("does not refer to a valid field")
    return shown, schema


def _next(tokens: list[str], at: int) -> str:
    if at >= len(tokens):
        raise PathError("unexpected end of JSON path")
    return tokens[at]
