"""How objects are shown: whole, as metadata only, or as the Table kubectl prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .columns import Cell, builtin_columns
from .crds import Definition
from .objects import Obj, dig, meta, parse_timestamp
from .resources import Resource


def _wanted(accept: str) -> str:
    """`Table`, `PartialObjectMetadata[List]` or '' for the plain object: the first type we can answer."""
    for entry in accept.split(","):
        parts = [part.strip() for part in entry.split(";")]
        if parts[0] not in ("application/json", "*/*", "application/*", "application/yaml"):
            continue
        options = dict(part.split("=", 1) for part in parts[1:] if "=" in part)
        return options.get("as", "")
    return ""


def represent(
    accept: str,
    resource: Resource,
    obj: Obj,
    definition: Definition | None,
    now: float,
    include: str = "Metadata",
) -> Obj:
    """One object as the Accept header asks. `now` (seconds) is for ages."""
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
    """A collection as the Accept header asks."""
    wanted = _wanted(accept)
    if wanted == "Table":
        return _table(resource, items, metadata, definition, now, include)
    if wanted.startswith("PartialObjectMetadata"):
        listed = [_partial(item) for item in items]
        kind = "PartialObjectMetadataList"
        return {"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": listed}
    if not resource.crd:
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
    if definition is not None:
        columns, cells = _custom(definition, now)
    else:
        columns, cells = builtin_columns(resource, now)
    rows = []
    for item in items:
        row: Obj = {"cells": cells(item)}
        if include == "Object":
            row["object"] = item
        elif include != "None":
            row["object"] = _partial(item)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    }


def column(
    name: str, kind: str = "string", *, priority: int = 0, description: str = "", format: str = ""
) -> Obj:
    """A column definition of a Table."""
    return {
        "name": name,
        "type": kind,
        "format": format,
        "description": description or name,
        "priority": priority,
    }


def _custom(definition: Definition, now: float) -> tuple[list[Obj], Any]:
    columns = [column("Name", format="name", description="Name must be unique within a namespace.")]
    columns += [
        column(
            entry.name,
            entry.type,
            priority=entry.priority,
            description=entry.description,
            format=entry.format,
        )
        for entry in definition.columns
    ]
    if not definition.columns:
        columns.append(column("Age", "date"))

    def cells(obj: Obj) -> list[Cell]:
        row: list[Cell] = [meta(obj).get("name")]
        for entry in definition.columns:
            row.append(_cell(entry.type, json_path(obj, entry.json_path), now))
        if not definition.columns:
            row.append(_cell("date", meta(obj).get("creationTimestamp"), now))
        return row

    return columns, cells


def _cell(kind: str, found: list[Any] | Any, now: float) -> Cell:
    from .columns import age

    value = found[0] if isinstance(found, list) and found else None if isinstance(found, list) else found
    if isinstance(found, list) and len(found) > 1 and kind == "string":
        value = ",".join(str(item) for item in found)
    if value is None:
        return None if kind != "date" else "<unknown>"
    if kind == "date":
        try:
            return age(now - parse_timestamp(str(value)))
        except ValueError:
            return "<invalid>"
    if kind == "string":
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (dict, list)):
            import json

            return json.dumps(value, separators=(",", ":"))
        return str(value)
    if kind == "integer" and isinstance(value, (int, float)):
        return int(value)
    return value if isinstance(value, (int, float, bool, str)) else str(value)


_STEP = re.compile(
    r"\.?([A-Za-z_][\w-]*)|\['([^']+)'\]|\[(\*|-?\d+)\]|\[\?\(@\.([\w.]+)\s*==\s*[\"']([^\"']*)[\"']\)\]|\.\*"
)


def json_path(obj: Any, path: str) -> list[Any]:
    """Values at a JSONPath of the subset printer columns use: names, indices, `[*]`, `[?(@.a=="b")]`.

    An unsupported path finds nothing.
    """
    found, position = [obj], 0
    path = path.strip().replace("\\.", "\x00")
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None or step.end() == position:
            return []
        position = step.end()
        name = step[1] or step[2]
        if name is not None:
            while position < len(path) and path[position] == "\x00":
                more = re.compile(r"\x00([\w/-]+)").match(path, position)
                if more is None:
                    return []
                name, position = f"{name}.{more[1]}", more.end()
            found = [item[name] for item in found if isinstance(item, dict) and name in item]
        elif step[3] == "*" or step[0] == ".*":
            found = [
                child for item in found for child in (item.values() if isinstance(item, dict) else item or ())
            ]
        elif step[3] is not None:
            index = int(step[3])
            found = [
                item[index] for item in found if isinstance(item, list) and -len(item) <= index < len(item)
            ]
        else:
            keys = step[4].split(".")
            found = [
                child
                for item in found
                if isinstance(item, list)
                for child in item
                if str(dig(child, *keys)) == step[5]
            ]
    return found
