"""A rack or an NVLink domain is emptied: who leaves when, what everybody is told, and what survives a restart."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.core.gangs.statuses import timestamp
from rackplane.core.settings import MachineSettings
from tests.support.branching import Kill, killed_at
from tests.support.harness import Harness, facility, started

API = "/apis/rackplane.dev/v1alpha1"
DISRUPTION = "rackplane.dev/disruption"
CHECKPOINT = "rackplane.dev/last-checkpoint"
SETTINGS = MachineSettings(validate=True)


def site(**jobs: str) -> Harness:
    """Two racks of four nodes, and gangs of two nodes each in the order given: two on either rack."""
    h = started(facility(racks=2), settings=SETTINGS)
    for name, disruption in jobs.items():
        h.job(name, run=None, annotations={DISRUPTION: disruption})
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    h.advance(3)
    return h


def rack_of(h: Harness, job: str) -> str:
    return str(h.gang(f"job-{job}")["status"]["assignment"][0]["rack"])


def drain(h: Harness, path: str, **spec: Any) -> None:
    h.patch(f"{API}/{path}", {"spec": {"state": "Draining", **spec}})


def saves(h: Harness, job: str) -> None:
    note = {"metadata": {"annotations": {CHECKPOINT: timestamp(h.time.now)}}}
    h.patch(f"/apis/batch/v1/namespaces/default/jobs/{job}", note)


def drained(h: Harness, plural: str, name: str) -> tuple[str, str]:
    conditions = h.get("rackplane.dev", plural, name, "")["status"]["conditions"]
    return next((c["status"], c["reason"]) for c in conditions if c["type"] == "Drained")


@pytest.mark.parametrize("path", ["racks/{}", "nvlinkdomains/nvl-{}"])
def test_a_gang_leaves_at_its_next_checkpoint_and_keeps_its_age(path: str) -> None:
    h = site(one="Checkpointable")
    saves(h, "one")
    h.advance(2)
    rack = rack_of(h, "one")
    submitted = h.gang("job-one")["status"]["submittedAt"]
    drain(h, path.format(rack))
    h.advance(60)
    assert h.phase("job-one") == "Running", "its last checkpoint is older than the drain"
    plural, name = path.format(rack).split("/")
    status = h.get("rackplane.dev", plural, name, "")["status"]
    assert {k: v for k, v in status["drain"].items() if k != "since"} == {
        "gangs": 1,
        "waitingFor": ["default/job-one"],
    }
    assert drained(h, plural, name) == ("False", "GangsRun")
    saves(h, "one")
    h.until(lambda: h.phase("job-one") == "Running" and rack_of(h, "one") != rack)
    assert h.gang("job-one")["status"]["submittedAt"] == submitted
    what = f"rack {rack}" if plural == "racks" else f"NVLink domain nvl-{rack}"
    assert [(t.kind, t.reason, t.message) for t in h.told if "drained" in t.message] == [
        ("Gang", "CheckpointNow", f"{what} is being drained: the gang is stopped at its next checkpoint"),
        ("Job", "CheckpointNow", f"{what} is being drained: the gang is stopped at its next checkpoint"),
        ("Gang", "Drained", f"stopped: {what} is being drained, and the gang has saved a checkpoint"),
        ("Job", "Drained", f"stopped: {what} is being drained, and the gang has saved a checkpoint"),
    ]
    h.advance(6)
    assert drained(h, plural, name) == ("True", "Empty")
    assert h.get("rackplane.dev", plural, name, "")["status"]["drain"]["gangs"] == 0


def test_at_the_deadline_everybody_is_stopped_the_protected_too() -> None:
    h = site(one="Protected", two="Sheddable")
    rack = rack_of(h, "one")
    assert rack_of(h, "two") == rack
    by = h.time.now + 120
    drain(h, f"racks/{rack}", drainDeadline=timestamp(by))
    h.advance(20)
    saves(h, "one")
    h.advance(90)
    assert (h.phase("job-one"), h.phase("job-two")) == ("Running", "Running")
    words = timestamp(by)
    assert [c["message"] for c in h.gang("job-one")["status"]["conditions"] if c["type"] == "Draining"] == [
        f"rack {rack} is being drained: the gang is Protected and is stopped by {words} at the latest"
    ]
    h.advance(15)
    h.until(lambda: {rack_of(h, "one"), rack_of(h, "two")}.isdisjoint({rack}))
    stops = {t.message for t in h.told if t.reason == "Drained"}
    assert stops == {f"stopped: rack {rack} is being drained, and had to be empty by {words}"}
    h.until(lambda: set(h.gangs().values()) == {"Running"})
    assert [
        (c["status"], c["reason"])
        for c in h.gang("job-one")["status"]["conditions"]
        if c["type"] == "Draining"
    ] == [("False", "Stopped")]


def test_maintenance_empties_at_once_unless_it_has_a_deadline() -> None:
    h = site(one="Checkpointable")
    first = rack_of(h, "one")
    h.patch(f"{API}/racks/{first}", {"spec": {"state": "Maintenance"}})
    h.settle()
    assert h.phase("job-one") == "Running", "an edit may be taken back"
    h.until(lambda: h.phase("job-one") == "Running" and rack_of(h, "one") != first, seconds=30)
    second = rack_of(h, "one")
    h.patch(f"{API}/racks/{first}", {"spec": {"state": "Active"}})
    by = timestamp(h.time.now + 60)
    h.patch(f"{API}/racks/{second}", {"spec": {"state": "Maintenance", "drainDeadline": by}})
    h.advance(50)
    assert rack_of(h, "one") == second
    h.until(lambda: h.phase("job-one") == "Running" and rack_of(h, "one") == first, seconds=60)


def test_nobody_starts_on_what_is_drained_and_a_waiting_gang_says_so() -> None:
    h = started(facility(racks=1), settings=SETTINGS)
    drain(h, "racks/r1")
    h.job("one", run=None)
    h.advance(30)
    assert h.phase("job-one") == "Pending"
    assert drained(h, "racks", "r1") == ("True", "Empty")
    h.patch(f"{API}/racks/r1", {"spec": {"state": "Active"}})
    h.until(lambda: h.phase("job-one") == "Running")
    h.advance(6)
    status = h.get("rackplane.dev", "racks", "r1", "")["status"]
    assert "drain" not in status
    assert "Drained" not in {c["type"] for c in status["conditions"]}


def test_a_drain_that_is_called_off_lets_the_gang_go_on_and_tells_it() -> None:
    h = site(one="Checkpointable")
    rack = rack_of(h, "one")
    drain(h, f"racks/{rack}")
    h.advance(10)
    h.patch(f"{API}/racks/{rack}", {"spec": {"state": "Active"}})
    h.advance(5)
    saves(h, "one")
    h.advance(30)
    assert (h.phase("job-one"), rack_of(h, "one")) == ("Running", rack)
    assert [
        t.reason for t in h.told if t.kind == "Gang" and t.reason in ("CheckpointNow", "StopCalledOff")
    ] == [
        "CheckpointNow",
        "StopCalledOff",
    ]


def test_a_new_leader_goes_on_with_the_same_drain_and_repeats_nothing() -> None:
    h = site(one="Checkpointable")
    rack = rack_of(h, "one")
    drain(h, f"racks/{rack}")
    h.advance(20)
    since = h.get("rackplane.dev", "racks", rack, "")["status"]["drain"]["since"]
    saves(h, "one")  # seen by nobody: the leader is gone
    h.restart_machine()
    h.until(lambda: h.phase("job-one") == "Running" and rack_of(h, "one") != rack)
    h.advance(6)
    assert h.get("rackplane.dev", "racks", rack, "")["status"]["drain"]["since"] == since
    assert [t.reason for t in h.told if t.kind == "Gang" and t.reason == "CheckpointNow"] == ["CheckpointNow"]


def test_bare_pods_are_left_alone_and_the_rack_says_whom_it_waits_for() -> None:
    h = started(facility(racks=1), settings=SETTINGS)
    h.pod(
        "p",
        gpus=4,
        labels={"rackplane.dev/queue": "research", "rackplane.dev/gang": "bare"},
        annotations={"rackplane.dev/gang-size": "1"},
    )
    h.until(lambda: h.phase("pod-bare") == "Running")
    drain(h, "racks/r1", drainDeadline=timestamp(h.time.now + 10))
    h.advance(60)
    assert h.phase("pod-bare") == "Running"
    status = h.get("rackplane.dev", "racks", "r1", "")["status"]
    assert status["drain"]["waitingFor"] == ["default/pod-bare"]
    message = next(c["message"] for c in status["conditions"] if c["type"] == "Drained")
    assert message.startswith("gang default/pod-bare holds nodes here: ")
    assert message.endswith("bare pods have to be deleted by their owner")


def test_a_leader_that_dies_at_any_write_of_a_drain_leaves_nobody_behind() -> None:
    def run(kill: Kill) -> Harness:
        h = site(one="Checkpointable", two="Protected")
        rack = rack_of(h, "one")
        h.kill = kill
        drain(h, f"racks/{rack}", drainDeadline=timestamp(h.time.now + 60))
        h.until(
            lambda: (
                set(h.gangs().values()) == {"Running"} and rack not in {rack_of(h, "one"), rack_of(h, "two")}
            )
        )
        for name in ("one", "two"):
            assert h.get("batch", "jobs", name)["status"].get("failed") is None
        return h

    assert killed_at(lambda number, moment: moment == "after", run) > 15
