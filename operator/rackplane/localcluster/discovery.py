"""What a client asks before it asks anything: versions, groups, resources, OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .resources import ALL_VERBS, STATUS_VERBS, Registry, Resource
from .service import Service

#: The Kubernetes version whose behaviour the server imitates.
VERSION = "v1.36.0"
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Answer:
    """A discovery document and its content type."""

    payload: Any
    content_type: str = "application/json"


def answer(service: Service, path: str, accept: str) -> Answer | None:
    """The document at a discovery path; None when the path is no such path or names an unknown group."""
    registry = service.registry
    parts = [part for part in path.split("/") if part]
    groups = registry.groups()
    match parts:
        case ["version"]:
            return Answer(_version())
        case ["api"] | ["apis"] if "as=APIGroupDiscoveryList" in accept and "v=v2;" in f"{accept};".replace(
            ",", ";"
        ):
            return Answer(_aggregated(registry, core=parts == ["api"]), _AGGREGATED)
        case ["api"]:
            address = [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]
            return Answer({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": address})
        case ["apis"]:
            listed = [_group(name, versions) for name, versions in groups.items() if name]
            return Answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})
        case ["api", "v1"]:
            return Answer(_resources(registry, "", "v1"))
        case ["apis", group] if group in groups:
            return Answer({"kind": "APIGroup", "apiVersion": "v1", **_group(group, groups[group])})
        case ["apis", group, version] if version in groups.get(group, ()):
            return Answer(_resources(registry, group, version))
        case ["openapi", "v3"]:
            return Answer(_openapi_index(groups))
        case ["openapi", "v3", "api", "v1"]:
            return Answer(_openapi(service, "", "v1"))
        case ["openapi", "v3", "apis", group, version] if version in groups.get(group, ()):
            return Answer(_openapi(service, group, version))
        case ["openapi", "v2"]:
            document = _openapi_v2(service)
            return Answer(document)
    return None


def _version() -> dict[str, str]:
    major, minor, _ = VERSION.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"{VERSION}-rackplane",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": minor,
    }


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _subresource_kind(resource: Resource, name: str) -> tuple[str, str, str, tuple[str, ...]]:
    """Group, version, kind and verbs of a subresource."""
    if name == "binding":
        return "", "v1", "Binding", ("create",)
    if name == "eviction":
        return "policy", "v1", "Eviction", ("create",)
    if name == "finalize":
        return resource.group, resource.version, resource.kind, ("update",)
    return resource.group, resource.version, resource.kind, STATUS_VERBS


def _resources(registry: Registry, group: str, version: str) -> dict[str, Any]:
    listed: list[dict[str, Any]] = []
    for resource in registry:
        if (resource.group, resource.version) != (group, version):
            continue
        entry: dict[str, Any] = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(ALL_VERBS),
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        listed.append(entry)
        for name in resource.subresources:
            sub_group, sub_version, kind, verbs = _subresource_kind(resource, name)
            part: dict[str, Any] = {
                "name": f"{resource.plural}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": list(verbs),
            }
            if sub_group != group:
                part |= {"group": sub_group, "version": sub_version}
            listed.append(part)
    version_text = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version_text, "resources": listed}


def _aggregated(registry: Registry, *, core: bool) -> dict[str, Any]:
    items = []
    for group, versions in registry.groups().items():
        if (group == "") != core:
            continue
        listed = []
        for version in versions:
            entries = [r for r in registry if (r.group, r.version) == (group, version)]
            resources = [_aggregated_resource(entry) for entry in entries]
            listed.append({"version": version, "resources": resources, "freshness": "Current"})
        items.append({"metadata": {"name": group} if group else {}, "versions": listed})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(ALL_VERBS),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    parts = []
    for name in resource.subresources:
        group, version, sub_kind, verbs = _subresource_kind(resource, name)
        response = {"group": group, "version": version, "kind": sub_kind}
        parts.append({"subresource": name, "responseKind": response, "verbs": list(verbs)})
    if parts:
        entry["subresources"] = parts
    return entry


# -- OpenAPI: enough for kubectl to know that the server validates, and for `kubectl explain` of custom resources


def _openapi_index(groups: dict[str, list[str]]) -> dict[str, Any]:
    paths = {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}}
    for group, versions in groups.items():
        for version in versions if group else ():
            paths[f"apis/{group}/{version}"] = {"serverRelativeURL": f"/openapi/v3/apis/{group}/{version}"}
    return {"paths": paths}


def _schema_name(resource: Resource) -> str:
    return f"{'.'.join(reversed(resource.group.split('.'))) or 'io.k8s.api.core'}.{resource.version}.{resource.kind}"


def _schema(service: Service, resource: Resource) -> dict[str, Any]:
    definition = service.definitions.find(resource)
    body: dict[str, Any] = dict(definition.schema) if definition else {"type": "object"}
    if not definition:
        body["x-kubernetes-preserve-unknown-fields"] = True
    body["x-kubernetes-group-version-kind"] = [
        {"group": resource.group, "version": resource.version, "kind": resource.kind}
    ]
    return body


def _paths(resource: Resource) -> dict[str, Any]:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    if resource.namespaced:
        root += "/namespaces/{namespace}"
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}

    def operation(action: str) -> dict[str, Any]:
        return {
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
        }

    return {
        f"{root}/{resource.plural}": {"get": operation("list"), "post": operation("post")},
        f"{root}/{resource.plural}/{{name}}": {
            "get": operation("get"),
            "put": operation("put"),
            "patch": operation("patch"),
            "delete": operation("delete"),
        },
    }


def _openapi(service: Service, group: str, version: str) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for resource in service.registry:
        if (resource.group, resource.version) == (group, version):
            paths |= _paths(resource)
            schemas[_schema_name(resource)] = _schema(service, resource)
    info = {"title": "Rackplane embedded cluster", "version": VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _openapi_v2(service: Service) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for resource in service.registry:
        definitions[_schema_name(resource)] = _schema(service, resource)
        paths |= _paths(resource)
    info = {"title": "Rackplane embedded cluster", "version": VERSION}
    return {"swagger": "2.0", "info": info, "paths": paths, "definitions": definitions}
