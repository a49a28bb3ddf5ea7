"""Racks, power domains, cooling zones and profiles that are deleted or spoiled while gangs run under them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rackplane.core import events as e
from rackplane.core.instructions import SetFinalizers
from tests.support.branching import Kill, killed_at
from tests.support.harness import GROUP, Harness, facility, feed, started, thing
from tests.support.thorough import some

FINALIZER = "rackplane.dev/in-use"
PLURALS = {
    "HardwareProfile": "hardwareprofiles",
    "Rack": "racks",
    "PowerDomain": "powerdomains",
    "CoolingZone": "coolingzones",
}
#: What load of rack r1 flows through, with the part of it that does.
ABOVE = {"row": 1.0, "a": 0.5, "b": 0.5}
#: 2,000 W of its own, 2 nodes idle (1,000 W) and 2 at MaxP (5,000 W).
LOADED = 14_000
#: A field of each kind that must not be negative.
SPOILT = {
    "HardwareProfile": "idleWatts",
    "Rack": "overheadWatts",
    "PowerDomain": "ratedWatts",
    "CoolingZone": "neededUnits",
}
ELEMENTS = [
    ("Rack", "r1"),
    ("Rack", "r2"),
    ("PowerDomain", "a"),
    ("PowerDomain", "b"),
    ("PowerDomain", "row"),
    ("CoolingZone", "air"),
    ("CoolingZone", "liquid"),
    ("HardwareProfile", "small"),
]


def path(kind: str, name: str) -> str:
    return f"/apis/{GROUP}/v1alpha1/{PLURALS[kind]}/{name}"


def delete(h: Harness, kind: str, name: str) -> None:
    h.request("DELETE", path(kind, name))


def there(h: Harness, kind: str, name: str) -> dict[str, Any] | None:
    return h.cluster.store.get((GROUP, PLURALS[kind]), "", name)


def left(h: Harness) -> list[tuple[str, str]]:
    return [key for key in ELEMENTS if there(h, *key) is not None]


def ready(h: Harness, kind: str, name: str) -> tuple[str, str, str]:
    found = there(h, kind, name)
    assert found is not None
    c = next(c for c in found["status"]["conditions"] if c["type"] == "Ready")
    return c["status"], c["reason"], c["message"]


def loads(h: Harness) -> dict[str, int]:
    assert h.machine.state is not None
    report = h.machine.state.report()
    return {name: report.powers[name].nominal_watts for name in ABOVE if name in report.powers}


def running(**options: Any) -> Harness:
    """A gang of two whole nodes in r1, for as long as nobody ends it."""
    h = started(facility(racks=2), **options)
    h.job("train", slots=2, run=None)
    h.until(lambda: h.phase("job-train") == "Running", seconds=30)
    return h


def end(h: Harness) -> None:
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/train", {"propagationPolicy": "Background"})
    h.advance(3)
    assert h.pods() == []


def test_what_carries_load_is_held_and_what_nobody_refers_to_is_not() -> None:
    objects = [*facility(racks=2), thing("PowerDomain", "spare", type="PDU", ratedWatts=1)]
    h = started(objects)
    for kind, name in ELEMENTS:
        found = there(h, kind, name)
        assert found is not None and found["metadata"]["finalizers"] == [FINALIZER], (kind, name)
    spare = there(h, "PowerDomain", "spare")
    assert spare is not None and "finalizers" not in spare["metadata"]
    h.patch(path("Rack", "r2"), {"spec": {"feeds": [feed("a"), feed("spare")]}})
    h.settle()
    spare = there(h, "PowerDomain", "spare")
    assert spare is not None and spare["metadata"]["finalizers"] == [FINALIZER]
    h.patch(path("Rack", "r2"), {"spec": {"feeds": [feed("a"), feed("b")]}})
    h.settle()
    spare = there(h, "PowerDomain", "spare")
    assert spare is not None and "finalizers" not in spare["metadata"]
    assert h.failures == []


def test_a_power_domain_stays_under_a_running_gang_and_says_what_it_waits_for() -> None:
    h = running()
    before = loads(h)
    delete(h, "PowerDomain", "a")
    h.advance(2)
    assert loads(h) == before
    assert ready(h, "PowerDomain", "a") == (
        "False",
        "BeingDeleted",
        "PowerDomain a, metadata.deletionTimestamp: is being deleted: it takes no new gangs, and its load counts, as "
        "long as gang default/job-train holds nodes under it and Racks r1, r2 refer to it; let the gangs end or delete "
        "their jobs, and delete what refers to it or change its spec",
    )
    told = [t for t in h.told if (t.kind, t.name) == ("PowerDomain", "a")]
    assert [(t.reason, t.warning) for t in told if t.reason == "BeingDeleted"] == [("BeingDeleted", True)]
    # Every rack is fed by it: nothing new starts.
    h.job("late", slots=1, run=5)
    h.advance(2)
    assert h.phase("job-late") == "Pending"
    end(h)
    assert ready(h, "PowerDomain", "a")[2].count("as long as Racks r1, r2 refer to it;") == 1
    for name in ("r1", "r2"):
        h.patch(path("Rack", name), {"spec": {"feeds": [feed("b")]}})
    h.until(lambda: there(h, "PowerDomain", "a") is None, seconds=10)
    h.until(lambda: h.phase("job-late") == "Finished", seconds=60)


def test_a_rack_stays_until_its_gang_has_gone_and_takes_no_other() -> None:
    h = running()
    delete(h, "Rack", "r1")
    h.advance(2)
    assert ready(h, "Rack", "r1")[1:] == (
        "BeingDeleted",
        "Rack r1, metadata.deletionTimestamp: is being deleted: it takes no new gangs, and its load counts, as long as "
        "gang default/job-train holds nodes under it; let the gangs end or delete their jobs",
    )
    h.job("late", slots=1, gpus=2, run=5)
    h.until(lambda: h.phase("job-late") == "Running", seconds=10)
    assert [pod["spec"]["nodeName"] for pod in h.pods_of("late")] == ["r2-n0"]
    h.until(lambda: h.phase("job-late") == "Finished", seconds=60)
    assert left(h) == ELEMENTS
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/train", {"propagationPolicy": "Background"})
    h.advance(3)
    assert left(h) == ELEMENTS[1:]


def test_a_profile_that_is_being_deleted_keeps_its_watts_and_closes_its_racks() -> None:
    h = running()
    before = loads(h)
    delete(h, "HardwareProfile", "small")
    h.advance(2)
    assert loads(h) == before
    assert ready(h, "Rack", "r2") == (
        "False",
        "Invalid",
        "Rack r2, spec.profile: hardware profile small is being deleted, so the rack takes no new gangs; name another "
        "HardwareProfile",
    )
    h.job("late", slots=1, run=5)
    h.advance(2)
    assert h.phase("job-late") == "Pending"


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("seed", range(6))
def test_a_whole_facility_can_be_deleted_in_any_order(seed: int, busy: bool) -> None:
    h = running() if busy else started(facility(racks=2))
    order = list(ELEMENTS)
    random.Random(seed).shuffle(order)
    for kind, name in order:
        delete(h, kind, name)
        h.settle()
    if busy:
        # Everything that the gang is under, and nothing else.
        assert left(h) == [key for key in ELEMENTS if key != ("Rack", "r2")]
        assert loads(h) == {name: round(LOADED * part) for name, part in ABOVE.items()}
        end(h)
    assert left(h) == []
    assert h.failures == []


def test_a_circle_of_parents_does_not_hold_itself() -> None:
    circle = [
        thing("PowerDomain", name, type="PDU", ratedWatts=1, parents=[feed(parent)])
        for name, parent in (("x", "y"), ("y", "x"))
    ]
    h = started([*facility(racks=1), *circle])
    for name in ("x", "y"):
        found = there(h, "PowerDomain", name)
        assert found is not None and found["metadata"]["finalizers"] == [FINALIZER]
    delete(h, "PowerDomain", "x")
    h.advance(2)
    assert "as long as PowerDomain y refers to it;" in ready(h, "PowerDomain", "x")[2]
    delete(h, "PowerDomain", "y")
    h.settle()
    assert there(h, "PowerDomain", "x") is None and there(h, "PowerDomain", "y") is None


def test_finalizers_of_others_stay() -> None:
    h = started(facility(racks=1))
    h.patch(path("Rack", "r1"), {"metadata": {"finalizers": [FINALIZER, "example.com/asset"]}})
    delete(h, "Rack", "r1")
    h.settle()
    found = there(h, "Rack", "r1")
    assert found is not None and found["metadata"]["finalizers"] == ["example.com/asset"]


def test_one_finalizer_is_written_once() -> None:
    h = started(facility(racks=2))
    count = h.writes
    h.restart_machine()
    h.advance(5)
    assert h.writes == count


def spoil(h: Harness, kind: str, name: str) -> None:
    """The object as a looser version of the API may have let it pass: it does not decode."""
    found = there(h, kind, name)
    assert found is not None
    spec = {**found["spec"], SPOILT[kind]: -1}
    h.cluster.store.update((GROUP, PLURALS[kind]), {**found, "spec": spec}, bump=True)
    h.settle()


def test_what_no_longer_decodes_carries_its_load_and_takes_nothing() -> None:
    h = running()
    before, sound = loads(h), there(h, "PowerDomain", "a")
    spoil(h, "PowerDomain", "a")
    h.advance(2)
    assert loads(h) == before
    assert h.machine.state is not None
    assert h.machine.state.report().powers["a"].usable_watts == 0
    status, reason, message = ready(h, "PowerDomain", "a")
    assert (status, reason) == ("False", "Invalid") and message.startswith("PowerDomain a, spec.ratedWatts: ")
    h.job("late", slots=1, run=5)
    h.advance(2)
    assert h.phase("job-late") == "Pending"
    assert sound is not None
    h.cluster.store.update((GROUP, "powerdomains"), sound, bump=True)
    h.until(lambda: h.phase("job-late") == "Finished", seconds=60)


def never_less(h: Harness) -> None:
    """While the gang has its place, everything above r1 carries at least what r1 draws."""
    record = h.machine.gangs.get(("default", "job-train"))
    if record is None or record.decision is None or record.phase != "Running":
        return
    assert h.machine.state is not None
    carried = loads(h)
    for name, part in ABOVE.items():
        assert carried.get(name, 0) >= LOADED * part, (name, carried)


@given(
    st.lists(
        st.tuples(st.sampled_from(["delete", "delete", "spoil", "restart"]), st.sampled_from(ELEMENTS)),
        max_size=8,
    )
)
@settings(max_examples=some(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_loads_above_a_running_gang_never_shrink(steps: list[tuple[str, tuple[str, str]]]) -> None:
    h = running()
    h.check = lambda: never_less(h)
    sound = {key: there(h, *key) for key in ELEMENTS}
    spoiled: set[tuple[str, str]] = set()
    for what, key in steps:
        if there(h, *key) is None:
            continue
        if what == "delete":
            delete(h, *key)
        elif what == "spoil":
            spoil(h, *key)
            spoiled.add(key)
        elif not spoiled:  # what a spoiled object was before is in memory only
            h.restart_machine()
        h.advance(1)
    assert h.phase("job-train") == "Running"
    end(h)
    for key in left(h):
        was = sound[key]
        assert was is not None
        h.cluster.store.update(
            (GROUP, PLURALS[key[0]]), {**was, "metadata": dict(was["metadata"])}, bump=True
        )
        delete(h, *key)
    h.advance(30)
    assert left(h) == []


def vanishing(h: Harness, order: Iterable[tuple[str, str]]) -> None:
    h.job("train", slots=2, run=None)
    h.until(lambda: h.phase("job-train") == "Running", seconds=30)
    h.check = lambda: never_less(h)
    for key in order:
        delete(h, *key)
        h.advance(1)
    assert ("Rack", "r1") in left(h) and ("PowerDomain", "row") in left(h)
    end(h)
    assert left(h) == []


def test_killed_at_every_write_nothing_goes_too_early_and_everything_goes() -> None:
    order = [
        ("PowerDomain", "row"),
        ("Rack", "r1"),
        *(k for k in ELEMENTS if k not in (("PowerDomain", "row"), ("Rack", "r1"))),
    ]

    def run(kill: Kill) -> Harness:
        h = started(facility(racks=2))
        h.kill = kill
        vanishing(h, order)
        return h

    assert killed_at(lambda number, moment: True, run) > 15


def test_a_standby_and_a_former_leader_write_no_finalizers() -> None:
    h = Harness()
    h.apply(*facility(racks=1))
    h.start_machine()
    [first, *_] = [i for i in h._todo if isinstance(i, SetFinalizers)]
    now = h.time.now
    h.machine.handle(now, e.LeadershipLost())
    assert (
        h.machine.handle(now, e.WriteFailed(first, e.FailureReason.UNAVAILABLE, "lost"), e.TimePassed()) == []
    )
    again = h.machine.handle(now + 60, e.LeadershipGained(2))
    assert first in again


def test_a_write_that_fails_is_repeated_and_a_conflict_waits_for_the_later_version() -> None:
    h = Harness()
    h.apply(*facility(racks=1))
    h.start_machine()
    asked = next(i for i in h._todo if isinstance(i, SetFinalizers) and i.kind == "Rack")
    now = h.time.now

    def repeated(at: float, *events: e.Event) -> list[SetFinalizers]:
        found = h.machine.handle(at, *events, e.TimePassed())
        return [i for i in found if isinstance(i, SetFinalizers) and i.kind == "Rack"]

    assert repeated(now, e.WriteFailed(asked, e.FailureReason.UNAVAILABLE, "lost")) == []
    assert repeated(now + 1) == [asked]
    assert repeated(now + 1, e.WriteFailed(asked, e.FailureReason.CONFLICT, "changed")) == []
    assert repeated(now + 60) == []
    rack = there(h, "Rack", "r1")
    assert rack is not None
    rack = {**rack, "metadata": {**rack["metadata"], "resourceVersion": "900", "finalizers": ["other"]}}
    assert repeated(now + 60, e.FacilityChanged("Rack", "r1", rack)) == [
        SetFinalizers("Rack", "r1", "900", ("other", FINALIZER))
    ]
