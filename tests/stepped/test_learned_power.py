"""Gangs that count at what earlier runs of their job drew: when they do, when not, and when they draw more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rackplane.core import events as e
from rackplane.core.machine import Machine
from rackplane.core.settings import MachineSettings
from rackplane.core.site.observed import Observed
from rackplane.engine.model import Metered
from tests.support.harness import GROUP, Harness, facility, started

SETTINGS = MachineSettings(validate=True, telemetry=True)
QUEUE = f"/apis/{GROUP}/v1alpha1/queues/research"
BEFORE = {
    "namespace": "default",
    "name": "train",
    "hardwareProfile": "small",
    "powerProfile": "MaxP",
    "runs": 59,
    "nodeWatts": 4_000,
    "lastRun": "2023-11-14T00:00:00Z",
}


def hall(
    *,
    learned: Mapping[str, Any] | None = BEFORE,
    allows: Mapping[str, int] | None,
    read: bool = True,
    rated: int = 40_000,
) -> Harness:
    """Two racks under a row of 40 kW: 44 kW if both are full at 5 kW a node, 36 kW at the 4 kW that earlier runs drew.

    Its peak may be 80 kW.
    """
    made = facility(racks=2)
    for obj in made:
        if obj["metadata"]["name"] == "row" and obj["kind"] == "PowerDomain":
            obj["spec"].update(ratedWatts=rated, peakLimitWatts=80_000)
        elif obj["kind"] == "Queue" and allows is not None:
            obj["spec"]["learnedPower"] = dict(allows)
    h = started(made, settings=SETTINGS)
    if learned is not None:
        h.patch(f"{QUEUE}/status", {"status": {"learned": [dict(learned)]}})
    h.restart_machine()
    h.settle()
    if read:
        look(h, 1_000)
    return h


def look(h: Harness, watts: int, *, without: str = "") -> None:
    """Telemetry has read all nodes just now, or all but one."""
    nodes = {name: watts for rack in ("r1", "r2") for n in range(4) if (name := f"{rack}-n{n}") != without}
    h._feed(e.DrawsObserved(Observed(h.time.now, {}, nodes)))
    h.settle()


def runs_for(h: Harness, minutes: int, watts: int, *, without: str = "") -> None:
    for _ in range(minutes):
        h.advance(60, step=60)
        look(h, watts, without=without)


def reserved(h: Harness) -> tuple[int, int]:
    """Nominal watts that the two gangs are booked for."""
    assert h.machine.state is not None
    first, second = (h.machine.state.reserved(f"default/job-train-{n}").nominal_watts for n in (1, 2))
    return first, second


def both(h: Harness) -> tuple[str, str]:
    """Two runs of the job, each as large as a rack."""
    for name in ("train-1", "train-2"):
        h.job(name, slots=4, run=None)
        h.advance(5)
    return h.phase("job-train-1"), h.phase("job-train-2")


def known(h: Harness) -> list[dict[str, Any]]:
    found = h.get(GROUP, "queues", "research", "")["status"].get("learned", [])
    return [{key: each[key] for key in ("name", "runs", "nodeWatts")} for each in found]


def test_a_queue_that_allows_it_lets_gangs_count_at_what_earlier_runs_drew_and_says_so() -> None:
    h = hall(allows={"floorPercent": 70})
    assert both(h) == ("Running", "Running")
    status = h.gang("job-train-1")["status"]
    assert status["learned"] == [
        {"hardwareProfile": "small", "nodeWatts": 4_000, "name": "train", "runs": 59}
    ]
    # Over idle; what its protection sees at any moment stays.
    assert (status["reservedNominalWatts"], status["reservedPeakWatts"]) == (12_000, 16_000)
    placed = next(c for c in status["conditions"] if c["type"] == "Admitted")
    assert placed["message"].endswith(", counted at 4,000 W a node: 59 runs of train drew no more")
    assert status["message"] == "all 4 slots run, counted at 4,000 W a node"
    row = h.get(GROUP, "powerdomains", "row", "")["status"]
    assert row["reservedNominalWatts"] == 36_000


def test_what_was_counted_stays_so_over_a_restart() -> None:
    h = hall(allows={"floorPercent": 70})
    both(h)
    h.restart_machine()
    runs_for(h, 5, 3_900)
    assert [h.phase(f"job-train-{n}") for n in (1, 2)] == ["Running", "Running"]
    assert reserved(h) == (12_000, 12_000)


def test_nodes_that_nobody_reads_count_by_their_power_profile_until_they_have_been_read_again() -> None:
    h = hall(allows={"floorPercent": 70}, rated=60_000)
    both(h)
    look(h, 3_900)
    h.advance(890, step=30)
    assert reserved(h) == (12_000, 12_000)
    h.advance(60, step=30)
    assert reserved(h) == (16_000, 16_000)
    status = h.gang("job-train-1")["status"]
    assert (status["countsInFull"], status["reservedNominalWatts"]) == (True, 16_000)
    assert status["message"].endswith("until all of its nodes are read again")
    # A new process goes on from there, and readings have to come in for 15 minutes.
    h.restart_machine()
    runs_for(h, 14, 3_900)
    assert reserved(h) == (16_000, 16_000)
    runs_for(h, 3, 3_900)
    status = h.gang("job-train-1")["status"]
    assert (status.get("countsInFull"), status["reservedNominalWatts"]) == (None, 12_000)
    assert reserved(h) == (12_000, 12_000)
    told = [t.reason for t in h.told if t.kind == "Gang" and t.name == "job-train-1"]
    assert [reason for reason in told if reason.startswith("Power")] == ["PowerUnread", "PowerRead"]


def test_of_a_gang_one_node_that_is_not_read_is_enough_and_a_new_process_does_not_wait_for_long() -> None:
    h = hall(allows={"floorPercent": 70}, rated=60_000)
    both(h)
    h.restart_machine()
    runs_for(h, 7, 3_900, without="r1-n0")
    first = h.gang("job-train-1")["status"]["assignment"][0]["rack"]
    assert reserved(h) == ((16_000, 12_000) if first == "r1" else (12_000, 16_000))


def test_a_place_is_not_held_at_what_nobody_sees() -> None:
    h = hall(allows={"floorPercent": 70}, rated=60_000)
    for name in ("other-a", "other-b"):
        h.job(name, slots=4, run=3_000, annotations={"rackplane.dev/expected-duration": "50m"})
    h.advance(5)
    h.job("train-1", slots=4, run=None)
    h.advance(5)

    def held() -> Metered:
        return h.machine.world.held_places["default", "job-train-1"].reservation.placement.metered

    assert held() == (("small", 4_000),)
    h.advance(360, step=30)
    assert held() == ()


def test_a_standby_counts_as_the_gangs_say() -> None:
    h = hall(allows={"floorPercent": 70}, rated=60_000)
    both(h)
    standby = Machine(settings=SETTINGS)
    standby.handle(h.time.now, *h.listed(), e.Synced())
    runs_for(h, 18, 4_500)
    standby.handle(h.time.now, *h.listed())
    assert standby.state is not None
    assert standby.state.reserved("default/job-train-1").nominal_watts == 16_000
    standby.validate()


@pytest.mark.parametrize(
    ("learned", "allows", "read"),
    [
        (BEFORE, None, True),
        ({**BEFORE, "runs": 58}, {"floorPercent": 70}, True),
        ({**BEFORE, "namespace": "other"}, {"floorPercent": 70}, True),
        ({**BEFORE, "powerProfile": "MaxQ"}, {"floorPercent": 70}, True),
        ({**BEFORE, "nodeWatts": 5_100}, {"floorPercent": 70}, True),
        (BEFORE, {"floorPercent": 100}, True),
        (BEFORE, {"floorPercent": 70}, False),
    ],
)
def test_nothing_is_lowered_where_it_is_not_allowed_not_known_or_not_read(
    learned: Mapping[str, Any], allows: Mapping[str, int] | None, read: bool
) -> None:
    h = hall(learned=learned, allows=allows, read=read)
    assert both(h) == ("Running", "Pending")
    status = h.gang("job-train-1")["status"]
    assert (status["reservedNominalWatts"], status.get("learned")) == (16_000, None)


def test_readings_that_are_old_lower_nothing() -> None:
    h = hall(allows={"floorPercent": 70})
    h.advance(360, step=60)
    assert both(h) == ("Running", "Pending")


def test_no_node_counts_below_the_floor() -> None:
    h = hall(learned={**BEFORE, "nodeWatts": 1_500}, allows={"floorPercent": 80})
    both(h)
    assert h.gang("job-train-1")["status"]["reservedNominalWatts"] == 4 * (4_000 - 1_000)


def test_a_run_counts_by_the_hottest_quarter_of_an_hour_of_its_hottest_node() -> None:
    h = hall(learned=None, allows=None)
    h.job("train-7", slots=4, run=45 * 60)
    h.advance(5)
    rack = h.gang("job-train-7")["status"]["assignment"][0]["rack"]
    runs_for(h, 16, 3_000)
    runs_for(h, 15, 3_600)
    runs_for(h, 20, 2_000)
    assert h.phase("job-train-7") == "Finished"
    h.advance(40)
    assert [each["runs"] for each in known(h)] == [1]
    assert 3_500 < known(h)[0]["nodeWatts"] <= 3_600
    assert rack in ("r1", "r2")


def test_a_run_that_was_hardly_read_is_not_counted() -> None:
    h = hall(learned=None, allows=None)
    h.job("train-7", slots=4, run=60 * 60)
    h.advance(5)
    runs_for(h, 17, 3_000)
    h.advance(50 * 60, step=60)
    runs_for(h, 2, 1_000)
    assert h.phase("job-train-7") == "Finished"
    h.advance(40)
    assert known(h) == []


def test_a_gang_that_draws_more_is_found_out_by_a_new_process_and_while_a_node_of_it_is_not_read() -> None:
    h = hall(allows={"floorPercent": 70}, rated=60_000)
    both(h)
    runs_for(h, 8, 3_900)
    h.restart_machine()
    runs_for(h, 18, 4_500, without="r1-n0")
    assert reserved(h) == (16_000, 16_000)
    assert [h.gang(f"job-train-{n}")["status"].get("learned") for n in (1, 2)] == [None, None]


def test_a_gang_that_draws_more_counts_in_full_again_and_the_job_is_known_for_it() -> None:
    h = hall(allows={"floorPercent": 70})
    both(h)
    runs_for(h, 18, 4_500)
    for name in ("job-train-1", "job-train-2"):
        status = h.gang(name)["status"]
        assert status.get("learned") is None
    assert {t.name for t in h.told if t.reason == "DrawsMore" and t.kind == "Gang"} == {
        "job-train-1",
        "job-train-2",
    }
    h.advance(40)
    # By their power profile the two are 44 kW of 40 kW, so one of them gives way, and has been a run.
    assert known(h) == [{"name": "train", "runs": 60, "nodeWatts": 4_500}]
    assert [t.kind for t in h.told if t.reason == "Shed"] == ["Gang", "Job"]
    assert h.machine.state is not None
    assert h.machine.state.violations() == []
