"""Segments over a few racks: what is found in whole runs is what a look slot by slot finds."""

from __future__ import annotations

from random import Random

import pytest

from rackplane.engine.model import Request
from rackplane.engine.placing.attempts import widest
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.exhaustive import Exhaustive, Slots
from tests.property.engine.test_spreading import TYPES, yard
from tests.support.thorough import some

CASES = some(200)


class SlotBySlot(Exhaustive):
    """Takes no notice of runs until a way is complete."""

    _of_runs = False


def drawn(case: int) -> tuple[Candidates, int]:
    random = Random(case)
    count = random.randint(1, 5)
    feeds = [random.choice(["a", "b", "c", "ab", "bc", "ac"]) for _ in range(count)]
    free = [random.randint(1, 7) for _ in range(count)]
    kinds = [random.choice(TYPES).name for _ in range(count)]
    watts = {source: 500 * random.randint(4, 24) for source in "abc"}
    run = random.choice([2, 3])
    slots = random.randint(1, max(1, sum(free)))
    request = Request(slots=slots, gpus_per_slot=1, resource="gpu", segment_slots=run, strict=True)
    return Candidates(yard(feeds, kinds, free, watts), request, request.power_profile), run


def best(ways: Exhaustive, most: tuple[int, int]) -> list[tuple[tuple[int, int], list[Slots]]]:
    groups = ((counts, list(found)) for counts, found in ways.groups(most))
    return [(counts, found) for counts, found in groups if found]


@pytest.mark.parametrize("most", [(9, 9), (2, 2)])
def test_whole_runs_are_what_is_found_slot_by_slot(most: tuple[int, int]) -> None:
    several = 0
    for case in range(CASES):
        candidates, run = drawn(case)
        bins = widest(candidates).subtree(0).bins
        quick, slow = (kind(candidates, bins, run=run, single=False) for kind in (Exhaustive, SlotBySlot))
        found = best(quick, most)
        assert found == best(slow, most), case
        several += len(found) > 1
    assert several > CASES // 20
