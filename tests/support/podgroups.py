"""PodGroups of kube-scheduler as an API server serves them with the feature gate on: a CRD of the same fields."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]

GROUP, PLURAL = "scheduling.k8s.io", "podgroups"
POD_GROUPS = f"/apis/{GROUP}/v1alpha2/namespaces/default/{PLURAL}"


def pod_group_crd() -> Body:
    gang = {
        "type": "object",
        "required": ["minCount"],
        "properties": {"minCount": {"type": "integer", "minimum": 1}},
    }
    policy = {"type": "object", "properties": {"basic": {"type": "object"}, "gang": gang}}
    spec = {
        "type": "object",
        "required": ["schedulingPolicy"],
        "properties": {"schedulingPolicy": policy},
        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "field is immutable"}],
    }
    version = {
        "name": "v1alpha2",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{PLURAL}.{GROUP}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for tests"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "PodGroup", "plural": PLURAL, "singular": "podgroup"},
            "versions": [version],
        },
    }


def pod_group(name: str, *, gang: int | None) -> Body:
    """Of a gang of so many pods, or of pods that have nothing to do with each other."""
    policy: Body = {"basic": {}} if gang is None else {"gang": {"minCount": gang}}
    return {
        "apiVersion": f"{GROUP}/v1alpha2",
        "kind": "PodGroup",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"schedulingPolicy": policy},
    }
