"""A leader paused before each of its writes and woken when a successor has gone on: what it sends late does no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rackplane.core.instructions import UngatePod
from rackplane.core.settings import MachineSettings
from tests.stepped.test_kills import check_caps, scenario, verify
from tests.support.branching import Kill, killed_at
from tests.support.harness import Harness, facility

DISRUPTION = "rackplane.dev/disruption"
POWER = "/apis/rackplane.dev/v1alpha1/powerdomains"


class Paused(Harness):
    """Its first leader stops before a write; what it had still to send arrives some seconds later.

    Args:
        pauses: before which of its writes.
    """

    def __init__(self, *, pauses: Kill, **options: Any) -> None:
        super().__init__(kill=self._stops, **options)
        self._pauses = pauses
        self._wakes_at = 0.0

    def _stops(self, number: int, when: str) -> bool:
        stops = self._pauses(number, when)
        if stops:
            # As soon as the successor has done what is to be done at that time, or when things have moved on.
            self._wakes_at = self.time.now + 4 * (number // 2 % 2)
        return stops

    def settle(self, *, rounds: int = 5_000) -> None:
        super().settle(rounds=rounds)
        if self.unsent and self.time.now >= self._wakes_at:
            self.send_late()
            super().settle(rounds=rounds)


def placed(pauses: Kill) -> Harness:
    """Gangs that fill two racks and wait for each other."""
    h = Paused(pauses=pauses, settings=MachineSettings())
    h.apply(*facility(racks=2))
    h.start_machine()
    h.check = lambda: check(h)
    scenario(h)
    verify(h)
    return h


def stopped(pauses: Kill) -> Harness:
    """Of two gangs on two sides one is capped and the other stopped when a side is lost; it returns, and both end."""
    made = facility(racks=2)
    for obj in made:
        if obj["kind"] == "HardwareProfile":
            profile = {"name": "MaxQ", "nodeWatts": 4_000, "relativePerformancePercent": 85}
            obj["spec"]["powerProfiles"] = [profile]
        if obj["kind"] == "PowerDomain" and obj["metadata"]["name"] == "b":
            obj["spec"]["ratedWatts"] = 30_000
    h = Paused(pauses=pauses, settings=MachineSettings(restore_seconds=5.0))
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


STORIES: dict[str, Callable[[Kill], Harness]] = {"placed": placed, "stopped": stopped}


def let_go(h: Harness, *, seeing: int | None = None) -> list[UngatePod]:
    """The writes that let the pods of a gang go, before the first of them; ``seeing``: changes at a time."""
    for _ in range(500):
        h.cluster.settle()
        h.deliver(seeing)
        if found := [each for each in h._todo if isinstance(each, UngatePod)]:
            return found
        h.write()
    raise AssertionError(h.summary())


def test_a_successor_gives_each_pod_the_slot_that_the_leader_before_it_would_have() -> None:
    h = Harness()
    h.apply(*facility(racks=2))
    h.start_machine()
    h.job("train", slots=8, gpus=1, run=None, indexed=False)
    # It sees one pod after another, and not in the order of their names.
    late = let_go(h, seeing=1)
    h.start_machine()
    assert let_go(h) == late
    assert len(late) == 8


def test_a_pod_that_has_changed_meanwhile_is_not_let_go_by_a_late_write() -> None:
    h = Harness()
    h.apply(*facility(racks=2))
    h.start_machine()
    h.job("train", slots=2, gpus=1, run=None)
    late = let_go(h)
    for pod in h.pods():
        path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
        h.patch(path, {"metadata": {"labels": {"seen": "by-somebody"}}})
    assert [h._send(each).code for each in late] == [409, 409]
    # Whoever leads tries again with what it has seen since.
    h.until(lambda: h.phase("job-train") == "Running", seconds=5)


@pytest.mark.parametrize("story", STORIES)
def test_what_a_paused_leader_sends_late_does_no_harm(story: str) -> None:
    assert killed_at(lambda number, moment: moment == "before", STORIES[story]) > 20
