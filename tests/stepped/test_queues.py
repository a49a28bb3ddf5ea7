"""Quota, borrowing, lending and shares, seen from the objects: who starts, who waits and what it is told."""

from __future__ import annotations

from typing import Any

from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, facility, started, thing

HALL = ("training", "other")


def tree(**quotas: dict[str, Any]) -> Harness:
    """Two racks of four nodes of four GPUs, 32 in all; queues with these quotas below one without a figure."""
    h = started(facility(racks=2))
    h.apply(thing("Queue", "hall"))
    h.apply(*(thing("Queue", name, parent="hall", quota=quota) for name, quota in quotas.items()))
    h.settle()
    return h


def message(h: Harness, gang: str) -> str:
    return str(h.gang(gang)["status"]["message"])


def status(h: Harness, queue: str) -> dict[str, Any]:
    return dict(h.get("rackplane.dev", "queues", queue, "")["status"])


def test_what_others_leave_unused_is_borrowed_up_to_the_limit() -> None:
    h = tree(training={"gpus": 8, "borrowingLimitGpus": 4}, other={"gpus": 16})
    h.job("within", queue="training", run=None)
    h.job("borrows", slots=1, queue="training", run=None)
    h.job("above", slots=1, queue="training", run=None)
    h.until(lambda: sorted(h.gangs().values()) == ["Pending", "Running", "Running"])
    assert message(h, "job-above").split("; could")[0] == (
        "queue training holds 12 GPUs, of a quota of 8 and 4 that it may borrow, and the gang needs 4"
    )
    h.advance(5)
    figures = {key: status(h, "training")[key] for key in ("usedGpus", "borrowedGpus", "pending", "admitted")}
    assert figures == {"usedGpus": 12, "borrowedGpus": 4, "pending": 1, "admitted": 2}


def test_what_a_queue_does_not_lend_is_there_for_it() -> None:
    h = tree(training={"gpus": 8}, other={"gpus": 16, "lendingLimitGpus": 4})
    h.job("within", slots=3, queue="training", run=None)
    h.job("above", slots=1, queue="training", run=None)
    h.until(lambda: h.phase("job-within") == "Running")
    assert message(h, "job-above").split("; could")[0] == (
        "queue hall has 0 of its 24 GPUs left, and the gang needs 4; 12 more are kept by queues below it, which do not "
        "lend them; queue training has 0 left of its own 8, and would have to borrow 4"
    )
    h.job("own", slots=3, queue="other", run=None)
    h.until(lambda: h.phase("job-own") == "Running")
    assert h.phase("job-above") == "Pending"
    # A limit that is raised lets the gang that waits go on at once.
    h.patch(
        "/apis/rackplane.dev/v1alpha1/queues/other", {"spec": {"quota": {"gpus": 20, "lendingLimitGpus": 8}}}
    )
    h.until(lambda: h.phase("job-above") == "Running", seconds=60)


def test_the_queue_that_has_less_for_its_weight_goes_first() -> None:
    h = started(facility(racks=1), settings=MachineSettings(validate=True, share_half_life_seconds=0))
    h.apply(thing("Queue", "hall", quota={"gpus": 16}))
    h.apply(thing("Queue", "heavy", parent="hall", weight=3), thing("Queue", "light", parent="hall"))
    h.job("all", slots=4, run=100, queue="light")
    h.until(lambda: h.phase("job-all") == "Running")
    for name in ("l1", "l2", "l3", "l4"):
        h.job(name, slots=1, run=None, queue="light")
    h.advance(10)
    for name in ("h1", "h2", "h3", "h4"):
        h.job(name, slots=1, run=None, queue="heavy")
    h.until(lambda: list(h.gangs().values()).count("Running") == 4 and h.phase("job-all") == "Finished")
    # The oldest goes first. Then light has a quarter of the hall, and heavy by its weight 0, 1/12 and 2/12.
    assert sorted(name for name, phase in h.gangs().items() if phase == "Running") == [
        "job-h1",
        "job-h2",
        "job-h3",
        "job-l1",
    ]
    h.advance(5)
    assert {q: status(h, q)["sharePermille"] for q in ("heavy", "light")} == {"heavy": 750, "light": 250}


def test_what_a_queue_has_held_counts_after_a_restart_too() -> None:
    h = started(facility(racks=1))
    h.apply(thing("Queue", "once"), thing("Queue", "never"))
    h.job("long", slots=4, run=86_400, queue="once")
    h.until(lambda: h.phase("job-long") == "Running")
    h.job("o1", slots=4, run=None, queue="once")
    h.advance(10)
    h.job("n1", slots=4, run=None, queue="never")
    h.advance(600, step=100)
    assert status(h, "once")["usageHistory"]["gpuSeconds"] > 0
    h.restart_machine()
    h.until(lambda: h.phase("job-long") == "Finished", seconds=100_000, step=1000)
    h.until(lambda: h.phase("job-n1") == "Running")
    assert h.phase("job-o1") == "Pending"


def test_nodes_of_another_profile_are_taken_when_the_quota_on_one_is_used_up() -> None:
    things = facility(racks=2)
    [profile] = [t for t in things if t["kind"] == "HardwareProfile"]
    [second] = [t for t in things if t["kind"] == "Rack" and t["metadata"]["name"] == "r2"]
    second["spec"]["profile"] = "other"
    h = started([*things, {**profile, "metadata": {"name": "other"}}])
    quota = {
        "profiles": [{"profile": "small", "gpus": 8}, {"profile": "other", "gpus": 4}],
    }
    h.apply(thing("Queue", "training", quota=quota))
    for name in ("a", "b", "c", "d"):
        h.job(name, slots=1, queue="training", run=None)
    h.until(lambda: list(h.gangs().values()).count("Running") == 3)
    h.advance(5)
    assert status(h, "training")["profiles"] == [
        {"profile": "other", "usedGpus": 4, "borrowedGpus": 0},
        {"profile": "small", "usedGpus": 8, "borrowedGpus": 0},
    ]
    [waits] = [name for name, phase in h.gangs().items() if phase == "Pending"]
    assert "GPUs on nodes of profile" in message(h, waits)


def test_status_counts_the_queues_below() -> None:
    h = tree(training={"gpus": 4}, other={"gpus": 4})
    h.job("a", slots=1, queue="training", run=None)
    h.until(lambda: h.phase("job-a") == "Running")
    h.job("b", slots=2, queue="other", run=None)
    h.advance(10)
    submitted = h.gang("job-b")["status"]["submittedAt"]
    figures = {
        q: tuple(status(h, q).get(key) for key in ("pending", "admitted", "usedGpus", "oldestWait"))
        for q in ("hall", *HALL)
    }
    assert figures == {
        "hall": (1, 1, 4, submitted),
        "training": (0, 1, 4, None),
        "other": (1, 0, 0, submitted),
    }


def priority_class(name: str, value: int, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        **fields,
    }


def test_the_priority_of_a_job_that_waits_is_that_of_the_class_it_names() -> None:
    h = started(facility(racks=1))
    h.apply(priority_class("high", 1000), priority_class("usual", 10, globalDefault=True))
    h.job("all", slots=4, run=100)
    h.until(lambda: h.phase("job-all") == "Running")
    h.job("first", slots=4, run=None)
    h.advance(10)
    h.job("urgent", slots=4, run=None, template={"priorityClassName": "high"})
    h.settle()
    assert {n: h.gang(f"job-{n}")["spec"]["priority"] for n in ("first", "urgent")} == {
        "first": 10,
        "urgent": 1000,
    }
    h.until(lambda: h.phase("job-all") == "Finished")
    h.until(lambda: h.phase("job-urgent") == "Running")
    assert h.phase("job-first") == "Pending"


def test_a_class_that_does_not_exist_is_named_until_it_does() -> None:
    h = started(facility(racks=1))
    h.job("urgent", slots=1, run=None, template={"priorityClassName": "high"})
    h.settle()
    assert message(h, "job-urgent") == (
        "spec.template.spec.priorityClassName: names PriorityClass high, which does not exist, so no pod could be "
        "made. Create it, or name another."
    )
    h.apply(priority_class("high", 1000))
    h.until(lambda: h.phase("job-urgent") == "Running")
    assert h.gang("job-urgent")["spec"]["priority"] == 1000


def test_a_job_whose_class_never_preempts_has_nobody_stopped() -> None:
    h = started(facility(racks=1))
    h.apply(
        thing("Queue", "research", preemption={"withinQueue": "LowerPriority"}),
        priority_class("polite", 1000, preemptionPolicy="Never"),
    )
    h.job("all", slots=4, run=None)
    h.until(lambda: h.phase("job-all") == "Running")
    h.job("urgent", slots=4, run=None, template={"priorityClassName": "polite"})
    h.advance(30)
    assert h.gangs() == {"job-all": "Running", "job-urgent": "Pending"}
    assert h.gang("job-urgent")["spec"]["priority"] == 1000
