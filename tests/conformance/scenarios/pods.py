"""What a new pod looks like: defaults, service account, tolerations, priority, quality of service."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Scenario, delete, get, post, put

PODS = "/api/v1/namespaces/${ns}/pods"
ACCOUNTS = "/api/v1/namespaces/${ns}/serviceaccounts"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"


def container(name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "registry.example/train:1", **fields}


def pod(name: str, *containers: dict[str, Any], labels: dict[str, str] | None = None, **spec: Any) -> Any:
    """A pod that no scheduler looks at, so that what the server made of it stays as it is."""
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    body = {"schedulerName": "nobody", "containers": list(containers) or [container()], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}


def bare(name: str, *containers: dict[str, Any], **spec: Any) -> Any:
    """A pod without the token volume, which would fill most of the answer."""
    return pod(name, *containers, automountServiceAccountToken=False, **spec)


PROBE = {"httpGet": {"port": 80}}
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"

SCENARIOS = (
    Scenario(
        name="a pod with nothing but an image gets every default",
        steps=(post(PODS, pod("plain")), get(f"{PODS}/plain")),
    ),
    Scenario(
        name="a pod may do without the token of its service account",
        steps=(
            post(PODS, bare("without")),
            post(ACCOUNTS, {"metadata": {"name": "quiet"}, "automountServiceAccountToken": False}),
            post(PODS, pod("by-account", serviceAccountName="quiet")),
            post(PODS, pod("all-the-same", serviceAccountName="quiet", automountServiceAccountToken=True)),
        ),
    ),
    Scenario(
        name="the token is mounted in every container that has nothing there",
        steps=(
            post(
                PODS,
                pod(
                    "own-mount",
                    container("a", volumeMounts=[{"name": "mine", "mountPath": TOKEN}]),
                    container("b"),
                    initContainers=[container("first")],
                    volumes=[{"name": "mine", "emptyDir": {}}],
                ),
            ),
            post(
                PODS,
                pod(
                    "nowhere",
                    container("a", volumeMounts=[{"name": "mine", "mountPath": TOKEN}]),
                    volumes=[{"name": "mine", "emptyDir": {}}],
                ),
            ),
        ),
    ),
    Scenario(
        name="a pod's service account must exist and lends its pull secrets",
        steps=(
            post(PODS, pod("lost", serviceAccountName="absent")),
            post(
                ACCOUNTS,
                {
                    "metadata": {"name": "puller"},
                    "imagePullSecrets": [{"name": "registry"}],
                    "automountServiceAccountToken": False,
                },
            ),
            post(PODS, pod("pulls", serviceAccountName="puller")),
            post(PODS, pod("own", serviceAccountName="puller", imagePullSecrets=[{"name": "mine"}])),
            post(PODS, bare("deprecated", serviceAccount="puller")),
        ),
    ),
    Scenario(
        name="every namespace has its default service account, and gets it back",
        steps=(
            get(f"{ACCOUNTS}/default", save="account"),
            delete(f"{ACCOUNTS}/default"),
            get(f"{ACCOUNTS}/default", until={"code": 200}),
        ),
    ),
    Scenario(
        name="tolerations of a node that is away come only where the pod says nothing of it",
        steps=(
            post(PODS, bare("everything", tolerations=[{"operator": "Exists"}])),
            post(
                PODS,
                bare("schedule-only", tolerations=[{"operator": "Exists", "effect": "NoSchedule"}]),
            ),
            post(
                PODS,
                bare(
                    "one-of-two",
                    tolerations=[
                        {
                            "key": "node.kubernetes.io/not-ready",
                            "operator": "Exists",
                            "effect": "NoExecute",
                            "tolerationSeconds": 5,
                        },
                        {"key": "gpu", "value": "yes"},
                    ],
                ),
            ),
        ),
    ),
    Scenario(
        name="a pod's priority is that of its class",
        leftovers=(f"{CLASSES}/" + "${ns}-high", f"{CLASSES}/" + "${ns}-polite"),
        steps=(
            post(CLASSES, {"metadata": {"name": "${ns}-high"}, "value": 1000}),
            post(
                CLASSES,
                {
                    "metadata": {"name": "${ns}-polite"},
                    "value": 7,
                    "preemptionPolicy": "Never",
                    "description": "waits",
                },
            ),
            post(PODS, bare("high", priorityClassName="${ns}-high"), until={"code": 201}),
            post(PODS, bare("polite", priorityClassName="${ns}-polite"), until={"code": 201}),
            post(PODS, bare("same", priorityClassName="${ns}-high", priority=1000)),
            post(PODS, bare("other", priorityClassName="${ns}-high", priority=5)),
            post(
                PODS, bare("eager", priorityClassName="${ns}-polite", preemptionPolicy="PreemptLowerPriority")
            ),
            post(PODS, bare("absent", priorityClassName="${ns}-absent")),
            post(PODS, bare("own", priority=5)),
            post(PODS, bare("none", priority=0, preemptionPolicy="Never")),
            post(PODS, bare("critical", priorityClassName="system-node-critical")),
        ),
    ),
    Scenario(
        name="priority classes: their own rules",
        leftovers=(f"{CLASSES}/" + "${ns}-a",),
        steps=(
            post(CLASSES, {"metadata": {"name": "${ns}-a"}, "value": 10}),
            put(f"{CLASSES}/" + "${ns}-a", {"metadata": {"name": "${ns}-a"}, "value": 11}),
            put(
                f"{CLASSES}/" + "${ns}-a",
                {"metadata": {"name": "${ns}-a"}, "value": 10, "preemptionPolicy": "Never"},
            ),
            put(
                f"{CLASSES}/" + "${ns}-a", {"metadata": {"name": "${ns}-a"}, "value": 10, "description": "x"}
            ),
            post(CLASSES, {"metadata": {"name": "${ns}-b"}, "value": 1000000001}),
            post(CLASSES, {"metadata": {"name": "system-mine"}, "value": 10}),
            post(CLASSES, {"metadata": {"name": "${ns}-c"}, "value": 1, "preemptionPolicy": "Sometimes"}),
            get(f"{CLASSES}/system-cluster-critical"),
        ),
    ),
    Scenario(
        name="images, pull policies and ports get their defaults",
        steps=(
            post(
                PODS,
                bare(
                    "images",
                    container("latest", image="train"),
                    container("tagged", image="train:1.2"),
                    container("explicit", image="registry:5000/train:latest"),
                    container("port", image="registry:5000/train"),
                    container("digest", image="train@sha256:" + "0" * 64),
                    container("never", image="train", imagePullPolicy="Never"),
                ),
            ),
            post(
                PODS,
                bare(
                    "ports",
                    container(
                        ports=[
                            {"containerPort": 80},
                            {"containerPort": 53, "protocol": "UDP", "name": "dns", "hostPort": 53},
                        ]
                    ),
                ),
            ),
            post(PODS, bare("host", container(ports=[{"containerPort": 80}]), hostNetwork=True)),
        ),
    ),
    Scenario(
        name="probes and hooks get their defaults",
        steps=(
            post(
                PODS,
                bare(
                    "probed",
                    container(
                        livenessProbe=PROBE,
                        readinessProbe={"tcpSocket": {"port": "web"}, "periodSeconds": 3},
                        startupProbe={"exec": {"command": ["true"]}, "failureThreshold": 30},
                        lifecycle={"preStop": {"httpGet": {"port": 8080, "path": "/bye"}}},
                    ),
                ),
            ),
            post(
                PODS,
                bare(
                    "grpc",
                    container(
                        livenessProbe={"grpc": {"port": 9000}, "terminationGracePeriodSeconds": 5},
                        lifecycle={
                            "postStart": {"exec": {"command": ["true"]}},
                            "preStop": {"sleep": {"seconds": 3}},
                        },
                    ),
                ),
            ),
        ),
    ),
    Scenario(
        name="resources: requests come from limits, quality of service from both",
        steps=(
            post(PODS, bare("limits", container(resources={"limits": {"cpu": 2, "memory": "1Gi"}}))),
            post(
                PODS,
                bare(
                    "burstable", container(resources={"requests": {"cpu": "1500m"}, "limits": {"cpu": "2"}})
                ),
            ),
            post(PODS, bare("half", container(resources={"limits": {"cpu": "0.5"}}))),
            post(
                PODS,
                bare(
                    "gpu", container(resources={"limits": {"nvidia.com/gpu": 8, "ephemeral-storage": "10G"}})
                ),
            ),
            post(
                PODS,
                bare(
                    "two",
                    container("a", resources={"limits": {"cpu": "1", "memory": "1Gi"}}),
                    container("b"),
                ),
            ),
            post(
                PODS,
                bare(
                    "init-too",
                    container("a", resources={"limits": {"cpu": "1", "memory": "1024Mi"}}),
                    initContainers=[container("i", resources={"requests": {"memory": "1000m"}})],
                ),
            ),
            post(
                PODS,
                bare(
                    "huge",
                    container(resources={"limits": {"hugepages-2Mi": "4Mi", "memory": "1Gi", "cpu": "1"}}),
                ),
            ),
            post(
                PODS,
                bare("zero", container(resources={"requests": {"cpu": "0", "memory": "0"}})),
            ),
        ),
    ),
    Scenario(
        name="resources of a whole pod",
        steps=(
            post(PODS, bare("pod-level", resources={"limits": {"cpu": "2", "memory": "2Gi"}})),
            post(
                PODS,
                bare(
                    "pod-and-container",
                    container(resources={"requests": {"cpu": "500m"}}),
                    resources={"limits": {"cpu": "2"}},
                ),
            ),
        ),
    ),
    Scenario(
        name="quantities are answered in their canonical form",
        steps=(
            post(
                PODS,
                bare(
                    "forms",
                    container("a", resources={"requests": {"cpu": "0.1", "memory": "1.5Gi"}}),
                    container("b", resources={"requests": {"cpu": 1.5, "memory": 1073741824}}),
                    container("c", resources={"requests": {"cpu": "1000m", "memory": "1e9"}}),
                    container("d", resources={"requests": {"cpu": "2.0", "memory": "1024Ki"}}),
                    container("e", resources={"requests": {"cpu": "0.5m", "memory": "1000k"}}),
                ),
            ),
        ),
    ),
    Scenario(
        name="init containers and sidecars",
        steps=(
            post(
                PODS,
                bare(
                    "sidecar",
                    initContainers=[
                        container("prepare", command=["sh"]),
                        container("log", restartPolicy="Always", readinessProbe=PROBE),
                    ],
                ),
            ),
            post(PODS, bare("rules", container(restartPolicy="OnFailure"), restartPolicy="Never")),
        ),
    ),
    Scenario(
        name="volumes get their defaults",
        steps=(
            post(
                PODS,
                bare(
                    "volumes",
                    container(volumeMounts=[{"name": "tmp", "mountPath": "/tmp"}]),
                    volumes=[
                        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
                        {"name": "map", "configMap": {"name": "settings"}},
                        {"name": "secret", "secret": {"secretName": "keys", "optional": True}},
                        {"name": "claim", "persistentVolumeClaim": {"claimName": "data"}},
                        {"name": "host", "hostPath": {"path": "/dev"}},
                        {
                            "name": "down",
                            "downwardAPI": {
                                "items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
                            },
                        },
                        {
                            "name": "all",
                            "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
                        },
                        {"name": "nothing"},
                    ],
                ),
            ),
        ),
    ),
    Scenario(
        name="the environment of a container",
        steps=(
            post(
                PODS,
                bare(
                    "env",
                    container(
                        env=[
                            {"name": "PLAIN", "value": "1"},
                            {"name": "EMPTY"},
                            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                            {"name": "PLAIN", "value": "2"},
                        ],
                        envFrom=[{"configMapRef": {"name": "settings"}, "prefix": "P_"}],
                    ),
                ),
            ),
        ),
    ),
    Scenario(
        name="a gated pod says so in its status",
        steps=(
            post(PODS, bare("gated", schedulingGates=[{"name": "example.com/a"}, {"name": "b"}])),
            post(PODS, bare("empty", schedulingGates=[], nodeSelector={}, tolerations=[], volumes=[])),
        ),
    ),
    Scenario(
        name="what a client may not set at creation is dropped",
        steps=(
            post(
                PODS,
                {
                    **bare("status"),
                    "status": {"phase": "Running", "podIP": "10.0.0.1"},
                    "metadata": {
                        "name": "status",
                        "generation": 7,
                        "uid": "8e0b2b5c-6a36-4c9b-9d0c-111111111111",
                        "deletionGracePeriodSeconds": 3,
                    },
                },
            ),
            post(PODS, bare("bound", nodeName="nowhere-${ns}")),
            post(PODS, bare("dry"), query={"dryRun": "All"}),
            get(f"{PODS}/dry"),
        ),
    ),
    Scenario(
        name="affinity and spreading are kept as written",
        steps=(
            post(
                PODS,
                bare(
                    "affinity",
                    nodeSelector={"zone": "a"},
                    affinity={
                        "nodeAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": {
                                "nodeSelectorTerms": [
                                    {
                                        "matchExpressions": [
                                            {"key": "rack", "operator": "In", "values": ["r1"]}
                                        ]
                                    }
                                ]
                            },
                            "preferredDuringSchedulingIgnoredDuringExecution": [
                                {
                                    "weight": 5,
                                    "preference": {
                                        "matchExpressions": [{"key": "gpu", "operator": "Exists"}]
                                    },
                                }
                            ],
                        }
                    },
                ),
            ),
            post(
                PODS,
                bare(
                    "spread",
                    labels={"app": "a", "rev": "1"},
                    topologySpreadConstraints=[
                        {
                            "maxSkew": 1,
                            "topologyKey": "zone",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": {"app": "a"}},
                            "matchLabelKeys": ["rev"],
                        },
                        {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway"},
                    ],
                ),
            ),
        ),
    ),
    Scenario(
        name="a claim is named by the pod and by the container that uses it",
        steps=(
            post(
                PODS,
                bare(
                    "claims",
                    container(resources={"claims": [{"name": "gpu"}]}),
                    resourceClaims=[{"name": "gpu", "resourceClaimName": "shared"}],
                    schedulingGates=[{"name": "wait"}],
                ),
            ),
        ),
    ),
)
