"""Bins cleared for whole runs: of random bins, some with victims in several, no set is cheaper than the one found."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.preempting.covers import Gains, Work
from rackplane.engine.preempting.regions import Segments
from rackplane.engine.preempting.runs import CheapestRuns
from tests.support.thorough import some

BINS, VICTIMS = 5, 7

cases = st.tuples(
    st.lists(st.integers(0, 3), min_size=1, max_size=BINS),  # free slots by bin
    st.lists(  # where each victim is, and how much it gives there
        st.dictionaries(st.integers(0, BINS - 1), st.integers(1, 5), min_size=1, max_size=3), max_size=VICTIMS
    ),
    st.lists(st.integers(1, 12), min_size=VICTIMS, max_size=VICTIMS),  # prices
    st.integers(1, 9),  # slots of the gang
    st.integers(2, 4),  # of a run
    st.lists(st.integers(0, 2), min_size=BINS, max_size=BINS),  # slots that are never free
    st.integers(0, 30),  # what is cheap enough, 0: anything
)


def fits(segments: Segments, chosen: tuple[int, ...], slots: int, run: int) -> bool:
    """Whether the bins take all runs and the short one, by trying where the short one goes."""
    free = [
        min(room, f + sum(n for v, n in gains.amounts.items() if v in chosen))
        for f, room, gains in zip(segments.free, segments.room, segments.gains, strict=True)
    ]
    runs, short = slots // run, slots % run
    places = [None] if not short else [b for b, f in enumerate(free) if f >= short]
    return any(
        sum((f - (short if b == place else 0)) // run for b, f in enumerate(free)) >= runs for place in places
    )


@given(cases)
@settings(max_examples=some(600), deadline=None)
def test_no_set_is_cheaper(
    case: tuple[list[int], list[dict[int, int]], list[int], int, int, list[int], int],
) -> None:
    free, where, prices, slots, run, never, enough = case
    prices = prices[: len(where)]
    amounts: list[dict[int, int]] = [
        {v: gives[b] for v, gives in enumerate(where) if b in gives} for b in range(len(free))
    ]
    room = [
        f + max(0, sum(a.values()) - never[b]) for b, (f, a) in enumerate(zip(free, amounts, strict=True))
    ]
    segments = Segments(tuple(free), tuple(room), tuple(Gains(a, prices) for a in amounts))
    sets = (s for n in range(len(where) + 1) for s in combinations(range(len(where)), n))
    costs = [sum(prices[v] for v in s) for s in sets if fits(segments, s, slots, run)]
    least = min((c for c in costs if not enough or c < enough), default=None)
    found = CheapestRuns(segments, slots, run, prices, Work(100_000), enough or None).find()
    assert found.proved
    if least is None:
        assert found.victims is None
    else:
        assert found.victims is not None
        assert fits(segments, tuple(found.victims), slots, run)
        assert sum(prices[v] for v in found.victims) == least


def test_without_enough_work_what_is_found_is_not_called_proved() -> None:
    gains = tuple(Gains({b: 4, b + 1: 4}, [1] * 9) for b in range(8))
    segments = Segments((0,) * 8, (8,) * 8, gains)
    found = CheapestRuns(segments, 16, 4, [1] * 9, Work(1)).find()
    assert not found.proved
