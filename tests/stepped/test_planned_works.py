"""Planned work on what feeds racks: before it, while it lasts, after it, and where two would take both sides."""

from __future__ import annotations

from typing import Any

from rackplane.core.gangs.statuses import timestamp
from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, facility, feed, started, thing

API = "/apis/rackplane.dev/v1alpha1"
SETTINGS = MachineSettings(validate=True)
HOUR = 3_600.0


def window(h: Harness, start: float, end: float) -> dict[str, Any]:
    return {"start": timestamp(h.time.now + start), "end": timestamp(h.time.now + end), "reason": "batteries"}


def plan(h: Harness, name: str, start: float, end: float) -> None:
    h.patch(f"{API}/powerdomains/{name}", {"spec": {"maintenance": [window(h, start, end)]}})
    h.advance(6)


def condition(h: Harness, name: str) -> tuple[str, str] | None:
    found = h.get("rackplane.dev", "powerdomains", name, "")["status"]["conditions"]
    return next(((c["status"], c["reason"]) for c in found if c["type"] == "MaintenanceRefused"), None)


def test_two_works_on_both_sides_are_refused_on_both_objects_until_one_is_moved() -> None:
    h = started(facility(), settings=SETTINGS)
    plan(h, "a", HOUR, 3 * HOUR)
    assert (condition(h, "a"), condition(h, "b")) == (("False", "Apart"), None)
    plan(h, "b", 2 * HOUR, 4 * HOUR)
    assert (condition(h, "a"), condition(h, "b")) == (("True", "BothSides"), ("True", "BothSides"))
    told = {(t.name, t.warning) for t in h.told if t.reason == "BothSides"}
    assert told == {("a", True), ("b", True)}
    plan(h, "b", 5 * HOUR, 6 * HOUR)
    assert (condition(h, "a"), condition(h, "b")) == (("False", "Apart"), ("False", "Apart"))


def test_an_element_is_out_while_the_work_lasts_and_no_longer() -> None:
    h = started(facility(), settings=SETTINGS)
    plan(h, "a", 60, 120)

    def usable() -> int:
        return int(h.get("rackplane.dev", "powerdomains", "a", "")["status"]["usableWatts"])

    assert usable() == 1_000_000
    h.advance(60)
    assert usable() == 0
    h.advance(60)
    assert usable() == 1_000_000
    assert condition(h, "a") is None


def test_a_rack_that_a_work_leaves_dark_takes_no_gang_that_would_run_into_it() -> None:
    made = facility(racks=1)
    next(o for o in made if o["kind"] == "Rack")["spec"]["feeds"] = [feed("a")]
    h = started(made, settings=SETTINGS)
    plan(h, "a", 2 * HOUR, 3 * HOUR)
    h.job("long", run=None, annotations={"rackplane.dev/expected-duration": "4h"})
    h.job("short", run=None, annotations={"rackplane.dev/expected-duration": "30m"})
    h.until(lambda: h.phase("job-short") == "Running")
    h.advance(20)
    status = h.gang("job-long")["status"]
    assert status["phase"] == "Pending"
    assert "maintenance" in status["message"]


def test_units_of_a_loop_are_out_while_the_work_lasts() -> None:
    units = [{"name": f"u{i}", "capacityWatts": 100_000} for i in (1, 2)]
    loop = thing("CoolingZone", "loop", medium="Liquid", units=units, neededUnits=2)
    h = started([*facility(), loop], settings=SETTINGS)
    h.patch(f"{API}/coolingzones/loop", {"spec": {"maintenance": [{**window(h, -10, 60), "units": ["u2"]}]}})
    h.advance(6)
    assert h.get("rackplane.dev", "coolingzones", "loop", "")["status"]["usableWatts"] == 100_000
    h.advance(60)
    assert h.get("rackplane.dev", "coolingzones", "loop", "")["status"]["usableWatts"] == 200_000
