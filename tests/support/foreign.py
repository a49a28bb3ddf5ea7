"""Kinds of other projects as a cluster serves them: small CRDs of the documented shape, and what their controllers do.

The controllers do what the projects document of suspending, labels and indexes, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rackplane.core.workloads.kinds import KINDS
from tests.support.harness import Harness

Body = dict[str, Any]

QUEUE = "rackplane.dev/queue"
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_OPEN = {"x-kubernetes-preserve-unknown-fields": True}


def _keyed(item: Body) -> Body:
    """A list whose items are told apart by name, as the projects declare it."""
    return {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            **item,
            "properties": {"name": {"type": "string"}, **item.get("properties", {})},
        },
    }


def _object(**properties: Body) -> Body:
    return {"type": "object", "properties": properties}


_SUSPEND = {"type": "boolean"}
#: as controller-gen writes it with embedded metadata
POD_TEMPLATE = _object(
    metadata=_object(labels=_TEXTS, annotations=_TEXTS),
    spec={"type": "object", **_OPEN, "properties": {"schedulingGates": _keyed({})}},
)
_REPLICAS = {
    "type": "object",
    "additionalProperties": _object(
        replicas={"type": "integer"}, restartPolicy={"type": "string"}, template=POD_TEMPLATE
    ),
}
_RUN_POLICY = _object(suspend=_SUSPEND, backoffLimit={"type": "integer"})
_RAY_CLUSTER = _object(
    suspend=_SUSPEND,
    enableInTreeAutoscaling={"type": "boolean"},
    headGroupSpec=_object(template=POD_TEMPLATE),
    # As KubeRay has it, this list is replaced whole.
    workerGroupSpecs={
        "type": "array",
        "items": _object(
            groupName={"type": "string"},
            replicas={"type": "integer"},
            numOfHosts={"type": "integer", "default": 1},
            template=POD_TEMPLATE,
        ),
    },
)
_SPECS: Mapping[str, Body] = {
    "JobSet": _object(
        suspend=_SUSPEND,
        startupPolicy=_object(startupPolicyOrder={"type": "string"}),
        replicatedJobs=_keyed(
            _object(
                replicas={"type": "integer", "default": 1},
                template=_object(
                    metadata=_object(labels=_TEXTS, annotations=_TEXTS),
                    spec={"type": "object", **_OPEN, "properties": {"template": POD_TEMPLATE}},
                ),
            )
        ),
    ),
    "TrainJob": _object(
        runtimeRef=_object(name={"type": "string"}),
        trainer=_object(numNodes={"type": "integer"}),
        suspend=_SUSPEND,
        runtimePatches={
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["manager"],
            "items": {
                "type": "object",
                "required": ["manager"],
                "properties": {
                    "manager": {"type": "string"},
                    "trainingRuntimeSpec": _object(
                        template=_object(metadata=_object(labels=_TEXTS, annotations=_TEXTS))
                    ),
                },
            },
        },
    ),
    "PyTorchJob": _object(runPolicy=_RUN_POLICY, pytorchReplicaSpecs=_REPLICAS),
    "RayCluster": _RAY_CLUSTER,
    "RayJob": _object(
        suspend=_SUSPEND,
        shutdownAfterJobFinishes={"type": "boolean"},
        clusterSelector=_TEXTS,
        rayClusterSpec=_RAY_CLUSTER,
    ),
    "MPIJob": _object(
        runPolicy=_RUN_POLICY, launcherCreationPolicy={"type": "string"}, mpiReplicaSpecs=_REPLICAS
    ),
}


def crd(kind: str, *, group: str = "") -> Body:
    """The CustomResourceDefinition of one of the kinds; `group`: under another group, for a cluster that others use."""
    known = KINDS[kind]
    group = group or known.group
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{known.plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": known.plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": known.versions[0],
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": _object(spec=_SPECS[kind], status={"type": "object", **_OPEN})
                    },
                }
            ],
        },
    }


def workload(kind: str, name: str, spec: Body, **metadata: Any) -> Body:
    """A labelled object of the kind."""
    known = KINDS[kind]
    labels = {QUEUE: "research", **metadata.pop("labels", {})}
    return {
        "apiVersion": f"{known.group}/{known.versions[0]}",
        "kind": kind,
        "metadata": {"name": name, "labels": labels, **metadata},
        "spec": spec,
    }


def pod_template(gpus: int, **annotations: str) -> Body:
    limits = {"nvidia.com/gpu": gpus} if gpus else {}
    container = {"name": "main", "image": "registry.example/train:1", "resources": {"limits": limits}}
    return {
        "metadata": {"annotations": annotations},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }


def replicated(name: str, *, jobs: int = 1, pods: int = 1, template: Body, **spec: Any) -> Body:
    """A replicatedJob of a JobSet: so many Indexed Jobs of so many pods."""
    body = {
        "parallelism": pods,
        "completions": pods,
        "completionMode": "Indexed",
        "template": template,
        **spec,
    }
    return {"name": name, "replicas": jobs, "template": {"spec": body}}


def child_jobs(jobset: Body) -> Iterator[Body]:
    """The Jobs that the JobSet controller makes of one."""
    meta = jobset["metadata"]
    for each in jobset["spec"]["replicatedJobs"]:
        for index in range(each.get("replicas", 1)):
            ours = {
                "jobset.sigs.k8s.io/jobset-name": meta["name"],
                "jobset.sigs.k8s.io/replicatedjob-name": each["name"],
                "jobset.sigs.k8s.io/job-index": str(index),
            }
            spec = each["template"]["spec"]
            template = spec["template"]
            own = template.get("metadata", {})
            template = {**template, "metadata": {**own, "labels": {**own.get("labels", {}), **ours}}}
            yield {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {
                    "name": f"{meta['name']}-{each['name']}-{index}",
                    "namespace": meta["namespace"],
                    "labels": ours,
                    "ownerReferences": [owner(jobset)],
                },
                "spec": {**spec, "suspend": bool(jobset["spec"].get("suspend")), "template": template},
            }


def owner(body: Body) -> Body:
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "name": body["metadata"]["name"],
        "uid": body["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def jobset_status(jobset: Body, jobs: list[Body]) -> Body:
    """What the JobSet controller says of it: counts of its Jobs, and its end."""

    def ended(job: Body, how: str) -> bool:
        conditions = job.get("status", {}).get("conditions", [])
        return any(c["type"] == how and c["status"] == "True" for c in conditions)

    counts = []
    for each in jobset["spec"]["replicatedJobs"]:
        own = [
            j
            for j in jobs
            if j["metadata"]["labels"]["jobset.sigs.k8s.io/replicatedjob-name"] == each["name"]
        ]
        counts.append(
            {
                "name": each["name"],
                "succeeded": sum(ended(j, "Complete") for j in own),
                "failed": sum(ended(j, "Failed") for j in own),
                "active": sum(bool(j.get("status", {}).get("active")) for j in own),
                "ready": 0,
                "suspended": 0,
            }
        )
    conditions = []
    if any(ended(job, "Failed") for job in jobs):
        conditions = [{"type": "Failed", "status": "True", "reason": "FailedJobs", "message": "a Job failed"}]
    elif jobs and all(ended(job, "Complete") for job in jobs):
        conditions = [
            {"type": "Completed", "status": "True", "reason": "AllJobsCompleted", "message": "all are"}
        ]
    return {"replicatedJobsStatus": counts, "conditions": conditions}


# -- their controllers, on the stepped harness -------------------------------------------------------


def jobset_controller(h: Harness) -> bool:
    """One look at every JobSet: its Jobs are there, and suspended as it is; its status counts them."""
    busy = False
    for jobset in h.cluster.store.items(("jobset.x-k8s.io", "jobsets")):
        meta = jobset["metadata"]
        path = f"/apis/batch/v1/namespaces/{meta['namespace']}/jobs"
        if meta.get("deletionTimestamp") or jobset.get("status", {}).get("conditions"):
            continue
        there = []
        for wanted in child_jobs(jobset):
            name = wanted["metadata"]["name"]
            found = h.cluster.store.get(("batch", "jobs"), meta["namespace"], name)
            if found is None:
                h.request("POST", path, wanted)
                busy = True
                continue
            there.append(found)
            ended = found.get("status", {}).get("completionTime") or found.get("status", {}).get("failed")
            if not ended and bool(found["spec"].get("suspend")) != wanted["spec"]["suspend"]:
                h.patch(f"{path}/{name}", {"spec": {"suspend": wanted["spec"]["suspend"]}})
                busy = True
        busy |= _tell(h, "jobsets", jobset, jobset_status(jobset, there))
    return busy


def trainjob_controller(h: Harness) -> bool:
    """One look at every TrainJob: the JobSet of its runtime, of so many nodes, suspended as it is, is there, and says
    when it is complete."""
    busy = False
    for body in h.cluster.store.items(("trainer.kubeflow.org", "trainjobs")):
        meta, spec = body["metadata"], body["spec"]
        if meta.get("deletionTimestamp") or body.get("status", {}).get("conditions"):
            continue
        patches = [each.get("trainingRuntimeSpec", {}) for each in spec.get("runtimePatches", [])]
        labels = [p.get("template", {}).get("metadata", {}).get("labels", {}) for p in patches]
        made = h.cluster.store.get(("jobset.x-k8s.io", "jobsets"), meta["namespace"], meta["name"])
        path = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{meta['namespace']}/jobsets"
        if made is None:
            node = replicated(
                "node",
                pods=spec["trainer"]["numNodes"],
                template=pod_template(4, **meta.get("annotations", {})),
            )
            about = {"name": meta["name"], "labels": {k: v for each in labels for k, v in each.items()}}
            wanted = {"suspend": bool(spec.get("suspend")), "replicatedJobs": [node]}
            jobset = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "spec": wanted}
            h.request("POST", path, {**jobset, "metadata": {**about, "ownerReferences": [owner(body)]}})
            busy = True
        elif bool(made["spec"].get("suspend")) != bool(spec.get("suspend")):
            h.patch(f"{path}/{meta['name']}", {"spec": {"suspend": bool(spec.get("suspend"))}})
            busy = True
        else:
            ends = {c["type"] for c in made.get("status", {}).get("conditions", [])}
            names = {"Completed": "Complete", "Failed": "Failed"}
            said = [{"type": names[each], "status": "True"} for each in sorted(ends)]
            busy |= bool(said) and _tell(h, "trainjobs", body, {"conditions": said})
    return busy


def kubeflow_controller(h: Harness) -> bool:
    """One look at every PyTorchJob and MPIJob: the pods of one that is not suspended are there; of another, gone."""
    busy = False
    for kind, field, mark in (
        ("PyTorchJob", "pytorchReplicaSpecs", "pytorchjob-controller"),
        ("MPIJob", "mpiReplicaSpecs", "mpi-operator"),
    ):
        known = KINDS[kind]
        for body in h.cluster.store.items((known.group, known.plural)):
            meta = body["metadata"]
            if meta.get("deletionTimestamp") or body.get("status", {}).get("conditions"):
                continue
            asleep = bool(body["spec"].get("runPolicy", {}).get("suspend"))
            path = f"/api/v1/namespaces/{meta['namespace']}/pods"
            counts: Body = {}
            for role, each in body["spec"][field].items():
                counts[role] = count = {"active": 0, "succeeded": 0, "failed": 0}
                for index in range(each.get("replicas", 1)):
                    name = f"{meta['name']}-{role.lower()}-{index}"
                    pod = h.cluster.store.get(("", "pods"), meta["namespace"], name)
                    phase = "" if pod is None else pod["status"].get("phase", "Pending")
                    if phase in ("Succeeded", "Failed"):
                        count[phase.lower()] += 1
                    elif asleep and pod is not None and not pod["metadata"].get("deletionTimestamp"):
                        h.request("DELETE", f"{path}/{name}")
                        busy = True
                    elif not asleep and pod is None:
                        h.request("POST", path, _replica(body, role, index, each["template"], mark))
                        busy = True
                    elif pod is not None:
                        count["active"] += 1
            first = "Master" if kind == "PyTorchJob" else "Launcher"
            conditions = []
            if any(count["failed"] for count in counts.values()):
                conditions = [{"type": "Failed", "status": "True"}]
            elif counts[first]["succeeded"]:
                conditions = [{"type": "Succeeded", "status": "True"}]
            busy |= _tell(h, known.plural, body, {"replicaStatuses": counts, "conditions": conditions})
    return busy


def _replica(body: Body, role: str, index: int, template: Body, mark: str) -> Body:
    meta = body["metadata"]
    labels = {
        **template["metadata"].get("labels", {}),
        "training.kubeflow.org/job-name": meta["name"],
        "training.kubeflow.org/operator-name": mark,
    }
    if mark == "mpi-operator":
        labels["training.kubeflow.org/job-role"] = role.lower()
    else:
        labels["training.kubeflow.org/replica-type"] = role.lower()
    if role == "Worker" or mark != "mpi-operator":
        labels["training.kubeflow.org/replica-index"] = str(index)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{meta['name']}-{role.lower()}-{index}",
            "namespace": meta["namespace"],
            "labels": labels,
            "annotations": template["metadata"].get("annotations", {}),
            "ownerReferences": [owner(body)],
        },
        "spec": template["spec"],
    }


def _tell(h: Harness, plural: str, body: Body, status: Body) -> bool:
    if body.get("status", {}) == status:
        return False
    meta = body["metadata"]
    path = f"/apis/{body['apiVersion']}/namespaces/{meta['namespace']}/{plural}/{meta['name']}/status"
    h.patch(path, {"status": status})
    return True


def kuberay_controller(h: Harness) -> bool:
    """One look at every RayJob and RayCluster: a RayJob that is not suspended has a cluster, and a cluster its pods."""
    busy = False
    for body in h.cluster.store.items(("ray.io", "rayjobs")):
        meta, name = body["metadata"], f"{body['metadata']['name']}-xk2lp"
        path = f"/apis/ray.io/v1/namespaces/{meta['namespace']}/rayclusters"
        found = h.cluster.store.get(("ray.io", "rayclusters"), meta["namespace"], name)
        if meta.get("deletionTimestamp") or body.get("status", {}).get("jobDeploymentStatus") == "Complete":
            continue
        if body["spec"].get("suspend"):
            if found is not None:
                h.request("DELETE", f"{path}/{name}", {"propagationPolicy": "Background"})
                busy = True
            continue
        if found is None:
            about = {"name": name, "namespace": meta["namespace"], "ownerReferences": [owner(body)]}
            about["labels"] = {**meta["labels"], "ray.io/originated-from-cr-name": meta["name"]}
            cluster = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": about}
            h.request("POST", path, {**cluster, "spec": body["spec"]["rayClusterSpec"]})
            busy = True
            continue
        heads = h.pods(**{"ray.io/cluster": name, "ray.io/group": "headgroup"})
        if any(pod["status"].get("phase") == "Succeeded" for pod in heads):
            h.request("DELETE", f"{path}/{name}", {"propagationPolicy": "Background"})
            status = {"jobStatus": "SUCCEEDED", "jobDeploymentStatus": "Complete"}
            busy |= _tell(h, "rayjobs", body, status)
    for body in h.cluster.store.items(("ray.io", "rayclusters")):
        busy |= _pods_of_cluster(h, body)
    return busy


def _pods_of_cluster(h: Harness, body: Body) -> bool:
    meta, spec, busy = body["metadata"], body["spec"], False
    path = f"/api/v1/namespaces/{meta['namespace']}/pods"
    groups = [("headgroup", 1, spec["headGroupSpec"]["template"])]
    groups += [
        (g["groupName"], g["replicas"] * g["numOfHosts"], g["template"]) for g in spec["workerGroupSpecs"]
    ]
    for group, count, template in groups:
        for number in range(count):
            name = f"{meta['name']}-{group}-{number}"
            pod = h.cluster.store.get(("", "pods"), meta["namespace"], name)
            if spec.get("suspend") and pod is not None and not pod["metadata"].get("deletionTimestamp"):
                h.request("DELETE", f"{path}/{name}")
            elif not spec.get("suspend") and pod is None and not meta.get("deletionTimestamp"):
                labels = {"ray.io/cluster": meta["name"], "ray.io/group": group}
                own = template["metadata"]
                about = {
                    "name": name,
                    "labels": {**own.get("labels", {}), **labels},
                    "annotations": own.get("annotations", {}),
                    "ownerReferences": [owner(body)],
                }
                h.request(
                    "POST",
                    path,
                    {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": template["spec"]},
                )
            else:
                continue
            busy = True
    return busy
