"""OpenAPI v3 as kubectl reads it: schemas for `explain`, `apply` and `diff`; of paths, what an operation accepts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from . import builtin_schemas
from .builtin_schemas import referred, schemas
from .resources import NAMESPACES, Registry, Resource
from .service import Service

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_WRITING = ("dryRun", "fieldManager", "fieldValidation")


def index(service: Service) -> dict[str, Any]:
    """Which documents there are; the hash in an address changes with the document, so clients may keep it."""
    paths = {}
    for group, versions in service.registry.groups().items():
        for version in versions:
            name = f"apis/{group}/{version}" if group else f"api/{version}"
            paths[name] = {
                "serverRelativeURL": f"/openapi/v3/{name}?hash={fingerprint(service, group, version)}"
            }
    return {"paths": dict(sorted(paths.items()))}


def fingerprint(service: Service, group: str, version: str) -> str:
    """The hash of a document, in the form of the addresses of the index."""
    resources = tuple(_entries(service.registry, group, version))
    if all(not resource.crd for resource in resources):
        return _builtin_fingerprint(resources)
    return _hash(document(service, group, version))


@cache
def _builtin_fingerprint(resources: tuple[Resource, ...]) -> str:
    return _hash(_builtin_document(resources))


def _hash(document: dict[str, Any]) -> str:
    return hashlib.sha512(json.dumps(document, sort_keys=True).encode()).hexdigest().upper()


def document(service: Service, group: str, version: str) -> dict[str, Any]:
    """The OpenAPI document of a served group and version. Not to be changed."""
    resources = tuple(_entries(service.registry, group, version))
    if all(not resource.crd for resource in resources):
        return _builtin_document(resources)
    own: dict[str, Any] = {}
    for resource in resources:
        definition = service.definitions.find(resource)
        name = _custom_name(resource)
        own[name] = _custom(resource, definition.schema if definition else {})
        own[f"{name}List"] = _custom_list(resource, name)
    return _assembled(resources, own, {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"})


@cache
def _builtin_document(resources: tuple[Resource, ...]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    for resource in resources:
        for kind in (resource.kind, resource.list_kind, *_sent_kinds(resource)):
            name = builtin_schemas.schema_name(resource.group, resource.version, kind)
            if name is not None:
                own[name] = schemas()[name]
    return _assembled(resources, own, {"title": "Kubernetes", "version": "1.36"})


def _sent_kinds(resource: Resource) -> tuple[str, ...]:
    return ("Binding",) if "binding" in resource.subresources else ()


def _entries(registry: Registry, group: str, version: str) -> Iterable[Resource]:
    return (resource for resource in registry if (resource.group, resource.version) == (group, version))


def _assembled(resources: Iterable[Resource], own: dict[str, Any], info: dict[str, str]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for resource in resources:
        paths |= _paths(resource)
    shown: dict[str, Any] = {}
    waiting = [*own, *(_META + kind for kind in ("DeleteOptions", "Status"))]
    while waiting:
        name = waiting.pop()
        if name not in shown:
            shown[name] = own[name] if name in own else schemas()[name]
            waiting += _references(shown[name])
    return {
        "openapi": "3.0.0",
        "info": info,
        "paths": paths,
        "components": {"schemas": dict(sorted(shown.items()))},
    }


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for part in schema for name in _references(part)]
    if not isinstance(schema, dict):
        return []
    if name := referred(schema):
        return [name]
    return [name for part in schema.values() for name in _references(part)]


# -- custom resources


def _custom_name(resource: Resource) -> str:
    return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"


def _kind_of(resource: Resource, kind: str) -> list[dict[str, str]]:
    return [{"group": resource.group, "kind": kind, "version": resource.version}]


def _type_meta() -> dict[str, Any]:
    """`apiVersion` and `kind`, as every kind describes them."""
    known = schemas()["io.k8s.api.core.v1.Pod"]["properties"]
    return {name: dict(known[name]) for name in ("apiVersion", "kind")}


def _metadata(schema: str, anchor: str, what: str) -> dict[str, Any]:
    return {
        "description": f"Standard {what}. More info: {_CONVENTIONS}#{anchor}",
        "allOf": [{"$ref": f"#/components/schemas/{_META}{schema}"}],
    }


def _custom(resource: Resource, schema: dict[str, Any]) -> dict[str, Any]:
    properties = {
        **schema.get("properties", {}),
        **_type_meta(),
        "metadata": _metadata("ObjectMeta", "metadata", "object's metadata"),
    }
    return {
        **schema,
        "type": "object",
        "properties": properties,
        "x-kubernetes-group-version-kind": _kind_of(resource, resource.kind),
    }


def _custom_list(resource: Resource, name: str) -> dict[str, Any]:
    items = {
        "description": f"List of {resource.plural}. More info: {_CONVENTIONS}",
        "type": "array",
        "items": {"$ref": f"#/components/schemas/{name}"},
    }
    return {
        "description": f"{resource.list_kind} is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            **_type_meta(),
            "items": items,
            "metadata": _metadata("ListMeta", "types-kinds", "list metadata"),
        },
        "x-kubernetes-group-version-kind": _kind_of(resource, resource.list_kind),
    }


# -- paths


def _paths(resource: Resource) -> dict[str, Any]:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    across = f"{root}/{resource.plural}"
    collection = f"{root}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else across
    one = f"{collection}/{{name}}"
    paths: dict[str, Any] = {across: {"get": _operation(resource, "list")}} if collection != across else {}
    paths[collection] = {
        "get": _operation(resource, "list"),
        "post": _operation(resource, "post", *_WRITING),
    }
    if resource.key != NAMESPACES:
        options = () if resource.crd else ("dryRun",)
        paths[collection]["delete"] = _operation(resource, "deletecollection", *options)
    paths[one] = {**_object_operations(resource), "delete": _operation(resource, "delete", "dryRun")}
    for name in resource.subresources:
        if name == "binding":
            operations = {"post": _operation(resource, "post", *_WRITING, kind=("", "v1", "Binding"))}
        elif name == "eviction":
            operations = {"post": _operation(resource, "post", *_WRITING, kind=("policy", "v1", "Eviction"))}
        elif name == "finalize":
            operations = {"put": _operation(resource, "put", *_WRITING)}
        else:
            operations = _object_operations(resource)
        paths[f"{one}/{name}"] = operations
    return paths


def _object_operations(resource: Resource) -> dict[str, Any]:
    return {
        "get": _operation(resource, "get"),
        "put": _operation(resource, "put", *_WRITING),
        "patch": _operation(resource, "patch", *_WRITING, "force"),
    }


def _operation(
    resource: Resource, action: str, *parameters: str, kind: tuple[str, str, str] | None = None
) -> dict[str, Any]:
    group, version, name = kind or (resource.group, resource.version, resource.kind)
    return {
        "parameters": [
            {
                "name": parameter,
                "in": "query",
                "schema": {"type": "boolean" if parameter == "force" else "string", "uniqueItems": True},
            }
            for parameter in parameters
        ],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": name},
    }
