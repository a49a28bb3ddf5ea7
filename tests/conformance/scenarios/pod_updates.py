"""What may change in a pod that exists: its spec, its gates, its status, its generation."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import JSON_PATCH, STRATEGIC, Ask, Scenario, get, patch, post, put

from .pods import PODS, bare, container

GATE = {"name": "example.com/wait"}


def gated(name: str, **spec: Any) -> Ask:
    return post(PODS, bare(name, schedulingGates=[GATE, {"name": "other"}], **spec))


def change(name: str, **spec: Any) -> Ask:
    """A merge patch of a pod's spec."""
    return patch(f"{PODS}/{name}", {"spec": spec})


def report(name: str, **status: Any) -> Ask:
    """A strategic merge patch of a pod's status."""
    return patch(f"{PODS}/{name}/status", {"status": status}, STRATEGIC)


def required(*terms: Any) -> Any:
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    }


def term(*keys: str) -> Any:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": ["a"]} for key in keys]}


def state(name: str = "main", **state: Any) -> Any:
    return {
        "name": name,
        "image": "registry.example/train:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": state,
    }


def ended(code: int) -> Any:
    return state(terminated={"exitCode": code, "reason": "Error"})


RUNNING = state(running={"startedAt": "2026-01-01T00:00:00Z"})

SCENARIOS = (
    Scenario(
        name="the image may change, and counts as a new generation",
        steps=(
            post(PODS, bare("a")),
            patch(f"{PODS}/a", {"spec": {"containers": [{"name": "main", "image": "train:2"}]}}, STRATEGIC),
            patch(f"{PODS}/a", {"spec": {"containers": [{"name": "main", "image": ""}]}}, STRATEGIC),
            patch(f"{PODS}/a", {"spec": {"containers": [{"name": "main", "image": " train"}]}}, STRATEGIC),
            patch(f"{PODS}/a", {"metadata": {"labels": {"a": "b"}}}),
        ),
    ),
    Scenario(
        name="what else a pod spec holds is frozen, and the answer shows the difference",
        steps=(
            post(PODS, bare("a", nodeSelector={"zone": "a"})),
            change("a", nodeSelector={"zone": "b"}),
            change("a", nodeSelector={"rack": "r1"}),
            change("a", nodeName="somewhere"),
            change("a", schedulerName="somebody"),
            change("a", priority=5),
            change("a", restartPolicy="Never"),
            change("a", terminationGracePeriodSeconds=5),
            change("a", serviceAccountName="other"),
            change("a", hostNetwork=True),
            change("a", affinity=required(term("zone"))),
        ),
    ),
    Scenario(
        name="containers neither come nor go, and keep all but their image",
        steps=(
            post(PODS, bare("a")),
            change("a", containers=[container(), container("second")]),
            change("a", containers=[]),
            change("a", initContainers=[container("first")]),
            change("a", containers=[container(command=["sh"])]),
            change("a", containers=[container(resources={"limits": {"cpu": "1"}})]),
            change("a", containers=[container("renamed")]),
        ),
    ),
    Scenario(
        name="tolerations are only added",
        steps=(
            post(PODS, bare("a", tolerations=[{"key": "gpu", "operator": "Exists"}])),
            change("a", tolerations=[]),
            change("a", tolerations=[{"key": "other", "operator": "Exists"}]),
            patch(
                f"{PODS}/a",
                [{"op": "add", "path": "/spec/tolerations/-", "value": {"key": "new", "operator": "Exists"}}],
                JSON_PATCH,
            ),
            patch(
                f"{PODS}/a",
                [{"op": "replace", "path": "/spec/tolerations/1/tolerationSeconds", "value": 10}],
                JSON_PATCH,
            ),
            patch(
                f"{PODS}/a",
                [{"op": "add", "path": "/spec/tolerations/-", "value": {"key": "x", "operator": "Maybe"}}],
                JSON_PATCH,
            ),
        ),
    ),
    Scenario(
        name="a deadline is set once and only comes nearer",
        steps=(
            post(PODS, bare("a")),
            change("a", activeDeadlineSeconds=100),
            change("a", activeDeadlineSeconds=50),
            change("a", activeDeadlineSeconds=60),
            change("a", activeDeadlineSeconds=None),
            change("a", activeDeadlineSeconds=0),
            change("a", activeDeadlineSeconds=-1),
        ),
    ),
    Scenario(
        name="scheduling gates only go",
        steps=(
            gated("a"),
            change("a", schedulingGates=[GATE, {"name": "other"}, {"name": "third"}]),
            change("a", schedulingGates=[{"name": "third"}]),
            change("a", schedulingGates=[{"name": "other"}, GATE]),
            change("a", schedulingGates=[{"name": "other"}]),
            change("a", schedulingGates=[GATE]),
            change("a", nodeName="somewhere"),
            change("a", schedulingGates=[]),
            change("a", schedulingGates=[GATE]),
            get(f"{PODS}/a"),
        ),
    ),
    Scenario(
        name="a patch by name takes one gate away and no other",
        steps=(
            gated("a"),
            patch(
                f"{PODS}/a",
                {"spec": {"schedulingGates": [{"$patch": "delete", "name": "example.com/wait"}]}},
                STRATEGIC,
            ),
            patch(
                f"{PODS}/a",
                [
                    {"op": "test", "path": "/spec/schedulingGates/0/name", "value": "other"},
                    {"op": "remove", "path": "/spec/schedulingGates/0"},
                ],
                JSON_PATCH,
            ),
        ),
    ),
    Scenario(
        name="the node selector of a gated pod is only tightened",
        steps=(
            gated("a", nodeSelector={"zone": "a"}),
            change("a", nodeSelector={"rack": "r1"}),
            change("a", nodeSelector={"zone": "b"}),
            change("a", nodeSelector={"zone": None}),
            change("a", nodeSelector=None),
            change("a", nodeSelector={"rack": "r2", "row": "1"}),
            change("a", nodeSelector={"row": "1"}, schedulingGates=[]),
            change("a", nodeSelector={"seat": "1"}),
        ),
    ),
    Scenario(
        name="a gated pod without a node selector may get one",
        steps=(
            gated("a"),
            change("a", nodeSelector={"rack": "r1"}),
            change("a", nodeSelector={"rack": "not a value"}),
            change("a", nodeSelector={"rack": "r2"}, restartPolicy="Never"),
        ),
    ),
    Scenario(
        name="node affinity of a gated pod may be set, then only tightened",
        steps=(
            gated("a"),
            change("a", affinity=required(term("zone"))),
            change("a", affinity=required(term("zone", "rack"))),
            change("a", affinity=required(term("rack", "zone"))),
            change("a", affinity=required(term("zone"), term("row"))),
            change("a", affinity=required(term("row"))),
            change("a", affinity=None),
            change(
                "a",
                affinity={
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 1, "preference": term("gpu")}
                        ]
                    }
                },
            ),
        ),
    ),
    Scenario(
        name="an empty term of node affinity stays empty",
        steps=(
            gated("a", affinity=required({})),
            change("a", affinity=required(term("zone"))),
            change("a", affinity=required({})),
        ),
    ),
    Scenario(
        name="affinity to other pods does not change, gated or not",
        steps=(
            gated(
                "a",
                affinity={
                    "podAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}
                        ]
                    }
                },
            ),
            change("a", affinity={"podAffinity": None}),
            change("a", affinity=required(term("zone"))),
        ),
    ),
    Scenario(
        name="a pod replaced without what admission filled in keeps it",
        steps=(
            post(PODS, bare("a"), save="made"),
            put(
                f"{PODS}/a",
                {
                    "metadata": {"name": "a", "labels": {"new": "label"}},
                    "spec": {"containers": [container()], "schedulerName": "nobody"},
                },
            ),
            put(f"{PODS}/a", bare("a", tolerations="${made.spec.tolerations}")),
        ),
    ),
    Scenario(
        name="status: what a kubelet reports",
        steps=(
            post(PODS, bare("a", nodeName="node-${ns}")),
            report(
                "a",
                phase="Running",
                hostIP="10.0.0.1",
                hostIPs=[{"ip": "10.0.0.1"}],
                podIP="10.1.0.1",
                podIPs=[{"ip": "10.1.0.1"}],
                startTime="2026-01-01T00:00:00Z",
                observedGeneration=1,
                conditions=[{"type": "Ready", "status": "True", "observedGeneration": 1}],
                containerStatuses=[RUNNING],
            ),
            report("a", conditions=[{"type": "Ready", "status": "False", "reason": "Why"}]),
            put(f"{PODS}/a/status", {"metadata": {"name": "a"}, "status": {"phase": "Failed"}}),
        ),
    ),
    Scenario(
        name="a write to the status changes labels, but neither spec nor owners",
        steps=(
            post(PODS, bare("a")),
            patch(
                f"{PODS}/a/status",
                {
                    "metadata": {
                        "labels": {"a": "b"},
                        "annotations": {"c": "d"},
                        "ownerReferences": [
                            {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "some-uid"}
                        ],
                        "finalizers": ["example.com/hold"],
                    },
                    "spec": {"nodeName": "somewhere"},
                    "status": {"message": "hello"},
                },
            ),
        ),
    ),
    Scenario(
        name="status: what is refused",
        steps=(
            post(PODS, bare("a", nodeName="node-${ns}", restartPolicy="Never")),
            report("a", qosClass="Guaranteed"),
            report("a", conditions=[{"type": "not a type", "status": "True"}]),
            report("a", podIPs=[{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]),
            report("a", podIPs=[{"ip": "10.0.0"}]),
            report("a", hostIPs=[{"ip": "10.0.0.1"}]),
            report("a", nominatedNodeName="other"),
            report("a", observedGeneration=-1),
            report("a", resourceClaimStatuses=[{"name": "gpu"}]),
            report("a", phase="Whatever"),
        ),
    ),
    Scenario(
        name="a container that ended stays so, unless its pod starts it again",
        steps=(
            post(PODS, bare("never", nodeName="node-${ns}", restartPolicy="Never")),
            report("never", containerStatuses=[ended(1)]),
            report(
                "never", containerStatuses=[{**RUNNING, "state": {"terminated": None, **RUNNING["state"]}}]
            ),
            post(PODS, bare("on-failure", nodeName="node-${ns}", restartPolicy="OnFailure")),
            report("on-failure", containerStatuses=[ended(1)]),
            report(
                "on-failure",
                containerStatuses=[{**RUNNING, "state": {"terminated": None, **RUNNING["state"]}}],
            ),
            report(
                "on-failure",
                containerStatuses=[{**ended(0), "state": {"running": None, **ended(0)["state"]}}],
            ),
            report(
                "on-failure",
                containerStatuses=[{**RUNNING, "state": {"terminated": None, **RUNNING["state"]}}],
            ),
        ),
    ),
)
