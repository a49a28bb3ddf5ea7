"""In small halls with power and losses no moves are cheaper than those that are found."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from random import Random

import pytest

from rackplane.engine.model import FacilitySpec, Feed, NodeSpec, Placement, PowerSpec, RackSpec, Request
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import find
from rackplane.engine.planning.defrag import start, whole_domains
from rackplane.engine.planning.moves import Bounds, Gang, Movable, MovePlan, Places
from rackplane.engine.preempting.costs import Cost, Victim
from rackplane.engine.state import State
from tests.property.engine.small_halls import TYPES
from tests.property.engine.small_halls import request as small_request
from tests.property.engine.test_preempting_optimum import GANGS, sets

CASES, PARTS = 200, 4


def fixed(request: Request, key: str) -> Gang:
    def asked(_: Collection[str], __: Places) -> Request:
        return request

    return Gang(key, asked)


def as_held(state: State, key: str) -> Request:
    """A request that a booking is an answer to."""
    placement = state.booking(key)
    assert placement is not None
    return Request(
        slots=len(placement.slots),
        gpus_per_slot=placement.gpus_per_slot,
        resource="gpu",
        power_profile=placement.power_profile,
        strict=True,
    )


def scattered(random: Random) -> tuple[State, list[Victim]]:
    """Racks on two feeds, with gangs of which some have ended since: what is free lies in pieces."""
    kind, size = TYPES[0], random.choice([3, 4])
    names = [f"r{r}" for r in range(random.choice([2, 3, 4]))]
    nodes = [
        NodeSpec(f"{rack}n{i}", rack, f"d-{rack}", (("leaf", "leaf0"), ("hall", "hall0")))
        for rack in names
        for i in range(size)
    ]
    cap = (kind.max_watts * kind.typical_utilization_percent) // 100
    feeds = [random.choice([("a", "b"), ("a", "b"), ("a",), ("b",)]) for _ in names]
    spec = FacilitySpec(
        TYPES,
        tuple(
            RackSpec(rack, kind.name, 500, 40_000, tuple(map(Feed, fed)))
            for rack, fed in zip(names, feeds, strict=True)
        ),
        tuple(
            PowerSpec(
                feed, round(len(nodes) * cap * random.uniform(0.5, 1.4)), survivable=random.random() < 0.5
            )
            for feed in ("a", "b")
        ),
        levels=("leaf", "hall"),
    )
    state = State(compile_facility(spec), nodes)
    booked = []
    for i in range(3 * len(names)):
        asked = replace(small_request(random, random.choice([2, 2, 4])), spread=random.random() < 0.3)
        placement = find(state, asked)
        if placement is not None:
            state.book(f"g{i}", placement)
            booked.append(f"g{i}")
    victims: list[Victim] = []
    for key in booked:
        if random.random() < 0.35 or len(victims) == GANGS:
            state.release(key)
        elif random.random() < 0.9:
            lost = random.choice([0, 1, 5, 5, random.randint(1, 1_000)])
            victims.append(Victim(key, random.choice([0, 0, 1, 2]), random.random() < 0.3, lost))
    return state, victims


def case(seed: int) -> tuple[State, list[Movable], Request, Bounds]:
    random = Random(seed)
    state, victims = scattered(random)
    movable = [Movable(fixed(as_held(state, v.key), v.key), v) for v in victims]
    asked = small_request(random, random.choice([4, 4, 8]))
    if random.random() < 0.7:
        asked = replace(asked, required="nvlink", slots=min(asked.slots, 4))
    bounds = Bounds(random.choice([2, 3, 8]), random.choice([None, None, 1_000]))
    return state, movable, replace(asked, strict=random.random() < 0.7), bounds


def moves_to(state: State, request: Request, movable: list[Movable], keys: Collection[str]) -> bool:
    """Whether the gang starts with these gone, and then each of them finds a place, the largest first."""
    by_key = {m.key: m for m in movable}
    order = sorted(keys, key=lambda k: (-sum(state.held_gpus(k).values()), k))

    def all_settle(offer: Placement) -> bool:
        with state.simulation():
            state.book("it", offer)
            for key in order:
                place = find(state, by_key[key].gang.request((), {}))
                if place is None:
                    return False
                state.book(key, place)
        return True

    with state.simulation():
        for key in keys:
            state.release(key)
        return find(state, request, all_settle) is not None


@pytest.mark.parametrize("part", range(PARTS))
def test_no_moves_are_cheaper(part: int) -> None:
    checked = moved = several = 0
    seed = part * 1_000_000
    while checked < CASES // PARTS:
        seed += 1
        state, movable, request, bounds = case(seed)
        if not movable or find(state, request) is not None:
            continue
        if seed % 3 and find(state, replace(request, required=None, segment_slots=None)) is None:
            continue  # it is not that what is free lies in pieces
        checked += 1
        best = next(
            (
                chosen
                for chosen in sets([m.cost for m in movable])
                if bounds.allow(chosen) and moves_to(state, request, movable, [v.key for v in chosen])
            ),
            None,
        )
        plan = start(state, fixed(request, "it"), movable, bounds)
        if best is None:
            assert plan is None, seed
            continue
        assert plan is not None, seed
        assert plan.cost == Cost.of(best), (seed, plan.moves, best)
        assert plan.proved, seed
        carried_out(state, plan)
        moved += 1
        several += len(best) > 1
    # A proof by cases is worth what the cases are.
    assert moved > CASES // PARTS // 5
    assert several > 1


def carried_out(state: State, plan: MovePlan) -> None:
    """Make the moves: no limit is broken, every gang has a place, and the domains named are empty."""
    with state.simulation():
        before = {(v.row, v.contingency) for v in state.violations()}
        for move in plan.moves:
            state.release(move.key)
        if plan.placement is not None:
            assert plan.waiting is not None
            state.book(plan.waiting, plan.placement)
        for move in plan.moves:
            assert len(move.after.slots) == len(move.before.slots)
            assert set(move.after.slots) != set(move.before.slots)
            state.book(move.key, move.after)  # raises where a GPU is held twice
        assert {(v.row, v.contingency) for v in state.violations()} <= before
        state.validate()
        for domain in plan.domains:
            on = [n for n in state.nodes() if domain in (n.domain, n.rack)]
            assert on
            assert not any(key for n in on if n.domain == domain for key in state.keys_on(n.name))


@pytest.mark.parametrize("part", range(PARTS))
def test_whole_domains_come_free_and_nobody_is_left_without_a_place(part: int) -> None:
    freed = 0
    for seed in range(part * 1_000_000, part * 1_000_000 + CASES // PARTS):
        state, movable, _, bounds = case(seed)
        plan = whole_domains(state, movable, bounds)
        if plan is None:
            continue
        assert plan.domains, seed
        assert bounds.allow(m.cost for m in plan.moves)
        carried_out(state, plan)
        freed += len(plan.domains)
    assert freed > CASES // PARTS // 8


def test_a_gang_that_fits_moves_nobody() -> None:
    moved = [
        start(state, fixed(request, "it"), movable)
        for state, movable, request, _ in map(case, range(60))
        if find(state, request) is not None
    ]
    assert moved == [None] * len(moved) and moved


def test_a_victim_costs_at_least_a_second() -> None:
    assert not Bounds(8, 0).allow([Victim("a", lost_gpu_seconds=0)])
