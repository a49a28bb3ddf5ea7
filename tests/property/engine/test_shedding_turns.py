"""The cheapest combination of steps at the margin against all combinations, one cluster of limits at a time."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.shedding.windows import Turns, best_turns
from tests.support.thorough import some

PLACES = 2


@st.composite
def margins(draw: st.DrawFn) -> tuple[Turns, list[int], list[int]]:
    """Up to ten turns in two clusters; limits by cluster, and what is given too much on each."""
    clusters = draw(st.lists(st.integers(0, 1), min_size=2, max_size=4))
    over = [draw(st.integers(0, 4)) for _ in clusters]
    gives, limits, losses, owners = [], [], [], []
    for _ in range(draw(st.integers(1, 10))):
        sign = draw(st.sampled_from([-1, 1]))
        of = draw(st.lists(st.integers(0, len(clusters) - 1), max_size=PLACES, unique=True))
        limits.append(sorted(of) + [len(clusters)] * (PLACES - len(of)))
        gives.append([sign * draw(st.integers(0, 3)) for _ in of] + [0] * (PLACES - len(of)))
        losses.append(sign * draw(st.integers(1, 9)))
        owners.append(draw(st.integers(0, 1)))
    turns = Turns(
        np.arange(len(gives)),
        np.array(gives, dtype=np.float64),
        np.array(limits, dtype=np.int64),
        np.array(losses, dtype=np.float64),
        np.array(owners, dtype=np.int64),
        np.arange(len(gives), dtype=np.float64),
    )
    return turns, clusters, over


@given(margins())
@settings(max_examples=some(300), deadline=None)
def test_no_combination_of_a_clusters_turns_keeps_all_limits_and_saves_more(
    case: tuple[Turns, list[int], list[int]],
) -> None:
    turns, clusters, over = case
    found = set(best_turns(turns, np.array(over, dtype=np.float64), np.array(clusters)).tolist())
    for cluster in (0, 1):
        own = np.flatnonzero(turns.cluster == cluster).tolist()
        allowed = [spare if of == cluster else 0 for of, spare in zip(clusters, over, strict=True)]
        kept = {}
        for combination in product([False, True], repeat=len(own)):
            given_here = [0.0] * (len(clusters) + 1)
            chosen = [turn for turn, taken in zip(own, combination, strict=True) if taken]
            for turn in chosen:
                for place in range(PLACES):
                    given_here[turns.limits[turn, place]] += turns.gives[turn, place]
            if all(watts >= -spare for watts, spare in zip(given_here, allowed, strict=False)):
                kept[frozenset(chosen)] = sum(turns.losses[chosen].tolist())
        assert kept[frozenset(found & set(own))] == min(kept.values())
