"""Whether a value is of a type: what an apply is told that has fields unknown, of a wrong form, or twice in a list."""

from __future__ import annotations

from typing import Any

from rackplane.localcluster.gotext import formatted, literal, type_name

from .sets import Path, shown
from .types import ListType, Type


def mismatches(type_: Type, value: Any, path: Path = ()) -> list[str]:
    """What keeps a value from being of a type: fields unknown, of a wrong form, or twice in a list."""
    if value is None:
        return []
    if isinstance(value, dict) and type_.map is not None:
        problems: list[str] = []
        for key, part in sorted(value.items()):
            known = type_.map.fields.get(key)
            below = known[1] if known else type_.map.element
            where = (*path, f"f:{key}")
            if below is None:
                return [*problems, f"{shown(where)}: field not declared in schema"]
            problems += mismatches(below, part, where)
        return problems
    if isinstance(value, list) and type_.list is not None:
        return _list_mismatches(type_.list, value, path)
    return _wrong_form(type_, value, path)


def _list_mismatches(kind: ListType, value: list[Any], path: Path) -> list[str]:
    problems: list[str] = []
    seen: set[str] = set()
    for index, item in enumerate(value):
        step = f"i:{index}"
        if not kind.atomic:
            try:
                step = kind.step(item)
            except ValueError as problem:
                return [*problems, f"{shown(path)}: element {index}: {problem}"]
            if step in seen:
                problems.append(f"{shown(path)}: duplicate entries for key {shown((step,))}")
            seen.add(step)
        problems += mismatches(kind.element, item, (*path, step))
    return problems


def _wrong_form(type_: Type, value: Any, path: Path) -> list[str]:
    where = f"{shown(path)}: " if path else ""
    scalar = not isinstance(value, (dict, list))
    if type_.scalar == "untyped" and scalar:
        return []
    if type_.map is not None:
        return [f"{where}expected map, got &{{{formatted(value)}}}"]
    wanted = {
        "numeric": isinstance(value, (int, float)) and not isinstance(value, bool),
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
    }
    if type_.scalar in wanted:
        if wanted[type_.scalar]:
            return []
        if type_.scalar == "numeric":
            return [f"{where}expected numeric (int or float), got {type_name(value)}"]
        if type_.scalar == "boolean":
            return [f"{where}expected boolean, got &{{{formatted(value)}}}"]
        return [f"{where}expected string, got &value.valueUnstructured{{Value:{literal(value)}}}"]
    if type_.list is not None:
        return [f"{where}expected list, got &{{{formatted(value)}}}"]
    return [f"{where}expected any scalar, got &{{{formatted(value)}}}"]
