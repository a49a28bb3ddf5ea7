"""What is answered without a search is what the search would answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

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
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.nodes.podkinds import PodKind
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing import quick
from rackplane.engine.placing.attempts import Subtree, attempts
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.placement import place
from rackplane.engine.placing.search import Search
from rackplane.engine.state import State
from tests.property.engine.test_placement_properties import requests, worlds
from tests.support.thorough import some

ENDS = st.sampled_from([None, 0.0, 1.0, 3.0, 20.0, 90.0])


@given(worlds(), requests(), st.lists(st.tuples(st.integers(1, 3), ENDS), max_size=3), ENDS)
@settings(max_examples=some(300), deadline=None)
def test_one_rack_is_chosen_as_the_search_over_all_bins_would(
    state: State, request: Request, before: list[tuple[int, float | None]], lasts: float | None
) -> None:
    if lasts is not None:
        request = replace(request, until=lasts, lasts=lasts)
    for i, (slots, end) in enumerate(before):
        answer = place(state, Request(slots=slots, gpus_per_slot=2, resource="gpu"))
        if isinstance(answer, Placement):
            state.book(f"before-{i}", answer, until=end)
    candidates = Candidates(state, replace(request, preferred=None), request.power_profile)
    attempt = attempts(candidates)[0]
    chosen = quick.in_one_rack(attempt, request.slots)
    every = attempt.bins(range(len(attempt.layout.bin_starts)))
    over_all = Search(candidates, Subtree("", every), single=True)
    searched = over_all.solve().solution
    if not chosen:
        assert searched is None or searched.key[1] > 1
        return
    assert len(chosen) == 1 or candidates.needs.slowed
    alone = Search(candidates, Subtree("", attempt.bins(chosen)), single=True).solve().solution
    assert searched is not None
    assert alone is not None
    # Not by their order: a domain whose nodes are in two leaves is two bins of the same.
    position = {b.index: i for i, b in enumerate(every)}
    beside_others = over_all.objective.solution_of({position[b.index]: racks for b, racks in alone.parts})
    assert beside_others.key == searched.key
    assert [b.order for b, _ in alone.parts] == [b.order for b, _ in searched.parts]
    direct = quick.solution_in_one_rack(attempt, alone.parts[0][0].index)
    assert direct is not None or candidates.needs.slowed
    if direct is not None:
        again = over_all.objective.solution_of({position[b.index]: racks for b, racks in direct.parts})
        assert again.key == searched.key
        assert [racks for _, racks in direct.parts] == [racks for _, racks in alone.parts]


FREE = NodeType("t", "gpu", 1, 0, 1000, nvlink_scope=NvlinkScope.OBJECT)


def pool(free: list[int], used: list[int]) -> State:
    """Racks with so many free and so many used nodes, each one NVLink domain; watts bind nothing."""
    racks = tuple(RackSpec(f"r{i}", "t", 0, 10**6, (Feed("p"),)) for i in range(len(free)))
    spec = FacilitySpec((FREE,), racks, (PowerSpec("p", 10**9),))
    nodes = [
        NodeSpec(f"r{i}-n{n}", f"r{i}", f"r{i}") for i in range(len(free)) for n in range(free[i] + used[i])
    ]
    state = State(compile_facility(spec), nodes)
    for i, count in enumerate(used):
        for n in range(count):
            state.set_unmanaged(f"r{i}-n{n}", 1)
    return state


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), min_size=2, max_size=9),
    st.integers(1, 14),
    st.sampled_from([1, 1, 2, 3]),
)
@settings(max_examples=some(400), deadline=None)
def test_a_large_set_has_as_few_of_the_largest_as_any_set_of_its_count(
    racks: list[tuple[int, int]], runs: int, run: int
) -> None:
    assume(any(f + u for f, u in racks))
    state = pool([f for f, _ in racks], [u for _, u in racks])
    request = Request(slots=runs * run, gpus_per_slot=1, resource="gpu", segment_slots=run)
    attempt = attempts(Candidates(state, request, "MaxP"))[-1]
    chosen = quick.in_many_bins(attempt, 0, examined=0)
    free = {
        int(b): int(attempt.bin_free[b]) for b in range(len(attempt.bin_free)) if attempt.bin_free[b] >= run
    }
    units = {b: min(f // run, runs) for b, f in free.items()}
    counts = [
        c
        for c in range(1, len(free) + 1)
        if any(sum(units[b] for b in s) >= runs for s in combinations(free, c))
    ]
    if not counts:
        assert chosen is None
        return
    assert chosen is not None
    assert len(chosen) == counts[0]
    assert sum(units[b] for b in chosen) >= runs
    half = -(-request.slots // (2 * counts[0]))
    pristine = {b for b in free if not attempt.used_nodes[b]}
    for allowed in (
        {b for b in free if free[b] >= half} - pristine,
        {b for b in free if free[b] >= half},
        set(free),
    ):
        sets = [s for s in combinations(sorted(allowed), counts[0]) if sum(units[b] for b in s) >= runs]
        if sets:
            assert set(chosen) <= allowed
            best = min(sorted((free[b] for b in s), reverse=True) for s in sets)
            assert sorted((free[b] for b in chosen), reverse=True) == best
            return


def rows(racks: list[tuple[int, int, int, int]]) -> State:
    """Racks in rows of two halls, by (row, free nodes, nodes in use, nodes that the rack's watts leave)."""
    specs = tuple(
        RackSpec(f"r{i}", "t", 0, 1_000 * (used + fed), (Feed("p"),))
        for i, (_, _, used, fed) in enumerate(racks)
    )
    spec = FacilitySpec((FREE,), specs, (PowerSpec("p", 10**9),), levels=("row", "hall"))
    nodes = [
        NodeSpec(f"r{i}-n{n}", f"r{i}", f"r{i}", (("row", f"row{row}"), ("hall", f"hall{row // 2}")))
        for i, (row, free, used, _) in enumerate(racks)
        for n in range(free + used)
    ]
    state = State(compile_facility(spec), nodes)
    for i, (_, _, used, _) in enumerate(racks):
        for n in range(used):
            state.set_unmanaged(f"r{i}-n{n}", 1)
    return state


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from([1, 4, 5, 6]), st.integers(0, 1), st.sampled_from([4, 6])
        ),
        min_size=3,
        max_size=8,
    ),
    st.integers(2, 12),
    st.sampled_from([1, 2, 3, 4]),
)
@settings(max_examples=some(400), deadline=None)
def test_of_bins_that_are_alike_the_first_by_name_are_enough_to_compare(
    racks: list[tuple[int, int, int, int]], runs: int, run: int
) -> None:
    state = rows(racks)
    request = Request(slots=runs * run, gpus_per_slot=1, resource="gpu", segment_slots=run)
    attempt = attempts(Candidates(state, request, "MaxP"))[-1]
    every = Subtree("", attempt.bins(range(len(attempt.layout.bin_starts))))
    search = Search(attempt.candidates, every, single=False)
    usable = search.sets.usable()
    assert [b.index for b in attempt.subtree(0).bins] == [every.bins[i].index for i in usable]

    def best(sets: Iterable[tuple[int, ...]]) -> tuple[object, ...] | None:
        filled = [(s, parts) for s in sets if (parts := search.sets.distribute(s, search.sets.caps))]
        return min(((search.objective.ideal_key(s, p), s, p) for s, p in filled), default=None)

    for count in range(1, len(usable) + 1):
        assert best(search.sets.by_kind(usable, count)) == best(combinations(usable, count))


changes = st.dictionaries(st.integers(0, 19), st.integers(0, 3), max_size=4)


@given(worlds(), changes, changes, changes, changes, st.booleans())
@settings(max_examples=some(100), deadline=None)
def test_a_view_under_a_mask_made_of_another_is_as_if_it_were_read_anew(
    state: State,
    first: dict[int, int],
    apart: dict[int, int],
    then: dict[int, int],
    last: dict[int, int],
    seen: bool,
) -> None:
    names, kind = sorted(n.name for n in state.nodes()), PodKind("gpu", 1, "MaxP")

    def named(changed: dict[int, int]) -> dict[str, int]:
        return {names[i % len(names)]: slots for i, slots in changed.items()}

    base = NodeMask(dict.fromkeys(names, 2))
    if seen:  # as it was, before it changed
        state.view(kind, base)
    for name, slots in named(first).items():
        base.set(name, slots)
    state.view(kind, base)
    other = base.changed(named(apart))
    for mask, more in ((base, then), (other, last)):
        for name, slots in named(more).items():
            mask.set(name, slots)
    state.view(kind, other).validate()
    state.view(kind, base).validate()


@given(
    worlds(),
    st.lists(
        st.tuples(
            st.sampled_from(["place", "release", "expect", "health", "unmanaged", "mask"]),
            st.integers(0, 19),
            st.integers(0, 4),
        ),
        max_size=12,
    ),
    st.sampled_from([0, 1, 2, 4]),
)
@settings(max_examples=some(200), deadline=None)
def test_a_view_that_follows_events_equals_a_new_count(
    state: State, steps: list[tuple[str, int, int]], gpus: int
) -> None:
    names = sorted(n.name for n in state.nodes())
    mask = NodeMask(dict.fromkeys(names, 2))
    view = state.view(PodKind("gpu", gpus, "MaxP"), mask)
    layouts = [state.layout("", "gpu", bins="nvlink"), state.layout("leaf", "gpu", bins="")]
    for layout in layouts:
        view.sums(layout)
        state.ends.by_bin(layout)
    for step, which, amount in steps:
        name = names[which % len(names)]
        match step:
            case "place":
                answer = place(state, Request(slots=amount + 1, gpus_per_slot=2, resource="gpu"))
                if isinstance(answer, Placement) and state.booking(str(which)) is None:
                    state.book(str(which), answer, until=float(amount))
            case "release":
                state.release(str(which))
            case "expect":
                state.expect(str(which), amount or None)
            case "health":
                node = state.node(name)
                assert node is not None
                state.set_node(replace(node, healthy=amount % 2 == 0))
            case "unmanaged":
                state.set_unmanaged(name, amount)
            case "mask":
                mask.set(name, amount)
        assert state.view(PodKind("gpu", gpus, "MaxP"), mask) is view
        view.validate()
        with state.simulation():
            answer = place(state, Request(slots=1, gpus_per_slot=4, resource="gpu"))
            if isinstance(answer, Placement):
                state.book("tried", answer)
            state.view(PodKind("gpu", gpus, "MaxP"), mask).validate()
            state.ends.validate()
        state.ends.validate()
    assert np.array_equal(state.view(PodKind("gpu", gpus, "MaxP"), mask).slots, view.slots)
    state.validate()
