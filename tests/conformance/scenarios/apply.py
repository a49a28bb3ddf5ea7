"""Server-side apply: what it makes and removes, who owns which field, conflicts, and what a bad one is told."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.steps import APPLY, MERGE, Ask, Scenario, delete, get, patch, post, put

MAPS = "/api/v1/namespaces/${ns}/configmaps"
PODS = "/api/v1/namespaces/${ns}/pods"
SERVICES = "/api/v1/namespaces/${ns}/services"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/${ns}/leases"
JOBS = "/apis/batch/v1/namespaces/${ns}/jobs"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NODE = "/api/v1/nodes/${ns}"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def a_map(data: Any = None, *, name: str = "a", **metadata: Any) -> dict[str, Any]:
    """A config map to apply."""
    found: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return {**found, "data": data} if data is not None else found


def apply(path: str, body: Any, manager: str = "m", **more: Any) -> Ask:
    """An apply by a manager; `query` adds to its parameters."""
    query = {"fieldManager": manager, **more.pop("query", {})}
    return patch(path, body, APPLY, query=query, managed=True, **more)


def force(path: str, body: Any, manager: str = "m", **more: Any) -> Ask:
    """An apply that takes over what others own."""
    return apply(path, body, manager, query={"force": "true"}, **more)


def a_pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A gated pod to apply."""
    gates = {"schedulingGates": [{"name": "example.com/a"}], "automountServiceAccountToken": False}
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    return {**body, "spec": {**gates, "containers": list(containers), **spec}}


def a_service(**spec: Any) -> dict[str, Any]:
    """A headless service to apply: it has no address that differs from run to run."""
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    return {**body, "spec": {"clusterIP": "None", **spec}}


def a_node(**more: Any) -> dict[str, Any]:
    """A node to apply."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "${ns}"}, **more}


def _properties() -> dict[str, Any]:
    text = {"type": "string"}
    item: dict[str, Any] = {
        "type": "object",
        "properties": {"name": text, "port": {"type": "integer"}, "value": text},
    }
    return {
        "plain": {"type": "array", "items": text},
        "set": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
        "map": {
            "type": "array",
            "items": {**item, "required": ["name"]},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "two": {
            "type": "array",
            "items": {
                **item,
                "properties": {**item["properties"], "port": {"type": "integer", "default": 80}},
                "required": ["name"],
            },
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "port"],
        },
        "whole": {"type": "object", "properties": {"a": text, "b": text}, "x-kubernetes-map-type": "atomic"},
        "parts": {"type": "object", "properties": {"a": text, "b": text}},
        "free": {"type": "object", "additionalProperties": text},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "either": {"x-kubernetes-int-or-string": True},
        "number": {"type": "integer", "default": 3},
    }


DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.${ns}.example.com"},
    "spec": {
        "group": "${ns}.example.com",
        "scope": "Namespaced",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": _properties()},
                            "status": {"type": "object", "properties": _properties()},
                        },
                    }
                },
            }
        ],
    },
}
THINGS = "/apis/${ns}.example.com/v1/namespaces/${ns}/things"
#: A CRD is served a moment after it is established.
DEFINED = (
    post(DEFINITIONS, DEFINITION, view="nothing"),
    get(THINGS, until={"code": 200}, view="nothing"),
)
DEFINED_LEFT = (f"{DEFINITIONS}/things.${{ns}}.example.com",)


def a_thing(spec: Any = None, **more: Any) -> dict[str, Any]:
    """A custom resource to apply."""
    body = {"apiVersion": "${ns}.example.com/v1", "kind": "Thing", "metadata": {"name": "t"}, **more}
    return {**body, "spec": spec} if spec is not None else body


SCENARIOS = (
    Scenario(
        name="an apply creates, changes and removes what its manager no longer wants",
        steps=(
            apply(f"{MAPS}/a", a_map({"k": "1", "l": "2"}, labels={"x": "1"})),
            apply(f"{MAPS}/a", a_map({"k": "1", "l": "2"}, labels={"x": "1"})),
            apply(f"{MAPS}/a", a_map({"k": "3", "m": "4"})),
            apply(f"{MAPS}/a", a_map({"m": "4"}, annotations={"a": "b"})),
            apply(f"{MAPS}/a", a_map()),
            get(f"{MAPS}/a", managed=True),
        ),
    ),
    Scenario(
        name="a field that others own is refused, and taken by force",
        steps=(
            apply(f"{MAPS}/a", a_map({"k": "1", "l": "1"}), "one"),
            apply(f"{MAPS}/a", a_map({"k": "2", "m": "1"}), "two"),
            apply(f"{MAPS}/a", a_map({"k": "2", "l": "2"}), "two"),
            force(f"{MAPS}/a", a_map({"k": "2", "m": "1"}), "two"),
            apply(f"{MAPS}/a", a_map({"k": "1", "l": "1"}), "one"),
            apply(f"{MAPS}/a", a_map({"l": "1"}), "one"),
            apply(f"{MAPS}/a", a_map({"m": "1"}), "two"),
        ),
    ),
    Scenario(
        name="conflicts with several managers at once",
        steps=(
            apply(f"{MAPS}/a", a_map({"k": "1"}), "one"),
            apply(f"{MAPS}/a", a_map({"l": "1"}), "two"),
            patch(f"{MAPS}/a", {"data": {"m": "1", "n": "1"}}, MERGE, query={"fieldManager": "three"}),
            apply(f"{MAPS}/a", a_map({"k": "2", "l": "2", "m": "2", "n": "2"}), "four", view="ownership"),
            force(f"{MAPS}/a", a_map({"k": "2", "l": "2", "m": "2"}), "four"),
        ),
    ),
    Scenario(
        name="several managers share a field, and it goes with the last",
        steps=(
            apply(f"{MAPS}/a", a_map({"k": "1"}), "one"),
            apply(f"{MAPS}/a", a_map({"k": "1"}), "two"),
            apply(f"{MAPS}/a", a_map({"k": "2"}), "one"),
            apply(f"{MAPS}/a", a_map({}), "one"),
            apply(f"{MAPS}/a", a_map({}), "two"),
        ),
    ),
    Scenario(
        name="an update takes the fields it changes from those who applied them",
        steps=(
            apply(f"{MAPS}/a", a_map({"k": "1", "l": "1"}), "one"),
            put(f"{MAPS}/a", a_map({"k": "2", "l": "1", "m": "1"}), managed=True, agent="editor/1.0 (x)"),
            apply(f"{MAPS}/a", a_map({"k": "1", "l": "1"}), "one"),
            apply(f"{MAPS}/a", a_map({"l": "1"}), "one"),
            apply(f"{MAPS}/a", a_map({"k": "2", "l": "1"}), "one"),
            patch(f"{MAPS}/a", {"data": {"l": None}}, MERGE, managed=True),
            apply(f"{MAPS}/a", a_map({"k": "2"}), "one"),
        ),
    ),
    Scenario(
        name="an apply that is none",
        steps=(
            patch(f"{MAPS}/a", a_map({"k": "1"}), APPLY),
            apply(f"{MAPS}/a", {"metadata": {"name": "a"}}),
            apply(f"{MAPS}/a", {"apiVersion": "v1", "metadata": {"name": "a"}}),
            apply(f"{MAPS}/a", {"kind": "ConfigMap", "metadata": {"name": "a"}}),
            apply(f"{MAPS}/a", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
            apply(f"{MAPS}/a", {"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "a"}}),
            apply(f"{MAPS}/a", {"apiVersion": "v1", "kind": "ConfigMap"}),
            apply(f"{MAPS}/a", a_map({"k": "1"}, name="b")),
            apply(f"{MAPS}/a", a_map({"k": "1"}, namespace="default")),
            apply(f"{MAPS}/a", []),
            apply(f"{MAPS}/a", "text"),
            apply(f"{MAPS}/a", None, raw="{"),
            apply(f"{MAPS}/a", None, raw=""),
            apply(f"{MAPS}/a", a_map({"k": "1"}), "x" * 129),
        ),
    ),
    Scenario(
        name="an apply of fields that are not there, or of a wrong form",
        steps=(
            apply(f"{MAPS}/a", {**a_map(), "wrong": 1}),
            apply(f"{MAPS}/a", a_map({"k": 1})),
            apply(f"{MAPS}/a", a_map(["k"])),
            apply(f"{MAPS}/a", a_map("text")),
            apply(f"{MAPS}/a", a_map({"k": "1"}, finalizers="x")),
            apply(f"{MAPS}/a", a_map({"k": "1"}, finalizers=["example.com/a", "example.com/a"])),
            apply(f"{PODS}/p", a_pod({"image": "x"})),
            apply(f"{PODS}/p", a_pod({"name": "x", "image": "x"}, tolerations=7)),
        ),
    ),
    Scenario(
        name="an apply may not say who manages what, but which version and object it is about",
        steps=(
            apply(f"{MAPS}/a", a_map({"k": "1"}, resourceVersion="1")),
            apply(f"{MAPS}/a", a_map({"k": "1"}, uid="00000000-0000-0000-0000-000000000000")),
            apply(f"{MAPS}/a", a_map({"k": "1"}), save="made"),
            apply(f"{MAPS}/a", a_map({"k": "2"}, managedFields=[])),
            apply(f"{MAPS}/a", a_map({"k": "2"}, managedFields=None)),
            apply(f"{MAPS}/a", a_map({"k": "2"}, resourceVersion="1")),
            apply(f"{MAPS}/a", a_map({"k": "2"}, resourceVersion="${made.metadata.resourceVersion}")),
            apply(f"{MAPS}/a", a_map({"k": "3"}, uid="00000000-0000-0000-0000-000000000000")),
            apply(f"{MAPS}/a", a_map({"k": "4"}, uid="${made.metadata.uid}", creationTimestamp=None)),
        ),
    ),
    Scenario(
        name="an apply tried only",
        steps=(
            apply(f"{MAPS}/a", a_map({"k": "1"}), query={"dryRun": "All"}),
            get(f"{MAPS}/a"),
            apply(f"{MAPS}/a", a_map({"k": "1"})),
            apply(f"{MAPS}/a", a_map({"k": "2"}), query={"dryRun": "All"}),
            apply(f"{MAPS}/a", a_map({"k": "2"}), "other", query={"dryRun": "All"}),
            get(f"{MAPS}/a", managed=True),
        ),
    ),
    Scenario(
        name="an apply with empty and null values",
        steps=(
            apply(f"{MAPS}/a", a_map({"k": ""}, labels={}, annotations=None)),
            apply(f"{MAPS}/a", a_map({"k": None})),
            apply(f"{MAPS}/a", a_map({}, labels={"x": "1"})),
            apply(f"{MAPS}/a", {**a_map({"l": "1"}), "binaryData": None, "immutable": False}),
        ),
    ),
    Scenario(
        name="containers, environment and ports of an applied pod have an owner each",
        steps=(
            apply(
                f"{PODS}/p",
                a_pod(
                    {
                        "name": "one",
                        "image": "one:1",
                        "env": [{"name": "A", "value": "1"}],
                        "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}],
                        "command": ["a"],
                        "resources": {"limits": {"cpu": "1"}},
                    },
                    nodeSelector={"a": "b"},
                    tolerations=[{"key": "t", "operator": "Exists"}],
                ),
                "one",
                view="ownership",
            ),
            apply(f"{PODS}/p", a_pod({"name": "one", "image": "one:2"}), "two", view="ownership"),
            force(f"{PODS}/p", a_pod({"name": "one", "image": "one:2"}), "two", view="ownership"),
            apply(
                f"{PODS}/p",
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"x": "y"}}},
                "three",
                view="ownership",
            ),
            apply(
                f"{PODS}/p",
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}},
                "three",
                view="ownership",
            ),
        ),
    ),
    Scenario(
        name="ports of a service are told apart by port and protocol, which has a default",
        steps=(
            apply(
                f"{SERVICES}/s",
                a_service(ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}]),
                "one",
                view="ownership",
            ),
            apply(
                f"{SERVICES}/s",
                a_service(ports=[{"name": "c", "port": 80, "protocol": "UDP"}]),
                "two",
                view="ownership",
            ),
            apply(
                f"{SERVICES}/s",
                a_service(ports=[{"name": "x", "port": 80, "protocol": "TCP"}]),
                "two",
                view="ownership",
            ),
            apply(f"{SERVICES}/s", a_service(ports=[{"name": "a", "port": 80}]), "one", view="ownership"),
            apply(
                f"{SERVICES}/s",
                a_service(ports=[{"name": "a", "port": 80}, {"name": "d", "port": 80}]),
                "one",
                view="ownership",
            ),
        ),
    ),
    Scenario(
        name="taints of a node are one field, finalizers one each",
        leftovers=(NODE,),
        steps=(
            apply(NODE, a_node(spec={"taints": [{"key": "a", "effect": "NoSchedule"}]}), "one"),
            apply(NODE, a_node(spec={"taints": [{"key": "b", "effect": "NoSchedule"}]}), "two"),
            apply(NODE, a_node(spec={"unschedulable": True}), "two"),
            apply(NODE, a_node(), "two"),
            apply(NODE, a_node(metadata={"name": "${ns}", "finalizers": ["example.com/a"]}), "two"),
            apply(NODE, a_node(metadata={"name": "${ns}", "finalizers": ["example.com/b"]}), "three"),
            apply(NODE, a_node(), "two"),
        ),
    ),
    Scenario(
        name="an apply to a node's status owns nothing else",
        leftovers=(NODE,),
        steps=(
            post("/api/v1/nodes", a_node(), managed=True),
            apply(
                f"{NODE}/status",
                a_node(status={"allocatable": {"cpu": "4"}, "capacity": {"cpu": "4"}}),
                "one",
            ),
            apply(
                f"{NODE}/status",
                a_node(
                    status={"conditions": [{"type": "Ready", "status": "True"}]}, spec={"unschedulable": True}
                ),
                "two",
            ),
            apply(
                f"{NODE}/status", a_node(status={"conditions": [{"type": "Ready", "status": "False"}]}), "one"
            ),
            apply(NODE, a_node(status={"allocatable": {"cpu": "5"}}, spec={"unschedulable": True}), "one"),
            apply(f"{NODE}/status", a_node(), "two"),
            apply("/api/v1/nodes/${ns}-none/status", a_node(metadata={"name": "${ns}-none"}), "two"),
        ),
    ),
    Scenario(
        name="lists and maps of a custom resource merge as its schema says",
        leftovers=DEFINED_LEFT,
        steps=(
            *DEFINED,
            apply(
                f"{THINGS}/t",
                a_thing(
                    {
                        "plain": ["a"],
                        "set": ["a", "b"],
                        "map": [{"name": "x", "value": "1"}],
                        "two": [{"name": "x", "value": "1"}, {"name": "x", "port": 81}],
                        "whole": {"a": "1"},
                        "parts": {"a": "1"},
                        "free": {"a": "1"},
                        "any": {"deep": {"a": [1]}},
                        "either": 1,
                    }
                ),
                "one",
            ),
            apply(f"{THINGS}/t", a_thing({"set": ["c", "a"]}), "two"),
            apply(f"{THINGS}/t", a_thing({"map": [{"name": "y"}, {"name": "x"}]}), "two"),
            apply(f"{THINGS}/t", a_thing({"two": [{"name": "x", "port": 80, "value": "2"}]}), "two"),
            apply(f"{THINGS}/t", a_thing({"plain": ["b"]}), "two"),
            apply(f"{THINGS}/t", a_thing({"whole": {"b": "1"}}), "two"),
            apply(
                f"{THINGS}/t",
                a_thing({"parts": {"b": "1"}, "free": {"b": "1"}, "any": {"deep": {"b": 1}}}),
                "two",
            ),
            apply(f"{THINGS}/t", a_thing({"any": {"deep": {"a": [2]}}, "either": "1"}), "two"),
            apply(f"{THINGS}/t", a_thing({"number": 4}), "two"),
            apply(f"{THINGS}/t", a_thing({}), "two"),
            apply(f"{THINGS}/t", a_thing({}), "one"),
        ),
    ),
    Scenario(
        name="a custom resource applied with what its schema does not have",
        leftovers=DEFINED_LEFT,
        steps=(
            *DEFINED,
            apply(f"{THINGS}/t", a_thing({"wrong": 1})),
            apply(f"{THINGS}/t", a_thing({"number": "x"})),
            apply(f"{THINGS}/t", a_thing({"map": [{"value": "1"}]})),
            apply(f"{THINGS}/t", a_thing({"map": [{"name": "x"}, {"name": "x"}]})),
            apply(f"{THINGS}/t", a_thing({"set": ["x", "x"]})),
            apply(f"{THINGS}/t", a_thing({"plain": "x"})),
            apply(f"{THINGS}/t", a_thing({"two": [{"port": 1}]})),
        ),
    ),
    Scenario(
        name="the status of a custom resource is applied apart",
        leftovers=DEFINED_LEFT,
        steps=(
            *DEFINED,
            apply(f"{THINGS}/t", a_thing({"number": 1}, status={"number": 2}), "one"),
            apply(f"{THINGS}/t/status", a_thing({"number": 9}, status={"number": 2}), "one"),
            apply(f"{THINGS}/t/status", a_thing(status={"number": 3, "set": ["a"]}), "two"),
            force(f"{THINGS}/t/status", a_thing(status={"number": 3, "set": ["a"]}), "two"),
            put(f"{THINGS}/t/status", a_thing(status={"set": ["a", "b"]}), managed=True),
            apply(f"{THINGS}/none/status", a_thing(metadata={"name": "none"}, status={"number": 2}), "one"),
        ),
    ),
    Scenario(
        name="kubectl takes over what it applied on the client's side",
        steps=(
            post(
                MAPS,
                a_map(
                    {"k": "1", "l": "1"},
                    annotations={LAST_APPLIED: json.dumps(a_map({"k": "1", "l": "1"})) + "\n"},
                ),
                query={"fieldManager": "kubectl-client-side-apply"},
                managed=True,
            ),
            apply(f"{MAPS}/a", a_map({"k": "2", "l": "1"}), "other"),
            apply(f"{MAPS}/a", a_map({"k": "2", "l": "1"}), "kubectl"),
            patch(f"{MAPS}/a", {"data": {"k": "3"}}, MERGE, query={"fieldManager": "editor"}),
            apply(f"{MAPS}/a", a_map({"k": "4", "l": "2"}), "kubectl"),
            force(f"{MAPS}/a", a_map({"k": "4"}), "kubectl"),
        ),
    ),
    Scenario(
        name="an object nobody tracked gets a manager when the first apply comes",
        steps=(
            post(MAPS, a_map({"k": "1", "l": "1"})),
            patch(f"{MAPS}/a", {"metadata": {"managedFields": [{}]}}, MERGE, managed=True),
            patch(f"{MAPS}/a", {"data": {"k": "2"}}, MERGE, managed=True),
            apply(f"{MAPS}/a", a_map({"k": "3"})),
            apply(f"{MAPS}/a", a_map({"k": "2"})),
            apply(f"{MAPS}/a", a_map({"m": "2"})),
        ),
    ),
    Scenario(
        name="an apply of a suspended job",
        steps=(
            apply(
                f"{JOBS}/j",
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "metadata": {"name": "j"},
                    "spec": {
                        "suspend": True,
                        "parallelism": 2,
                        "template": {
                            "spec": {
                                "restartPolicy": "Never",
                                "containers": [{"name": "c", "image": "i:1"}],
                                "nodeSelector": {"a": "b"},
                            }
                        },
                    },
                },
                "one",
                view="ownership",
            ),
            get(
                f"{JOBS}/j",
                until={"object.status.conditions.0.type": "Suspended"},
                managed=True,
                view="ownership",
            ),
            apply(
                f"{JOBS}/j",
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "metadata": {"name": "j"},
                    "spec": {"template": {"spec": {"nodeSelector": {"a": "c"}}}},
                },
                "two",
                view="ownership",
            ),
            apply(
                f"{JOBS}/j",
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "metadata": {"name": "j"},
                    "spec": {"parallelism": 2},
                },
                "two",
                view="ownership",
            ),
        ),
    ),
    Scenario(
        name="what others added stays when a manager gives up the parent",
        steps=(
            apply(f"{MAPS}/a", a_map({"k": "1"}, labels={"x": "1"}), "one"),
            patch(f"{MAPS}/a", {"metadata": {"labels": {"y": "2"}}}, MERGE, managed=True),
            apply(f"{MAPS}/a", a_map({"k": "1"}), "one"),
            patch(f"{MAPS}/a", {"metadata": {"labels": {"y": None}}}, MERGE, managed=True),
        ),
    ),
    Scenario(
        name="an apply to what is being deleted",
        steps=(
            apply(f"{MAPS}/a", a_map({"k": "1"}, finalizers=["example.com/a"]), "one"),
            delete(f"{MAPS}/a", view="kind_and_message"),
            apply(f"{MAPS}/a", a_map({"k": "2"}, finalizers=["example.com/a", "example.com/b"]), "one"),
            apply(f"{MAPS}/a", a_map({"k": "2"}, finalizers=["example.com/a"]), "one"),
            apply(f"{MAPS}/a", a_map({"k": "2"}), "one", view="nothing"),
            get(f"{MAPS}/a"),
        ),
    ),
)
