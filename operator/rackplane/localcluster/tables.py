"""How objects are shown: whole, as metadata only, or as the Table kubectl prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from .columns import Cell, builtin_columns, since
from .crds import Column, Definition
from .errors import bad_request
from .jsonpath import find
from .objects import Obj, meta
from .resources import Resource
from .schemas.values import number

_FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_GROUPS = (("meta.k8s.io", "v1"), ("meta.k8s.io", "v1beta1"))


def _wanted(accept: str) -> str:
    """`Table`, `PartialObjectMetadata[List]` or '' for the plain object: the first type we can answer."""
    for entry in accept.split(","):
        parts = [part.strip() for part in entry.split(";")]
        if parts[0] not in ("application/json", "*/*", "application/*", "application/yaml"):
            continue
        options = dict(part.split("=", 1) for part in parts[1:] if "=" in part)
        wanted = options.get("as", "")
        if not wanted or (wanted in _FORMS and (options.get("g"), options.get("v")) in _GROUPS):
            return wanted
    return ""


def represent(
    accept: str,
    resource: Resource,
    obj: Obj,
    definition: Definition | None,
    now: float,
    include: str = "Metadata",
) -> Obj:
    """One object as the Accept header asks. `now` (seconds) is for ages.

    Raises:
        ApiError: 400, `include` is no kind of inclusion.
    """
    if definition is not None:
        obj = definition.shown(obj)
    wanted = _wanted(accept)
    if wanted == "Table":
        return _table(
            resource, [obj], {"resourceVersion": meta(obj).get("resourceVersion")}, definition, now, include
        )
    if wanted.startswith("PartialObjectMetadata"):
        return _partial(obj)
    return obj


def represent_list(
    accept: str,
    resource: Resource,
    items: list[Obj],
    metadata: Obj,
    definition: Definition | None,
    now: float,
    include: str = "Metadata",
) -> Obj:
    """A collection as the Accept header asks.

    Raises:
        ApiError: 400, `include` is no kind of inclusion.
    """
    if definition is not None:
        items = [definition.shown(item) for item in items]
    wanted = _wanted(accept)
    if wanted == "Table":
        return _table(resource, items, metadata, definition, now, include)
    if wanted.startswith("PartialObjectMetadata"):
        listed = [_partial(item) for item in items]
        kind = "PartialObjectMetadataList"
        return {"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": listed}
    if resource.crd:
        metadata = {"continue": "", **metadata}
    else:
        items = [
            {key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items
        ]
    return {
        "kind": resource.list_kind,
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "items": items,
    }


def _partial(obj: Obj) -> Obj:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta(obj)}


def _table(
    resource: Resource,
    items: Sequence[Obj],
    metadata: Obj,
    definition: Definition | None,
    now: float,
    include: str,
) -> Obj:
    if include not in ("", "None", "Metadata", "Object"):
        raise bad_request(
            f"Unable to convert to Table as requested: includeObject: Invalid value: {json.dumps(include)}: must be "
            "'Metadata', 'Object', 'None', or empty"
        )
    if definition is not None:
        columns, cells = _custom(definition)
    else:
        columns, cells = builtin_columns(resource)
    rows = []
    for item in items:
        row: Obj = {"cells": cells(item, now), "object": None}
        if include == "Object":
            row["object"] = item
        elif include != "None":
            row["object"] = _partial(item)
        if resource.plural == "pods" and (ended := _completed(item)):
            row["conditions"] = [ended]
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    }


def _completed(pod: Obj) -> Obj | None:
    """What the row of a pod that is done says beside its cells."""
    phase = (pod.get("status") or {}).get("phase")
    if phase not in ("Succeeded", "Failed"):
        return None
    message = "The pod has completed successfully." if phase == "Succeeded" else "The pod failed."
    return {"type": "Completed", "status": "True", "reason": phase, "message": message}


_NAME = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": (
        "Name must be unique within a namespace. Is required when creating resources, although some resources may "
        "allow a client to request the generation of an appropriate name automatically. Name is primarily intended for "
        "creation idempotence and configuration definition. Cannot be updated. More info: "
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
    ),
    "priority": 0,
}


def _custom(definition: Definition) -> tuple[list[Obj], Callable[[Obj, float], list[Cell]]]:
    columns: list[Obj] = [_NAME]
    columns += [
        {
            "name": entry.name,
            "type": entry.type,
            "format": entry.format,
            "description": entry.description,
            "priority": entry.priority,
        }
        for entry in definition.columns
    ]

    def cells(obj: Obj, now: float) -> list[Cell]:
        return [meta(obj).get("name"), *(_cell(entry, obj, now) for entry in definition.columns)]

    return columns, cells


def _cell(entry: Column, obj: Obj, now: float) -> Cell:
    found = find(obj, entry.json_path)
    if not found:
        return None
    value = found[0]
    match entry.type:
        case "string":
            return _text(value)
        case "integer" if _is_number(value):
            return int(value)
        case "number" if _is_number(value):
            return int(value) if float(value).is_integer() else value
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str):
            try:
                return since(value, now)
            except ValueError:
                return "<invalid>"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    if isinstance(value, str):
        return value
    return "null" if value is None else number(value)
