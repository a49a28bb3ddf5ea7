"""Every figure in the status of Queues, and who may use one: as a user sees it, through the machine."""

from __future__ import annotations

from typing import Any

from tests.support.harness import Harness, facility, started, thing
from tests.support.preempting import NVLINK, high, priority_class


def status(h: Harness, queue: str) -> dict[str, Any]:
    return dict(h.get("rackplane.dev", "queues", queue, "")["status"])


def figures(h: Harness, queue: str, *names: str) -> dict[str, Any]:
    found = status(h, queue)
    return {name: found.get(name) for name in names}


def two_queues(**training: Any) -> Harness:
    """Two racks of four nodes of four GPUs, 4,000 W above idle a node; two queues under one parent."""
    h = started(facility(racks=2))
    h.apply(
        thing("Queue", "hall", quota={"gpus": 32, "watts": 32_000}),
        thing("Queue", "training", parent="hall", **training),
        thing("Queue", "other", parent="hall", quota={"gpus": 16, "watts": 16_000}),
    )
    h.settle()
    return h


USAGE = ("admitted", "pending", "usedGpus", "usedWatts", "borrowedGpus", "borrowedWatts", "oldestWait")


def test_usage_and_what_is_borrowed_in_gpus_and_in_watts() -> None:
    h = two_queues(quota={"gpus": 8, "watts": 12_000})
    h.job("a", slots=4, queue="training", run=60)
    h.until(lambda: h.phase("job-a") == "Running")
    h.job("b", slots=5, queue="other", run=None)
    h.advance(3)
    submitted = h.gang("job-b")["metadata"]["creationTimestamp"]
    watts = 4 * 4_000
    running = {"admitted": 1, "usedGpus": 16, "usedWatts": watts}
    lent = {"borrowedGpus": 8, "borrowedWatts": watts - 12_000}
    assert figures(h, "training", *USAGE) == {**running, **lent, "pending": 0, "oldestWait": None}
    nothing = {"usedGpus": 0, "usedWatts": 0, "borrowedGpus": 0, "borrowedWatts": 0}
    assert figures(h, "other", *USAGE) == {**nothing, "admitted": 0, "pending": 1, "oldestWait": submitted}
    own = {"borrowedGpus": 0, "borrowedWatts": 0}
    assert figures(h, "hall", *USAGE) == {**running, **own, "pending": 1, "oldestWait": submitted}
    h.until(lambda: h.phase("job-a") == "Finished")
    h.advance(3)
    assert figures(h, "training", *USAGE) == {**nothing, "admitted": 0, "pending": 0, "oldestWait": None}
    assert figures(h, "other", "admitted", "pending", "usedGpus", "borrowedGpus", "oldestWait") == {
        "admitted": 1,
        "pending": 0,
        "usedGpus": 20,
        "borrowedGpus": 4,
        "oldestWait": None,
    }


def test_the_share_is_the_larger_part_of_what_the_parent_has() -> None:
    h = two_queues(weight=2)
    h.job("a", slots=4, queue="training", run=None)
    h.job("b", slots=2, queue="other", run=None)
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.advance(3)
    # Half and a quarter of the GPUs and watts are held now, which counts half; on average so far next to nothing.
    assert {queue: status(h, queue)["sharePermille"] for queue in ("training", "other")} == {
        "training": 250,
        "other": 125,
    }


def test_quota_by_profile_and_what_is_borrowed_of_it() -> None:
    quota = {"profiles": [{"profile": "small", "gpus": 4, "borrowingLimitGpus": 4}]}
    h = started(facility(racks=2))
    h.apply(
        thing("Queue", "hall", quota={"profiles": [{"profile": "small", "gpus": 24}]}),
        thing("Queue", "training", parent="hall", quota=quota),
    )
    for name in ("a", "b", "c"):
        h.job(name, slots=1, queue="training", run=None)
    h.until(lambda: sorted(h.gangs().values()) == ["Pending", "Running", "Running"])
    h.advance(3)
    assert status(h, "training")["profiles"] == [{"profile": "small", "usedGpus": 8, "borrowedGpus": 4}]
    assert status(h, "hall")["profiles"] == [{"profile": "small", "usedGpus": 8, "borrowedGpus": 0}]


def test_a_queue_is_open_to_the_namespaces_it_names_and_to_all_without_a_name() -> None:
    h = started(facility(racks=1))
    h.apply(thing("Queue", "research", namespaces=["team-a", "team-b"]))
    h.job("a", slots=1, run=None)
    h.advance(2)
    assert h.phase("job-a") == "Pending"
    assert h.gang("job-a")["status"]["message"] == (
        "namespace default may not use queue research: it is open to team-a, team-b"
    )
    assert figures(h, "research", "pending", "admitted") == {"pending": 1, "admitted": 0}
    h.apply(thing("Queue", "research", namespaces=["team-a", "default"]))
    h.until(lambda: h.phase("job-a") == "Running", seconds=30)
    # Who runs already goes on when the queue is closed to it.
    h.apply(thing("Queue", "research", namespaces=["team-a"]))
    h.job("b", slots=1, run=None)
    h.advance(5)
    assert h.gangs() == {"job-a": "Running", "job-b": "Pending"}


def test_a_hold_binds_the_queues_below_stops_nobody_and_is_over_at_once() -> None:
    h = two_queues(preemption={"withinQueue": "LowerPriority"})
    h.apply(priority_class("high", 1_000))
    h.job("runs", slots=4, queue="training", run=None, annotations=NVLINK)
    h.until(lambda: h.phase("job-runs") == "Running")
    h.apply(thing("Queue", "hall", hold=True, quota={"gpus": 32, "watts": 32_000}))
    h.job("urgent", slots=8, queue="training", run=None, template=high())
    h.job("plain", slots=1, queue="other", run=None)
    h.advance(30)
    assert h.gangs() == {"job-runs": "Running", "job-urgent": "Pending", "job-plain": "Pending"}
    words = "queue hall is on hold: set spec.hold to false to let it go on"
    assert {h.gang(f"job-{name}")["status"]["message"] for name in ("urgent", "plain")} == {words}
    assert figures(h, "hall", "pending", "admitted") == {"pending": 2, "admitted": 1}
    h.apply(thing("Queue", "hall", hold=False, quota={"gpus": 32, "watts": 32_000}))
    h.until(lambda: h.phase("job-urgent") == "Running", seconds=60)
    assert h.phase("job-runs") == "Pending"
