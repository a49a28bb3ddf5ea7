"""Axes of plots: where ticks are, and how figures are written."""

from __future__ import annotations

import pytest

from rackplane.simulator.report.axes import (
    SHARE,
    Scale,
    counted,
    linear,
    place_of_wait,
    places_of_waits,
    time_ticks,
    watts,
)

DAY = 86_400


@pytest.mark.parametrize(
    ("low", "high", "scale", "ticks"),
    [
        (0, 1_056_000, watts(1_056_000), ["0", "200", "400", "600", "800", "1,000", "1,200 kW"]),
        (-249_500, 190_000, watts(249_500), ["-300", "-200", "-100", "0", "100", "200 kW"]),
        (0, 4_096, counted("GPUs"), ["0", "1,000", "2,000", "3,000", "4,000", "5,000 GPUs"]),
        (0, 0, counted("GPUs"), ["0", "1 GPUs"]),
        (0, 3, counted("s"), ["0", "1", "2", "3 s"]),
        (0, 1, SHARE, ["0", "25", "50", "75", "100 %"]),
        (0, 0.012, SHARE, ["0", "0.2", "0.4", "0.6", "0.8", "1", "1.2 %"]),
        (5, 7, watts(7), ["0", "2", "4", "6", "8 W"]),
        (0, 71_000_000, watts(71_000_000), ["0", "25", "50", "75 MW"]),
    ],
)
def test_ticks_are_round_hold_zero_and_say_the_unit_once(
    low: float, high: float, scale: Scale, ticks: list[str]
) -> None:
    bottom, top, found = linear(low, high, scale, most=6)
    assert [tick.text for tick in found] == ticks
    assert bottom <= min(low, 0) and top >= high
    assert (found[0].place, found[-1].place) == (0.0, 1.0)


def test_figures_have_thousands_and_no_zeros_at_the_end() -> None:
    scale = watts(2e6)
    assert [scale.words(v) for v in (0, -0.4, 1_500, 1_000, 1_234_567)] == [
        *("0 kW", "0 kW", "1.5 kW", "1 kW", "1,234.6 kW")
    ]


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [
        (45, ["second 0", "5", "10", "15", "20", "25", "30", "35", "40", "45"]),
        (5 * 3_600, ["hour 0", "1", "2", "3", "4", "5"]),
        (11.3 * DAY, ["day 0", "2", "4", "6", "8", "10"]),
        (60 * DAY, ["day 0", "10", "20", "30", "40", "50", "60"]),
        (0, ["second 0"]),
    ],
)
def test_time_is_counted_in_what_is_long_enough(seconds: float, ticks: list[str]) -> None:
    assert [tick.text for tick in time_ticks(seconds)] == ticks


def test_waits_are_on_a_logarithmic_axis_with_a_place_for_none() -> None:
    ticks, end = places_of_waits(DAY)
    assert [tick.text for tick in ticks] == ["none", "1 min", "10 min", "1 h", "6 h", "1 d"]
    assert [place_of_wait(seconds, end) for seconds in (0, 30, 60, end)] == [0.0, 0.04, 0.08, 1.0]
    hour, six = place_of_wait(3_600, end), place_of_wait(6 * 3_600, end)
    assert place_of_wait(36 * 3_600, 36 * 3_600.0) == 1.0
    assert six - hour == pytest.approx(hour - place_of_wait(600, end))
