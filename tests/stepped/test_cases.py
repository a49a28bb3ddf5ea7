"""What else comes to the operator: other shapes of work, wrong input, other people's pods, broken promises."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.api.labels import POWER_CAP_APPLIED_WATTS, POWER_CAP_WATTS, SLOT_ANNOTATION
from rackplane.core.settings import Confirmation, MachineSettings
from tests.support.harness import EXIT, GPU, QUEUE, RUN, Harness, facility, started, thing

# As a node agent has it: the guard lets nobody else name our taint.
EVERY_TAINT = [{"operator": "Exists"}]


def finishes(h: Harness, gang: str, *, seconds: float = 300) -> None:
    h.until(lambda: h.phase(gang) == "Finished", seconds=seconds)
    assert h.machine.gangs["default", gang].decision is None
    assert h.machine.state is not None and not h.machine.state.booked_gpus("r1-n0")


def job(h: Harness, name: str) -> dict[str, object]:
    return h.get("batch", "jobs", name)


def ready(h: Harness, gang: str) -> dict[str, str]:
    return next(c for c in h.gang(gang)["status"]["conditions"] if c["type"] == "Ready")


# -- shapes of work ------------------------------------------------------------------------------------


@pytest.mark.parametrize("indexed", [True, False])
def test_completions_above_parallelism_reuse_the_slots(indexed: bool) -> None:
    h = started()
    h.job("many", slots=2, completions=5, indexed=indexed, run=5)
    h.until(lambda: h.phase("job-many") == "Running", seconds=10)
    nodes = {pod["spec"]["nodeName"] for pod in h.pods_of("many")}
    assert nodes == {"r1-n0", "r1-n1"}
    finishes(h, "job-many")
    assert {pod["spec"]["nodeName"] for pod in h.pods_of("many")} == nodes
    assert job(h, "many")["status"]["succeeded"] == 5  # type: ignore[index]
    assert len(h.commits) == 1


def test_slots_without_more_work_are_released_before_the_gang_ends() -> None:
    h = started()
    h.job("tail", slots=2, completions=3, run=10)
    h.until(lambda: h.gang("job-tail").get("status", {}).get("releasedSlots") == "1", seconds=60)
    assert h.machine.state is not None
    assert h.machine.state.held("default/job-tail") == {0: "r1-n0"}
    assert h.machine.state.free_gpus("r1-n1") == 4
    finishes(h, "job-tail")


def test_a_work_queue_without_completions() -> None:
    h = started()
    h.job("queue", slots=3, completions=None, indexed=False, run=5)
    finishes(h, "job-queue")


def test_two_pods_share_a_node() -> None:
    h = started()
    h.job("half", slots=4, gpus=2, run=5)
    h.until(lambda: h.phase("job-half") == "Running", seconds=10)
    assert sorted(pod["spec"]["nodeName"] for pod in h.pods_of("half")) == [
        "r1-n0",
        "r1-n0",
        "r1-n1",
        "r1-n1",
    ]
    finishes(h, "job-half")


def test_bare_pods_start_when_all_of_them_exist() -> None:
    h = started()
    labels = {QUEUE: "research", "rackplane.dev/gang": "pair"}
    annotations = {"rackplane.dev/gang-size": "2", RUN: "5"}
    h.pod("pair-0", gpus=4, labels=labels, annotations=annotations)
    h.advance(3)
    assert h.phase("pod-pair") == "Pending"
    assert h.gang("pod-pair")["status"]["message"] == "1 of the gang's 2 pods exist"
    assert h.pods()[0]["spec"]["schedulingGates"] == [{"name": "rackplane.dev/placement"}]
    h.pod("pair-1", gpus=4, labels=labels, annotations=annotations)
    h.until(lambda: h.phase("pod-pair") == "Running", seconds=10)
    assert [pod["spec"]["nodeName"] for pod in h.pods()] == ["r1-n0", "r1-n1"]
    finishes(h, "pod-pair")


def test_a_failed_pod_is_replaced_in_its_slot() -> None:
    h = started()
    h.job("retry", slots=2, run=None)
    h.until(lambda: h.phase("job-retry") == "Running", seconds=10)
    victim = next(pod for pod in h.pods_of("retry") if pod["spec"]["nodeName"] == "r1-n1")
    path = f"/api/v1/namespaces/default/pods/{victim['metadata']['name']}/status"
    h.patch(path, {"status": {"phase": "Failed"}})
    h.advance(30)
    live = [p for p in h.pods_of("retry") if p["status"]["phase"] == "Running"]
    assert sorted(p["spec"]["nodeName"] for p in live) == ["r1-n0", "r1-n1"]
    assert len(h.commits) == 1


def test_a_failing_job_makes_its_gang_fail() -> None:
    h = started()
    h.job("bad", slots=2, run=3, pod_annotations={EXIT: "1"}, backoffLimit=0)
    h.until(lambda: h.phase("job-bad") == "Failed", seconds=60)
    assert h.gang("job-bad")["status"]["message"] == "the job failed"
    assert h.machine.gangs["default", "job-bad"].decision is None


def test_a_deleted_job_frees_everything() -> None:
    h = started()
    h.job("gone", slots=2, run=None)
    h.until(lambda: h.phase("job-gone") == "Running", seconds=10)
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/gone", {"propagationPolicy": "Background"})
    h.advance(3)
    assert h.gangs() == {} and h.pods() == []
    assert h.machine.gangs == {}
    assert h.machine.state is not None and h.machine.state.free_gpus("r1-n0") == 4


def test_a_gang_that_waits_starts_when_another_ends() -> None:
    h = started(facility(racks=1))
    h.job("first", slots=4, run=20)
    h.settle()
    h.job("second", slots=4, run=5)
    h.advance(5)
    assert h.gangs() == {"job-first": "Running", "job-second": "Pending"}
    assert h.gang("job-second")["status"]["position"] == 1
    finishes(h, "job-second")
    assert h.gangs() == {"job-first": "Finished", "job-second": "Finished"}


# -- suspension ----------------------------------------------------------------------------------------


def test_a_users_own_suspend_is_not_resumed() -> None:
    h = started()
    h.job("mine", slots=2, suspend=True)
    h.advance(5)
    assert h.phase("job-mine") == "Held"
    assert (
        h.gang("job-mine")["status"]["message"]
        == "the Job is suspended by its user: set spec.suspend to false to queue it"
    )
    assert job(h, "mine")["spec"]["suspend"] is True  # type: ignore[index]
    h.suspend("mine", False)
    finishes(h, "job-mine")


def test_a_user_who_unsuspends_a_queued_job_gains_nothing() -> None:
    h = started(facility(racks=1))
    h.job("first", slots=4, run=None)
    h.until(lambda: h.phase("job-first") == "Running", seconds=10)
    h.job("eager", slots=2, run=5)
    h.advance(2)
    h.suspend("eager", False)
    h.advance(5)
    assert h.phase("job-eager") == "Pending"
    assert job(h, "eager")["spec"]["suspend"] is True  # type: ignore[index]
    assert h.pods_of("eager") == []
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/first", {"propagationPolicy": "Background"})
    h.until(lambda: h.phase("job-eager") == "Finished", seconds=60)


def test_a_user_who_suspends_a_running_job_gets_its_place_freed() -> None:
    h = started()
    h.job("pause", slots=2, run=None)
    h.until(lambda: h.phase("job-pause") == "Running", seconds=10)
    h.suspend("pause", True)
    h.advance(5)
    assert h.phase("job-pause") == "Held"
    assert "assignment" not in h.gang("job-pause")["status"]
    assert h.machine.state is not None and h.machine.state.free_gpus("r1-n0") == 4
    h.suspend("pause", False)
    h.until(lambda: h.phase("job-pause") == "Running", seconds=30)


# -- wrong input ---------------------------------------------------------------------------------------


def test_a_queue_that_does_not_exist() -> None:
    h = started()
    h.job("lost", slots=2, queue="nowhere", run=5)
    h.advance(2)
    assert h.phase("job-lost") == "Pending"
    assert h.gang("job-lost")["status"]["message"] == (
        "Job lost, metadata.labels[rackplane.dev/queue]: queue 'nowhere' does not exist; create it, or change the label"
    )
    h.apply(thing("Queue", "nowhere"))
    finishes(h, "job-lost")


def test_an_annotation_that_does_not_parse() -> None:
    h = started()
    h.job("typo", slots=2, run=5, annotations={"rackplane.dev/segment-size": "two"})
    h.advance(2)
    condition = ready(h, "job-typo")
    assert condition["status"] == "False" and condition["reason"] == "InvalidRequest"
    assert "rackplane.dev/segment-size" in condition["message"] and "two" in condition["message"]
    assert h.phase("job-typo") == "Pending" and h.commits == []
    words = {(event["involvedObject"]["kind"], event["reason"], event["type"]) for event in events(h)}
    assert words == {("Job", "InvalidRequest", "Warning"), ("Gang", "InvalidRequest", "Warning")}
    path = "/apis/batch/v1/namespaces/default/jobs/typo"
    h.patch(path, {"metadata": {"annotations": {"rackplane.dev/segment-size": "2"}}})
    finishes(h, "job-typo")
    assert ready(h, "job-typo")["status"] == "True"


def events(h: Harness) -> list[dict[str, Any]]:
    found = h.cluster.store.items(("", "events"))
    return [
        event
        for event in found
        if event["involvedObject"]["kind"] in ("Job", "Gang") and event["source"]["component"] == "rackplane"
    ]


def test_a_gang_larger_than_every_domain_says_so() -> None:
    h = started()
    h.job("big", slots=5, run=5, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.advance(2)
    assert h.phase("job-big") == "Pending"
    message = h.gang("job-big")["status"]["message"]
    assert message.startswith("Job big, spec.parallelism: needs 5 nodes")
    assert message.endswith("require only leaf, or ask for at most 4 nodes")
    condition = ready(h, "job-big")
    assert (condition["status"], condition["reason"]) == ("False", "DoesNotFit")
    assert ("Job", "DoesNotFit", "Warning") in {
        (event["involvedObject"]["kind"], event["reason"], event["type"]) for event in events(h)
    }
    assert h.commits == [] and h.pods() == []


def test_a_rack_with_a_missing_power_domain_is_not_used_and_says_why() -> None:
    h = started()
    rack = "/apis/rackplane.dev/v1alpha1/racks/r1"
    h.patch(rack, {"spec": {"feeds": [{"powerDomain": "nothing", "weight": 1}]}})
    h.advance(2)
    condition = next(c for c in h.get("rackplane.dev", "racks", "r1", "")["status"]["conditions"])
    assert condition["status"] == "False" and "nothing" in condition["message"]
    h.job("other", slots=2, run=5)
    h.until(lambda: h.phase("job-other") == "Running", seconds=10)
    assert {pod["spec"]["nodeName"] for pod in h.pods()} == {"r2-n0", "r2-n1"}


# -- what is not ours ----------------------------------------------------------------------------------


def test_gpus_of_pods_outside_every_gang_count() -> None:
    h = started()
    h.pod("alien", gpus=1, tolerations=EVERY_TAINT, nodeSelector={"kubernetes.io/hostname": "r1-n1"})
    h.settle()
    assert h.machine.state is not None and h.machine.state.unmanaged_gpus("r1-n1") == 1
    h.job("train", slots=4, run=5, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.until(lambda: h.phase("job-train") == "Running", seconds=10)
    assert {pod["spec"]["nodeName"] for pod in h.pods_of("train")} == {f"r2-n{i}" for i in range(4)}


@pytest.mark.parametrize(("claim", "free"), [(False, 0), (True, 3)])
def test_a_claim_that_cannot_be_read_fills_the_node(claim: bool, free: int) -> None:
    h = started()
    if claim:
        h.apply(
            {
                "apiVersion": "resource.k8s.io/v1",
                "kind": "ResourceClaim",
                "metadata": {"name": "devices", "namespace": "default"},
                "spec": {},
            }
        )
        results = [{"driver": "gpu.nvidia.com", "pool": "p", "device": "gpu-0", "request": "r"}]
        h.patch(
            "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims/devices/status",
            {"status": {"allocation": {"devices": {"results": results}}}},
        )
    h.pod(
        "dra",
        nodeName="r1-n0",
        tolerations=EVERY_TAINT,
        resourceClaims=[{"name": "c", "resourceClaimName": "devices"}],
    )
    h.settle()
    assert h.machine.state is not None and h.machine.state.free_gpus("r1-n0") == free


# -- broken promises -----------------------------------------------------------------------------------


def unbound(h: Harness, name: str) -> None:
    """A gang whose pods are let go and not bound yet: up to here, then the test breaks something."""
    h.job(name, slots=2, run=None)
    while not any(not pod["spec"].get("schedulingGates") for pod in h.pods_of(name)):
        before = h.writes
        for reactor in h.cluster.reactors[:2]:
            reactor.run()
        h.deliver()
        assert h.write() or h.writes != before or h.cluster.reactors[1].run()


def test_a_node_lost_before_binding_makes_the_gang_be_placed_again() -> None:
    h = started(facility(racks=2))
    unbound(h, "train")
    h.node_ready("r1-n1", False)
    h.until(lambda: h.phase("job-train") == "Running", seconds=60)
    assert "r1-n1" not in {pod["spec"]["nodeName"] for pod in h.pods_of("train")}
    assert len(h.commits) == 2
    assert "PromiseBroken" in {event["reason"] for event in events(h)}


def test_gpus_taken_before_binding_make_the_gang_be_placed_again() -> None:
    h = started(facility(racks=2))
    unbound(h, "train")
    h.pod("thief", gpus=4, nodeName="r1-n0", tolerations=EVERY_TAINT)
    h.until(lambda: h.phase("job-train") == "Running", seconds=60)
    assert "r1-n0" not in {pod["spec"]["nodeName"] for pod in h.pods_of("train")}
    assert len(h.commits) == 2


def test_a_pod_that_kube_scheduler_cannot_bind_makes_the_gang_be_placed_again() -> None:
    h = started(facility(racks=2))
    unbound(h, "train")
    # Something the operator did not count: the node lost its devices.
    h.patch("/api/v1/nodes/r1-n0/status", {"status": {"allocatable": {GPU: "0"}}})
    h.until(lambda: h.phase("job-train") == "Running", seconds=120)
    assert "r1-n0" not in {pod["spec"]["nodeName"] for pod in h.pods_of("train")}


def test_a_node_lost_under_a_running_gang_keeps_the_rest() -> None:
    h = started(facility(racks=2))
    h.job("train", slots=2, run=20)
    h.until(lambda: h.phase("job-train") == "Running", seconds=10)
    h.node_ready("r1-n1", False)
    h.advance(5)
    assert h.phase("job-train") == "Running"
    h.node_ready("r1-n1", True)
    finishes(h, "job-train")


def test_no_pod_is_let_go_before_the_operator_has_seen_them_all() -> None:
    h = started()
    h.job("train", slots=4, run=5)
    while not h.pods_of("train"):
        h.deliver()
        h.write()
        h.cluster.reactors[1].run()
    record = h.machine.gangs["default", "job-train"]
    while len(record.pods) < 4:
        assert record.ungating == set()
        assert h.deliver(1) or h.write()
    finishes(h, "job-train")


@pytest.mark.parametrize(("kind", "name"), [("hardwareprofiles", "small"), ("racks", "r1")])
def test_what_is_deleted_under_a_decision_on_its_way_comes_back_and_the_gang_ends(
    kind: str, name: str
) -> None:
    objects = facility(racks=1, nodes=2)
    h = started(objects)
    h.job("train")
    while not list(h.machine.state.keys() if h.machine.state else ()):
        h.cluster.settle()
        assert h.deliver() or h.write()
    path = f"/apis/rackplane.dev/v1alpha1/{kind}/{name}"
    h.request("DELETE", path)
    h.patch(path, {"metadata": {"finalizers": None}})  # against what holds it
    h.settle()
    assert h.phase("job-train") == "Admitted"
    h.apply(*(o for o in objects if o["metadata"]["name"] == name))
    finishes(h, "job-train")


def test_a_gpu_node_that_no_rack_claims_is_told_of() -> None:
    h = started()
    stray = {"metadata": {"name": "stray"}, "status": {"allocatable": {GPU: "4", "pods": "110"}}}
    h.cluster.apply({"apiVersion": "v1", "kind": "Node", **stray})
    h.advance(2)
    told = [e for e in h.cluster.store.items(("", "events")) if e["involvedObject"]["kind"] == "Node"]
    assert [(e["reason"], e["type"], e["involvedObject"]["name"]) for e in told] == [
        ("NoRack", "Warning", "stray")
    ]
    assert "metadata.labels" in told[0]["message"] and "nodeSelector" in told[0]["message"]


def test_a_restart_does_not_write_again_what_is_stored() -> None:
    h = started()
    h.advance(3)
    before = h.writes
    h.restart_machine()
    h.advance(3)
    assert h.writes == before


def test_numbers_without_end_that_somebody_writes_stop_nothing() -> None:
    # Python refuses to read more than 4,300 digits, with an error.
    endless = "9" * 5_000
    h = started(settings=MachineSettings(validate=True, confirmation=Confirmation.AGENT))
    h.job("train", slots=2, run=20)
    h.settle()
    for pod in h.pods():
        name = pod["metadata"]["name"]
        h.patch(
            f"/api/v1/namespaces/default/pods/{name}",
            {"metadata": {"annotations": {SLOT_ANNOTATION: endless}}},
        )
    for node in h.cluster.store.items(("", "nodes")):
        written = {POWER_CAP_APPLIED_WATTS: endless, POWER_CAP_WATTS: endless}
        h.patch(f"/api/v1/nodes/{node['metadata']['name']}", {"metadata": {"annotations": written}})
    h.advance(2)
    h.restart_machine()
    finishes(h, "job-train")
