"""What is read as a number, whatever it is."""

from __future__ import annotations

import pytest

from rackplane.api.numbers import whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("007", 7),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, None),
        ("9" * 5_000, None),
        (None, None),
        ("", None),
        (" 1", None),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("1_000", None),
        ("\u0663", None),  # a digit of Arabic script
        ("\u00b2", None),  # a superscript, which int() does not read
    ],
)
def test_a_number_is_ascii_digits_and_not_endless(text: str | None, number: int | None) -> None:
    assert whole_number(text) == number
