"""What the server refuses in a CustomResourceDefinition, field by field.

What all versions have in common is checked once and blamed on fields that only the server's internal form has:
`spec.validation`, `spec.subresources`, `spec.additionalPrinterColumns`, `spec.selectableFields`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .errors import (
    Cause,
    duplicate_value,
    forbidden_value,
    invalid_value,
    not_implemented,
    required,
    unsupported_value,
)
from .names import dns_subdomain
from .objects import Obj, dig, meta, name_of
from .schemas import internal
from .schemas.embedded import label_problem
from .schemas.fieldpaths import PathError, resolve
from .schemas.openapi import schema_problems
from .schemas.values import same

_COLUMN_TYPES = "boolean,date,integer,number,string"
_COLUMN_FORMATS = "byte,date,date-time,double,float,int32,int64,password"
_MOST_SELECTABLE = 8
_APPROVAL = "api-approved.kubernetes.io"
_APPROVAL_URL = "https://github.com/kubernetes/enhancements/pull/1111"
_PER_VERSION = {
    "schema": "validation",
    "subresources": "subresources",
    "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
}


def problems(crd: Obj, before: Obj | None = None) -> list[Cause]:
    """Everything wrong with a definition, defaults filled in; `before` is the one it replaces.

    Raises:
        ApiError: 501, it uses what the embedded cluster lacks.
    """
    spec = crd["spec"]
    if dig(spec, "conversion", "strategy") == "Webhook":
        raise not_implemented("conversion of custom resources by webhooks")
    return [
        *(_name(crd) if before is None else ()),
        *_spec(spec),
        *(_changes(spec, before) if before is not None else ()),
        *_stored_versions(crd),
        *_approval(crd),
        *_unknown_fields(spec),
    ]


def _name(crd: Obj) -> Iterator[Cause]:
    name, spec = name_of(crd), crd["spec"]
    if not name:
        return
    if name != f"{dig(spec, 'names', 'plural') or ''}.{spec.get('group') or ''}":
        yield invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group')


def _spec(spec: Obj) -> Iterator[Cause]:
    group, scope = spec.get("group") or "", spec.get("scope") or ""
    if not group:
        yield required("spec.group")
    elif problem := ",".join(dns_subdomain(group)):
        yield invalid_value("spec.group", group, problem)
    elif "." not in group:
        yield invalid_value("spec.group", group, "should be a domain with at least one dot")
    if not scope:
        yield required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield unsupported_value("spec.scope", scope, ["Cluster", "Namespaced"])
    shared, versions = _hoisted(spec.get("versions") or [])
    for index, version in enumerate(versions):
        if not dig(shared, "schema", "openAPIV3Schema") and not dig(version, "schema", "openAPIV3Schema"):
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema")
    for index, version in enumerate(versions):
        yield from _version(version, shared, f"spec.versions[{index}]")
    names = [version.get("name") for version in versions]
    if len(set(names)) < len(names):
        yield invalid_value("spec.versions", internal.versions(versions), "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        text = "must have exactly one version marked as storage version"
        yield invalid_value("spec.versions", internal.versions(versions), text)
    # The first version is also known by a field of the internal form.
    first = (versions[0].get("name") or "") if versions else ""
    if first and (problem := label_problem(first)):
        yield invalid_value("spec.version", first, problem)
    yield from _names(spec.get("names") or {})
    has_status = any("status" in (part.get("subresources") or {}) for part in (shared, *versions))
    yield from _contents(shared, "spec", "validation", has_status)
    if shared.get("selectableFields"):
        yield from _selectable(
            shared, dig(shared, "schema", "openAPIV3Schema"), "spec.selectableFields", shared=True
        )
    strategy = dig(spec, "conversion", "strategy") or ""
    if not strategy:
        yield required("spec.conversion.strategy")
    elif strategy != "None":
        yield unsupported_value("spec.conversion.strategy", strategy, ["None", "Webhook"])
    if dig(spec, "conversion", "webhook"):
        for name in ("webhookClientConfig", "conversionReviewVersions"):
            text = "should not be set when strategy is not set to Webhook"
            yield forbidden_value(f"spec.conversion.{name}", text)


def _hoisted(versions: list[Obj]) -> tuple[Obj, list[Obj]]:
    """What all versions share, and the versions without it."""
    shared: Obj = {}
    for name in _PER_VERSION:
        values = [version.get(name) or None for version in versions]
        if values and all(same(value, values[0]) for value in values) and values[0] is not None:
            shared[name] = values[0]
    kept = [{name: value for name, value in version.items() if name not in shared} for version in versions]
    return shared, kept


def _version(version: Obj, shared: Obj, path: str) -> Iterator[Cause]:
    name = version.get("name") or ""
    if problem := label_problem(name):
        yield invalid_value(f"{path}.name", name, problem)
    warning = version.get("deprecationWarning")
    if warning is not None and not version.get("deprecated"):
        yield invalid_value(f"{path}.deprecationWarning", warning, "can only be set for deprecated versions")
    elif warning is not None:
        if len(warning.encode()) > 256:
            yield invalid_value(f"{path}.deprecationWarning", warning, "must be <= 256 characters long")
        if not warning:
            yield invalid_value(f"{path}.deprecationWarning", warning, "must not be an empty string")
    subresources = version.get("subresources") or shared.get("subresources") or {}
    yield from _contents(version, path, "schema", "status" in subresources)
    if version.get("selectableFields"):
        schema = dig(version, "schema", "openAPIV3Schema")
        yield from _selectable(version, schema, f"{path}.selectableFields", shared=False)


def _contents(part: Obj, path: str, schema_name: str, has_status: bool) -> Iterator[Cause]:
    schema = dig(part, "schema", "openAPIV3Schema")
    if schema:
        yield from schema_problems(schema, f"{path}.{schema_name}.openAPIV3Schema", has_status=has_status)
    scale = dig(part, "subresources", "scale")
    if scale is not None:
        yield from _scale(scale, f"{path}.subresources.scale")
    for index, column in enumerate(part.get("additionalPrinterColumns") or ()):
        yield from _column(column, f"{path}.additionalPrinterColumns[{index}]")


def _scale(scale: Obj, path: str) -> Iterator[Cause]:
    for name, roots in (
        ("specReplicasPath", (".spec.",)),
        ("statusReplicasPath", (".status.",)),
        ("labelSelectorPath", (".spec.", ".status.")),
    ):
        where = scale.get(name) or ""
        if not where:
            if name != "labelSelectorPath":
                yield required(f"{path}.{name}")
        elif not where.startswith("."):
            yield invalid_value(f"{path}.{name}", where, "must be a simple json path starting with .")
        elif not where.startswith(roots):
            text = "either .spec or .status" if len(roots) > 1 else roots[0].rstrip(".")
            yield invalid_value(f"{path}.{name}", where, f"should be a json path under {text}")


def _column(column: Obj, path: str) -> Iterator[Cause]:
    if not column.get("name"):
        yield required(f"{path}.name")
    if not column.get("type"):
        yield required(f"{path}.type", f"must be one of {_COLUMN_TYPES}")
    elif column["type"] not in _COLUMN_TYPES.split(","):
        yield invalid_value(f"{path}.type", column["type"], f"must be one of {_COLUMN_TYPES}")
    if column.get("format") and column["format"] not in _COLUMN_FORMATS.split(","):
        yield invalid_value(f"{path}.format", column["format"], f"must be one of {_COLUMN_FORMATS}")
    where = column.get("jsonPath") or ""
    if not where:
        yield required(f"{path}.JSONPath")
    elif not where.startswith("."):
        yield invalid_value(f"{path}.JSONPath", where, "must be a simple json path starting with .")


def _selectable(part: Obj, schema: Obj | None, path: str, *, shared: bool) -> Iterator[Cause]:
    if schema is None:
        text = (
            "may only be set when validations.schema is included"
            if shared
            else "may only be set when `version.schema.openAPIV3Schema` is not included"
        )
        yield invalid_value(path, "", text)
        return
    seen: list[str] = []
    for index, entry in enumerate(part["selectableFields"]):
        where, given = f"{path}[{index}].jsonPath", entry.get("jsonPath") or ""
        if not given:
            yield required(where)
            continue
        try:
            shown, found = resolve(given, schema, brackets=False)
        except PathError as problem:
            yield invalid_value(where, given, f"is an invalid path: {problem}")
            continue
        if re.split(r"[.\[]", shown)[0] == "metadata":
            yield invalid_value(where, given, "must not point to fields in metadata")
        if found.get("type") not in ("string", "boolean", "integer"):
            text = (
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats "
                "are allowed."
            )
            yield invalid_value(where, given, text)
        if shown in seen:
            yield duplicate_value(where, given)
        else:
            seen.append(shown)
    if len(seen) > _MOST_SELECTABLE:
        text = f"Too many: {len(seen)}: must have at most {_MOST_SELECTABLE} items"
        yield Cause(path, "FieldValueTooMany", text)


def _names(names: Obj) -> Iterator[Cause]:
    for name in ("plural", "singular", "kind", "listKind"):
        if not names.get(name):
            yield required(f"spec.names.{name}")
    for name in ("plural", "singular"):
        text = names.get(name) or ""
        if text and (problem := label_problem(text)):
            yield invalid_value(f"spec.names.{name}", text, problem)
    for name in ("kind", "listKind"):
        text = names.get(name) or ""
        if text and (problem := label_problem(text.lower())):
            detail = f"may have mixed case, but should otherwise match: {problem}"
            yield invalid_value(f"spec.names.{name}", text, detail)
    yield from _labels(names, "shortNames")
    if names.get("kind") and names["kind"] == names.get("listKind"):
        yield invalid_value("spec.names.listKind", names["listKind"], "kind and listKind may not be the same")
    yield from _labels(names, "categories")


def _labels(names: Obj, field: str) -> Iterator[Cause]:
    for index, text in enumerate(names.get(field) or ()):
        if problem := label_problem(text):
            yield invalid_value(f"spec.names.{field}[{index}]", text, problem)


def _changes(spec: Obj, before: Obj) -> Iterator[Cause]:
    old = before["spec"]
    established = any(
        entry.get("type") == "Established" and entry.get("status") == "True"
        for entry in dig(before, "status", "conditions") or ()
    )
    fixed: list[tuple[str, Any, Any]] = []
    if established:
        fixed.append(("scope", spec.get("scope") or "", old.get("scope")))
        fixed.append(("names.kind", dig(spec, "names", "kind") or "", dig(old, "names", "kind")))
    fixed.append(("group", spec.get("group") or "", old.get("group")))
    fixed.append(("names.plural", dig(spec, "names", "plural") or "", dig(old, "names", "plural")))
    for name, new, kept in fixed:
        if new != kept:
            yield invalid_value(f"spec.{name}", new, "field is immutable")


def _stored_versions(crd: Obj) -> Iterator[Cause]:
    stored = dig(crd, "status", "storedVersions") or []
    path = "status.storedVersions"
    if not stored:
        yield invalid_value(path, None, "must have at least one stored version")
        return
    left = set(stored)
    for version in crd["spec"].get("versions") or ():
        name = version.get("name")
        if version.get("storage") and name not in left:
            yield invalid_value(path, stored, f"must have the storage version {name}")
        left.discard(name)
    for index, name in enumerate(stored):
        if name in left:
            text = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                "spec.versions until a storage migration ensures no data remains persisted in "
                f"{name} and removes {name} from status.storedVersions"
            )
            yield invalid_value(f"{path}[{index}]", name, text)


def _approval(crd: Obj) -> Iterator[Cause]:
    group = crd["spec"].get("group") or ""
    if not any(group == end or group.endswith(f".{end}") for end in ("k8s.io", "kubernetes.io")):
        return
    if not (meta(crd).get("annotations") or {}).get(_APPROVAL):
        text = f'protected groups must have approval annotation "{_APPROVAL}", see {_APPROVAL_URL}'
        yield required(f"metadata.annotations[{_APPROVAL}]", text)


def _unknown_fields(spec: Obj) -> Iterator[Cause]:
    if spec.get("preserveUnknownFields"):
        text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        yield invalid_value("spec.preserveUnknownFields", True, text)
