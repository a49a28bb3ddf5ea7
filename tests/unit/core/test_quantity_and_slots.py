"""Quantities are exact and slots round-trip."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rackplane.core.gangs.slots import format_slots, parse_slots
from rackplane.core.pods.quantity import milli


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        ("4", 4_000),
        ("500m", 500),
        ("0.1", 100),
        (".5", 500),
        ("1Gi", 1_073_741_824_000),
        ("16G", 16_000_000_000_000),
        ("1e3", 1_000_000),
        ("1E", 10**21),
        ("1500u", 2),
        ("-1", -1_000),
    ],
)
def test_a_quantity_is_read_in_thousandths_rounded_up(text: str, thousandths: int) -> None:
    assert milli(text) == thousandths


@pytest.mark.parametrize("text", ["", "four", "4 GPUs", "1Qi", "--1", "1e"])
def test_what_is_not_a_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|suffix"):
        milli(text)


@pytest.mark.parametrize(
    ("slots", "text"),
    [([], ""), ([3], "3"), ([0, 1, 2], "0-2"), ([7, 5, 6, 3, 3], "3,5-7"), ([0, 2, 4], "0,2,4")],
)
def test_slots_are_written_as_ascending_ranges(slots: list[int], text: str) -> None:
    assert format_slots(slots) == text


@pytest.mark.parametrize("text", ["a", "3-1", "1--2", "-1"])
def test_text_that_is_no_list_of_slots_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  int() words its own message
        parse_slots(text)


@given(st.frozensets(st.integers(0, 5_000), max_size=60))
def test_slots_round_trip(slots: frozenset[int]) -> None:
    assert parse_slots(format_slots(slots)) == slots
