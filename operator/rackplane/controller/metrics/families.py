"""What a metric is before it has samples: its name, type, labels and meaning, written once.

From these come the samples, the page docs/metrics.md, and what the tests hold dashboards and alerts against.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

__all__ = ["Family", "Kind", "Samples", "Section", "counter", "gauge", "histogram", "one"]

Samples = Iterable[tuple[Sequence[str], float]]
"""Values of the labels in their order, and the value."""


class Kind(enum.Enum):
    """What Prometheus calls a type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Args:
        name: as it is scraped: of a counter with ``_total``.
        text: one or two sentences; the first is its help.
        labels: in the order in which samples give them.
        buckets: upper bounds of a histogram, without +Inf.
        only: where it is told, if not always: part of a sentence that begins with "only".
    """

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    only: str = ""

    def __post_init__(self) -> None:
        if (self.kind is Kind.COUNTER) is not self.name.endswith("_total"):
            raise ValueError(f"{self.name}: counters, and nothing else, end in _total")

    @property
    def scraped(self) -> tuple[str, ...]:
        """The names under which Prometheus stores it."""
        if self.kind is not Kind.HISTOGRAM:
            return (self.name,)
        return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))

    def of(self, samples: Samples) -> Metric:
        """The metric of a counter or gauge with these samples."""
        family: CounterMetricFamily | GaugeMetricFamily
        if self.kind is Kind.COUNTER:
            family = CounterMetricFamily(self.name.removesuffix("_total"), self.text, labels=self.labels)
        else:
            family = GaugeMetricFamily(self.name, self.text, labels=self.labels)
        for values, value in samples:
            family.add_metric(values, value)
        return family

    def counted(self, registry: CollectorRegistry) -> Counter:
        """A counter that counts as things happen."""
        return Counter(self.name.removesuffix("_total"), self.text, self.labels, registry=registry)

    def observed(self, registry: CollectorRegistry) -> Histogram:
        """A histogram that counts as things happen."""
        return Histogram(self.name, self.text, self.labels, buckets=self.buckets, registry=registry)


@dataclass(frozen=True, slots=True)
class Section:
    """Metrics that belong together on the page.

    Args:
        note: a sentence or two before the table.
    """

    title: str
    note: str
    families: tuple[Family, ...]

    def __iter__(self) -> Iterator[Family]:
        return iter(self.families)


def gauge(name: str, text: str, *labels: str, only: str = "") -> Family:
    return Family(f"rackplane_{name}", Kind.GAUGE, text, labels, only=only)


def counter(name: str, text: str, *labels: str, only: str = "") -> Family:
    return Family(f"rackplane_{name}_total", Kind.COUNTER, text, labels, only=only)


def histogram(name: str, text: str, *labels: str, buckets: Sequence[float], only: str = "") -> Family:
    return Family(f"rackplane_{name}", Kind.HISTOGRAM, text, labels, tuple(buckets), only=only)


_NO_LABELS: Final[Sequence[str]] = ()


def one(value: float) -> Samples:
    """The sample of a metric without labels."""
    return [(_NO_LABELS, float(value))]
