"""Documents in the shapes of others, as what they say; and what is said of those that cannot be read."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from rackplane.api.report import Leak, ReportedState, ReportWhat
from rackplane.controller.reports import bms, dps, dsx, redfish
from rackplane.controller.reports.sayings import Order, Reading, Saying

NOW = 1_764_568_800.0
AT = "2025-12-01T06:00:00Z"
OFF, ON = ReportedState.OFFLINE, ReportedState.ONLINE
REPORT: dict[str, Any] = {"id": "1", "at": AT, "name": "ups-a", "state": "Offline"}


def redfish_event(message: str, origin: str, **more: Any) -> dict[str, Any]:
    record = {
        "EventId": "7",
        "EventTimestamp": "2025-12-01T07:00:00+01:00",
        "MessageId": message,
        "Message": "words",
        "MessageSeverity": "Critical",
        "OriginOfCondition": {"@odata.id": origin},
        **more,
    }
    return {"@odata.type": "#Event.v1_7_0.Event", "Id": "1", "Name": "Event", "Events": [record]}


@pytest.mark.parametrize(
    ("message", "kinds", "what", "value"),
    [
        ("Power.1.0.1.BreakerTripped", ("PowerDomain",), ReportWhat.STATE, OFF),
        ("Power.1.1.LineInputPowerRestored", ("PowerDomain",), ReportWhat.STATE, ON),
        ("Power.1.0.PowerSupplyFailed", ("PowerDomain",), ReportWhat.STATE, OFF),
        ("Environmental.1.1.0.LeakDetectedCritical", ("Rack", "CoolingZone"), ReportWhat.LEAK, Leak.CRITICAL),
        ("Environmental.1.0.LeakDetectedNormal", ("Rack", "CoolingZone"), ReportWhat.LEAK, Leak.DRY),
        ("Environmental.1.0.PumpFailed", ("CoolingZone",), ReportWhat.STATE, OFF),
        (
            "ResourceEvent.1.4.2.ResourceStatusChangedOK",
            ("PowerDomain", "CoolingZone", "Rack"),
            ReportWhat.STATE,
            ON,
        ),
    ],
)
def test_redfish_events(message: str, kinds: tuple[str, ...], what: ReportWhat, value: object) -> None:
    path = "/redfish/v1/PowerEquipment/FloorPDUs/ups-a"
    read = redfish.read(redfish_event(message, path), NOW)
    assert read == Reading(
        sayings=[
            Saying(
                where="Events[0]",
                kinds=kinds,
                name=path,
                what=what,
                value=value,  # type: ignore[arg-type]
                at=NOW,
                id="7",
                message="words",
                may_be_unknown=message.startswith("ResourceEvent"),
            )
        ]
    )


def test_a_redfish_event_that_takes_nothing_away_is_not_used() -> None:
    read = redfish.read(redfish_event("Power.1.0.PowerSupplyWarning", "/x"), NOW)
    assert read == Reading(unused=["Events[0]: Power.1.0.PowerSupplyWarning says nothing that is used"])


def bms_value(topic: str, value: float, quality: int = 1) -> dict[str, Any]:
    return {
        "topic": f"BMS/v1/PUB/Value/{topic}",
        "payload": {"value": value, "timestamp": NOW * 1000, "quality": quality},
    }


@pytest.mark.parametrize(
    ("topic", "value", "kind", "what", "said"),
    [
        ("UPS/Available/hall-1/ups-a", 0, "PowerDomain", ReportWhat.STATE, OFF),
        ("UPS/Available/hall-1/ups-a", 1, "PowerDomain", ReportWhat.STATE, ON),
        ("CDU/Available/hall-1/cdu-1", 0, "CoolingZone", ReportWhat.STATE, OFF),
        ("Rack/RackLeakDetect/hall-1/r1", 1, "Rack", ReportWhat.LEAK, Leak.CRITICAL),
        ("Rack/RackLeakDetectTray/hall-1/r1", 1, "Rack", ReportWhat.LEAK, Leak.WARNING),
        ("Rack/RackElectricalIsolationStatus/hall-1/r1", 1, "Rack", ReportWhat.STATE, OFF),
        ("Rack/RackLiquidSupplyTemperature/hall-1/r1", 44.2, "Rack", ReportWhat.SUPPLY_CELSIUS, 45),
    ],
)
def test_dsx_values_expire_after_three_periods(
    topic: str, value: float, kind: str, what: ReportWhat, said: object
) -> None:
    [saying] = dsx.read_bms(bms_value(topic, value), NOW).sayings
    assert (saying.kinds, saying.what, saying.value) == ((kind,), what, said)
    assert (saying.name, saying.at, saying.expires) == ("/".join(topic.split("/")[2:]), NOW, NOW + 300)


@pytest.mark.parametrize(
    "value", [bms_value("UPS/Available/ups-a", 1, quality=0), bms_value("UPS/Status/hall/ups-a", 1)]
)
def test_dsx_values_that_are_not_good_or_not_known_say_nothing(value: dict[str, Any]) -> None:
    read = dsx.read_bms(value, NOW)
    assert (read.sayings, read.faults, len(read.unused)) == ([], [], 1)


def order(**changes: Any) -> Order:
    made: dict[str, Any] = {
        "where": "targets[0]",
        "limit_watts": 6_000_000,
        "feed_tags": ("main-a",),
        "power_domains": (),
        "starts_at": NOW + 3600,
        "ends_at": NOW + 7200,
        "best_effort": True,
        "at": NOW,
        "id": "1",
        "correlation_id": "peak-1",
    }
    return Order(**{**made, **changes})


def test_a_load_target_is_the_same_order_by_dps_and_by_dsx_flex() -> None:
    by_dps = {
        "id": "1",
        "at": AT,
        "value": 6,
        "unit": "megawatt",
        "start_time": "2025-12-01T07:00:00Z",
        "end_time": "2025-12-01T08:00:00Z",
        "feed_tags": ["main-a"],
        "best_effort": True,
        "correlation_id": "peak-1",
    }
    assert dps.read(by_dps, NOW) == Reading(orders=[order()])
    interval = {"start_time": by_dps["start_time"], "end_time": by_dps["end_time"]}
    target = {
        "interval": interval,
        "feed_tags": ["main-a"],
        "load_constraint": {"value": 6.0, "unit": "megawatt"},
        "strategy": {"best_effort": True},
    }
    event = {"type": "grid.loadtarget.set.v1", "id": "1", "time": AT, "correlationid": "peak-1"}
    assert dsx.read_flex({**event, "data": {"targets": [target]}}, NOW).orders == [
        order(where="event.data.targets[0]")
    ]
    assert dps.read({"id": "1", "at": AT, "default": True}, NOW).orders == [
        order(
            limit_watts=None, feed_tags=(), starts_at=NOW, ends_at=None, best_effort=False, correlation_id=""
        )
    ]
    assert dsx.read_flex({**event, "data": "eyJhbGciOi.x.y"}, NOW).faults[0].as_data() == {
        "where": "event.data",
        "problem": "is signed (JWS), and the operator has no keys",
        "remedy": "Let the bridge verify it, and post the payload as JSON",
    }


@pytest.mark.parametrize(
    ("change", "where", "problem"),
    [
        ({"state": "Off"}, "reports[0].state", "is 'Off'"),
        ({"leak": "Dry"}, "reports[0]", "has state and leak"),
        ({"state": None}, "reports[0]", "has none of them"),
        ({"at": "yesterday"}, "reports[0].at", "is 'yesterday', which is no time"),
        ({"at": "2025-12-01T06:00:00"}, "reports[0].at", "is '2025-12-01T06:00:00', which is no time"),
        (
            {"at": "2025-12-01T07:00:00Z"},
            "reports[0].at",
            "is 2025-12-01T07:00:00Z, 3600 s ahead of the operator's clock",
        ),
        ({"id": ""}, "reports[0].id", "is missing"),
        ({"kind": "Gang"}, "reports[0].kind", "is 'Gang'"),
        ({"name": 7}, "reports[0].name", "is 7, which is no text"),
    ],
)
def test_a_report_that_cannot_be_taken_says_where_and_why(
    change: dict[str, Any], where: str, problem: str
) -> None:
    [fault] = bms.read({**REPORT, **change}, NOW).faults
    assert (fault.where, fault.what) == (where, problem)
    assert fault.remedy


def _mangled(value: Any, rng: random.Random) -> Any:
    odd: list[Any] = [
        None,
        7,
        -1e308,
        "",
        "x",
        [],
        {},
        [{}],
        True,
        float("nan"),
        "9999-12-31T23:59:59Z",
        {"a": {"b": []}},
    ]
    if rng.random() < 0.15:
        return rng.choice(odd)
    if isinstance(value, dict):
        return {k: _mangled(v, rng) for k, v in value.items() if rng.random() > 0.1}
    if isinstance(value, list):
        return [_mangled(v, rng) for v in value]
    return value


@pytest.mark.parametrize(
    ("read", "document"),
    [
        (bms.read, [REPORT, {**REPORT, "state": None, "supplyCelsius": 20}]),
        (
            bms.read,
            {"orders": [{"id": "1", "at": AT, "limitWatts": 5, "feedTags": ["a"], "start": AT, "end": AT}]},
        ),
        (redfish.read, redfish_event("Power.1.0.BreakerTripped", "/redfish/v1/x")),
        (
            dsx.read_bms,
            [bms_value("Rack/RackLiquidSupplyTemperature/r1/x", 30), bms_value("UPS/Available/h/u", 0)],
        ),
        (
            dsx.read_flex,
            {
                "type": "grid.loadtarget.set.v1",
                "id": "1",
                "time": AT,
                "data": {
                    "targets": [
                        {
                            "interval": {"start_time": AT},
                            "load_constraint": {"value": 1, "unit": "watt"},
                            "feed_tags": ["a"],
                            "strategy": {"best_effort": False},
                        }
                    ]
                },
            },
        ),
        (dps.read, {"id": "1", "at": AT, "value": 6, "unit": "watt", "feed_tags": ["a"]}),
    ],
)
def test_no_document_however_mangled_raises(read: Callable[[object, float], Reading], document: Any) -> None:
    assert read(document, NOW).faults == []
    rng = random.Random(3)
    refused = 0
    for _ in range(2_000):
        found = read(_mangled(document, rng), NOW)
        refused += bool(found.faults)
        for fault in found.faults:
            assert all(fault.as_data().values())
    assert refused > 200
