"""The arithmetic of examples/facilities/gb300-row."""

from __future__ import annotations

from tests.examples.halls import busy, documents, fill, named, state_of, watts


def test_the_row_can_be_asked_without_a_cluster_and_takes_all_its_nodes() -> None:
    state = state_of(documents("gb300-row"))
    assert {node.domain for node in state.nodes()} == {f"nvl-r{n}" for n in range(1, 9)}
    fill(state)
    assert (busy(state), watts(state, "row")) == (144, 1_120_000)
    assert state.violations() == []


def test_the_gb300_row_is_full_when_its_eight_racks_are() -> None:
    objects = documents("gb300-row")
    node = named(objects, "HardwareProfile")["gb300-nvl72"]
    racks = named(objects, "Rack")
    powers = named(objects, "PowerDomain")
    zones = named(objects, "CoolingZone")
    assert len(racks) == len(named(objects, "NVLinkDomain")) == 8
    (overhead,) = {rack["overheadWatts"] for rack in racks.values()}
    (limit,) = {rack["limitWatts"] for rack in racks.values()}

    utilization = node.get("typicalUtilizationPercent", 100)
    nominal = overhead + 18 * (
        node["idleWatts"] + (node["maxWatts"] - node["idleWatts"]) * utilization // 100
    )
    peak = overhead + 18 * node["maxWatts"] * node.get("peakPercent", 100) // 100
    row = powers["row"]
    assert nominal <= peak <= limit
    assert 8 * limit + row["baseLoadWatts"] == row["ratedWatts"] == 1_200_000
    assert 9 * peak + row["baseLoadWatts"] > row["ratedWatts"]

    modules = powers["ups"]["redundancy"]
    ups = modules["needed"] * modules["moduleWatts"]
    assert row["ratedWatts"] <= ups <= powers["ups"]["ratedWatts"]
    mechanical = sum(unit["drawWatts"] for zone in zones.values() for unit in zone["units"])
    assert mechanical <= powers["mechanical"]["ratedWatts"]
    intake = row["ratedWatts"] * 10_000 / powers["ups"]["efficiencyBasisPoints"]
    assert intake + mechanical <= powers["utility"]["ratedWatts"]

    liquid = node["liquidHeatPercent"]
    for zone, percent in (("row-liquid", liquid), ("row-air", 100 - liquid)):
        spec = zones[zone]
        units = sorted(unit["capacityWatts"] for unit in spec["units"])
        usable = sum(units[: spec["neededUnits"]])
        assert 8 * peak * percent / 100 <= usable
        assert len(units) == spec["neededUnits"] + 1
