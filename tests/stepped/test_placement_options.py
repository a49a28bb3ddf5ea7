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


@pytest.mark.parametrize(("lasts", "rack"), [(None, "r1"), ("1h", "r1"), ("50h", "r2")])
def test_a_gang_that_says_how_long_it_runs_joins_one_that_runs_as_long(lasts: str | None, rack: str) -> None:
    h = started(facility(racks=2))
    for name, slots, hours in (("short", 3, "2h"), ("long", 2, "100h")):
        h.job(name, slots=slots, run=None, annotations={"rackplane.dev/expected-duration": hours})
        h.settle()
    annotations = {} if lasts is None else {"rackplane.dev/expected-duration": lasts}
    h.job("train", slots=1, run=None, annotations=annotations)
    h.settle()
    racks = {name: h.gang(f"job-{name}")["status"]["assignment"] for name in ("short", "long", "train")}
    assert {name: [group["rack"] for group in groups] for name, groups in racks.items()} == {
        "short": ["r1"],
        "long": ["r2"],
        "train": [rack],
    }
