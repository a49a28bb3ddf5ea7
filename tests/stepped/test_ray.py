"""RayClusters and RayJobs: as other workloads, and a RayJob's pods are those of the RayCluster that it makes.

The embedded cluster does not run the JSON patches by which the chart's policies gate their groups of workers: what
these would do is written by hand here, and tried on a real API server by tests/chart/test_admission.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.api.labels import SUSPENDED_BY
from rackplane.core.workloads.kinds import KINDS
from tests.support.foreign import QUEUE, Body, crd, kuberay_controller, pod_template, workload
from tests.support.harness import RUN, Harness, facility, started

GATE = {"name": "rackplane.dev/placement"}
RAY = "/apis/ray.io/v1/namespaces/default"


def site() -> Harness:
    h = started(facility(racks=1))
    h.apply(crd("RayCluster"), crd("RayJob"))
    h.controllers.append(kuberay_controller)
    return h


def queued(gpus: int, run: float | None) -> Body:
    found = pod_template(gpus, **({} if run is None else {RUN: str(run)}))
    found["metadata"]["labels"] = {QUEUE: "research"}
    found["spec"]["schedulingGates"] = [GATE]
    return found


def cluster_spec(run: float | None) -> Body:
    """A head without GPUs and three workers of a node each; the head decides when it ends."""
    workers = {"groupName": "gpu", "replicas": 3, "template": queued(4, None)}
    return {"headGroupSpec": {"template": queued(0, run)}, "workerGroupSpecs": [workers]}


def body(kind: str, run: float | None = 30, **more: Any) -> Body:
    spec = {"suspend": True, **cluster_spec(run), **more}
    if kind == "RayJob":
        spec = {
            "suspend": True,
            "shutdownAfterJobFinishes": True,
            "rayClusterSpec": cluster_spec(run),
            **more,
        }
    return workload(kind, "tune", spec, annotations={SUSPENDED_BY: "rackplane"})


def create(h: Harness, made: Body) -> None:
    h.request("POST", f"{RAY}/{KINDS[made['kind']].plural}", made)


def slots(h: Harness) -> dict[int, str]:
    found = {}
    for pod in h.pods():
        notes = pod["metadata"]["annotations"]
        if "rackplane.dev/slot" in notes and pod["metadata"]["labels"].get("ray.io/group"):
            found[int(notes["rackplane.dev/slot"])] = pod["metadata"]["labels"]["ray.io/group"]
    return found


WHOLE = {0: "headgroup", 1: "gpu", 2: "gpu", 3: "gpu"}
kinds = pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])


@kinds
def test_it_waits_for_its_place_and_starts_whole(kind: str) -> None:
    h = site()
    h.job("before", slots=4, run=20)
    h.until(lambda: h.phase("job-before") == "Running")
    create(h, body(kind, None))
    h.settle()
    assert (h.phase(f"{kind.lower()}-tune"), slots(h)) == ("Pending", {})
    h.until(lambda: h.phase(f"{kind.lower()}-tune") == "Running", seconds=60)
    assert (slots(h), set(h.gangs())) == (WHOLE, {"job-before", f"{kind.lower()}-tune"})
    h.restart_machine()
    h.settle()
    assert (h.phase(f"{kind.lower()}-tune"), slots(h)) == ("Running", WHOLE)
    known = KINDS[kind]
    h.request("DELETE", f"{RAY}/{known.plural}/tune", {"propagationPolicy": "Background"})
    h.until(lambda: f"{kind.lower()}-tune" not in h.gangs(), seconds=60)
    assert h.machine.state is not None
    assert "default/rayjob-tune" not in set(h.machine.state.keys())


@kinds
def test_one_that_its_user_suspends_gives_its_place_up(kind: str) -> None:
    h = site()
    create(h, body(kind, None))
    h.until(lambda: h.phase(f"{kind.lower()}-tune") == "Running")
    path = f"{RAY}/{KINDS[kind].plural}/tune"
    h.patch(path, {"spec": {"suspend": True}})
    h.until(lambda: h.phase(f"{kind.lower()}-tune") == "Held", seconds=60)
    assert slots(h) == {}
    h.patch(path, {"spec": {"suspend": False}})
    h.until(lambda: h.phase(f"{kind.lower()}-tune") == "Running", seconds=60)
    assert slots(h) == WHOLE


def test_a_rayjob_that_is_complete_gives_its_place_back_when_its_cluster_is_gone() -> None:
    h = site()
    create(h, body("RayJob", 20))
    h.until(lambda: h.phase("rayjob-tune") == "Finished", seconds=120)
    assert h.gang("rayjob-tune")["status"]["message"] == "RayJob tune is complete"
    assert h.machine.state is not None
    assert (set(h.machine.state.keys()), h.pods()) == (set(), [])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (body("RayJob", shutdownAfterJobFinishes=False), "spec.shutdownAfterJobFinishes: is false"),
        (body("RayCluster", enableInTreeAutoscaling=True), "spec.enableInTreeAutoscaling: is true"),
    ],
    ids=["a RayJob that leaves its cluster", "a RayCluster that grows by itself"],
)
def test_what_cannot_be_a_gang_is_told_why(made: Body, said: str) -> None:
    h = site()
    create(h, made)
    h.settle()
    assert h.gang(f"{made['kind'].lower()}-tune")["status"]["message"].startswith(said)
    assert h.pods() == []


def test_one_that_a_rayservice_made_is_left_alone() -> None:
    h = site()
    made = body("RayCluster", None)
    service = {"apiVersion": "ray.io/v1", "kind": "RayService", "name": "s", "uid": "u", "controller": True}
    made["metadata"]["ownerReferences"] = [service]
    made["metadata"]["annotations"] = {}
    made["spec"]["suspend"] = False
    create(h, made)
    h.deliver()
    assert (h.gangs(), h.get("ray.io", "rayclusters", "tune")["spec"]["suspend"]) == ({}, False)
