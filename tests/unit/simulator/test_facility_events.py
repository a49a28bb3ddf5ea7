"""Files of facility events: what they come to, and words about those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from rackplane.simulator.facilityevents import Change, EventsError, read_events, seconds_of
from rackplane.simulator.site import Site, site_of
from tests.unit.cli.hall import HALL

BEGIN = 1_704_067_200


@pytest.fixture(scope="module")
def site() -> Site:
    return site_of("hall", HALL)


def read(folder: Path, site: Site, text: str) -> list[Change]:
    path = folder / "events.yaml"
    path.write_text(text, encoding="utf-8")
    return read_events(path, site, begin=BEGIN)


def test_each_is_the_object_as_all_earlier_ones_left_it(tmp_path: Path, site: Site) -> None:
    text = """\
- {at: 1d, set: CoolingZone/loop, spec: {supplyCelsius: 38}}
- {at: 2024-01-01T00:10:00Z, lose: PowerDomain/ups-a, until: 1d 2h}
- {at: 90, lose: Node/r1-02, until: 2m}
- {at: 1d 1h, lose: CoolingZone/loop}
- at: 30m
  create: {kind: PowerBudget, metadata: {name: order}, spec: {targets: {powerDomains: [utility]}, limitWatts: 75000}}
  until: 40m
"""
    changes = read(tmp_path, site, text)
    assert [(c.at, c.words, c.ready) for c in changes] == [
        (90, "Node r1-02 is lost", False),
        (120, "Node r1-02 is back", True),
        (600, "PowerDomain ups-a is lost", None),
        (1_800, "PowerBudget order is created", None),
        (2_400, "PowerBudget order is deleted", None),
        (86_400, "CoolingZone loop is set: supplyCelsius=38", None),
        (90_000, "CoolingZone loop is lost", None),
        (93_600, "PowerDomain ups-a is back", None),
    ]
    bodies = [c.body for c in changes]
    assert bodies[2] is not None and bodies[7] is not None and bodies[6] is not None
    assert [(b["spec"]["state"], b["metadata"]["generation"]) for b in (bodies[2], bodies[7])] == [
        ("Offline", 2),
        ("Online", 3),
    ]
    assert bodies[6]["spec"]["supplyCelsius"] == 38
    assert {unit["state"] for unit in bodies[6]["spec"]["units"]} == {"Offline"}
    assert bodies[4] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 7", "event 1: is 7, no event: write at, and one of lose, restore, set, create, delete"),
        ("- {at: 1, lose: PowerDomain/ups-x}", "event 1: there is no PowerDomain ups-x"),
        ("- {at: 1, lose: ups-a}", 'event 1: lose is "ups-a": write Kind/name, such as PowerDomain/ups-a'),
        ("- {at: soon, lose: PowerDomain/ups-a}", 'event 1: at is "soon", no time of the run'),
        ("- {at: 2020-01-01T00:00:00Z, lose: PowerDomain/ups-a}", "no time of the run"),
        ("- {at: 5, until: 5, lose: PowerDomain/ups-a}", "event 1: until is not after at"),
        ("- {at: 5, lose: PowerDomain/ups-a, set: Rack/r1}", "event 1: has lose and set: write one of"),
        ("- {at: 5, lose: PowerDomain/ups-a, for: 6}", "event 1: for is no field of an event"),
        ("- {at: 5, set: Rack/r1}", "event 1: spec is an empty object: write the fields that change"),
        ("- {at: 5, set: Rack/r1, spec: {limitWatts: -1}}", "event 1: Rack r1: spec.limitWatts"),
        ("- {at: 5, set: Node/r1-01, spec: {x: 1}}", "event 1: a Node can be lost and restored only"),
        ("- {at: 5, lose: Node/r9}", "event 1: there is no Node r9"),
        (
            "- {at: 5, lose: Queue/research}",
            "event 1: lose takes one of PowerDomain, Rack, CoolingZone, Node",
        ),
        ("- {at: 5, create: {kind: Pod, metadata: {name: a}}}", "event 1: create needs an object with kind"),
        (
            "- {at: 5, create: {kind: Queue, metadata: {name: q}}, until: 6}\n- {at: 7, delete: Queue/q}",
            "no Queue q",
        ),
        ("{", "is not YAML"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, site: Site, text: str, words: str) -> None:
    with pytest.raises(EventsError) as error:
        read(tmp_path, site, text)
    assert words in str(error.value)


def test_times() -> None:
    known: list[tuple[object, int]] = [
        (90, 90),
        ("1d 2h 3m", 93_780),
        ("1.5h", 5_400),
        ("2024-01-01T00:01:00", 60),
    ]
    for said, second in known:
        assert seconds_of(said, BEGIN) == second
    for wrong in (True, -1, None, "1 fortnight", "2024-13-01"):
        with pytest.raises(ValueError, match="no time of the run"):
            seconds_of(wrong, BEGIN)
