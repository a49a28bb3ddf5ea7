"""Quota taken back from queues that borrow it, seen from the objects: whose gangs are stopped, and how many."""

from __future__ import annotations

from tests.support.harness import Harness, thing
from tests.support.preempting import NVLINK, high, preempting, reasons


def shared(h: Harness, reclaim: str = "Any") -> None:
    """Two queues of half the facility each under one parent; either may use what the other leaves."""
    h.apply(
        thing("Queue", "all", quota={"gpus": 32}),
        thing("Queue", "ours", parent="all", quota={"gpus": 16}, preemption={"reclaim": reclaim}),
        thing("Queue", "theirs", parent="all", quota={"gpus": 16}, preemption={"reclaim": reclaim}),
    )
    h.settle()


def test_a_queue_takes_back_what_others_borrow_and_no_more() -> None:
    h = preempting()
    shared(h)
    for name in ("a", "b", "c", "d"):
        h.job(name, slots=2, run=None, queue="theirs", annotations=NVLINK, template=high())
        h.advance(60, step=60)
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    # Of four gangs of equal priority the last two have done least; either frees what ours needs.
    h.job("mine", slots=2, run=None, queue="ours", annotations=NVLINK)
    h.until(lambda: h.phase("job-mine") == "Running")
    assert h.phase("job-d") == "Pending"
    assert "Reclaimed" in reasons(h, "Gang", "job-d") and "Reclaimed" in reasons(h, "Job", "d")
    [told] = {t.message for t in h.told if t.reason == "Reclaimed"}
    assert told == "stopped for gang default/job-mine: queue ours takes back quota that queue theirs borrows"
    h.job("mine2", slots=2, run=None, queue="ours", annotations=NVLINK)
    h.until(lambda: h.phase("job-mine2") == "Running")
    assert sorted(n for n, p in h.gangs().items() if p == "Pending") == ["job-c", "job-d"]
    # Each has its own half: a third gang of ours would have to borrow, and takes nothing from theirs; nor they from us.
    h.job("mine3", slots=2, run=None, queue="ours", annotations=NVLINK, template=high())
    h.advance(60)
    assert sorted(n for n, p in h.gangs().items() if p == "Pending") == ["job-c", "job-d", "job-mine3"]


def test_reclaim_asks_for_a_lower_priority_where_the_queue_says_so() -> None:
    h = preempting()
    shared(h, "LowerPriority")
    for name in ("a", "b", "c"):
        h.job(name, slots=2, run=None, queue="theirs", annotations=NVLINK, template=high())
    h.job("low", slots=2, run=None, queue="theirs", annotations=NVLINK)
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.job("equal", slots=4, run=None, queue="ours", annotations=NVLINK, template=high())
    h.advance(30)
    # Only one of theirs is of a lower priority, and that is not enough for four slots.
    assert h.phase("job-equal") == "Pending" and h.phase("job-low") == "Running"
    assert (
        "to stop the gang that it may stop would not let it start" in h.gang("job-equal")["status"]["message"]
    )
    h.job("mine", slots=2, run=None, queue="ours", annotations=NVLINK, template=high())
    h.until(lambda: h.phase("job-mine") == "Running")
    assert h.phase("job-low") == "Pending"


def test_priorities_are_compared_with_what_their_queues_add() -> None:
    h = preempting()
    shared(h, "LowerPriority")
    # One of 1,000 in a queue that adds 5 is above one of 1,000 in a queue that adds nothing, and below one of 6 more.
    h.apply(
        thing(
            "Queue",
            "ours",
            parent="all",
            quota={"gpus": 16},
            priority=5,
            preemption={"reclaim": "LowerPriority"},
        )
    )
    for name in ("a", "b"):
        h.job(name, slots=4, run=None, queue="theirs", annotations=NVLINK, template=high())
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.job("mine", slots=4, run=None, queue="ours", annotations=NVLINK, template=high())
    h.until(lambda: h.phase("job-mine") == "Running")
    assert sorted(h.gangs().values()) == ["Pending", "Running", "Running"]
    h = preempting()
    shared(h, "LowerPriority")
    h.apply(thing("Queue", "theirs", parent="all", quota={"gpus": 16}, priority=1000))
    for name in ("a", "b"):
        h.job(name, slots=4, run=None, queue="theirs", annotations=NVLINK)
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.job("mine", slots=4, run=None, queue="ours", annotations=NVLINK, template=high())
    h.advance(30)
    assert h.phase("job-mine") == "Pending"


def test_whose_queue_adds_less_is_stopped_first() -> None:
    h = preempting()
    # Both queues borrow. A gang of 1,000 where nothing is added goes before one of 0 where 2,000 are.
    h.apply(
        thing("Queue", "all", quota={"gpus": 32}),
        thing("Queue", "ours", parent="all", quota={"gpus": 16}, preemption={"reclaim": "Any"}),
        thing("Queue", "dear", parent="all", priority=2000),
        thing("Queue", "cheap", parent="all"),
    )
    h.job("dear", slots=4, run=None, queue="dear", annotations=NVLINK)
    h.job("cheap", slots=4, run=None, queue="cheap", annotations=NVLINK, template=high())
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.job("mine", slots=4, run=None, queue="ours", annotations=NVLINK)
    h.until(lambda: h.phase("job-mine") == "Running")
    assert (h.phase("job-dear"), h.phase("job-cheap")) == ("Running", "Pending")
