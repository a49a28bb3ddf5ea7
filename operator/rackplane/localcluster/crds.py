"""CustomResourceDefinitions: from the definition to served resources, schemas and printer columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import (
    Cause,
    duplicate_value,
    forbidden_value,
    invalid,
    invalid_value,
    required,
    unsupported_value,
)
from .objects import Obj, dig, name_of, timestamp
from .resources import Registry, Resource
from .schema import Rules, Schema, default, prune, validate

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
GROUP, KIND = "apiextensions.k8s.io", "CustomResourceDefinition"
_TYPES = ["array", "boolean", "integer", "number", "object", "string"]


@dataclass(frozen=True, slots=True)
class Column:
    """One additional printer column."""

    name: str
    type: str
    json_path: str
    priority: int
    description: str
    format: str


@dataclass(frozen=True, slots=True)
class Definition:
    """What one served version of a CRD demands of its objects."""

    resource: Resource
    schema: Schema
    rules: Rules
    columns: tuple[Column, ...]
    status_subresource: bool
    selectable: tuple[str, ...]

    def admit(self, obj: Obj, old: Obj | None, unknown: Callable[[list[str]], None] | None = None) -> None:
        """Prune, default and validate an object in place; `unknown` is told the pruned fields before validation.

        Raises:
            ApiError: 422 with one cause a broken field.
        """
        dropped = prune(self.schema, obj)
        if unknown is not None:
            unknown(dropped)
        default(self.schema, obj)
        causes = validate(self.schema, obj)
        if not causes:
            causes = self.rules.check(obj, old)
        if causes:
            raise invalid(self.resource.group, self.resource.kind, name_of(obj), causes)


class Definitions:
    """All definitions in force, by (group, version, plural)."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._by_path: dict[tuple[str, str, str], Definition] = {}

    def find(self, resource: Resource) -> Definition | None:
        """The definition of a custom resource; None for a built-in one."""
        return self._by_path.get((resource.group, resource.version, resource.plural))

    def load(self, crd: Obj) -> None:
        """Serve what a (valid) CRD defines, instead of what it defined before."""
        self.unload(name_of(crd))
        spec = crd["spec"]
        names = spec["names"]
        for version in spec["versions"]:
            if not version.get("served"):
                continue
            schema = dig(version, "schema", "openAPIV3Schema") or {}
            subresources = version.get("subresources") or {}
            resource = Resource(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                subresources=("status",) if "status" in subresources else (),
                generation=True,
                singular=names.get("singular") or names["kind"].lower(),
                crd=name_of(crd),
            )
            columns = tuple(
                Column(
                    entry["name"],
                    entry["type"],
                    entry["jsonPath"],
                    int(entry.get("priority") or 0),
                    entry.get("description") or "",
                    entry.get("format") or "",
                )
                for entry in version.get("additionalPrinterColumns") or ()
            )
            selectable = tuple(str(e["jsonPath"]).lstrip(".") for e in version.get("selectableFields") or ())
            path = (resource.group, resource.version, resource.plural)
            self._by_path[path] = Definition(
                resource, schema, Rules(schema), columns, "status" in subresources, selectable
            )
            self._registry.add(resource)

    def unload(self, name: str) -> None:
        """Stop serving what a CRD defined."""
        self._registry.remove_crd(name)
        self._by_path = {path: entry for path, entry in self._by_path.items() if entry.resource.crd != name}


def prepare(crd: Obj) -> None:
    """Fill in what the API server defaults, in place."""
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = str(names.get("kind") or "")
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")
    spec.setdefault("conversion", {"strategy": "None"})


def establish(crd: Obj, now: float) -> None:
    """Write the status a healthy CRD gets from the controllers of a real server, in place."""
    versions = [v["name"] for v in crd["spec"]["versions"] if v.get("storage")]
    status = crd.get("status") or {}
    stored = list(status.get("storedVersions") or [])
    conditions = status.get("conditions") or [
        {
            "type": "NamesAccepted",
            "status": "True",
            "lastTransitionTime": timestamp(now),
            "reason": "NoConflicts",
            "message": "no conflicts found",
        },
        {
            "type": "Established",
            "status": "True",
            "lastTransitionTime": timestamp(now),
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        },
    ]
    crd["status"] = {
        "conditions": conditions,
        "acceptedNames": crd["spec"]["names"],
        "storedVersions": stored + [version for version in versions if version not in stored],
    }


def check(crd: Obj) -> None:
    """Refuse a definition a real server refuses.

    Raises:
        ApiError: 422 with one cause a broken field.
    """
    causes: list[Cause] = []
    spec = crd["spec"]
    names = spec["names"]
    for field in ("group", "scope"):
        if not spec.get(field):
            causes.append(required(f"spec.{field}"))
    for field in ("plural", "kind"):
        if not names.get(field):
            causes.append(required(f"spec.names.{field}"))
    if spec.get("scope") and spec["scope"] not in ("Cluster", "Namespaced"):
        causes.append(unsupported_value("spec.scope", spec["scope"], ["Cluster", "Namespaced"]))
    expected = f"{names.get('plural')}.{spec.get('group')}"
    if name_of(crd) != expected:
        causes.append(
            invalid_value("metadata.name", name_of(crd), 'must be spec.names.plural+"."+spec.group')
        )
    if dig(spec, "conversion", "strategy") != "None":
        causes.append(
            forbidden_value("spec.conversion.strategy", "the embedded cluster converts no versions")
        )
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        causes.append(
            invalid_value(
                "spec.versions",
                versions and "versions",
                "must have exactly one version marked as storage version",
            )
        )
    for index, version in enumerate(versions):
        where = f"spec.versions[{index}]"
        if any(other.get("name") == version.get("name") for other in versions[:index]):
            causes.append(duplicate_value(f"{where}.name", version.get("name")))
        schema = dig(version, "schema", "openAPIV3Schema")
        if not isinstance(schema, dict):
            causes.append(required(f"{where}.schema.openAPIV3Schema", "schemas are required"))
            continue
        base = f"{where}.schema.openAPIV3Schema"
        if schema.get("type") != "object":
            causes.append(
                invalid_value(f"{base}.type", schema.get("type") or "", "must be object at the root")
            )
        causes += _structural(schema, base)
        causes += [Cause(f"{where}.schema.{c.field}", c.reason, c.message) for c in Rules(schema).problems]
        for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
            at = f"{where}.additionalPrinterColumns[{number}]"
            for field in ("name", "type", "jsonPath"):
                if not column.get(field):
                    causes.append(required(f"{at}.{field}"))
    if causes:
        raise invalid(GROUP, KIND, name_of(crd), causes)


def _structural(schema: Schema, path: str, *, root: bool = True) -> list[Cause]:
    causes: list[Cause] = []
    kind = schema.get("type")
    if kind is None:
        if not schema.get("x-kubernetes-int-or-string") and not schema.get(
            "x-kubernetes-preserve-unknown-fields"
        ):
            causes.append(
                required(f"{path}.type", "must not be empty for specified object fields" if not root else "")
            )
    elif kind not in _TYPES:
        causes.append(unsupported_value(f"{path}.type", kind, list(_TYPES)))
    if schema.get("properties") and schema.get("additionalProperties"):
        detail = "additionalProperties and properties are mutual exclusive"
        causes.append(forbidden_value(f"{path}.additionalProperties", detail))
    if schema.get("additionalProperties") is False:
        causes.append(
            forbidden_value(f"{path}.additionalProperties", "additionalProperties cannot be set to false")
        )
    if schema.get("uniqueItems"):
        causes.append(
            forbidden_value(
                f"{path}.uniqueItems",
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            )
        )
    if "$ref" in schema:
        causes.append(forbidden_value(f"{path}.$ref", "$ref is not supported"))
    if isinstance(schema.get("exclusiveMinimum"), (int, float)) and not isinstance(
        schema.get("exclusiveMinimum"), bool
    ):
        causes.append(
            invalid_value(f"{path}.exclusiveMinimum", schema["exclusiveMinimum"], "must be a boolean")
        )
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except re.error as problem:
            causes.append(
                invalid_value(
                    f"{path}.pattern",
                    schema["pattern"],
                    f"must be a valid regular expression, but isn't: {problem}",
                )
            )
    if "default" in schema and not root:
        causes += [
            Cause(f"{path}.default", c.reason, c.message) for c in validate(schema, schema["default"], "")
        ]
    if kind == "array":
        if not isinstance(schema.get("items"), dict):
            causes.append(required(f"{path}.items", "must be specified"))
        if schema.get("x-kubernetes-list-type") == "map" and not schema.get("x-kubernetes-list-map-keys"):
            causes.append(
                required(
                    f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map"
                )
            )
    children: list[tuple[str, Any]] = [
        (f"{path}.properties[{key}]", child)
        for key, child in (schema.get("properties") or {}).items()
        if not (root and key == "metadata")
    ]
    children += [
        (f"{path}.{key}", schema[key])
        for key in ("items", "additionalProperties")
        if isinstance(schema.get(key), dict)
    ]
    for where, child in children:
        causes += _structural(child, where, root=False)
    return causes
