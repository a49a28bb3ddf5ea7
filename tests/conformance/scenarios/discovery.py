"""What a client asks before anything else: health, version, groups, resources, OpenAPI, and paths that lead nowhere."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, delete, get, patch, post, put

#: What kubectl 1.37 accepts, and 1.35, which takes the older form too.
NEW_KUBECTL = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
OLD_KUBECTL = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
GROUPS = (
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "batch",
    "coordination.k8s.io",
    "events.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
)
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "discovery.conformance.example"


def _group(name: str) -> Scenario:
    # A real server has beta versions of some.
    plain = () if name == "admissionregistration.k8s.io" else (get(f"/apis/{name}"),)
    return Scenario(
        name=f"the group {name}, its resources and their OpenAPI",
        steps=(
            *plain,
            get(f"/apis/{name}/v1", view="served_resources"),
            get(f"/openapi/v3/apis/{name}/v1", view="openapi_paths"),
            get(f"/openapi/v3/apis/{name}/v1", view="openapi_schemas"),
        ),
    )


def _crd(**version: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": f"things.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": "things",
                "kind": "Thing",
                "singular": "thing",
                "shortNames": ["th"],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "description": "A thing.",
                            "type": "object",
                            "required": ["spec"],
                            "properties": {
                                "spec": {
                                    "description": "What is wanted.",
                                    "type": "object",
                                    "required": ["size"],
                                    "properties": {
                                        "size": {
                                            "type": "integer",
                                            "format": "int32",
                                            "minimum": 0,
                                            "default": 1,
                                        },
                                        "port": {"x-kubernetes-int-or-string": True},
                                        "any": {
                                            "type": "object",
                                            "x-kubernetes-preserve-unknown-fields": True,
                                        },
                                        "tags": {
                                            "type": "array",
                                            "items": {"type": "string"},
                                            "x-kubernetes-list-type": "set",
                                        },
                                        "labels": {
                                            "type": "object",
                                            "additionalProperties": {"type": "string"},
                                        },
                                    },
                                    "x-kubernetes-validations": [
                                        {"rule": "self.size < 9", "message": "too large"}
                                    ],
                                }
                            },
                        }
                    },
                    **version,
                }
            ],
        },
    }


def _gone(path: str) -> Ask:
    return get(path, until={"code": 404})


SCENARIOS = (
    Scenario(
        name="the server tells its version and that it is well",
        steps=(
            get("/version", view="version_rules"),
            get("/version/", view="version_rules"),
            get("/healthz"),
            get("/livez"),
            get("/readyz"),
            get("/livez/ping"),
            get("/readyz/shutdown"),
            get("/healthz/etcd"),
            get("/readyz/nonesuch"),
            get("/healthz", query={"verbose": ""}, view="health"),
            get("/livez", query={"verbose": "true"}, view="health"),
            get("/readyz", query={"verbose": ""}, view="health"),
            get("/livez", query={"verbose": "", "exclude": "ping"}, view="health"),
            put("/healthz", {}),
        ),
    ),
    Scenario(
        name="the groups and the core resources",
        steps=(
            get("/api", view="served_versions"),
            get("/api/", view="served_versions"),
            get("/apis", view="served_groups"),
            get("/apis/", view="served_groups"),
            get("/api/v1", view="served_resources"),
            get("/api/v1/", view="served_resources"),
            get("/openapi/v3", view="openapi_index"),
            get("/openapi/v3/api/v1", view="openapi_paths"),
            get("/openapi/v3/api/v1", view="openapi_schemas"),
            get("/openapi/v3/apis/none.example/v1"),
            get("/openapi/v3/"),
            get("/openapi"),
        ),
    ),
    *(_group(name) for name in GROUPS),
    Scenario(
        name="all groups at once, as each kubectl asks",
        steps=(
            get("/api", accept=NEW_KUBECTL, view="aggregated_discovery"),
            get("/apis", accept=NEW_KUBECTL, view="aggregated_discovery"),
            get("/api", accept=OLD_KUBECTL, view="aggregated_discovery"),
            get("/apis", accept=OLD_KUBECTL, view="aggregated_discovery"),
            get("/apis/batch/v1", accept=NEW_KUBECTL, view="served_resources"),
            get("/apis/batch", accept=NEW_KUBECTL),
        ),
    ),
    Scenario(
        name="a discovery document in a form nobody has",
        steps=(
            get("/api", accept="text/html"),
            get("/version", accept="text/html"),
            get("/apis/batch", accept="image/png, text/html"),
            get("/apis", accept="application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList"),
            get("/api", accept="application/json;as=Table;g=meta.k8s.io;v=v1"),
            get("/api", accept="text/html, */*", view="served_versions"),
            get("/api", accept="application/*;q=0.5, text/html", view="served_versions"),
            get("/api", accept="", view="served_versions"),
            get("/healthz", accept="image/png"),
        ),
    ),
    Scenario(
        name="discovery can only be read",
        steps=(
            post("/version", {}),
            post("/api", {}),
            delete("/apis/batch/v1"),
            delete("/api/v1"),
            Ask(method="OPTIONS", path="/version"),
        ),
    ),
    Scenario(
        name="paths that lead nowhere",
        steps=(
            get("/nonesuch"),
            get("/api/v2"),
            get("/api/v2/pods"),
            get("/api/v1/nonesuch"),
            get("/apis/none.example"),
            get("/apis/none.example/v1"),
            get("/apis/none.example/v1/things"),
            get("/apis/batch/v9"),
            get("/apis/batch/v9/jobs"),
            get("/apis/batch/v1/nonesuch"),
            get("//api"),
            post("/nonesuch", {}),
            get("/apis/batch/v1/namespaces/${ns}/jobs/x/status/y"),
        ),
    ),
    Scenario(
        name="quotas and limits of a namespace that has none",
        steps=(
            get("/api/v1/namespaces/${ns}/resourcequotas", query={"limit": "500"}),
            get("/api/v1/namespaces/${ns}/limitranges", query={"limit": "500"}),
        ),
    ),
    Scenario(
        name="a group comes and goes with its definition",
        leftovers=(f"{CRDS}/things.{GROUP}",),
        steps=(
            get(f"/apis/{GROUP}"),
            post(CRDS, _crd(), view="kind_and_message"),
            get(f"/apis/{GROUP}/v1", until={"code": 200}),
            get(f"/apis/{GROUP}", until={"code": 200}),
            get(f"/apis/{GROUP}/v2"),
            get(f"/apis/{GROUP}/v1/nonesuch"),
            delete(f"{CRDS}/things.{GROUP}", view="kind_and_message"),
            _gone(f"/apis/{GROUP}/v1"),
            _gone(f"/apis/{GROUP}"),
        ),
    ),
    Scenario(
        name="a definition with a status and a new version changes what is listed",
        leftovers=(f"{CRDS}/things.{GROUP}",),
        steps=(
            post(CRDS, _crd(subresources={"status": {}}), view="kind_and_message"),
            get(
                f"/apis/{GROUP}/v1",
                until={"code": 200, "object.resources.1.name": "things/status"},
            ),
            patch(
                f"{CRDS}/things.{GROUP}",
                [
                    {"op": "copy", "from": "/spec/versions/0", "path": "/spec/versions/1"},
                    {"op": "replace", "path": "/spec/versions/1/name", "value": "v1beta1"},
                    {"op": "replace", "path": "/spec/versions/1/storage", "value": False},
                    {"op": "replace", "path": "/spec/names/shortNames", "value": ["tg"]},
                ],
                "application/json-patch+json",
                view="kind_and_message",
            ),
            get(f"/apis/{GROUP}", until={"object.versions.1.version": "v1beta1"}),
            get(f"/apis/{GROUP}/v1beta1", until={"code": 200, "object.resources.0.shortNames.0": "tg"}),
            get(f"/apis/{GROUP}/v1", until={"object.resources.0.shortNames.0": "tg"}),
        ),
    ),
    Scenario(
        name="our own kinds in discovery",
        crds=True,
        steps=(
            get("/apis/rackplane.dev", until={"code": 200}),
            get("/apis/rackplane.dev/v1alpha1", view="served_resources"),
        ),
    ),
)
