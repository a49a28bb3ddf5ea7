"""Headroom of all racks in one pass equals the definition, rack by rack."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rackplane.engine.physics.headroom import HeadroomTable

SLACK = [100.0, 60.0, -10.0, math.inf, 900.0]


def table(racks: list[list[tuple[int, float]]]) -> HeadroomTable:
    flat = [entry for rack in racks for entry in rack]
    return HeadroomTable(
        np.cumsum([0, *(len(rack) for rack in racks)]),
        np.array([cell for cell, _ in flat], dtype=np.int64),
        np.array([coefficient for _, coefficient in flat]),
    )


@pytest.mark.parametrize(
    ("racks", "expected"),
    [
        ([[(0, 0.5), (1, 1.0)], [(0, 1.0), (4, 2.0)]], [60.0, 100.0]),
        ([[(0, 1.0)], [(2, 0.5), (0, 1.0)]], [100.0, -20.0]),
        ([[(3, 1.0)], [(4, 1.0)]], [math.inf, 900.0]),
        ([[], [(0, 1.0)]], [math.inf, 100.0]),
        ([], []),
    ],
    ids=[
        "least of its cells",
        "an exceeded limit",
        "nothing bounds it now",
        "a rack without cells",
        "no racks",
    ],
)
def test_each_rack_has_the_least_slack_over_coefficient(
    racks: list[list[tuple[int, float]]], expected: list[float]
) -> None:
    assert table(racks).of(np.array([*SLACK, math.inf])).tolist() == expected


def test_racks_of_very_different_depth_are_treated_alike() -> None:
    deep = [(cell % 2, 1.0 + cell) for cell in range(200)]
    racks = [deep, *([(4, 3.0)] for _ in range(20)), []]
    assert table(racks).of(np.array([*SLACK, math.inf])).tolist() == [
        min(SLACK[cell] / coefficient for cell, coefficient in deep),
        *[300.0] * 20,
        math.inf,
    ]
