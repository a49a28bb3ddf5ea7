"""What `rackplane verify` finds: nothing where all is well, and each kind of difference by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rackplane.core import events as e
from rackplane.core.machine import Machine
from rackplane.core.offline.verifying import Difference, differences
from tests.support.harness import QUEUE, Harness, facility, started

JOB = "/apis/batch/v1/namespaces/default/jobs/train"
GANGS = "/apis/rackplane.dev/v1alpha1/namespaces/default/gangs"


def site() -> Harness:
    """One gang that fills a rack of two, and one that waits."""
    h = started(facility(racks=2))
    h.job("train", slots=4, run=None, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.until(lambda: h.phase("job-train") == "Running")
    h.job("waits", slots=6, run=None)
    h.advance(5)
    assert h.gangs() == {"job-train": "Running", "job-waits": "Pending"}
    return h


def found(h: Harness) -> list[Difference]:
    """Each difference, by a machine that has just read everything."""
    machine = Machine()
    machine.handle(h.time.now, *h.listed(), e.Synced())
    return differences(machine)


def awake(h: Harness) -> None:
    h.patch("/apis/batch/v1/namespaces/default/jobs/waits", {"spec": {"suspend": False}})


def asleep(h: Harness) -> None:
    note = {"rackplane.dev/suspended-by": "rackplane"}
    h.patch(JOB, {"metadata": {"annotations": note}, "spec": {"suspend": True}})


def no_gang(h: Harness) -> None:
    h.request("DELETE", f"{GANGS}/job-waits")


def job_gone(h: Harness) -> None:
    h.request("DELETE", f"{JOB}", {"propagationPolicy": "Background"})
    for pod in h.pods():
        path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
        h.patch(path, {"metadata": {"finalizers": None}})
        h.request("DELETE", path, {"gracePeriodSeconds": 0})


def place_lost(h: Harness) -> None:
    gone = dict.fromkeys(("assignment", "decision"))
    h.patch(f"{GANGS}/job-train/status", {"status": {"phase": "Pending", **gone}})


def other_place(h: Harness) -> None:
    status = h.gang("job-train")["status"]
    (group,) = status["assignment"]
    other = "r2" if group["rack"] == "r1" else "r1"
    moved = {**group, "rack": other, "nodes": [f"{other}-n{i}" for i in range(4)]}
    h.patch(f"{GANGS}/job-train/status", {"status": {"assignment": [moved]}})


def other_cap(h: Harness) -> None:
    node = h.gang("job-train")["status"]["assignment"][0]["nodes"][0]
    h.patch(f"/api/v1/nodes/{node}", {"metadata": {"annotations": {"rackplane.dev/power-cap-watts": "1"}}})


def over_limit(h: Harness) -> None:
    h.patch("/apis/rackplane.dev/v1alpha1/powerdomains/row", {"spec": {"ratedWatts": 20_000}})


def node_gone(h: Harness) -> None:
    h.request("DELETE", f"/api/v1/nodes/{h.gang('job-train')['status']['assignment'][0]['nodes'][0]}")


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (lambda h: None, set()),
        (awake, {"AwakeWithoutPlace"}),
        (asleep, {"Asleep"}),
        (no_gang, {"WithoutGang"}),
        (job_gone, {"WithoutWorkload"}),
        (place_lost, {"RunsWithoutPlace", "AwakeWithoutPlace", "CapOfNobody"}),
        (other_place, {"Elsewhere", "OtherCap"}),
        (other_cap, {"OtherCap"}),
        (over_limit, {"OverLimit"}),
        (node_gone, {"NodeGone"}),
    ],
)
def test_each_difference_is_named(change: Callable[[Harness], None], kinds: set[str]) -> None:
    h = site()
    change(h)
    assert {each.kind for each in found(h)} == kinds


# -- what is wrong, where, and what to do ---------------------------------------------------------------------------

PODS = "/api/v1/namespaces/default/pods"
GUARD = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/rackplane-guard"


def running(*, slots: int = 4, gpus: int = 4, **job: Any) -> Harness:
    """One gang that runs in r1, which it fills with pods of four GPUs."""
    h = started(facility(racks=2))
    near = {"rackplane.dev/required-topology": "nvlink"}
    h.job("train", slots=slots, gpus=gpus, run=None, annotations=near, **job)
    h.until(lambda: h.phase("job-train") == "Running")
    h.settle()
    assert found(h) == []
    return h


def pod_of(h: Harness, index: int) -> str:
    """The name of the one pod of the Job with that index that has not ended."""
    key = "batch.kubernetes.io/job-completion-index"
    [name] = [
        pod["metadata"]["name"]
        for pod in h.pods_of("train")
        if pod["metadata"]["annotations"][key] == str(index) and pod["status"]["phase"] != "Failed"
    ]
    return str(name)


def fail(h: Harness, *indexes: int) -> None:
    """Their containers have ended with an error: the Job makes them anew after a while."""
    for index in indexes:
        h.patch(f"{PODS}/{pod_of(h, index)}/status", {"status": {"phase": "Failed"}})
    h.settle()


def ungated_by_hand(h: Harness, index: int, **spec: Any) -> str:
    """Its pod is made anew, and somebody lets it go before the operator does; the pod's name."""
    h.request("DELETE", GUARD)
    fail(h, index)
    h.time.now += 11  # the Job's back-off
    h.cluster.settle()
    name = pod_of(h, index)
    h.patch(f"{PODS}/{name}", {"spec": {"schedulingGates": None, **spec}})
    h.cluster.settle()
    return name


def test_booked_without_pod_says_which_slot_and_where_to_look() -> None:
    h = running(backoffLimit=6)
    fail(h, 2)
    assert found(h) == [
        Difference(
            "BookedWithoutPod",
            "Gang default/job-train",
            "holds slot 2, which has no pod",
            "it stays booked until its Job makes a pod anew or needs it no more: kubectl describe job train -n default "
            "says what keeps it",
        )
    ]
    h.advance(15)
    assert found(h) == []


def test_booked_without_pod_counts_many_slots_and_names_the_first() -> None:
    h = running(slots=8, gpus=2, backoffLimit=20)
    fail(h, 0, 1, 3, 4, 6, 7)
    [one] = found(h)
    assert one.what == "holds 6 slots that have no pods: 0, 1, 3, 4, 6, ..."
    assert one.then.startswith("they stay booked until its Job makes a pod anew")


def test_booked_without_pod_of_bare_pods_says_that_nobody_makes_them_anew() -> None:
    h = started(facility(racks=1))
    for index in range(2):
        labels = {QUEUE: "research", "rackplane.dev/gang": "pair"}
        h.pod(f"pair-{index}", gpus=4, labels=labels, annotations={"rackplane.dev/gang-size": "2"})
    h.advance(5)
    [gang] = h.gangs()
    h.request("DELETE", f"{PODS}/pair-1", {"gracePeriodSeconds": 0})
    assert found(h) == [
        Difference(
            "BookedWithoutPod",
            f"Gang default/{gang}",
            "holds slot 1, which has no pod",
            "it stays booked: nobody makes such pods anew; delete the others, and the gang is over",
        )
    ]


def test_slot_twice_names_the_pod_whose_slot_it_is_not_and_deleting_that_one_helps() -> None:
    h = running(gpus=2)
    first, second = pod_of(h, 0), pod_of(h, 1)
    h.patch(f"{PODS}/{second}", {"metadata": {"annotations": {"rackplane.dev/slot": "0"}}})
    twice = Difference(
        "SlotTwice",
        f"Pod default/{second}",
        f"has the annotation rackplane.dev/slot=0, and slot 0 is that of Pod default/{first}",
        f"kubectl delete pod {second} -n default: its owner makes another",
    )
    assert [each for each in found(h) if each.kind == "SlotTwice"] == [twice]
    h.restart_machine()
    h.advance(5)
    assert twice in found(h)  # running pods are nobody's to delete but their user's
    h.request("DELETE", f"{PODS}/{second}")
    h.advance(30)
    assert found(h) == []
    slots = sorted(pod["metadata"]["annotations"]["rackplane.dev/slot"] for pod in h.pods_of("train"))
    assert slots == ["0", "1", "2", "3"]


def test_slot_twice_names_the_same_pod_after_the_wrong_one_was_deleted() -> None:
    h = running(gpus=2)
    second = pod_of(h, 1)
    h.patch(f"{PODS}/{second}", {"metadata": {"annotations": {"rackplane.dev/slot": "0"}}})
    h.request("DELETE", f"{PODS}/{pod_of(h, 0)}")
    h.advance(30)
    [twice] = found(h)
    assert (twice.kind, twice.subject) == ("SlotTwice", f"Pod default/{second}")
    assert twice.what == (
        f"has the annotation rackplane.dev/slot=0, and slot 0 is that of Pod default/{pod_of(h, 0)}"
    )
    h.request("DELETE", f"{PODS}/{second}")
    h.advance(30)
    assert found(h) == []
    assert h.phase("job-train") == "Running"


def test_not_let_go_by_us_of_a_pod_without_a_node_is_mended_by_the_operator() -> None:
    h = running()
    others = {pod_of(h, index) for index in (0, 1, 3)}
    name = ungated_by_hand(h, 2)
    assert found(h) == [
        Difference(
            "NotLetGoByUs",
            f"Pod default/{name}",
            "has no gate and no annotation rackplane.dev/slot: somebody else let it go",
            "the operator evicts it, and its Job makes another; if that would fail the Job, the whole gang moves",
        )
    ]
    h.advance(30)
    assert found(h) == []
    assert pod_of(h, 2) != name
    assert {pod_of(h, index) for index in (0, 1, 3)} == others


def test_not_let_go_by_us_of_a_pod_whose_loss_fails_its_job_moves_the_gang_as_a_whole() -> None:
    h = running()
    before = {pod_of(h, index) for index in (0, 1, 3)}
    name = ungated_by_hand(h, 2)
    h.patch(JOB, {"spec": {"backoffLimit": 1}})  # which the failure before has used up
    h.advance(120)
    assert h.phase("job-train") == "Running"
    assert found(h) == []
    assert not before & {pod_of(h, index) for index in (0, 1, 3)}
    assert pod_of(h, 2) != name


@pytest.mark.parametrize(
    ("node", "where"),
    [
        ("r2-n0", "its watts count on r2-n0 as those of a pod outside every gang"),
        ("r1-n2", "it is on r1-n2, where its gang has a place, which counts for it"),
    ],
)
def test_not_let_go_by_us_of_a_pod_on_a_node_says_what_its_watts_count_as(node: str, where: str) -> None:
    h = running()
    managed = [{"key": "rackplane.dev/managed", "operator": "Exists"}]
    name = ungated_by_hand(h, 2, tolerations=managed, nodeSelector={"kubernetes.io/hostname": node})
    assert h.get("", "pods", name)["spec"]["nodeName"] == node
    assert found(h) == [
        Difference(
            "NotLetGoByUs",
            f"Pod default/{name}",
            "has no gate and no annotation rackplane.dev/slot: somebody else let it go",
            f"{where}; kubectl delete pod {name} -n default: its owner makes another",
        )
    ]


@pytest.mark.parametrize("restarted", [False, True])
def test_no_assignment_says_that_the_gang_is_stopped_and_placed_again(restarted: bool) -> None:
    h = running()
    h.patch(f"{GANGS}/job-train/status", {"status": {"assignment": None, "decision": None}})
    expected = Difference(
        "NoAssignment",
        "Gang default/job-train",
        "is Running, and its status names no nodes",
        "the operator stops it, and places it again when its pods are gone",
    )
    assert [each for each in found(h) if each.kind != "CapOfNobody"] == [expected]
    if restarted:
        h.restart_machine()
    h.advance(30)
    assert found(h) == []
    assert h.phase("job-train") == "Running"
    [event] = [t for t in h.told if t.reason == "NoAssignment" and t.kind == "Job"]
    assert event.message == "its status says Running and names no nodes: it is stopped and placed again"


def test_booked_twice_says_by_whom_and_a_new_leader_moves_one_of_them() -> None:
    h = running()
    h.job("other", slots=4, run=None, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.until(lambda: h.phase("job-other") == "Running")
    same = h.gang("job-train")["status"]["assignment"]
    h.patch(f"{GANGS}/job-other/status", {"status": {"assignment": same}})
    assert [each for each in found(h) if each.kind == "BookedTwice"] == [
        Difference(
            "BookedTwice",
            f"Node r1-n{index}",
            "has 4 GPUs, and 8 are booked: 4 by Gang default/job-other, 4 by Gang default/job-train",
            "suspend the Job of one of these gangs",
        )
        for index in range(4)
    ]
    h.restart_machine()
    h.advance(180)
    assert found(h) == []
    assert h.gangs() == {"job-other": "Running", "job-train": "Running"}


def test_booked_twice_names_pods_outside_every_gang() -> None:
    h = running()
    managed = [{"key": "rackplane.dev/managed", "operator": "Exists"}]
    h.request("DELETE", GUARD)
    h.pod("stranger", gpus=2, nodeName="r1-n3", tolerations=managed)
    assert [each for each in found(h) if each.kind == "BookedTwice"] == [
        Difference(
            "BookedTwice",
            "Node r1-n3",
            "has 4 GPUs, and 6 are booked: 4 by Gang default/job-train, 2 by pods outside every gang",
            "suspend the Job of one of these gangs, or delete the pods outside every gang",
        )
    ]
