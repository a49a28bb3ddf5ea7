"""Reports written to objects: by which name, in any order, beside other writers, and what a server's faults do."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rackplane.api.crd import crd
from rackplane.api.kinds import KINDS
from rackplane.controller.reports import bms, redfish
from rackplane.controller.reports.desk import Desk
from rackplane.controller.reports.server import Tokens
from rackplane.core.site.facility import Catalog
from rackplane.core.site.reports import heard
from rackplane.kube.client import ApiError
from rackplane.localcluster import LocalCluster
from tests.support.harness import facility, thing

NOW = 1_764_568_800.0
API = "/apis/rackplane.dev/v1alpha1"


class Room:
    """A cluster with a facility, and a desk that serves it."""

    def __init__(self) -> None:
        self.cluster = LocalCluster()
        for model in KINDS:
            self.cluster.apply(crd(model))
        zone = thing(
            "CoolingZone",
            "loop",
            medium="Liquid",
            units=[{"name": f"cdu-{i}", "capacityWatts": 1} for i in (1, 2)],
            neededUnits=1,
        )
        shelf = thing(
            "PowerDomain",
            "shelf",
            type="PowerShelf",
            ratedWatts=1,
            redundancy={"installed": 2, "needed": 1, "moduleWatts": 1},
        )
        shelf["metadata"]["annotations"] = {
            "rackplane.dev/reported-as": "/redfish/v1/PowerEquipment/PowerShelves/7, psu-b=/redfish/v1/Chassis/7/PSU2"
        }
        self.catalog = Catalog()
        for body in (*facility(), zone, shelf):
            if body["kind"] != "Node":
                made = self.cluster.apply(body)
                self.catalog.put(body["kind"], body["metadata"]["name"], made)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.now = NOW
        self.client: Any = self.cluster.client()
        self.desk = Desk(
            client=self.client,
            elements=self.catalog.elements,
            count=lambda source, result: self.counts.update([(source, result)]),
            clock=lambda: self.now,
        )

    def reports(self, plural: str, name: str) -> dict[tuple[str, str, str], object]:
        body = self.cluster.request("GET", f"{API}/{plural}/{name}")
        return {h.key: h.value for h in heard(body.get("status"))}


def said(at: int, state: str, **more: Any) -> dict[str, Any]:
    return {"id": f"{at}-{state}", "at": f"2025-12-01T05:00:{at:02}Z", "name": "a", "state": state, **more}


def event(message: str, origin: str) -> dict[str, Any]:
    record = {"EventId": "1", "EventTimestamp": "2025-12-01T05:00:00Z", "MessageId": message}
    return {"Events": [{**record, "OriginOfCondition": {"@odata.id": origin}}]}


async def test_every_order_of_arrival_and_every_repeat_come_to_the_same() -> None:
    three = [said(1, "Offline"), said(2, "Online"), said(2, "Offline")]
    found = set()
    for arrival in itertools.permutations(three):
        room = Room()
        for report in (*arrival, *reversed(arrival)):
            await room.desk.take("bms", bms.read(report, NOW))
        found.add(tuple(sorted(room.reports("powerdomains", "a").items())))
    assert found == {((("bms", "State", ""), "Offline"),)}, "of two of one time the worse counts"


@pytest.mark.parametrize(
    ("message", "origin", "plural", "name", "key", "value"),
    [
        (
            "Power.1.0.PowerSupplyFailed",
            "/redfish/v1/PowerEquipment/PowerShelves/7/PowerSupplies/1",
            *("powerdomains", "shelf", ("r", "Unit", "1"), "Offline"),
        ),
        (
            "Power.1.0.PowerSupplyFailed",
            "/redfish/v1/Chassis/7/PSU2",
            *("powerdomains", "shelf", ("r", "Unit", "psu-b"), "Offline"),
        ),
        (
            "Power.1.0.LossOfInputPower",
            "/redfish/v1/PowerEquipment/FloorPDUs/A",
            *("powerdomains", "a", ("r", "State", ""), "Offline"),
        ),
        (
            "Environmental.1.0.LeakDetectedWarning",
            "/redfish/v1/ThermalEquipment/CDUs/cdu-2",
            *("coolingzones", "loop", ("r", "Leak", "cdu-2"), "Warning"),
        ),
        (
            "ResourceEvent.1.0.ResourceStatusChangedCritical",
            "/redfish/v1/ThermalEquipment/CDUs/cdu-1",
            *("coolingzones", "loop", ("r", "Unit", "cdu-1"), "Offline"),
        ),
    ],
)
async def test_what_an_event_is_of(
    message: str, origin: str, plural: str, name: str, key: tuple[str, str, str], value: str
) -> None:
    room = Room()
    outcome = await room.desk.take("r", redfish.read(event(message, origin), NOW))
    assert (outcome.faults, outcome.unused) == ([], [])
    assert room.reports(plural, name) == {key: value}


async def test_a_part_whose_failure_says_nothing_of_the_whole_takes_nothing_away() -> None:
    room = Room()
    sensor = event(
        "ResourceEvent.1.0.ResourceStatusChangedCritical",
        "/redfish/v1/PowerEquipment/PowerShelves/7/Sensors/Temp",
    )
    outcome = await room.desk.take("r", redfish.read(sensor, NOW))
    assert (outcome.results, outcome.faults, len(outcome.unused)) == ([], [], 1)
    pump = event("Environmental.1.0.PumpFailed", "/redfish/v1/ThermalEquipment/CDUs/cdu-1/Pumps/1")
    outcome = await room.desk.take("r", redfish.read(pump, NOW))
    [fault] = outcome.faults
    assert fault.what.endswith("is a part of CoolingZone loop, and its state does not say whether that works")
    assert room.reports("coolingzones", "loop") == {}


async def test_a_heartbeat_is_written_again_only_when_it_would_soon_be_missed() -> None:
    room, versions = Room(), []
    for at in (0, 10, 20, 40):
        room.now = NOW - 3_600 + at
        expires = {"expires": f"2025-12-01T05:01:{at:02}Z"}
        await room.desk.take("bms", bms.read(said(at, "Online", **expires), NOW))
        versions.append(room.cluster.request("GET", f"{API}/powerdomains/a")["metadata"]["resourceVersion"])
    assert versions[0] == versions[1] == versions[2] != versions[3]
    assert room.counts == {("bms", "taken"): 2, ("bms", "repeated"): 2}


async def test_other_writers_and_other_sources_keep_what_they_wrote() -> None:
    room = Room()
    await room.desk.take("other", bms.read(said(1, "Offline"), NOW))
    original = room.client.request
    done: list[str] = []

    async def contested(method: str, path: str, **more: Any) -> bytes:
        if method == "PATCH" and len(done) < 3:
            done.append(path)
            note = {"metadata": {"annotations": {"n": str(len(done))}}}
            room.cluster.request(
                "PATCH", path.removesuffix("/status"), note, content_type="application/merge-patch+json"
            )
        answer: bytes = await original(method, path, **more)
        return answer

    room.client.request = contested
    outcome = await room.desk.take("bms", bms.read(said(2, "Online"), NOW))
    assert [r["result"] for r in outcome.results] == ["taken"]
    assert len(done) == 3
    assert room.reports("powerdomains", "a") == {
        ("other", "State", ""): "Offline",
        ("bms", "State", ""): "Online",
    }


async def test_a_server_that_is_away_is_told_as_such() -> None:
    room = Room()

    async def away(*_: Any, **__: Any) -> bytes:
        raise ApiError(503, "ServiceUnavailable", "not now")

    room.client.request = away
    with pytest.raises(ApiError, match="not now"):
        await room.desk.take("bms", bms.read(said(1, "Offline"), NOW))
    assert room.counts == {("bms", "failed"): 1}


def test_a_token_is_its_files_source_and_a_changed_secret_counts_at_once(tmp_path: Path) -> None:
    tokens = Tokens(str(tmp_path))
    assert tokens.source_of("Bearer 0123456789abcdef") is None
    (tmp_path / "bms").write_text("0123456789abcdef\n")
    (tmp_path / "..data").mkdir()
    (tmp_path / "weak").write_text("short")
    (tmp_path / "not a name").write_text("0123456789abcdeX")
    assert tokens.source_of("Bearer 0123456789abcdef") == "bms"
    assert tokens.source_of("bearer  0123456789abcdef ") == "bms"
    for header in (
        "",
        "Bearer",
        "Bearer short",
        "Basic 0123456789abcdef",
        "Bearer 0123456789abcdeX",
        "Bearer ä",
    ):
        assert tokens.source_of(header) is None
    (tmp_path / "bms").write_text("another-token-of-length")
    assert tokens.source_of("Bearer 0123456789abcdef") is None
