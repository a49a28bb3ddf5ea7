"""Patches of pods: lists that merge by their keys, what is frozen, and who manages which field."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import MERGE, STRATEGIC, Ask, Scenario, get, patch, post

PODS = "/api/v1/namespaces/${ns}/pods"

#: Gated: no scheduler touches it.
POD: dict[str, Any] = {
    "metadata": {"name": "p"},
    "spec": {
        "automountServiceAccountToken": False,
        "schedulingGates": [{"name": "example.com/a"}, {"name": "example.com/b"}],
        "tolerations": [{"key": "t", "operator": "Exists"}],
        "containers": [
            {
                "name": "one",
                "image": "one:1",
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP", "name": "u"}],
                "command": ["a", "b"],
            },
            {"name": "two", "image": "two:1"},
        ],
    },
}
RICH: dict[str, Any] = {
    "metadata": {"name": "p", "labels": {"a": "b"}, "annotations": {"c": "d"}},
    "spec": {
        "automountServiceAccountToken": False,
        "schedulingGates": [{"name": "example.com/a"}],
        "tolerations": [{"key": "t", "operator": "Exists"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [
            {
                "name": "one",
                "image": "one:1",
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
                "ports": [{"containerPort": 80}],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "resources": {"requests": {"cpu": "1"}},
            }
        ],
    },
}


def of_pod(body: Any, **more: Any) -> Ask:
    """A strategic merge patch of the pod `p`, tried only: little of a pod may change."""
    return patch(f"{PODS}/p", body, STRATEGIC, query={"dryRun": "All"}, view="pod_lists", **more)


SCENARIOS = (
    Scenario(
        name="a strategic merge patch merges containers, environment and ports by their keys",
        steps=(
            post(PODS, POD, view="pod_lists"),
            of_pod({"spec": {"containers": [{"name": "one", "image": "one:2"}]}}),
            of_pod(
                {
                    "spec": {
                        "containers": [{"name": "two", "image": "two:2"}, {"name": "one", "image": "one:3"}]
                    }
                }
            ),
            of_pod({"spec": {"containers": [{"image": "three:1"}]}}),
            of_pod(
                {
                    "spec": {
                        "tolerations": [
                            {"key": "t", "operator": "Exists"},
                            {"key": "u", "operator": "Exists"},
                        ]
                    }
                }
            ),
            of_pod({"spec": {"schedulingGates": [{"$patch": "delete", "name": "example.com/a"}]}}),
            of_pod({"spec": {"schedulingGates": [{"$patch": "replace"}]}}),
            of_pod({"spec": {"schedulingGates": None}}),
            of_pod(
                {
                    "spec": {
                        "$setElementOrder/containers": [{"name": "one"}, {"name": "two"}],
                        "containers": [{"name": "two", "image": "two:3"}],
                    }
                }
            ),
            of_pod(
                {
                    "spec": {
                        "$setElementOrder/schedulingGates": [{"name": "example.com/b"}],
                        "schedulingGates": [{"$patch": "delete", "name": "example.com/a"}],
                    }
                }
            ),
            of_pod(
                {"spec": {"$setElementOrder/containers": [{"name": "one"}], "containers": [{"name": "two"}]}}
            ),
            of_pod({"spec": {"nodeSelector": {"a": "b"}}}),
        ),
    ),
    Scenario(
        name="a strategic merge patch may not add to what is frozen",
        steps=(
            post(PODS, POD, view="pod_lists"),
            of_pod({"spec": {"containers": [{"name": "one", "env": [{"name": "A", "value": "9"}]}]}}),
            of_pod({"spec": {"containers": [{"name": "one", "ports": [{"containerPort": 81}]}]}}),
            of_pod({"spec": {"containers": [{"$patch": "delete", "name": "two"}]}}),
            of_pod({"spec": {"schedulingGates": [{"name": "example.com/new"}]}}),
        ),
    ),
    Scenario(
        name="the fields of a pod as its maker wrote them, with their defaults",
        steps=(
            post(PODS, RICH, managed=True, view="ownership", agent="maker/1"),
            patch(
                f"{PODS}/p/status",
                {"status": {"conditions": [{"type": "Odd", "status": "True"}], "podIP": "10.0.0.1"}},
                STRATEGIC,
                agent="kubelet/1",
                managed=True,
                view="ownership",
            ),
            patch(
                f"{PODS}/p/status",
                {"metadata": {"labels": {"e": "f"}}, "status": {"podIPs": [{"ip": "10.0.0.1"}]}},
                STRATEGIC,
                agent="kubelet/1",
                managed=True,
                view="ownership",
            ),
            patch(
                f"{PODS}/p",
                {"spec": {"schedulingGates": None, "nodeSelector": {"x": "${ns}"}}},
                MERGE,
                agent="operator/1",
                managed=True,
                view="ownership",
            ),
            get(
                f"{PODS}/p",
                until={"object.status.conditions.1.reason": "Unschedulable"},
                managed=True,
                view="ownership",
            ),
        ),
    ),
)
