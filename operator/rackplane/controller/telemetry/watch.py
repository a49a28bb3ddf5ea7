"""Asks a Prometheus what nodes draw, again and again, and tells the machine: for status, and for metrics."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import aiohttp
import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from rackplane.controller.metrics.families import one
from rackplane.controller.metrics.telemetry import UP
from rackplane.controller.telemetry.observations import Observations
from rackplane.controller.telemetry.prometheus import Prometheus, PrometheusError, Sample
from rackplane.core.site.observed import Observed
from rackplane.engine.state import State

__all__ = ["PRESETS", "TelemetryWatch", "node_watts"]

log = structlog.stdlib.get_logger(__name__)

PRESETS: Final[Mapping[str, tuple[str, str]]] = {
    # Kepler 0.10 and later reads a node's platform power from its BMC.
    "kepler": (
        'sum by (node_name) (last_over_time(kepler_platform_watts{{source="redfish"}}[{stale}s]))',
        "node_name",
    ),
    # dcgm-exporter: GPUs alone, one series each; a GPU that is missing is taken for the mean of the others.
    "dcgm": ("avg by (Hostname) (last_over_time(DCGM_FI_DEV_POWER_USAGE[{stale}s]))", "Hostname"),
}
"""Queries by name, with the label that names the node. A plain query tells values up to five minutes old as of now, so
each looks back only as far as readings count."""


def node_watts(
    samples: Iterable[Sample], label: str, *, times: Callable[[str], int] = lambda _: 1, host_watts: int = 0
) -> dict[str, int]:
    """Watts by node; what is no node's, or no finite number of watts, is left out.

    Args:
        label: of a series, that names its node.
        times: how often a node's value counts: its GPUs, where a value is of one.
        host_watts: what no series tells of, added to each.
    """
    found: dict[str, float] = {}
    for sample in samples:
        node, watts = sample.metric.get(label, ""), sample.number()
        if node and math.isfinite(watts) and watts >= 0:
            # The same node twice, as by two replicas of an exporter, is no node that draws twice as much.
            found[node] = max(watts, found.get(node, 0.0))
    return {node: round(watts * times(node)) + host_watts for node, watts in found.items()}


class TelemetryWatch(Collector):
    """Readings of a Prometheus, until cancelled; a collector of whether there are any.

    Args:
        prometheus: who is asked.
        query: a preset's name, or a query whose vector has one value, in watts, for each node.
        label: the label that names the node; empty: that of the preset.
        host_watts: what the readings do not include, by node.
        state: the machine's, or None before it has one.
        tell: called with what is known after each question.
        seconds: between two questions.
        wall, monotonic, sleep: for tests.
    """

    def __init__(
        self,
        prometheus: Prometheus,
        observations: Observations,
        *,
        query: str,
        label: str,
        host_watts: int,
        stale_seconds: float,
        state: Callable[[], State | None],
        tell: Callable[[Observed], None],
        seconds: float = 15.0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        preset = PRESETS.get(query)
        text, own_label = (query, "node") if preset is None else preset
        self._query = text if preset is None else text.format(stale=math.ceil(stale_seconds))
        self._label = label or own_label
        self._of_gpus = query == "dcgm"
        # GPUs alone are not what a node draws: nothing that is booked may be lowered to it.
        self._of_nodes = not self._of_gpus or host_watts > 0
        self._prometheus, self._observations = prometheus, observations
        self._host_watts, self._state, self._seconds = host_watts, state, seconds
        self._tell, self._wall, self._monotonic, self._sleep = tell, wall, monotonic, sleep
        self._problem = ""
        self._read: dict[str, int] = {}

    async def run(self) -> None:
        """Ask until cancelled. What fails is logged once, and asked again."""
        async with aiohttp.ClientSession() as session:
            while True:
                await self.look(session)
                await self._sleep(self._seconds)

    async def look(self, session: aiohttp.ClientSession) -> None:
        """Ask once, and judge what is known then."""
        state, problem = self._state(), ""
        self._read = {}
        try:
            samples = await self._prometheus.query(session, self._query)
            watts = node_watts(samples, self._label, times=self._gpus, host_watts=self._host_watts)
            known = {node for node in watts if state is None or state.node(node) is not None}
            readings = {node: watts[node] for node in known}
            self._observations.take(readings, self._monotonic())
            self._read = readings if self._of_nodes else {}
            if samples and not known:
                problem = f"none of {len(samples)} series names a node in its label {self._label!r}"
        except PrometheusError as error:
            problem = str(error)
        if problem and problem != self._problem:
            log.warning("no telemetry: reserved peak counts where readings are old", problem=problem)
        self._problem = problem
        if state is None:
            return
        for rack, drifts in self._observations.judge(state, self._monotonic()):
            seen = self._observations.latest[rack]
            log.warning(
                "rack drifts" if drifts else "rack drifts no more", rack=rack, observed_watts=seen.watts
            )
        self._tell(self._observed())

    def _observed(self) -> Observed:
        return Observed(self._wall(), self._observations.latest, self._read)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield UP.of(one(not self._problem))

    def _gpus(self, node: str) -> int:
        state = self._state()
        node_type = None if state is None else state.node_type(node)
        return node_type.gpus_per_node if self._of_gpus and node_type is not None else 1
