"""The part of an object that expressions name: converting a whole pod for the evaluator takes longer than its rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Field names from the root of an object. The empty path is the whole object.
Path = tuple[str, ...]


def extract(value: Any, paths: Iterable[Path]) -> Any:
    """`value` with nothing but what lies at the paths; an expression that follows them finds what it would in `value`.

    A path that ends early ends at the same field, with the same value. The result shares its parts with `value`.
    """
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    whole: set[Path] = set()
    for path in sorted(paths, key=len):
        if not path:
            return value
        if not any(path[:length] in whole for length in range(1, len(path))):
            whole.add(path)
            _copy(value, result, path)
    return result


def _copy(source: dict[str, Any], target: dict[str, Any], path: Path) -> None:
    for place, name in enumerate(path, 1):
        if name not in source:
            return
        found = source[name]
        if place == len(path) or not isinstance(found, dict):
            target[name] = found
            return
        source, target = found, target.setdefault(name, {})
