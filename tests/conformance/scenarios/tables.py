"""Tables and partial metadata: what kubectl prints of each kind, in lists, alone and in watches."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, Step, get, patch, post, watch

from ._custom import NUMBER, TEXT, THING_CRD, THINGS, columned, crd, established, thing, version

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
KUBECTL = f"{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIALS = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
CORE = "/api/v1/namespaces/${ns}"
BUDGETS = "/apis/policy/v1/namespaces/${ns}/poddisruptionbudgets"
RBAC = "rbac.authorization.k8s.io"
SPEC = {"containers": [{"name": "main", "image": "busybox"}, {"name": "side", "image": "nginx:1"}]}


def _shown(name: str, path: str, body: dict[str, Any], *more: Step, status: Any = None) -> Scenario:
    """A kind in a table: one object is made, given a status, and shown."""
    steps: list[Step] = [post(path, body, view="nothing")]
    if status is not None:
        where = f"{path}/{body['metadata']['name']}/status"
        steps.append(patch(where, {"status": status}, view="nothing"))
    steps += [*more, get(f"{path}/{body['metadata']['name']}", accept=KUBECTL)]
    return Scenario(
        name=f"{name} in a table", steps=tuple(steps), leftovers=(f"{path}/{body['metadata']['name']}",)
    )


def _pod(name: str, status: dict[str, Any], spec: Any = None) -> Scenario:
    """A pod of that status, on a node nobody looks after."""
    body = {"metadata": {"name": "a"}, "spec": {**SPEC, "nodeName": "${ns}-nowhere", **(spec or {})}}
    return Scenario(
        name=f"a pod {name} in a table",
        steps=(
            post(f"{CORE}/pods", body, view="nothing"),
            patch(f"{CORE}/pods/a/status", {"status": status}, view="nothing"),
            get(f"{CORE}/pods/a", accept=KUBECTL, query={"includeObject": "None"}),
        ),
    )


def _container(name: str, state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": "x",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": state,
        **more,
    }


KINDS = (
    _shown("a config map", f"{CORE}/configmaps", {"metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}}),
    _shown("a secret", f"{CORE}/secrets", {"metadata": {"name": "a"}, "stringData": {"x": "1"}}),
    _shown("a service account", f"{CORE}/serviceaccounts", {"metadata": {"name": "a"}}),
    _shown(
        "a lease",
        "/apis/coordination.k8s.io/v1/namespaces/${ns}/leases",
        {"metadata": {"name": "a"}, "spec": {"holderIdentity": "me"}},
    ),
    _shown(
        "a lease nobody holds",
        "/apis/coordination.k8s.io/v1/namespaces/${ns}/leases",
        {"metadata": {"name": "a"}},
    ),
    _shown(
        "a role",
        f"/apis/{RBAC}/v1/namespaces/${{ns}}/roles",
        {"metadata": {"name": "a"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    ),
    _shown(
        "a role binding",
        f"/apis/{RBAC}/v1/namespaces/${{ns}}/rolebindings",
        {
            "metadata": {"name": "a"},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "r"},
            "subjects": [
                {"kind": "User", "name": "u", "apiGroup": RBAC},
                {"kind": "Group", "name": "g", "apiGroup": RBAC},
                {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
                {"kind": "User", "name": "v", "apiGroup": RBAC},
            ],
        },
    ),
    _shown("a cluster role", f"/apis/{RBAC}/v1/clusterroles", {"metadata": {"name": "${ns}-a"}, "rules": []}),
    _shown(
        "a cluster role binding",
        f"/apis/{RBAC}/v1/clusterrolebindings",
        {"metadata": {"name": "${ns}-a"}, "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "r"}},
    ),
    _shown(
        "a priority class",
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        {"metadata": {"name": "${ns}-a"}, "value": 5},
    ),
    Scenario(
        name="a disruption budget in a table",
        steps=(
            post(
                BUDGETS,
                {
                    "metadata": {"name": "a"},
                    "spec": {"maxUnavailable": "50%", "selector": {"matchLabels": {"a": "b"}}},
                },
                view="nothing",
            ),
            get(f"{BUDGETS}/a", accept=KUBECTL, query={"includeObject": "None"}, view="rows"),
        ),
    ),
    _shown("a node", "/api/v1/nodes", {"metadata": {"name": "${ns}-a"}}),
    _shown(
        "a node with all there is to say",
        "/api/v1/nodes",
        {
            "metadata": {
                "name": "${ns}-a",
                "labels": {"node-role.kubernetes.io/gpu": "", "kubernetes.io/role": "big"},
            },
            "spec": {"unschedulable": True},
        },
        status={
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {
                **dict.fromkeys(
                    ("machineID", "systemUUID", "bootID", "kubeProxyVersion", "operatingSystem"), ""
                ),
                "architecture": "arm64",
                "kernelVersion": "6.1",
                "osImage": "Linux",
                "containerRuntimeVersion": "c://1",
                "kubeletVersion": "v1",
            },
        },
    ),
    _shown(
        "a resource claim",
        "/apis/resource.k8s.io/v1/namespaces/${ns}/resourceclaims",
        {
            "metadata": {"name": "a"},
            "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}},
        },
    ),
    _shown(
        "a device class",
        "/apis/resource.k8s.io/v1/deviceclasses",
        {"metadata": {"name": "${ns}-a"}, "spec": {}},
    ),
    _shown(
        "a job",
        "/apis/batch/v1/namespaces/${ns}/jobs",
        {
            "metadata": {"name": "a"},
            "spec": {
                "suspend": True,
                "completions": 3,
                "manualSelector": True,
                "selector": {"matchLabels": {"x": "y"}},
                "template": {"metadata": {"labels": {"x": "y"}}, "spec": {**SPEC, "restartPolicy": "Never"}},
            },
        },
        get(
            "/apis/batch/v1/namespaces/${ns}/jobs/a",
            until={"object.status.conditions.0.type": "Suspended"},
            view="nothing",
        ),
    ),
    _shown(
        "an event",
        f"{CORE}/events",
        {
            "metadata": {"name": "a"},
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "${ns}", "fieldPath": "spec.x"},
            "type": "Normal",
            "reason": "Because",
            "message": " of it \n",
            "source": {"component": "me", "host": "here"},
            "count": 4,
        },
    ),
    Scenario(
        name="a namespace in a table",
        steps=(get("/api/v1/namespaces/${ns}", accept=KUBECTL, query={"includeObject": "None"}),),
    ),
    Scenario(
        name="a CRD in a table",
        steps=(
            *established(crd(version())),
            get(THING_CRD, accept=KUBECTL, query={"includeObject": "None"}),
        ),
        leftovers=(THING_CRD,),
    ),
)

RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
PODS = (
    _pod("that waits", {}),
    _pod(
        "that runs",
        {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "podIPs": [{"ip": "10.0.0.1"}],
            "containerStatuses": [_container("main", RUNNING, ready=True), _container("side", RUNNING)],
        },
    ),
    _pod(
        "whose container waits",
        {
            "phase": "Pending",
            "containerStatuses": [_container("main", {"waiting": {"reason": "ImagePullBackOff"}})],
        },
    ),
    _pod(
        "that failed",
        {
            "phase": "Failed",
            "containerStatuses": [
                _container("main", {"terminated": {"exitCode": 3}}, restartCount=2),
                _container("side", {"terminated": {"exitCode": 0, "reason": "Completed"}}),
            ],
        },
    ),
    _pod("that was evicted", {"phase": "Failed", "reason": "Evicted"}),
    _pod(
        "that succeeded",
        {
            "phase": "Succeeded",
            "containerStatuses": [
                _container("main", {"terminated": {"exitCode": 0, "reason": "Completed"}}),
                _container("side", {"terminated": {"exitCode": 0, "reason": "Completed"}}),
            ],
        },
    ),
    _pod(
        "one of whose containers completed",
        {
            "phase": "Running",
            "containerStatuses": [
                _container("main", {"terminated": {"exitCode": 0, "reason": "Completed"}}),
                _container("side", RUNNING, ready=True),
            ],
        },
    ),
    _pod(
        "that initializes",
        {"phase": "Pending", "initContainerStatuses": [_container("init", RUNNING)]},
        {"initContainers": [{"name": "init", "image": "x"}, {"name": "more", "image": "x"}]},
    ),
    _pod(
        "whose initialization failed",
        {
            "phase": "Pending",
            "initContainerStatuses": [
                _container("init", {"terminated": {"exitCode": 1, "reason": "Error"}}, restartCount=3)
            ],
        },
        {"initContainers": [{"name": "init", "image": "x"}]},
    ),
    _pod(
        "with readiness gates",
        {"phase": "Running", "conditions": [{"type": "a/b", "status": "True"}]},
        {"readinessGates": [{"conditionType": "a/b"}, {"conditionType": "c/d"}]},
    ),
    Scenario(
        name="a gated pod in a table",
        steps=(
            post(
                f"{CORE}/pods",
                {"metadata": {"name": "a"}, "spec": {**SPEC, "schedulingGates": [{"name": "a/b"}]}},
                view="nothing",
            ),
            get(f"{CORE}/pods/a", accept=KUBECTL, query={"includeObject": "None"}),
        ),
    ),
)


def _maps(*names: str) -> tuple[Ask, ...]:
    return tuple(
        post(f"{CORE}/configmaps", {"metadata": {"name": name, "labels": {"of": "us"}}}, view="nothing")
        for name in names
    )


OURS = {"labelSelector": "of=us"}
FORMS = (
    Scenario(
        name="a list as a table, with as much of its objects as was asked for",
        steps=(
            *_maps("a", "b"),
            get(f"{CORE}/configmaps", accept=TABLE, query=OURS),
            *(
                get(f"{CORE}/configmaps", accept=TABLE, query={**OURS, "includeObject": kind})
                for kind in ("None", "Metadata", "Object")
            ),
            get(f"{CORE}/configmaps", accept=TABLE, query={**OURS, "includeObject": "All"}),
            get(f"{CORE}/configmaps/a", accept=TABLE, query={"includeObject": "Object"}),
            get(f"{CORE}/configmaps/z", accept=TABLE),
            get(f"{CORE}/configmaps", accept=TABLE, query={"labelSelector": "of=nobody"}),
        ),
    ),
    Scenario(
        name="partial metadata",
        steps=(
            *_maps("a"),
            get(f"{CORE}/configmaps/a", accept=PARTIAL),
            get(f"{CORE}/configmaps", accept=PARTIALS, query=OURS),
            get(f"{CORE}/configmaps", accept=f"{PARTIALS},application/json", query=OURS),
            patch(f"{CORE}/configmaps/a", {"data": {"x": "1"}}, accept=PARTIAL),
            post(f"{CORE}/configmaps", {"metadata": {"name": "c"}}, accept=TABLE),
        ),
    ),
    Scenario(
        name="a form that is not known is passed over",
        steps=(
            *_maps("a"),
            get(
                f"{CORE}/configmaps/a", accept="application/json;as=Table;v=v2;g=meta.k8s.io,application/json"
            ),
            get(f"{CORE}/configmaps/a", accept="application/json;as=Sheet;v=v1;g=meta.k8s.io"),
            get(f"{CORE}/configmaps/a", accept="text/html"),
            get(f"{CORE}/configmaps/a", accept="text/html,*/*;q=0.8"),
        ),
    ),
    Scenario(
        name="a watch of tables and of partial metadata",
        steps=(
            *_maps("a"),
            get(f"{CORE}/configmaps", query=OURS, save="listed"),
            *_maps("b"),
            patch(f"{CORE}/configmaps/b", {"data": {"x": "1"}}, view="nothing"),
            watch(
                f"{CORE}/configmaps",
                2,
                accept=TABLE,
                query={**OURS, "resourceVersion": "${listed.metadata.resourceVersion}"},
            ),
            watch(
                f"{CORE}/configmaps",
                2,
                accept=TABLE,
                query={
                    **OURS,
                    "resourceVersion": "${listed.metadata.resourceVersion}",
                    "includeObject": "None",
                },
            ),
            watch(
                f"{CORE}/configmaps",
                2,
                accept=PARTIAL,
                query={**OURS, "resourceVersion": "${listed.metadata.resourceVersion}"},
            ),
        ),
    ),
)

COLUMNS = [
    {"name": "Text", "type": "string", "jsonPath": ".spec.s", "description": "What it says."},
    {"name": "Whole", "type": "integer", "jsonPath": ".spec.i", "priority": 1},
    {"name": "Real", "type": "number", "jsonPath": ".spec.n", "format": "double"},
    {"name": "Flag", "type": "boolean", "jsonPath": ".spec.b"},
    {"name": "When", "type": "date", "jsonPath": ".spec.t"},
    {"name": "List", "type": "string", "jsonPath": ".spec.l"},
    {"name": "Map", "type": "string", "jsonPath": ".spec.m"},
    {"name": "First", "type": "string", "jsonPath": ".spec.l[0]"},
    {"name": "All", "type": "string", "jsonPath": ".spec.l[*]"},
    {"name": "Last", "type": "string", "jsonPath": ".spec.l[-1:]"},
    {"name": "Ready", "type": "string", "jsonPath": '.spec.c[?(@.type=="Ready")].status'},
    {"name": "Key", "type": "string", "jsonPath": ".spec.m['a.b/c']"},
    {"name": "Escaped", "type": "string", "jsonPath": r".spec.m.a\.b/c"},
    {"name": "Wrong", "type": "integer", "jsonPath": ".spec.s"},
    {"name": "Number", "type": "string", "jsonPath": ".spec.n"},
    {"name": "Yes", "type": "string", "jsonPath": ".spec.b"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
FULL = {
    "s": "hello",
    "i": 5,
    "n": 2.5,
    "b": True,
    "t": "2999-01-01T00:00:00Z",
    "l": ["x", "y"],
    "m": {"a.b/c": "k", "z": 1},
    "c": [{"type": "Other", "status": "no"}, {"type": "Ready", "status": "yes"}],
}
ODD = {"s": 5, "i": 5.7, "n": 3, "b": "true", "t": "then", "l": [], "m": {}, "c": [{"type": "Ready"}]}

CUSTOM = (
    Scenario(
        name="columns of a custom resource",
        steps=(
            *established(crd(version(ANYTHING, additionalPrinterColumns=COLUMNS))),
            post(THINGS, thing("full", FULL), view="nothing"),
            post(THINGS, thing("odd", ODD), view="nothing"),
            post(THINGS, thing("empty", {}), view="nothing"),
            get(THINGS, accept=KUBECTL, query={"includeObject": "None"}),
            get(f"{THINGS}/full", accept=KUBECTL),
            get(THINGS, accept=PARTIALS),
        ),
        leftovers=(THING_CRD,),
    ),
    Scenario(
        name="a custom resource without columns has an age",
        steps=(
            *established(crd(version())),
            post(THINGS, thing(), view="nothing"),
            get(THINGS, accept=KUBECTL),
            watch(THINGS, 1, accept=TABLE, query={"resourceVersion": "0"}),
        ),
        leftovers=(THING_CRD,),
    ),
    Scenario(
        name="a column is added",
        steps=(
            *established(columned(name="A", type="string", jsonPath=".spec.a")),
            patch(
                THING_CRD,
                {
                    "spec": {
                        "versions": [
                            version(
                                {"type": "object", "properties": {"a": TEXT, "n": NUMBER}},
                                additionalPrinterColumns=[
                                    {"name": "A", "type": "string", "jsonPath": ".spec.a"},
                                    {"name": "N", "type": "integer", "jsonPath": ".spec.n"},
                                ],
                            )
                        ]
                    }
                },
                view="nothing",
            ),
            get(THINGS, accept=TABLE, until={"object.columnDefinitions.2.name": "N"}),
        ),
        leftovers=(THING_CRD,),
    ),
    Scenario(
        name="our own kinds in tables",
        crds=True,
        steps=tuple(
            get(f"/apis/rackplane.dev/v1alpha1/{plural}", accept=KUBECTL)
            for plural in (
                "racks",
                "queues",
                "powerdomains",
                "gangs",
                "hardwareprofiles",
                "powerbudgets",
                "coolingzones",
                "nvlinkdomains",
            )
        ),
    ),
)

SCENARIOS = (*KINDS, *PODS, *FORMS, *CUSTOM)
