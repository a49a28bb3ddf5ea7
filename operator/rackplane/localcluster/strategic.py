"""Strategic merge patch: maps merge, lists merge by the keys their kind names, and directives say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import builtin_schemas
from .errors import ApiError, bad_request
from .gotext import formatted, type_name
from .resources import Resource

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"
Map = dict[str, Any]


class _Schema:
    """What a kind says about the fields of a struct: how each merges."""

    def __init__(self, schema: Mapping[str, Any], name: str) -> None:
        self._schema = schema
        self._name = name

    def field(self, key: str) -> tuple[_Schema, str, str]:
        """The schema below a field (of a list: of its elements), its strategy (but `retainKeys`) and its merge key.

        Raises:
            ApiError: 500, there is no such field, as the API server has it.
        """
        properties = self._schema.get("properties")
        if properties is None:
            kind = self._schema.get("type", "string")
            name = {"object": "map", "array": "slice"}.get(kind, kind)
            raise _failed(f"merging an object in json but data type is not struct, instead is: {name}")
        found = properties.get(key)
        if found is None:
            raise _failed(f'unable to find api field in struct {self._name} for the json field "{key}"')
        resolved = builtin_schemas.resolved(found)
        strategies = resolved.get("x-kubernetes-patch-strategy", "").split(",")
        strategy = next((entry for entry in strategies if entry != "retainKeys"), "")
        below, described = found, resolved
        if resolved.get("type") == "array":
            below = resolved["items"]
            described = builtin_schemas.resolved(below)
        name = (builtin_schemas.referred(below) or "").rpartition(".")[2]
        return _Schema(described, name), strategy, resolved.get("x-kubernetes-patch-merge-key", "")


def strategic_merge(resource: Resource, target: Map, patch: Map) -> Map:
    """The object with a patch merged in; neither is changed, what is untouched is shared.

    Raises:
        ApiError: 400, 422 or 500, the patch is malformed.
    """
    schema = builtin_schemas.schema_of(resource.group, resource.version, resource.kind) or {}
    return _merge_maps(target, patch, _Schema(schema, resource.kind))


def _failed(message: str) -> ApiError:
    return ApiError(500, "", message)


def _no_key(item: Map, key: str) -> ApiError:
    return _failed(f"map: {formatted(item)} does not contain declared merge key: {key}")


def _bad_type(expected: str, value: Any) -> ApiError:
    return _failed(f"expected a {expected}, but received a {type_name(value)}")


def _merge_maps(original: Map, patch: Map, schema: _Schema) -> Map:
    original, patch = dict(original), dict(patch)
    if _DIRECTIVE in patch:
        directive = patch[_DIRECTIVE]
        if directive == "replace":
            return {key: value for key, value in patch.items() if key != _DIRECTIVE}
        if directive == "delete":
            return {}
        raise _failed(f"unknown patch type: {formatted(directive)} in map: {formatted(patch)}")
    _retain(original, patch)
    _merge_ordered(original, patch, schema)
    for key, value in patch.items():
        deletes = key.startswith(_DELETE)
        if deletes:
            key = key.removeprefix(_DELETE)
        if value is None:
            original.pop(key, None)
            continue
        current = original.get(key)
        if key not in original or type(current) is not type(value):
            if not deletes:
                _take(original, key, value)
        elif isinstance(value, dict):
            below, strategy, _ = schema.field(key)
            original[key] = value if strategy == "replace" else _merge_maps(original[key], value, below)
        elif isinstance(value, list):
            below, strategy, merge_key = schema.field(key)
            if deletes or strategy == "merge":
                original[key] = _merge_lists(original[key], value, below, merge_key, deletes=deletes)
            else:
                original[key] = value
        else:
            original[key] = value
    return original


def _take(original: Map, key: str, value: Any) -> None:
    kept, found = _plain(value)
    if kept:
        original[key] = found
    else:
        original.pop(key, None)


def _plain(value: Any) -> tuple[bool, Any]:
    """Whether a value of a patch that meets nothing is kept, and what of it: no nulls, nothing with a directive."""
    if isinstance(value, dict):
        if _DIRECTIVE in value:
            return False, None
        parts = {key: _plain(part) for key, part in value.items() if part is not None}
        return True, {key: part for key, (kept, part) in parts.items() if kept}
    if isinstance(value, list):
        return True, [part for kept, part in map(_plain, value) if kept]
    return True, value


def _retain(original: Map, patch: Map) -> None:
    """Of the original only what `$retainKeys` names stays; a patch may not set anything else."""
    if _RETAIN not in patch:
        return
    kept = patch.pop(_RETAIN)
    prefixes = (_DELETE, _ORDER)
    if not isinstance(kept, list) or any(
        value is not None and not key.startswith(prefixes) and key not in kept for key, value in patch.items()
    ):
        raise bad_request("invalid patch format of retainKeys")
    for key in [key for key in original if key not in kept]:
        del original[key]


def _merge_ordered(original: Map, patch: Map, schema: _Schema) -> None:
    """Merge the lists whose order the patch gives, and take both list and order out of the patch."""
    for directive in [key for key in patch if key.startswith(_ORDER)]:
        order = patch.pop(directive)
        if not isinstance(order, list):
            raise _bad_type("[]interface {}", order)
        key = directive.removeprefix(_ORDER)
        for value in (original.get(key), patch.get(key)):
            if value is not None and not isinstance(value, list):
                raise _bad_type("[]interface {}", value)
        below, strategy, merge_key = schema.field(key)
        current, given = original.get(key), patch.get(key)
        _check_order(given or [], order, merge_key)
        if current is None and given is None:
            continue
        if given is None:
            merged = list(current or [])
        elif current is None:
            merged = _plain(given)[1]
        elif strategy == "merge":
            merged = _merge_lists(list(current), given, below, merge_key)
        else:
            merged = given
        first, rest = _parted(merged, order, merge_key)
        _element_type(current or [], given or [])
        original[key] = _ordered(first, rest, order, current or [], merge_key)
        patch.pop(key, None)


def _check_order(given: list[Any], order: list[Any], merge_key: str) -> None:
    """The elements of a patch must stand in its order, in that order."""
    if not order or not given:
        return
    wanted = [
        item
        for item in given
        if not merge_key or not isinstance(item, dict) or item.get(_DIRECTIVE) != "delete"
    ]
    identity = _identity(merge_key)
    at = place = 0
    while at < len(wanted) and place < len(order):
        if isinstance(wanted[at], dict) and _DIRECTIVE in wanted[at]:
            at += 1
            continue
        for item in (wanted[at], order[place]):
            if merge_key and (not isinstance(item, dict) or merge_key not in item):
                raise (
                    _no_key(item, merge_key)
                    if isinstance(item, dict)
                    else _bad_type("map[string]interface {}", item)
                )
        at += identity(wanted[at]) == identity(order[place])
        place += 1
    if at < len(wanted):
        raise _failed(
            f"The order in patch list:\n{formatted(given)}\n doesn't match $setElementOrder list:\n{formatted(order)}\n"
        )


def _identity(merge_key: str) -> Callable[[Any], Any]:
    return lambda item: item.get(merge_key) if merge_key and isinstance(item, dict) else item


def _element_type(*lists: list[Any]) -> type:
    """The one type of all elements.

    Raises:
        ApiError: 422, they are lists; 500, they differ or there are none.
    """
    items = [item for entries in lists for item in entries]
    if not items:
        raise _failed("no elements in any of the given slices")
    if isinstance(items[0], list):
        raise unprocessable()
    if any(type(item) is not type(items[0]) for item in items):
        raise _failed(f"list element types are not identical: {formatted(list(lists))}")
    return type(items[0])


def unprocessable() -> ApiError:
    """422: a patch that can be read and cannot be applied; the server does not say why."""
    message = "the server rejected our request due to an error in our request"
    return ApiError(422, "Invalid", message, detailed=True)


def _merge_lists(
    original: list[Any], patch: list[Any], schema: _Schema, merge_key: str, *, deletes: bool = False
) -> list[Any]:
    if not original and not patch:
        return original
    kind = _element_type(original, patch)
    if kind is not dict:
        if deletes:
            return [item for item in original if item not in patch]
        merged = _without_doubles([*original, *patch])
        merge_key = ""
    else:
        if not merge_key:
            raise _failed("cannot merge lists without merge key for struct")
        original, patch = _special(original, patch, merge_key)
        merged = _merge_elements(list(original), patch, merge_key, schema)
    first, rest = _parted(merged, patch, merge_key)
    return _ordered(first, rest, patch, original, merge_key)


def _without_doubles(items: list[Any]) -> list[Any]:
    """Each scalar once; a double is replaced by the last element, as the API server does it."""
    found = list(items)
    last = len(found) - 1
    i = 0
    while i < last:
        j = i + 1
        while j <= last:
            if found[i] == found[j]:
                found[j] = found[last]
                last -= 1
            else:
                j += 1
        i += 1
    return found[: last + 1]


def _special(original: list[Any], patch: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """Carry out the directives among the elements; returns what is left of both lists."""
    plain: list[Any] = []
    replaces = False
    for item in patch:
        directive = item.get(_DIRECTIVE)
        if _DIRECTIVE not in item:
            plain.append(item)
        elif directive == "delete":
            if merge_key not in item:
                raise _no_key(item, merge_key)
            original = [entry for entry in original if entry.get(merge_key, ...) != item[merge_key]]
        elif directive == "replace":
            replaces = True
        elif directive == "merge":
            raise _failed("merging lists cannot yet be specified in the patch")
        else:
            raise _failed(f"unknown patch type: {formatted(directive)} in map: {formatted(item)}")
    return (plain, []) if replaces else (original, plain)


def _merge_elements(original: list[Any], patch: list[Any], merge_key: str, schema: _Schema) -> list[Any]:
    for item in patch:
        if merge_key not in item:
            raise _no_key(item, merge_key)
        at = next(
            (i for i, entry in enumerate(original) if entry.get(merge_key, ...) == item[merge_key]), None
        )
        if at is None:
            original.append(item)
        else:
            original[at] = _merge_maps(original[at], item, schema)
    return original


def _parted(items: list[Any], by: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """The elements that another list has too, and the rest."""
    identity = _identity(merge_key)
    if merge_key:
        for item in items:
            if merge_key not in item:
                raise _no_key(item, merge_key)
    known = [identity(item) for item in by]
    return [i for i in items if identity(i) in known], [i for i in items if identity(i) not in known]


def _ordered(
    patched: list[Any], rest: list[Any], order: list[Any], live: list[Any], merge_key: str
) -> list[Any]:
    """The elements of a patch in its order, those only the server has in theirs, woven as the live list had them."""
    identity = _identity(merge_key)

    def place(items: list[Any], item: Any) -> int:
        return next((at for at, entry in enumerate(items) if identity(entry) == identity(item)), -1)

    patched = sorted(patched, key=lambda item: place(order, item))
    rest = sorted(rest, key=lambda item: place(live, item))
    result: list[Any] = []
    i = j = 0
    while i < len(rest) and j < len(patched):
        left, right = place(live, rest[i]), place(live, patched[j])
        if 0 <= left < right:
            result.append(rest[i])
            i += 1
        else:
            result.append(patched[j])
            j += 1
    return result + rest[i:] + patched[j:]
