"""The patch types of Kubernetes but server-side apply: merge (RFC 7386), JSON (RFC 6902), strategic merge."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

from .errors import ApiError, bad_request
from .objects import Obj, clone

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
APPLY_CBOR = "application/apply-patch+cbor"

#: Lists that strategic merge merges by a key, by the name of their field: in the kinds served here a field name
#: decides, but for `ports` (of a container by containerPort, of a Service by port). A list not named is replaced whole,
#: as `tolerations` and `taints` are: nobody may add one toleration by a patch that names only that one.
MERGE_KEYS: dict[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "schedulingGates": "name",
    "resourceClaims": "name",
    "topologySpreadConstraints": "topologyKey",
    "hostAliases": "ip",
    "conditions": "type",
    "addresses": "type",
    "ownerReferences": "uid",
    "secrets": "name",
    "webhooks": "name",
}
#: Lists of plain values that strategic merge unites.
MERGED_SETS = frozenset({"finalizers", "podCIDRs"})


def merge_key(path: tuple[str, ...]) -> str | None:
    """The merge key of the list at a path (of field names), or None when it is replaced whole."""
    name = path[-1] if path else ""
    if name == "ports":
        return "port" if len(path) == 2 and path[0] == "spec" else "containerPort"
    return MERGE_KEYS.get(name)


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386; the target is not changed."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Obj, patch: Any) -> Obj:
    """RFC 6902; the target is not changed.

    Raises:
        ApiError: 400 for a patch that is none, 422 for one that does not apply (a failed `test` included).
    """
    if not isinstance(patch, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    try:
        result: Obj = jsonpatch.JsonPatch(patch).apply(clone(target))
    except jsonpatch.InvalidJsonPatch as problem:
        raise bad_request(str(problem)) from problem
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as problem:
        text = str(problem) or "the patch could not be applied"
        raise ApiError(
            422, "Invalid", f"the server rejected our request due to an error in our request: {text}"
        ) from problem
    return result


def strategic_merge(target: Any, patch: Any, path: tuple[str, ...] = ()) -> Any:
    """Kubernetes' strategic merge with its directives; the target is not changed.

    Raises:
        ApiError: 400, a directive or a list element is malformed.
    """
    if not isinstance(patch, dict):
        return clone(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return clone({key: value for key, value in patch.items() if key != "$patch"})
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"unable to apply patch: unrecognized $patch directive {directive!r}")
    result = dict(target) if isinstance(target, dict) else {}
    keep = patch.get("$retainKeys")
    if isinstance(keep, list):
        result = {key: value for key, value in result.items() if key in keep}
    orders: dict[str, list[Any]] = {}
    for key, value in patch.items():
        if key in ("$patch", "$retainKeys"):
            continue
        if key.startswith("$setElementOrder/"):
            orders[key.removeprefix("$setElementOrder/")] = value
        elif key.startswith("$deleteFromPrimitiveList/"):
            field = key.removeprefix("$deleteFromPrimitiveList/")
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            result[key] = _merge_lists(result.get(key), value, (*path, key))
        else:
            result[key] = strategic_merge(result.get(key), value, (*path, key))
    for field, order in orders.items():
        if isinstance(result.get(field), list):
            result[field] = _reorder(result[field], order, merge_key((*path, field)))
    return result


def _merge_lists(target: Any, patch: list[Any], path: tuple[str, ...]) -> list[Any]:
    current = list(target) if isinstance(target, list) else []
    if path[-1] in MERGED_SETS:
        return current + [item for item in patch if item not in current]
    key = merge_key(path)
    if key is None or any(not isinstance(item, dict) for item in patch):
        return [clone(item) for item in patch]
    if any(item.get("$patch") == "replace" for item in patch):
        return [clone(item) for item in patch if "$patch" not in item]
    for item in patch:
        if key not in item:
            where = ".".join(path)
            raise bad_request(f"map: {item} does not contain declared merge key: {key} ({where})")
        index = next((i for i, entry in enumerate(current) if entry.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            current = [entry for entry in current if entry.get(key) != item[key]]
        elif index is None:
            current.append(strategic_merge({}, item, path))
        else:
            current[index] = strategic_merge(current[index], item, path)
    return current


def _reorder(items: list[Any], order: list[Any], key: str | None) -> list[Any]:
    """Put the elements named in `order` into that order; others stay behind their predecessor."""

    def identity(item: Any) -> str:
        return repr(item.get(key) if key is not None and isinstance(item, dict) else item)

    wanted = {identity(entry): position for position, entry in enumerate(order)}
    identify = [wanted.get(identity(item)) for item in items]
    ranked, last = [], -1.0
    for offset, (item, position) in enumerate(zip(items, identify, strict=True)):
        last = float(position) if position is not None else last
        ranked.append((last, position is None, offset, item))
    return [entry[3] for entry in sorted(ranked, key=lambda entry: entry[:3])]


def apply_patch(kind: str, target: Obj, patch: Any, *, custom: bool) -> Obj:
    """Patch an object by content type; `custom` resources take no strategic merge.

    Raises:
        ApiError: 400, 415, 422.
    """
    from .errors import unsupported_media_type

    if kind == MERGE:
        if not isinstance(patch, dict):
            raise bad_request("json: cannot unmarshal array into Go value of type map[string]interface {}")
        result: Obj = merge_patch(target, patch)
        return result
    if kind == JSON:
        return json_patch(target, patch)
    if kind == STRATEGIC and not custom:
        if not isinstance(patch, dict):
            raise bad_request("json: cannot unmarshal array into Go value of type map[string]interface {}")
        merged: Obj = strategic_merge(target, patch)
        return merged
    raise unsupported_media_type()
