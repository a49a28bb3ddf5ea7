"""The operator killed at every write while nodes are lost: it finishes what it began, and nothing is booked twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.stepped.test_kills import check_caps
from tests.support.branching import Kill, killed_at
from tests.support.harness import Harness, facility, started

DOMAIN = {"rackplane.dev/required-topology": "nvlink"}


def scenario(h: Harness) -> None:
    """One node is replaced by the spare; with the next the whole gang moves, for no spare is left."""
    h.job("alpha", slots=3, run=None, annotations=DOMAIN)
    h.settle()
    h.node_ready("r1-n1", False)
    h.until(lambda: nodes_of(h) == ["r1-n0", "r1-n3", "r1-n2"] and running(h) == 3, seconds=120)
    h.node_ready("r1-n2", False)
    h.until(lambda: {n[:2] for n in nodes_of(h)} == {"r2"} and running(h) == 3, seconds=240)
    for node in ("r1-n1", "r1-n2"):
        h.node_ready(node, True)
    h.advance(15)


def nodes_of(h: Harness) -> list[str]:
    return [n for g in h.gang("job-alpha").get("status", {}).get("assignment", ()) for n in g["nodes"]]


def running(h: Harness) -> int:
    """Pods that run where their gang has a slot for them."""
    return sum(
        p.get("status", {}).get("phase") == "Running"
        and "deletionTimestamp" not in p["metadata"]
        and p["spec"]["nodeName"] in nodes_of(h)
        for p in h.pods()
    )


def watched(**options: Any) -> Harness:
    objects = facility(racks=2)
    for each in objects:
        if each["kind"] == "NVLinkDomain":
            each["spec"]["spareNodes"] = 1
    h = started(objects, **options)

    def check() -> None:
        state = h.machine.state
        assert state is not None
        assert state.violations() == []
        assert state.overbooked() == []
        # Every pod that may draw counts, where it is: by the booking of its gang, or as left behind.
        held: Counter[str] = Counter()
        for pod in h.pods():
            if pod["spec"].get("nodeName") and pod.get("status", {}).get("phase") not in (
                "Succeeded",
                "Failed",
            ):
                held[pod["spec"]["nodeName"]] += 4
        assert all(used <= 4 for used in held.values()), held
        if not h.pending():
            for node in held:
                assert state.booked_gpus(node) + state.other_gpus(node) == 4, (node, h.summary())
        check_caps(h)

    h.check = check
    return h


def verify(h: Harness) -> None:
    job = h.get("batch", "jobs", "alpha")["status"]
    assert (job["active"], job["failed"]) == (3, 1)
    assert h.phase("job-alpha") == "Running"
    # The start, the swap, the start in the other rack.
    assert len({c.decision_id for c in h.commits}) == 3
    state = h.machine.state
    assert state is not None
    assert state.left_nodes() == {}
    assert set(state.held("default/job-alpha").values()) == set(nodes_of(h))


@pytest.fixture(scope="module")
def writes() -> int:
    h = watched()
    scenario(h)
    verify(h)
    return h.writes


def test_killed_at_every_write_it_finishes_what_it_began(writes: int) -> None:
    def run(kill: Kill) -> Harness:
        h = watched(kill=kill)
        scenario(h)
        verify(h)
        return h

    # After each write, and before those ahead of which something else had changed.
    assert killed_at(lambda number, moment: True, run) >= writes


def test_undisturbed_it_makes_no_more_writes_whichever_is_heard_first(writes: int) -> None:
    h = watched(answers_first=False)
    scenario(h)
    verify(h)
    assert abs(h.writes - writes) <= writes // 5
