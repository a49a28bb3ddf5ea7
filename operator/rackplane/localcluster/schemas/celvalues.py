"""Values as CEL sees them, and the functions of Kubernetes' CEL libraries that the evaluator lacks or has otherwise."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from .celsyntax import RESERVED
from .formats import parse_duration, parse_time
from .scalars import compiled
from .values import Schema


def escape(name: str) -> str:
    """The name of a property as expressions write it."""
    if name in RESERVED:
        return f"__{name}__"
    return (
        name.replace("__", "__underscores__")
        .replace(".", "__dot__")
        .replace("-", "__dash__")
        .replace("/", "__slash__")
    )


def cel_value(schema: Schema, value: Any) -> Any:
    """A value with the types its schema declares, awkward property names escaped."""
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        below = extra if isinstance(extra, dict) else {}
        return {
            escape(name) if name in properties else name: cel_value(properties.get(name, below), item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        items = schema.get("items")
        below = items if isinstance(items, dict) else {}
        return [cel_value(below, item) for item in value]
    if isinstance(value, str) and schema.get("format") and schema.get("type") == "string":
        return _formatted(schema["format"], value)
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _formatted(form: str, value: str) -> Any:
    match form:
        case "date-time":
            found_time = parse_time(value)
            return value if found_time is None else found_time.astimezone(UTC)
        case "date":
            return datetime.combine(date.fromisoformat(value), datetime.min.time(), UTC)
        case "duration":
            found = parse_duration(value)
            return value if found is None else found
        case "byte":
            return base64.b64decode(value)
    return value


def failure(problem: Exception, rule: str) -> str:
    """The words of the server for an expression that came to no value."""
    text = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    # A function of ours that failed: the evaluator puts its own words around the reason.
    own = re.search(r"Python function call failed: \w+: (.*)\. Check function arguments", text)
    if own:
        text = own[1]
    elif isinstance(problem, KeyError):
        text = f"no such key: {problem.args[0]}"
    elif isinstance(problem, ZeroDivisionError):
        text = "modulus by zero" if "modul" in text else "division by zero"
    elif isinstance(problem, OverflowError):
        text = "integer overflow"
    elif isinstance(problem, TypeError):
        said = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'no such overload': {said}: {rule}"
    return f"{text} evaluating rule: {rule}"


def _split(text: str, separator: str, most: int = -1) -> list[str]:
    if most == 0:
        return []
    if separator == "":
        return list(text) if most < 0 else [*text[: most - 1], text[most - 1 :]]
    return text.split(separator) if most < 0 else text.split(separator, most - 1)


def _index_of(where: Any, what: Any, start: int = 0) -> int:
    if isinstance(where, str):
        return where.find(what, start)
    return next((index for index, item in enumerate(where) if item == what), -1)


def _last_index_of(where: Any, what: Any) -> int:
    if isinstance(where, str):
        return where.rfind(what)
    return next((index for index in range(len(where) - 1, -1, -1) if where[index] == what), -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= start <= end <= len(text):
        raise IndexError(f"index out of range: {end if start <= end else start}")
    return text[start:end]


def _replace(text: str, old: str, new: str, most: int = -1) -> str:
    return text.replace(old, new, most)


def _find(text: str, pattern: str) -> str:
    found = compiled(pattern).search(text)
    return found[0] if found else ""


def _find_all(text: str, pattern: str, most: int = -1) -> list[str]:
    found = [match[0] for match in compiled(pattern).finditer(text)]
    return found if most < 0 else found[:most]


def _is_sorted(values: list[Any]) -> bool:
    return all(a <= b for a, b in pairwise(values))


def _lower(text: str) -> str:
    return re.sub("[A-Z]+", lambda found: found[0].lower(), text)


def _upper(text: str) -> str:
    return re.sub("[a-z]+", lambda found: found[0].upper(), text)


_LAYOUT = "2006-01-02T15:04:05Z07:00"


def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    found = parse_time(value)
    if found is None:
        raise ValueError(f'parsing time "{value}" as "{_LAYOUT}": cannot parse "{value}" as "2006"')
    return found.astimezone(UTC)


#: The evaluator counts the bytes of a string, the server its letters; the evaluator tells the hours of a time where it
#: was written, the server those of UTC.
RENAMED = {"size": "size__", "timestamp": "timestamp__"}
#: By the names that `celcheck.translated` gives them.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size__": len,
    "timestamp__": _timestamp,
    "lowerAscii": _lower,
    "upperAscii": _upper,
    "trim": str.strip,
    "split": _split,
    "join": lambda values, separator="": separator.join(values),
    "replace": _replace,
    "substring": _substring,
    "charAt": lambda text, index: _substring(text, index, min(index + 1, len(text))),
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "find": _find,
    "findAll": _find_all,
    "isSorted": _is_sorted,
    "sum": lambda values: sum(values),
    "min": lambda values: min(values),
    "max": lambda values: max(values),
}
