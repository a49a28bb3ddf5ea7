"""CustomResourceDefinitions: from the definition to served resources, schemas and printer columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .crdchecks import problems
from .errors import Cause, bad_request, not_implemented
from .jsonpath import Unsupported, steps
from .objects import Obj, clone, dig, meta, name_of
from .resources import Registry, Resource
from .schemas.embedded import resources
from .schemas.lists import duplicates
from .schemas.objectmeta import finalizer_warnings, unknown_fields, wrong_type
from .schemas.openapi import unrecognized_formats
from .schemas.pruning import default, drop_nulls, prune
from .schemas.rules import Rules
from .schemas.validation import ABSENT, validate
from .schemas.values import NOWHERE, Schema, mentions

#: Causes after which the server runs no CEL rules.
_BLOCKING = frozenset(
    {
        *("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany"),
        "FieldValueTypeInvalid",
    }
)
_UNCHECKED = Cause(
    NOWHERE,
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing "
    "errors to complete validation",
)
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
_AGE_DESCRIPTION = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed "
    "to be set in happens-before order across separate operations. Clients may not set this value. It is represented "
    "in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)


class Reports(Protocol):
    """Who is told what a client should know of its object, other than why it is refused."""

    def __call__(self, paths: list[str]) -> None:
        """Fields that no schema knows were dropped.

        Raises:
            ApiError: 400, the client wants such an object refused.
        """

    def warn(self, text: str) -> None:
        """Add a warning to the answer."""


@dataclass(frozen=True, slots=True)
class Column:
    """One printer column."""

    name: str
    type: str
    json_path: str
    priority: int
    description: str
    format: str


@dataclass(frozen=True, slots=True)
class Definition:
    """What one served version of a CRD demands of its objects.

    `warning`: the version is deprecated, and so told. `since`: the revision of the CRD that says all this.
    `storage` is the version that is stored, `schemas` those of all versions. `embeds` and `keyed` say whether the
    schema has embedded resources, and lists that are maps or sets.
    """

    resource: Resource
    schema: Schema
    rules: Rules
    columns: tuple[Column, ...]
    status_subresource: bool
    selectable: tuple[str, ...]
    warning: str = ""
    since: int = 0
    storage: str = ""
    embeds: bool = False
    keyed: bool = False
    schemas: Mapping[str, Schema] = field(default_factory=dict)

    def shown(self, obj: Obj) -> Obj:
        """A stored object in this version.

        One older than the definition gets the defaults that its stored version has since; what this version does not
        know is left out. As on a real server, the defaults of this version do not come in if another one is stored.
        """
        version = self.resource.api_version
        old = int(meta(obj).get("resourceVersion") or self.since) < self.since
        if not old and obj.get("apiVersion") == version:
            return obj
        fresh: Obj = clone(obj)
        if old:
            _take_in(self.schemas.get(_version_of(obj), self.schema), fresh)
        if obj.get("apiVersion") != version:
            fresh["apiVersion"] = version
            prune(self.schema, fresh)
        return fresh

    def to_storage(self, obj: Obj) -> None:
        """Make an object of this version one of the version that is stored, in place."""
        if self.storage != self.resource.version:
            obj["apiVersion"] = f"{self.resource.group}/{self.storage}"
            prune(self.schemas[self.storage], obj)

    def decode(self, obj: Obj, reports: Reports | None = None) -> None:
        """Take an object in, in place: unknown fields go, as do nulls where none may be; defaults come.

        Raises:
            ApiError: 400, its metadata has a value of a wrong type.
        """
        metadata = obj.get("metadata")
        if problem := wrong_type(metadata):
            kind = self.resource.kind
            raise bad_request(
                f'{kind} in version "{self.resource.version}" cannot be handled as a {kind}: {problem}'
            )
        dropped = unknown_fields(metadata) + _take_in(self.schema, obj)
        if reports is not None:
            reports(dropped)

    def problems(
        self, obj: Obj, old: Obj | None, *, subresource: str = "", reports: Reports | None = None
    ) -> list[Cause]:
        """What is wrong with an object, or with replacing `old` by it. Metadata is checked elsewhere."""
        schema = self.schema
        if reports is not None:
            had = meta(old).get("finalizers") or () if old else ()
            for text in finalizer_warnings([f for f in meta(obj).get("finalizers") or () if f not in had]):
                reports.warn(text)
        if subresource == "status":
            causes = self._status_problems(obj, old)
        else:
            causes = validate(schema, obj, old=ABSENT if old is None else old)
            if self.embeds:
                causes += resources(schema, obj)
        if (
            self.keyed
            and (twice := list(duplicates(schema, obj)))
            and (old is None or not any(duplicates(schema, old)))
        ):
            causes += twice
        if any(cause.reason in _BLOCKING for cause in causes):
            return [*causes, _UNCHECKED] if self.rules.exist else causes
        return causes + self.rules.check(obj, old, warn=reports.warn if reports else None)

    def _status_problems(self, obj: Obj, old: Obj | None) -> list[Cause]:
        schema = (self.schema.get("properties") or {}).get("status")
        if schema is None or "status" not in obj:
            return []
        return validate(schema, obj["status"], old=(old or {}).get("status"), base="status")


def _take_in(schema: Schema, obj: Obj) -> list[str]:
    dropped = prune(schema, obj)
    drop_nulls(schema, obj)
    default(schema, obj)
    return dropped


def _version_of(obj: Obj) -> str:
    return str(obj.get("apiVersion") or "").rpartition("/")[2]


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
        # Short names and categories are served as accepted; without an accepted kind nothing is.
        names = {
            **spec["names"],
            **{k: dig(crd, "status", "acceptedNames", k) for k in ("shortNames", "singular")},
        }
        if not any(
            c["type"] == "Established" and c["status"] == "True"
            for c in dig(crd, "status", "conditions") or ()
        ):
            return
        schemas = {entry["name"]: dig(entry, "schema", "openAPIV3Schema") or {} for entry in spec["versions"]}
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
                singular=names.get("singular") or "",
                crd=name_of(crd),
                storage_version=next(v["name"] for v in spec["versions"] if v.get("storage")),
            )
            selectable = tuple(str(e["jsonPath"]).lstrip(".") for e in version.get("selectableFields") or ())
            path = (resource.group, resource.version, resource.plural)
            self._by_path[path] = Definition(
                resource,
                schema,
                Rules(schema),
                _columns(version),
                "status" in subresources,
                selectable,
                _deprecation(version, resource),
                int(meta(crd).get("resourceVersion") or 0),
                next(entry["name"] for entry in spec["versions"] if entry.get("storage")),
                mentions(schema, "x-kubernetes-embedded-resource"),
                mentions(schema, "x-kubernetes-list-type"),
                schemas,
            )
            self._registry.add(resource)

    def take_over(self, other: Definitions) -> None:
        """Serve what others serve."""
        self._by_path = dict(other._by_path)
        for entry in self._by_path.values():
            self._registry.add(entry.resource)

    def unload(self, name: str) -> None:
        """Stop serving what a CRD defined."""
        self._registry.remove_crd(name)
        self._by_path = {path: entry for path, entry in self._by_path.items() if entry.resource.crd != name}


def _columns(version: Obj) -> tuple[Column, ...]:
    entries = version.get("additionalPrinterColumns") or [{**_AGE, "description": _AGE_DESCRIPTION}]
    return tuple(
        Column(
            entry["name"],
            entry["type"],
            entry["jsonPath"],
            int(entry.get("priority") or 0),
            entry.get("description")
            or f"Custom resource definition column (in JSONPath format): {entry['jsonPath']}",
            entry.get("format") or "",
        )
        for entry in entries
    )


def _deprecation(version: Obj, resource: Resource) -> str:
    if not version.get("deprecated"):
        return ""
    return version.get("deprecationWarning") or f"{resource.api_version} {resource.kind} is deprecated"


def decode(crd: Obj) -> None:
    """Fill in what the API server defaults, in place."""
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = str(names.get("kind") or "")
    if not names.get("singular"):
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    if not spec.get("conversion"):
        spec["conversion"] = {"strategy": "None"}


def prepare(crd: Obj, before: Obj | None, reports: Reports | None) -> list[Cause]:
    """Give a definition its status, in place, and say what is wrong with it.

    Raises:
        ApiError: 501, it uses what the embedded cluster lacks.
    """
    decode(crd)
    kept: dict[str, Any] = clone(dig(before, "status")) if before else {}
    stored = list(kept.get("storedVersions") or [])
    stored += [
        version["name"]
        for version in crd["spec"].get("versions") or ()
        if version.get("storage") and version.get("name") not in stored
    ][:1]
    empty = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}}
    crd["status"] = {**(kept or empty), "storedVersions": stored}
    causes = problems(crd, before)
    if not causes:
        for entry in crd["spec"]["versions"]:
            _understood(entry)
        if any("scale" in (version.get("subresources") or {}) for version in crd["spec"]["versions"]):
            raise not_implemented("the scale subresource of custom resources")
        if reports is not None:
            known = _unrecognized(before) if before else set()
            for text in sorted(_unrecognized(crd) - known):
                reports.warn(f'unrecognized format "{text}"')
    return causes


def _understood(version: Obj) -> None:
    paths = [column["jsonPath"] for column in version.get("additionalPrinterColumns") or ()]
    for path in [*paths, *(entry["jsonPath"] for entry in version.get("selectableFields") or ())]:
        try:
            steps(path)
        except Unsupported as problem:
            raise not_implemented(f"the JSONPath {path}") from problem


def _unrecognized(crd: Obj) -> set[str]:
    schemas = (dig(version, "schema", "openAPIV3Schema") for version in crd["spec"]["versions"])
    return {text for schema in schemas if schema for text in unrecognized_formats(schema)}
