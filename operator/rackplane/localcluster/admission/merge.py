"""Merging the `Object{...}` of an ApplyConfiguration mutation into the object, as server-side apply would.

Maps and lists with keys merge. What is atomic may not be touched: a policy that sets one toleration would remove the
others. Nobody owns the fields set here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rackplane.localcluster.objects import Obj, clone
from rackplane.localcluster.patches import MERGED_SETS, merge_key

from .expressions import TYPE, EvaluationError

Path = tuple[str, ...]
#: Maps and structs of the built-in kinds that merge as one value, by the name of their field.
_ATOMIC = frozenset(
    {
        *(
            "nodeSelector",
            "selector",
            "labelSelector",
            "namespaceSelector",
            "secretKeyRef",
            "configMapKeyRef",
        ),
        *("fieldRef", "resourceFieldRef", "secretRef", "claimRef", "objectReference", "imagePullSecrets"),
        *("requiredDuringSchedulingIgnoredDuringExecution", "localObjectReference"),
    }
)


_DEFAULT_KEYS = {"protocol": "TCP"}


def merged(obj: Obj, patch: Any, schema: Any) -> Obj:
    """The object with the value of an expression merged in; `schema` is that of a custom resource, else None.

    Raises:
        EvaluationError: the value is no apply configuration for this object.
    """
    if not isinstance(patch, dict) or TYPE not in patch:
        raise EvaluationError("must evaluate to Object")
    mismatches = list(_mismatches(patch, "Object"))
    if mismatches:
        raise EvaluationError("type mismatch: " + "\n".join(mismatches))
    plain = _plain(patch)
    atomics = list(_atomics(plain, schema, (), ""))
    if atomics:
        listed = ", ".join(atomics)
        raise EvaluationError(
            f"error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {listed}"
        )
    result: Obj = _merge(clone(obj), plain, schema, (), "")
    return result


def _mismatches(value: Any, expected: str) -> Iterator[str]:
    """A message's type is the path of the fields that lead to it; maps and lists between them have no name."""
    if isinstance(value, list):
        for item in value:
            yield from _mismatches(item, expected)
    elif isinstance(value, dict):
        actual = value.get(TYPE)
        if actual is not None and actual != expected:
            yield (
                f'unexpected type name "{actual}", expected "{expected}", which matches field name path from root '
                "Object type"
            )
        for key in sorted(value):
            if key != TYPE:
                yield from _mismatches(value[key], expected if actual is None else f"{expected}.{key}")


def _plain(value: Any) -> Any:
    """The value without type names, its keys in order: the evaluator's maps have none."""
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value) if key != TYPE}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _child(schema: Any, name: str) -> Any:
    if not isinstance(schema, dict):
        return None
    return (schema.get("properties") or {}).get(name, schema.get("additionalProperties"))


def _keys(schema: Any, path: Path) -> tuple[str, ...]:
    """What identifies the elements of a list; () where it has no keys."""
    if isinstance(schema, dict):
        if schema.get("x-kubernetes-list-type") == "map":
            return tuple(schema.get("x-kubernetes-list-map-keys") or ())
        return ()
    key = merge_key(path)
    return (key,) if key else ()


def _is_set(schema: Any, path: Path) -> bool:
    if isinstance(schema, dict):
        return schema.get("x-kubernetes-list-type") == "set"
    return bool(path) and path[-1] in MERGED_SETS


def _atomics(value: Any, schema: Any, path: Path, shown: str) -> Iterator[str]:
    if isinstance(value, dict):
        whole = schema.get("x-kubernetes-map-type") == "atomic" if isinstance(schema, dict) else False
        if whole or (schema is None and path and path[-1] in _ATOMIC):
            yield shown
        for key, item in value.items():
            yield from _atomics(item, _child(schema, key), (*path, key), f"{shown}.{key}")
    elif isinstance(value, list):
        if not _keys(schema, path) and not _is_set(schema, path):
            yield shown
        items = schema.get("items") if isinstance(schema, dict) else None
        for index, item in enumerate(value):
            yield from _atomics(item, items, path, f"{shown}[{index}]")


def _merge(live: Any, patch: Any, schema: Any, path: Path, shown: str) -> Any:
    if isinstance(patch, dict) and (isinstance(live, dict) or live is None):
        result = live or {}
        for key, value in patch.items():
            result[key] = _merge(result.get(key), value, _child(schema, key), (*path, key), f"{shown}.{key}")
        return result
    if isinstance(patch, list) and (isinstance(live, list) or live is None):
        if _is_set(schema, path):
            return [*(live or ()), *(item for item in patch if item not in (live or ()))]
        items = schema.get("items") if isinstance(schema, dict) else None
        return _merge_by_key(live or [], patch, items, _keys(schema, path), path, shown)
    return clone(patch)


def _merge_by_key(
    live: list[Any], patch: list[Any], schema: Any, keys: tuple[str, ...], path: Path, shown: str
) -> list[Any]:
    result = list(live)
    places = {tuple(item.get(key) for key in keys): index for index, item in enumerate(live)}
    for index, item in enumerate(patch):
        for key in keys:
            if schema is not None and key not in item:
                raise EvaluationError(
                    "error applying patch: failed to convert patch object to typed object: "
                    f"{shown}: element {index}: associative list with keys has an element that omits key field "
                    f'"{key}" (and doesn\'t have default value)'
                )
        # The keys of built-in lists have defaults, so that none can be missing.
        place = places.get(tuple(item.get(key, _DEFAULT_KEYS.get(key, "")) for key in keys))
        if place is None:
            result.append(_merge(None, item, schema, path, shown))
        else:
            result[place] = _merge(result[place], item, schema, path, shown)
    return result
