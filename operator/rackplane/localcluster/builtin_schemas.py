"""What the built-in kinds look like: their OpenAPI schemas and the Go types behind them.

The data is generated from Kubernetes itself, see tests/tools/generate_builtin_schemas.py. Schemas tell how lists
merge (`x-kubernetes-list-type`, `x-kubernetes-patch-merge-key`) and what `kubectl explain` shows; the types tell how an
object is decoded and encoded.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_REFERENCE = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct.

    Args:
        name: its key in JSON; "" when the field's own struct is inlined.
        type: a scalar (`string`, `bool`, `int32`, `int64`, `float64`, `bytes`), an encoding of its own (`time`,
            `microtime`, `duration`, `quantity`, `intorstring`, `raw`, `schemaorbool`, `schemaorarray`,
            `schemaorstrings`), a struct's name, or one of these after `*`, `[]` or `{}` (a map from strings).
        omit_empty: left out of JSON when empty; an empty struct is not empty.
        omit_zero: left out of JSON when it has its zero value; an empty struct has.
        number: its number in protobuf.
    """

    name: str
    type: str
    omit_empty: bool
    omit_zero: bool
    number: int


@cache
def _data() -> dict[str, Any]:
    raw = files(__package__).joinpath("openapi_data.json.xz").read_bytes()
    data: dict[str, Any] = json.loads(lzma.decompress(raw))
    return data


def schemas() -> Mapping[str, dict[str, Any]]:
    """All OpenAPI v3 schemas by name, such as `io.k8s.api.core.v1.Pod`; references as they are. Not to be changed."""
    schemas: dict[str, dict[str, Any]] = _data()["schemas"]
    return schemas


@cache
def _names() -> dict[tuple[str, str, str], str]:
    return {
        (entry["group"], entry["version"], entry["kind"]): name
        for name, schema in schemas().items()
        for entry in schema.get("x-kubernetes-group-version-kind", ())
    }


def schema_name(group: str, version: str, kind: str) -> str | None:
    """The name of a kind's OpenAPI schema; None when the kind is not built in."""
    return _names().get((group, version, kind))


def schema_of(group: str, version: str, kind: str) -> dict[str, Any] | None:
    """The OpenAPI schema of a kind; None when the kind is not built in."""
    name = schema_name(group, version, kind)
    return schemas()[name] if name else None


def referred(schema: Mapping[str, Any]) -> str | None:
    """The name of the schema that this one only refers to, by `$ref` or an `allOf` of one."""
    target = schema.get("$ref")
    among = schema.get("allOf")
    if target is None and isinstance(among, list) and len(among) == 1:
        target = among[0].get("$ref")
    # A property may itself be called `$ref`, as in the schema of schemas.
    return target.removeprefix(_REFERENCE) if isinstance(target, str) else None


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with its reference followed; what stands beside the reference (list type, merge key) wins."""
    name = referred(schema)
    if name is None:
        return schema
    beside = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
    return {**schemas()[name], **beside} if beside else schemas()[name]


@cache
def struct(name: str) -> tuple[Field, ...]:
    """The fields of a Go struct such as `core/v1.PodSpec`, in the order of its declaration.

    Raises:
        KeyError: there is no such struct.
    """
    return tuple(
        Field(key, type_, "e" in flags, "z" in flags, number)
        for key, type_, flags, number in _data()["types"][name]
    )


def struct_name(group: str, version: str, kind: str) -> str | None:
    """The name of the Go struct of a built-in kind; None when there is none."""
    if kind == "DeleteOptions":
        return "meta/v1.DeleteOptions"
    known = schema_name(group, version, kind) is not None
    return f"{group.partition('.')[0] or 'core'}/{version}.{kind}" if known else None
