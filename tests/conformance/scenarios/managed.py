"""Who manages which field: every write leaves its mark, whoever writes and however."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import JSON_PATCH, MERGE, STRATEGIC, Scenario, get, patch, post, put, wait

MAPS = "/api/v1/namespaces/${ns}/configmaps"
JOBS = "/apis/batch/v1/namespaces/${ns}/jobs"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/${ns}/leases"
SECRETS = "/api/v1/namespaces/${ns}/secrets"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/${ns}/roles"
NODE = "/api/v1/nodes/${ns}"
EVENTS = "/api/v1/namespaces/${ns}/events"
NEW_EVENTS = "/apis/events.k8s.io/v1/namespaces/${ns}/events"
QUEUES = "/apis/rackplane.dev/v1alpha1/queues"
BUDGETS = "/apis/policy/v1/namespaces/${ns}/poddisruptionbudgets"

MAP: dict[str, Any] = {"metadata": {"name": "a", "labels": {"x": "1"}}, "data": {"k": "1", "l": "2"}}
JOB: dict[str, Any] = {
    "metadata": {"name": "j"},
    "spec": {
        "suspend": True,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}},
    },
}
EVENT: dict[str, Any] = {
    "metadata": {"name": "e"},
    "reason": "R",
    "type": "Normal",
}

SCENARIOS = (
    Scenario(
        name="the manager of a write is named by the request, or by its user agent",
        steps=(
            post(MAPS, MAP, managed=True),
            put(
                f"{MAPS}/a", {**MAP, "data": {"k": "2"}}, agent="kubectl/v1.36.2 (linux/amd64)", managed=True
            ),
            patch(f"{MAPS}/a", {"data": {"m": "1"}}, MERGE, query={"fieldManager": "by-query"}, managed=True),
            patch(f"{MAPS}/a", {"data": {"n": "1"}}, STRATEGIC, agent="no-slash", managed=True),
            patch(
                f"{MAPS}/a",
                [{"op": "add", "path": "/data/o", "value": "1"}],
                JSON_PATCH,
                agent="/x",
                managed=True,
            ),
            patch(f"{MAPS}/a", {"data": {"m": "1"}}, MERGE, query={"fieldManager": "late"}, managed=True),
        ),
    ),
    Scenario(
        name="what nobody changed keeps its manager, what is removed has none",
        steps=(
            post(MAPS, MAP, agent="one/1", managed=True),
            put(f"{MAPS}/a", MAP, agent="two/1", managed=True),
            put(f"{MAPS}/a", {"metadata": {"name": "a"}, "data": {"k": "1"}}, agent="two/1", managed=True),
            put(f"{MAPS}/a", {"metadata": {"name": "a"}}, agent="three/1", managed=True),
            put(
                f"{MAPS}/a",
                {"metadata": {"name": "a"}, "data": {}, "immutable": False},
                agent="three/1",
                managed=True,
            ),
        ),
    ),
    Scenario(
        name="a client may forget all managers, set them, and not set nonsense",
        steps=(
            post(MAPS, MAP, agent="one/1"),
            patch(f"{MAPS}/a", {"metadata": {"managedFields": []}, "data": {"k": "3"}}, MERGE, managed=True),
            put(f"{MAPS}/a", MAP, agent="two/1", managed=True),
            patch(
                f"{MAPS}/a",
                {
                    "metadata": {
                        "managedFields": [
                            {
                                "manager": "stated",
                                "operation": "Apply",
                                "apiVersion": "v1",
                                "time": "2020-01-01T00:00:00Z",
                                "fieldsType": "FieldsV1",
                                "fieldsV1": {"f:data": {"f:k": {}}},
                            }
                        ]
                    }
                },
                MERGE,
                agent="two/1",
                managed=True,
            ),
            patch(f"{MAPS}/a", {"metadata": {"managedFields": [{"manager": "x"}]}}, MERGE, managed=True),
            patch(f"{MAPS}/a", {"metadata": {"managedFields": "x"}}, MERGE, view="without_the_patched"),
            patch(
                f"{MAPS}/a",
                [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}],
                JSON_PATCH,
                managed=True,
            ),
        ),
    ),
    Scenario(
        name="kubectl moves the fields of its client-side apply by a patch of the managers",
        steps=(
            post(MAPS, MAP, query={"fieldManager": "kubectl-client-side-apply"}, managed=True, save="made"),
            patch(
                f"{MAPS}/a",
                [
                    {
                        "op": "replace",
                        "path": "/metadata/managedFields",
                        "value": [
                            {
                                "manager": "kubectl",
                                "operation": "Apply",
                                "apiVersion": "v1",
                                "time": "2020-01-01T00:00:00Z",
                                "fieldsType": "FieldsV1",
                                "fieldsV1": {"f:data": {"f:k": {}, "f:l": {}}},
                            }
                        ],
                    },
                    {
                        "op": "replace",
                        "path": "/metadata/resourceVersion",
                        "value": "${made.metadata.resourceVersion}",
                    },
                ],
                JSON_PATCH,
                query={"fieldManager": "kubectl"},
                managed=True,
            ),
        ),
    ),
    Scenario(
        name="the fields of a job and of its controller",
        steps=(
            post(JOBS, JOB, managed=True, view="ownership"),
            get(
                f"{JOBS}/j",
                until={"object.status.conditions.0.type": "Suspended"},
                managed=True,
                view="ownership",
            ),
            patch(
                f"{JOBS}/j",
                {"spec": {"parallelism": 2}},
                MERGE,
                agent="operator/1",
                managed=True,
                view="ownership",
            ),
        ),
    ),
    Scenario(
        name="the fields of nodes, leases, secrets, roles and disruption budgets",
        leftovers=(NODE,),
        steps=(
            post(
                "/api/v1/nodes",
                {
                    "metadata": {"name": "${ns}", "labels": {"a": "b"}},
                    "spec": {
                        "taints": [{"key": "a", "effect": "NoSchedule"}],
                        "podCIDRs": ["10.1.0.0/24"],
                        "podCIDR": "10.1.0.0/24",
                    },
                    "status": {"capacity": {"cpu": "1"}, "allocatable": {"cpu": "1"}},
                },
                managed=True,
            ),
            patch(
                f"{NODE}/status",
                {
                    "status": {
                        "conditions": [{"type": "Ready", "status": "True"}],
                        "nodeInfo": {"kubeletVersion": "v1"},
                        "addresses": [{"type": "Hostname", "address": "n"}],
                    }
                },
                STRATEGIC,
                agent="kubelet/1",
                managed=True,
            ),
            post(LEASES, {"metadata": {"name": "a"}, "spec": {"holderIdentity": "x"}}, managed=True),
            post(
                SECRETS,
                {"metadata": {"name": "a"}, "stringData": {"k": "v"}, "data": {"l": "eA=="}},
                managed=True,
            ),
            post(
                ROLES,
                {
                    "metadata": {"name": "a"},
                    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
                },
                managed=True,
            ),
            post(
                BUDGETS,
                {
                    "metadata": {"name": "a"},
                    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}},
                },
                managed=True,
                view="ownership",
            ),
        ),
    ),
    Scenario(
        name="the fields of a namespace are those of its maker, its label too",
        leftovers=("/api/v1/namespaces/${ns}-x",),
        steps=(
            post("/api/v1/namespaces", {"metadata": {"name": "${ns}-x"}}, managed=True),
            patch("/api/v1/namespaces/${ns}-x", {"metadata": {"labels": {"a": "b"}}}, MERGE, managed=True),
        ),
    ),
    Scenario(
        name="the fields of an event, through either API",
        steps=(
            post(
                EVENTS,
                {**EVENT, "involvedObject": {"namespace": "${ns}", "name": "x"}, "message": "m", "count": 1},
                managed=True,
            ),
            post(
                NEW_EVENTS,
                {
                    **EVENT,
                    "metadata": {"name": "f"},
                    "regarding": {"namespace": "${ns}", "name": "x"},
                    "note": "n",
                    "action": "A",
                    "eventTime": "2020-01-01T00:00:00.000000Z",
                    "reportingController": "example.com/c",
                    "reportingInstance": "i",
                },
                managed=True,
            ),
            get(f"{EVENTS}/f", managed=True),
        ),
    ),
    Scenario(
        name="the fields of a custom resource, its status by another",
        crds=True,
        leftovers=(f"{QUEUES}/${{ns}}",),
        steps=(
            post(
                QUEUES,
                {
                    "apiVersion": "rackplane.dev/v1alpha1",
                    "kind": "Queue",
                    "metadata": {"name": "${ns}", "labels": {"a": "b"}},
                    "spec": {},
                },
                managed=True,
                save="made",
            ),
            patch(
                f"{QUEUES}/${{ns}}/status",
                {
                    "status": {
                        "conditions": [
                            {
                                "type": "Ready",
                                "status": "True",
                                "reason": "R",
                                "message": "m",
                                "lastTransitionTime": "2020-01-01T00:00:00Z",
                            }
                        ]
                    }
                },
                MERGE,
                agent="rackplane/1",
                managed=True,
            ),
            patch(
                f"{QUEUES}/${{ns}}",
                {"metadata": {"labels": {"a": "c"}}},
                MERGE,
                agent="rackplane/1",
                managed=True,
            ),
        ),
    ),
    Scenario(
        name="more than ten updaters are too many: the oldest are taken together",
        steps=(
            post(MAPS, {"metadata": {"name": "a"}}),
            *(
                step
                for number in range(12)
                for step in (
                    patch(
                        f"{MAPS}/a",
                        {"data": {f"k{number:02}": "1"}},
                        MERGE,
                        agent=f"m{number:02}/1",
                        managed=number == 11,
                        view="" if number == 11 else "nothing",
                    ),
                    *((wait(1.1),) if number < 2 else ()),
                )
            ),
        ),
    ),
)
