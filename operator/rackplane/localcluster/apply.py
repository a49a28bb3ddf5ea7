"""Server-side apply, reduced: ownership of fields among appliers, conflicts, removal of what is no longer applied.

Maps merge by field; lists merge by key where the kind says so and are replaced whole otherwise. Writers that do not
apply own nothing here: a real server would record them too and report conflicts with them.
"""

from __future__ import annotations

import json
from typing import Any

from .errors import ApiError
from .objects import Obj, clone, meta, timestamp
from .patches import MERGED_SETS, merge_key
from .resources import Resource

Path = tuple[str, ...]
_SKIPPED = {
    ("apiVersion",),
    ("kind",),
    ("metadata", "name"),
    ("metadata", "namespace"),
    ("metadata", "uid"),
    ("metadata", "resourceVersion"),
    ("metadata", "managedFields"),
    ("metadata", "creationTimestamp"),
    ("metadata", "generation"),
}


def _child(schema: Any, name: str) -> Any:
    if not isinstance(schema, dict):
        return None
    return (schema.get("properties") or {}).get(name, schema.get("additionalProperties"))


def _keys(schema: Any, path: Path) -> tuple[str, ...]:
    """The map keys of a list; () when it is atomic."""
    if isinstance(schema, dict):
        if schema.get("x-kubernetes-list-type") == "map":
            return tuple(schema.get("x-kubernetes-list-map-keys") or ())
        return ()
    key = merge_key(path)
    return (key,) if key else ()


def _identity(item: Any, keys: tuple[str, ...]) -> str:
    return "k:" + json.dumps({key: item.get(key) for key in keys}, separators=(",", ":"), sort_keys=True)


def _flatten(value: Any, schema: Any, path: Path, names: Path) -> dict[Path, Any]:
    """Leaves by their path of `f:name` and `k:{...}` steps."""
    if names in _SKIPPED:
        return {}
    if isinstance(value, dict) and value:
        found: dict[Path, Any] = {}
        for key, item in value.items():
            found |= _flatten(item, _child(schema, key), (*path, f"f:{key}"), (*names, key))
        return found
    if isinstance(value, list) and value:
        keys = _keys(schema, names)
        if keys and all(isinstance(item, dict) and all(key in item for key in keys) for item in value):
            items = schema.get("items") if isinstance(schema, dict) else None
            found = {}
            for item in value:
                step = (*path, _identity(item, keys))
                found[(*step, ".")] = None
                found |= _flatten(item, items, step, names)
            return found
        if names and names[-1] in MERGED_SETS:
            return {(*path, f"v:{json.dumps(item)}"): item for item in value}
    return {path: value}


def _tree(paths: set[Path]) -> Obj:
    root: Obj = {}
    for path in sorted(paths):
        node = root
        for step in path:
            node = node.setdefault(step, {})
    return root


def _leaves(tree: Obj, path: Path = ()) -> set[Path]:
    found: set[Path] = set()
    for key, child in tree.items():
        found |= _leaves(child, (*path, key)) if child else {(*path, key)}
    return found


def _merge(live: Any, applied: Any, schema: Any, names: Path) -> Any:
    if isinstance(applied, dict) and isinstance(live, dict):
        result = dict(live)
        for key, value in applied.items():
            result[key] = _merge(live.get(key), value, _child(schema, key), (*names, key))
        return result
    if isinstance(applied, list) and isinstance(live, list):
        keys = _keys(schema, names)
        if keys and all(isinstance(item, dict) for item in [*applied, *live]):
            items = schema.get("items") if isinstance(schema, dict) else None
            merged = {_identity(item, keys): item for item in live}
            for item in applied:
                name = _identity(item, keys)
                merged[name] = _merge(merged.get(name), item, items, names)
            return list(merged.values())
        if names and names[-1] in MERGED_SETS:
            return live + [item for item in applied if item not in live]
    return clone(applied)


def _remove(node: Any, path: Path, schema: Any, names: Path) -> None:
    """Remove the leaf at a path, and maps and elements that it leaves empty, in place."""
    step, rest = path[0], path[1:]
    if isinstance(node, dict) and step.startswith("f:"):
        name = step[2:]
        if name not in node:
            return
        if not rest:
            del node[name]
            return
        _remove(node[name], rest, _child(schema, name), (*names, name))
        if node[name] in ({}, []):
            del node[name]
    elif isinstance(node, list) and step.startswith("k:"):
        keys = _keys(schema, names)
        items = schema.get("items") if isinstance(schema, dict) else None
        for item in list(node):
            if not (isinstance(item, dict) and keys and _identity(item, keys) == step):
                continue
            if rest == (".",):
                node.remove(item)
            elif rest:
                _remove(item, rest, items, names)
    elif isinstance(node, list) and step.startswith("v:"):
        node[:] = [item for item in node if f"v:{json.dumps(item)}" != step]


def server_side(
    resource: Resource,
    live: Obj | None,
    applied: Obj,
    *,
    manager: str,
    force: bool,
    schema: Any,
    now: float,
    subresource: str = "",
) -> Obj:
    """The object after an apply by `manager`, with managedFields brought up to date.

    Raises:
        ApiError: 409, another applier owns a field with another value and `force` is off.
    """
    wanted = _flatten(applied, schema, (), ())
    managed = [clone(entry) for entry in meta(live or {}).get("managedFields") or ()]
    current = _flatten(live, schema, (), ()) if live is not None else {}
    mine = next(
        (e for e in managed if e["manager"] == manager and e.get("subresource", "") == subresource), None
    )
    others = [entry for entry in managed if entry is not mine]
    conflicts = []
    owned_elsewhere: set[Path] = set()
    for entry in others:
        theirs = _leaves(entry.get("fieldsV1") or {})
        clash = {
            path for path in theirs & set(wanted) if path[-1] != "." and current.get(path) != wanted[path]
        }
        for path in sorted(clash):
            field = "".join(f".{step[2:]}" if step.startswith("f:") else f"[{step[2:]}]" for step in path)
            conflicts.append((entry["manager"], field))
        if force:
            theirs -= clash
            entry["fieldsV1"] = _tree(theirs)
        owned_elsewhere |= theirs
    if conflicts and not force:
        who = sorted({name for name, _ in conflicts})
        listed = (
            "".join(f'\nconflict with "{name}": {field}' for name, field in conflicts) if len(who) > 1 else ""
        )
        one = f' with "{who[0]}"' if len(who) == 1 else "s"
        fields = (
            ": " + conflicts[0][1]
            if len(conflicts) == 1
            else listed or ":\n" + "\n".join(f"- {f}" for _, f in conflicts)
        )
        count = f"{len(conflicts)} conflict" + ("s" if len(conflicts) > 1 and len(who) == 1 else "")
        causes = [
            {"reason": "FieldManagerConflict", "message": f'conflict with "{name}"', "field": field}
            for name, field in conflicts
        ]
        raise ApiError(409, "Conflict", f"Apply failed with {count}{one}{fields}", {"causes": causes})
    result: Obj = _merge(clone(live) if live is not None else {}, applied, schema, ())
    if mine is not None:
        dropped = _leaves(mine.get("fieldsV1") or {}) - set(wanted) - owned_elsewhere
        # Whole elements last, so that fields of theirs that others own keep them alive.
        for path in sorted(dropped, key=lambda entry: (entry[-1] == ".", entry)):
            if path[-1] == "." and any(other[: len(path) - 1] == path[:-1] for other in owned_elsewhere):
                continue
            _remove(result, path, schema, ())
    fresh: Obj = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": resource.api_version,
        "time": timestamp(now),
        "fieldsType": "FieldsV1",
        "fieldsV1": _tree(set(wanted)),
    }
    if subresource:
        fresh["subresource"] = subresource
    if mine is not None and mine.get("fieldsV1") == fresh["fieldsV1"]:
        fresh["time"] = mine["time"]
    entries = [entry for entry in others if entry.get("fieldsV1")]
    result["metadata"] = {**meta(result), "managedFields": [*entries, fresh]}
    return result
