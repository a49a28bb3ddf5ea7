"""Policies, bindings and the objects they are about, as scenarios build them.

Every policy is bound to the scenario's namespace alone. A new policy takes about a second until it is in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from rackplane.api.admission import shipped_policies
from tests.conformance.steps import Ask, post

GROUP = "/apis/admissionregistration.k8s.io/v1"
PLURALS = {
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
PODS = "/api/v1/namespaces/${ns}/pods"
JOBS = "/apis/batch/v1/namespaces/${ns}/jobs"
MAPS = "/api/v1/namespaces/${ns}/configmaps"
HERE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "${ns}"}}}
DRY = {"dryRun": "All"}
OPERATOR: dict[str, Any] = {
    "user": "system:serviceaccount:rackplane-system:rackplane",
    "groups": ("system:masters",),
}
SOMEBODY: dict[str, Any] = {"user": "alice", "groups": ("system:masters",)}
QUEUED = {"rackplane.dev/queue": "research"}
OUR_GATE = {"name": "rackplane.dev/placement"}
FOREIGN_GATE = {"name": "example.com/quota"}
OUR_TOLERATION = {"key": "rackplane.dev/managed", "operator": "Exists", "effect": "NoSchedule"}


def path_of(obj: Mapping[str, Any]) -> str:
    return f"{GROUP}/{PLURALS[obj['kind']]}"


def paths(objects: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(f"{path_of(obj)}/{obj['metadata']['name']}" for obj in objects)


def ours(*suffixes: str) -> list[dict[str, Any]]:
    """Policies of the chart and their bindings, for this namespace."""
    found = []
    for shipped in shipped_policies():
        name = shipped["metadata"]["name"].removeprefix("rackplane-")
        if name not in suffixes:
            continue
        obj = deepcopy(shipped)
        obj["metadata"]["name"] = f"${{ns}}-{name}"
        if obj["kind"].endswith("Binding"):
            obj["spec"] |= {"policyName": f"${{ns}}-{name}", "matchResources": HERE}
        found.append(obj)
    return found


def installed(objects: list[dict[str, Any]], **more: Any) -> tuple[Ask, ...]:
    return tuple(post(path_of(obj), obj, **{"view": "nothing", **more}) for obj in objects)


def pod(name: str, labels: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "train:1"}]
    return {
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {"containers": containers, **spec},
    }


def job(
    name: str, labels: Mapping[str, str] | None = None, template: Mapping[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    containers = [{"name": "main", "image": "train:1"}]
    body = {"restartPolicy": "Never", "containers": containers, **(template or {}).get("spec", {})}
    return {
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {"template": {**(template or {}), "spec": body}, **spec},
    }


def validating(
    name: str,
    validations: list[dict[str, Any]],
    *,
    actions: tuple[str, ...] = ("Deny",),
    resources: tuple[str, ...] = ("configmaps",),
    operations: tuple[str, ...] = ("CREATE", "UPDATE"),
    constraints: Mapping[str, Any] | None = None,
    **spec: Any,
) -> list[dict[str, Any]]:
    """A policy about objects of the core group, and its binding."""
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": list(operations),
        "resources": list(resources),
    }
    return _bound(
        "Validating",
        name,
        {
            "matchConstraints": {"resourceRules": [rule], **(constraints or {})},
            "validations": validations,
            **spec,
        },
        {"validationActions": list(actions)},
    )


def mutating(
    name: str, expressions: list[str], *, resources: tuple[str, ...] = ("configmaps",), **spec: Any
) -> list[dict[str, Any]]:
    """A policy that changes new objects of the core group, and its binding."""
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": list(resources),
    }
    mutations = [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": text}}
        for text in expressions
    ]
    return _bound(
        "Mutating",
        name,
        {
            "matchConstraints": {"resourceRules": [rule]},
            "mutations": mutations,
            "reinvocationPolicy": "Never",
            **spec,
        },
        {},
    )


def _bound(kind: str, name: str, spec: dict[str, Any], more: dict[str, Any]) -> list[dict[str, Any]]:
    named = {"name": f"${{ns}}-{name}"}
    version = "admissionregistration.k8s.io/v1"
    binding = {"policyName": named["name"], "matchResources": HERE, **more}
    return [
        {"apiVersion": version, "kind": f"{kind}AdmissionPolicy", "metadata": named, "spec": spec},
        {"apiVersion": version, "kind": f"{kind}AdmissionPolicyBinding", "metadata": named, "spec": binding},
    ]


def config(name: str, data: Mapping[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, **({"data": dict(data)} if data else {})}


def refused_once_in_force(name: str, data: Mapping[str, str], code: int = 422) -> Ask:
    return post(MAPS, config(name, data), query=DRY, until={"code": code}, view="nothing")
