"""A leader paused before each of its writes and woken when a successor has gone on: what it sends late does no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rackplane.core.settings import MachineSettings
from tests.stepped.test_kills import check_caps, scenario, verify
from tests.support.harness import Harness, facility

PARTS = 2
"""Into so many tests every write is divided, so that they can run side by side."""
DISRUPTION = "rackplane.dev/disruption"
POWER = "/apis/rackplane.dev/v1alpha1/powerdomains"


class Paused(Harness):
    """Its first leader stops before a write; what it had still to send arrives some seconds later.

    Args:
        number: of that write; 0: never.
        seconds: for how long it is paused.
    """

    def __init__(self, *, number: int, seconds: float, **options: Any) -> None:
        super().__init__(kill=self._stops, **options)
        self._number = number
        self._seconds = seconds
        self._wakes_at = 0.0

    def _stops(self, number: int, when: str) -> bool:
        stops = number == self._number and when == "before"
        if stops:
            self._wakes_at = self.time.now + self._seconds
        return stops

    def settle(self, *, rounds: int = 5_000) -> None:
        super().settle(rounds=rounds)
        if self.unsent and self.time.now >= self._wakes_at:
            self.send_late()
            super().settle(rounds=rounds)


def placed(number: int, seconds: float) -> Harness:
    """Gangs that fill two racks and wait for each other."""
    h = Paused(number=number, seconds=seconds, settings=MachineSettings())
    h.apply(*facility(racks=2))
    h.start_machine()
    h.check = lambda: check(h)
    scenario(h)
    verify(h)
    return h


def stopped(number: int, seconds: float) -> Harness:
    """Of two gangs on two sides one is capped and the other stopped when a side is lost; it returns, and both end."""
    made = facility(racks=2)
    for obj in made:
        if obj["kind"] == "HardwareProfile":
            profile = {"name": "MaxQ", "nodeWatts": 4_000, "relativePerformancePercent": 85}
            obj["spec"]["powerProfiles"] = [profile]
        if obj["kind"] == "PowerDomain" and obj["metadata"]["name"] == "b":
            obj["spec"]["ratedWatts"] = 30_000
    h = Paused(number=number, seconds=seconds, settings=MachineSettings(restore_seconds=5.0))
    h.apply(*made)
    h.start_machine()
    for name in ("give", "keep"):
        disruption = "Sheddable" if name == "give" else "Checkpointable"
        h.job(name, slots=4, run=40, annotations={DISRUPTION: disruption})
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.patch(f"{POWER}/a", {"spec": {"state": "Offline"}})
    h.advance(20)
    assert "Running" in h.gangs().values() and set(h.gangs().values()) != {"Running"}
    assert h.machine.state is not None
    assert [v for v in h.machine.state.violations() if v.contingency.normal] == []
    h.patch(f"{POWER}/a", {"spec": {"state": "Online"}})
    h.until(lambda: set(h.gangs().values()) == {"Finished"}, seconds=240)
    for name in ("give", "keep"):
        assert h.get("batch", "jobs", name)["status"]["succeeded"] == 4
    return h


def check(h: Harness) -> None:
    assert h.machine.state is not None
    assert h.machine.state.violations() == []
    assert h.machine.state.overbooked() == []
    check_caps(h)


STORIES: dict[str, Callable[[int, float], Harness]] = {"placed": placed, "stopped": stopped}


@pytest.fixture(scope="module")
def writes() -> dict[str, int]:
    """How many writes each story makes undisturbed."""
    return {name: story(0, 0).writes for name, story in STORIES.items()}


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("story", STORIES)
def test_what_a_paused_leader_sends_late_does_no_harm(writes: dict[str, int], story: str, part: int) -> None:
    for number in range(1 + part, writes[story] + 1, PARTS):
        # Woken as soon as the successor has done what is to be done at that time, or when things have moved on.
        seconds = 4 * (number // PARTS % 2)
        try:
            h = STORIES[story](number, seconds)
        except AssertionError as problem:
            what = f"paused for {seconds} s before write {number} of {writes[story]}"
            raise AssertionError(f"{what}: {problem}") from problem
        assert h.restarts == 1
