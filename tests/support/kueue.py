"""Kueue as a cluster serves it: small CRDs of the shape that it documents, and what it does with Jobs and our checks.

The controller does what Kueue documents of quota, admission checks and eviction, for Jobs of one quota, nothing else.
"""

from __future__ import annotations

from typing import Any

from rackplane.api.labels import QUEUE_LABEL
from rackplane.core.workloads.kueue import CONTROLLER, KUEUE_GROUP
from tests.support.foreign import POD_TEMPLATE, Body, owner
from tests.support.harness import GPU, Harness

CHECK = "rackplane"
#: label of a Job that Kueue queues
LOCAL_QUEUE = f"{KUEUE_GROUP}/queue-name"
_API = f"/apis/{KUEUE_GROUP}/v1beta2"
_OPEN: Body = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TEXT: Body = {"type": "string"}


def _mapped(key: str, item: Body, **more: Any) -> Body:
    return {
        "type": "array",
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
        **more,
    }


def _object(required: tuple[str, ...] = (), **properties: Body) -> Body:
    return {
        "type": "object",
        "properties": properties,
        **({"required": list(required)} if required else {}),
    }


_CONDITIONS = _mapped("type", {**_OPEN, "required": ["type"], "properties": {"type": _TEXT}})
_UPDATE = _object(("name",), name=_TEXT, labels=_OPEN, annotations=_OPEN, nodeSelector=_OPEN)
_STATE = _object(
    ("name", "state", "lastTransitionTime", "message"),
    name=_TEXT,
    state={"enum": ["Pending", "Ready", "Retry", "Rejected"], "type": "string"},
    lastTransitionTime={"type": "string", "format": "date-time"},
    message={"type": "string", "maxLength": 32768},
    requeueAfterSeconds={"type": "integer", "minimum": 0},
    podSetUpdates={"type": "array", "items": _UPDATE, "maxItems": 18, "x-kubernetes-list-type": "atomic"},
)
_POD_SET = _object(
    name=_TEXT, count={"type": "integer"}, template=POD_TEMPLATE, topologyRequest=_OPEN, minCount=_OPEN
)
_KINDS: dict[str, tuple[str, Body]] = {
    "Workload": (
        "Namespaced",
        _object(
            spec=_object(
                podSets=_mapped("name", {**_POD_SET, "required": ["name"]}),
                priority={"type": "integer"},
                active={"type": "boolean", "default": True},
                queueName=_TEXT,
            ),
            status=_object(
                conditions=_CONDITIONS,
                admission={**_OPEN, "nullable": True},
                admissionChecks=_mapped("name", _STATE, maxItems=8),
                reclaimablePods={"type": "array", "items": _OPEN},
                requeueState=_OPEN,
            ),
        ),
    ),
    "AdmissionCheck": ("Cluster", _object(spec=_OPEN, status=_object(conditions=_CONDITIONS))),
    "ResourceFlavor": ("Cluster", _object(spec=_OPEN)),
}


def crds() -> list[Body]:
    found = []
    for kind, (scope, schema) in _KINDS.items():
        plural = f"{kind.lower()}s"
        version = {
            "name": "v1beta2",
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema},
        }
        found.append(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.{KUEUE_GROUP}"},
                "spec": {
                    "group": KUEUE_GROUP,
                    "scope": scope,
                    "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                    "versions": [version],
                },
            }
        )
    return found


def check(name: str = CHECK, queue: str = "research") -> Body:
    """An AdmissionCheck of ours."""
    parameters = {"apiGroup": "rackplane.dev", "kind": "Queue", "name": queue}
    return {
        "apiVersion": f"{KUEUE_GROUP}/v1beta2",
        "kind": "AdmissionCheck",
        "metadata": {"name": name},
        "spec": {"controllerName": CONTROLLER, "parameters": parameters},
    }


class Kueue:
    """One ClusterQueue with one flavor and one admission check; a controller of the harness.

    Args:
        gpus: its quota.
        node_labels: of its flavor.
    """

    def __init__(self, h: Harness, *, gpus: int = 1_000, node_labels: dict[str, str] | None = None) -> None:
        self.gpus = gpus
        self._node_labels = node_labels or {}
        #: the templates of Jobs before Kueue changed them
        self._before: dict[str, Body] = {}
        self._seen: dict[str, str] = {}
        flavor = {"apiVersion": f"{KUEUE_GROUP}/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "f"}}
        h.apply(*crds())
        h.apply(check(), {**flavor, "spec": {"nodeLabels": self._node_labels}})

    def __call__(self, h: Harness) -> bool:
        busy = [self._step(h, job) for job in h.cluster.store.items(("batch", "jobs"))]
        return any(busy)

    def _step(self, h: Harness, job: Body) -> bool:
        meta = job["metadata"]
        if LOCAL_QUEUE not in meta.get("labels", {}):
            return False
        name = f"job-{meta['name']}"
        found = h.cluster.store.get((KUEUE_GROUP, "workloads"), "default", name)
        if found is None:
            self._before[meta["name"]] = job["spec"]["template"]
            h.request("POST", f"{_API}/namespaces/default/workloads", _workload(name, job))
            return True
        seen = f"{found['metadata']['resourceVersion']}/{meta['resourceVersion']}/{h.time.now}"
        if self._seen.get(name) == seen:
            return False
        self._seen[name] = seen
        return self._reconcile(h, job, found)

    def _reconcile(self, h: Harness, job: Body, workload: Body) -> bool:
        status = workload.get("status", {})
        true = {c["type"] for c in status.get("conditions", []) if c["status"] == "True"}
        states = status.get("admissionChecks", [])
        active = job.get("status", {}).get("active", 0)
        ended = [
            c for c in job.get("status", {}).get("conditions", []) if c["type"] in ("Complete", "Failed")
        ]
        if "Finished" in true:
            return False
        if ended:
            how = "Failed" if ended[0]["type"] == "Failed" else "Succeeded"
            return self._tell(h, workload, Finished=("True", how))
        if "Evicted" in true and "QuotaReserved" in true:
            if not job["spec"]["suspend"]:
                return self._switch(h, job, {"suspend": True})
            if active or h.pods_of(job["metadata"]["name"]):
                return False
            gone = {"admission": None}
            return self._tell(
                h, workload, gone, QuotaReserved=("False", "Pending"), Admitted=("False", "NoQuota")
            )
        if "QuotaReserved" not in true:
            return self._reserve(h, workload)
        if any(each["state"] == "Retry" for each in states):
            return self.evict(h, workload)
        if "Admitted" not in true and states and all(each["state"] == "Ready" for each in states):
            return self._tell(h, workload, Admitted=("True", "Admitted"))
        if "Admitted" in true and job["spec"]["suspend"]:
            template = self._merged(self._before[job["metadata"]["name"]], states)
            return self._switch(h, job, {"suspend": False, "template": template})
        return False

    def _reserve(self, h: Harness, workload: Body) -> bool:
        status = workload.get("status", {})
        since = status.get("requeueState", {}).get("requeueAt", 0)
        if h.time.now < since or _gpus(workload) > self.gpus - self.used(h):
            return False
        sets = [
            {"name": each["name"], "count": each["count"], "flavors": {GPU: "f"}}
            for each in workload["spec"]["podSets"]
        ]
        states = status.get("admissionChecks") or [_state(h, "Pending", "")]
        return self._tell(
            h,
            workload,
            {"admission": {"clusterQueue": "c", "podSetAssignments": sets}, "admissionChecks": states},
            QuotaReserved=("True", "QuotaReserved"),
            Evicted=("False", "QuotaReserved"),
        )

    def used(self, h: Harness) -> int:
        """GPUs of the Workloads that have quota."""
        there = h.cluster.store.items((KUEUE_GROUP, "workloads"))
        return sum(_gpus(each) for each in there if quota(each))

    def evict(self, h: Harness, workload: Body) -> bool:
        """Take the Workload's quota back, as for a Workload of more priority."""
        states = workload["status"]["admissionChecks"]
        waits = [each.get("requeueAfterSeconds", 0) for each in states if each["state"] == "Retry"]
        reset = [_state(h, "Pending", f"Reset to Pending after eviction. Previously: {states[0]['state']}")]
        more = {"admissionChecks": reset, "requeueState": {"requeueAt": h.time.now + max(waits, default=0)}}
        return self._tell(h, workload, more, Evicted=("True", "AdmissionCheck"))

    def _merged(self, template: Body, states: list[Body]) -> Body:
        (update,) = (u for each in states for u in each["podSetUpdates"])
        meta, spec = template.get("metadata", {}), template["spec"]
        added = {**self._node_labels, **update.get("nodeSelector", {})}
        assert not added.keys() & spec.get("nodeSelector", {}).keys(), "Kueue refuses a key that is there"
        return {
            "metadata": {
                "labels": {
                    **meta.get("labels", {}),
                    **update["labels"],
                    f"{KUEUE_GROUP}/podset": update["name"],
                },
                "annotations": {**(meta.get("annotations") or {}), **update["annotations"]},
            },
            "spec": {**spec, "nodeSelector": {**spec.get("nodeSelector", {}), **added}},
        }

    def _switch(self, h: Harness, job: Body, changed: Body) -> bool:
        path = f"/apis/batch/v1/namespaces/default/jobs/{job['metadata']['name']}"
        h.request("PUT", path, {**job, "spec": {**job["spec"], **changed}})
        return True

    def _tell(
        self, h: Harness, workload: Body, more: Body | None = None, **conditions: tuple[str, str]
    ) -> bool:
        meta, status = workload["metadata"], workload.get("status", {})
        known = {c["type"]: c for c in status.get("conditions", [])}
        for kind, (value, reason) in conditions.items():
            known[kind] = {"type": kind, "status": value, "reason": reason, "message": ""}
        path = f"{_API}/namespaces/default/workloads/{meta['name']}/status"
        h.patch(path, {"status": {**(more or {}), "conditions": list(known.values())}})
        return True


def quota(workload: Body) -> bool:
    conditions = workload.get("status", {}).get("conditions", [])
    return any(c["type"] == "QuotaReserved" and c["status"] == "True" for c in conditions)


def _state(h: Harness, state: str, message: str) -> Body:
    return {"name": CHECK, "state": state, "message": message, "lastTransitionTime": "2023-11-14T22:13:20Z"}


def _gpus(workload: Body) -> int:
    total = 0
    for each in workload["spec"]["podSets"]:
        limits = each["template"]["spec"]["containers"][0].get("resources", {}).get("limits", {})
        total += each["count"] * int(limits.get(GPU, 0))
    return total


def _workload(name: str, job: Body) -> Body:
    spec, template = job["spec"], job["spec"]["template"]
    meta = {key: template.get("metadata", {}).get(key) or {} for key in ("labels", "annotations")}
    assert QUEUE_LABEL not in meta["labels"]
    pods = {
        "name": "main",
        "count": min(spec["parallelism"], spec.get("completions", spec["parallelism"])),
        "template": {"metadata": meta, "spec": template["spec"]},
        # Of every Job, also of one whose pods have no index.
        "topologyRequest": {"podIndexLabel": "batch.kubernetes.io/job-completion-index"},
    }
    return {
        "apiVersion": f"{KUEUE_GROUP}/v1beta2",
        "kind": "Workload",
        "metadata": {
            "name": name,
            "ownerReferences": [owner({"apiVersion": "batch/v1", "kind": "Job", **job})],
        },
        "spec": {"queueName": "q", "podSets": [pods]},
    }
