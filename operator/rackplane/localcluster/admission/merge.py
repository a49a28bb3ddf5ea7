"""Merging the `Object{...}` of an ApplyConfiguration mutation into the object, as server-side apply does it.

Maps and lists with keys merge. What is atomic may not be touched: a policy that sets one toleration would remove the
others. Nobody manages the fields set here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rackplane.localcluster.fields.checks import mismatches
from rackplane.localcluster.fields.types import Type
from rackplane.localcluster.fields.values import merge
from rackplane.localcluster.objects import Obj, clone

from .expressions import TYPE, EvaluationError


def merged(type_: Type, obj: Obj, patch: Any) -> Obj:
    """The object with the value of an expression merged in; the object is not changed.

    Raises:
        EvaluationError: the value is no apply configuration for objects of this type.
    """
    if not isinstance(patch, dict) or TYPE not in patch:
        raise EvaluationError("must evaluate to Object")
    misnamed = list(_misnamed(patch, "Object"))
    if misnamed:
        raise EvaluationError("type mismatch: " + "\n".join(misnamed))
    plain = _plain(patch)
    problems = mismatches(type_, plain)
    if problems:
        listed = problems[0] if len(problems) == 1 else "errors:\n  " + "\n  ".join(problems)
        raise EvaluationError(
            f"error applying patch: failed to convert patch object to typed object: {listed}"
        )
    atomics = list(_atomics(type_, plain, ""))
    if atomics:
        raise EvaluationError(
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: "
            + ", ".join(atomics)
        )
    result: Obj = clone(merge(type_, obj, plain))
    return result


def _misnamed(value: Any, expected: str) -> Iterator[str]:
    """A message's type is the path of the fields that lead to it; maps and lists between them have no name."""
    if isinstance(value, list):
        for item in value:
            yield from _misnamed(item, expected)
    elif isinstance(value, dict):
        actual = value.get(TYPE)
        if actual is not None and actual != expected:
            yield (
                f'unexpected type name "{actual}", expected "{expected}", which matches field name path from root '
                "Object type"
            )
        for key in sorted(value):
            if key != TYPE:
                yield from _misnamed(value[key], expected if actual is None else f"{expected}.{key}")


def _plain(value: Any) -> Any:
    """The value without type names, its keys in order: the evaluator's maps have none."""
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value) if key != TYPE}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _atomics(type_: Type, value: Any, shown: str) -> Iterator[str]:
    if isinstance(value, dict) and type_.map is not None:
        if type_.map.atomic:
            yield shown
        for key, item in value.items():
            yield from _atomics(type_.map.field(key)[1], item, f"{shown}.{key}")
    elif isinstance(value, list) and type_.list is not None:
        if type_.list.atomic:
            yield shown
        for index, item in enumerate(value):
            yield from _atomics(type_.list.element, item, f"{shown}[{index}]")
