"""What machines report of an element: it can only take away, outlives the silence of its source, and a restart."""

from __future__ import annotations

from typing import Any

from rackplane.core.gangs.statuses import timestamp
from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, facility, started, thing

API = "/apis/rackplane.dev/v1alpha1"
SETTINGS = MachineSettings(validate=True)


def report(
    h: Harness, what: str, *, ago: float = 0, source: str = "bms", unit: str = "", **said: Any
) -> dict[str, Any]:
    at = timestamp(h.time.now - ago)
    return {"source": source, "what": what, "unit": unit, "at": at, "id": at, **said}


def tell(h: Harness, path: str, *reports: dict[str, Any]) -> None:
    h.patch(f"{API}/{path}/status", {"status": {"reports": list(reports)}})
    h.settle()


def conditions(h: Harness, plural: str, name: str) -> dict[str, tuple[str, str]]:
    found = h.get("rackplane.dev", plural, name, "")["status"].get("conditions", ())
    return {c["type"]: (c["status"], c["reason"]) for c in found}


def usable(h: Harness, plural: str, name: str) -> int:
    h.advance(6)
    return int(h.get("rackplane.dev", plural, name, "")["status"]["usableWatts"])


def test_a_lost_feed_stays_lost_while_its_source_is_silent_until_it_says_otherwise() -> None:
    h = started(facility(), settings=SETTINGS)
    expires = timestamp(h.time.now + 60)
    tell(h, "powerdomains/a", report(h, "State", state="Offline", expires=expires))
    assert usable(h, "powerdomains", "a") == 0
    assert conditions(h, "powerdomains", "a")["Reported"] == ("True", "OutOfService")
    assert conditions(h, "powerdomains", "a")["ReportsStale"] == ("False", "Heard")
    h.advance(120)
    assert usable(h, "powerdomains", "a") == 0
    assert conditions(h, "powerdomains", "a")["ReportsStale"] == ("True", "Silent")
    h.restart_machine()
    assert usable(h, "powerdomains", "a") == 0
    tell(h, "powerdomains/a", report(h, "State", state="Online"))
    assert usable(h, "powerdomains", "a") == 1_000_000
    assert conditions(h, "powerdomains", "a")["Reported"] == ("False", "NothingBad")
    words = [(t.reason, t.warning) for t in h.told if (t.kind, t.name) == ("PowerDomain", "a")]
    assert words == [("OutOfService", True), ("Silent", True), ("NothingBad", False), ("Heard", False)]


def test_good_news_brings_back_nothing_that_a_person_has_taken_out() -> None:
    h = started(facility(), settings=SETTINGS)
    h.patch(f"{API}/powerdomains/a", {"spec": {"state": "Maintenance"}})
    tell(h, "powerdomains/a", report(h, "State", state="Online"))
    assert usable(h, "powerdomains", "a") == 0


def test_of_two_sources_the_worse_counts_and_a_person_can_take_a_silent_ones_word_back() -> None:
    h = started(facility(), settings=SETTINGS)
    both = (
        report(h, "State", state="Offline", source="old"),
        report(h, "State", state="Online", source="new"),
    )
    tell(h, "powerdomains/a", *both)
    assert usable(h, "powerdomains", "a") == 0
    note = {"rackplane.dev/reports-cleared": timestamp(h.time.now)}
    h.patch(f"{API}/powerdomains/a", {"metadata": {"annotations": note}})
    assert usable(h, "powerdomains", "a") == 1_000_000
    tell(h, "powerdomains/a", report(h, "State", state="Offline", source="old"))
    assert usable(h, "powerdomains", "a") == 0, "a later word counts again"


def test_a_heartbeat_that_says_the_same_changes_nothing_in_the_engine() -> None:
    h = started(facility(), settings=SETTINGS)
    tell(h, "powerdomains/a", report(h, "State", state="Online"))
    h.advance(10)
    revision, state = h.machine.world.catalog.revision, h.machine.state
    for _ in range(5):
        h.advance(10)
        tell(h, "powerdomains/a", report(h, "State", state="Online"))
    assert (h.machine.world.catalog.revision, h.machine.state) == (revision, state)


def test_modules_and_units_that_are_out_and_a_hot_loop_leave_less() -> None:
    zone = thing(
        "CoolingZone",
        "loop",
        medium="Liquid",
        units=[{"name": f"cdu-{i}", "capacityWatts": 100_000} for i in (1, 2, 3)],
        neededUnits=2,
        supplyCelsius=30,
        deratingCurve=[{"supplyCelsius": 30, "percent": 100}, {"supplyCelsius": 50, "percent": 0}],
    )
    shelf = thing(
        "PowerDomain",
        "shelf",
        type="PowerShelf",
        ratedWatts=30_000,
        redundancy={"installed": 4, "needed": 3, "moduleWatts": 10_000},
    )
    h = started([*facility(), zone, shelf], settings=SETTINGS)
    assert (usable(h, "coolingzones", "loop"), usable(h, "powerdomains", "shelf")) == (200_000, 30_000)
    out = [report(h, "Unit", unit=f"cdu-{i}", state="Offline") for i in (1, 2)]
    tell(h, "coolingzones/loop", *out)
    tell(h, "powerdomains/shelf", *(report(h, "Unit", unit=n, state="Offline") for n in ("psu-1", "psu-2")))
    assert (usable(h, "coolingzones", "loop"), usable(h, "powerdomains", "shelf")) == (100_000, 20_000)
    assert conditions(h, "coolingzones", "loop")["Reported"] == ("True", "UnitsOut")
    tell(h, "coolingzones/loop", *out, report(h, "SupplyCelsius", supplyCelsius=40))
    assert usable(h, "coolingzones", "loop") == 50_000
    tell(h, "coolingzones/loop", report(h, "SupplyCelsius", supplyCelsius=20))
    assert usable(h, "coolingzones", "loop") == 200_000, "colder than its owner says is not more"
    tell(h, "coolingzones/loop", report(h, "Leak", unit="cdu-1", leak="Warning"))
    assert usable(h, "coolingzones", "loop") == 200_000
    leaks = [report(h, "Leak", unit=f"cdu-{i}", leak="Critical") for i in (1, 2)]
    tell(h, "coolingzones/loop", *leaks)
    assert usable(h, "coolingzones", "loop") == 100_000


def test_a_leak_empties_the_rack_at_the_next_checkpoint_or_at_once() -> None:
    h = started(facility(), settings=SETTINGS)
    h.job("one", run=None)
    h.until(lambda: h.phase("job-one") == "Running")
    rack = h.gang("job-one")["status"]["assignment"][0]["rack"]
    tell(h, f"racks/{rack}", report(h, "Leak", leak="Warning"))
    h.advance(10)
    assert h.phase("job-one") == "Running"
    assert h.get("rackplane.dev", "racks", rack, "")["status"]["drain"]["gangs"] == 1
    # However long its owner would give it when it is dry.
    by = timestamp(h.time.now + 3_600)
    h.patch(f"{API}/racks/{rack}", {"spec": {"drainDeadline": by}})
    tell(h, f"racks/{rack}", report(h, "Leak", leak="Critical"))
    h.until(
        lambda: (
            h.phase("job-one") == "Running" and h.gang("job-one")["status"]["assignment"][0]["rack"] != rack
        )
    )
    assert conditions(h, "racks", rack)["Reported"] == ("True", "Leak")
    tell(h, f"racks/{rack}", report(h, "Leak", leak="Dry"))
    h.advance(6)
    assert "drain" not in h.get("rackplane.dev", "racks", rack, "")["status"]


def test_what_a_newer_version_wrote_and_nobody_here_can_read_counts_as_bad() -> None:
    h = started(facility(), settings=SETTINGS)
    body = h.get("rackplane.dev", "powerdomains", "a", "")
    said = {"source": "x", "what": "State", "unit": "", "at": "?", "id": "1", "state": "Glowing"}
    assert h.machine.world.catalog.put(
        "PowerDomain", "a", {**body, "status": {"reports": [said, 7], "conditions": []}}
    )
    entry = h.machine.world.catalog.entry("PowerDomain", "a")
    assert entry is not None
    # Made before anybody cleared anything: a time that cannot be read is later than never.
    assert entry.effects.out is True
