"""Moves proposed to a gang that waits, seen from the objects; nobody is moved."""

from __future__ import annotations

from typing import Any

from rackplane.core.settings import Defragmentation, MachineSettings
from tests.support.harness import Harness, facility, started

NVLINK = {"rackplane.dev/required-topology": "nvlink"}


def scattered(*, of_b: dict[str, Any] | None = None, **settings: Any) -> Harness:
    """Two racks of four nodes, with a gang of one node in each that has run for an hour, and one that wants a rack."""
    h = started(facility(racks=2), settings=MachineSettings(validate=True, **settings))
    h.job("first", slots=3, run=200, annotations=NVLINK)
    h.until(lambda: h.phase("job-first") == "Running")
    h.job("a", slots=1, run=None)
    h.until(lambda: h.phase("job-a") == "Running")
    h.advance(100, step=10)
    h.job("second", slots=3, run=60, annotations=NVLINK)
    h.until(lambda: h.phase("job-second") == "Running")
    h.job("b", slots=1, run=None, template=of_b)
    h.until(lambda: h.phase("job-b") == "Running")
    h.until(lambda: h.phase("job-second") == "Finished" and h.phase("job-first") == "Finished")
    h.advance(3600, step=600)
    h.job("want", slots=4, run=60, annotations=NVLINK)
    h.until(lambda: bool(h.gang("job-want").get("status", {}).get("message")))
    return h


def condition(h: Harness) -> dict[str, Any] | None:
    found = [c for c in h.gang("job-want")["status"]["conditions"] if c["type"] == "MovesProposed"]
    return found[0] if found else None


def told(h: Harness) -> list[str]:
    return [t.message for t in h.told if (t.kind, t.name, t.reason) == ("Gang", "job-want", "MovesProposed")]


def test_a_gang_that_waits_is_told_of_the_cheapest_move() -> None:
    h = scattered(defragmentation=Defragmentation.PROPOSE)
    h.advance(5)
    found = condition(h)
    assert found is not None and (found["status"], found["reason"]) == ("True", "Proposed")
    # b started later, and so has less to lose.
    where = {g: h.gang(f"job-{g}")["status"]["assignment"][0]["rack"] for g in ("a", "b")}
    assert found["message"].startswith(
        f"it would start on {where['b']} if gang default/job-b to {where['a']} moved, "
    )
    assert told(h) == [found["message"]]
    h.advance(300, step=10)
    assert len(told(h)) == 1
    assert (h.phase("job-a"), h.phase("job-b"), h.phase("job-want")) == ("Running", "Running", "Pending")


def test_the_proposal_is_withdrawn_when_the_gang_starts() -> None:
    h = scattered(defragmentation=Defragmentation.PROPOSE)
    h.advance(5)
    assert condition(h) is not None
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/b", {"propagationPolicy": "Background"})
    h.until(lambda: h.phase("job-want") == "Running")
    found = condition(h)
    assert found is not None and (found["status"], found["message"]) == ("False", "")


def test_a_gang_is_moved_only_where_its_pods_may_go() -> None:
    tied = {"nodeSelector": {"rackplane.dev/rack": "r2"}}
    h = scattered(of_b=tied, defragmentation=Defragmentation.PROPOSE)
    h.advance(5)
    found = condition(h)
    assert found is not None
    assert found["message"].startswith("it would start on r1 if gang default/job-a to r2 moved, ")


def test_nothing_is_proposed_beyond_what_may_be_lost() -> None:
    h = scattered(defragmentation=Defragmentation.PROPOSE, most_lost_gpu_hours=1.0)
    h.advance(5)
    assert (condition(h), told(h)) == (None, [])


def test_it_is_off_unless_asked_for() -> None:
    h = scattered()
    h.advance(65, step=5)
    assert (condition(h), told(h)) == (None, [])
