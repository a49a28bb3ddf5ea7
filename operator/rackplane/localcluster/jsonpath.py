"""JSONPath as printer columns and selectable fields use it: names, indices, slices, `[*]`, `[?(@.a=="b")]`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from .objects import dig

Step = Callable[[Any], list[Any]]

_NAME = re.compile(r"\.((?:\\.|[^.\[\]\\'\"\s])+)")
_QUOTED = re.compile(r"\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_INDEX = re.compile(r"\[(-?\d+)\]")
_SLICE = re.compile(r"\[(-?\d*):(-?\d*)\]")
_EVERY = re.compile(r"\[\*\]|\.\*")
_FILTER = re.compile(r"\[\?\(\s*@((?:\.[\w-]+)+)\s*(==|!=)\s*(\"[^\"]*\"|'[^']*'|true|false|-?\d+)\s*\)\]")


class Unsupported(ValueError):
    """The path uses more of JSONPath than is understood here."""


@lru_cache(maxsize=1024)
def steps(path: str) -> tuple[Step, ...]:
    """The steps of a path that begins with a dot.

    Raises:
        Unsupported: part of it is not understood.
    """
    found: list[Step] = []
    at = 0
    if path == ".":
        return ()
    while at < len(path):
        for pattern, make in _STEPS:
            match = pattern.match(path, at)
            if match is not None:
                found.append(make(match))
                at = match.end()
                break
        else:
            raise Unsupported(path)
    return tuple(found)


def find(obj: Any, path: str) -> list[Any]:
    """The values at a path, none where it leads nowhere.

    Raises:
        Unsupported: part of the path is not understood.
    """
    found = [obj]
    for step in steps(path):
        found = [value for item in found for value in step(item)]
    return found


def _field(name: str) -> Step:
    def step(value: Any) -> list[Any]:
        return [value[name]] if isinstance(value, dict) and name in value else []

    return step


def _named(match: re.Match[str]) -> Step:
    return _field(re.sub(r"\\(.)", r"\1", match[1]))


def _quoted(match: re.Match[str]) -> Step:
    # As on the server, dots in quotes separate names too unless they are escaped.
    inner = steps(f".{match[1] if match[1] is not None else match[2]}")

    def step(value: Any) -> list[Any]:
        found = [value]
        for each in inner:
            found = [part for item in found for part in each(item)]
        return found

    return step


def _indexed(match: re.Match[str]) -> Step:
    index = int(match[1])

    def step(value: Any) -> list[Any]:
        return [value[index]] if isinstance(value, list) and -len(value) <= index < len(value) else []

    return step


def _sliced(match: re.Match[str]) -> Step:
    start, end = (int(text) if text else None for text in (match[1], match[2]))
    return lambda value: value[start:end] if isinstance(value, list) else []


def _every(_: re.Match[str]) -> Step:
    def step(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return list(value.values())
        return list(value) if isinstance(value, list) else []

    return step


def _filtered(match: re.Match[str]) -> Step:
    keys, equal, text = match[1][1:].split("."), match[2] == "==", match[3]
    wanted: Any = text[1:-1] if text[0] in "\"'" else {"true": True, "false": False}.get(text)
    if wanted is None:
        wanted = int(text)

    def step(value: Any) -> list[Any]:
        items = value if isinstance(value, list) else []
        return [
            item for item in items if dig(item, *keys) is not None and (dig(item, *keys) == wanted) is equal
        ]

    return step


_STEPS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Step]], ...] = (
    (_EVERY, _every),
    (_NAME, _named),
    (_QUOTED, _quoted),
    (_INDEX, _indexed),
    (_SLICE, _sliced),
    (_FILTER, _filtered),
)
