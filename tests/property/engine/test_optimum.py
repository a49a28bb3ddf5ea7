"""Two thousand small halls: the engine places what can be placed, and nothing is better by its objective."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from rackplane.engine.model import Placement, RefusalKind
from rackplane.engine.placing.placement import place
from tests.property.engine.optimum import levels, measure, optimum
from tests.property.engine.small_halls import hall, request, with_ends
from tests.support.thorough import some

CASES = some(2_000)
PARTS = 8
"""pytest-xdist spreads them."""


@pytest.mark.parametrize("part", range(PARTS))
def test_the_engine_finds_the_optimum(part: int) -> None:
    seen: Counter[str] = Counter()
    for case in range(part, CASES, PARTS):
        random = Random(case)
        large = random.random() < 0.25
        state = hall(random, racks=8, nodes=30) if large else hall(random, racks=5, nodes=14)
        gang = request(random, 16 if large else 9)
        if case % 2:
            gang = with_ends(Random(-case), state, gang)
        best, answer = optimum(state, gang), place(state, gang)
        if best is None:
            assert not isinstance(answer, Placement), case
            assert answer.kind is RefusalKind.UNPLACEABLE, case
            seen["refused"] += 1
            continue
        assert isinstance(answer, Placement), case
        assert measure(state, gang, answer) == best, case
        seen["several bins" if best.bins > 1 else "one bin"] += 1
        seen["stranded"] += best.stranded > 0
        seen["outlasting"] += best.outlasted > 0
        seen["beyond some share"] += len(set(levels(state, gang)[0].beyond.values())) > 1
        state.validate()
    # Every kind of answer is there, so that none of the above holds for want of cases.
    assert all(
        seen[kind] >= some(5)
        for kind in ("refused", "one bin", "several bins", "stranded", "beyond some share")
    ), seen
    assert seen["outlasting"] >= (some(5) if part % 2 else 0), seen
