"""More racks on a feed: as many as the engine itself lets run at full power, and no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.core.offline.snapshot import machine_of
from rackplane.engine.model import RackSpec
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.physics.loads import Violation
from rackplane.engine.state import State
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.planning.answers import Answer
from rackplane.simulator.planning.more_racks import more_racks
from rackplane.simulator.policies import Policy
from rackplane.simulator.running import Inputs, PlanError
from rackplane.simulator.site import Site
from tests.unit.simulator.planning.halls import RACK_WATTS, bars, hall, inputs


def ask(
    site: Site,
    feed: str,
    *,
    hardware: str | None = None,
    nodes: int | None = None,
    given: Inputs | None = None,
) -> Answer:
    return more_racks(
        site, feed=feed, hardware=hardware, nodes=nodes, inputs=given, seed=0, every=1_000, bars=bars
    )


def rooms(answer: Answer) -> dict[tuple[str, bool], tuple[int, list[int]]]:
    return {
        (room["beside"], room["cooling"]): (room["racks"], [place["together"] for place in room["places"]])
        for room in answer.data["rooms"]
    }


def over(site: Site, more: list[tuple[RackSpec, int]]) -> list[Violation]:
    """What the engine says is exceeded with so many more racks like these, and all racks at full power."""
    state = machine_of(site.events(Policy()), 0.0).state
    assert state is not None
    spec = state.facility.spec
    new = [replace(like, name=f"{like.name}-{i}") for like, count in more for i in range(count)]
    full = State(compile_facility(replace(spec, racks=(*spec.racks, *new))))
    for rack in range(len(full.facility.racks)):
        add = RACK_WATTS - int(full.nominal[rack])
        full.add(rack, (add, add, *(0,) * full.facility.parts))
    return full.violations()


def test_a_rack_more_would_put_the_survivor_over_its_rating_and_heat_stops_sooner() -> None:
    site = hall(["ab", "ab", "ab"], {"a": 300_000, "b": 300_000}, liquid=200_000)
    answer = ask(site, "ups-a")
    # By power 300 / 42 = 7 racks, by heat 200 / (0.8 x 42) = 5.
    assert rooms(answer) == {("fullPower", True): (2, [2]), ("fullPower", False): (4, [4])}
    assert answer.answer == (
        "ups-a carries 2 more racks of small (4 nodes, 42.0 kW) beside every node at full power: one more, and it "
        "would put cooling zone loop at 201.6 of 200.0 kW. Without cooling it would be 4."
    )
    [by_power] = [room for room in answer.data["rooms"] if not room["cooling"]]
    assert by_power["stoppedBy"] == "losing ups-a would put power domain ups-b at 336.0 of 300.0 kW"


@pytest.mark.parametrize("feed", ["ups-a", "ups-c", "utility"])
def test_as_many_as_the_engine_lets_run_and_not_one_more(feed: str) -> None:
    site = hall(["ab", "ac", "bc", "ab"], {"a": 200_000, "b": 260_000, "c": 300_000})
    state = machine_of(site.events(Policy()), 0.0).state
    assert state is not None
    [room] = [room for room in ask(site, feed).data["rooms"] if room["cooling"]]
    racks = {rack.name: rack for rack in state.facility.racks}
    found = [(racks[place["asRack"]], place["together"]) for place in room["places"]]
    assert room["racks"] > 0 and not over(site, found)
    for like, _ in found:
        assert over(site, [*found, (like, 1)])
    for place in room["places"]:
        alone = racks[place["asRack"]]
        assert not over(site, [(alone, place["alone"])])
        assert over(site, [(alone, place["alone"] + 1)])


def test_beside_a_trace_as_many_fit_as_its_busiest_moment_leaves() -> None:
    site = hall(["ab", "ab", "ab"], {"a": 200_000, "b": 200_000})
    jobs = [
        TraceJob("one", 0, 9_000, 16, queue="research"),
        TraceJob("two", 3_000, 3_000, 16, queue="research"),
    ]
    found = rooms(ask(site, "ups-b", given=inputs(site, *jobs)))
    # Two racks at work and one idle: 42 + 42 + 6 = 90 kW, and 110 / 42 = 2 more; all at full power 126 kW, and 1.
    assert (found["fullPower", True], found["trace", True]) == ((1, [1]), (2, [2]))


def test_racks_of_other_hardware_count_with_what_that_recommends() -> None:
    site = hall(["ab"], {"a": 500_000, "b": 500_000})
    answer = ask(site, "ups-a", hardware="gb300-nvl72")
    # 18 x 6.6 + 13.2 kW.
    rack = {"hardware": "gb300-nvl72", "nodes": 18, "nominalWatts": 132_000, "peakWatts": 141_504}
    assert (answer.data["rack"], rooms(answer)["fullPower", True]) == (rack, (3, [3]))


@pytest.mark.parametrize(
    ("feed", "hardware", "words"),
    [
        ("ups-x", None, "--feed ups-x: the facility has no such PowerDomain; it has ups-a, ups-b, utility"),
        ("ups-a", "gb900", "--hardware gb900: there is none; it is one of"),
        ("ups-b", None, "--feed ups-b: no rack is fed by it, so there is no place to copy"),
    ],
)
def test_what_cannot_be_asked(feed: str, hardware: str | None, words: str) -> None:
    with pytest.raises(PlanError) as error:
        ask(hall(["a"], {"a": 100_000, "b": 100_000}), feed, hardware=hardware)
    assert str(error.value).startswith(words)
