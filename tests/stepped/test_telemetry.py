"""What racks draw by telemetry in their status and that of what feeds them: when it is written, and who hears of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rackplane.core import events as e
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.instructions import WriteFacilityStatus
from rackplane.core.settings import MachineSettings
from rackplane.core.site.observed import Observed, RackObserved
from tests.support.harness import GROUP, Harness, facility, feed, started, thing

SETTINGS = MachineSettings(validate=True, telemetry=True)
TOLD = ("AboveBooks", "WithinBooks", "NodesUnread", "NodesRead")


def rack(watts: int, *, unread: int = 0, drifts: bool = False, age: float | None = 5.0) -> RackObserved:
    return RackObserved(watts=watts, nodes=4, unobserved_nodes=unread, drifts=drifts, oldest_seconds=age)


def observe(h: Harness, seconds: float = 15, **racks: RackObserved) -> str:
    """Telemetry has said this; then so much time goes by. When the oldest reading of all was taken."""
    h._feed(e.DrawsObserved(Observed(h.time.now, racks)))
    at = timestamp(h.time.now - max(r.oldest_seconds or 0 for r in racks.values()))
    h.advance(seconds)
    return at


def status(h: Harness, plural: str, name: str) -> dict[str, Any]:
    return dict(h.get(GROUP, plural, name, namespace="")["status"])


def observed(h: Harness, plural: str, name: str) -> tuple[object, object, object]:
    found = status(h, plural, name)
    return found.get("observedWatts"), found.get("observedAt"), found.get("unobservedNodes")


def conditions(h: Harness, name: str) -> dict[str, tuple[str, str]]:
    found = {c["type"]: (c["status"], c["reason"]) for c in status(h, "racks", name)["conditions"]}
    return {of: found[of] for of in ("Drifting", "TelemetryStale") if of in found}


def told(h: Harness) -> list[tuple[str, str, bool]]:
    return [(t.name, t.reason, t.warning) for t in h.told if t.reason in TOLD]


def counted(h: Harness, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Statuses written from now on, by object."""
    written: Counter[str] = Counter()
    send = h._send

    def spy(instruction: Any) -> Any:
        if isinstance(instruction, WriteFacilityStatus):
            written[instruction.name] += 1
        return send(instruction)

    monkeypatch.setattr(h, "_send", spy)
    return written


def test_draws_stand_beside_reservations_and_reach_feeds_by_the_same_shares() -> None:
    half = facility()
    for body in half:
        if body["metadata"]["name"] == "a":
            body["spec"] |= {"efficiencyBasisPoints": 8_000, "baseLoadWatts": 1_000}
    h = started(half, settings=SETTINGS)
    h.advance(35)
    assert observed(h, "racks", "r1") == (None, None, None)
    at = observe(h, 40, r1=rack(6_000), r2=rack(8_000, age=9.0))
    assert observed(h, "racks", "r1") == (6_000, timestamp(h.time.now - 45), 0)
    assert observed(h, "powerdomains", "b") == (7_000, at, None)
    assert observed(h, "powerdomains", "a") == (8_000, at, None)
    assert observed(h, "powerdomains", "row") == (7_000 + 10_000, at, None)
    row = status(h, "powerdomains", "row")
    assert row["reservedNominalWatts"] == (6_000 + 6_000) / 2 + ((6_000 + 6_000) / 2 + 1_000) / 0.8


def test_a_domain_above_a_rack_that_is_not_wholly_read_is_not_known() -> None:
    apart = [
        *facility(),
        thing("PowerDomain", "c", type="PDU", ratedWatts=50_000),
        thing("PowerDomain", "idle", type="PDU", ratedWatts=50_000),
    ]
    for body in apart:
        if body["kind"] == "Rack" and body["metadata"]["name"] == "r2":
            body["spec"]["feeds"] = [feed("c")]
    h = started(apart, settings=SETTINGS)
    at = observe(h, 40, r1=rack(22_000, unread=1), r2=rack(8_000))
    assert observed(h, "racks", "r1") == (None, None, 1)
    assert {name: observed(h, "powerdomains", name)[:2] for name in ("a", "row", "c", "idle")} == {
        "a": (None, None),
        "row": (None, None),
        "c": (8_000, at),
        "idle": (None, None),
    }


def test_figures_that_hardly_change_are_written_every_five_minutes_and_others_after_the_usual_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    h = started(settings=SETTINGS)
    observe(h, 60, r1=rack(6_000), r2=rack(6_000))
    written = counted(h, monkeypatch)
    for turn in range(16):
        observe(h, r1=rack(6_000 + 50 * (turn % 2)), r2=rack(6_000))
    assert written == {}
    for turn in range(16):
        observe(h, r1=rack(6_000 + 50 * (turn % 2)), r2=rack(6_000))
    assert written == dict.fromkeys(("r1", "r2", "a", "b", "row"), 1)
    written.clear()
    observe(h, 40, r1=rack(9_000), r2=rack(6_000))
    assert written == dict.fromkeys(("r1", "a", "b", "row"), 1)
    assert observed(h, "racks", "r1")[0] == 9_000
    written.clear()
    h.restart_machine()
    h.advance(5)
    observe(h, 40, r1=rack(9_010), r2=rack(6_000))
    assert written == {}, "a new process repeats nothing"


def test_drift_is_a_condition_and_an_event_when_it_begins_and_ends_across_a_restart() -> None:
    h = started(settings=SETTINGS)
    observe(h, 40, r1=rack(6_000), r2=rack(6_000))
    well = {"Drifting": ("False", "WithinBooks"), "TelemetryStale": ("False", "NodesRead")}
    assert conditions(h, "r1") == well
    assert told(h) == [], "nothing is said of what was well from the beginning"
    observe(h, 40, r1=rack(9_000, drifts=True), r2=rack(6_000))
    assert conditions(h, "r1") == {**well, "Drifting": ("True", "AboveBooks")}
    h.restart_machine()
    h.advance(40)
    assert conditions(h, "r1") == {**well, "Drifting": ("True", "AboveBooks")}
    assert observed(h, "racks", "r1")[0] == 9_000
    observe(h, 40, r1=rack(9_000, drifts=True), r2=rack(6_000))
    observe(h, 40, r1=rack(6_000), r2=rack(6_000))
    assert conditions(h, "r1") == conditions(h, "r2") == well
    assert told(h) == [("r1", "AboveBooks", True), ("r1", "WithinBooks", False)]


def test_telemetry_that_fails_is_told_of_each_rack_at_the_pace_of_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    h = started(facility(racks=6), settings=MachineSettings(telemetry=True, status_refresh_writes=2))
    all_of = [f"r{i}" for i in range(1, 7)]
    observe(h, 60, **dict.fromkeys(all_of, rack(6_000)))
    assert {name: observed(h, "racks", name)[0] for name in all_of} == dict.fromkeys(all_of, 6_000)
    written = counted(h, monkeypatch)
    h._feed(e.DrawsObserved(Observed(h.time.now, dict.fromkeys(all_of, rack(22_000, unread=4, age=None)))))
    for _ in range(12):
        before = written.total()
        h.advance(1)
        assert written.total() - before <= 2
    assert {conditions(h, name)["TelemetryStale"] for name in all_of} == {("True", "NodesUnread")}
    assert sorted(told(h)) == [(name, "NodesUnread", True) for name in all_of]
    assert observed(h, "racks", "r1") == (None, None, 4)
    observe(h, 60, **dict.fromkeys(all_of, rack(6_000)))
    assert sorted(told(h)[6:]) == [(name, "NodesRead", False) for name in all_of]


def test_where_telemetry_is_taken_away_nothing_is_left_of_it() -> None:
    h = started(settings=SETTINGS)
    observe(h, 40, r1=rack(9_000, drifts=True), r2=rack(6_000))
    assert observed(h, "powerdomains", "row")[0] == 15_000
    h.settings = MachineSettings(validate=True)
    h.restart_machine()
    h.advance(5)
    assert (observed(h, "racks", "r1"), conditions(h, "r1")) == ((None, None, None), {})
    assert observed(h, "powerdomains", "row") == (None, None, None)
