"""The page that Prometheus scrapes: its text, what is made anew, and who has a turn meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rackplane.controller.metrics.exposition import Exposition


class Kept(Collector):
    """Tells one metric that is the same object each time, and one that is not."""

    def __init__(self) -> None:
        self.kept = GaugeMetricFamily("kept", "Kept.", value=1)
        self.value = 1

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield self.kept
        yield GaugeMetricFamily("fresh", "Fresh.", value=self.value)


async def test_the_text_is_that_of_prometheus_client_and_a_metric_that_is_kept_is_not_rendered_again() -> (
    None
):
    registry, collector = CollectorRegistry(), Kept()
    registry.register(collector)
    page = Exposition(registry)
    assert await page.text() == generate_latest(registry)
    collector.value = 2
    collector.kept.add_metric([], 9)  # to see that nobody looks at it again
    text = (await page.text()).decode()
    assert "kept 1.0\n" in text and "kept 9.0" not in text and "fresh 2.0\n" in text
    collector.kept = GaugeMetricFamily("kept", "Kept.", value=3)
    assert await page.text() == generate_latest(registry)


async def test_others_have_a_turn_between_two_metrics_that_take_long() -> None:
    registry, now, turns = CollectorRegistry(), [0.0], list[float]()
    registry.register(Kept())

    def clock() -> float:
        now[0] += 0.02
        return now[0]

    async def sleep(seconds: float) -> None:
        turns.append(seconds)
        await asyncio.sleep(0)

    await Exposition(registry, monotonic=clock, sleep=sleep).text()
    assert turns == [0, 0]
