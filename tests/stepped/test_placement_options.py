"""What a Queue says of how its gangs lie, end to end."""

from __future__ import annotations

import pytest

from tests.support.harness import facility, started


@pytest.mark.parametrize(("placement", "racks"), [(None, {"r1"}), ("Pack", {"r1"}), ("Spread", {"r1", "r2"})])
def test_a_queue_chooses_between_packing_and_spreading(placement: str | None, racks: set[str]) -> None:
    made = facility(racks=2)
    queue = next(o for o in made if o["kind"] == "Queue")
    if placement is not None:
        queue.setdefault("spec", {})["placement"] = placement
    h = started(made)
    h.job("train", slots=2, run=None)
    h.settle()
    status = h.gang("job-train")["status"]
    assert {group["rack"] for group in status["assignment"]} == racks


def test_a_gang_larger_than_one_domain_says_over_how_many_it_lies() -> None:
    h = started(facility(racks=2))
    h.job("train", slots=8, run=None)
    h.settle()
    [commit] = h.commits
    assert commit.status["message"] == "placed on r1, r2, over 2 NVLink domains"
