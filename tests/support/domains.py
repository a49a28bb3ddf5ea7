"""NVIDIA's DRA driver for GPUs, as far as ComputeDomains go: a small CRD of the documented shape, and what its
controller and its node plugin document of claim templates, node labels and deletion.

The embedded scheduler allocates no claims: pods with a channel are bound here, one on a node, where they ask to be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.harness import Harness

Body = dict[str, Any]

UID_LABEL = "resource.nvidia.com/computeDomain"
GROUP, PLURAL = "resource.nvidia.com", "computedomains"
DOMAINS = f"/apis/{GROUP}/v1beta1/namespaces/default/{PLURAL}"
TEMPLATES = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaimtemplates"


def domain_crd() -> Body:
    spec = {
        "type": "object",
        "required": ["channel"],
        "x-kubernetes-validations": [
            {"rule": "self == oldSelf", "message": "A computeDomain.spec is immutable"}
        ],
        "properties": {
            "numNodes": {"type": "integer", "minimum": 0, "default": 0},
            "channel": {
                "type": "object",
                "required": ["resourceClaimTemplate"],
                "properties": {
                    "allocationMode": {"type": "string", "enum": ["All", "Single"], "default": "Single"},
                    "resourceClaimTemplate": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}},
                    },
                },
            },
        },
    }
    schema = {
        "type": "object",
        "properties": {
            "spec": spec,
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    version = {
        "name": "v1beta1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "ComputeDomain", "plural": PLURAL, "singular": "computedomain"},
            "versions": [version],
        },
    }


def domain(name: str, template: str) -> Body:
    """As a user makes one."""
    return {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "ComputeDomain",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"numNodes": 0, "channel": {"resourceClaimTemplate": {"name": template}}},
    }


def driver(h: Harness) -> bool:
    """One look at every ComputeDomain: its finalizer, its claim template, the labels of the nodes that its pods are on;
    of one that is deleted all that is taken away."""
    busy = False
    for each in h.cluster.store.items((GROUP, PLURAL)):
        meta = each["metadata"]
        path, uid = f"{DOMAINS}/{meta['name']}", meta["uid"]
        template = each["spec"]["channel"]["resourceClaimTemplate"]["name"]
        found = h.cluster.store.get(("resource.k8s.io", "resourceclaimtemplates"), "default", template)
        if meta.get("deletionTimestamp"):
            if found is not None:
                h.request("DELETE", f"{TEMPLATES}/{template}")
            _label(h, uid, ())
            h.patch(path, {"metadata": {"finalizers": None}})
            busy = True
            continue
        if UID_LABEL not in meta.get("finalizers", []):
            h.patch(path, {"metadata": {"finalizers": [UID_LABEL]}})
            busy = True
        if found is None:
            h.request("POST", TEMPLATES, claim_template(template, **{UID_LABEL: uid}))
            busy = True
        using = [pod for pod in h.pods() if _uses(pod, template)]
        taken = {pod["spec"]["nodeName"] for pod in using if pod["spec"].get("nodeName")}
        for pod in using:
            node = pod["spec"].get("nodeSelector", {}).get("kubernetes.io/hostname")
            if (
                not pod["spec"].get("nodeName")
                and not pod["spec"].get("schedulingGates")
                and node not in taken
            ):
                taken.add(node)
                name = pod["metadata"]["name"]
                bound = {"metadata": {"name": name}, "target": {"kind": "Node", "name": node}}
                h.request("POST", f"/api/v1/namespaces/default/pods/{name}/binding", bound)
                busy = True
        busy |= _label(h, uid, taken)
    return busy


def claim_template(name: str, **labels: str) -> Body:
    request = {"name": "channel", "exactly": {"deviceClassName": "compute-domain-default-channel.nvidia.com"}}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"spec": {"devices": {"requests": [request]}}},
    }


def _uses(pod: Body, template: str) -> bool:
    claims = pod["spec"].get("resourceClaims", [])
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not ended and any(c.get("resourceClaimTemplateName") == template for c in claims)


def _label(h: Harness, uid: str, nodes: Iterable[str]) -> bool:
    """These nodes and no other have the label; whether that was news."""
    wanted, busy = set(nodes), False
    for node in h.cluster.store.items(("", "nodes")):
        name, has = node["metadata"]["name"], node["metadata"]["labels"].get(UID_LABEL) == uid
        if has != (name in wanted):
            h.patch(f"/api/v1/nodes/{name}", {"metadata": {"labels": {UID_LABEL: None if has else uid}}})
            busy = True
    return busy
