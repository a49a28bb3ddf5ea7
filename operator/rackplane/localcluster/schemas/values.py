"""JSON values as the server, written in Go, sees and prints them."""

from __future__ import annotations

import json
from typing import Any

Schema = dict[str, Any]

#: Where a message about no field in particular is shown to be.
NOWHERE = "<nil>"


def type_of(value: Any) -> str:
    """The JSON Schema type of a value; `null` for None."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "null" if value is None else "object"


def same(left: Any, right: Any) -> bool:
    """Equality as JSON has it: true is not 1, at any depth."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def mentions(schema: Any, word: str) -> bool:
    """Whether a schema has a word anywhere."""
    if isinstance(schema, dict):
        return word in schema or any(mentions(part, word) for part in schema.values())
    return isinstance(schema, list) and any(mentions(part, word) for part in schema)


def number(value: float) -> str:
    """A number as `%v` prints it."""
    if isinstance(value, int):
        return json.dumps(value)
    text = repr(value)
    mantissa, _, exponent = text.partition("e")
    mantissa = mantissa.removesuffix(".0")
    if exponent:
        return f"{mantissa}e{'-' if exponent.startswith('-') else '+'}{exponent.lstrip('+-'):0>2}"
    if abs(value) >= 1e21 or 0 < abs(value) < 1e-4:
        text = f"{value:e}"
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
    return mantissa


def child(path: str, name: str) -> str:
    """The path of a field."""
    return f"{path}.{name}" if path else name


def key(path: str, name: str) -> str:
    """The path of a map's entry."""
    return f"{path}[{name}]"
