"""What the machine makes of answers to a node's cap that are late, lost or refused."""

from __future__ import annotations

import msgspec

from rackplane.core import events as e
from rackplane.core.instructions import CapNode, Instruction, UngatePod
from rackplane.core.objects import Node
from tests.support.harness import Harness, started

CAPPED = {
    "rackplane.dev/power-profile": "MaxP",
    "rackplane.dev/power-cap-watts": "5000",
    "rackplane.dev/gangs": "default/job-train",
}


def waiting() -> tuple[Harness, CapNode]:
    """A gang that is committed, its pods gated, and the write of its node's cap not sent yet."""
    h = started()
    h.job("train", slots=1, run=None)
    while not caps(list(h._todo)):
        assert any([h.cluster.settle() > 0, h.deliver(), h.write()])
    while h.cluster.settle() > 0 or h.deliver():
        pass
    while h._todo and not isinstance(h._todo[0], CapNode):
        h.write()
        h.cluster.settle()
        h.deliver()
    [asked] = caps(list(h._todo))
    return h, asked


def caps(instructions: list[Instruction]) -> list[CapNode]:
    return [i for i in instructions if isinstance(i, CapNode)]


def let_go(instructions: list[Instruction]) -> bool:
    return any(isinstance(i, UngatePod) for i in instructions)


def seen(h: Harness, version: str, annotations: dict[str, str]) -> e.NodeChanged:
    node = h.machine.world.nodes["r1-n0"]
    metadata = msgspec.structs.replace(node.metadata, resource_version=version, annotations=annotations)
    return e.NodeChanged(Node(metadata=metadata, spec=node.spec, status=node.status))


def test_an_answer_alone_lets_nobody_go_what_is_seen_does() -> None:
    h, asked = waiting()
    assert asked == CapNode("r1-n0", h.machine.world.nodes["r1-n0"].metadata.resource_version, CAPPED)
    now = h.time.now
    assert h.machine.handle(now, e.WriteSucceeded(asked)) == []
    assert let_go(h.machine.handle(now, seen(h, "901", CAPPED)))


def test_what_is_seen_before_the_answer_counts_as_well() -> None:
    h, asked = waiting()
    assert let_go(h.machine.handle(h.time.now, seen(h, "901", CAPPED)))
    assert h.machine.handle(h.time.now, e.WriteSucceeded(asked)) == []


def test_a_conflict_is_judged_by_the_version_that_comes() -> None:
    h, asked = waiting()
    now = h.time.now
    assert h.machine.handle(now, e.WriteFailed(asked, e.FailureReason.CONFLICT, "changed")) == []
    assert caps(h.machine.handle(now + 60, e.TimePassed())) == []
    assert h.machine.handle(now + 60, seen(h, "901", {"other": "x"})) == [CapNode("r1-n0", "901", CAPPED)]


def test_a_conflict_that_is_heard_late_is_made_good_at_once() -> None:
    h, asked = waiting()
    again = h.machine.handle(h.time.now, seen(h, "901", {}))
    assert again == [CapNode("r1-n0", "901", CAPPED)]
    assert h.machine.handle(h.time.now, e.WriteFailed(asked, e.FailureReason.CONFLICT, "changed")) == []


def test_a_write_without_an_answer_is_repeated_after_a_pause_and_may_have_happened() -> None:
    h, asked = waiting()
    now = h.time.now
    assert h.machine.handle(now, e.WriteFailed(asked, e.FailureReason.UNAVAILABLE, "lost")) == []
    assert caps(h.machine.handle(now + 1, e.TimePassed())) == [asked]
    # It had happened: the repeated one is refused, and what is seen at last lets the pods go.
    assert h.machine.handle(now + 1, e.WriteFailed(asked, e.FailureReason.CONFLICT, "changed")) == []
    assert let_go(h.machine.handle(now + 1, seen(h, "901", CAPPED)))


def test_a_lost_removal_leaves_a_doubt_that_only_a_write_dispels() -> None:
    h, _ = waiting()
    h.settle()
    h.patch("/apis/batch/v1/namespaces/default/jobs/train", {"spec": {"suspend": True}})
    while not any(i.annotations == dict.fromkeys(CAPPED) for i in caps(list(h._todo))):
        assert any([h.cluster.settle() > 0, h.agents(), h.deliver(), h.write()])
    [removal] = caps(list(h._todo))
    now = h.time.now
    h.machine.handle(now, e.WriteFailed(removal, e.FailureReason.UNAVAILABLE, "lost"))
    # The cap is still seen, but it may be gone: whoever wants it would have to write it.
    world = h.machine.world
    assert world.nodes["r1-n0"].metadata.annotations.items() >= CAPPED.items()
    assert world.caps.in_force(world, ["r1-n0"]) == {"r1-n0": False}
    assert caps(h.machine.handle(now + 1, e.TimePassed())) == [removal]
    h.machine.handle(now + 1, e.WriteSucceeded(removal), seen(h, "990", {}))
    assert world.caps.in_force(world, ["r1-n0"]) == {"r1-n0": True}


def test_a_repeated_write_that_changes_nothing_ends_the_doubt() -> None:
    h, _ = waiting()
    now = h.time.now
    h.machine.handle(now, seen(h, "901", {"other": "x"}))
    second = CapNode("r1-n0", "901", CAPPED)
    h.machine.handle(now, e.WriteFailed(second, e.FailureReason.UNAVAILABLE, "lost"))
    # Seen as wanted at the very version the repeated write is based on: it changes nothing and is answered.
    answers = h.machine.handle(now + 1, seen(h, "901", CAPPED), e.TimePassed())
    assert caps(answers) == [second]
    assert let_go(h.machine.handle(now + 1, e.WriteSucceeded(second)))


def test_a_node_that_is_gone_is_not_written_to_again() -> None:
    h, asked = waiting()
    answers = h.machine.handle(
        h.time.now, e.WriteFailed(asked, e.FailureReason.GONE, "not found"), e.NodeDeleted("r1-n0")
    )
    assert caps(answers) == []
    assert caps(h.machine.handle(h.time.now + 60, e.TimePassed())) == []


def test_who_no_longer_leads_writes_no_caps_and_a_successor_begins_afresh() -> None:
    h, asked = waiting()
    now = h.time.now
    h.machine.handle(now, e.LeadershipLost())
    assert h.machine.handle(now, e.WriteFailed(asked, e.FailureReason.UNAVAILABLE, "not the leader")) == []
    assert h.machine.handle(now + 60, e.TimePassed(), seen(h, "901", {})) == []
    assert caps(h.machine.handle(now + 60, e.LeadershipGained(2))) == [CapNode("r1-n0", "901", CAPPED)]
