"""Gangs that come and go by the hundred: what is written for people waits for answers, decisions do not wait for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rackplane.core import events as e
from rackplane.core.instructions import CapNode, CommitGang, Instruction, WriteFacilityStatus, WriteGangStatus
from rackplane.core.settings import MachineSettings
from tests.stepped.test_external_gangs import GANGS, admitted, make
from tests.support.harness import GROUP, Harness, facility, started

NAMES = [f"g{n}" for n in range(8)]
#: Two are told at a time; the first of the queue need not wait for others.
FEW = MachineSettings(validate=True, told_gangs=1, estimated_gangs=1, reservations=0, telling_gangs=2)


def full(settings: MachineSettings = FEW) -> Harness:
    """A rack of four nodes that one gang holds, and the machine at rest."""
    h = started(facility(racks=1), settings=settings)
    make(h, "first", slots=4)
    h.settle()
    return h


def come(h: Harness) -> list[Instruction]:
    """Eight gangs come at once; what the machine asks for, and nothing is written yet."""
    for name in NAMES:
        make(h, name, slots=1)
    h.cluster.settle()
    h.deliver()
    return list(h._todo)


def written(instructions: list[Instruction]) -> list[str]:
    return [i.name for i in instructions if isinstance(i, WriteGangStatus)]


def test_so_many_are_being_told_at_one_time_and_all_are_in_the_end() -> None:
    h = full()
    assert written(come(h)) == ["g0", "g1"]
    most = 0
    while h.cluster.settle() > 0 or h.deliver() or h.write():
        most = max(most, len(written(list(h._todo))))
    assert most == 2
    h.advance(30)
    assert Counter(h.gangs().values()) == {"Admitted": 1, "Pending": 8}
    assert [h.gang(name)["status"]["position"] for name in NAMES] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_gang_that_finds_a_place_before_it_is_told_is_committed_and_never_told() -> None:
    h = full()
    told = written(come(h))
    h.request("DELETE", f"{GANGS}/first")
    h.deliver()
    commits = [i.name for i in h._todo if isinstance(i, CommitGang)]
    # Who is being told waits for the answer; the places of the others are committed without a word.
    assert (told, commits) == (["g0", "g1"], ["g2", "g3"])
    h.settle()
    assert Counter(h.gangs().values()) == {"Admitted": 4, "Pending": 4}
    assert Counter(admitted(h, name) for name in NAMES[:4]) == {"Placed": 4}


def test_a_gang_that_went_while_it_was_to_be_told_keeps_nobody_waiting() -> None:
    h = full()
    come(h)
    for name in ("g3", "g4", "g5"):
        h.request("DELETE", f"{GANGS}/{name}")
    h.advance(2)
    assert [h.phase(name) for name in ("g6", "g7")] == ["Pending", "Pending"]


def test_who_leads_again_tells_everybody() -> None:
    h = full()
    come(h)
    h._todo.clear()  # written by nobody
    h._feed(e.LeadershipLost())
    h._feed(e.LeadershipGained(9))
    h.advance(2)
    assert Counter(h.gangs().values()) == {"Admitted": 1, "Pending": 8}


def test_the_status_of_an_object_is_not_written_again_before_the_answer() -> None:
    h = full()
    h.advance(60)
    now = h.time.now
    for second in range(1, 6):
        make(h, f"late{second}", slots=1)
        h.deliver()
        h._todo.extend(h.machine.handle(now + second, e.TimePassed()))
    unanswered = [i.name for i in h._todo if isinstance(i, WriteFacilityStatus) and i.kind == "Queue"]
    assert unanswered == ["research"]
    answer = e.WriteSucceeded(WriteFacilityStatus("Queue", "research", {}))
    [again] = [i for i in h.machine.handle(now + 6, answer) if isinstance(i, WriteFacilityStatus)]
    assert (again.name, again.status["pending"]) == ("research", 5)


class Queue:
    """A queue whose figures change each second; when its status is written, in seconds since it began."""

    def __init__(self, **settings: Any) -> None:
        self.h = started(facility(racks=1), settings=MachineSettings(validate=True, **settings))
        self.h.advance(60)
        self.began, self.gangs = self.h.time.now, 0
        self.writes: list[float] = []
        noted(
            self.h,
            lambda _: self.writes.append(self.h.time.now - self.began),
            WriteFacilityStatus,
            "research",
        )

    def come(self, seconds: int) -> None:
        for _ in range(seconds):
            self.gangs += 1
            make(self.h, f"g{self.gangs}", slots=400)
            self.h.advance(1)

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.h.get(GROUP, "queues", "research", "")["status"])


def noted(h: Harness, note: Callable[[Any], None], kind: type[Instruction], name: str) -> None:
    """Have each write of that kind to the object of that name told, before it is carried out."""
    carry_out = h.write

    def write() -> bool:
        if h._todo and isinstance(h._todo[0], kind) and h._todo[0].name == name:
            note(h._todo[0])
        return carry_out()

    h.write = write  # type: ignore[method-assign]


def test_a_queue_whose_figures_change_all_the_time_is_written_less_often_and_right_in_the_end() -> None:
    queue = Queue(status_writes=3, status_pause_seconds=10)
    queue.come(25)
    # Three times at once, then as each of the three comes back.
    assert queue.writes == [1, 2, 3, 11, 21]
    queue.h.advance(10)
    assert (queue.status["pending"], queue.writes[5:]) == (25, [31])


def test_a_queue_that_has_been_left_alone_is_written_at_once() -> None:
    queue = Queue(status_writes=3, status_pause_seconds=10)
    for number in range(1, 4):
        queue.come(2)
        assert queue.status["pending"] == 2 * number
        queue.h.advance(30)


def test_what_is_wrong_with_a_queue_is_written_at_once_however_often_its_figures_are() -> None:
    queue = Queue(status_writes=1, status_pause_seconds=600)
    queue.come(5)
    assert queue.writes == []  # the once was when it was new
    queue.h.patch(f"/apis/{GROUP}/v1alpha1/queues/research", {"spec": {"parent": "nobody"}})
    queue.h.advance(1)
    assert queue.writes == [6]
    assert [c["status"] for c in queue.status["conditions"] if c["type"] == "Ready"] == ["False"]


# -- caps ------------------------------------------------------------------------------------------------


class Node:
    """Counts what is written to the only node that gangs of one slot come to."""

    def __init__(self, **settings: Any) -> None:
        self.h = started(facility(racks=1), settings=MachineSettings(validate=True, **settings))
        self.writes: list[dict[str, str | None]] = []
        noted(self.h, lambda cap: self.writes.append(dict(cap.annotations)), CapNode, "r1-n0")

    def run(self, name: str) -> None:
        make(self.h, name, slots=1)
        self.h.advance(1)

    def end(self, name: str) -> None:
        self.h.request("DELETE", f"{GANGS}/{name}")
        self.h.advance(1)

    @property
    def says(self) -> str | None:
        node = self.h.get("", "nodes", "r1-n0", "")
        gangs: str | None = node["metadata"].get("annotations", {}).get("rackplane.dev/gangs")
        return gangs


def test_a_node_whose_gangs_come_and_go_is_written_less_often_and_right_in_the_end() -> None:
    node = Node(cap_writes=3, cap_seconds=20)
    for number in range(10):
        node.run(f"g{number}")
        node.end(f"g{number}")
    # Ten gangs in twenty seconds: three writes at once, and one for each twenty seconds after that.
    assert len(node.writes) == 4
    node.h.advance(20)
    assert node.says is None
    assert len(node.writes) <= 5


def test_a_node_that_has_been_left_alone_is_written_at_once() -> None:
    node = Node(cap_writes=3, cap_seconds=20)
    for number in range(4):
        node.run(f"g{number}")
        assert node.says == f"default/g{number}"
        node.end(f"g{number}")
        assert node.says is None
        node.h.advance(60)


def test_a_job_does_not_wait_for_its_name_on_a_busy_node() -> None:
    node = Node(cap_writes=1, cap_seconds=600)
    node.run("one")
    node.end("one")
    assert node.says == "default/one"  # it is gone, but nobody waits for that
    node.h.job("train", slots=1, run=None)
    node.h.advance(2)
    assert node.says == "default/job-train"
    assert node.h.phase("job-train") == "Running"


def test_a_gang_that_is_gone_and_still_named_keeps_nobody_waiting() -> None:
    node = Node(cap_writes=2, cap_seconds=600)
    node.h.job("train", slots=1, gpus=2, run=None)
    make(node.h, "other", slots=1, gpus=2)
    node.h.advance(2)
    assert node.says == "default/job-train,default/other"
    node.end("other")
    [pod] = node.h.pods_of("train")
    node.h.request("DELETE", f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}")
    node.h.advance(30)
    assert node.says == "default/job-train,default/other"
    [pod] = node.h.pods_of("train")
    assert pod["status"]["phase"] == "Running"


def test_who_is_told_late_why_it_waits_keeps_its_age() -> None:
    # Nobody is told before a place is held for it: the second a while after the third has come.
    h = full(MachineSettings(validate=True, told_gangs=0, queue_writes=0, telling_gangs=0))
    for name in NAMES[:3]:
        make(h, name, slots=4, expectedDurationSeconds=600)
        h.advance(2)
    for before, name in zip(["first", *NAMES], NAMES[:3], strict=False):
        h.request("DELETE", f"{GANGS}/{before}")
        h.advance(3)
        assert h.gangs()[name] == "Admitted", "nobody who came after it has gone ahead"
        assert h.gang(name)["status"]["submittedAt"] == h.gang(name)["metadata"]["creationTimestamp"]
