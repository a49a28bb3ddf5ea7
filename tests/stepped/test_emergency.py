"""Emergency ratings in admissions: what starts because of them, what a loss then does, and when they count no more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rackplane.core.settings import Confirmation, MachineSettings, Shedding
from tests.stepped.test_confirmations import AGENT, applies, rack_of
from tests.stepped.test_shedding import DISRUPTION, PROFILES, lose, over
from tests.support.harness import Harness, facility, started

STRICT = "rackplane.dev/power-strict"
ON = replace(AGENT, emergency_admission=True, emergency_margin_seconds=30.0)


def hall(settings: MachineSettings = ON, *, seconds: int = 120, quick: int = 100, **options: Any) -> Harness:
    """Two racks, half each on PDUs a and b: 44 kW on b without a if both run at MaxP, 36 kW at MaxQ, of 40 kW.

    For `seconds` b stands 44 kW. So many caps have been confirmed already, in 2 s.
    """
    made = facility(racks=2)
    for obj in made:
        if obj["kind"] == "HardwareProfile":
            obj["spec"]["powerProfiles"] = PROFILES
        elif obj["kind"] == "PowerDomain" and obj["metadata"]["name"] in ("a", "b"):
            emergency = {"percent": 110, "seconds": seconds}
            obj["spec"].update(survivable=True, ratedWatts=40_000, peakLimitWatts=50_000, emergency=emergency)
    h = started(made, settings=settings, **options)
    for _ in range(quick):
        h.machine.world.confirmations.times.add(2.0)
    h.advance(2)
    return h


def start(h: Harness, first: str = "Sheddable", second: str = "Checkpointable") -> None:
    """A gang that may run lower, then one that may not; each fills a rack."""
    h.job("first", slots=4, run=None, annotations={DISRUPTION: first})
    h.advance(5)
    h.job("second", slots=4, run=None, annotations={DISRUPTION: second, STRICT: "true"})
    h.advance(5)


def used(h: Harness, name: str = "b") -> Mapping[str, Any] | None:
    """The condition of a PDU."""
    found = h.get("rackplane.dev", "powerdomains", name, "")["status"]["conditions"]
    return next((c for c in found if c["type"] == "EmergencyRatingUsed"), None)


def profile(h: Harness, gang: str) -> str:
    return str(h.gang(gang)["status"].get("powerProfile"))


def test_a_gang_starts_that_only_an_emergency_rating_carries_after_a_loss() -> None:
    h = hall()
    start(h)
    assert (profile(h, "job-first"), profile(h, "job-second")) == ("MaxP", "MaxP")
    condition = used(h)
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("True", "InTime")
    assert h.machine.emergency_ratings_used == 2


def test_the_loss_is_over_in_time_by_caps_alone() -> None:
    h = hall()
    start(h)
    lose(h)
    h.settle()
    assert over(h) == ["power domain b"]
    assert profile(h, "job-first") == "MaxQ"
    applies(h, rack_of(h, "job-first"), "4000")
    h.settle()
    assert over(h) == []
    assert set(h.gangs().values()) == {"Running"}
    assert profile(h, "job-second") == "MaxP"


@pytest.mark.parametrize(
    ("settings", "seconds", "quick", "reason"),
    [
        (replace(ON, confirmation=Confirmation.NONE), 120, 100, "NotConfirmed"),
        (replace(ON, shedding=Shedding.OFF), 120, 100, "NobodyIsCapped"),
        (ON, 120, 99, "TooFewMeasured"),
        (ON, 31, 100, "TooSlow"),
    ],
)
def test_without_caps_that_are_sure_to_come_in_time_the_continuous_rating_holds(
    settings: MachineSettings, seconds: int, quick: int, reason: str
) -> None:
    h = hall(settings, seconds=seconds, quick=quick)
    start(h)
    assert (profile(h, "job-first"), h.phase("job-second")) == ("MaxP", "Pending")
    condition = used(h)
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", reason)


def test_it_is_off_where_it_is_not_asked_for() -> None:
    h = hall(AGENT)
    start(h)
    assert h.phase("job-second") == "Pending"
    assert used(h) is None


def test_who_may_not_be_capped_gives_nothing() -> None:
    h = hall()
    start(h, first="Protected")
    assert h.phase("job-second") == "Pending"


def test_when_caps_become_slow_what_runs_goes_on_and_nothing_more_starts_on_that_account() -> None:
    h = hall()
    start(h)
    for _ in range(2):
        h.machine.world.confirmations.times.add(math.inf)
    h.advance(5)
    condition = used(h)
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "TooSlow")
    assert [t.kind for t in h.told if t.reason == "TooSlow"] == ["PowerDomain", "PowerDomain"]
    assert set(h.gangs().values()) == {"Running"}
    assert h.machine.emergency_ratings_used == 0
    assert h.machine.state is not None
    after_a_loss = {(v.contingency.label, v.row.label) for v in h.machine.state.violations()}
    assert after_a_loss == {("a", "power domain b"), ("b", "power domain a")}


def test_caps_that_were_too_slow_must_be_quick_for_a_while_before_they_count_again() -> None:
    h = hall()
    for _ in range(2):
        h.machine.world.confirmations.times.add(math.inf)
    h.advance(5)
    for _ in range(1000):
        h.machine.world.confirmations.times.add(2.0)
    h.advance(50)
    condition = used(h)
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "TooSlow")
    h.advance(60)
    condition = used(h)
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("True", "InTime")


def test_a_gang_on_a_node_that_is_lost_gives_nothing() -> None:
    h = hall()
    h.job(
        "first",
        slots=4,
        run=None,
        annotations={DISRUPTION: "Sheddable", "rackplane.dev/on-node-loss": "wait"},
    )
    h.advance(5)
    h.node_ready(f"{rack_of(h, 'job-first')}-n0", False)
    h.job("second", slots=4, run=None, annotations={DISRUPTION: "Checkpointable", STRICT: "true"})
    h.advance(5)
    assert h.phase("job-second") == "Pending"
    h.node_ready(f"{rack_of(h, 'job-first')}-n0", True)
    h.advance(5)
    assert profile(h, "job-second") == "MaxP"
