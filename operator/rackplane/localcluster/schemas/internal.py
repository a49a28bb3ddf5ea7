"""Parts of a CRD as messages of the server show them: by the field names of its internal types, empty ones too."""

from __future__ import annotations

from typing import Any

from .values import Schema

_SCHEMA: tuple[tuple[str, str, Any], ...] = (
    ("ID", "id", ""),
    ("Schema", "$schema", ""),
    ("Ref", "$ref", None),
    ("Description", "description", ""),
    ("Type", "type", ""),
    ("Nullable", "nullable", False),
    ("Format", "format", ""),
    ("Title", "title", ""),
    ("Default", "default", None),
    ("Maximum", "maximum", None),
    ("ExclusiveMaximum", "exclusiveMaximum", False),
    ("Minimum", "minimum", None),
    ("ExclusiveMinimum", "exclusiveMinimum", False),
    ("MaxLength", "maxLength", None),
    ("MinLength", "minLength", None),
    ("Pattern", "pattern", ""),
    ("MaxItems", "maxItems", None),
    ("MinItems", "minItems", None),
    ("UniqueItems", "uniqueItems", False),
    ("MultipleOf", "multipleOf", None),
    ("Enum", "enum", None),
    ("MaxProperties", "maxProperties", None),
    ("MinProperties", "minProperties", None),
    ("Required", "required", None),
    ("Items", "items", None),
    ("AllOf", "allOf", None),
    ("OneOf", "oneOf", None),
    ("AnyOf", "anyOf", None),
    ("Not", "not", None),
    ("Properties", "properties", None),
    ("AdditionalProperties", "additionalProperties", None),
    ("PatternProperties", "patternProperties", None),
    ("Dependencies", "dependencies", None),
    ("AdditionalItems", "additionalItems", None),
    ("Definitions", "definitions", None),
    ("ExternalDocs", "externalDocs", None),
    ("Example", "example", None),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", None),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", False),
    ("XIntOrString", "x-kubernetes-int-or-string", False),
    ("XListMapKeys", "x-kubernetes-list-map-keys", None),
    ("XListType", "x-kubernetes-list-type", None),
    ("XMapType", "x-kubernetes-map-type", None),
    ("XValidations", "x-kubernetes-validations", None),
)
_RULE = (
    ("Rule", "rule", ""),
    ("Message", "message", ""),
    ("MessageExpression", "messageExpression", ""),
    ("Reason", "reason", None),
    ("FieldPath", "fieldPath", ""),
    ("OptionalOldSelf", "optionalOldSelf", None),
)
_COLUMN = (
    ("Name", "name", ""),
    ("Type", "type", ""),
    ("Format", "format", ""),
    ("Description", "description", ""),
    ("Priority", "priority", 0),
    ("JSONPath", "jsonPath", ""),
)
#: The names by which the server speaks of a schema's fields, by the names they have in JSON.
FIELD_NAMES = {name: shown for shown, name, _ in _SCHEMA}


def _struct(fields: tuple[tuple[str, str, Any], ...], value: Schema) -> dict[str, Any]:
    return {shown: value.get(name, empty) for shown, name, empty in fields}


def rule(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of x-kubernetes-validations."""
    return _struct(_RULE, entry)


def schema(value: Schema) -> dict[str, Any]:
    """A schema, those below it included."""
    shown = _struct(_SCHEMA, value)
    for name in ("AllOf", "OneOf", "AnyOf"):
        if shown[name]:
            shown[name] = [schema(part) for part in shown[name]]
    if shown["Not"] is not None:
        shown["Not"] = schema(shown["Not"])
    if shown["Items"] is not None:
        shown["Items"] = {"Schema": schema(shown["Items"]), "JSONSchemas": None}
    if shown["Properties"]:
        shown["Properties"] = {name: schema(part) for name, part in sorted(shown["Properties"].items())}
    extra = shown["AdditionalProperties"]
    if extra is not None:
        below = schema(extra) if isinstance(extra, dict) else None
        shown["AdditionalProperties"] = {"Allows": extra is not False, "Schema": below}
    if shown["XValidations"]:
        shown["XValidations"] = [rule(part) for part in shown["XValidations"]]
    return shown


def versions(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`spec.versions`."""
    result = []
    for entry in entries:
        body = entry.get("schema")
        result.append(
            {
                "Name": entry.get("name") or "",
                "Served": bool(entry.get("served")),
                "Storage": bool(entry.get("storage")),
                "Deprecated": bool(entry.get("deprecated")),
                "DeprecationWarning": entry.get("deprecationWarning"),
                "Schema": body and {"OpenAPIV3Schema": schema(body["openAPIV3Schema"])},
                "Subresources": _subresources(entry.get("subresources")),
                "AdditionalPrinterColumns": [
                    _struct(_COLUMN, column) for column in entry.get("additionalPrinterColumns") or ()
                ]
                or None,
                "SelectableFields": [
                    {"JSONPath": part.get("jsonPath", "")} for part in entry.get("selectableFields") or ()
                ]
                or None,
            }
        )
    return result


def _subresources(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is None:
        return None
    scale = value.get("scale")
    return {
        "Status": {} if "status" in value else None,
        "Scale": scale
        and {
            "SpecReplicasPath": scale.get("specReplicasPath") or "",
            "StatusReplicasPath": scale.get("statusReplicasPath") or "",
            "LabelSelectorPath": scale.get("labelSelectorPath"),
        },
    }
