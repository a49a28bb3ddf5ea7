"""What is wrong with a pod that is refused: the field's path, and what the server says of it."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, post

from .pods import PODS, bare, container, pod


def refused(name: str, *containers: dict[str, Any], **spec: Any) -> Ask:
    return post(PODS, bare(name, *containers, **spec))


def amounts(name: str, **resources: Any) -> Ask:
    return refused(name, container(resources=resources))


def tolerating(name: str, **toleration: Any) -> Ask:
    return refused(name, tolerations=[toleration])


def requiring(name: str, *terms: Any) -> Ask:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return refused(name, affinity={"nodeAffinity": required})


def expression(**fields: Any) -> Any:
    return {"matchExpressions": [fields]}


def spread(name: str, *constraints: dict[str, Any]) -> Ask:
    full = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"a": "b"}},
    }
    return refused(name, topologySpreadConstraints=[{**full, **entry} for entry in constraints])


def gated(name: str, *gates: str, **spec: Any) -> Ask:
    return refused(name, schedulingGates=[{"name": gate} for gate in gates], **spec)


def probed(name: str, probe: dict[str, Any], kind: str = "livenessProbe") -> Ask:
    return refused(name, {**container(), kind: probe})


def volume(name: str, *volumes: dict[str, Any]) -> Ask:
    return refused(name, volumes=list(volumes))


def paired(kind: str, **fields: Any) -> Any:
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [fields]}}}


SCENARIOS = (
    Scenario(
        name="a pod without containers, or with ones that lack what they need",
        steps=(
            post(PODS, {"metadata": {"name": "none"}, "spec": {"containers": []}}),
            post(PODS, {"metadata": {"name": "empty"}, "spec": {}}),
            post(PODS, {"metadata": {"name": "nothing"}}),
            post(PODS, {"spec": {"containers": [container()]}}),
            refused("no-image", {"name": "main"}),
            refused("no-name", {"image": "train"}),
            refused("spaces", {"name": "main", "image": " train "}),
        ),
    ),
    Scenario(
        name="names of pods and containers",
        steps=(
            refused("twice", container("a"), container("a")),
            refused("twice-init", container("a"), initContainers=[container("a")]),
            refused("upper", container("Main")),
            refused("dotted", container("a.b")),
            refused("long", container("a" * 64)),
            refused("Upper"),
            post(PODS, bare("dotted.pod.name")),
            refused("host", hostname="Not_A_Host", subdomain="a.b"),
        ),
    ),
    Scenario(
        name="policies and deadlines outside what is known",
        steps=(
            refused("restart", restartPolicy="Sometimes"),
            refused("pull", container(imagePullPolicy="Maybe")),
            refused("dns", dnsPolicy="Mine"),
            refused("message", container(terminationMessagePolicy="Mail")),
            refused("zero", activeDeadlineSeconds=0),
            refused("negative", activeDeadlineSeconds=-5),
            post(PODS, bare("grace", terminationGracePeriodSeconds=-1)),
            refused("node", nodeName="Not A Node"),
            refused("account", serviceAccountName="Not_An_Account"),
            refused("init-policy", initContainers=[container("i", restartPolicy="Sometimes")]),
            refused("class", priorityClassName="Not_A_Class"),
            refused("preemption", preemptionPolicy="Perhaps"),
        ),
    ),
    Scenario(
        name="resources that make no sense",
        steps=(
            amounts("negative", requests={"cpu": "-1"}),
            amounts("over", requests={"cpu": "2"}, limits={"cpu": "1"}),
            amounts("over-memory", requests={"memory": "2Gi"}, limits={"memory": "1.5Gi"}),
            amounts("unknown", requests={"gpus": "1"}),
            amounts("bad-name", requests={"nvidia.com/": "1"}),
            amounts("storage", requests={"storage": "1Gi"}),
            amounts("limit-less", requests={"nvidia.com/gpu": "1"}),
            amounts("unequal", requests={"nvidia.com/gpu": "1"}, limits={"nvidia.com/gpu": "2"}),
            amounts("fraction", limits={"nvidia.com/gpu": "0.5"}),
            amounts("huge-alone", limits={"hugepages-2Mi": "4Mi"}),
            amounts("huge-uneven", limits={"hugepages-2Mi": "3Mi", "cpu": "1"}),
            amounts("requests-prefix", limits={"requests.nvidia.com/gpu": "1"}),
            amounts("kubernetes", limits={"kubernetes.io/something": "1"}),
            amounts("ephemeral", requests={"ephemeral-storage": "2G"}, limits={"ephemeral-storage": "1G"}),
            amounts("claims", claims=[{"name": "gpu"}]),
            amounts("no-claim-name", claims=[{}]),
        ),
    ),
    Scenario(
        name="quantities that cannot be read",
        steps=(
            amounts("letters", requests={"cpu": "many"}),
            amounts("suffix", requests={"memory": "1GB"}),
            amounts("empty", requests={"memory": ""}),
        ),
    ),
    Scenario(
        name="tolerations that make no sense",
        steps=(
            tolerating("keyless", value="x"),
            tolerating("valued", key="a", operator="Exists", value="x"),
            tolerating("operator", key="a", operator="Sometimes"),
            tolerating("effect", key="a", effect="NoLunch"),
            tolerating("seconds", key="a", effect="NoSchedule", tolerationSeconds=5),
            tolerating("key", key="not a key"),
            tolerating("value", key="a", value="not a value"),
            tolerating("than", key="a", operator="Gt", value="5"),
        ),
    ),
    Scenario(
        name="node selectors and node affinity that make no sense",
        steps=(
            refused("selector-key", nodeSelector={"not a key": "x"}),
            refused("selector-value", nodeSelector={"zone": "not a value"}),
            requiring("no-terms"),
            requiring("no-values", expression(key="zone", operator="In")),
            requiring("values", expression(key="zone", operator="Exists", values=["a"])),
            requiring("two", expression(key="zone", operator="Gt", values=["1", "2"])),
            requiring("operator", expression(key="zone", operator="Like", values=["a"])),
            requiring("key", expression(key="not a key", operator="Exists")),
            requiring("value", expression(key="zone", operator="In", values=["not a value"])),
            requiring("field", {"matchFields": [{"key": "spec.x", "operator": "In", "values": ["a"]}]}),
            requiring("fields", {"matchFields": [{"key": "metadata.name", "operator": "Exists"}]}),
            requiring(
                "names", {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a", "b"]}]}
            ),
            refused(
                "weight",
                affinity={
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 101, "preference": expression(key="a", operator="Exists")}
                        ]
                    }
                },
            ),
        ),
    ),
    Scenario(
        name="affinity between pods that makes no sense",
        steps=(
            refused("no-key", **paired("podAffinity", labelSelector={"matchLabels": {"a": "b"}})),
            refused(
                "bad-selector",
                **paired(
                    "podAntiAffinity",
                    topologyKey="zone",
                    labelSelector={"matchExpressions": [{"key": "a", "operator": "In"}]},
                ),
            ),
            refused(
                "light",
                affinity={
                    "podAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 0,
                                "podAffinityTerm": {
                                    "topologyKey": "zone",
                                    "labelSelector": {"matchLabels": {"a": "b"}},
                                },
                            }
                        ]
                    }
                },
            ),
        ),
    ),
    Scenario(
        name="topology spread constraints that make no sense",
        steps=(
            spread("skew", {"maxSkew": 0}),
            spread("no-key", {"topologyKey": ""}),
            spread("when", {"whenUnsatisfiable": "Never"}),
            spread("twice", {}, {}),
            spread("domains", {"minDomains": 2}),
            spread("no-domains", {"minDomains": 0, "whenUnsatisfiable": "DoNotSchedule"}),
            spread("policy", {"nodeTaintsPolicy": "Maybe"}),
            spread("selector", {"labelSelector": {"matchLabels": {"a": "not a value"}}}),
        ),
    ),
    Scenario(
        name="scheduling gates at creation",
        steps=(
            gated("duplicate", "a", "a"),
            gated("nameless", ""),
            gated("bad", "not a name"),
            gated("prefixed", "example.com/a/b"),
            gated("bound", "a", nodeName="somewhere"),
        ),
    ),
    Scenario(
        name="ports, environment and mounts that make no sense",
        steps=(
            refused("no-port", container(ports=[{"name": "a"}])),
            refused("high", container(ports=[{"containerPort": 70000}])),
            refused("protocol", container(ports=[{"containerPort": 1, "protocol": "HTTP"}])),
            refused(
                "names",
                container(ports=[{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
            ),
            refused("port-name", container(ports=[{"containerPort": 1, "name": "Web_Server-with-a-name"}])),
            refused(
                "host-port",
                container("a", ports=[{"containerPort": 1, "hostPort": 9}]),
                container("b", ports=[{"containerPort": 2, "hostPort": 9}]),
            ),
            refused("env", container(env=[{"value": "1"}])),
            refused("env-name", container(env=[{"name": "a=b", "value": "1"}])),
            refused("env-source", container(env=[{"name": "A", "valueFrom": {}}])),
            refused(
                "env-both",
                container(
                    env=[
                        {"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
                    ]
                ),
            ),
            refused(
                "env-field",
                container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]),
            ),
            refused("env-from", container(envFrom=[{}])),
            refused("mount", container(volumeMounts=[{"name": "absent", "mountPath": "/a"}])),
            refused(
                "mounts",
                container(volumeMounts=[{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]),
                volumes=[{"name": "v", "emptyDir": {}}],
            ),
            refused(
                "no-path",
                container(volumeMounts=[{"name": "v", "mountPath": ""}]),
                volumes=[{"name": "v", "emptyDir": {}}],
            ),
        ),
    ),
    Scenario(
        name="volumes that make no sense",
        steps=(
            volume("twice", {"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}),
            volume("nameless", {"emptyDir": {}}),
            volume("upper", {"name": "A", "emptyDir": {}}),
            volume("both", {"name": "a", "emptyDir": {}, "hostPath": {"path": "/x"}}),
            volume("host", {"name": "a", "hostPath": {"path": ""}}),
            volume("host-type", {"name": "a", "hostPath": {"path": "/x", "type": "Disk"}}),
            volume("back", {"name": "a", "hostPath": {"path": "/x/../y"}}),
            volume("secret", {"name": "a", "secret": {}}),
            volume("map", {"name": "a", "configMap": {"defaultMode": 512}}),
            volume(
                "item", {"name": "a", "configMap": {"name": "m", "items": [{"key": "k", "path": "../x"}]}}
            ),
            volume("claim", {"name": "a", "persistentVolumeClaim": {"claimName": ""}}),
        ),
    ),
    Scenario(
        name="probes and hooks that make no sense",
        steps=(
            probed("none", {}),
            probed("two", {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
            probed("command", {"exec": {}}),
            probed("port", {"httpGet": {"port": 0}}),
            probed("port-name", {"tcpSocket": {"port": "NOT_A_PORT"}}),
            probed("scheme", {"httpGet": {"port": 1, "scheme": "FTP"}}),
            probed("negative", {"tcpSocket": {"port": 1}, "periodSeconds": -1}),
            probed("success", {"tcpSocket": {"port": 1}, "successThreshold": 2}),
            probed("grace", {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 5}, "readinessProbe"),
            refused("hook", container(lifecycle={"preStop": {}})),
            refused("init", initContainers=[container("i", readinessProbe={"tcpSocket": {"port": 1}})]),
            refused(
                "init-hook", initContainers=[container("i", lifecycle={"preStop": {"sleep": {"seconds": 1}}})]
            ),
        ),
    ),
    Scenario(
        name="claims of devices that make no sense",
        steps=(
            refused("nameless", resourceClaims=[{"resourceClaimName": "a"}]),
            refused(
                "twice",
                resourceClaims=[
                    {"name": "a", "resourceClaimName": "a"},
                    {"name": "a", "resourceClaimName": "b"},
                ],
            ),
            refused("neither", resourceClaims=[{"name": "a"}]),
            refused(
                "both",
                resourceClaims=[{"name": "a", "resourceClaimName": "a", "resourceClaimTemplateName": "b"}],
            ),
            refused("bad", resourceClaims=[{"name": "a", "resourceClaimName": "Not_A_Name"}]),
            refused(
                "other",
                container(resources={"claims": [{"name": "b"}]}),
                resourceClaims=[{"name": "a", "resourceClaimName": "a"}],
            ),
            refused(
                "repeated",
                container(resources={"claims": [{"name": "a"}, {"name": "a"}]}),
                resourceClaims=[{"name": "a", "resourceClaimName": "a"}],
            ),
        ),
    ),
    Scenario(
        name="several mistakes are told at once, in the order of the fields",
        steps=(
            refused(
                "many",
                {"name": "A"},
                volumes=[{"name": "v", "secret": {}}],
                restartPolicy="Sometimes",
                schedulingGates=[{"name": "g"}, {"name": "g"}],
                nodeName="n",
                tolerations=[{"key": "a", "operator": "Exists", "value": "x"}],
            ),
        ),
    ),
    Scenario(
        name="what is odd but legal is warned of",
        steps=(
            post(
                PODS,
                pod(
                    "selector",
                    automountServiceAccountToken=False,
                    nodeSelector={"beta.kubernetes.io/os": "linux"},
                ),
            ),
            post(
                PODS,
                bare(
                    "ports",
                    container("a", ports=[{"containerPort": 80}]),
                    container("b", ports=[{"containerPort": 80}]),
                ),
            ),
            post(PODS, bare("fraction", container(resources={"requests": {"memory": "500m"}}))),
            post(PODS, bare("secrets", imagePullSecrets=[{"name": "a"}, {"name": "a"}, {}])),
        ),
    ),
)
