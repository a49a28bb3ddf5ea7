"""Values as Go's own formatting prints them, in messages that quote what a client sent."""

from __future__ import annotations

from typing import Any


def formatted(value: Any) -> str:
    """A value of JSON as `%v` prints it: `map[a:1 b:[x y]]`."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{formatted(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(formatted(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def literal(value: Any) -> str:
    """A value of JSON as `%#v` prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        parts = ", ".join(f'"{key}":{literal(value[key])}' for key in sorted(value))
        return f"map[string]interface {{}}{{{parts}}}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(literal(item) for item in value) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def type_name(value: Any) -> str:
    """The name of the Go type that a value of JSON is read into."""
    names: dict[type, str] = {
        dict: "map[string]interface {}",
        list: "[]interface {}",
        str: "string",
        bool: "bool",
        int: "int64",
        float: "float64",
    }
    return names.get(type(value), "<nil>")
