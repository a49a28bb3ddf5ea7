"""Halving the number of slots finds the same count as trying them all, in halls where watts bind."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from random import Random

import pytest

from rackplane.engine.model import Placement, Request
from rackplane.engine.placing.growing import allowed_counts, most_that_fit
from rackplane.engine.placing.placement import find
from rackplane.engine.state import State
from tests.property.engine.small_halls import hall, request
from tests.support.thorough import some

CASES = some(600)
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_halving_finds_the_most_slots_that_fit(part: int) -> None:
    seen: Counter[str] = Counter()
    for case in range(part, CASES, PARTS):
        random = Random(case)
        state = hall(random, racks=5, nodes=14)
        gang = request(random, 12)
        gang = replace(gang, strict=True)
        counts = allowed_counts(random.randint(1, gang.slots), gang.slots, gang.segment_slots)

        placed = partial(_placed, state, gang)
        found = most_that_fit(counts, placed)
        best = next((answer for count in reversed(counts) if (answer := placed(count)) is not None), None)
        assert found == best, case
        seen["none" if found is None else "all" if len(found.slots) == gang.slots else "some"] += 1
    assert all(seen[kind] >= some(5) for kind in ("none", "all", "some")), seen


def _placed(state: State, gang: Request, count: int) -> Placement | None:
    return find(state, replace(gang, slots=count))
