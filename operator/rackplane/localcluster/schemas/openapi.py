"""What the schema of a CRD may say, beyond being structural: extensions that fit their types, defaults, CEL rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from rackplane.localcluster.errors import (
    Cause,
    forbidden_value,
    invalid_value,
    not_implemented,
    required,
    unsupported_value,
)
from rackplane.localcluster.objects import clone

from . import formats, internal
from .embedded import resources
from .fieldpaths import PathError, resolve
from .pruning import META, prune_default
from .rules import Rules, check_rule
from .structural import structural_problems
from .validation import validate
from .values import Schema

_TYPES = ["array", "boolean", "integer", "number", "object", "string"]
_REASONS = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"]
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_ROOT_FIELDS = [
    "Description",
    "Type",
    "Format",
    "Title",
    "Maximum",
    "ExclusiveMaximum",
    "Minimum",
    "ExclusiveMinimum",
    "MaxLength",
    "MinLength",
    "Pattern",
    "MaxItems",
    "MinItems",
    "UniqueItems",
    "MultipleOf",
    "Required",
    "Items",
    "Properties",
    "ExternalDocs",
    "Example",
    "XPreserveUnknownFields",
    "XValidations",
]


@dataclass(frozen=True, slots=True)
class _Place:
    """What holds where a schema stands: why it may have no default, and from where oldSelf cannot be told."""

    no_default: str | None = None
    in_meta: bool = False
    untold: str = ""


def schema_problems(schema: Schema, path: str, *, has_status: bool) -> list[Cause]:
    """What the server refuses in a version's schema.

    Raises:
        ApiError: 501, the schema uses what the embedded cluster lacks.
    """
    causes: list[Cause] = []
    if has_status:
        causes += _root_with_status(schema, path)
    if schema.get("nullable"):
        causes.append(forbidden_value(f"{path}.nullable", "nullable cannot be true at the root"))
    structural = structural_problems(schema, path) or list(_defaults(schema, path))
    causes += structural
    found = list(_walk(schema, path, _Place(), root=True))
    causes += found
    if not structural and not found:
        for text in _lacking(schema):
            raise not_implemented(text)
        causes += _rules(schema, path, _Place(), root=True)
    return causes


def unrecognized_formats(schema: Schema) -> list[str]:
    """Formats nothing checks, of which the server warns."""
    found = []
    for part in _all(schema):
        text = part.get("format") or ""
        if text and not formats.recognized(part.get("type") or "", text):
            found.append(text)
    return found


def _all(schema: Schema) -> Iterator[Schema]:
    yield schema
    for _, _, below in _children(schema):
        yield from _all(below)
    for _, below in _options(schema):
        yield from _all(below)


def _lacking(schema: Schema) -> Iterator[str]:
    for part in _all(schema):
        if isinstance(part.get("format"), str) and formats.lacking(part["format"]):
            yield f"the format {part['format']} of a CustomResourceDefinition's schema"


def _root_with_status(schema: Schema, path: str) -> Iterator[Cause]:
    for shown, name in ((shown, name) for name, shown in internal.FIELD_NAMES.items()):
        if not schema.get(name):
            continue
        if name == "type":
            if schema["type"] != "object":
                text = 'only "object" is allowed as the type at the root of the schema'
                text += " if the status subresource is enabled"
                yield invalid_value(f"{path}.type", schema["type"], text)
                return
        elif shown not in _ROOT_FIELDS:
            text = (
                f"only [{' '.join(_ROOT_FIELDS)}] fields are allowed at the root of the schema if the status "
                "subresource is enabled"
            )
            yield invalid_value(path, internal.schema(schema), text)
            return


def _children(schema: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Where, by which name, and what: the places directly below one."""
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        yield "additionalProperties", "", extra
    for name, below in (schema.get("properties") or {}).items():
        yield f"properties[{name}]", name, below
    if isinstance(schema.get("items"), dict):
        yield "items", "", schema["items"]


def _options(schema: Schema) -> Iterator[tuple[str, Schema]]:
    if isinstance(schema.get("not"), dict):
        yield "not", schema["not"]
    for word in ("allOf", "oneOf", "anyOf"):
        for index, option in enumerate(schema.get(word) or ()):
            yield f"{word}[{index}]", option


def _below(place: _Place, schema: Schema, where: str, name: str, path: str, *, root: bool) -> _Place:
    """The place of a child."""
    if where == "additionalProperties" and place.in_meta:
        return replace(place, no_default="inside additionalProperties applying to object metadata")
    if where == "items" and schema.get("x-kubernetes-list-type") != "map":
        return replace(place, untold=place.untold or path)
    if (
        where.startswith("properties")
        and name in META
        and (root or schema.get("x-kubernetes-embedded-resource"))
    ):
        return replace(place, in_meta=True, no_default=f"in top-level {name}" if root else place.no_default)
    return place


def _walk(schema: Schema, path: str, place: _Place, *, root: bool = False) -> Iterator[Cause]:
    kind = schema.get("type") or ""
    if kind and kind not in _TYPES:
        yield unsupported_value(f"{path}.type", kind, list(_TYPES))
    if schema.get("default") is not None and place.no_default is not None:
        yield forbidden_value(f"{path}.default", f"must not be set {place.no_default}")
    for name in _UNSUPPORTED:
        if schema.get(name):
            yield forbidden_value(f"{path}.{name}", f"{name} is not supported")
    if kind == "null":
        yield forbidden_value(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if place.in_meta and schema.get("x-kubernetes-embedded-resource"):
        yield forbidden_value(
            f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta"
        )
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden_value(f"{path}.uniqueItems", text)
    extra = schema.get("additionalProperties")
    if extra is not None and schema.get("properties") and extra is not True:
        text = "additionalProperties and properties are mutual exclusive"
        yield forbidden_value(f"{path}.additionalProperties", text)
    for where, name, below in _children(schema):
        yield from _walk(below, f"{path}.{where}", _below(place, schema, where, name, path, root=root))
    for where, option in _options(schema):
        yield from _walk(option, f"{path}.{where}", place)
    yield from _extensions(schema, kind, path)
    for index, entry in enumerate(schema.get("x-kubernetes-validations") or ()):
        yield from _rule_form(schema, entry, f"{path}.x-kubernetes-validations[{index}]")


def _extensions(schema: Schema, kind: str, path: str) -> Iterator[Cause]:
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        where = f"{path}.x-kubernetes-preserve-unknown-fields"
        yield invalid_value(where, False, "must be true or undefined")
    shape, keys = schema.get("x-kubernetes-map-type"), schema.get("x-kubernetes-list-map-keys") or []
    if shape is not None and kind != "object":
        yield _type_must_be(path, kind, "object", "x-kubernetes-map-type")
    if shape is not None and shape not in ("atomic", "granular"):
        yield unsupported_value(f"{path}.x-kubernetes-map-type", shape, ["atomic", "granular"])
    order = schema.get("x-kubernetes-list-type")
    items = schema.get("items") if isinstance(schema.get("items"), dict) else None
    if order is not None and kind != "array":
        yield _type_must_be(path, kind, "array", "x-kubernetes-list-type")
    elif order == "set" and items:
        text = "must be atomic as item of a list with x-kubernetes-list-type=set"
        item_order = items.get("x-kubernetes-list-type")
        if items.get("type") == "array" and item_order not in (None, "atomic"):
            yield invalid_value(f"{path}.items.x-kubernetes-list-type", item_order, text)
        if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
            yield invalid_value(f"{path}.items.x-kubernetes-map-type", item_order, text)
    if order is not None and order not in ("atomic", "set", "map"):
        yield unsupported_value(f"{path}.x-kubernetes-list-type", order, ["atomic", "set", "map"])
    if keys and order != "map":
        where, text = (
            f"{path}.x-kubernetes-list-type",
            "must be map if x-kubernetes-list-map-keys is non-empty",
        )
        yield required(where, text) if order is None else invalid_value(where, order, text)
    if order == "map":
        yield from _map_list(keys, items, path)
    if order in ("set", "map") and items and items.get("nullable"):
        text = f"cannot be nullable when x-kubernetes-list-type is {order}"
        yield forbidden_value(f"{path}.items.nullable", text)
    if order == "map" and items:
        yield from _map_keys(keys, items, path)


def _type_must_be(path: str, kind: str, wanted: str, extension: str) -> Cause:
    text = f"must be {wanted} if {extension} is specified"
    return invalid_value(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)


def _map_list(keys: list[str], items: Schema | None, path: str) -> Iterator[Cause]:
    if not keys:
        text = "must not be empty if x-kubernetes-list-type is map"
        yield required(f"{path}.x-kubernetes-list-map-keys", text)
    if items is None:
        yield required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if items.get("type") != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid_value(f"{path}.items.type", items.get("type") or "", text)
        return
    for index, name in enumerate(keys):
        found = (items.get("properties") or {}).get(name)
        where = f"{path}.x-kubernetes-list-map-keys"
        if found is None:
            yield invalid_value(where, keys, "entries must all be names of item properties")
        elif found.get("type") in ("array", "object"):
            text = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid_value(f"{path}.items.properties[{name}].type", items["type"], text)
        if name in keys[:index]:
            yield invalid_value(where, keys, "must not contain duplicate entries")


def _map_keys(keys: list[str], items: Schema, path: str) -> Iterator[Cause]:
    for name in keys:
        found = (items.get("properties") or {}).get(name)
        if found is None:
            continue
        where = f"{path}.items.properties[{name}]"
        if name not in (items.get("required") or ()) and found.get("default") is None:
            text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield required(f"{where}.default", text)
        if found.get("nullable"):
            text = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            yield forbidden_value(f"{where}.nullable", text)


def _rule_form(schema: Schema, entry: dict[str, Any], path: str) -> Iterator[Cause]:
    rule, message = str(entry.get("rule") or ""), str(entry.get("message") or "")
    expression, where = str(entry.get("messageExpression") or ""), str(entry.get("fieldPath") or "")
    if not rule.strip():
        yield required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        yield invalid_value(f"{path}.message", message, "must be non-empty if specified")
    elif _broken(message.strip()):
        yield invalid_value(f"{path}.message", message, "must not contain line breaks")
    elif _broken(rule.strip()) and not message.strip():
        yield required(f"{path}.message", "message must be specified if rule contains line breaks")
    if expression and not expression.strip():
        yield required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    if entry.get("reason") is not None and entry["reason"] not in _REASONS:
        yield unsupported_value(f"{path}.reason", entry["reason"], list(_REASONS))
    if where and not where.strip():
        yield invalid_value(f"{path}.fieldPath", where, "must be non-empty if specified")
    if _broken(where):
        yield invalid_value(f"{path}.fieldPath", where, "must not contain line breaks")
    if where:
        try:
            resolve(where, schema)
        except PathError:
            yield invalid_value(f"{path}.fieldPath", where, "must be a valid path")


def _broken(text: str) -> bool:
    return "\n" in text or "\r" in text


def _rules(schema: Schema, path: str, place: _Place, *, root: bool) -> Iterator[Cause]:
    for where, name, below in _children(schema):
        yield from _rules(
            below, f"{path}.{where}", _below(place, schema, where, name, path, root=root), root=False
        )
    for index, entry in enumerate(schema.get("x-kubernetes-validations") or ()):
        where = f"{path}.x-kubernetes-validations[{index}]"
        yield from check_rule(schema, entry, where, root=root, untold=place.untold)


def _untyped(schema: Any) -> Any:
    """A schema as defaults are held to it: the type of what may be a number or a string is left open."""
    if isinstance(schema, dict):
        return {name: _untyped(part) for name, part in schema.items() if name != "x-kubernetes-int-or-string"}
    return [_untyped(part) for part in schema] if isinstance(schema, list) else schema


def _defaults(schema: Schema, path: str) -> Iterator[Cause]:
    """Defaults must be what the schema itself would take."""
    value = schema.get("default")
    if value is not None:
        where = f"{path}.default"
        kept = clone(value)
        if prune_default(schema, kept):
            yield invalid_value(where, value, "must not have unknown fields")
        causes = list(resources(schema, value, where)) or validate(_untyped(schema), value, base=where)
        if not causes:
            causes = Rules(schema).check(value, value, path=where) or Rules(schema).check(value, path=where)
        yield from causes
    for where, _, below in _children(schema):
        if where != "additionalProperties":
            yield from _defaults(below, f"{path}.{where}")
