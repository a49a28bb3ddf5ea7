"""Gangs of unlike slots: what is placed breaks nothing, and what is called unplaceable is, by CP-SAT."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from rackplane.engine.model import NVLINK, Placement, RefusalKind, Request
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State
from tests.property.engine.small_halls import hall
from tests.property.engine.unlike import Cpus, feasible, unlike
from tests.support.thorough import some

CASES = some(600)
PARTS = 4
"""pytest-xdist spreads them."""


@pytest.mark.parametrize("part", range(PARTS))
def test_what_can_be_placed_is_placed_and_what_is_placed_holds(part: int) -> None:
    seen: Counter[str] = Counter()
    for case in range(part, CASES, PARTS):
        random = Random(case)
        state = hall(random, racks=5, nodes=14)
        gang = unlike(random, state, 12)
        violated = state.violations()
        answer = place(state, gang)
        state.validate()
        assert state.violations() == violated, case
        if isinstance(answer, Placement):
            seen["placed"] += 1
            check(state, gang, answer, case)
            continue
        seen[answer.kind.value] += 1
        if answer.kind is RefusalKind.UNPLACEABLE:
            assert not feasible(state, gang), case
        else:
            seen["not found, though there is a place"] += feasible(state, gang)
    assert seen["placed"] >= some(20), seen
    assert seen[RefusalKind.UNPLACEABLE.value] >= some(20), seen
    # The search is complete on halls of this size, but where a node can be filled in hundreds of ways.
    assert seen["not found, though there is a place"] == 0, seen


def check(state: State, gang: Request, answer: Placement, case: int) -> None:
    """Every promise of the request, and every limit, counted anew."""
    gpus = [g.gpus_per_slot for g in gang.groups for _ in range(g.slots)]
    assert [answer.gpus_of(slot) for slot in range(len(answer.slots))] == gpus, case
    assert answer.slots == tuple(node for group in answer.groups for node in group.nodes), case
    cpus = gang.beside
    assert isinstance(cpus, Cpus)
    used: Counter[str] = Counter()
    start = 0
    ids = state.inventory.levels[NVLINK][0]
    for g, group in enumerate(gang.groups):
        own = answer.slots[start : start + group.slots]
        start += group.slots
        for node in own:
            used[node] += cpus.of_slot[g]
        run = group.segment_slots or 1
        if run > 1:
            for first in range(0, len(own), run):
                domains = {int(ids[state.inventory.index[n]]) for n in own[first : first + run]}
                assert len(domains) == 1, case
                assert min(domains) >= 0, case
    assert all(n <= dict(cpus.of_node)[node] for node, n in used.items()), case
    if gang.required is not None:
        level = state.inventory.levels[gang.required][0]
        domains = {int(level[state.inventory.index[node]]) for node in answer.slots}
        assert len(domains) == 1, case
        assert min(domains) >= 0, case
    violated = state.violations()
    with state.simulation():
        state.book("gang", answer)
        state.validate()
        assert state.violations() == violated, case
        held = state.reserved("gang")
        assert (held.nominal_watts, held.peak_watts) == (answer.nominal_watts, answer.peak_watts), case
        assert (held.liquid_watts, held.air_watts) == (answer.liquid_watts, answer.air_watts), case
    again = place(state, gang)
    assert again == answer, case
