"""What gangs draw later, kept gang by gang: as a sum over all of them finds it."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rackplane.engine.queueing.draws import Draws

ends = st.none() | st.integers(1, 12).map(float)
changes = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.none() | st.tuples(st.integers(0, 9), ends)), max_size=20
)


@given(changes, st.integers(0, 13).map(float), st.integers(-1, 40), st.sets(st.sampled_from("abcdefgh")))
def test_the_sum_at_a_time_and_the_first_time_of_a_sum_are_those_of_a_look_at_all(
    told: list[tuple[str, tuple[int, float | None] | None]], time: float, watts: int, gone: set[str]
) -> None:
    draws, held = Draws(), dict[str, tuple[int, float]]()
    for key, what in told:
        if what is None:
            draws.drop(key)
            held.pop(key, None)
        else:
            draws.put(key, *what)
            held[key] = what[0], math.inf if what[1] is None else what[1]
        draws.at(time)  # what it has counted by then must not be used any more

    def left(at: float, gone: set[str] | frozenset[str] = frozenset()) -> int:
        return sum(w for key, (w, end) in held.items() if end > at and key not in gone)

    assert draws.at(time, gone) == left(time, gone)
    times = sorted({time, *(end for _, end in held.values() if end > time)})
    expected = next((at for at in times if left(at) <= watts), math.inf)
    assert draws.falls_to(watts, time) == expected
