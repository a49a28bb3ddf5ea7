"""Headroom of all racks equals the definition, rack by rack, in one pass and after changes of a few."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from rackplane.engine.physics.headroom import HeadroomTable

LIMITS = [100.0, 60.0, -10.0, math.inf, 900.0]

Entries = list[tuple[int, float]]
"""Cells with coefficients."""


def table(racks: list[Entries], peak: list[Entries] | None = None, *, limits: list[float]) -> HeadroomTable:
    """Racks by what bounds their nominal and their peak draw."""
    flat = [(column, *entry) for column, entries in enumerate([*racks, *(peak or [])]) for entry in entries]
    random.Random(5).shuffle(flat)
    return HeadroomTable(
        len(racks),
        np.array([column for column, _, _ in flat], dtype=np.int64),
        np.array([cell for _, cell, _ in flat], dtype=np.int64),
        np.array([coefficient for _, _, coefficient in flat]),
        np.array(limits),
    )


def by_definition(racks: list[Entries], slack: list[float]) -> list[float]:
    return [min((slack[cell] / c for cell, c in entries), default=math.inf) for entries in racks]


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
def test_each_rack_has_the_least_slack_over_coefficient(racks: list[Entries], expected: list[float]) -> None:
    found = table(racks, limits=LIMITS).of(np.zeros(len(LIMITS))).least
    assert found.tolist() == [*expected, *[math.inf] * len(racks)]


def test_nominal_and_peak_draw_of_a_rack_have_a_headroom_each() -> None:
    found = table([[(0, 1.0)], [(1, 1.0)]], [[(4, 1.0)], [(0, 2.0)]], limits=LIMITS)
    assert found.of(np.full(len(LIMITS), 10.0)).least.tolist() == [90.0, 50.0, 890.0, 45.0]


def test_racks_of_very_different_depth_are_treated_alike() -> None:
    deep = [(cell % 2, 1.0 + cell) for cell in range(200)]
    racks: list[Entries] = [deep, *([(4, 3.0)] for _ in range(20)), []]
    found = table(racks, limits=LIMITS).of(np.zeros(len(LIMITS))).least
    assert found[: len(racks)].tolist() == [
        min(LIMITS[cell] / coefficient for cell, coefficient in deep),
        *[300.0] * 20,
        math.inf,
    ]


@pytest.mark.parametrize("deepest", [1, 60], ids=["racks alike", "one rack with many limits"])
@pytest.mark.parametrize("halls", [1, 2, 10])
def test_after_changes_of_a_few_racks_it_is_as_worked_out_anew(halls: int, deepest: int) -> None:
    chance = random.Random(halls)
    own, a_hall, site = 20 * halls, halls, 2
    limits = [float(chance.randrange(50, 500)) for _ in range(own + a_hall + site + deepest)]
    racks: list[Entries] = [
        [(r, 1.0), (own + r // 20, 0.5), *((own + a_hall + s, 0.25 * (1 + s)) for s in range(site))]
        for r in range(own)
    ]
    racks[3] += [(own + a_hall + site + k, 1.0) for k in range(deepest)]
    peak: list[Entries] = [[(r, 2.0), (own + a_hall + 1, 1.0)] for r in range(own)]
    both = [*racks, *peak]
    headrooms = table(racks, peak, limits=limits)
    loads = np.zeros(len(limits))
    kept = headrooms.of(loads)
    for _ in range(50):
        changed = {chance.randrange(own) for _ in range(chance.choice([1, 1, 2, 8]))}
        for rack in changed:
            for cell, coefficient in {**dict(peak[rack]), **dict(racks[rack])}.items():
                loads[cell] += coefficient * chance.randrange(-3, 6)
        kept = headrooms.after(kept, loads, changed)
        slack = [limit - load for limit, load in zip(limits, loads.tolist(), strict=True)]
        assert kept.least.tolist() == pytest.approx(by_definition(both, slack))
        assert np.array_equal(kept.least, headrooms.of(loads).least)
