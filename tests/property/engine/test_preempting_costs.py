"""The cost of victims as one number orders sets as the cost in words does; covers are the cheapest there are."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.preempting.costs import Cost, Victim, weights
from rackplane.engine.preempting.covers import Cover, Gains, Work
from tests.support.thorough import some

_victims = st.lists(
    st.builds(
        Victim,
        key=st.just("g"),
        priority=st.integers(-3, 3),
        sheddable=st.booleans(),
        lost_gpu_seconds=st.integers(0, 50),
    ),
    max_size=6,
)


def _subsets(count: int) -> list[tuple[int, ...]]:
    return [chosen for n in range(count + 1) for chosen in combinations(range(count), n)]


@given(_victims)
@settings(max_examples=some(300), deadline=None)
def test_sums_of_weights_order_sets_as_their_costs_do(victims: list[Victim]) -> None:
    worth = weights(victims)
    sums = {s: sum(worth[v] for v in s) for s in _subsets(len(victims))}
    costs = {s: Cost.of(victims[v] for v in s) for s in sums}
    for a, b in combinations(sums, 2):
        assert (sums[a] < sums[b], sums[a] == sums[b]) == (costs[a] < costs[b], costs[a] == costs[b])


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
    st.lists(st.tuples(st.lists(st.integers(0, 9), min_size=8, max_size=8), st.integers(1, 30)), max_size=3),
    st.sets(st.integers(0, 7), max_size=3),
    st.integers(0, 8),
)
@settings(max_examples=some(500), deadline=None)
def test_a_cover_is_the_cheapest_one_that_is_allowed_and_accepted(
    prices: list[int], wanted: list[tuple[list[int], int]], apart: set[int], least: int
) -> None:
    demands = [(Gains(dict(zip(range(len(prices)), given, strict=False)), prices), n) for given, n in wanted]

    def allowed(chosen: object) -> bool:
        return len(apart.intersection(chosen)) <= 1  # type: ignore[arg-type]

    def accepts(chosen: frozenset[int]) -> bool:
        return len(chosen) >= least

    work = Work(1_000_000)
    everyone = sorted(range(len(prices)), key=lambda v: prices[v])
    found = Cover(prices, demands, allowed, accepts, work, others=everyone).cheapest()
    possible = [
        sum(prices[v] for v in s)
        for s in _subsets(len(prices))
        if allowed(s)
        and accepts(frozenset(s))
        and all(sum(g.amounts.get(v, 0) for v in s) >= n for g, n in demands)
    ]
    assert (None if found is None else sum(prices[v] for v in found)) == min(possible, default=None)
    assert not work.spent
