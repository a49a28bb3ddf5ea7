"""Elastic gangs give slots up for others before they are stopped, and take them back when there is room again."""

from __future__ import annotations

from rackplane.api.labels import COMPLETIONS_EQUAL, MIN_SLOTS
from rackplane.core.settings import MachineSettings
from tests.support.branching import Kill, killed_at
from tests.support.harness import Harness, facility, started, thing
from tests.support.preempting import NVLINK, high, preempting, priority_class, racks, reasons

RANKS = {**NVLINK, MIN_SLOTS: "2", COMPLETIONS_EQUAL: "true"}
PROTECTED = {**NVLINK, "rackplane.dev/disruption": "Protected"}


def half_elastic(fewest: int = 2, **options: object) -> Harness:
    """One rack that may not be cleared, and one with a gang of four ranks that runs with two as well."""
    h = preempting()
    h.job("keep", slots=4, run=None, annotations=PROTECTED)
    h.job("elastic", slots=4, run=None, annotations={**RANKS, MIN_SLOTS: str(fewest)})
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.advance(600, step=60)
    return h


def slots(h: Harness) -> int:
    return int(h.gang("job-elastic")["status"]["slots"])


def test_an_elastic_gang_gives_its_highest_ranks_up_and_has_them_back() -> None:
    h = half_elastic()
    before = h.gang("job-elastic")["status"]["assignment"][0]["nodes"]
    h.job("urgent", slots=2, run=60, annotations=NVLINK, template=high())
    seen: set[str] = set()
    held: list[dict[str, object]] = []

    def running() -> bool:
        seen.add(h.phase("job-elastic"))
        status = h.gang("job-urgent").get("status", {}) if h.phase("job-urgent") else {}
        held.extend([status["reservation"]] if "reservation" in status else [])
        return h.phase("job-urgent") == "Running"

    while not running():
        h.cluster.settle()
        if not (h.deliver() or h.write() or h.agents()):
            h.advance(1)
    assert seen == {"Running"}
    assert (slots(h), h.get("batch", "jobs", "elastic")["spec"]["parallelism"]) == (2, 2)
    assert held[0]["shrunk"] == [{"gang": "default/job-elastic", "slots": 2}]
    assert held[0].get("victims", []) == []
    assert set(h.gang("job-urgent")["status"]["assignment"][0]["nodes"]) == set(before[2:])
    told = [t.message for t in h.told if t.name == "job-elastic" and t.reason == "Preempted"]
    assert told == [
        "runs with 2 of 4 slots: gives slots to gang default/job-urgent, whose priority 1000 is above its own, 0"
    ]
    assert "Preempted" in reasons(h, "Job", "elastic")
    h.until(lambda: slots(h) == 4)
    h.until(lambda: len([p for p in h.pods_of("elastic") if p["status"]["phase"] == "Running"]) == 4)
    assert h.gangs() == {"job-keep": "Running", "job-elastic": "Running", "job-urgent": "Finished"}
    assert not h.get("batch", "jobs", "elastic")["status"].get("failed")


def test_no_more_ranks_go_than_are_needed_and_below_its_fewest_it_is_stopped() -> None:
    h = half_elastic(fewest=1)
    h.job("small", slots=1, run=None, annotations=NVLINK, template=high())
    h.until(lambda: h.phase("job-small") == "Running")
    assert (h.phase("job-elastic"), slots(h)) == ("Running", 3)
    h.job("large", slots=3, run=None, annotations=NVLINK, template=high())
    h.until(lambda: h.phase("job-large") == "Running")
    assert h.phase("job-elastic") == "Pending"
    assert h.get("batch", "jobs", "elastic")["spec"]["parallelism"] == 4


def test_a_gang_is_made_smaller_before_another_is_stopped_that_loses_as_much() -> None:
    h = preempting()
    h.job("elastic", slots=4, run=None, annotations=RANKS)
    h.job("other", slots=4, run=None, annotations=NVLINK)
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.advance(600, step=60)
    h.job("urgent", slots=2, run=None, annotations=NVLINK, template=high())
    h.until(lambda: h.phase("job-urgent") == "Running")
    assert h.gangs() == {"job-elastic": "Running", "job-other": "Running", "job-urgent": "Running"}
    assert racks(h, "job-urgent") == racks(h, "job-elastic")


def test_borrowed_quota_is_taken_back_in_slots() -> None:
    h = preempting()
    h.apply(
        thing("Queue", "all", quota={"gpus": 32}),
        thing("Queue", "ours", parent="all", quota={"gpus": 16}, preemption={"reclaim": "Any"}),
        thing("Queue", "theirs", parent="all", quota={"gpus": 16}),
    )
    h.job("own", slots=4, run=None, queue="theirs", annotations=PROTECTED)
    h.job("elastic", slots=4, run=None, queue="theirs", annotations=RANKS, template=high())
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.job("mine", slots=2, run=None, queue="ours", annotations=NVLINK)
    h.until(lambda: h.phase("job-mine") == "Running")
    assert (h.phase("job-elastic"), slots(h)) == ("Running", 2)
    h.advance(90)
    # Nothing is left to grow into, and nothing is taken back in turn.
    assert (h.phase("job-mine"), slots(h)) == ("Running", 2)
    assert "Reclaimed" in reasons(h, "Gang", "job-elastic")


def test_a_place_is_given_up_if_its_user_stops_the_gang_that_was_to_shrink() -> None:
    h = half_elastic()
    h.down.update(n["metadata"]["name"] for n in h.cluster.store.items(("", "nodes")))
    h.job("urgent", slots=2, run=60, annotations=NVLINK, template=high())
    h.until(lambda: slots(h) == 2)
    h.suspend("elastic", True)
    h.down.clear()
    h.until(lambda: h.phase("job-urgent") == "Running")
    assert h.phase("job-elastic") == "Held"
    assert h.get("batch", "jobs", "elastic")["spec"]["suspend"] is True


def test_a_machine_killed_at_any_write_of_it_ends_it() -> None:
    come: list[Harness] = []

    def run(kill: Kill) -> Harness:
        h = _three_ranks_and_an_urgent_one(kill)
        come.append(h)
        _gives_two_up(h)
        return h

    killed = killed_at(lambda number, moment: bool(come), run)
    assert killed >= 8  # the reservation, the slots, the Job's size, what is released, the commit, two pods


def _three_ranks_and_an_urgent_one(kill: Kill) -> Harness:
    quiet = MachineSettings(validate=True, status_seconds=1e9)
    h = started(facility(racks=1, nodes=3), kill=kill, settings=quiet)
    h.apply(
        thing("Queue", "research", preemption={"withinQueue": "LowerPriority"}), priority_class("high", 1000)
    )
    h.job("elastic", slots=3, run=None, annotations={**RANKS, MIN_SLOTS: "1"})
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.advance(60, step=10)
    h.job("urgent", slots=2, run=None, template=high())
    return h


def _gives_two_up(h: Harness) -> None:
    def check() -> None:
        assert h.machine.state is not None
        assert h.machine.state.violations() == [] and h.machine.state.overbooked() == []
        assert h.phase("job-elastic") == "Running"

    h.check = check
    h.until(lambda: h.phase("job-urgent") == "Running", seconds=120)
    h.advance(40)
    assert slots(h) == 1
    assert not [j for j in h.cluster.store.items(("batch", "jobs")) if j["status"].get("failed")]
    assert "reservation" not in h.gang("job-urgent")["status"]
