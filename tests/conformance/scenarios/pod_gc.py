"""What becomes of pods that no kubelet ends: on nodes that are deleted or out of service, or on none."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import STRATEGIC, Ask, Scenario, delete, get, patch, post, wait

from ._jobs import INDEXED, JOBS, conditions, job, rules
from .pod_verbs import bound, evict, phase
from .pods import PODS, bare

NODES = "/api/v1/nodes"
NODE = f"{NODES}/node-${{ns}}"
FINALIZER = "example.org/hold"
#: A node is missed within 20 s, and its pods are let be for 40 s more.
BEFORE, AFTER = 35.0, 27.0


def node(name: str = "node-${ns}", ready: str = "Unknown") -> tuple[Ask, ...]:
    """A node whose kubelet is silent."""
    body = {"metadata": {"name": name}}
    status = {"conditions": [{"type": "Ready", "status": ready, "reason": "NodeStatusUnknown"}]}
    return (
        post(NODES, body, view="nothing"),
        patch(f"{NODES}/{name}/status", {"status": status}, STRATEGIC, view="nothing"),
    )


def held(name: str, **spec: Any) -> Ask:
    """A pod that somebody's finalizer keeps."""
    body = bare(name, **spec)
    body["metadata"]["finalizers"] = [FINALIZER]
    return post(PODS, body, view="nothing")


def lets_go(name: str) -> Ask:
    return patch(f"{PODS}/{name}", {"metadata": {"finalizers": None}}, view="nothing")


def job_on_node(name: str, **spec: Any) -> Ask:
    inner = {"nodeName": "node-${ns}", "schedulerName": "nobody"}
    return post(JOBS, job(name, pod=inner, **spec), view="nothing")


SCENARIOS = (
    Scenario(
        name="pods of a node that is deleted stay for a while, fail and go",
        leftovers=(NODE,),
        steps=(
            *node(),
            bound("idle"),
            bound("runs"),
            phase("runs", "Running"),
            held("held", nodeName="node-${ns}"),
            phase("held", "Running"),
            held("evicted", nodeName="node-${ns}"),
            phase("evicted", "Running"),
            evict("evicted"),
            held("done", nodeName="node-${ns}"),
            phase("done", "Succeeded"),
            delete(NODE, view="nothing"),
            wait(BEFORE),
            get(f"{PODS}/runs"),
            get(f"{PODS}/held"),
            wait(AFTER),
            get(f"{PODS}/idle", until={"code": 404}),
            get(f"{PODS}/runs", until={"code": 404}),
            get(f"{PODS}/held", until={"object.status.phase": "Failed"}, managed=True),
            get(f"{PODS}/evicted", until={"object.status.phase": "Failed"}),
            get(f"{PODS}/done"),
            lets_go("held"),
            get(f"{PODS}/held"),
            lets_go("evicted"),
            lets_go("done"),
            get(f"{PODS}/done"),
        ),
    ),
    Scenario(
        name="a node that comes back in time keeps its pods",
        leftovers=(NODE,),
        steps=(
            *node(),
            bound("runs"),
            phase("runs", "Running"),
            delete(NODE, view="nothing"),
            wait(30),
            *node(),
            wait(40),
            get(f"{PODS}/runs"),
        ),
    ),
    Scenario(
        name="a pod bound to a node that never was goes as well",
        steps=(
            bound("lost"),
            wait(BEFORE),
            get(f"{PODS}/lost"),
            wait(AFTER),
            get(f"{PODS}/lost", until={"code": 404}),
        ),
    ),
    Scenario(
        name="pods of Jobs on a node that is deleted count by the rules of their Jobs",
        leftovers=(NODE,),
        steps=(
            *node(),
            job_on_node(
                "ignores",
                podFailurePolicy=rules(conditions("Ignore", ("DisruptionTarget", "True"))),
                backoffLimit=0,
            ),
            job_on_node("counts", backoffLimit=0, **INDEXED),
            get(PODS, until={"object.items.3.spec.nodeName": "node-${ns}"}, save="pods", view="nothing"),
            delete(NODE, view="nothing"),
            wait(BEFORE),
            get(f"{JOBS}/counts", view="of_job"),
            wait(AFTER),
            get(f"{JOBS}/counts", until={"object.status.conditions.1.type": "Failed"}, view="of_job"),
            get(
                f"{JOBS}/ignores",
                until={"object.status.active": 1, "object.status.terminating": 0},
                view="of_job",
            ),
        ),
    ),
    Scenario(
        name="pods on a node that is out of service go once they are deleted",
        leftovers=(NODE, f"{NODES}/ready-${{ns}}"),
        steps=(
            *node(),
            *node("ready-${ns}", "True"),
            bound("runs"),
            phase("runs", "Running"),
            held("held", nodeName="node-${ns}"),
            phase("held", "Running"),
            bound("stays"),
            post(PODS, bare("kubelet", nodeName="ready-${ns}"), view="nothing"),
            *(
                patch(
                    f"{NODES}/{name}",
                    {
                        "spec": {
                            "taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]
                        }
                    },
                    view="nothing",
                )
                for name in ("node-${ns}", "ready-${ns}")
            ),
            delete(f"{PODS}/runs", view="nothing"),
            delete(f"{PODS}/held", view="nothing"),
            delete(f"{PODS}/kubelet", view="nothing"),
            wait(21),
            get(f"{PODS}/runs", until={"code": 404}),
            get(f"{PODS}/held", until={"object.status.phase": "Failed"}),
            get(f"{PODS}/stays"),
            get(f"{PODS}/kubelet"),
            lets_go("held"),
        ),
    ),
    Scenario(
        name="a pod without a node that is deleted fails though a finalizer keeps it",
        steps=(
            held("held"),
            delete(f"{PODS}/held", view="nothing"),
            wait(21),
            get(f"{PODS}/held", until={"object.status.phase": "Failed"}),
            lets_go("held"),
            get(f"{PODS}/held"),
        ),
    ),
)
