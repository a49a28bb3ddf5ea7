"""Merge, JSON and strategic merge patches: what they do, what they may not, and what is wrong with a bad one."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import (
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Ask,
    Scenario,
    delete,
    get,
    patch,
    post,
    put,
)

MAPS = "/api/v1/namespaces/${ns}/configmaps"
ACCOUNTS = "/api/v1/namespaces/${ns}/serviceaccounts"
SECRETS = "/api/v1/namespaces/${ns}/secrets"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/${ns}/leases"
QUEUES = "/apis/rackplane.dev/v1alpha1/queues"
NODE = "/api/v1/nodes/${ns}"

MAP: dict[str, Any] = {
    "metadata": {"name": "a", "labels": {"x": "1", "y": "2"}},
    "data": {"k": "1", "l": "2"},
}
#: Two owners that exist: the collector leaves their dependents alone.
OWNERS = [
    {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": f"${{{name}.metadata.uid}}"}
    for name in ("first", "second")
]
ALLOCATED = {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "4"}}


def merged(body: Any, **more: Any) -> Ask:
    """A merge patch of the config map `a`."""
    return patch(f"{MAPS}/a", body, MERGE, **more)


def jsonp(body: Any, **more: Any) -> Ask:
    """A JSON patch of the config map `a`."""
    return patch(f"{MAPS}/a", body, JSON_PATCH, **more)


def strategic(body: Any, **more: Any) -> Ask:
    """A strategic merge patch of the config map `a`."""
    return patch(f"{MAPS}/a", body, STRATEGIC, **more)


def of_node(body: Any, **more: Any) -> Ask:
    """A strategic merge patch of a node's status."""
    return patch(f"{NODE}/status", body, STRATEGIC, **more)


SCENARIOS = (
    Scenario(
        name="a merge patch sets, adds and removes keys; one that changes nothing is no write",
        steps=(
            post(MAPS, MAP),
            merged({"data": {"k": "3", "m": "4", "l": None}, "metadata": {"labels": {"y": None}}}),
            merged({"data": {"k": "3"}}),
            merged({}),
            merged({"data": None}),
            merged({"metadata": {"labels": None, "annotations": {"a": "b"}}}),
        ),
    ),
    Scenario(
        name="a merge patch replaces lists as a whole",
        steps=(
            post(MAPS, {**MAP, "metadata": {"name": "a", "finalizers": ["example.com/a", "example.com/b"]}}),
            merged({"metadata": {"finalizers": ["example.com/c"]}}),
            merged({"metadata": {"finalizers": []}}),
            merged({"metadata": {"finalizers": None}}),
        ),
    ),
    Scenario(
        name="a patch may state the version and uid it is about",
        steps=(
            post(MAPS, MAP, save="made"),
            merged({"metadata": {"resourceVersion": "1"}, "data": {"k": "x"}}),
            merged({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "data": {"k": "x"}}),
            merged(
                {
                    "metadata": {
                        "resourceVersion": "${made.metadata.resourceVersion}",
                        "uid": "${made.metadata.uid}",
                    },
                    "data": {"k": "x"},
                }
            ),
            merged({"metadata": {"resourceVersion": "${made.metadata.resourceVersion}"}, "data": {"k": "x"}}),
            merged({"metadata": {"resourceVersion": "abc"}, "data": {"k": "y"}}),
            merged({"metadata": {"resourceVersion": None}, "data": {"k": "y"}}),
        ),
    ),
    Scenario(
        name="a patch may not rename, move or change the kind",
        steps=(
            post(MAPS, MAP),
            merged({"metadata": {"name": "b"}}),
            merged({"metadata": {"namespace": "default"}}),
            merged({"apiVersion": "v2"}, view="without_the_patched"),
            merged({"metadata": None}),
            merged({"metadata": {"name": None}}),
        ),
    ),
    Scenario(
        name="what the server sets stays as it is, whatever a patch says",
        steps=(
            post(MAPS, MAP),
            merged({"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}}),
            merged({"metadata": {"uid": None, "creationTimestamp": None, "generation": 7}}),
            merged({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}}),
            merged({"metadata": {"generateName": "x-"}}),
        ),
    ),
    Scenario(
        name="a patch of what is not there",
        steps=(
            merged({"data": {"k": "1"}}),
            jsonp([]),
            strategic({"data": {"k": "1"}}),
            patch(MAPS, {"data": {"k": "1"}}),
            patch("/api/v1/namespaces/${ns}/configmaps/a/status", {"data": {"k": "1"}}),
        ),
    ),
    Scenario(
        name="patches that are none",
        steps=(
            post(MAPS, MAP),
            merged([]),
            merged(7),
            merged("text"),
            merged(None, raw="{"),
            merged(None, raw=""),
            jsonp({}),
            jsonp(None, raw="["),
            jsonp("text"),
            jsonp([7]),
            strategic([]),
            strategic(None, raw="{]"),
        ),
    ),
    Scenario(
        name="patch types nobody knows",
        steps=(
            post(MAPS, MAP),
            patch(f"{MAPS}/a", {"data": {"k": "1"}}, "application/json"),
            patch(f"{MAPS}/a", {"data": {"k": "1"}}, "text/plain"),
            patch(f"{MAPS}/a", {"data": {"k": "1"}}, "application/merge-patch+json; charset=utf-8"),
        ),
    ),
    Scenario(
        name="values of a wrong form",
        steps=(
            post(MAPS, MAP),
            merged({"data": {"k": 7}}, view="without_the_patched"),
            merged({"data": "text"}, view="without_the_patched"),
            merged({"metadata": {"labels": {"x": True}}}, view="without_the_patched"),
            merged({"metadata": {"finalizers": "x"}}, view="without_the_patched"),
            merged({"metadata": {"labels": {"x": "not a label!"}}}),
            strategic({"data": {"k": 7}}),
            strategic({"data": ["x"]}),
            jsonp([{"op": "add", "path": "/data/k", "value": 7}], view="without_the_patched"),
        ),
    ),
    Scenario(
        name="JSON patches add, replace, remove, move and copy",
        steps=(
            post(MAPS, MAP),
            jsonp([{"op": "add", "path": "/data/m", "value": "3"}]),
            jsonp([{"op": "replace", "path": "/data/m", "value": "4"}]),
            jsonp([{"op": "remove", "path": "/data/m"}]),
            jsonp([{"op": "move", "from": "/data/k", "path": "/data/moved"}]),
            jsonp([{"op": "copy", "from": "/data/moved", "path": "/data/copied"}]),
            jsonp([{"op": "add", "path": "/metadata/annotations", "value": {"a~b/c": "1"}}]),
            jsonp([{"op": "replace", "path": "/metadata/annotations/a~0b~1c", "value": "2"}]),
            jsonp([]),
        ),
    ),
    Scenario(
        name="JSON patches reach into lists",
        steps=(
            post(MAPS, {"metadata": {"name": "a", "finalizers": ["example.com/a", "example.com/b"]}}),
            jsonp([{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/c"}]),
            jsonp([{"op": "add", "path": "/metadata/finalizers/0", "value": "example.com/d"}]),
            jsonp([{"op": "remove", "path": "/metadata/finalizers/1"}]),
            jsonp([{"op": "replace", "path": "/metadata/finalizers/0", "value": "example.com/e"}]),
            jsonp([{"op": "remove", "path": "/metadata/finalizers/-1"}]),
            jsonp([{"op": "remove", "path": "/metadata/finalizers/9"}]),
            jsonp([{"op": "add", "path": "/metadata/finalizers/9", "value": "example.com/f"}]),
            jsonp([{"op": "add", "path": "/metadata/finalizers/x", "value": "example.com/f"}]),
            jsonp([{"op": "replace", "path": "/metadata/finalizers/9", "value": "example.com/f"}]),
        ),
    ),
    Scenario(
        name="a JSON patch tests what it is about to change",
        steps=(
            post(MAPS, MAP),
            jsonp(
                [
                    {"op": "test", "path": "/data/k", "value": "1"},
                    {"op": "replace", "path": "/data/k", "value": "2"},
                ]
            ),
            jsonp(
                [
                    {"op": "replace", "path": "/data/l", "value": "3"},
                    {"op": "test", "path": "/data/k", "value": "1"},
                ]
            ),
            get(f"{MAPS}/a"),
            jsonp([{"op": "test", "path": "/data/none", "value": None}]),
            jsonp([{"op": "test", "path": "/data/none", "value": "1"}]),
            jsonp([{"op": "test", "path": "/none/none", "value": "1"}]),
            jsonp([{"op": "test", "path": "/metadata/labels", "value": {"y": "2", "x": "1"}}]),
            jsonp([{"op": "test", "path": "/data"}]),
        ),
    ),
    Scenario(
        name="JSON patches that do not apply",
        steps=(
            post(MAPS, MAP),
            jsonp([{"op": "remove", "path": "/data/none"}]),
            jsonp([{"op": "replace", "path": "/data/none", "value": "1"}]),
            jsonp([{"op": "replace", "path": "/none/none", "value": "1"}]),
            jsonp([{"op": "add", "path": "/none/none", "value": "1"}]),
            jsonp([{"op": "remove", "path": "/none/none"}]),
            jsonp([{"op": "move", "from": "/data/none", "path": "/data/m"}]),
            jsonp([{"op": "copy", "from": "/none/none", "path": "/data/m"}]),
            jsonp([{"op": "add", "value": "1"}]),
            jsonp([{"op": "move", "path": "/data/m"}]),
            jsonp([{"op": "wrong", "path": "/data/k"}]),
            jsonp([{"path": "/data/k", "value": "1"}]),
        ),
    ),
    Scenario(
        name="a JSON patch of the name, and one with more than it needs",
        steps=(
            post(MAPS, MAP),
            jsonp([{"op": "replace", "path": "/metadata/name", "value": "b"}]),
            jsonp([{"op": "remove", "path": "/metadata"}]),
            jsonp([{"op": "add", "path": "/data/k", "value": "5", "more": 1}]),
            jsonp(
                [{"op": "add", "path": "/data/k", "value": "6", "more": 1}],
                query={"fieldValidation": "Strict"},
                view="without_the_patched",
            ),
            jsonp([{"op": "add", "path": "/wrong", "value": "1"}]),
        ),
    ),
    Scenario(
        name="fields nobody knows in a patch",
        steps=(
            post(MAPS, MAP),
            merged({"wrong": 1, "metadata": {"odd": 2}}),
            merged({"wrong": 1}, query={"fieldValidation": "Strict"}, view="without_the_patched"),
            merged({"wrong": 1}, query={"fieldValidation": "Ignore"}),
            strategic({"wrong": 1}, query={"fieldValidation": "Strict"}),
            strategic({"wrong": 1}),
            merged({"data": {"k": "9"}}, query={"fieldValidation": "Wrong"}),
        ),
    ),
    Scenario(
        name="options of a patch",
        steps=(
            post(MAPS, MAP),
            merged({"data": {"k": "dry"}}, query={"dryRun": "All"}),
            get(f"{MAPS}/a"),
            merged({"data": {"k": "dry"}}, query={"dryRun": "Some"}),
            merged({"data": {"k": "2"}}, query={"force": "true"}),
            merged({"data": {"k": "2"}}, query={"fieldManager": "x" * 129}),
            merged({"data": {"k": "2"}}, query={"fieldManager": "a\tb"}),
        ),
    ),
    Scenario(
        name="a strategic merge patch unites finalizers and merges owners by uid",
        steps=(
            post(MAPS, {"metadata": {"name": "first"}}, save="first"),
            post(MAPS, {"metadata": {"name": "second"}}, save="second"),
            post(
                MAPS, {"metadata": {"name": "a", "finalizers": ["example.com/a"], "ownerReferences": OWNERS}}
            ),
            strategic({"metadata": {"finalizers": ["example.com/b", "example.com/a"]}}),
            strategic({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}}),
            strategic(
                {
                    "metadata": {
                        "finalizers": ["example.com/c"],
                        "$setElementOrder/finalizers": ["example.com/c", "example.com/b"],
                    }
                }
            ),
            strategic({"metadata": {"ownerReferences": [{"uid": OWNERS[0]["uid"], "controller": True}]}}),
            strategic({"metadata": {"ownerReferences": [{"$patch": "delete", "uid": OWNERS[0]["uid"]}]}}),
            strategic({"metadata": {"ownerReferences": [{"name": "c"}]}}),
            strategic({"metadata": {"ownerReferences": None}}),
        ),
    ),
    Scenario(
        name="directives of a strategic merge patch on maps",
        steps=(
            post(MAPS, MAP),
            strategic({"data": {"$patch": "replace", "n": "1"}}),
            strategic({"data": {"$patch": "delete"}}),
            strategic({"data": {"a": "1", "b": "2", "c": None}}),
            strategic({"data": {"$retainKeys": ["a", "d"], "d": "4"}}),
            strategic({"data": {"$retainKeys": ["a"], "e": "5"}}),
            strategic({"data": {"$patch": "merge", "f": "6"}}),
            strategic({"data": {"$patch": "wrong"}}),
            strategic({"data": {"$retainKeys": "a"}}),
            strategic({"metadata": {"$patch": "delete"}}),
        ),
    ),
    Scenario(
        name="conditions and addresses of a node merge by type, images are replaced",
        leftovers=(NODE,),
        steps=(
            post("/api/v1/nodes", {"metadata": {"name": "${ns}"}, "status": ALLOCATED}),
            of_node(
                {
                    "status": {
                        "conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "M"}]
                    }
                }
            ),
            of_node({"status": {"conditions": [{"type": "Odd", "status": "False"}]}}),
            of_node({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
            of_node({"status": {"conditions": [{"$patch": "delete", "type": "Odd"}]}}),
            of_node(
                {
                    "status": {
                        "addresses": [
                            {"type": "InternalIP", "address": "10.0.0.1"},
                            {"type": "Hostname", "address": "n"},
                        ]
                    }
                }
            ),
            of_node({"status": {"addresses": [{"type": "Hostname", "address": "m"}]}}),
            of_node({"status": {"images": [{"names": ["a:1"]}]}}),
            of_node({"status": {"images": [{"names": ["b:1"]}]}}),
            of_node({"status": {"allocatable": {"memory": "1Gi"}, "capacity": {"memory": "1Gi"}}}),
            patch(NODE, {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}, STRATEGIC),
            patch(NODE, {"spec": {"taints": [{"key": "b", "effect": "NoSchedule"}]}}, STRATEGIC),
            patch(NODE, {"spec": {"unschedulable": True}, "status": {"phase": "Running"}}, MERGE),
            patch(NODE, {"spec": {"unschedulable": None}}, MERGE),
        ),
    ),
    Scenario(
        name="secrets of a service account merge by name",
        steps=(
            post(
                ACCOUNTS,
                {"metadata": {"name": "a"}, "secrets": [{"name": "x"}], "imagePullSecrets": [{"name": "p"}]},
            ),
            patch(
                f"{ACCOUNTS}/a", {"secrets": [{"name": "y"}], "imagePullSecrets": [{"name": "q"}]}, STRATEGIC
            ),
            patch(f"{ACCOUNTS}/a", {"secrets": [{"name": "x", "$patch": "delete"}]}, STRATEGIC),
            patch(f"{ACCOUNTS}/a", {"secrets": [{"name": "z"}]}, MERGE),
        ),
    ),
    Scenario(
        name="a patch of a secret in plain text, and of one that may not change",
        steps=(
            post(SECRETS, {"metadata": {"name": "a"}, "stringData": {"k": "v"}}),
            patch(f"{SECRETS}/a", {"stringData": {"k": "w", "l": "x"}}, MERGE),
            patch(f"{SECRETS}/a", {"data": {"k": None}}, STRATEGIC),
            patch(f"{SECRETS}/a", {"data": {"k": "not base64!"}}, MERGE, view="without_the_patched"),
            patch(f"{SECRETS}/a", {"type": "other"}, MERGE),
            patch(f"{SECRETS}/a", {"immutable": True}, MERGE),
            patch(f"{SECRETS}/a", {"data": {"l": "eA=="}}, MERGE),
            patch(f"{SECRETS}/a", {"data": {"m": "eA=="}}, MERGE),
        ),
    ),
    Scenario(
        name="custom resources take no strategic merge patch",
        crds=True,
        leftovers=(f"{QUEUES}/${{ns}}",),
        steps=(
            post(
                QUEUES,
                {
                    "apiVersion": "rackplane.dev/v1alpha1",
                    "kind": "Queue",
                    "metadata": {"name": "${ns}"},
                    "spec": {},
                },
            ),
            patch(f"{QUEUES}/${{ns}}", {"metadata": {"labels": {"a": "b"}}}, STRATEGIC),
            patch(f"{QUEUES}/${{ns}}", {"metadata": {"labels": {"a": "b"}}}, MERGE),
            patch(
                f"{QUEUES}/${{ns}}", [{"op": "add", "path": "/metadata/labels/c", "value": "d"}], JSON_PATCH
            ),
            patch(f"{QUEUES}/${{ns}}", {"wrong": 1}, MERGE),
            patch(
                f"{QUEUES}/${{ns}}",
                {"wrong": 1},
                MERGE,
                query={"fieldValidation": "Strict"},
                view="without_the_patched",
            ),
            patch(f"{QUEUES}/${{ns}}", {"spec": "text"}, MERGE),
            patch(f"{QUEUES}/none", {"spec": {}}, MERGE),
        ),
    ),
    Scenario(
        name="a lease taken over by patches",
        steps=(
            post(
                LEASES,
                {"metadata": {"name": "a"}, "spec": {"holderIdentity": "one", "leaseDurationSeconds": 15}},
            ),
            patch(f"{LEASES}/a", {"spec": {"holderIdentity": "two", "leaseTransitions": 1}}, STRATEGIC),
            patch(
                f"{LEASES}/a",
                {"spec": {"renewTime": "2020-01-01T00:00:00.5Z"}},
                MERGE,
                view="without_the_patched",
            ),
            patch(f"{LEASES}/a", {"spec": {"renewTime": "today"}}, MERGE, view="without_the_patched"),
            patch(f"{LEASES}/a", {"spec": {"leaseDurationSeconds": 0}}, MERGE),
            patch(f"{LEASES}/a", {"spec": {"leaseDurationSeconds": "x"}}, MERGE, view="without_the_patched"),
            patch(f"{LEASES}/a", {"spec": None}, MERGE),
        ),
    ),
    Scenario(
        name="a patch with a key twice",
        steps=(
            post(MAPS, MAP),
            merged(None, raw='{"data":{"k":"3","k":"4"}}'),
            merged(None, raw='{"data":{"k":"5","k":"6"}}', query={"fieldValidation": "Ignore"}),
            merged(
                None,
                raw='{"data":{"k":"7","k":"8"}}',
                query={"fieldValidation": "Strict"},
                view="without_the_patched",
            ),
            patch(f"{MAPS}/a", None, STRATEGIC, raw='{"data":{"k":"9","k":"0"}}'),
        ),
    ),
    Scenario(
        name="a finalizer taken by a patch lets a deleted object go",
        steps=(
            post(MAPS, {"metadata": {"name": "a", "finalizers": ["example.com/a", "example.com/b"]}}),
            delete(f"{MAPS}/a", view="kind_and_message"),
            strategic({"metadata": {"finalizers": ["example.com/new"]}}),
            strategic(
                {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}}, view="nothing"
            ),
            merged({"metadata": {"finalizers": None}}, view="nothing"),
            get(f"{MAPS}/a"),
            put(f"{MAPS}/a", MAP),
        ),
    ),
)
