"""Gangs stopped for others, seen from the objects: who is stopped and told what, and that the place is kept for one."""

from __future__ import annotations

import pytest

from rackplane.core import events as e
from rackplane.core.machine import Machine
from rackplane.core.offline.rehearsal import decide
from rackplane.core.settings import MachineSettings
from tests.support.branching import Kill, killed_at
from tests.support.harness import Harness, facility, started, thing
from tests.support.preempting import (
    NVLINK,
    full,
    high,
    preempting,
    priority_class,
    racks,
    reasons,
    stopping,
    stuck,
)


def test_a_rack_is_cleared_where_that_costs_least() -> None:
    h = preempting()
    full(h)
    h.advance(3600, step=600)
    # What was done before the checkpoint is not lost: whoever shares the rack with a is the cheapest to stop.
    rack = racks(h, "job-a")
    together = sorted(n for n in h.gangs() if racks(h, n) == rack)
    for name in together:
        path = f"/apis/batch/v1/namespaces/default/jobs/{name.removeprefix('job-')}"
        h.patch(
            path, {"metadata": {"annotations": {"rackplane.dev/last-checkpoint": "2023-11-14T23:13:00Z"}}}
        )
    submitted = {name: h.gang(name)["status"]["submittedAt"] for name in h.gangs()}
    h.job("urgent", slots=4, run=60, annotations=NVLINK, template=high())
    h.until(lambda: h.phase("job-urgent") == "Running")
    assert racks(h, "job-urgent") == rack
    assert {n: p for n, p in h.gangs().items() if p == "Pending"} == dict.fromkeys(together, "Pending")
    for name in together:
        status = h.gang(name)["status"]
        assert status["submittedAt"] == submitted[name]
        job = name.removeprefix("job-")
        assert "Preempted" in reasons(h, "Gang", name) and "Preempted" in reasons(h, "Job", job)
        assert not h.get("batch", "jobs", job)["status"].get("failed")
    assert "reservation" not in h.gang("job-urgent")["status"]
    h.until(lambda: set(h.gangs().values()) == {"Running", "Finished"})


def test_the_place_is_kept_for_the_one_it_is_cleared_for() -> None:
    h = preempting()
    full(h)
    stuck(h)
    h.job("urgent", slots=4, run=60, annotations=NVLINK, template=high())
    h.until(lambda: len(stopping(h)) == 2)
    held = h.gang("job-urgent")["status"]["reservation"]
    assert held["forPreemption"] is True
    assert sorted(held["victims"]) == [f"default/{name}" for name in stopping(h)]
    [group] = held["assignment"]
    assert set(group["nodes"]) == {
        n for v in stopping(h) for g in h.gang(v)["status"]["assignment"] for n in g["nodes"]
    }
    # One of the two is gone: half the rack is free, and a gang of another queue that would fit there comes first.
    h.apply(thing("Queue", "other", priority=5))
    first, second = stopping(h)
    for g in h.gang(first)["status"]["assignment"]:
        h.down.difference_update(g["nodes"])
    h.until(lambda: h.phase(first) == "Pending")
    h.job(
        "small", slots=1, run=None, queue="other", template={"priorityClassName": "polite", "priority": 1000}
    )
    h.advance(10)
    assert h.phase("job-small") == "Pending" and h.phase("job-urgent") == "Pending"
    h.restart_machine()
    h.advance(10)
    assert (h.phase("job-small"), h.phase(second)) == ("Pending", "Stopping")
    h.down.clear()
    h.until(lambda: h.phase("job-urgent") == "Running")
    assert racks(h, "job-urgent") == {group["rack"]}


def test_nobody_else_is_stopped_for_a_gang_that_is_gone() -> None:
    h = preempting()
    full(h)
    h.job("urgent", slots=4, run=60, annotations=NVLINK, template=high())
    while "reservation" not in (h.gang("job-urgent").get("status", {}) if h.phase("job-urgent") else {}):
        h.cluster.settle()
        assert h.deliver() or h.write() or h.agents()
    # The reservation is written and nobody is stopped yet when the user thinks better of it.
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/urgent", {"propagationPolicy": "Background"})
    h.advance(30)
    assert set(h.gangs().values()) == {"Running"}
    assert not [t for t in h.told if t.reason == "Preempted"]


def test_a_place_that_is_no_use_any_more_is_given_up() -> None:
    h = preempting()
    full(h)
    stuck(h)
    h.job("urgent", slots=4, run=60, annotations=NVLINK, template=high())
    h.until(lambda: len(stopping(h)) == 2)
    rack = h.gang("job-urgent")["status"]["reservation"]["assignment"][0]["rack"]
    broken = h.gang("job-urgent")["status"]["reservation"]["assignment"][0]["nodes"][0]
    h.node_ready(broken, False)
    h.down.clear()
    h.down.add(broken)
    # The rack has three nodes left: the gang goes to the other one, where two more are stopped, and those that were
    # stopped in vain run again.
    h.until(lambda: h.phase("job-urgent") == "Running")
    assert racks(h, "job-urgent").isdisjoint({rack})
    h.advance(5)
    assert "Running" in {h.phase(n) for n in ("job-a", "job-b", "job-c", "job-d")}


def test_room_is_made_for_pods_of_several_kinds() -> None:
    h = preempting()
    protected = {**NVLINK, "rackplane.dev/disruption": "Protected"}
    h.job("keep", slots=4, run=None, annotations=protected)
    for name, slots in (("a", 1), ("b", 3)):
        h.job(name, slots=slots, run=None, annotations=NVLINK)
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    labels = {"rackplane.dev/queue": "research", "rackplane.dev/gang": "mixed"}
    size = {"rackplane.dev/gang-size": "4", **NVLINK}
    h.pod("lead", gpus=0, labels=labels, annotations=size, **high())
    for i in range(3):
        h.pod(f"worker-{i}", gpus=4, labels=labels, annotations=size, **high())
    h.until(lambda: h.phase("pod-mixed") == "Running")
    assert len(h.gang("pod-mixed")["spec"]["groups"]) == 2
    # Three nodes for the workers: b alone has them, and the leader needs no GPUs.
    assert (h.phase("job-keep"), h.phase("job-a"), h.phase("job-b")) == ("Running", "Running", "Pending")
    assert {"Preempted"} <= set(reasons(h, "Job", "b"))


def test_who_may_not_be_stopped_is_not_and_it_is_said() -> None:
    h = preempting()
    protected = {**NVLINK, "rackplane.dev/disruption": "Protected"}
    h.job("a", slots=4, run=None, annotations=protected)
    for i in range(4):
        labels = {"rackplane.dev/queue": "research", "rackplane.dev/gang": "bare"}
        h.pod(f"bare-{i}", gpus=4, labels=labels, annotations={"rackplane.dev/gang-size": "4"})
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.job("urgent", slots=4, run=60, annotations=NVLINK, template=high())
    h.advance(30)
    assert h.gangs() == {"job-a": "Running", "pod-bare": "Running", "job-urgent": "Pending"}
    told = h.gang("job-urgent")["status"]["message"]
    assert "queue research has no gang that may be stopped for one of priority 1000" in told


def rehearsed(h: Harness, gang: str) -> str:
    """What a machine that does not lead says of the gang, as `rackplane explain` asks it."""
    machine = Machine(settings=MachineSettings(validate=True))
    machine.handle(h.time.now, *h.listed(), e.Synced())
    return decide(machine, ("default", gang)).message


def test_an_explanation_says_whom_it_would_stop_or_why_nobody() -> None:
    h = preempting()
    full(h)
    h.apply(thing("Queue", "research", hold=True, preemption={"withinQueue": "LowerPriority"}))
    h.job("urgent", slots=4, run=60, annotations=NVLINK, template=high())
    h.job("plain", slots=4, run=60, annotations=NVLINK)
    h.advance(1)
    assert "on hold" in rehearsed(h, "job-urgent")
    h._todo.clear()
    h.apply(thing("Queue", "research", hold=False, preemption={"withinQueue": "LowerPriority"}))
    told = rehearsed(h, "job-urgent")
    assert told.startswith("its place on r1 is cleared: gangs default/job-") and told.endswith(
        "GPU-hours lost"
    )
    assert rehearsed(h, "job-plain").endswith(
        "queue research has no gang that may be stopped for one of priority 0"
    )
    # While others stop, it says the same as the operator.
    stuck(h)
    h.until(lambda: len(stopping(h)) == 2)
    assert rehearsed(h, "job-urgent") == h.gang("job-urgent")["status"]["message"]


def test_equals_are_not_stopped_and_a_polite_class_stops_nobody() -> None:
    h = preempting()
    for name in ("a", "b"):
        h.job(name, slots=4, run=None, annotations=NVLINK, template=high())
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.job("equal", slots=4, run=60, annotations=NVLINK, template=high())
    h.advance(30)
    assert h.phase("job-equal") == "Pending"
    h = preempting()
    full(h)
    polite = {"priorityClassName": "polite", "priority": 1000, "preemptionPolicy": "Never"}
    h.job("polite", slots=4, run=60, annotations=NVLINK, template=polite)
    h.advance(30)
    assert h.phase("job-polite") == "Pending"
    assert "preemptionPolicy of its PriorityClass is Never" in h.gang("job-polite")["status"]["message"]


def test_a_queue_stops_nobody_unless_it_says_so() -> None:
    h = preempting()
    h.apply(thing("Queue", "research", preemption={"withinQueue": "Never"}))
    full(h)
    h.job("urgent", slots=4, run=60, annotations=NVLINK, template=high())
    h.advance(30)
    assert h.phase("job-urgent") == "Pending" and not stopping(h)


def test_quota_is_cleared_too() -> None:
    h = preempting()
    h.apply(thing("Queue", "research", quota={"gpus": 16}, preemption={"withinQueue": "LowerPriority"}))
    h.job("a", slots=2, run=None, annotations=NVLINK)
    h.job("b", slots=2, run=None, annotations={**NVLINK, "rackplane.dev/disruption": "Sheddable"})
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.job("urgent", slots=2, run=60, annotations=NVLINK, template=high())
    h.until(lambda: h.phase("job-urgent") == "Running")
    assert (h.phase("job-a"), h.phase("job-b")) == ("Running", "Pending")


@pytest.mark.parametrize("answers_first", [True, False])
def test_a_machine_killed_at_any_write_of_a_preemption_ends_it(answers_first: bool) -> None:
    come: list[Harness] = []

    def run(kill: Kill) -> Harness:
        h = _two_and_an_urgent_one(kill, answers_first)
        come.append(h)
        _makes_way(h)
        return h

    killed = killed_at(lambda number, moment: bool(come), run)
    # The reservation, two victims stopped, suspended and put back, the commit, two pods, and Events.
    assert killed >= 15


def _two_and_an_urgent_one(kill: Kill, answers_first: bool) -> Harness:
    """Two gangs run, and there is no room for the third, which has just come."""
    quiet = MachineSettings(validate=True, status_seconds=1e9)
    h = started(facility(racks=1, nodes=2), kill=kill, answers_first=answers_first, settings=quiet)
    h.apply(
        thing("Queue", "research", preemption={"withinQueue": "LowerPriority"}), priority_class("high", 1000)
    )
    for name in ("a", "b"):
        h.job(name, slots=1, run=None)
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.job("urgent", slots=2, run=5, template=high())
    return h


def _makes_way(h: Harness) -> None:
    commits = len(h.commits)

    def check() -> None:
        assert h.machine.state is not None
        assert h.machine.state.violations() == [] and h.machine.state.overbooked() == []
        later = [c.name for c in h.commits[commits:]]
        # Whoever made way gets no place before the one it made way for.
        assert later[:1] in ([], ["job-urgent"])

    h.check = check
    h.until(lambda: h.phase("job-urgent") == "Running", seconds=120)
    assert (h.phase("job-a"), h.phase("job-b")) == ("Pending", "Pending")
    h.until(lambda: sorted(h.gangs().values()) == ["Finished", "Running", "Running"], seconds=120)
    assert not [j for j in h.cluster.store.items(("batch", "jobs")) if j["status"].get("failed")]
    assert all("reservation" not in g["status"] for g in h.cluster.store.items(("rackplane.dev", "gangs")))
