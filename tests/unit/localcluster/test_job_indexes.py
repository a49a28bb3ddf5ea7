"""Sets of completion indexes, against sets of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackplane.localcluster.jobs import indexes

NUMBERS = st.frozensets(st.integers(0, 30))


def members(intervals: indexes.Intervals) -> set[int]:
    return {number for first, last in intervals for number in range(first, last + 1)}


@pytest.mark.parametrize("text", ["", "0", "0,1", "0-2", "1,3-5,7"])
def test_what_is_written_reads_back(text: str) -> None:
    assert indexes.write(indexes.parse(text, 100)) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("0-9", ((0, 4),), id="cut-at-the-completions"),
        pytest.param("0,5,6", ((0, 0),), id="none-beyond"),
        pytest.param("x,1", ((1, 1),), id="unreadable-left-out"),
        pytest.param("0,1,2-3", ((0, 3),), id="joined"),
    ],
)
def test_a_text_from_elsewhere(text: str, found: indexes.Intervals) -> None:
    assert indexes.parse(text, 5) == found


@given(NUMBERS, NUMBERS)
def test_intervals_are_sets_of_numbers(one: frozenset[int], other: frozenset[int]) -> None:
    here, there = indexes.of(one), indexes.of(other)
    assert indexes.union(here, there) == indexes.of(one | other)
    assert indexes.common(here, there) == len(one & other)
    assert indexes.count(here) == len(one)
    assert {number for number in range(35) if indexes.has(here, number)} == one
    assert indexes.parse(indexes.write(here), 100) == here
    assert members(here) == one


@given(NUMBERS, st.integers(0, 5), st.integers(0, 35))
def test_the_lowest_free_indexes_are_found(taken: frozenset[int], wanted: int, completions: int) -> None:
    free = [number for number in range(completions) if number not in taken]
    assert indexes.first_free(indexes.of(taken), wanted, completions) == free[:wanted]
