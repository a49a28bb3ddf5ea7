"""What a client asks before it asks anything else: the version, the groups, the resources of each."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from .resources import NAMESPACES, STATUS_VERBS, Registry, Resource

#: The Kubernetes version whose behaviour the server imitates.
VERSION = "v1.36.2"
#: Clients of the version before are served as well.
_OLDEST_MINOR = "35"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
#: Groups built in, by the priority a real server gives them; those of CRDs follow by name.
_GROUP_ORDER = (
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
)
#: Built-in kinds that are stored in another group's version than they are served in.
_STORED_AS = {
    ("events.k8s.io", "Event"): ("", "v1"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("apiextensions.k8s.io", "v1beta1"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): ("admissionregistration.k8s.io", "v1beta1"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): (
        "admissionregistration.k8s.io",
        "v1beta1",
    ),
}


def document(registry: Registry, parts: list[str], *, aggregated: bool) -> Any:
    """The document at a discovery path split at its slashes.

    None when the path is no such path, or names a group or version that is not served. `aggregated` asks for the form
    that holds all groups at once, which exists at `/api` and `/apis` only.
    """
    match parts:
        case ["version"]:
            return _version()
        case ["api"] | ["apis"] if aggregated:
            return _aggregated(registry, core=parts == ["api"])
        case ["api"]:
            address = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": address}
        case ["apis"]:
            listed = [_group(name, versions) for name, versions in _groups(registry) if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
        case ["api", "v1"]:
            # The one document of its kind without an apiVersion.
            return {
                "kind": "APIResourceList",
                "groupVersion": "v1",
                "resources": _resources(registry, "", "v1"),
            }
        case ["apis", group] if group in registry.groups():
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, registry.groups()[group])}
        case ["apis", group, version] if version in registry.groups().get(group, ()):
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{group}/{version}",
                "resources": _resources(registry, group, version),
            }
    return None


def _version() -> dict[str, str]:
    major, minor, _ = VERSION.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": _OLDEST_MINOR,
        "gitVersion": f"{VERSION}-rackplane",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }


def _groups(registry: Registry) -> list[tuple[str, list[str]]]:
    order = {group: place for place, group in enumerate(_GROUP_ORDER)}
    return sorted(registry.groups().items(), key=lambda entry: (order.get(entry[0], len(order)), entry[0]))


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _verbs(resource: Resource) -> tuple[str, ...]:
    if resource.crd:
        return _CUSTOM_VERBS
    if resource.key == NAMESPACES:
        return tuple(verb for verb in _VERBS if verb != "deletecollection")
    return _VERBS


def _subresource(resource: Resource, name: str) -> tuple[str, str, str, tuple[str, ...]]:
    """Group and version where they are not the resource's, kind, and verbs of a subresource."""
    if name == "binding":
        return "", "", "Binding", ("create",)
    if name == "eviction":
        return "policy", "v1", "Eviction", ("create",)
    if name == "finalize":
        return "", "", resource.kind, ("update",)
    if name == "scale":
        return "autoscaling", "v1", "Scale", STATUS_VERBS
    return "", "", resource.kind, STATUS_VERBS


def _named(resource: Resource) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    if resource.short_names:
        names["shortNames"] = list(resource.short_names)
    if resource.categories:
        names["categories"] = list(resource.categories)
    return names


def _storage_version_hash(resource: Resource) -> str:
    served = (resource.group, resource.storage_version or resource.version)
    group, version = _STORED_AS.get((resource.group, resource.kind), served)
    name = f"{group}/{version}/{resource.kind}"
    return base64.b64encode(hashlib.sha256(name.encode()).digest()[:8]).decode()


def _resources(registry: Registry, group: str, version: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    for resource in registry:
        if (resource.group, resource.version) != (group, version):
            continue
        listed.append(
            {
                "name": resource.plural,
                "singularName": resource.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": list(_verbs(resource)),
                **_named(resource),
                "storageVersionHash": _storage_version_hash(resource),
            }
        )
        for name in sorted(resource.subresources):
            sub_group, sub_version, kind, verbs = _subresource(resource, name)
            part: dict[str, Any] = {
                "name": f"{resource.plural}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
            }
            if sub_group:
                part |= {"group": sub_group, "version": sub_version}
            listed.append({**part, "kind": kind, "verbs": list(verbs)})
    return listed


def _aggregated(registry: Registry, *, core: bool) -> dict[str, Any]:
    items = []
    for group, versions in _groups(registry):
        if (group == "") != core:
            continue
        listed = [
            {
                "version": version,
                "resources": [
                    _aggregated_resource(entry)
                    for entry in registry
                    if (entry.group, entry.version) == (group, version)
                ],
                "freshness": "Current",
            }
            for version in versions
        ]
        items.append({"metadata": {"name": group} if group else {}, "versions": listed})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    # Built-in kinds are said to be of their own group and version by leaving both empty; custom ones are spelled out.
    own = (resource.group, resource.version) if resource.crd else ("", "")

    def kind(group: str, version: str, name: str) -> dict[str, str]:
        group, version = (group, version) if group else own
        return {"group": group, "version": version, "kind": name}

    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": kind("", "", resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(_verbs(resource)),
        **_named(resource),
    }
    parts = []
    for name in sorted(resource.subresources):
        group, version, sub_kind, verbs = _subresource(resource, name)
        parts.append(
            {"subresource": name, "responseKind": kind(group, version, sub_kind), "verbs": list(verbs)}
        )
    if parts:
        entry["subresources"] = parts
    return entry
