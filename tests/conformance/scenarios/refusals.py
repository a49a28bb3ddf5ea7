"""Requests that are refused, and how: bodies, paths, verbs, media types, names, labels, owners."""

from __future__ import annotations

from tests.conformance.steps import Scenario, delete, get, patch, post, put, watch

MAPS = "/api/v1/namespaces/${ns}/configmaps"
SECRETS = "/api/v1/namespaces/${ns}/secrets"
ACCOUNTS = "/api/v1/namespaces/${ns}/serviceaccounts"
NAMESPACES = "/api/v1/namespaces"
NODES = "/api/v1/nodes"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"

LONG = "x" * 64

SCENARIOS = (
    Scenario(
        name="the body must be of the kind, version, name and namespace of the path",
        steps=(
            post(MAPS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
            post(MAPS, {"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "a"}}),
            post(MAPS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}}),
            post(MAPS, {"kind": "ConfigMap", "metadata": {"name": "a"}}),
            post(MAPS, {"apiVersion": "v1", "metadata": {"name": "b"}}),
            post(MAPS, {"apiVersion": "v1", "kind": "Nonsense", "metadata": {"name": "b"}}),
            post(MAPS, {"metadata": {"name": "c", "namespace": "elsewhere"}}),
            put(f"{MAPS}/a", {"metadata": {"name": "z"}}),
            put(f"{MAPS}/a", {"metadata": {"name": "a", "namespace": "elsewhere"}}),
            put(f"{MAPS}/a", {"metadata": {}}),
            put(f"{MAPS}/a", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
            put(f"{MAPS}/missing", {"metadata": {"name": "missing"}}),
            put(f"{MAPS}/missing", {"metadata": {"name": "missing", "resourceVersion": "5"}}),
            patch(f"{MAPS}/a", {"metadata": {"name": "z"}}),
            patch(f"{MAPS}/a", {"metadata": {"namespace": "elsewhere"}}),
            patch(f"{MAPS}/missing", {"data": {"a": "b"}}),
        ),
    ),
    Scenario(
        name="a body that cannot be read",
        steps=(
            post(MAPS, raw="{"),
            post(MAPS, raw=""),
            post(MAPS, raw="[]"),
            post(MAPS, raw='"text"'),
            post(MAPS, raw="null"),
            post(MAPS, raw='{"metadata": {"name": "a"}', type="application/json"),
            post(MAPS, raw="metadata: {name: a}", type="application/yaml"),
            post(MAPS, raw="a: [", type="application/yaml"),
            post(MAPS, raw="not json"),
            post(MAPS, raw='{"a" 1}'),
            post(MAPS, raw="{bad}"),
            post(MAPS, raw='{"a": [1, 2}'),
            post(MAPS, raw="{} {}"),
            post(MAPS, raw="5"),
            post(MAPS, raw="{}", type="text/plain"),
            post(MAPS, raw="{}", type="application/xml"),
            put(f"{MAPS}/a", raw="{"),
        ),
    ),
    Scenario(
        name="what is not served is not found",
        steps=(
            get("/api/v1/namespaces/${ns}/nonsense"),
            get("/api/v1/namespaces/${ns}/nonsense/a"),
            get("/apis/nonsense.example/v1/things"),
            get("/apis/batch/v7/jobs"),
            get("/api/v9/pods"),
            get(f"{MAPS}/a/status"),
            get(f"{MAPS}/a/nonsense"),
            get("/api/v1/namespaces/absent-namespace/configmaps/a"),
            get("/api/v1/namespaces/absent-namespace/configmaps"),
            post("/api/v1/namespaces/absent-namespace/configmaps", {"metadata": {"name": "a"}}),
            delete("/api/v1/namespaces/absent-namespace/configmaps/a"),
            delete(f"{MAPS}/missing"),
            delete(f"{NAMESPACES}/absent-namespace"),
            get(f"{NODES}/absent-node"),
            get("/nonsense"),
            get("/api/v1/configmaps/a"),
            get("/api/v1/namespaces/${ns}/nodes"),
        ),
    ),
    Scenario(
        name="a verb the path does not have is refused",
        steps=(
            post("/api/v1/configmaps", {"metadata": {"name": "a", "namespace": "${ns}"}}),
            delete("/api/v1/configmaps"),
            put(MAPS, {"metadata": {"name": "a"}}),
            patch(MAPS, {"data": {}}),
            post(f"{MAPS}/a", {"metadata": {"name": "a"}}),
            delete(NAMESPACES),
            post("/api/v1/namespaces/${ns}/finalize", {"metadata": {"name": "${ns}"}}),
            delete("/api/v1/namespaces/${ns}/status"),
            get("/api/v1/namespaces/${ns}/finalize"),
        ),
    ),
    Scenario(
        name="forms of an answer nobody speaks are not acceptable",
        steps=(
            get(MAPS, accept="text/csv"),
            get(MAPS, accept="application/xml"),
            get(MAPS, accept="application/json;as=Nonsense;v=v1;g=meta.k8s.io"),
            get(MAPS, accept="application/*"),
            get(MAPS, accept="*/*", query={"labelSelector": "absent"}),
            get(MAPS, accept="text/csv, application/json", query={"labelSelector": "absent"}),
            get(f"{MAPS}/a", accept="text/csv"),
            post(MAPS, {"metadata": {"name": "a"}}, accept="text/csv"),
            delete(f"{MAPS}/a", accept="text/csv"),
            watch(MAPS, 0, accept="text/csv"),
            patch(f"{MAPS}/a", {}, type="application/json"),
            patch(f"{MAPS}/a", {}, type="text/plain"),
            post(MAPS, {"metadata": {"name": "a"}}, type="application/merge-patch+json"),
        ),
    ),
    Scenario(
        name="names that are none",
        steps=(
            post(MAPS, {"metadata": {"name": "Upper"}}),
            post(MAPS, {"metadata": {"name": "under_score"}}),
            post(MAPS, {"metadata": {"name": "-dash"}}),
            post(MAPS, {"metadata": {"name": "x" * 254}}),
            post(MAPS, {"metadata": {"name": "a..b"}}),
            post(MAPS, {"metadata": {"name": "a/b"}}),
            post(NAMESPACES, {"metadata": {"name": "dot.ted"}}),
            post(NAMESPACES, {"metadata": {"name": "x" * 64}}),
            post(NODES, {"metadata": {"name": "Upper_"}}),
            post(CLASSES, {"metadata": {"name": "Upper"}, "value": 1}),
            post(ACCOUNTS, {"metadata": {"name": "_"}}),
            post(SECRETS, {"metadata": {"name": "_"}}),
        ),
    ),
    Scenario(
        name="labels and annotations that are none",
        steps=(
            post(MAPS, {"metadata": {"name": "a", "labels": {"bad key": "v"}}}),
            post(MAPS, {"metadata": {"name": "a", "labels": {"k": "bad value!"}}}),
            post(MAPS, {"metadata": {"name": "a", "labels": {LONG: "v"}}}),
            post(MAPS, {"metadata": {"name": "a", "labels": {"k": LONG}}}),
            post(MAPS, {"metadata": {"name": "a", "labels": {"Bad_Prefix/k": "v"}}}),
            post(MAPS, {"metadata": {"name": "a", "labels": {"a/b/c": "v"}}}),
            post(MAPS, {"metadata": {"name": "a", "labels": {"/k": "v"}}}),
            post(MAPS, {"metadata": {"name": "a", "labels": {"": "v"}}}),
            post(MAPS, {"metadata": {"name": "a", "labels": {"p.example/": "-v"}}}),
            post(MAPS, {"metadata": {"name": "a", "annotations": {"bad key": "any text!"}}}),
            post(MAPS, {"metadata": {"name": "a", "annotations": {"UPPER.example/k": "v"}}}),
            post(
                MAPS,
                {"metadata": {"name": "Bad", "labels": {"k": "-"}, "annotations": {"-": ""}}},
            ),
            post(MAPS, {"metadata": {"name": "a"}}),
            patch(f"{MAPS}/a", {"metadata": {"labels": {"k": "-"}}}),
        ),
    ),
    Scenario(
        name="owners and finalizers that are none",
        steps=(
            post(MAPS, {"metadata": {"name": "a", "ownerReferences": [{}]}}),
            post(
                MAPS,
                {
                    "metadata": {
                        "name": "a",
                        "ownerReferences": [
                            {
                                "apiVersion": "v1",
                                "kind": "ConfigMap",
                                "name": "b",
                                "uid": "1",
                                "controller": True,
                            },
                            {
                                "apiVersion": "v1",
                                "kind": "ConfigMap",
                                "name": "c",
                                "uid": "2",
                                "controller": True,
                            },
                        ],
                    }
                },
            ),
            post(
                MAPS,
                {
                    "metadata": {
                        "name": "a",
                        "ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "b", "uid": "1"}],
                    }
                },
            ),
            post(
                MAPS,
                {
                    "metadata": {
                        "name": "a",
                        "ownerReferences": [{"apiVersion": "a/b/c", "kind": "X", "name": "b", "uid": "1"}],
                    }
                },
            ),
            post(MAPS, {"metadata": {"name": "a", "finalizers": ["plain"]}}),
            post(MAPS, {"metadata": {"name": "a", "finalizers": ["Bad Name/x"]}}),
            post(MAPS, {"metadata": {"name": "a", "finalizers": ["orphan", "foregroundDeletion"]}}),
            post(MAPS, {"metadata": {"name": "a", "finalizers": [""]}}),
            post(MAPS, {"metadata": {"name": "a", "finalizers": ["example.org/one"]}}),
            delete(f"{MAPS}/a"),
            patch(f"{MAPS}/a", {"metadata": {"finalizers": ["example.org/one", "example.org/two"]}}),
            patch(f"{MAPS}/a", {"metadata": {"labels": {"still": "changes"}}}),
            patch(f"{MAPS}/a", {"metadata": {"finalizers": []}}),
        ),
    ),
)
