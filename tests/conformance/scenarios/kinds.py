"""What each small built-in kind demands: ConfigMap, Secret, ServiceAccount, Node, PriorityClass."""

from __future__ import annotations

from tests.conformance.steps import Scenario, delete, get, patch, post

MAPS = "/api/v1/namespaces/${ns}/configmaps"
SECRETS = "/api/v1/namespaces/${ns}/secrets"
ACCOUNTS = "/api/v1/namespaces/${ns}/serviceaccounts"
NODES = "/api/v1/nodes"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"


SCENARIOS = (
    Scenario(
        name="an immutable config map keeps its data",
        steps=(
            post(MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}, "immutable": True}),
            patch(f"{MAPS}/a", {"data": {"x": "2"}}),
            patch(f"{MAPS}/a", {"immutable": False}),
            patch(f"{MAPS}/a", {"binaryData": {"y": "AA=="}}),
            patch(f"{MAPS}/a", {"metadata": {"labels": {"may": "change"}}}),
        ),
    ),
    Scenario(
        name="keys and values of a config map",
        steps=(
            post(MAPS, {"metadata": {"name": "a"}, "data": {"bad key": "1"}}),
            post(MAPS, {"metadata": {"name": "a"}, "data": {"..": "1"}}),
            post(MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}, "binaryData": {"x": "AA=="}}),
            post(MAPS, {"metadata": {"name": "a"}, "binaryData": {"x": "AAEC/w=="}}),
        ),
    ),
    Scenario(
        name="a secret's type is chosen once and its plain strings are encoded",
        steps=(
            post(SECRETS, {"metadata": {"name": "a"}, "stringData": {"x": "1"}}),
            get(f"{SECRETS}/a"),
            patch(f"{SECRETS}/a", {"type": "example.org/other"}),
            patch(f"{SECRETS}/a", {"stringData": {"y": "2"}}),
            patch(f"{SECRETS}/a", {"immutable": True}),
            patch(f"{SECRETS}/a", {"stringData": {"y": "3"}}),
            patch(f"{SECRETS}/a", {"immutable": None}),
            post(SECRETS, {"metadata": {"name": "b"}, "type": "kubernetes.io/tls"}),
            post(SECRETS, {"metadata": {"name": "b"}, "type": "kubernetes.io/dockerconfigjson"}),
            post(
                SECRETS,
                {
                    "metadata": {"name": "b"},
                    "type": "kubernetes.io/dockerconfigjson",
                    "stringData": {".dockerconfigjson": "not json"},
                },
            ),
            post(SECRETS, {"metadata": {"name": "b"}, "type": "kubernetes.io/basic-auth"}),
            post(SECRETS, {"metadata": {"name": "b"}, "type": "kubernetes.io/ssh-auth"}),
            post(SECRETS, {"metadata": {"name": "b"}, "type": "kubernetes.io/service-account-token"}),
            post(SECRETS, {"metadata": {"name": "b"}, "stringData": {"bad key": "1"}}),
            post(SECRETS, {"metadata": {"name": "c"}, "type": "example.org/own", "data": {"x": "AA=="}}),
        ),
    ),
    Scenario(
        name="a service account is an object like any other",
        steps=(
            post(ACCOUNTS, {"metadata": {"name": "robot"}, "automountServiceAccountToken": False}),
            patch(f"{ACCOUNTS}/robot", {"secrets": [{"name": "s"}], "imagePullSecrets": [{"name": "p"}]}),
            delete(f"{ACCOUNTS}/robot"),
        ),
    ),
    Scenario(
        name="a node from creation to deletion",
        leftovers=("/api/v1/nodes/${ns}",),
        steps=(
            post(
                NODES,
                {"metadata": {"name": "${ns}"}, "status": {"capacity": {"cpu": "4", "memory": "1Gi"}}},
                view="node",
            ),
            patch(f"{NODES}/${{ns}}", {"spec": {"unschedulable": True}}, view="node"),
            patch(f"{NODES}/${{ns}}", {"status": {"phase": "Running"}}, view="node"),
            patch(f"{NODES}/${{ns}}/status", {"status": {"allocatable": {"cpu": "3"}}}, view="node"),
            patch(f"{NODES}/${{ns}}/status", {"spec": {"unschedulable": False}}, view="node"),
            patch(
                f"{NODES}/${{ns}}",
                {"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}},
                view="node",
            ),
            patch(f"{NODES}/${{ns}}", {"spec": {"taints": [{"key": "k", "effect": "Never"}]}}, view="node"),
            patch(
                f"{NODES}/${{ns}}",
                {
                    "spec": {
                        "taints": [
                            {"key": "k", "value": "v", "effect": "NoSchedule"},
                            {"key": "k", "value": "w", "effect": "NoSchedule"},
                        ]
                    }
                },
                view="node",
            ),
            patch(f"{NODES}/${{ns}}", {"spec": {"podCIDR": "10.0.0.0/24"}}, view="node"),
            patch(f"{NODES}/${{ns}}", {"spec": {"providerID": "a://b"}}, view="node"),
            patch(f"{NODES}/${{ns}}", {"spec": {"providerID": "a://c"}}, view="node"),
            get(f"{NODES}/${{ns}}/status", view="node"),
            delete(f"{NODES}/${{ns}}", view="node"),
        ),
    ),
    Scenario(
        name="a priority class has a fixed value, and one is the default",
        leftovers=(f"{CLASSES}/${{ns}}", f"{CLASSES}/${{ns}}-b"),
        steps=(
            post(CLASSES, {"metadata": {"name": "${ns}"}, "value": 1000, "description": "for tests"}),
            patch(f"{CLASSES}/${{ns}}", {"value": 2000}),
            patch(f"{CLASSES}/${{ns}}", {"preemptionPolicy": "Never"}),
            patch(f"{CLASSES}/${{ns}}", {"description": "changed"}),
            post(CLASSES, {"metadata": {"name": "${ns}-b"}, "value": 2000000000}),
            post(CLASSES, {"metadata": {"name": "${ns}-b"}, "value": 1000000001}),
            post(CLASSES, {"metadata": {"name": "system-${ns}"}, "value": 5}),
            post(CLASSES, {"metadata": {"name": "${ns}-b"}, "value": 5, "preemptionPolicy": "Sometimes"}),
            post(CLASSES, {"metadata": {"name": "${ns}-b"}}),
            delete(f"{CLASSES}/${{ns}}"),
            delete(f"{CLASSES}/system-node-critical"),
            get(f"{CLASSES}/system-cluster-critical"),
        ),
    ),
)
