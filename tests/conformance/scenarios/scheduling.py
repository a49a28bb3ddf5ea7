"""What kube-scheduler does with pods: which node they get, why they get none, who makes way for them.

Messages that count the nodes of the cluster are recorded only where a scenario's node is the only one that matters to
what is compared; elsewhere a view keeps to the reason.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, delete, get, patch, post

from .pods import CLASSES, PODS, container

NODES = "/api/v1/nodes"
ROOM = {"cpu": "4", "memory": "8Gi", "pods": "10"}


def node(
    name: str, labels: dict[str, str] | None = None, room: dict[str, str] | None = None, **spec: Any
) -> Ask:
    """A node only pods of this scenario select, and whether it takes them."""
    body = {
        "metadata": {"name": f"${{ns}}-{name}", "labels": {"scenario": "${ns}", **(labels or {})}},
        "spec": spec,
        "status": {"allocatable": {**ROOM, **(room or {})}},
    }
    return post(NODES, body, view="nothing")


def place(name: str, cpu: str = "1", labels: dict[str, str] | None = None, **spec: Any) -> Ask:
    """A pod for the nodes of this scenario."""
    asked = {"requests": {"cpu": cpu}}
    body = {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {
            "automountServiceAccountToken": False,
            "nodeSelector": {"scenario": "${ns}"},
            "containers": [container(resources=asked)],
            **spec,
        },
    }
    return post(PODS, body, view="nothing")


def gets(name: str, where: str) -> Ask:
    """The pod once it has a node."""
    return get(f"{PODS}/{name}", until={"object.spec.nodeName": f"${{ns}}-{where}"}, view="placement")


def waits(name: str, reason: str = "Unschedulable") -> Ask:
    """The pod once the scheduler has said that it cannot be bound."""
    return get(f"{PODS}/{name}", until={"object.status.conditions.0.reason": reason}, view="placement")


def left(*names: str) -> tuple[str, ...]:
    return tuple(f"{NODES}/${{ns}}-{name}" for name in names)


def near(kind: str, label: str, key: str = "zone") -> Any:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": label}}}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def spread(**fields: Any) -> Any:
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "a"}},
                **fields,
            }
        ]
    }


SCENARIOS = (
    Scenario(
        name="a pod gets the node that has room, and another waits for it",
        leftovers=left("a"),
        steps=(
            node("a"),
            place("first", cpu="3"),
            gets("first", "a"),
            place("second", cpu="2"),
            waits("second"),
            delete(f"{PODS}/first", {"gracePeriodSeconds": 0}, view="nothing"),
            gets("second", "a"),
        ),
    ),
    Scenario(
        name="a pod that no node selects waits until one does",
        leftovers=left("a"),
        steps=(
            node("a", {"zone": "a"}),
            place("p", nodeSelector={"scenario": "${ns}", "zone": "b"}),
            waits("p"),
            patch(f"{NODES}/${{ns}}-a", {"metadata": {"labels": {"zone": "b"}}}, view="nothing"),
            gets("p", "a"),
        ),
    ),
    Scenario(
        name="a gated pod is left alone until its gates are gone",
        leftovers=left("a"),
        steps=(
            node("a"),
            place("p", schedulingGates=[{"name": "wait"}]),
            waits("p", "SchedulingGated"),
            patch(f"{PODS}/p", {"spec": {"schedulingGates": None}}, view="nothing"),
            gets("p", "a"),
        ),
    ),
    Scenario(
        name="a taint keeps pods away that do not tolerate it",
        leftovers=left("a"),
        steps=(
            node("a", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]),
            place("plain"),
            waits("plain"),
            place("other", tolerations=[{"key": "gpu", "value": "no", "effect": "NoSchedule"}]),
            waits("other"),
            place("tolerant", tolerations=[{"key": "gpu", "operator": "Exists"}]),
            gets("tolerant", "a"),
        ),
    ),
    Scenario(
        name="a cordoned node takes nobody until it is uncordoned",
        leftovers=left("a"),
        steps=(
            node("a", unschedulable=True),
            place("p"),
            waits("p"),
            patch(f"{NODES}/${{ns}}-a", {"spec": {"unschedulable": None}}, view="nothing"),
            gets("p", "a"),
        ),
    ),
    Scenario(
        name="devices, places and memory are counted",
        leftovers=left("a"),
        steps=(
            node("a", room={"pods": "2", "nvidia.com/gpu": "8"}),
            place("gpu", containers=[container(resources={"limits": {"nvidia.com/gpu": "8"}})]),
            gets("gpu", "a"),
            place("more", containers=[container(resources={"limits": {"nvidia.com/gpu": "1"}})]),
            waits("more"),
            place("memory", containers=[container(resources={"requests": {"memory": "9Gi"}})]),
            waits("memory"),
            place("second"),
            gets("second", "a"),
            place("third"),
            waits("third"),
        ),
    ),
    Scenario(
        name="a node that says nothing of pods takes none",
        leftovers=left("a"),
        steps=(node("a", room={"pods": "0"}), place("p"), waits("p")),
    ),
    Scenario(
        name="init containers and sidecars count as they run",
        leftovers=left("a"),
        steps=(
            node("a"),
            place(
                "big-init",
                cpu="1",
                initContainers=[container("first", resources={"requests": {"cpu": "5"}})],
            ),
            waits("big-init"),
            place(
                "sidecar",
                cpu="3",
                initContainers=[
                    container("log", restartPolicy="Always", resources={"requests": {"cpu": "2"}})
                ],
            ),
            waits("sidecar"),
            place(
                "fits",
                cpu="2",
                initContainers=[container("first", resources={"requests": {"cpu": "4"}})],
            ),
            gets("fits", "a"),
        ),
    ),
    Scenario(
        name="required node affinity and preferred node affinity",
        leftovers=left("a", "b"),
        steps=(
            node("a", {"zone": "a"}),
            node("b", {"zone": "b"}),
            place(
                "required",
                affinity={
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}
                            ]
                        }
                    }
                },
            ),
            gets("required", "b"),
            place(
                "by-name",
                affinity={
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {
                                    "matchFields": [
                                        {"key": "metadata.name", "operator": "In", "values": ["${ns}-a"]}
                                    ]
                                }
                            ]
                        }
                    }
                },
            ),
            gets("by-name", "a"),
            place(
                "preferred",
                cpu="100m",
                affinity={
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 100,
                                "preference": {
                                    "matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]
                                },
                            }
                        ]
                    }
                },
            ),
            gets("preferred", "b"),
        ),
    ),
    Scenario(
        name="pods near and far from others",
        leftovers=left("a", "b"),
        steps=(
            node("a", {"zone": "a"}),
            node("b", {"zone": "b"}),
            place("base", labels={"app": "a"}, nodeSelector={"zone": "a", "scenario": "${ns}"}),
            gets("base", "a"),
            place("near", affinity=near("podAffinity", "a")),
            gets("near", "a"),
            place("far", labels={"app": "b"}, affinity=near("podAntiAffinity", "a")),
            gets("far", "b"),
            place("nowhere", affinity=near("podAffinity", "absent")),
            waits("nowhere"),
            place("shunned", labels={"app": "a"}, nodeSelector={"zone": "b", "scenario": "${ns}"}),
            waits("shunned"),
        ),
    ),
    Scenario(
        name="the first of a group that wants to be together starts anywhere",
        leftovers=left("a"),
        steps=(
            node("a", {"zone": "a"}),
            place("first", labels={"app": "a"}, affinity=near("podAffinity", "a")),
            gets("first", "a"),
        ),
    ),
    Scenario(
        name="pods are spread over zones",
        leftovers=left("a", "b"),
        steps=(
            node("a", {"zone": "a"}),
            node("b", {"zone": "b"}),
            place("one", labels={"app": "a"}, nodeSelector={"zone": "a", "scenario": "${ns}"}),
            gets("one", "a"),
            place("two", labels={"app": "a"}, **spread()),
            gets("two", "b"),
            place("three", labels={"app": "a"}, nodeSelector={"scenario": "${ns}"}, **spread(minDomains=3)),
            waits("three"),
        ),
    ),
    Scenario(
        name="ports of the node are given once",
        leftovers=left("a"),
        steps=(
            node("a"),
            place("one", containers=[container(ports=[{"containerPort": 80, "hostPort": 80}])]),
            gets("one", "a"),
            place("two", containers=[container(ports=[{"containerPort": 80, "hostPort": 80}])]),
            waits("two"),
        ),
    ),
    Scenario(
        name="a pod of lower priority makes way",
        leftovers=(*left("a"), f"{CLASSES}/" + "${ns}-high"),
        steps=(
            post(CLASSES, {"metadata": {"name": "${ns}-high"}, "value": 1000}, view="nothing"),
            node("a"),
            place("low", cpu="3"),
            gets("low", "a"),
            place("high", cpu="2", priorityClassName="${ns}-high"),
            get(f"{PODS}/high", until={"object.status.nominatedNodeName": "${ns}-a"}, view="placement"),
            get(f"{PODS}/low", view="placement"),
            delete(f"{PODS}/low", {"gracePeriodSeconds": 0}, view="nothing"),
            gets("high", "a"),
        ),
    ),
    Scenario(
        name="a polite pod waits although its priority is higher",
        leftovers=(*left("a"), f"{CLASSES}/" + "${ns}-polite"),
        steps=(
            post(
                CLASSES,
                {"metadata": {"name": "${ns}-polite"}, "value": 1000, "preemptionPolicy": "Never"},
                view="nothing",
            ),
            node("a"),
            place("low", cpu="3"),
            gets("low", "a"),
            place("polite", cpu="2", priorityClassName="${ns}-polite"),
            waits("polite"),
        ),
    ),
    Scenario(
        name="a pod for another scheduler is left alone",
        leftovers=left("a"),
        steps=(
            node("a"),
            place("p", schedulerName="nobody"),
            place("q"),
            gets("q", "a"),
            get(f"{PODS}/p", view="placement"),
        ),
    ),
    Scenario(
        name="a spread over zones does not hold for a pod whose node is given",
        leftovers=left("a", "b"),
        steps=(
            node("a", {"zone": "a", "kubernetes.io/hostname": "${ns}-a"}),
            node("b", {"zone": "b", "kubernetes.io/hostname": "${ns}-b"}),
            place("first", labels={"app": "a"}, nodeSelector={"kubernetes.io/hostname": "${ns}-a"}),
            gets("first", "a"),
            place(
                "second",
                labels={"app": "a"},
                **{**spread(), "nodeSelector": {"kubernetes.io/hostname": "${ns}-a"}},
            ),
            gets("second", "a"),
            place("third", labels={"app": "a"}, **spread()),
            gets("third", "b"),
        ),
    ),
)
