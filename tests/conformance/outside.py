"""What the embedded cluster leaves out: each answers 501 with a sentence that says what is missing.

docs/embedded-cluster.md lists the same, in the same words; `test_outside.py` holds both to this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .steps import STRATEGIC, Ask, get, patch, post

PODS = "/api/v1/namespaces/${ns}/pods"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PROTOBUF = "application/vnd.kubernetes.protobuf"


def _pod(**spec: Any) -> Ask:
    containers = [{"name": "main", "image": "train:1"}]
    return post(PODS, {"metadata": {"name": "p"}, "spec": {"containers": containers, **spec}})


def _definition(schema: Mapping[str, Any], spec: Mapping[str, Any] | None = None, **version: Any) -> Ask:
    served = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    body = {
        "group": "example.org",
        "scope": "Namespaced",
        "names": names,
        "versions": [served],
        **(spec or {}),
    }
    return post(DEFINITIONS, {"metadata": {"name": "things.example.org"}, "spec": body})


def _schema(**field: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": field}}


def _rule(rule: str) -> Ask:
    return _definition(_schema(type="string", **{"x-kubernetes-validations": [{"rule": rule}]}))


def _mutating(mutation: Mapping[str, Any], resource: str = "pods", **spec: Any) -> Ask:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}
    body = {
        "matchConstraints": {"resourceRules": [rule]},
        "reinvocationPolicy": "Never",
        "mutations": [mutation],
        **spec,
    }
    return post(f"{ADMISSION}/mutatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": body})


def _validating(expression: str) -> Ask:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    body = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression}]}
    return post(f"{ADMISSION}/validatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": body})


_APPLY = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}
_JSON = {"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}

OUTSIDE: Mapping[str, tuple[Ask, ...]] = {
    "API groups nobody here needs: apps, autoscaling, storage.k8s.io, networking.k8s.io, certificates.k8s.io, "
    "discovery.k8s.io, node.k8s.io, flowcontrol.apiserver.k8s.io, apiregistration.k8s.io, metrics.k8s.io": (
        get("/apis/apps/v1/namespaces/${ns}/deployments"),
        get("/apis/autoscaling/v2/namespaces/${ns}/horizontalpodautoscalers"),
        get("/apis/storage.k8s.io/v1/storageclasses"),
        get("/apis/networking.k8s.io/v1/namespaces/${ns}/ingresses"),
        get("/apis/certificates.k8s.io/v1/certificatesigningrequests"),
        get("/apis/discovery.k8s.io/v1/namespaces/${ns}/endpointslices"),
        get("/apis/node.k8s.io/v1/runtimeclasses"),
        get("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"),
        get("/apis/apiregistration.k8s.io/v1/apiservices"),
        get("/apis/metrics.k8s.io/v1beta1/nodes"),
    ),
    "CronJobs": (get("/apis/batch/v1/namespaces/${ns}/cronjobs"),),
    "Endpoints, PersistentVolumes and their claims, PodTemplates, ReplicationControllers, ComponentStatuses, "
    "Bindings": (
        get("/api/v1/namespaces/${ns}/endpoints"),
        get("/api/v1/persistentvolumes"),
        get("/api/v1/namespaces/${ns}/persistentvolumeclaims"),
        get("/api/v1/namespaces/${ns}/podtemplates"),
        get("/api/v1/namespaces/${ns}/replicationcontrollers"),
        get("/api/v1/componentstatuses"),
        post("/api/v1/namespaces/${ns}/bindings", {}),
    ),
    "creating ResourceQuotas and LimitRanges (their lists are empty)": (
        post("/api/v1/namespaces/${ns}/resourcequotas", {"metadata": {"name": "q"}}),
        post("/api/v1/namespaces/${ns}/limitranges", {"metadata": {"name": "l"}}),
    ),
    "what needs a kubelet or a node's network: pods/log, exec, attach, portforward, proxy": tuple(
        get(f"{PODS}/p/{name}") for name in ("log", "exec", "attach", "portforward", "proxy")
    ),
    "pods/ephemeralcontainers, pods/resize, jobs/scale, serviceaccounts/token": (
        patch(f"{PODS}/p/ephemeralcontainers", {}, STRATEGIC),
        patch(f"{PODS}/p/resize", {}, STRATEGIC),
        get("/apis/batch/v1/namespaces/${ns}/jobs/j/scale"),
        post("/api/v1/namespaces/${ns}/serviceaccounts/default/token", {}),
    ),
    "volumes of pods other than configMap, downwardAPI, emptyDir, hostPath, persistentVolumeClaim, projected and "
    "secret": (_pod(volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}]),),
    "projected volumes with clusterTrustBundle or podCertificate": (
        _pod(
            volumes=[
                {
                    "name": "v",
                    "projected": {"sources": [{"clusterTrustBundle": {"name": "b", "path": "ca.pem"}}]},
                }
            ]
        ),
    ),
    "SubjectAccessReviews of resources, and TokenReviews for audiences of their own": (
        post(
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {"spec": {"user": "ann", "resourceAttributes": {"verb": "get", "resource": "pods"}}},
        ),
        post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x", "audiences": ["other"]}}),
    ),
    "the old /watch/ paths": (get("/api/v1/watch/namespaces/${ns}/pods"),),
    "answers in nothing but protobuf or YAML": (
        get(PODS, accept=PROTOBUF),
        get(PODS, accept="application/yaml"),
    ),
    "OpenAPI v2, and OpenAPI v3 in protobuf": (
        get("/openapi/v2"),
        get(
            "/openapi/v3/api/v1", accept="application/com.github.proto-openapi.spec.v3.v1.OpenAPIv3+protobuf"
        ),
    ),
    "paths beside the API: /metrics, /debug, /flagz, /statusz, /openid, /.well-known": tuple(
        get(path)
        for path in (
            "/metrics",
            "/debug/pprof",
            "/flagz",
            "/statusz",
            "/openid/v1/jwks",
            "/.well-known/openid-configuration",
        )
    ),
    "custom resources: the scale subresource": (
        _definition(
            _schema(type="integer"),
            subresources={"scale": {"specReplicasPath": ".spec.x", "statusReplicasPath": ".status.x"}},
        ),
    ),
    "custom resources: conversion by webhook": (
        _definition(
            _schema(type="string"),
            {
                "conversion": {
                    "strategy": "Webhook",
                    "webhook": {
                        "clientConfig": {"url": "https://x.example"},
                        "conversionReviewVersions": ["v1"],
                    },
                }
            },
        ),
    ),
    "custom resources: the formats isbn, isbn10, isbn13, creditcard, ssn and rgbcolor": tuple(
        _definition(_schema(type="string", format=name))
        for name in ("isbn", "isbn10", "isbn13", "creditcard", "ssn", "rgbcolor")
    ),
    "CEL rules of custom resources: quantity, url, ip, cidr, format, semver, sets, type(), optional fields (`?.`)": (
        _rule("quantity(self).isLessThan(quantity('1'))"),
        _rule("url(self).getHost() == ''"),
        _rule("isIP(self)"),
        _rule("isCIDR(self)"),
        _rule("format.dns1123Label().validate(self).hasValue()"),
        _rule("semver(self).major() == 1"),
        _rule("sets.contains([self], [self])"),
        _rule("type(self) == string"),
        _rule("self.?x.hasValue()"),
    ),
    "admission policies: parameters": (
        _mutating(_APPLY, paramKind={"apiVersion": "v1", "kind": "ConfigMap"}),
        post(
            f"{ADMISSION}/validatingadmissionpolicybindings",
            {
                "metadata": {"name": "b"},
                "spec": {
                    "policyName": "p",
                    "validationActions": ["Deny"],
                    "paramRef": {"name": "x", "parameterNotFoundAction": "Deny"},
                },
            },
        ),
    ),
    "admission policies: mutations by JSONPatch, and mutations of bindings, evictions or every resource": (
        _mutating(_JSON),
        _mutating(_APPLY, "pods/binding"),
        _mutating(_APPLY, "pods/eviction"),
        _mutating(_APPLY, "*/*"),
    ),
    "admission policies: `authorizer`, `params`, optional fields (`.?`), CEL functions beyond the core": (
        _validating("authorizer.group('').resource('pods').check('create').allowed()"),
        _validating("params.x == 1"),
        _validating("object.?spec.hasValue()"),
        _validating("quantity('1') == quantity('1')"),
    ),
}
