"""The text that Prometheus scrapes, written in pieces so that a scrape of a large facility holds up nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

__all__ = ["Exposition"]

#: Others have their turn after so long, in seconds.
_SLICE: Final = 0.01


class Exposition:
    """Renders a registry; the text of a metric that is the same object as at the last scrape is not made anew.

    Args:
        monotonic, sleep: for tests.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._registry = registry
        self._monotonic, self._sleep = monotonic, sleep
        # With the metric itself, so that no other one can have its id.
        self._texts: dict[int, tuple[Metric, bytes]] = {}
        self._turn = asyncio.Lock()

    async def text(self) -> bytes:
        """The whole page. One scrape at a time: the next waits."""
        async with self._turn:
            texts: dict[int, tuple[Metric, bytes]] = {}
            until = self._monotonic() + _SLICE
            for metric in self._registry.collect():
                known = self._texts.get(id(metric))
                texts[id(metric)] = known if known is not None and known[0] is metric else _rendered(metric)
                if self._monotonic() >= until:
                    await self._sleep(0)
                    until = self._monotonic() + _SLICE
            self._texts = texts
            return b"".join(text for _, text in texts.values())


class _One:
    """A registry of one metric, as far as rendering it goes."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def _rendered(metric: Metric) -> tuple[Metric, bytes]:
    return metric, generate_latest(_One(metric))
