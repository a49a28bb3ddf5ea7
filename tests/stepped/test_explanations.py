"""Why a gang waits: the same reason in its status, in parts, in Events, in conditions and in metrics."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from prometheus_client import generate_latest

from rackplane.api.gang import Gang
from rackplane.controller.metrics import MachineCollector, Metrics
from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, facility, started


def row(watts: int = 36_000, *, racks: int = 2, **settings: Any) -> Harness:
    """Racks of four nodes that draw 6 kW idle, a node in use 4 kW more, under one row of so many watts."""
    return started(
        facility(row_watts=watts, racks=racks), settings=MachineSettings(**settings) if settings else None
    )


def status(h: Harness, name: str) -> dict[str, Any]:
    found: dict[str, Any] = h.gang(f"job-{name}")["status"]
    return found


def condition(h: Harness, name: str, kind: str = "Admitted") -> dict[str, Any]:
    return next(c for c in status(h, name)["conditions"] if c["type"] == kind)


def told(h: Harness, name: str) -> list[tuple[str, str]]:
    """Reason and message of the Events on the Gang, in the order of their making (the store's is by name)."""
    events = [
        event
        for event in h.cluster.store.items(("", "events"))
        if event["involvedObject"]["kind"] == "Gang" and event["involvedObject"]["name"] == f"job-{name}"
    ]
    events.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
    return [(event["reason"], event["message"]) for event in events]


# 12 kW idle, 16 kW of the first gang and 16 kW of the second: 44 kW of 36 kW.
SENTENCE = "needs 16 kW more; that would put power domain row at 44 kW of 36 kW (8 kW over)"


def test_the_reason_reaches_status_condition_and_event() -> None:
    h = row()
    h.job("first", slots=4, run=None)
    h.settle()
    h.job("second", slots=4, run=None)
    h.settle()
    h.advance(2)
    assert h.gangs() == {"job-first": "Running", "job-second": "Pending"}
    found = status(h, "second")
    assert found["message"].startswith(f"{SENTENCE}; wait for gang default/job-first to end")
    assert found["explanation"] == {
        "cause": "power",
        "levels": [
            {
                "level": "NVLink domain",
                "domains": 2,
                "failing": {"nodes": 1, "power": 1},
                "powerLimits": {"continuous": 1},
            },
            {
                "level": "facility",
                "domains": 1,
                "failing": {"power": 1},
                "powerLimits": {"continuous": 1},
            },
        ],
        "tightest": {
            "level": "facility",
            "domain": "the facility",
            "kind": "PowerDomain",
            "name": "row",
            "loadWatts": 44_000,
            "limitWatts": 36_000,
            "overWatts": 8_000,
            "neededWatts": 16_000,
            "addedWatts": 16_000,
        },
        "reliefs": [
            {
                "type": "GangEnd",
                "message": found["explanation"]["reliefs"][0]["message"],
                "now": True,
                "gangs": ["default/job-first"],
                "at": found["explanation"]["reliefs"][0]["at"],
            },
            {
                "type": "Watts",
                "message": "free 8 kW on power domain row",
                "now": True,
                "elements": [{"kind": "PowerDomain", "name": "row", "watts": 8_000}],
            },
            {"type": "FewerSlots", "message": "ask for at most 2 nodes", "now": True, "slots": 2},
        ],
    }
    assert (condition(h, "second")["status"], condition(h, "second")["reason"]) == (
        "False",
        "InsufficientPower",
    )
    assert condition(h, "second", "Ready")["status"] == "True"
    assert [reason for reason, _ in told(h, "second")] == ["InsufficientPower"]
    assert told(h, "second")[0][1].startswith(SENTENCE)
    # The API's own model reads what was written.
    assert Gang.model_validate(h.gang("job-second")).status.explanation is not None


def test_it_is_gone_once_the_gang_is_admitted() -> None:
    h = row()
    h.job("first", slots=4, run=20)
    h.settle()
    h.job("second", slots=4, run=None)
    h.settle()
    assert "explanation" in status(h, "second")
    h.until(lambda: h.phase("job-second") == "Running", seconds=60)
    assert "explanation" not in status(h, "second")
    assert condition(h, "second")["reason"] == "Placed"


def test_other_numbers_are_written_and_no_event_is_repeated_until_the_reason_is_another() -> None:
    h = row(42_000, racks=3, explain_seconds=0.0)
    h.job("first", slots=4, run=None)
    h.settle()
    h.job("second", slots=4, run=None)
    h.settle()
    h.job("third", slots=1, run=None)
    h.settle()
    h.advance(2)
    # One slot more runs: 18 kW idle, 20 kW, and 16 kW of the second.
    assert status(h, "second")["message"].startswith(
        "needs 16 kW more; that would put power domain row at 54 kW of 42 kW (12 kW over)"
    )
    assert status(h, "second")["explanation"]["tightest"]["loadWatts"] == 54_000
    assert [reason for reason, _ in told(h, "second")] == ["InsufficientPower"]
    # Of the seven nodes that are free four go away: what is short now is nodes.
    for name in ("r3-n0", "r3-n1", "r3-n2", "r3-n3"):
        h.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
    h.advance(2)
    assert condition(h, "second")["reason"] == "InsufficientNodes"
    assert [reason for reason, _ in told(h, "second")] == ["InsufficientPower", "InsufficientNodes"]
    assert "tightest" not in status(h, "second")["explanation"]


def test_a_restart_says_nothing_again() -> None:
    h = row()
    h.job("first", slots=4, run=None)
    h.settle()
    h.job("second", slots=4, run=None)
    h.settle()
    h.advance(2)
    before, events = h.gang("job-second"), told(h, "second")
    h.restart_machine()
    h.settle()
    h.advance(3)
    assert h.gang("job-second") == before
    assert told(h, "second") == events


def test_what_would_help_is_asked_for_few_gangs_at_a_time_and_kept_while_it_holds() -> None:
    h = row(explain_gangs=1)
    h.job("first", slots=4, run=None)
    h.settle()
    for name in ("second", "third"):
        h.job(name, slots=4, run=None)
    h.settle()
    kinds = [[r["type"] for r in status(h, n)["explanation"]["reliefs"]] for n in ("second", "third")]
    assert kinds[0] == ["GangEnd", "Watts", "FewerSlots"]
    # Nothing that matters to them changes, but they are looked at again.
    h.patch("/api/v1/nodes/r2-n3", {"metadata": {"labels": {"seen": "1"}}})
    h.advance(2)
    again = [[r["type"] for r in status(h, n)["explanation"]["reliefs"]] for n in ("second", "third")]
    assert again[0] == kinds[0]


def test_a_full_queue_has_a_reason_of_its_own() -> None:
    h = row(1_000_000)
    h.patch("/apis/rackplane.dev/v1alpha1/queues/research", {"spec": {"quota": {"gpus": 20}}})
    h.settle()
    h.job("first", slots=4, run=None)
    h.job("second", slots=4, run=None)
    h.settle()
    h.advance(2)
    assert condition(h, "second")["reason"] == "OverQuota"
    assert [reason for reason, _ in told(h, "second")] == ["OverQuota"]
    assert "explanation" not in status(h, "second")


def metrics(h: Harness) -> list[str]:
    found = Metrics()
    watch = SimpleNamespace(last_activity=time.monotonic(), forbidden=False, objects=0, failures=0)
    found.registry.register(MachineCollector(h.machine, {"pods": watch}))
    return [
        line
        for line in generate_latest(found.registry).decode().splitlines()
        if line.startswith("rackplane_pending_gangs")
    ]


def test_pending_gangs_are_counted_by_queue_and_cause() -> None:
    h = row()
    h.job("first", slots=4, run=None)
    h.settle()
    h.job("second", slots=4, run=None)
    h.job("third", slots=3, run=None)
    h.job("huge", slots=9, run=None)
    for name in ("x", "y"):
        h.job(name, slots=1, run=None, queue=f"no-such-{name}")
    h.settle()
    h.advance(2)
    # Names that users make up are no labels.
    assert metrics(h) == [
        'rackplane_pending_gangs{cause="other",queue=""} 2.0',
        'rackplane_pending_gangs{cause="misfit",queue="research"} 1.0',
        'rackplane_pending_gangs{cause="power",queue="research"} 2.0',
    ]
