"""The machine's answers to events alone: what a standby says, what an answer to a write changes."""

from __future__ import annotations

import msgspec

from rackplane.core import events as e
from rackplane.core.instructions import CommitGang, CreateGang, WriteGangStatus
from rackplane.core.machine import Machine
from rackplane.core.objects import Gang
from tests.support.harness import Harness, facility


def queued() -> Harness:
    """A harness whose machine has asked for the commit of gang job-train, and nothing was written yet."""
    h = Harness()
    h.apply(*facility())
    h.start_machine()
    h.settle()
    h.job("train", slots=2, run=None)
    while not any(isinstance(i, CommitGang) for i in h._todo):
        h.deliver()
        assert any(isinstance(i, CommitGang) for i in h._todo) or h.write()
    return h


def commit_of(h: Harness) -> CommitGang:
    return next(i for i in h._todo if isinstance(i, CommitGang))


def record(machine: Machine):  # type: ignore[no-untyped-def]
    return machine.gangs["default", "job-train"]


def test_nothing_is_decided_before_everything_is_listed_or_by_a_standby() -> None:
    machine = Machine()
    assert machine.handle(0.0, e.LeadershipGained(1)) == []
    assert machine.state is None
    standby = Machine()
    assert standby.handle(0.0, e.Synced()) == []
    assert standby.state is not None


def test_a_commit_without_an_answer_keeps_its_booking_and_is_asked_again() -> None:
    h = queued()
    commit = commit_of(h)
    now = h.time.now
    h.machine.handle(now, e.WriteFailed(commit, e.FailureReason.UNAVAILABLE, "no answer"))
    assert record(h.machine).decision is not None
    again = h.machine.handle(now + 5, e.TimePassed())
    [asked] = [i for i in again if isinstance(i, CommitGang)]
    assert (asked.decision_id, asked.resource_version) == (commit.decision_id, commit.resource_version)
    assert asked.status["assignment"] == commit.status["assignment"]


def test_a_commit_that_is_rejected_gives_the_place_back() -> None:
    h = queued()
    h.machine.handle(h.time.now, e.WriteFailed(commit_of(h), e.FailureReason.REJECTED, "no"))
    assert record(h.machine).decision is None
    assert h.machine.state is not None and list(h.machine.state.keys()) == []


def test_nobody_takes_the_place_of_a_gang_in_the_pause_after_its_commit_was_in_conflict() -> None:
    h = queued()
    commit = commit_of(h)
    gang = h.gang("job-train")
    gang["metadata"]["resourceVersion"] = "999999"
    h._todo.clear()
    h.machine.handle(h.time.now, e.GangChanged(msgspec.convert(gang, type=Gang)))
    h.machine.handle(h.time.now, e.WriteFailed(commit, e.FailureReason.CONFLICT, "it is another by now"))
    assert record(h.machine).decision is None
    # Eight nodes are free, of which two are its own; the other takes seven.
    h.job("other", slots=7, run=None)
    h.deliver()
    pause = record(h.machine).not_before - h.time.now
    assert pause > 0
    for _ in range(3):
        h.write()
        h.deliver()
    other = h.machine.gangs["default", "job-other"]
    assert other.decision is None
    assert other.message == "may not delay gang default/job-train, which holds r1, where it is about to start"
    again = h.machine.handle(h.time.now + pause, e.TimePassed())
    [asked] = [i for i in again if isinstance(i, CommitGang)]
    assert (asked.name, asked.status["assignment"]) == ("job-train", commit.status["assignment"])


def test_leadership_lost_gives_up_what_is_not_committed() -> None:
    h = queued()
    assert h.machine.handle(h.time.now, e.LeadershipLost()) == []
    assert record(h.machine).decision is None
    assert h.machine.handle(h.time.now + 60, e.TimePassed()) == []


def test_a_former_leaders_late_commit_is_taken_back() -> None:
    h = queued()
    commit = commit_of(h)
    gang = h.gang("job-train")
    # A second machine leads with a higher term and has seen the Gang pending.
    h.start_machine()
    h._todo.clear()
    written = {key: value for key, value in commit.status.items() if value is not None}
    late = {**gang, "status": {**gang.get("status", {}), **written}}
    late["metadata"] = {**gang["metadata"], "resourceVersion": "999999"}
    seen = msgspec.convert(late, type=Gang)
    answer = h.machine.handle(h.time.now, e.GangChanged(seen))
    [taken_back] = [i for i in answer if isinstance(i, WriteGangStatus)]
    assert taken_back.resource_version == "999999"
    assert taken_back.status["phase"] == "Pending" and taken_back.status["decision"] is None
    assert record(h.machine).decision is None
    # A refused write is not the end of it: it is asked for again after the pause.
    failed = e.WriteFailed(taken_back, e.FailureReason.UNAVAILABLE, "no answer")
    assert not [i for i in h.machine.handle(h.time.now, failed) if isinstance(i, WriteGangStatus)]
    later = h.machine.handle(h.time.now + 60, e.TimePassed())
    [again] = [i for i in later if isinstance(i, WriteGangStatus)]
    assert again.resource_version == "999999"
    assert {**again.status, "conditions": None} == {**taken_back.status, "conditions": None}


def test_a_gang_is_asked_for_once() -> None:
    h = Harness()
    h.apply(*facility())
    h.start_machine()
    h.settle()
    h.job("train", slots=2)
    h.deliver()
    assert sum(isinstance(i, CreateGang) for i in h._todo) == 1
    again = h.machine.handle(h.time.now + 1, e.TimePassed())
    assert not any(isinstance(i, CreateGang) for i in again)
