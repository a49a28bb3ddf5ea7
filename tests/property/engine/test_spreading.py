"""Gangs that are spread where racks share limits: the most even way that holds, against a look at every way."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random

import pytest

from rackplane.engine.model import (
    FacilitySpec,
    Feed,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing import exhaustive
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State
from tests.support.thorough import some

CASES = some(150)
TYPES = tuple(NodeType(f"{kw} kW", "gpu", 1, 0, kw * 1_000, nvlink_scope=NvlinkScope.LABEL) for kw in (1, 3))


def yard(feeds: list[str], kinds: list[str], free: list[int], watts: dict[str, int]) -> State:
    """Racks of one domain each; a rack that hangs on two sources takes half of its watts from either."""
    racks = tuple(
        RackSpec(f"r{i}", kind, 0, 10**6, tuple(Feed(source) for source in sources))
        for i, (sources, kind) in enumerate(zip(feeds, kinds, strict=True))
    )
    spec = FacilitySpec(TYPES, racks, tuple(PowerSpec(name, limit) for name, limit in watts.items()))
    nodes = [NodeSpec(f"r{i}n{n}", f"r{i}", f"d{i}") for i, count in enumerate(free) for n in range(count)]
    return State(compile_facility(spec), nodes)


def drawn(case: int) -> tuple[State, Request, list[int]]:
    random = Random(case)
    count = random.randint(3, 6)
    feeds = [random.choice(["a", "b", "c", "ab", "bc", "ac"]) for _ in range(count)]
    free = [random.randint(1, 4) for _ in range(count)]
    kinds = [random.choice(TYPES).name for _ in range(count)]
    watts = {source: 500 * random.randint(4, 16) for source in "abc"}
    run = random.choice([1, 1, 2])
    slots = run * random.randint(1, max(1, min(12, sum(free) - 1) // run))
    request = Request(
        slots=slots, gpus_per_slot=1, resource="gpu", segment_slots=run, strict=True, spread=True
    )
    return yard(feeds, kinds, free, watts), request, free


def by_rack(answer: Placement) -> list[int]:
    return sorted(Counter(group.rack for group in answer.groups for _ in group.nodes).values(), reverse=True)


def most_even(state: State, request: Request, free: list[int]) -> list[int] | None:
    candidates = Candidates(state, request, request.power_profile)
    run = request.segment_slots or 1
    ways = (
        way
        for way in product(*(range(0, count + 1, run) for count in free))
        if sum(way) == request.slots and candidates.fits_together({i: n for i, n in enumerate(way) if n})
    )
    found = min((sorted(way, reverse=True) for way in ways), default=None)
    return None if found is None else [n for n in found if n]


def test_every_way_is_looked_at_where_there_are_few() -> None:
    placed = 0
    for case in range(CASES):
        state, request, free = drawn(case)
        answer, best = place(state, request), most_even(state, request, free)
        assert (by_rack(answer) if isinstance(answer, Placement) else None) == best, case
        placed += best is not None
    assert placed > CASES // 2


def test_where_there_are_many_it_is_evened_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhaustive, "PARTS", 0)
    seen: Counter[str] = Counter()
    for case in range(CASES):
        state, request, free = drawn(case)
        answer, best = place(state, request), most_even(state, request, free)
        if best is None:
            continue
        assert isinstance(answer, Placement), case
        with state.simulation():
            state.book("even", answer)
            assert not state.violations(), case
        seen["best" if by_rack(answer) == best else "less"] += 1
    assert seen["best"] >= 0.98 * seen.total(), seen
