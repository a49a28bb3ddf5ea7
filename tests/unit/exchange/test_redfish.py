"""Redfish: ratings from what the resources say, rounded down, and an error where they do not say it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from rackplane.exchange.redfish import read
from rackplane.exchange.redfish_ratings import NoRating, mains_watts
from tests.unit.exchange.reading import Outcome, parts, run

PDU = "/redfish/v1/PowerEquipment/RackPDUs/1"


def pdu(**more: Any) -> dict[str, Any]:
    return {
        "@odata.type": "#PowerDistribution.v1_4_0.PowerDistribution",
        "@odata.id": PDU,
        "Id": "1",
        "Name": "RackPDU1",
        "EquipmentType": "RackPDU",
        **more,
    }


def mains(**more: Any) -> dict[str, Any]:
    return {
        "@odata.type": "#Circuit.v1_8_1.Circuit",
        "@odata.id": f"{PDU}/Mains/AC1",
        "CircuitType": "Mains",
        "RatedCurrentAmps": 32,
        "NominalVoltage": "AC230V",
        "PhaseWiringType": "OnePhase3Wire",
        **more,
    }


def imported(*bodies: Any, **options: Any) -> Outcome:
    return run(read, *(json.dumps(b) if isinstance(b, dict) else b for b in bodies), template=None, **options)


def test_the_example_keeps_every_rating_and_names_what_it_leaves_out() -> None:
    found = imported(*parts("redfish"), power_factor=0.95)
    assert found.errors == []
    assert found.specs == {
        "PowerDomain floor-pdu-a": {
            "type": "FloorPDU",
            "ratedWatts": math.floor(630 * 480 * math.sqrt(3) * 0.95),
            "parents": [{"powerDomain": "main-switchgear", "weight": 1}],
            "feedTag": "RowA",
        },
        "PowerDomain main-switchgear": {"type": "Switchgear", "ratedWatts": 1_900_000},
        "PowerDomain rackpdu1": {
            "type": "RackPDU",
            # The lower end of AC200To240V.
            "ratedWatts": 11_970,
            "parents": [{"powerDomain": "floor-pdu-a", "weight": 1}],
            "state": "Offline",
        },
        "CoolingZone row-a-loop": {
            "medium": "Liquid",
            "neededUnits": 1,
            "units": [
                {"name": "cdu-1", "capacityWatts": 800_000},
                {"name": "cdu-2", "capacityWatts": 800_000},
            ],
        },
    }
    reported = {
        body["metadata"]["name"]: body["metadata"]["annotations"]["rackplane.dev/reported-as"]
        for body in found.imported.objects
    }
    assert reported["rackpdu1"] == PDU
    assert reported["row-a-loop"] == (
        "cdu-1=/redfish/v1/ThermalEquipment/CDUs/1 cdu-2=/redfish/v1/ThermalEquipment/CDUs/2"
    )
    assert found.warnings == [
        "f9: MainsRedundancy: is not translated",
        "f1: the file: what it draws and what feeds it is not in the resource: add drawWatts and feeds",
        "f2: the file: what it draws and what feeds it is not in the resource: add drawWatts and feeds",
        "f5: the file: these resources do not say which nodes a PDU feeds: make Racks with rackplane discover",
    ]


@pytest.mark.parametrize(
    ("circuit", "factor", "watts"),
    [
        ({}, 1.0, 7_360),
        ({"NominalVoltage": "AC200To240V"}, 0.5, 3_200),
        ({"PhaseWiringType": "ThreePhase5Wire", "NominalVoltage": "AC400V"}, 0.9, 19_953),
        ({"NominalVoltage": "DC48V"}, None, 1_536),
    ],
)
def test_mains_carry_amperes_times_the_lowest_voltage(
    circuit: dict[str, Any], factor: float | None, watts: int
) -> None:
    assert math.floor(mains_watts(mains(**circuit), factor)) == watts


@pytest.mark.parametrize(
    ("circuit", "why"),
    [
        ({"RatedCurrentAmps": None}, "RatedCurrentAmps is None"),
        ({"RatedCurrentAmps": True}, "RatedCurrentAmps is True"),
        ({"RatedCurrentAmps": -1}, "RatedCurrentAmps is -1"),
        ({"NominalVoltage": None}, "NominalVoltage is None"),
        ({"NominalVoltage": "high"}, "NominalVoltage is 'high'"),
        ({"PhaseWiringType": None}, "PhaseWiringType is None"),
    ],
)
def test_mains_that_do_not_say_enough_have_no_rating(circuit: dict[str, Any], why: str) -> None:
    with pytest.raises(NoRating, match=why):
        mains_watts(mains(**circuit), 0.9)


@pytest.mark.parametrize(
    ("bodies", "options", "error"),
    [
        (
            (pdu(),),
            {},
            "f1: Mains: what /redfish/v1/PowerEquipment/RackPDUs/1 may carry is not known: there are no",
        ),
        ((pdu(), mains()), {}, f"f1: Mains: what {PDU} may carry is not known: volt-amperes are no watts"),
        (
            (pdu(PowerCapacityVA="big"),),
            {"power_factor": 0.9},
            f"f1: PowerCapacityVA: what {PDU} may carry is not known",
        ),
        (
            (pdu(PowerCapacityVA=True),),
            {"power_factor": 0.9},
            f"f1: PowerCapacityVA: what {PDU} may carry is not known",
        ),
        (
            (pdu(), mains(Links={"SourceCircuit": {"@odata.id": "/else/where"}})),
            {"power_factor": 1.0},
            "f2: Links.SourceCircuit: /else/where is in none of the files",
        ),
        (
            ({"@odata.type": "#Chassis.v1_0_0.Chassis"},),
            {},
            "the files: @odata.type: there is no PowerDistribution",
        ),
        (("[1]",), {}, "f1: the file: is no Redfish resource"),
    ],
)
def test_what_is_not_known_is_an_error(bodies: Any, options: Any, error: str) -> None:
    assert imported(*bodies, **options).errors[0].startswith(error)


def test_a_rating_that_a_person_gives_counts() -> None:
    found = imported(pdu(), ratings={"RackPDU1": 17_000})
    assert found.errors == []
    assert found.specs["PowerDomain rackpdu1"]["ratedWatts"] == 17_000


def test_two_inlets_must_each_carry_it_alone() -> None:
    second = mains(RatedCurrentAmps=16) | {"@odata.id": f"{PDU}/Mains/AC2"}
    assert (
        imported(pdu(), mains(), second, power_factor=1.0).specs["PowerDomain rackpdu1"]["ratedWatts"]
        == 3_680
    )


def test_a_feed_that_carries_less_than_the_mains_is_the_limit() -> None:
    source = "/redfish/v1/PowerEquipment/FloorPDUs/A"
    breaker = mains(CircuitType="Branch", RatedCurrentAmps=20) | {"@odata.id": f"{source}/Branches/B1"}
    above = pdu(Name="Above") | {"@odata.id": source, "Id": "A"}
    fed = mains(Links={"SourceCircuit": {"@odata.id": f"{source}/Branches/B1"}})
    found = imported(pdu(), fed, above, breaker, power_factor=1.0, ratings={"Above": 90_000})
    assert found.specs["PowerDomain rackpdu1"] == {
        "type": "RackPDU",
        "ratedWatts": 20 * 230,
        "parents": [{"powerDomain": "above", "weight": 1}],
    }


def test_a_cooling_unit_without_a_capacity_is_an_error() -> None:
    unit = {"@odata.type": "#CoolingUnit.v1_2_0.CoolingUnit", "@odata.id": "/c/1", "Id": "1", "Name": "CDU 1"}
    assert imported(unit).errors == [
        "f1: CoolingCapacityWatts: what CDU 1 takes is not known; say --rating 1=WATTS"
    ]
    assert imported(unit, ratings={"CDU 1": 5}).specs["CoolingZone cdu-1"]["units"] == [
        {"name": "cdu-1", "capacityWatts": 5}
    ]


def test_types_that_say_nothing_are_named() -> None:
    chassis = {"@odata.type": "#Chassis.v1_25_0.Chassis", "@odata.id": "/redfish/v1/Chassis/1"}
    warnings = imported(pdu(), chassis, ratings={"1": 9}).warnings
    assert warnings[0] == "f2: the file: Chassis says nothing that is read here"
