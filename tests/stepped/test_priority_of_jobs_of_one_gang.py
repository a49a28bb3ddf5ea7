"""Jobs that are one gang among others: all have the priority of the highest, and all are stopped for a higher gang."""

from __future__ import annotations

from tests.stepped.test_jobs_of_one_gang import GANG, WHOLE, booked, member, pair, slots, suspended
from tests.support.branching import Kill, killed_at
from tests.support.harness import Harness
from tests.support.preempting import high, preempting, priority_class, reasons

PARTS = 2
"""Into so many tests every write is divided, so that they can run side by side."""


def everything_taken(h: Harness) -> None:
    """Eight nodes under gangs of two."""
    for name in ("a", "b", "c", "d"):
        h.job(name, slots=2, run=None)
    h.until(lambda: set(h.gangs().values()) == {"Running"})


def test_the_highest_class_of_its_jobs_is_the_gangs() -> None:
    h = preempting()
    h.apply(priority_class("middle", 500))
    everything_taken(h)
    h.job("between", slots=2, run=None, template={"priorityClassName": "middle", "priority": 500})
    h.until(lambda: h.phase("job-between") == "Running")
    # The worker's own class is none; that of the leader, which needs no node of its own, counts for both.
    pair(h, lead={"template": high()})
    h.until(lambda: h.phase(GANG) == "Running")
    assert h.gang(GANG)["spec"]["priority"] == 1000
    assert {name: of for name, of in slots(h).items() if name in WHOLE} == WHOLE
    assert h.phase("job-between") == "Running"  # those of no class were enough


def test_one_whose_class_never_preempts_has_nobody_stopped_for_any() -> None:
    h = preempting()
    everything_taken(h)
    member(h, "lead", slots=1, gpus=0, template=high("polite"))
    member(h, "work", slots=3, gpus=4, template=high())
    h.advance(30)
    assert h.phase(GANG) == "Pending"
    assert "preemptionPolicy of its PriorityClass is Never" in h.gang(GANG)["status"]["message"]
    assert {phase for name, phase in h.gangs().items() if name != GANG} == {"Running"}


def scenario(h: Harness) -> None:
    """Both Jobs run; a higher one takes the whole hall and ends; both run again, each in its slots, to their end."""
    pair(h, work={"run": 40}, lead={"run": 40})
    h.until(lambda: h.phase(GANG) == "Running", seconds=60)
    h.job("urgent", slots=8, run=3, template=high())
    h.until(lambda: h.phase("job-urgent") == "Running", seconds=120)
    assert suspended(h) == {"lead": "us", "work": "us", "urgent": ""}
    assert booked(h) == {"default/job-urgent"}
    h.until(lambda: h.phase(GANG) == "Running", seconds=120)
    assert (h.phase("job-urgent"), slots(h)) == ("Finished", WHOLE)
    h.until(lambda: h.phase(GANG) == "Finished", seconds=240)


def test_all_are_stopped_for_a_higher_gang_and_start_again_together() -> None:
    h = preempting()
    scenario(h)
    assert [c.name for c in h.commits] == [GANG, "job-urgent", GANG]
    assert reasons(h, "Gang", GANG).count("Preempted") == 1


def test_killed_at_every_fourth_write_all_are_stopped_and_start_again() -> None:
    def run(kill: Kill) -> Harness:
        h = preempting(kill=kill)
        scenario(h)
        assert [c.name for c in h.commits] == [GANG, "job-urgent", GANG]
        return h

    assert killed_at(lambda number, moment: number % 4 == 1, run) > 8
