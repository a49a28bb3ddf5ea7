"""Beside Kueue: it queues, suspends and resumes; we answer for the place, and hold the pods to it by our gate."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.core.offline.verifying import differences
from rackplane.core.workloads.kueue import KUEUE_GROUP
from tests.support.foreign import Body
from tests.support.harness import Harness, facility, started
from tests.support.kueue import CHECK, LOCAL_QUEUE, Kueue, quota

QUEUE = {"rackplane.dev/queue": "research"}


def site(
    *, racks: int = 1, gpus: int = 1_000, flavor: dict[str, str] | None = None, **options: Any
) -> Harness:
    h = started(facility(racks=racks), **options)
    h.controllers.append(Kueue(h, gpus=gpus, node_labels=flavor))
    return h


def submit(h: Harness, name: str = "train", *, slots: int = 3, run: float | None = 30, **more: Any) -> None:
    h.job(name, slots=slots, run=run, queue=None, labels={LOCAL_QUEUE: "q"}, suspend=True, **more)


def workload(h: Harness, name: str = "job-train") -> Body:
    return h.get(KUEUE_GROUP, "workloads", name)


def answer(h: Harness, name: str = "job-train") -> Body:
    """What the Workload says of our check, less its time."""
    (found,) = workload(h, name)["status"]["admissionChecks"]
    return {key: value for key, value in found.items() if key != "lastTransitionTime"}


def gang(h: Harness, name: str = "train") -> str:
    return h.phase(f"workload-job-{name}")


def ready(*, selector: dict[str, str] | None = None, message: str) -> Body:
    update = {"name": "main", "labels": QUEUE, "annotations": {"rackplane.dev/workload": "job-train"}}
    if selector is not None:
        update["nodeSelector"] = selector
    return {"name": CHECK, "state": "Ready", "message": message, "podSetUpdates": [update]}


def where(h: Harness, name: str = "train") -> dict[str, str]:
    """By rank, the node that each pod is bound to."""
    return {
        pod["metadata"]["labels"].get(
            "batch.kubernetes.io/job-completion-index", pod["metadata"]["name"]
        ): pod["spec"].get("nodeName", "")
        for pod in h.pods_of(name)
    }


def booked(h: Harness) -> set[str]:
    assert h.machine.state is not None
    return set(h.machine.state.keys())


def test_it_waits_for_its_place_with_quota_starts_whole_in_order_of_rank_and_finishes() -> None:
    h = site()
    h.job("before", slots=4, run=20)
    h.until(lambda: h.phase("job-before") == "Running")
    submit(h)
    h.settle()
    told = h.gang("workload-job-train")["status"]["message"]
    assert (gang(h), answer(h)) == ("Pending", {"name": CHECK, "state": "Pending", "message": told})
    h.until(lambda: gang(h) == "Running", seconds=60)
    assert answer(h) == ready(selector={"rackplane.dev/rack": "r1"}, message="placed on r1")
    assert where(h) == {"0": "r1-n0", "1": "r1-n1", "2": "r1-n2"}
    assert booked(h) == {"default/workload-job-train"}
    job = h.get("batch", "jobs", "train")
    assert (job["spec"]["suspend"], "annotations" in job["metadata"]) == (
        False,
        False,
    )
    assert differences(h.machine) == []
    h.until(lambda: gang(h) == "Finished", seconds=60)
    assert (booked(h), h.gang("workload-job-train")["status"]["message"]) == (
        set(),
        "Workload job-train is complete",
    )
    assert [c.name for c in h.commits] == ["job-before", "workload-job-train"]


def test_what_waits_for_quota_in_kueue_has_no_gang_and_no_place() -> None:
    h = site(gpus=12)
    submit(h, "first", run=None)
    submit(h)
    h.until(lambda: gang(h, "first") == "Running")
    assert (h.gangs(), quota(workload(h))) == ({"workload-job-first": "Running"}, False)


def test_what_kueue_evicts_gives_its_place_up_and_comes_back_with_its_age() -> None:
    h = site()
    kueue = h.controllers[0]
    assert isinstance(kueue, Kueue)
    submit(h, run=None)
    h.until(lambda: gang(h) == "Running")
    since, kueue.gpus = h.gang("workload-job-train")["status"]["submittedAt"], 0
    kueue.evict(h, workload(h))
    h.advance(5)
    assert (gang(h), booked(h), h.pods_of("train")) == ("Held", set(), [])
    assert h.gang("workload-job-train")["status"]["message"] == "Workload job-train: waits for quota in Kueue"
    kueue.gpus = 12
    h.until(lambda: gang(h) == "Running", seconds=60)
    assert h.gang("workload-job-train")["status"]["submittedAt"] == since
    assert (where(h), booked(h)) == (
        {"0": "r1-n0", "1": "r1-n1", "2": "r1-n2"},
        {"default/workload-job-train"},
    )


def test_what_makes_way_in_our_queue_is_asked_of_kueue_by_retry() -> None:
    h = site()
    path = "/apis/rackplane.dev/v1alpha1/queues/research"
    h.patch(path, {"spec": {"preemption": {"withinQueue": "LowerPriority"}}})
    submit(h, run=None)
    h.until(lambda: gang(h) == "Running")
    high = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "high"},
        "value": 9,
    }
    h.request("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", high)
    h.job("urgent", slots=4, run=20, template={"priorityClassName": "high"})
    h.until(lambda: h.phase("job-urgent") == "Running", seconds=60)
    # Evicted and given quota anew, it waits in our queue, with why.
    told = h.gang("workload-job-train")["status"]["message"]
    assert (gang(h), answer(h)) == ("Pending", {"name": CHECK, "state": "Pending", "message": told})
    assert h.get("batch", "jobs", "train")["spec"]["suspend"] is True
    h.until(lambda: gang(h) == "Running", seconds=120)
    assert set(where(h)) == {"0", "1", "2"}


def test_what_waiting_does_not_help_gives_its_quota_to_others_meanwhile() -> None:
    h = site(gpus=20)
    submit(h, slots=5, run=None)
    h.settle()
    conditions = {c["type"]: c["status"] for c in workload(h)["status"]["conditions"]}
    assert (conditions["Evicted"], quota(workload(h)), booked(h)) == ("True", False, set())
    submit(h, "small", slots=2, run=None)
    h.until(lambda: gang(h, "small") == "Running", seconds=5)
    told = "Workload job-train, spec: needs 5 nodes of 4 GPUs; the facility has 4 in all; ask for at most 4 nodes"
    # What says why stays in Kueue's condition; after five minutes it asks again.
    assert [(a.name, a.state, a.requeue_seconds, a.message) for a in h.answers if a.name == "job-train"] == [
        ("job-train", "Retry", 300, told)
    ]


def test_the_nodes_are_those_of_the_flavor_and_its_labels_are_not_given_twice() -> None:
    h = site(racks=2, flavor={"rackplane.dev/rack": "r2"})
    submit(h, run=None)
    h.until(lambda: gang(h) == "Running")
    assert where(h) == {"0": "r2-n0", "1": "r2-n1", "2": "r2-n2"}
    assert answer(h) == ready(message="placed on r2")


def test_a_set_in_several_racks_is_held_by_the_gate_alone_and_ranks_without_index_go_anywhere() -> None:
    h = site(racks=2)
    submit(h, slots=6, run=None, indexed=False)
    h.until(lambda: gang(h) == "Running")
    assert answer(h) == ready(message="placed on r1, r2, over 2 NVLink domains")
    assigned = [n for g in h.gang("workload-job-train")["status"]["assignment"] for n in g["nodes"]]
    assert sorted(where(h).values()) == sorted(assigned)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_operator_that_dies_at_any_write_books_it_once_and_places_it_as_another_would(when: str) -> None:
    deaths = iter(range(1, 100, 2))
    death = next(deaths)

    def kill(number: int, at: str) -> bool:
        nonlocal death
        if at == when and number >= death:
            death = number + next(deaths)
            return True
        return False

    h = site(kill=kill)
    submit(h)
    h.until(lambda: gang(h) == "Finished", seconds=120)
    assert h.restarts > 3
    assert (booked(h), len(h.pods_of("train"))) == (set(), 3)


def test_what_has_nodes_from_kueues_own_topology_is_refused_in_words() -> None:
    h = site()
    kueue = h.controllers.pop()
    submit(h)
    kueue(h)
    kueue(h)
    path = f"/apis/{KUEUE_GROUP}/v1beta2/namespaces/default/workloads/job-train/status"
    sets = workload(h)["status"]["admission"]["podSetAssignments"]
    topology = {"levels": ["kubernetes.io/hostname"], "slices": []}
    h.patch(
        path, {"status": {"admission": {"podSetAssignments": [{**sets[0], "topologyAssignment": topology}]}}}
    )
    h.settle()
    found = answer(h)
    assert (found["state"], found["requeueAfterSeconds"]) == ("Retry", 300)
    assert found["message"] == (
        "status.admission.podSetAssignments[main].topologyAssignment: is set: Kueue has chosen nodes by its own "
        "topology, and Rackplane would choose others. Use ResourceFlavors without topologyName in ClusterQueues that "
        "have this admission check."
    )
    assert booked(h) == set()


def test_without_our_check_a_workload_is_left_alone_and_one_that_loses_it_keeps_its_place_until_it_ends() -> (
    None
):
    h = site()
    submit(h, run=20)
    h.until(lambda: gang(h) == "Running")
    h.request("DELETE", f"/apis/{KUEUE_GROUP}/v1beta2/admissionchecks/{CHECK}")
    submit(h, "other", slots=1, run=20)
    h.advance(5)
    assert (h.gangs(), booked(h)) == ({"workload-job-train": "Running"}, {"default/workload-job-train"})
    h.until(lambda: booked(h) == set(), seconds=60)


def test_a_lost_node_is_replaced_in_the_domain_of_the_answer_and_where_that_is_full_the_gang_moves() -> None:
    h = site(racks=2)
    submit(h, run=None)
    h.until(lambda: gang(h) == "Running")

    def lose(node: str) -> None:
        h.node_ready(node, False)
        h.down.add(node)

    def given() -> list[str]:
        return [n for g in h.gang("workload-job-train")["status"].get("assignment", []) for n in g["nodes"]]

    lose("r1-n1")
    h.until(lambda: given() == ["r1-n0", "r1-n3", "r1-n2"], seconds=60)
    # Kueue's answer holds as it was.
    assert [a.state for a in h.answers] == ["Ready"]
    lose("r1-n0")
    # Its pods on what is lost are gone for good, as with the taint out-of-service.
    for name in ("r1-n0", "r1-n1"):
        for pod in h.pods():
            if pod["spec"].get("nodeName") == name:
                path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
                h.request("DELETE", path, {"gracePeriodSeconds": 0})
    h.until(lambda: gang(h) == "Running" and given() == ["r2-n0", "r2-n1", "r2-n2"], seconds=120)
    assert [a.state for a in h.answers] == ["Ready", "Retry", "Ready"]
    assert answer(h) == ready(selector={"rackplane.dev/rack": "r2"}, message="placed on r2")
    assert where(h) == {"0": "r2-n0", "1": "r2-n1", "2": "r2-n2"}
