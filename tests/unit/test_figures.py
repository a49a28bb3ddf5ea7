"""Figures as they stand in columns."""

from __future__ import annotations

import pytest

from rackplane.figures import count, kilowatts, lasting


def test_kilowatts() -> None:
    shown = [kilowatts(watts) for watts in (0, 49, -49, 50, 1_250_000, -7_000)]
    assert shown == ["0.0", "0.0", "0.0", "0.1", "1,250.0", "-7.0"]


def test_how_many() -> None:
    shown = [count(1, "node"), count(0, "node"), count(1_056, "rack")]
    assert shown == ["1 node", "0 nodes", "1,056 racks"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3_570, "1.0 h"),
        (172_700, "2.0 d"),
        (86_400 * 3.2, "3.2 d"),
    ],
)
def test_how_long(seconds: float, words: str) -> None:
    assert lasting(seconds) == words
