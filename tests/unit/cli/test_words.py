"""Figures and limits as they stand in columns."""

from __future__ import annotations

import pytest

from rackplane.cli.words import nearest_limit
from rackplane.engine.physics.rows import NORMAL, Contingency, LimitRow, RowKind
from rackplane.engine.reporting.reports import WorstCase

UPS = LimitRow(RowKind.POWER_NOMINAL, "ups-b")
PEAK = LimitRow(RowKind.POWER_PEAK, "ups-b")
LOOP = LimitRow(RowKind.LIQUID, "loop")


@pytest.mark.parametrize(
    ("loss", "row", "second", "words"),
    [
        (NORMAL, UPS, (), "own continuous rating"),
        (NORMAL, PEAK, (), "own peak limit"),
        (NORMAL, LOOP, (), "cooling zone loop: 57.0 of 60.0 kW"),
        (Contingency("ups-a"), UPS, (), "losing ups-a: 57.0 of 60.0 kW"),
        (Contingency("ups-a"), PEAK, (), "losing ups-a: peak limit 57.0 of 60.0 kW"),
        (Contingency("ups-a"), LOOP, (), "losing ups-a: cooling zone loop 57.0 of 60.0 kW"),
        (
            Contingency("ups-a"),
            UPS,
            ("ups-c", "ups-d"),
            "losing ups-a (a second loss: ups-c, ups-d out): 57.0 of 60.0 kW",
        ),
    ],
)
def test_the_nearest_limit_names_the_loss_and_what_is_not_said_beside_it(
    loss: Contingency, row: LimitRow, second: tuple[str, ...], words: str
) -> None:
    assert nearest_limit(WorstCase(loss, row, 57_000, 60_000, 3_000, second), of="ups-b") == words


def test_no_limit_has_no_words() -> None:
    assert nearest_limit(None) == ""
