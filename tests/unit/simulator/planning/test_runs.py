"""Questions that are answered by runs: figures that can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.simulator.facilities.design import parse_scheme
from rackplane.simulator.facilities.rewiring import Block, blocks_of, rewired
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.planning.binding import binding
from rackplane.simulator.planning.order import order
from rackplane.simulator.planning.power_profile import power_profile
from rackplane.simulator.planning.redundancy import redundancy
from rackplane.simulator.running import PlanError
from tests.unit.simulator.planning.halls import bars, hall, inputs

RUN: dict[str, Any] = {"seed": 0, "every": 1_000, "bars": bars}


def test_the_element_that_keeps_a_job_waiting_binds_first() -> None:
    site = hall(["ab", "ab"], {"a": 60_000, "b": 60_000})
    jobs = [
        TraceJob("one", 0, 5_000, 16, queue="research"),
        TraceJob("two", 2_000, 5_000, 16, queue="research"),
    ]
    answer = binding(inputs(site, *jobs), **RUN)
    # 48 kW with one at work, and 12 kW left for one of the four free nodes: 12 GPUs have none.
    elements = {of["name"]: of for of in answer.data["elements"]}
    idle = {name: (of["meanIdleGpusWhileJobsWait"], of["mostIdleGpus"]) for name, of in elements.items()}
    assert idle == {"ups-a": (0.0, 0), "ups-b": (12.0, 12), "utility": (0.0, 0)}
    assert (elements["ups-b"]["leastHeadroomWatts"], elements["ups-b"]["loss"]) == (12_000, "ups-a")
    assert (answer.data["samples"], answer.data["samplesWithWaitingJobs"]) == (11, 3)


def test_a_profile_frees_watts_and_makes_jobs_slower() -> None:
    site = hall(["ab", "ab"], {"a": 300_000, "b": 300_000})
    jobs = [TraceJob("one", 0, 8_000, 16, queue="training"), TraceJob("two", 0, 4_000, 16, queue="research")]
    answer = power_profile(inputs(site, *jobs), queue="training", profile="MaxQ", **RUN)
    as_it_is, capped = answer.data["runs"]
    assert [of["queueJobs"]["meanStartToEndSeconds"] for of in (as_it_is, capped)] == [8_000, 10_000]
    assert [of["otherJobs"]["meanStartToEndSeconds"] for of in (as_it_is, capped)] == [4_000, 4_000]
    # Two racks at 42 kW; one of them with four nodes at 7 instead of 10 kW.
    assert [of["reservedMostWatts"] for of in (as_it_is, capped)] == [84_000, 72_000]
    assert answer.notes[0].startswith(
        "1 job of the queue's 1 ran last at MaxQ, which runs at 80 % of full speed"
    )


def test_an_order_caps_all_that_must_give_way_and_no_longer_than_it_lasts() -> None:
    site = hall(["ab", "ab"], {"a": 300_000, "b": 300_000})
    jobs = [TraceJob(name, 0, 20_000, 16, queue="research") for name in ("one", "two")]
    answer = order(
        inputs(site, *jobs), feed=None, percent=25, hours=1, at=7_200, notice=0, **{**RUN, "every": 3_600}
    )
    data = answer.data
    # 84 kW and 63 after it: both at 7 kW a node make 60. A fifth of 32 GPUs is lost for an hour.
    assert (data["targets"], data["carriedWatts"], data["limitWatts"]) == (["utility"], 84_000, 63_000)
    assert (data["gangsCapped"], data["gangsStopped"], data["secondsOverLimit"]) == (2, 0, 0)
    assert data["gpuHoursLessByItsEnd"] == pytest.approx(6.4, abs=0.05)
    assert 0 < data["recoverySeconds"] <= 600


def test_an_order_that_no_job_sees_is_refused() -> None:
    site = hall(["ab"], {"a": 300_000, "b": 300_000})
    given = inputs(site, TraceJob("one", 0, 600, 16, queue="research"))
    with pytest.raises(PlanError, match="--at 7,200: all jobs are over at second 600"):
        order(given, feed=None, percent=25, hours=1, at=7_200, notice=0, **RUN)


def test_the_same_racks_by_another_scheme() -> None:
    site = hall(["ab"] * 6, {"a": 168_000, "b": 168_000})
    assert blocks_of(site) == [Block(("r1", "r2", "r3", "r4", "r5", "r6"), ("ups-a", "ups-b"), 336_000)]
    other = rewired(site, parse_scheme("4N/3"))
    feeds = [
        tuple(feed["powerDomain"][-1] for feed in other.bodies["Rack", f"r{i}"]["spec"]["feeds"])
        for i in range(1, 7)
    ]
    assert feeds == [("1", "2"), ("1", "3"), ("1", "4"), ("2", "3"), ("2", "4"), ("3", "4")]
    assert other.bodies["PowerDomain", "plan-1-ups-4"]["spec"] == {
        "type": "UPS",
        "parents": [{"powerDomain": "utility", "weight": 1}],
        "ratedWatts": 84_000,
        "survivable": True,
    }


def test_two_sides_carry_less_than_four_thirds_and_jobs_wait_for_it() -> None:
    site = hall(["ab"] * 6, {"a": 168_000, "b": 168_000})
    jobs = [TraceJob(str(i), 0, 3_600, 16, queue="research") for i in range(6)]
    answer = redundancy(inputs(site, *jobs, policy="strict-power"), schemes=["4N/3", "2N"], **RUN)
    four, two = answer.data["schemes"]
    # 4N/3: six racks put 84 kW on each survivor. 2N: 168 / 42 = 4 racks, or (168 - 6 x 6) / 9 = 14 nodes.
    assert (four["racksAtFullPower"], four["nodesAtFullPower"], four["upsWattsForAllRacks"]) == (
        6,
        24,
        336_000,
    )
    assert (two["racksAtFullPower"], two["nodesAtFullPower"], two["upsWattsForAllRacks"]) == (4, 14, 504_000)
    # Six racks of idle nodes leave room for three jobs at once.
    assert [of["meanWaitSeconds"] for of in (four, two)] == [0, 1_800]


@pytest.mark.parametrize(
    ("schemes", "words"),
    [
        (["2N"], "--schemes: name two or more"),
        (["2N", "7N"], "--schemes 7N: it is one of N, N\\+1, 2N"),
    ],
)
def test_schemes_that_cannot_be_compared(schemes: list[str], words: str) -> None:
    site = hall(["ab"], {"a": 100_000, "b": 100_000})
    with pytest.raises(PlanError, match=words):
        redundancy(inputs(site, TraceJob("one", 0, 600, 16)), schemes=schemes, **RUN)
