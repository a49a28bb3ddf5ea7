"""Gangs that may run with fewer slots: the most at the start, more when room appears, fewer instead of none."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rackplane.api.labels import COMPLETIONS_EQUAL, GRANTED_PARALLELISM, MIN_SLOTS, REQUESTED_PARALLELISM
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.settings import MachineSettings
from tests.support.branching import Kill, killed_at
from tests.support.harness import QUEUE, RUN, Harness, facility, started

JOBS = "/apis/batch/v1/namespaces/default/jobs"
RANKS = {MIN_SLOTS: "2", COMPLETIONS_EQUAL: "true"}


def hall(**options: Any) -> Harness:
    """Two racks of four nodes of four GPUs."""
    return started(facility(racks=2), **options)


def size(h: Harness, job: str) -> tuple[int, int | None, str | None, str | None]:
    """Parallelism, completions, and what the annotations say was asked for and given."""
    found = h.get("batch", "jobs", job)
    notes = found["metadata"].get("annotations", {})
    spec = found["spec"]
    return (
        spec["parallelism"],
        spec.get("completions"),
        notes.get(REQUESTED_PARALLELISM),
        notes.get(GRANTED_PARALLELISM),
    )


def running(h: Harness, job: str) -> list[str]:
    """Nodes of its pods that run."""
    return sorted(
        p["spec"]["nodeName"] for p in h.pods_of(job) if p.get("status", {}).get("phase") == "Running"
    )


def slots(h: Harness, gang: str) -> int:
    return int(h.gang(gang)["status"]["slots"])


def blocker(h: Harness, name: str, count: int, *, run: float | None = None) -> None:
    h.job(name, slots=count, run=run)
    h.settle()
    assert len(running(h, name)) == count


def not_failed(h: Harness, job: str) -> None:
    assert not h.get("batch", "jobs", job)["status"].get("failed")


@pytest.mark.parametrize(
    ("spec", "annotations", "given", "grown"),
    [
        (
            {"completions": None, "indexed": False},
            {MIN_SLOTS: "2"},
            (3, None, "6", "3"),
            (6, None, None, None),
        ),
        ({"completions": 20, "indexed": False}, {MIN_SLOTS: "2"}, (3, 20, "6", "3"), (6, 20, None, None)),
        ({"completions": 20}, {MIN_SLOTS: "2"}, (3, 20, "6", "3"), (6, 20, None, None)),
        ({"completions": 6, "indexed": False}, {MIN_SLOTS: "2"}, (3, 6, "6", "3"), (6, 6, None, None)),
        ({}, RANKS, (3, 3, "6", "3"), (6, 6, None, None)),
        (
            {},
            {
                "kueue.x-k8s.io/job-min-parallelism": "2",
                "kueue.x-k8s.io/job-completions-equal-parallelism": "true",
            },
            (3, 3, "6", "3"),
            (6, 6, None, None),
        ),
    ],
)
def test_a_gang_starts_with_what_there_is_and_grows_when_there_is_more(
    spec: dict[str, Any], annotations: dict[str, str], given: tuple[Any, ...], grown: tuple[Any, ...]
) -> None:
    h = hall()
    blocker(h, "first", 5, run=40)
    h.job("elastic", slots=6, run=None, annotations=annotations, **spec)
    h.settle()
    gang = h.gang("job-elastic")
    assert (gang["spec"]["slots"], gang["spec"]["minSlots"], slots(h, "job-elastic")) == (6, 2, 3)
    assert gang["status"]["message"] == "runs with 3 of 6 slots"
    assert size(h, "elastic") == given
    before = running(h, "elastic")
    assert len(set(before)) == 3
    h.advance(60)
    gang = h.gang("job-elastic")
    assert (slots(h, "job-elastic"), gang["status"]["message"]) == (6, "runs with all 6 slots")
    assert size(h, "elastic") == grown
    after = running(h, "elastic")
    assert len(set(after)) == 6 and set(before) < set(after)
    assert [n for g in gang["status"]["assignment"] for n in g["nodes"]][:3] == [
        n for g in gang["status"]["assignment"] for n in g["nodes"] if n in before
    ]
    state = h.machine.state
    assert state is not None
    assert gang["status"]["reservedNominalWatts"] == state.reserved("default/job-elastic").nominal_watts
    not_failed(h, "elastic")
    h.restart_machine()
    h.settle()
    assert len(h.machine.state.held("default/job-elastic")) == 6 if h.machine.state else False
    assert running(h, "elastic") == after


def test_less_than_the_fewest_slots_is_no_start() -> None:
    h = hall()
    blocker(h, "first", 7)
    h.job("elastic", slots=6, run=None, annotations=RANKS)
    h.settle()
    gang = h.gang("job-elastic")
    assert gang["status"]["phase"] == "Pending"
    assert "slots" not in gang["status"]
    assert size(h, "elastic") == (6, 6, None, None)
    assert h.pods_of("elastic") == []


def test_ranks_are_changed_only_if_the_user_allows_it() -> None:
    h = hall()
    h.job("ranks", slots=4, annotations={MIN_SLOTS: "2"})
    h.settle()
    status = h.gang("job-ranks")["status"]
    assert status["phase"] == "Pending"
    assert status["message"] == (
        f"metadata.annotations[{MIN_SLOTS}]: is 2, but the Job is Indexed and runs its 4 indexes at once: fewer slots "
        "would be fewer ranks. If its ranks allow that, make completions equal parallelism and write "
        f'{COMPLETIONS_EQUAL}: "true"; else remove {MIN_SLOTS}.'
    )
    h.patch(f"{JOBS}/ranks", {"metadata": {"annotations": {COMPLETIONS_EQUAL: "true"}}})
    h.advance(1)
    assert h.phase("job-ranks") == "Running"


def test_segments_stay_whole_at_the_start_and_in_growth() -> None:
    h = hall()
    blocker(h, "first", 3, run=40)
    h.job("elastic", slots=8, run=None, annotations={**RANKS, "rackplane.dev/segment-size": "2"})
    h.settle()
    assert slots(h, "job-elastic") == 4
    h.advance(60)
    assert slots(h, "job-elastic") == 8
    nodes = [n for g in h.gang("job-elastic")["status"]["assignment"] for n in g["nodes"]]
    racks = [n.split("-")[0] for n in nodes]
    assert len(set(nodes)) == 8 and all(a == b for a, b in zip(racks[::2], racks[1::2], strict=True))


def test_a_gang_grows_in_its_required_domain_only() -> None:
    h = hall()
    h.job("first", slots=2, run=40, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.settle()
    blocker(h, "other", 3)
    h.job("elastic", slots=6, run=None, annotations={**RANKS, "rackplane.dev/required-topology": "nvlink"})
    h.settle()
    here = {n.split("-")[0] for n in running(h, "elastic")}
    assert len(here) == 1
    had = slots(h, "job-elastic")
    h.job("second", slots=1, run=None)
    h.advance(80)
    assert {n.split("-")[0] for n in running(h, "elastic")} == here
    assert had <= slots(h, "job-elastic") <= 4


def test_who_waits_starts_before_who_runs_grows() -> None:
    h = hall()
    blocker(h, "first", 4, run=50)
    h.job("elastic", slots=8, run=None, annotations=RANKS)
    h.settle()
    assert slots(h, "job-elastic") == 4
    h.job("waits", slots=3, run=None)
    h.advance(60)
    assert len(running(h, "waits")) == 3
    assert slots(h, "job-elastic") == 5


def test_a_gang_grows_within_its_quota() -> None:
    h = hall()
    h.patch("/apis/rackplane.dev/v1alpha1/queues/research", {"spec": {"quota": {"gpus": 12}}})
    h.job("elastic", slots=8, run=None, annotations=RANKS)
    h.settle()
    assert slots(h, "job-elastic") == 3
    h.patch("/apis/rackplane.dev/v1alpha1/queues/research", {"spec": {"quota": {"gpus": 20}}})
    h.advance(60)
    assert slots(h, "job-elastic") == 5


def test_a_gang_grows_within_the_power_there_is() -> None:
    # Rack 1: 2 kW of its own, 4 nodes of 1 kW idle; 4 kW more for each that works.
    h = started(facility(racks=1, rack_watts=14_500))
    h.job("elastic", slots=4, run=None, annotations=RANKS)
    h.settle()
    assert slots(h, "job-elastic") == 2
    h.patch("/apis/rackplane.dev/v1alpha1/racks/r1", {"spec": {"limitWatts": 19_000}})
    h.advance(60)
    assert slots(h, "job-elastic") == 3
    assert h.machine.state is not None and h.machine.state.violations() == []


def lose_node(h: Harness, node: str) -> None:
    """The node is gone, and its pods with it: evicted, and made anew by their Job."""
    h.node_ready(node, False)
    for pod in h.pods():
        if pod["spec"].get("nodeName") == node:
            path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
            h.request("DELETE", path, {"gracePeriodSeconds": 0})
    h.settle()


def test_a_gang_that_loses_a_node_goes_on_with_fewer_slots_and_grows_again() -> None:
    h = hall()
    blocker(h, "first", 3)
    h.job("elastic", slots=5, run=None, completions=50, annotations={MIN_SLOTS: "3"})
    h.settle()
    nodes = running(h, "elastic")
    lose_node(h, nodes[0])
    h.advance(35)
    gang = h.gang("job-elastic")
    assert (gang["status"]["phase"], gang["status"]["slots"]) == ("Running", 4)
    assert gang["status"]["message"] == (
        f"runs with 4 of 5 slots: node {nodes[0]} (slot {gang['status']['releasedSlots']}) is not ready"
    )
    assert running(h, "elastic") == nodes[1:]
    assert size(h, "elastic") == (4, 50, "5", "4")
    assert (gang["status"]["reservedNominalWatts"], gang["status"]["reservedKilowatts"]) == (16_000, "16.0")
    h.node_ready(nodes[0], True)
    h.advance(60)
    assert running(h, "elastic") == nodes
    assert size(h, "elastic") == (5, 50, None, None)
    assert "releasedSlots" not in h.gang("job-elastic")["status"]


def test_at_its_fewest_slots_a_gang_that_loses_a_node_is_placed_anew() -> None:
    h = hall()
    blocker(h, "first", 3)
    h.job("elastic", slots=5, run=None, completions=50, annotations={MIN_SLOTS: "5"})
    h.settle()
    lose_node(h, running(h, "elastic")[0])
    h.advance(35)
    assert h.phase("job-elastic") == "Pending"
    assert size(h, "elastic") == (5, 50, None, None)


def test_the_users_own_number_comes_back_when_the_gang_stops() -> None:
    h = hall()
    blocker(h, "first", 5)
    h.job("elastic", slots=6, run=None, annotations=RANKS)
    h.settle()
    assert size(h, "elastic") == (3, 3, "6", "3")
    h.suspend("elastic", True)
    h.advance(5)
    assert h.phase("job-elastic") == "Held"
    assert size(h, "elastic") == (6, 6, None, None)
    assert "slots" not in h.gang("job-elastic")["status"]


def test_the_users_own_number_comes_back_when_the_job_is_over_but_not_ranks_that_never_ran() -> None:
    h = hall()
    blocker(h, "first", 5)
    h.job("many", slots=6, run=5, completions=6, indexed=False, annotations={MIN_SLOTS: "3"})
    h.until(lambda: h.phase("job-many") == "Finished", seconds=60)
    h.advance(2)
    assert size(h, "many") == (6, 6, None, None)
    h.job("ranks", slots=6, run=5, annotations=RANKS)
    h.until(lambda: h.phase("job-ranks") == "Finished", seconds=60)
    h.advance(2)
    assert size(h, "ranks") == (3, 3, "6", "3")
    assert h.get("batch", "jobs", "ranks")["status"]["succeeded"] == 3


@pytest.mark.parametrize(("own", "has", "left"), [(4, 3, (3, 50, "4", "3")), (2, 2, (2, 50, None, None))])
def test_a_user_who_changes_the_parallelism_meanwhile_wins(own: int, has: int, left: tuple[Any, ...]) -> None:
    h = hall()
    blocker(h, "first", 5, run=100)
    h.job("elastic", slots=6, run=None, completions=50, annotations={MIN_SLOTS: "2"})
    h.settle()
    assert size(h, "elastic") == (3, 50, "6", "3")
    h.patch(f"{JOBS}/elastic", {"spec": {"parallelism": own}})
    h.advance(5)
    assert size(h, "elastic") == left
    assert (len(running(h, "elastic")), slots(h, "job-elastic")) == (has, has)
    h.advance(150)
    assert size(h, "elastic") == (own, 50, None, None)
    assert len(running(h, "elastic")) == own


def test_bare_pods_beyond_the_room_wait_behind_their_gate_and_come_when_there_is_more() -> None:
    h = hall()
    blocker(h, "first", 5, run=60)
    for i in range(5):
        h.pod(
            f"p-{i}",
            gpus=4,
            labels={QUEUE: "research", "rackplane.dev/gang": "g"},
            annotations={"rackplane.dev/gang-size": "5", MIN_SLOTS: "2", RUN: "300"},
        )
    h.settle()
    gated = [p for p in h.pods(**{"rackplane.dev/gang": "g"}) if p["spec"].get("schedulingGates")]
    assert (h.phase("pod-g"), slots(h, "pod-g"), len(gated)) == ("Running", 3, 2)
    h.advance(100)
    gated = [p for p in h.pods(**{"rackplane.dev/gang": "g"}) if p["spec"].get("schedulingGates")]
    assert (slots(h, "pod-g"), gated) == (5, [])


# -- a former leader -----------------------------------------------------------------------------------


@pytest.mark.parametrize("regained", [False, True])
def test_a_former_leaders_late_growth_is_taken_back_and_nothing_is_booked_for_it(regained: bool) -> None:
    """It adds a slot on a free node, or has one back that was given up, whose node is another gang's by now."""
    h = hall()
    blocker(h, "first", 3)
    h.job("elastic", slots=5, run=None, completions=50, annotations={MIN_SLOTS: "3"})
    h.settle()
    lost = running(h, "elastic")[0]
    lose_node(h, lost)
    h.advance(35)
    h.job("other", slots=1, run=None)
    h.node_ready(lost, True)
    h.settle()
    assert running(h, "other") == [lost]
    h.restart_machine()
    h.settle()
    assert h.machine.state is not None
    status, held = h.gang("job-elastic")["status"], h.machine.state.held("default/job-elastic")
    late = {"slots": 5, "decision": {**status["decision"], "id": "late"}, "releasedSlots": None}
    if not regained:
        blocked = running(h, "first")[0]
        more = {"nvlinkDomain": f"nvl-{blocked[:2]}", "rack": blocked[:2], "nodes": [blocked]}
        late |= {"assignment": [*status["assignment"], more], "releasedSlots": status["releasedSlots"]}

    def check() -> None:
        state = h.machine.state
        assert state is not None and state.overbooked() == []
        assert state.held("default/job-elastic") == held

    h.check = check
    h.patch("/apis/rackplane.dev/v1alpha1/namespaces/default/gangs/job-elastic/status", {"status": late})
    h.deliver()
    h.patch("/apis/rackplane.dev/v1alpha1/racks/r1", {"spec": {"limitWatts": 29_000}})  # all is booked anew
    h.settle()
    h.advance(10)
    after = h.gang("job-elastic")["status"]
    for name in ("slots", "assignment", "releasedSlots", "decision", "reservedNominalWatts"):
        assert after[name] == status[name]
    assert size(h, "elastic") == (4, 50, "5", "4")
    assert len(running(h, "elastic")) == 4


# -- killed at every write ---------------------------------------------------------------------------


def grows(h: Harness) -> None:
    """Starts with two of four slots, grows when others end."""
    h.job("first", slots=2, run=3)
    h.settle()
    h.job("work", slots=4, run=None, completions=None, indexed=False, annotations={MIN_SLOTS: "2"})
    h.until(lambda: h.phase("job-work") == "Running", seconds=60)
    h.until(lambda: len(running(h, "work")) == 4 and slots(h, "job-work") == 4, seconds=200)
    h.until(lambda: h.phase("job-first") == "Finished", seconds=60)
    h.advance(3)


def has_grown(h: Harness) -> None:
    assert h.gangs() == {"job-first": "Finished", "job-work": "Running"}
    assert size(h, "work") == (4, None, None, None)
    as_shown(h, "work", 4)
    not_failed(h, "work")


def shrinks(h: Harness) -> None:
    """Loses a node and goes on with fewer, grows again when it is back, and shrinks when its user says so."""
    h.job("work", slots=4, run=None, completions=None, indexed=False, annotations={MIN_SLOTS: "2"})
    h.until(lambda: len(running(h, "work")) == 4, seconds=60)
    lost = running(h, "work")[0]
    lose_node(h, lost)
    h.until(lambda: slots(h, "job-work") == 3 and len(running(h, "work")) == 3, seconds=60)
    h.node_ready(lost, True)
    h.until(lambda: len(running(h, "work")) == 4 and slots(h, "job-work") == 4, seconds=200)
    h.patch(f"{JOBS}/work", {"spec": {"parallelism": 2}})
    h.until(lambda: len(running(h, "work")) == 2 and slots(h, "job-work") == 2, seconds=60)
    h.advance(3)


def has_shrunk(h: Harness) -> None:
    assert h.gangs() == {"job-work": "Running"}
    assert size(h, "work") == (2, None, None, None)
    as_shown(h, "work", 2)


def ranks(h: Harness) -> None:
    """Ranks 0 and 1, then 0 to 3, to their end."""
    h.job("first", slots=2, run=3)
    h.settle()
    h.job("work", slots=4, run=20, annotations=RANKS)
    h.until(lambda: h.phase("job-work") == "Running", seconds=60)
    h.until(lambda: len(running(h, "work")) == 4 and slots(h, "job-work") == 4, seconds=200)
    h.until(lambda: set(h.gangs().values()) == {"Finished"}, seconds=200)
    h.advance(3)


def have_ended(h: Harness) -> None:
    assert h.gangs() == {"job-first": "Finished", "job-work": "Finished"}
    assert h.get("batch", "jobs", "work")["status"]["succeeded"] == 4
    assert size(h, "work") == (4, 4, None, None)
    not_failed(h, "work")
    assert h.machine.state is not None and list(h.machine.state.keys()) == []


def as_shown(h: Harness, job: str, count: int) -> None:
    """What the Gang says, what is booked and what runs are the same, in nodes and in watts."""
    state, status = h.machine.state, h.gang(f"job-{job}")["status"]
    assert state is not None
    key = f"default/job-{job}"
    assert sorted(state.held(key).values()) == running(h, job)
    assert len(running(h, job)) == count == status["slots"]
    assert status["reservedNominalWatts"] == state.reserved(key).nominal_watts == count * 4_000


SCENARIOS = {"grows": (grows, has_grown), "shrinks": (shrinks, has_shrunk), "ranks": (ranks, have_ended)}


def watched(*, validate: bool = False, **options: Any) -> Harness:
    """Looks after every write: no limit broken, no GPU held twice, never fewer slots held than pods run."""
    quick = MachineSettings(validate=validate, status_seconds=1e9, resize_seconds=4)
    h = started(facility(racks=1, nodes=4, cooling=False), settings=quick, **options)

    def check() -> None:
        state = h.machine.state
        if state is None:
            return
        assert state.violations() == [] and state.overbooked() == []
        gpus: Counter[str] = Counter()
        for pod in h.pods():
            if pod["spec"].get("nodeName") and pod.get("status", {}).get("phase") not in (
                "Succeeded",
                "Failed",
            ):
                gpus[pod["spec"]["nodeName"]] += 4
        assert all(used <= 4 for used in gpus.values()), gpus
        for record in h.machine.gangs.values():
            held = state.held(booking_key(record.key))
            if (
                record.phase == "Running"
                and record.gang is not None
                and record.gang.spec.min_slots
                and record.job
            ):
                alive = [p for p in record.live_pods() if p.spec.node_name]
                assert len(held) >= len(alive), (record.key, held)

    h.check = check
    return h


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("answers_first", [True, False])
def test_undisturbed_it_comes_to_its_end(name: str, answers_first: bool) -> None:
    scenario, verify = SCENARIOS[name]
    h = watched(validate=True, answers_first=answers_first)
    scenario(h)
    verify(h)


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_any_write_it_comes_to_the_same(name: str) -> None:
    scenario, verify = SCENARIOS[name]

    def run(kill: Kill) -> Harness:
        h = watched(kill=kill)
        scenario(h)
        verify(h)
        h.machine.validate()
        return h

    assert killed_at(lambda number, moment: True, run) > 8
