"""The 99th percentile of how long caps take."""

from __future__ import annotations

import math

from rackplane.core.site.actuation import ENOUGH, KEPT, ActuationTimes


def times(*seconds: float) -> ActuationTimes:
    found = ActuationTimes()
    for each in seconds:
        found.add(each)
    return found


def test_without_enough_of_them_what_is_set_counts_or_a_longer_one() -> None:
    assert times().p99(10.0) == 10.0
    assert times(*[1.0] * (ENOUGH - 1)).p99(10.0) == 10.0
    assert times(1.0, 12.0).p99(10.0) == 12.0


def test_with_enough_it_is_the_nearest_rank() -> None:
    assert times(*[1.0] * 99, 7.0).p99(10.0) == 1.0
    assert times(*[1.0] * 98, 6.0, 7.0).p99(10.0) == 6.0


def test_caps_that_were_not_in_time_make_it_infinite_when_they_are_more_than_one_in_a_hundred() -> None:
    assert times(*[1.0] * 99, math.inf).p99(10.0) == 1.0
    assert times(*[1.0] * 98, math.inf, math.inf).p99(10.0) == math.inf


def test_the_latest_count() -> None:
    assert times(*[50.0] * 500, *[1.0] * KEPT).p99(10.0) == 1.0
