"""From a pydantic model to the structural schema that Kubernetes takes.

Kubernetes reads OpenAPI v3.0 with limits of its own: no `$ref`, no unions, no `null`, booleans for the
exclusive bounds. What a model says beyond that is an error here and not a surprise at the API server.
"""

from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

_PLAIN_KEYS: Final = frozenset(
    {
        "type",
        "format",
        "description",
        "default",
        "enum",
        "minimum",
        "maximum",
        "pattern",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "required",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
    }
)
_DROPPED_KEYS: Final = frozenset({"title", "$defs", "examples", "deprecated"})
#: The order of keys in the YAML: what a thing is, what it means, what bounds it, what is in it.
_KEY_ORDER: Final = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "exclusiveMinimum",
    "minimum",
    "exclusiveMaximum",
    "maximum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
    "items",
    "additionalProperties",
    "properties",
)
_RULE_ORDER: Final = ("rule", "message", "fieldPath")


class SchemaError(TypeError):
    """A model says something that a CustomResourceDefinition cannot express."""


class _KeepFactories(GenerateJsonSchema):
    """Writes `default: {}` for an object that its class can build from nothing.

    pydantic leaves a `default_factory` out, and the API server would then not fill in the fields below it.
    """

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        result = super().default_schema(schema)
        factory = schema.get("default_factory")
        if isinstance(factory, type) and issubclass(factory, BaseModel):
            return {"allOf": [result], "default": {}} if "$ref" in result else {**result, "default": {}}
        return result

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        result = super().model_schema(schema)
        # A class docstring is wrapped for the source, a description is one line.
        if "description" in result:
            result["description"] = " ".join(str(result["description"]).split())
        return result


@cache
def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of a model, complete and without references. Callers must not change it.

    Raises `SchemaError` for what Kubernetes could not take: a real union, a recursive model, an unbounded
    list, map or text, a property without description.
    """
    whole = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_KeepFactories)
    return _convert(whole, whole.get("$defs", {}), at=model.__name__, inside=())


def _convert(
    node: dict[str, Any], defs: dict[str, Any], *, at: str, inside: tuple[str, ...]
) -> dict[str, Any]:
    node, inside = _resolve(node, defs, at=at, inside=inside)
    result: dict[str, Any] = {}
    for key, value in node.items():
        match key:
            case _ if key in _DROPPED_KEYS:
                continue
            case "default" if value is None or (node.get("type") == "array" and value == []):
                continue  # absent and empty mean the same here; a default would only fill every stored object
            case "x-kubernetes-validations":
                result[key] = [{part: rule[part] for part in _RULE_ORDER if part in rule} for rule in value]
            case _ if key in _PLAIN_KEYS:
                result[key] = value
            case "const":
                result["enum"] = [value]
            case "exclusiveMinimum":
                result |= {"minimum": value, "exclusiveMinimum": True}
            case "exclusiveMaximum":
                result |= {"maximum": value, "exclusiveMaximum": True}
            case "properties":
                result[key] = {
                    name: _convert(child, defs, at=f"{at}.{name}", inside=inside)
                    for name, child in value.items()
                }
            case "items":
                result[key] = _convert(value, defs, at=f"{at}[]", inside=inside)
            case "additionalProperties" if isinstance(value, dict):
                result[key] = _convert(value, defs, at=f"{at}{{}}", inside=inside)
            case "additionalProperties" if value is True:
                result["x-kubernetes-preserve-unknown-fields"] = True
            case "additionalProperties":
                continue  # the API server prunes unknown fields, it does not refuse them
            case _:
                raise SchemaError(f"{at}: Kubernetes knows no {key!r}")
    if result.get("type") == "integer":
        result["format"] = "int64"
    _check(result, at=at)
    return {key: result[key] for key in _KEY_ORDER if key in result}


def _resolve(
    node: dict[str, Any], defs: dict[str, Any], *, at: str, inside: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Takes references and the `null` of optional fields out; what stands beside a reference wins over it."""
    while True:
        beside = {key: value for key, value in node.items() if key not in ("$ref", "allOf", "anyOf")}
        if "$ref" in node:
            name = str(node["$ref"]).removeprefix("#/$defs/")
            if name in inside:
                raise SchemaError(f"{at}: {name} contains itself")
            node, inside = {**defs[name], **beside}, (*inside, name)
        elif "allOf" in node:
            if len(node["allOf"]) != 1:
                raise SchemaError(f"{at}: allOf of several schemas")
            node = {**node["allOf"][0], **beside}
        elif "anyOf" in node:
            choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
            if sorted(str(choice.get("type")) for choice in choices) == ["integer", "string"]:
                return {**beside, "x-kubernetes-int-or-string": True}, inside
            if len(choices) != 1:
                raise SchemaError(f"{at}: a union of several types")
            node = {**choices[0], **beside}
        else:
            return node, inside


def _check(schema: dict[str, Any], *, at: str) -> None:
    """What the structural rules, the cost estimate of CEL and our own readers need."""
    if schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    match schema.get("type"):
        case "string" if not ({"maxLength", "enum"} & schema.keys() or schema.get("format") == "date-time"):
            raise SchemaError(f"{at}: text without maxLength")
        case "array" if "maxItems" not in schema:
            raise SchemaError(f"{at}: a list without maxItems")
        case "object" if "additionalProperties" in schema and "maxProperties" not in schema:
            raise SchemaError(f"{at}: a map without maxProperties")
        case "integer" if not {"minimum"} & schema.keys():
            raise SchemaError(f"{at}: a number without minimum")
        case "string" | "array" | "object" | "integer" | "boolean":
            pass
        case other:
            raise SchemaError(f"{at}: type {other!r}")
    for name, child in schema.get("properties", {}).items():
        if not child.get("description"):
            raise SchemaError(f"{at}.{name}: no description")
