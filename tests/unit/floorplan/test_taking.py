"""Figures of the floor plan, read off a machine."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.core.machine import Machine
from rackplane.core.offline.snapshot import snapshot
from rackplane.floorplan import model as m
from rackplane.floorplan import taking
from tests.unit.cli.hall import HALL, gang

NOW = 1_790_000_000.0


def waiting(name: str, slots: int = 1, **status: Any) -> dict[str, Any]:
    """A Gang that waits, with what the leader wrote to it."""
    return {**gang(name, slots=slots), "status": {"phase": "Pending", **status}}


def machine(*objects: dict[str, Any]) -> Machine:
    return snapshot([*HALL, *objects], NOW)


def taken(found: Machine) -> tuple[m.Layout, m.Frame]:
    layout = taking.layout(found)
    return layout, taking.frame(found, NOW, layout.id)


def test_what_stands_where() -> None:
    layout = taking.layout(machine())
    assert layout.racks[0] == m.RackPlace(
        name="r1", hall="h1", profile="small", feeds=("ups-a", "ups-b"), liquid="loop"
    )
    assert [place.name for place in layout.racks] == ["r1", "r2", "r3"]
    assert m.ElementPlace(name="pdu-x", type="PDU", parents=("ups-c",), standby=("ups-r",)) in layout.elements
    assert layout.zones == (m.ZonePlace(name="loop", medium="Liquid"),)


def test_a_rack_its_feeds_and_the_loss_that_is_worst_for_it() -> None:
    _, frame = taken(machine(gang("a", "r1-01", "r1-02", "r1-03", "r1-04")))
    # 2 kW and four nodes of 10 kW; half of it from each UPS. Without ups-a, ups-b has r1 and r2 whole and half of r3.
    assert frame.racks["r1"] == m.Rack(
        gpus=16,
        used=16,
        nodes=4,
        watts=42_000,
        limit=50_000,
        headroom=8_000,
        liquid=33_600,
        air=8_400,
        worst=m.Worst(of="rack r1", watts=42_000, limit=50_000),
        feeds={"ups-a": 21_000, "ups-b": 21_000},
    )
    assert frame.racks["r3"].used == 0 and frame.racks["r3"].watts == 6_000
    assert frame.totals == m.Totals(gpus=48, used=16, watts=54_000, running=1)


def test_what_flows_into_each_element() -> None:
    _, frame = taken(machine(gang("a", "r1-01", "r1-02", "r1-03", "r1-04")))
    a = frame.elements["ups-a"]
    # Half of r1 and of r2.
    assert (a.watts, a.limit, a.sources, a.survives) == (24_000, 100_000, {"utility": 24_000}, True)
    assert a.worst == m.Worst(of="power domain ups-a", watts=48_000, limit=100_000, loss="ups-b")
    # 5 kW of its own, and a pump of 4 kW; the other pump is off, and ups-r stands by.
    assert frame.elements["pdu-x"].sources == {"ups-c": 9_000}
    assert (frame.elements["ups-old"].live, frame.elements["ups-old"].sources) == (False, {})
    into_utility = sum(x.sources.get("utility", 0) for x in frame.elements.values())
    assert frame.elements["utility"].watts == into_utility


def test_zones_and_what_is_left_of_their_reserve() -> None:
    _, frame = taken(machine())
    zone = frame.zones["loop"]
    assert (zone.watts, zone.limit, zone.running, zone.needed, zone.installed) == (14_400, 120_000, 1, 1, 2)


def test_gangs_where_they_are_and_why_they_wait() -> None:
    found = machine(
        gang("a", "r1-01", "r1-02", rack="r1", profile="MaxQ"),
        waiting("late", position=2, message="needs more"),
        waiting("next", position=1, message="needs 1 node", submittedAt="2026-09-21T14:00:00Z"),
        waiting("new"),
    )
    _, frame = taken(found)
    assert frame.gangs["default/job-a"] == m.Gang(
        namespace="default",
        name="job-a",
        queue="research",
        phase="Running",
        gpus=8,
        slots=2,
        watts=12_000,
        profile="MaxQ",
        racks={"r1": 8},
        message="all 2 slots run",
    )
    assert frame.gangs["default/job-next"] == m.Gang(
        namespace="default",
        name="job-next",
        queue="research",
        phase="Pending",
        gpus=4,
        slots=1,
        submitted="2026-09-21T14:00:00Z",
        position=1,
        message="needs 1 node",
    )
    assert list(frame.gangs)[1:] == ["default/job-next", "default/job-late", "default/job-new"]
    assert (frame.totals.running, frame.totals.waiting, frame.totals.waiting_gpus) == (1, 3, 12)


def test_of_many_that_wait_the_first_are_listed_and_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "MOST_WAITING", 2)
    _, frame = taken(machine(*(waiting(f"w{i}", position=i) for i in range(1, 6))))
    assert list(frame.gangs) == ["default/job-w1", "default/job-w2"]
    assert frame.totals.waiting == 5


def test_a_standby_shows_what_a_leader_shows() -> None:
    found = machine(gang("a", "r1-01"), waiting("next", slots=99, position=1, message="needs 99 nodes"))
    _, standby = taken(found)
    found.leading = True
    _, leader = taken(found)
    assert (standby.leading, leader.leading) == (False, True)
    assert (standby.racks, standby.elements) == (leader.racks, leader.elements)
    assert standby.gangs["default/job-next"].message == "needs 99 nodes"


def test_a_rack_without_a_place_stands_beside_those_on_its_feeds() -> None:
    bare = [
        {**body, "spec": {k: v for k, v in body["spec"].items() if k != "location"}}
        if body["kind"] == "Rack"
        else body
        for body in HALL
    ]
    layout = taking.layout(snapshot(bare, NOW))
    assert [(place.hall, place.row, place.feeds) for place in layout.racks] == [
        ("", "", ("ups-a", "ups-b")),
        ("", "", ("ups-a", "ups-b")),
        ("", "", ("ups-b", "ups-c")),
    ]


def test_what_is_left_out_of_service_and_what_is_wrong() -> None:
    broken = [
        {**body, "spec": {**body["spec"], "profile": "unheard-of", "state": "Draining"}}
        if body["metadata"]["name"] == "r3" and body["kind"] == "Rack"
        else body
        for body in HALL
    ]
    _, frame = taken(snapshot(broken, NOW))
    assert frame.racks["r3"].state == "Draining"
    assert "unheard-of" in frame.racks["r3"].problem
