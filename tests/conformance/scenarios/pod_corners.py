"""Odd but likely requests about pods."""

from __future__ import annotations

from tests.conformance.steps import JSON_PATCH, STRATEGIC, Scenario, delete, get, patch, post, put

from .budgets import BUDGETS, SELECTOR, counted, running
from .pod_verbs import NODE, bind, bound, evict
from .pods import PODS, bare, container

SCENARIOS = (
    Scenario(
        name="a status gets conditions one by one",
        steps=(
            post(PODS, bare("a", schedulingGates=[{"name": "wait"}])),
            patch(
                f"{PODS}/a/status",
                {"status": {"conditions": [{"type": "example.com/Checked", "status": "True"}]}},
                STRATEGIC,
            ),
            patch(
                f"{PODS}/a/status",
                {"status": {"conditions": [{"type": "PodScheduled", "$patch": "delete"}]}},
                STRATEGIC,
            ),
            patch(f"{PODS}/a/status", {"status": {"conditions": None}}),
        ),
    ),
    Scenario(
        name="updates with an old version, and patches of what is not there",
        steps=(
            post(PODS, bare("a", schedulingGates=[{"name": "wait"}]), save="old"),
            patch(f"{PODS}/a", {"metadata": {"annotations": {"a": "b"}}}),
            put(f"{PODS}/a", "${old}"),
            patch(f"{PODS}/a", [{"op": "remove", "path": "/spec/schedulingGates/0"}], JSON_PATCH),
            patch(f"{PODS}/absent", {"metadata": {"labels": {"a": "b"}}}),
            put(f"{PODS}/b", bare("a")),
        ),
    ),
    Scenario(
        name="spec fields of other worlds",
        steps=(
            post(PODS, bare("ephemeral", ephemeralContainers=[container("debug")])),
            post(
                PODS,
                bare("ports", container(ports=[{"containerPort": 80, "hostPort": 81}]), hostNetwork=True),
            ),
            post(
                PODS,
                bare(
                    "amounts",
                    container(
                        env=[
                            {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}},
                            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "a/b"}}},
                        ]
                    ),
                ),
            ),
            post(PODS, bare("identity", securityContext={"runAsUser": -1, "fsGroup": 5})),
            post(PODS, bare("gates", readinessGates=[{"conditionType": "not a type"}])),
            post(
                PODS,
                bare(
                    "init-gpu", initContainers=[container("i", resources={"limits": {"nvidia.com/gpu": "1"}})]
                ),
            ),
        ),
    ),
    Scenario(
        name="a whole collection of pods is deleted with a grace period",
        steps=(
            bound("a"),
            post(PODS, bare("b")),
            delete(PODS, {"gracePeriodSeconds": 5}, view="nothing"),
            get(f"{PODS}/a"),
            get(f"{PODS}/b"),
        ),
    ),
    Scenario(
        name="a pod that ended may still be bound, and one bound at creation may not",
        steps=(
            post(PODS, bare("a")),
            patch(f"{PODS}/a/status", {"status": {"phase": "Succeeded"}}, STRATEGIC),
            bind("a"),
            bound("b"),
            bind("b", {"kind": "Node", "name": NODE}),
        ),
    ),
    Scenario(
        name="a share of nothing, and none unavailable",
        steps=(
            post(
                BUDGETS, {"metadata": {"name": "a"}, "spec": {"selector": SELECTOR, "minAvailable": "100%"}}
            ),
            *running("one"),
            counted(currentHealthy=1),
            evict("one"),
            patch(f"{BUDGETS}/a", {"spec": {"minAvailable": None, "maxUnavailable": 0}}),
            counted(generation=2),
        ),
    ),
)
