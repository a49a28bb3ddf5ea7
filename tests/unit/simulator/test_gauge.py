"""A gauge over time: exact means, and what did not last does not count."""

from __future__ import annotations

from rackplane.simulator.gauge import Gauge, Span


def test_mean_least_and_most_of_what_lasted() -> None:
    gauge = Gauge(4.0)
    gauge.set(10, 8.0)
    gauge.set(10, 100.0)  # for no time
    gauge.set(10, 2.0)
    assert gauge.take(20) == Span(2.0, 3.0, 4.0)
    assert gauge.take(20) == Span(2.0, 2.0, 2.0)
    gauge.set(30, 6.0)
    assert gauge.take(40) == Span(2.0, 4.0, 6.0)
