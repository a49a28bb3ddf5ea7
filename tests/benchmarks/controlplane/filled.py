"""An embedded cluster that is full from the start: `python -m tests.benchmarks.controlplane.filled FOLDER NODES PODS`.

The facility, nodes, gangs and system pods are those of `bench_core`, put into the store through the API's own checks,
but without HTTP. The kubeconfig appears in FOLDER once it serves.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rackplane.api.labels import NODE_GANGS, POWER_CAP_WATTS, POWER_PROFILE
from rackplane.core.events import FacilityChanged
from rackplane.kube.resources import GANGS
from rackplane.localcluster import LocalCluster
from rackplane.localcluster.history import GroupResource
from tests.benchmarks import bench_core as core

__all__ = ["KUBECONFIG_NAME"]

KUBECONFIG_NAME = "filled.kubeconfig"
_CRDS = Path(__file__).parents[3] / "crds"
_NAMESPACE = "ns"
_CONTROLLER = "batch.kubernetes.io/controller-uid"
#: System pods are of so many kinds: agents, exporters, storage.
KINDS = 4

Body = dict[str, Any]


def objects(nodes: int, pods: int) -> Iterator[Body]:
    """In an order in which a server takes them."""
    racks = nodes // core.RACK_NODES
    for path in sorted(_CRDS.glob("*.yaml")):
        yield yaml.safe_load(path.read_text(encoding="utf-8"))
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": _NAMESPACE},
    }
    for event in core.facility(racks):
        assert isinstance(event, FacilityChanged)
        body = dict(event.body)
        yield {**body, "metadata": {"name": body["metadata"]["name"]}}
    for rack in range(racks):
        for number in range(core.RACK_NODES):
            at_work = rack % 2 == 0 and number < core.SLOTS
            yield _node(f"r{rack}-n{number}", rack, _cap(rack) if at_work else {})
    left = pods
    for rack in range(0, racks, 2):
        for body in _gang(rack, [f"r{rack}-n{n}" for n in range(core.SLOTS)]):
            left -= body["kind"] == "Pod"
            yield body
    for number in range(left):
        where = f"r{number // core.RACK_NODES % racks}-n{number % core.RACK_NODES}"
        kind = f"agent-{number // (racks * core.RACK_NODES) % KINDS}"
        owner = {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "name": kind,
            "uid": f"uid-{kind}",
            "controller": True,
        }
        meta = {"name": f"{kind}-{number}", "labels": {"app": kind}, "ownerReferences": [owner]}
        yield _pod(meta, where, {"cpu": "250m", "memory": "200Mi"})


def _cap(rack: int) -> dict[str, str]:
    """What a node with a gang carries (core/site/caps.py): this cluster has been at work for a while."""
    gang = f"{_NAMESPACE}/job-run{rack}"
    return {POWER_PROFILE: "MaxP", POWER_CAP_WATTS: str(core.NODE_WATTS), NODE_GANGS: gang}


def _node(name: str, rack: int, annotations: dict[str, str]) -> Body:
    room = {"cpu": "144", "memory": "900Gi", "ephemeral-storage": "3Ti", "pods": "110", core.GPU: "4"}
    conditions = [
        {"type": kind, "status": status, "reason": "Fine", "message": "kubelet says so", "lastTransitionTime": _AT}
        for kind, status in (
            ("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False"), ("Ready", "True"),
        )
    ]  # fmt: skip
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/arch": "arm64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "gb300",
        "rackplane.dev/rack": f"r{rack}",
        "nvidia.com/gpu.product": "NVIDIA-GB300",
        "nvidia.com/gpu.count": "4",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {"taints": [{"key": "rackplane.dev/managed", "effect": "NoSchedule"}]},
        "status": {"capacity": room, "allocatable": room, "conditions": conditions},
    }


_AT = "2026-11-01T00:00:00Z"


def _pod(meta: Body, where: str, asked: dict[str, str], **spec: Any) -> Body:
    """As a running pod looks: with what the API server, the scheduler and the kubelet add to it."""
    tolerations = [
        {"key": f"node.kubernetes.io/{kind}", "operator": "Exists", "effect": "NoExecute"}
        for kind in ("not-ready", "unreachable")
    ]
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": _AT}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    container = {"name": "main", "image": "train:1", "resources": {"requests": asked, "limits": asked}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": _NAMESPACE, **meta},
        "spec": {"nodeName": where, "containers": [container], "tolerations": tolerations, **spec},
        "status": {"phase": "Running", "conditions": conditions},
    }


def _gang(rack: int, nodes: list[str]) -> Iterator[Body]:
    """A Job that runs on these nodes, its Gang and its pods."""
    name, labels = f"run{rack}", {"rackplane.dev/queue": "research"}
    asked = {core.GPU: "4", "cpu": str(64 + rack % core.TEMPLATES), "memory": "256Gi"}
    template = {
        "restartPolicy": "Never",
        "schedulingGates": [{"name": "rackplane.dev/placement"}],
        "containers": [
            {"name": "main", "image": "train:1", "resources": {"requests": asked, "limits": asked}}
        ],
    }
    yield {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": _NAMESPACE, "labels": labels},
        "spec": {
            "parallelism": len(nodes),
            "completions": len(nodes),
            "completionMode": "Indexed",
            "template": {"metadata": {"labels": labels}, "spec": template},
        },
    }
    yield {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "Gang",
        "metadata": {"name": f"job-{name}", "namespace": _NAMESPACE},
        "spec": {
            "queue": "research",
            "workload": {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": ""},
            "slots": len(nodes),
            "gpusPerSlot": 4,
        },
        "status": {
            "phase": "Running",
            "decision": {"id": f"1-{name}", "term": 1, "time": _AT},
            "assignment": [{"nvlinkDomain": f"nvl-r{rack}", "rack": f"r{rack}", "nodes": nodes}],
            "powerProfile": "MaxP",
        },
    }
    for slot, where in enumerate(nodes):
        notes = {
            "rackplane.dev/slot": str(slot),
            "rackplane.dev/power-profile": "MaxP",
            "rackplane.dev/gang": f"job-{name}",
            "batch.kubernetes.io/job-completion-index": str(slot),
        }
        # The controller's uid is filled in with the owner's, so that the Job controller takes the pod for its own.
        own = {
            "batch.kubernetes.io/job-name": name,
            "batch.kubernetes.io/job-completion-index": str(slot),
            _CONTROLLER: "",
        }
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "", "controller": True}
        meta = {
            "name": f"{name}-{slot}",
            "labels": {**labels, **own},
            "annotations": notes,
            "ownerReferences": [owner],
            "finalizers": ["batch.kubernetes.io/job-tracking"],
        }
        yield _pod(meta, where, asked, nodeSelector={"kubernetes.io/hostname": where}, restartPolicy="Never")


def fill(cluster: LocalCluster, nodes: int, pods: int) -> None:
    job: Body = {}
    #: What the API made of the first pod of each kind; the others are copies, or it would take a quarter of an hour.
    models: dict[str, Body] = {}
    for body in objects(nodes, pods):
        for owner in body["metadata"].get("ownerReferences", ()):
            if not owner["uid"]:
                owner["uid"] = body["metadata"]["labels"][_CONTROLLER] = job["metadata"]["uid"]
        if body["kind"] == "Gang":
            body["spec"]["workload"]["uid"] = job["metadata"]["uid"]
        if body["kind"] == "Pod":
            _put_pod(cluster, body, models)
            continue
        made = cluster.apply(body)
        if body["kind"] == "Job":
            job = made
        if body["kind"] == "CustomResourceDefinition":
            cluster.settle()
        if body["kind"] == "Gang":
            path = GANGS.path(_NAMESPACE, made["metadata"]["name"], "status")
            cluster.request("PUT", path, {**made, "status": body["status"]})


def _put_pod(cluster: LocalCluster, body: Body, models: dict[str, Body]) -> None:
    kind = str(body["spec"]["containers"][0]["resources"])
    if kind not in models:
        first = {**body, "metadata": {"namespace": _NAMESPACE, "name": "model"}}
        models[kind] = cluster.apply(first)
        cluster.store.remove(PODS, _NAMESPACE, "model")
    model = models[kind]
    spec = {
        **model["spec"],
        **{name: body["spec"][name] for name in ("nodeName", "nodeSelector") if name in body["spec"]},
    }
    meta = {**body["metadata"], "managedFields": model["metadata"]["managedFields"]}
    cluster.store.create(PODS, {"metadata": meta, "spec": spec, "status": body["status"]})


PODS: GroupResource = ("", "pods")


async def main(folder: Path, nodes: int, pods: int) -> None:
    cluster = LocalCluster()
    fill(cluster, nodes, pods)
    await cluster.start()
    # In one step: whoever waits for the file must not read half of it.
    cluster.kubeconfig(folder / "unfinished")
    os.replace(folder / "unfinished", folder / KUBECONFIG_NAME)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
