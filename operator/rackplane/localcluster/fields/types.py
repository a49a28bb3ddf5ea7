"""How the values of a kind merge: which lists are maps or sets by which keys, which values are replaced whole.

Made of OpenAPI schemas as the API server makes them: its own for built-in kinds, those of a CRD for custom resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from rackplane.localcluster import builtin_schemas

from .sets import FieldSet, key_step, value_step

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_RAW = "io.k8s.apimachinery.pkg.runtime.RawExtension"
_SCALARS = {"integer": "numeric", "number": "numeric", "boolean": "boolean", "string": "string"}


class MapType:
    """A struct or a map. `fields` gives for each declared key its step and type, `element` the type of other keys."""

    __slots__ = ("atomic", "element", "fields")

    def __init__(self, fields: dict[str, tuple[str, Type]], element: Type | None, *, atomic: bool) -> None:
        self.fields = fields
        self.element = element
        self.atomic = atomic

    def field(self, key: str) -> tuple[str, Type]:
        """The step and the type of a key; a key the schema does not know is free-form."""
        found = self.fields.get(key)
        return found if found is not None else (f"f:{key}", self.element or DEDUCED)


class ListType:
    """A list: replaced whole, or with elements told apart by `keys` (a map) or by themselves (a set)."""

    __slots__ = ("atomic", "defaults", "element", "keys")

    def __init__(
        self, element: Type, *, atomic: bool, keys: tuple[str, ...] = (), defaults: tuple[Any, ...] = ()
    ) -> None:
        self.element = element
        self.atomic = atomic
        self.keys = keys
        self.defaults = defaults

    def step(self, item: Any) -> str:
        """The step of an element of a list that is not atomic.

        Raises:
            ValueError: it has none of the keys, or may not stand in such a list.
        """
        if not self.keys:
            if isinstance(item, dict):
                raise ValueError("associative list without keys has an element that's a map type")
            if isinstance(item, list):
                raise ValueError("not supported: associative list with lists as elements")
            if item is None:
                raise ValueError("associative list without keys has an element that's an explicit null")
            return value_step(item)
        if item is None:
            raise ValueError("associative list with keys may not have a null element")
        if not isinstance(item, dict):
            raise ValueError("associative list with keys may not have non-map elements")
        values = tuple(item.get(key, default) for key, default in zip(self.keys, self.defaults, strict=True))
        if all(value is ... for value in values):
            listed = " ".join(f'"{key}"' for key in self.keys)
            raise ValueError(
                f"associative list with keys has an element that omits all key fields [{listed}] "
                "(and doesn't have default values for any key fields)"
            )
        try:
            return key_step(self.keys, values)
        except TypeError as problem:
            raise ValueError("associative list with keys has a key that is no scalar") from problem


class Type:
    """What a value may be: a scalar, a map, a list, or by its own form any of them."""

    __slots__ = ("list", "map", "name", "scalar")

    def __init__(
        self, scalar: str = "", map: MapType | None = None, list: ListType | None = None, name: str = ""
    ) -> None:
        self.scalar = scalar
        self.map = map
        self.list = list
        self.name = name


#: A value nobody describes and that is replaced whole.
UNTYPED = Type("untyped", name="__untyped_atomic_")
UNTYPED.map = MapType({}, UNTYPED, atomic=True)
UNTYPED.list = ListType(UNTYPED, atomic=True)
#: A value nobody describes whose maps merge.
DEDUCED = Type("untyped", name="__untyped_deduced_")
DEDUCED.map = MapType({}, DEDUCED, atomic=False)
DEDUCED.list = ListType(UNTYPED, atomic=True)


@cache
def builtin_type(group: str, version: str, kind: str) -> Type:
    """How objects of a built-in kind merge; free-form when the kind has no schema."""
    name = builtin_schemas.schema_name(group, version, kind)
    return _named(name) if name else DEDUCED


def custom_type(schema: Mapping[str, Any] | None) -> Type:
    """How custom resources with this schema (of their CRD's version) merge."""
    if not schema:
        return DEDUCED
    found = _parsed(schema, keep=False)
    if found.map is not None:
        found.map.fields |= _of_an_object()
    return found


def _of_an_object() -> dict[str, tuple[str, Type]]:
    text = Type("string")
    return {
        "apiVersion": ("f:apiVersion", text),
        "kind": ("f:kind", text),
        "metadata": ("f:metadata", _named(_OBJECT_META)),
    }


_NAMED: dict[str, Type] = {}


def _named(name: str) -> Type:
    found = _NAMED.get(name)
    if found is None:
        # Kept before it is filled in: schemas of schemas refer to themselves.
        found = _NAMED[name] = Type(name=name)
        if name == _QUANTITY:
            found.scalar = "untyped"
        elif name == _RAW:
            found.scalar, found.map, found.list = "untyped", UNTYPED.map, UNTYPED.list
        else:
            parsed = _parsed(builtin_schemas.schemas()[name], keep=False)
            found.scalar, found.map, found.list = parsed.scalar, parsed.map, parsed.list
    return found


def _type(schema: Mapping[str, Any], *, keep: bool) -> Type:
    name = builtin_schemas.referred(schema)
    if name is None:
        return _parsed(schema, keep=keep)
    found = _named(name)
    relation = schema.get("x-kubernetes-map-type")
    if relation and found.map is not None:
        # The field says otherwise than its type.
        atomic = MapType(found.map.fields, found.map.element, atomic=relation == "atomic")
        return Type(found.scalar, atomic, found.list, name)
    return found


def _parsed(schema: Mapping[str, Any], *, keep: bool) -> Type:
    """`keep`: unknown fields are kept, as somewhere above the schema said."""
    keep = keep or schema.get("x-kubernetes-preserve-unknown-fields") is True
    kind = schema.get("type", "")
    if kind == "object":
        return Type(map=_map(schema, keep=keep))
    if kind == "array":
        return Type(list=_list(schema, keep=keep))
    if kind in _SCALARS:
        plain = kind != "string" or schema.get("format") in (None, "", "byte")
        return Type(_SCALARS[kind] if plain else "untyped")
    return Type("untyped", _map(schema, keep=keep), _list(schema, keep=keep))


def _map(schema: Mapping[str, Any], *, keep: bool) -> MapType:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    fields = {key: (f"f:{key}", _type(part, keep=keep)) for key, part in properties.items()}
    if schema.get("x-kubernetes-embedded-resource"):
        fields |= _of_an_object()
    extra = schema.get("additionalProperties")
    element: Type | None
    if isinstance(extra, Mapping):
        element = _type(extra, keep=keep)
    elif extra is None:
        element = DEDUCED if keep or not properties else None
    else:
        element = DEDUCED if extra else None
    return MapType(fields, element, atomic=schema.get("x-kubernetes-map-type") == "atomic")


def _list(schema: Mapping[str, Any], *, keep: bool) -> ListType:
    items = schema.get("items")
    element = _type(items, keep=keep) if isinstance(items, Mapping) else UNTYPED
    kind, strategy = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-patch-strategy", "")
    keys: tuple[str, ...] = ()
    if kind == "map":
        keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    elif kind is None and "merge" in strategy.split(","):
        kind, key = "set", schema.get("x-kubernetes-patch-merge-key")
        keys = (key,) if key else ()
    described = builtin_schemas.resolved(items).get("properties", {}) if keys and items else {}
    defaults = tuple(described.get(key, {}).get("default", ...) for key in keys)
    return ListType(element, atomic=kind not in ("map", "set"), keys=keys, defaults=defaults)


def with_named_fields(fields: FieldSet, type_: Type | None) -> FieldSet:
    """The set with every field of a struct that has members below it as a member too."""
    known = type_.map.fields if type_ is not None and type_.map is not None else {}
    members = set(fields.members)
    children: dict[str, FieldSet] = {}
    for step, child in fields.children.items():
        below: Type | None = None
        if step.startswith("f:"):
            if step[2:] in known:
                members.add(step)
                below = known[step[2:]][1]
            elif type_ is not None and type_.map is not None:
                below = type_.map.element
        elif step.startswith("k:") and type_ is not None and type_.list is not None:
            below = type_.list.element
        children[step] = with_named_fields(child, below)
    return FieldSet(frozenset(members), children)
