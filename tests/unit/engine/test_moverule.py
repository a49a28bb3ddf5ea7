"""What moves may cost, and whether they gain enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rackplane.engine.planning.moverule import MoveRule
from rackplane.engine.planning.moves import Bounds

RULE = MoveRule(
    most_moves=4, most_lost_gpu_hours=None, moves_per_hour=6, lost_gpu_hours_per_hour=10.0, least_gain=2.0
)


@pytest.mark.parametrize(
    ("rule", "recent", "expected"),
    [
        (RULE, [], Bounds(4, 36_000)),
        (RULE, [3_600, 3_600, 1_800], Bounds(3, 27_000)),
        (RULE, [1] * 6, None),
        (RULE, [36_000], None),
        (replace(RULE, most_lost_gpu_hours=1.0), [3_600], Bounds(4, 3_600)),
        (replace(RULE, most_lost_gpu_hours=9.5), [3_600], Bounds(4, 32_400)),
        (replace(RULE, lost_gpu_hours_per_hour=None), [10**9], Bounds(4, None)),
        (replace(RULE, most_moves=0), [], None),
    ],
)
def test_what_is_left_of_the_hour(rule: MoveRule, recent: list[int], expected: Bounds | None) -> None:
    assert rule.left(recent) == expected


@pytest.mark.parametrize(
    ("saved", "lost", "expected"),
    [(200.0, 100, True), (199.0, 100, False), (0.0, 100, False), (0.0, 0, False), (1.0, 0, True)],
)
def test_a_start_must_save_twice_what_it_loses(saved: float, lost: int, *, expected: bool) -> None:
    assert RULE.gains(saved, lost) is expected
