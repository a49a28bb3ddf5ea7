"""Values as kube-apiserver prints them in its messages: its internal types in JSON, nothing left out.

A message such as `spec.template: Invalid value: {...}: field is immutable` shows the whole value under the Go names of
its fields, in the order of their declaration, with null for what was not given. `internal_types.txt` says which there
are; `tests/tools/generate_internal_types.py` writes it.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_METADATA = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
_ZERO = {"bool": False, "int32": 0, "int64": 0, "int": 0, "resource.Quantity": "0", "intstr.IntOrString": 0}


@dataclass(frozen=True, slots=True)
class _Field:
    """`outer`: the API has it one level up, in the object around. Without a name the field is embedded."""

    name: str
    json: str
    kind: str
    outer: bool


@cache
def _types() -> dict[str, list[_Field]]:
    found: dict[str, list[_Field]] = {}
    fields: list[_Field] = []
    text = files(__package__).joinpath("internal_types.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith(" "):
            fields = found.setdefault(line, [])
            continue
        *given, kind = line.split()
        name, _, json = given[0].partition("=") if given else ("", "", "")
        json = json or name[:1].lower() + name[1:]
        fields.append(_Field(name, json.removeprefix("^"), kind, json.startswith("^")))
    return found


def internal(value: Any, kind: str) -> Any:
    """A value of the API as the internal type `kind` prints it, such as `PodSpec` or `[]Container`."""
    return _shown(value, kind, {})


def _shown(value: Any, kind: str, around: dict[str, Any]) -> Any:
    if kind.startswith("*"):
        return None if value is None else _shown(value, kind[1:], around)
    if kind.startswith("[]"):
        return None if value is None else [_shown(part, kind[2:], around) for part in value]
    if kind.startswith("map["):
        inner = kind.partition("]")[2]
        if value is None:
            return None
        return {key: _shown(value[key], inner, around) for key in sorted(value)}
    if kind in _types():
        return _struct(value or {}, kind, around)
    if kind == "metav1.LabelSelector":
        return _selector(value or {})
    if value is None:
        return _ZERO.get(kind, "")
    return str(value) if kind == "resource.Quantity" else value


def _struct(value: dict[str, Any], kind: str, around: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for field in _types()[kind]:
        if field.kind == "metav1.ObjectMeta":
            shown |= _metadata(value.get("metadata") or {})
        elif not field.name:
            shown |= _struct(value, field.kind, around)
        else:
            source = around if field.outer else value
            shown[field.name] = _shown(source.get(field.json), field.kind, value)
    return shown


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    """Metadata keeps its names, and leaves out what is empty."""
    shown = {}
    for name in _METADATA:
        part = value.get(name)
        if part:
            shown[name] = dict(sorted(part.items())) if isinstance(part, dict) else part
    return shown


def difference(before: Any, after: Any, kind: str) -> str:
    """What differs between two values, line by line, as a message about a refused change shows it."""
    first, second = (_lines(internal(value, kind)) for value in (before, after))
    return "".join(list(difflib.unified_diff(first, second))[2:])


def _lines(value: Any) -> list[str]:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return [f"{line}\n" for line in text.split("\n")]


def _selector(value: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if value.get("matchLabels"):
        shown["matchLabels"] = dict(sorted(value["matchLabels"].items()))
    if value.get("matchExpressions"):
        order = ("key", "operator", "values")
        shown["matchExpressions"] = [
            {key: part[key] for key in order if part.get(key)} for part in value["matchExpressions"]
        ]
    return shown
