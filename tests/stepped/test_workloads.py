"""Workloads of other projects: suspended until they have a place, stopped by their switch, never a user's undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rackplane.api.labels import SUSPENDED_BY
from rackplane.core import events as e
from rackplane.core.machine import Machine
from rackplane.core.offline.rehearsal import decide, submit_all
from rackplane.core.workloads.kinds import KINDS
from tests.support.branching import Kill, killed_at
from tests.support.foreign import (
    Body,
    crd,
    jobset_controller,
    kubeflow_controller,
    pod_template,
    replicated,
    workload,
)
from tests.support.harness import _FACILITY, EXIT, RUN, Harness, facility, started

GATE = {"name": "rackplane.dev/placement"}


def site(*, racks: int = 1, objects: list[Body] | None = None, **options: Any) -> Harness:
    h = started(objects if objects is not None else facility(racks=racks), **options)
    h.apply(*map(crd, KINDS))
    h.controllers += [jobset_controller, kubeflow_controller]
    return h


def template(gpus: int, run: float | None = 30, **annotations: str) -> Body:
    return pod_template(gpus, **({} if run is None else {RUN: str(run)}), **annotations)


def jobset(run: float | None = 30, *, workers: int = 3, **spec: Any) -> Body:
    """A leader without GPUs, and so many workers of a node each: a Job of two pods and one more."""
    jobs = [
        replicated("lead", template=template(0, run)),
        replicated("work", jobs=workers, template=template(4, run)),
    ]
    return workload("JobSet", "train", {"replicatedJobs": jobs, **spec})


def pytorch(run: float | None = 30, *, workers: int = 3, **more: Any) -> Body:
    replicas = {
        "Master": {"replicas": 1, "restartPolicy": "OnFailure", "template": template(4, run)},
        "Worker": {"replicas": workers, "restartPolicy": "OnFailure", "template": template(4, run)},
    }
    return workload("PyTorchJob", "train", {"pytorchReplicaSpecs": replicas, **more})


def mpi(run: float | None = 30, *, workers: int = 3, **more: Any) -> Body:
    replicas = {
        "Launcher": {"replicas": 1, "template": template(0, run)},
        "Worker": {"replicas": workers, "template": template(4, run)},
    }
    return workload("MPIJob", "train", {"mpiReplicaSpecs": replicas, **more})


ALL: dict[str, Callable[..., Body]] = {"JobSet": jobset, "PyTorchJob": pytorch, "MPIJob": mpi}
kinds = pytest.mark.parametrize("kind", ALL)


def create(h: Harness, body: Body) -> None:
    plural = KINDS[body["kind"]].plural
    h.request("POST", f"/apis/{body['apiVersion']}/namespaces/default/{plural}", body)


def stored(h: Harness, kind: str) -> Body:
    known = KINDS[kind]
    return h.get(known.group, known.plural, "train")


def switch(h: Harness, kind: str, value: bool) -> None:
    known = KINDS[kind]
    path = f"/apis/{known.group}/{known.versions[0]}/namespaces/default/{known.plural}/train"
    h.patch(path, known.switched(suspend=value))


def suspended(h: Harness, kind: str) -> str:
    """Who suspended it, "" for nobody."""
    body = stored(h, kind)
    found: Any = body
    for key in KINDS[kind].suspend:
        found = found.get(key, {})
    return (
        ("us" if SUSPENDED_BY in body["metadata"].get("annotations", {}) else "user") if found is True else ""
    )


def gang(kind: str) -> str:
    return f"{kind.lower()}-train"


def slots(h: Harness) -> dict[int, str]:
    """By slot the pod that was given it, less what its controller appends by chance."""
    found = {}
    for pod in h.pods():
        notes = pod["metadata"]["annotations"]
        if "rackplane.dev/slot" in notes and pod["status"].get("phase") not in ("Succeeded", "Failed"):
            labels, name = pod["metadata"]["labels"], pod["metadata"]["name"]
            job = labels.get("batch.kubernetes.io/job-name")
            found[int(notes["rackplane.dev/slot"])] = f"{job}" if job else name
    return found


WHOLE = {
    "JobSet": {0: "train-lead-0", 1: "train-work-0", 2: "train-work-1", 3: "train-work-2"},
    "PyTorchJob": {0: "train-master-0", 1: "train-worker-0", 2: "train-worker-1", 3: "train-worker-2"},
    "MPIJob": {0: "train-launcher-0", 1: "train-worker-0", 2: "train-worker-1", 3: "train-worker-2"},
}


@kinds
@pytest.mark.parametrize("restarts", [False, True])
def test_it_waits_suspended_starts_whole_in_order_of_rank_and_finishes(kind: str, restarts: bool) -> None:
    h = site()
    h.job("before", slots=4, run=20)
    h.until(lambda: h.phase("job-before") == "Running")
    create(h, ALL[kind]())
    h.settle()
    assert (h.phase(gang(kind)), suspended(h, kind), len(h.pods())) == ("Pending", "us", 4)
    if restarts:
        h.restart_machine()
    h.until(lambda: h.phase(gang(kind)) == "Running", seconds=60)
    assert (slots(h), suspended(h, kind)) == (WHOLE[kind], "")
    found, body = h.gang(gang(kind)), stored(h, kind)
    assert found["spec"]["workload"] == {
        "apiVersion": body["apiVersion"],
        "kind": kind,
        "name": "train",
        "uid": body["metadata"]["uid"],
    }
    assert [each["uid"] for each in found["metadata"]["ownerReferences"]] == [body["metadata"]["uid"]]
    if restarts:
        h.restart_machine()
        h.settle()
        assert (h.phase(gang(kind)), slots(h)) == ("Running", WHOLE[kind])
    h.until(lambda: h.phase(gang(kind)) == "Finished", seconds=60)
    assert h.gang(gang(kind))["status"]["message"] == f"{kind} train is complete"
    assert [c.name for c in h.commits] == ["job-before", gang(kind)]


@kinds
def test_a_pod_template_gets_label_and_gate_beside_what_it_has(kind: str) -> None:
    h = site()
    h.job("before", slots=4, run=None)
    body = ALL[kind]()
    create(h, body)
    stored_now = stored(h, kind)

    def pods(of: Body) -> list[Body]:
        if kind == "JobSet":
            return [each["template"]["spec"]["template"] for each in of["spec"]["replicatedJobs"]]
        return list(of["spec"]["pytorchReplicaSpecs" if kind == "PyTorchJob" else "mpiReplicaSpecs"].values())

    for before, after in zip(pods(body), pods(stored_now), strict=True):
        before, after = before.get("template", before), after.get("template", after)
        assert after["metadata"] == {**before["metadata"], "labels": {"rackplane.dev/queue": "research"}}
        assert after["spec"] == {**before["spec"], "schedulingGates": [GATE]}


@kinds
def test_one_that_makes_way_is_suspended_and_comes_back_with_its_age(kind: str) -> None:
    h = site()
    h.patch(
        "/apis/rackplane.dev/v1alpha1/queues/research",
        {"spec": {"preemption": {"withinQueue": "LowerPriority"}}},
    )
    create(h, ALL[kind](None))
    h.until(lambda: h.phase(gang(kind)) == "Running")
    since = h.gang(gang(kind))["status"]["submittedAt"]
    h.request(
        "POST",
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "high"},
            "value": 9,
        },
    )
    h.job("urgent", slots=4, run=20, template={"priorityClassName": "high"})
    h.until(lambda: h.phase("job-urgent") == "Running", seconds=60)
    assert (h.phase(gang(kind)), suspended(h, kind), slots_of(h, "train")) == ("Pending", "us", {})
    h.until(lambda: h.phase(gang(kind)) == "Running", seconds=120)
    assert h.gang(gang(kind))["status"]["submittedAt"] == since
    assert (slots(h), suspended(h, kind)) == (WHOLE[kind], "")


def slots_of(h: Harness, prefix: str) -> dict[int, str]:
    return {slot: name for slot, name in slots(h).items() if name.startswith(prefix)}


@kinds
def test_what_its_user_suspends_gives_its_place_up_and_is_not_resumed(kind: str) -> None:
    h = site()
    create(h, ALL[kind](None))
    h.until(lambda: h.phase(gang(kind)) == "Running")
    switch(h, kind, True)
    h.until(lambda: h.phase(gang(kind)) == "Held", seconds=60)
    h.advance(30)
    field = ".".join(KINDS[kind].suspend)
    assert (h.phase(gang(kind)), suspended(h, kind), slots(h)) == ("Held", "user", {})
    assert h.gang(gang(kind))["status"]["message"] == (
        f"{kind} train is suspended by its user: set {field} to false to queue it"
    )
    assert h.machine.state is not None
    assert set(h.machine.state.keys()) == set()
    switch(h, kind, False)
    h.until(lambda: h.phase(gang(kind)) == "Running", seconds=60)
    assert slots(h) == WHOLE[kind]


@kinds
def test_one_that_is_deleted_gives_its_place_back(kind: str) -> None:
    h = site()
    create(h, ALL[kind](None))
    h.until(lambda: h.phase(gang(kind)) == "Running")
    known = KINDS[kind]
    path = f"/apis/{known.group}/{known.versions[0]}/namespaces/default/{known.plural}/train"
    h.request("DELETE", path, {"propagationPolicy": "Background"})
    h.until(lambda: gang(kind) not in h.gangs(), seconds=60)
    assert h.machine.state is not None
    assert (set(h.machine.state.keys()), h.pods()) == (set(), [])


@kinds
def test_one_that_fails_is_a_failed_gang_without_a_place(kind: str) -> None:
    h = site()
    body = ALL[kind](10)
    if kind == "JobSet":
        for each in body["spec"]["replicatedJobs"]:
            each["template"]["spec"]["backoffLimit"] = 0
            each["template"]["spec"]["template"]["metadata"]["annotations"][EXIT] = "1"
    else:
        for each in body["spec"][
            "pytorchReplicaSpecs" if kind == "PyTorchJob" else "mpiReplicaSpecs"
        ].values():
            each["template"]["metadata"]["annotations"][EXIT] = "1"
    create(h, body)
    h.until(lambda: h.phase(gang(kind)) == "Failed", seconds=120)
    assert h.gang(gang(kind))["status"]["message"].startswith(f"{kind} train failed")
    assert h.machine.state is not None
    assert set(h.machine.state.keys()) == set()


@kinds
def test_without_the_queue_label_it_is_left_alone(kind: str) -> None:
    h = site()
    body = ALL[kind](None)
    body["metadata"]["labels"] = {}
    create(h, body)
    h.advance(5)
    assert (h.gangs(), suspended(h, kind), len(h.pods())) == ({}, "", 4)


@kinds
def test_a_folder_that_has_only_its_gang_is_asked_with_a_stand_in(kind: str) -> None:
    h = site()
    h.job("before", slots=4, run=None)
    h.settle()
    create(h, ALL[kind](None))
    h.settle()
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/before", {"propagationPolicy": "Background"})
    machine = Machine()
    kept = [
        h._event(resource, obj, deleted=False)
        for resource in (("", "nodes"), ("rackplane.dev", "gangs"), *_FACILITY)
        for obj in h.cluster.store.items(resource)
        if obj["metadata"]["name"] != "job-before"
    ]
    machine.handle(h.time.now, *kept, e.Synced())
    assert submit_all(machine, h.time.now) == {}
    record = decide(machine, ("default", gang(kind)))
    assert record.decision is not None, record.message
    assert len(record.decision.placement.slots) == 4


def test_ranks_of_a_jobset_follow_job_index_and_completion_index() -> None:
    h = site(racks=2)
    jobs = [replicated("work", jobs=2, pods=3, template=template(4))]
    create(h, workload("JobSet", "train", {"replicatedJobs": jobs}))
    h.until(lambda: h.phase("jobset-train") == "Running")
    found = {}
    for pod in h.pods():
        labels = pod["metadata"]["labels"]
        index = (labels["jobset.sigs.k8s.io/job-index"], labels["batch.kubernetes.io/job-completion-index"])
        found[int(pod["metadata"]["annotations"]["rackplane.dev/slot"])] = index
    assert found == {0: ("0", "0"), 1: ("0", "1"), 2: ("0", "2"), 3: ("1", "0"), 4: ("1", "1"), 5: ("1", "2")}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            jobset(startupPolicy={"startupPolicyOrder": "InOrder"}),
            "spec.startupPolicy.startupPolicyOrder: is InOrder",
        ),
        (
            mpi(launcherCreationPolicy="WaitForWorkersReady"),
            "spec.launcherCreationPolicy: is WaitForWorkersReady",
        ),
    ],
    ids=["JobSet in order", "MPIJob's launcher last"],
)
def test_one_that_makes_pods_only_when_others_run_is_told_why_it_cannot_start(body: Body, said: str) -> None:
    h = site()
    create(h, body)
    h.settle()
    status = h.gang(gang(body["kind"]))["status"]
    (ready,) = [c for c in status["conditions"] if c["type"] == "Ready"]
    assert (ready["status"], ready["reason"], h.pods()) == ("False", "InvalidRequest", [])
    assert status["message"].startswith(said)


# -- kills -------------------------------------------------------------------------------------------


def scenario(h: Harness, kind: str) -> None:
    """It runs, its user suspends and resumes it, and it runs to its end."""
    h.apply(*map(crd, KINDS))
    h.controllers += [jobset_controller, kubeflow_controller]
    create(h, ALL[kind](6, workers=1))
    h.until(lambda: h.phase(gang(kind)) == "Running", seconds=60)
    switch(h, kind, True)
    h.until(lambda: h.phase(gang(kind)) == "Held", seconds=60)
    switch(h, kind, False)
    h.until(lambda: h.phase(gang(kind)) == "Finished", seconds=120)
    h.advance(2)


def test_killed_at_every_write_it_ends_as_if_it_had_not_been() -> None:
    kind, begun = "JobSet", list[Harness]()

    def run(kill: Kill) -> Harness:
        h = started(facility(racks=1), kill=kill)
        begun.append(h)
        scenario(h, kind)
        assert (h.gangs(), suspended(h, kind)) == ({gang(kind): "Finished"}, "")
        assert h.machine.state is not None
        assert set(h.machine.state.keys()) == set()
        assert [pod for pod in h.pods() if pod["status"].get("phase") == "Running"] == []
        return h

    assert killed_at(lambda number, moment: bool(begun), run) > 15
