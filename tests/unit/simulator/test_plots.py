"""What a run keeps for its plots: a bounded number of points, and nothing that lasted is lost between two samples."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from rackplane.simulator.facilityevents import read_events
from rackplane.simulator.files import Tables
from rackplane.simulator.jobs import TraceJob as Job
from rackplane.simulator.policies import parse_policies
from rackplane.simulator.report.buckets import Buckets, How
from rackplane.simulator.report.recording import Recording
from rackplane.simulator.requests import requests_of
from rackplane.simulator.simulation import BEGIN, Simulation
from rackplane.simulator.site import site_of
from tests.unit.cli.hall import HALL

TYPES = {("PowerDomain", "utility"): "Utility"}


def test_stretches_grow_and_their_number_does_not() -> None:
    buckets = Buckets(most=4)
    for sample in range(9):
        for how in How:
            buckets.add(sample, how, how, None if sample == 1 else float(sample))
    buckets.add(8, "late", How.SUM, 5.0)
    assert (len(buckets), buckets.samples) == (3, 4)
    assert {how.value: buckets.column(how) for how in How} == {
        "mean": [(0 + 2 + 3) / 3, (4 + 5 + 6 + 7) / 4, 8.0],
        "least": [0.0, 4.0, 8.0],
        "most": [3.0, 7.0, 8.0],
        "sum": [5.0, 22.0, 8.0],
    }
    assert (buckets.column("late"), buckets.column("never")) == ([None, None, 5.0], [None] * 3)


@pytest.mark.parametrize("most", [0, 3])
def test_stretches_can_be_merged_in_pairs(most: int) -> None:
    with pytest.raises(ValueError, match="must be even and at least 2"):
        Buckets(most=most)


def plots(
    jobs: list[Job], policy: str = "", *, events: Path | None = None, hall: list[dict[str, Any]] = HALL
) -> dict[str, Any]:
    site, chosen, recording = site_of("hall", hall), parse_policies(policy), Recording(1_000, TYPES)
    simulation = Simulation(
        site,
        requests_of(jobs, site, chosen, seed=0),
        chosen,
        changes=[] if events is None else read_events(events, site, begin=BEGIN),
        output=Tables(),
        every=1_000,
        plots=recording,
    )
    simulation.run()
    simulation.finish()
    found = recording.as_data(simulation.cluster.now, simulation.summary)
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def test_a_short_job_between_two_samples_is_seen() -> None:
    found = plots([Job("long", 0, 2_500, 16), Job("short", 100, 200, 16)])
    assert (found["seconds"], found["samples"], found["stretch_seconds"]) == (2_500, 3, 1_000)
    series = found["series"]
    # 200 s of 1,000 with 16 GPUs more.
    assert series["gpus_busy"] == {"low": [16, 16, 16], "mean": [19, 16, 16], "high": [32, 16, 16]}
    # 6 kW of racks, 12 idle nodes of 1 kW, and 9 kW more for each of 4 or 8 at work.
    assert series["reserved_watts"] == {
        "low": [54_000] * 3,
        "mean": [61_200, 54_000, 54_000],
        "high": [90_000, 54_000, 54_000],
    }
    assert series["drawn_watts"] == {"low": [None] * 3, "mean": [None] * 3, "high": [None] * 3}
    assert series["seconds_over"] == series["seconds_over_after_a_loss"] == [0, 0, 0]
    [utility] = [course for course in found["elements"] if course["name"] == "utility"]
    assert (utility["type"], utility["reserved_watts"], utility["limit_watts"]) == (
        "Utility",
        [99_000, 63_000, 63_000],  # with 9 kW of base load
        [400_000] * 3,
    )


def test_how_near_each_element_came_to_its_limit_and_for_how_long_it_was_over(tmp_path: Path) -> None:
    events = tmp_path / "events.yaml"
    events.write_text("- {at: 10m, lose: PowerDomain/ups-a, until: 20m}\n", encoding="utf-8")
    jobs = [Job("a", 0, 3_000, 16), Job("b", 10, 5_000, 16), Job("c", 20, 2_000, 16)]
    found = plots(jobs, "no-power", events=events)
    # As in test_simulation.py: ups-b carries two racks of 42 kW and half of a third for 600 s, from 600 to 1,200.
    assert found["series"]["seconds_over"] == [400, 200, 0, 0, 0, 0]
    assert found["peaks"][0] == {
        "kind": "PowerDomain",
        "name": "ups-b",
        "type": "PowerDomain",
        "load": 1.05,
        "reserved_watts": 105_000,
        "limit_watts": 100_000,
        "seconds": 0,
        "drawn_watts": None,
        "worst_headroom_watts": -26_000,  # had ups-c been lost too, at second 1,000
        "worst_loss": "ups-c",
    }
    [course] = [course for course in found["elements"] if course["name"] == "ups-b"]
    assert course["reserved_watts"][:3] == [105_000, 105_000, 63_000]


def test_what_is_full_whatever_gangs_do_comes_last() -> None:
    hall = copy.deepcopy(HALL)
    [pdu] = [body for body in hall if body["metadata"]["name"] == "pdu-x"]
    pdu["spec"]["baseLoadWatts"] = 16_000  # and 4 kW of a cooling unit, of 20 kW
    peaks = plots([Job("a", 1_500, 3_000, 16)], hall=hall)["peaks"]
    loads = {peak["name"]: peak["load"] for peak in peaks}
    assert loads["pdu-x"] == 1.0
    assert list(loads)[:2] == ["loop", "ups-b"]
    assert list(loads).index("pdu-x") > list(loads).index("utility")


def test_waits_and_racks_beyond_the_fewest_by_size() -> None:
    jobs = [Job("a", 0, 1_000, 16), Job("b", 0, 1_000, 32), Job("c", 0, 500, 4), Job("d", 2_000, 500, 2)]
    waits = {
        "p5": 50.0,
        "p25": 250.0,
        "p50": 500.0,
        "p75": 750.0,
        "p95": 950.0,
        "mean": 500.0,
        "longest": 1_000,
    }
    assert plots(jobs, "strict-power,no-power")["sizes"] == {
        "1-7": {"jobs": 2, "at_once": 0.5, "wait_seconds": waits, "racks_over_minimum": [2, 0, 0, 0, 0]},
        "8-63": {
            "jobs": 2,
            "at_once": 1.0,
            "wait_seconds": dict.fromkeys(waits, 0),
            "racks_over_minimum": [2, 0, 0, 0, 0],
        },
    }


def test_a_gang_in_more_racks_than_it_needs_is_counted() -> None:
    # Three nodes, three and two are taken: the four of the last one are in all three racks.
    jobs = [Job("a", 0, 5_000, 12), Job("b", 1, 5_000, 12), Job("c", 2, 5_000, 8), Job("d", 100, 500, 16)]
    found = plots(jobs, "no-power,topology=none")
    assert found["sizes"]["8-63"]["racks_over_minimum"] == [3, 0, 1, 0, 0]
