"""What a Prometheus says of power domains and cooling zones, as reports: one more source of facility events.

From here on it is as with every other source (docs/facility-events.md): an element is what its spec says, made worse by
its reports; each report promises another one, and where none comes bad news goes on to count and people are told.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
import structlog

from rackplane.api.report import ReportedState, ReportWhat
from rackplane.controller.reports.desk import Outcome
from rackplane.controller.reports.sayings import TELEMETRY, Reading, Saying
from rackplane.controller.telemetry.prometheus import Prometheus, PrometheusError, Sample
from rackplane.core.gangs.statuses import timestamp
from rackplane.kube.client import ApiError

__all__ = ["EXPIRES_SECONDS", "ElementWatch", "celsius"]

#: A report promises another one within so long, in seconds. One that says the same is sent after half of it.
EXPIRES_SECONDS: Final = 300.0
#: So far below the last full degree a supply must be until it is reported cooler, in degrees Celsius.
_HYSTERESIS: Final = 0.5
#: Degrees Celsius that the API takes for a supply temperature.
_COLDEST, _HOTTEST = -50, 150

log = structlog.stdlib.get_logger(__name__)


class Reports(Protocol):
    """`controller.reports.desk.Desk`, as far as it is used here."""

    async def take(self, source: str, reading: Reading) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query, and what its series are of: the label with an element's name is the same as in our own metrics."""

    kind: str
    label: str
    what: ReportWhat
    query: str


class ElementWatch:
    """Asks until cancelled, and reports while this process leads: a standby would only repeat the leader's words.

    Args:
        prometheus: who is asked.
        desk: takes the reports.
        supply_query: degrees Celsius by `cooling_zone`; empty: not asked.
        state_query: 0 where a `power_domain` is lost, anything else where it is not; empty: not asked.
        leading: whether this process leads.
        seconds: between two questions.
        wall, sleep: for tests.
    """

    def __init__(
        self,
        prometheus: Prometheus,
        desk: Reports,
        *,
        supply_query: str,
        state_query: str,
        leading: Callable[[], bool],
        seconds: float = 15.0,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._prometheus, self._desk, self._leading = prometheus, desk, leading
        self._asked = tuple(
            asked
            for asked in (
                _Asked("CoolingZone", "cooling_zone", ReportWhat.SUPPLY_CELSIUS, supply_query),
                _Asked("PowerDomain", "power_domain", ReportWhat.STATE, state_query),
            )
            if asked.query
        )
        self._seconds, self._wall, self._sleep = seconds, wall, sleep
        #: what was said last of each element, and when, in seconds since the epoch
        self._said: dict[tuple[str, str], tuple[object, float]] = {}
        self._problems: dict[str, str] = {}

    async def run(self) -> None:
        """Ask until cancelled. What fails is logged once, and asked again."""
        async with aiohttp.ClientSession() as session:
            while True:
                await self.look(session)
                await self._sleep(self._seconds)

    async def look(self, session: aiohttp.ClientSession) -> None:
        """Ask each query once, and report what is news or is due to be said again."""
        if not self._leading():
            self._said.clear()
            return
        # One after the other would let the second wait for a server that does not answer the first.
        await asyncio.gather(*(self._look(session, asked) for asked in self._asked))

    async def _look(self, session: aiohttp.ClientSession, asked: _Asked) -> None:
        problem = ""
        try:
            values = _by_element(await self._prometheus.query(session, asked.query), asked.label)
            if not values:
                problem = (
                    f"no series has a number, and the name of a {asked.kind} in its label {asked.label!r}"
                )
            news = self._news(asked, values)
            if news:
                outcome = await self._desk.take(TELEMETRY, Reading(sayings=news))
                refused = {fault.where for fault in outcome.faults}
                for saying in news:
                    if saying.where not in refused:
                        self._said[asked.kind, saying.name] = saying.value, saying.at
                problem = problem or "; ".join(map(str, outcome.faults[:3]))
        except (PrometheusError, ApiError) as error:
            problem = str(error)
        if problem and problem != self._problems.get(asked.kind):
            log.warning("telemetry of an element is not reported", kind=asked.kind, problem=problem)
        self._problems[asked.kind] = problem

    def _news(self, asked: _Asked, values: Mapping[str, Iterable[float]]) -> list[Saying]:
        now, found = self._wall(), []
        for name, numbers in values.items():
            last, at = self._said.get((asked.kind, name), (None, -math.inf))
            value: ReportedState | int
            if asked.what is ReportWhat.SUPPLY_CELSIUS:
                value = celsius(max(numbers), last if isinstance(last, int) else None)
            else:
                # Of several series of one element, as of two exporters, the worst counts.
                value = ReportedState.ONLINE if all(numbers) else ReportedState.OFFLINE
            # A clock that was set back is as good a reason as time that went by.
            if value == last and 0 <= now - at < EXPIRES_SECONDS / 2:
                continue
            found.append(
                Saying(
                    where=f"{asked.label}={name}",
                    kinds=(asked.kind,),
                    name=name,
                    what=asked.what,
                    value=value,
                    at=now,
                    id=timestamp(now),
                    expires=now + EXPIRES_SECONDS,
                )
            )
        return found


def celsius(measured: float, said: int | None) -> int:
    """A supply temperature in whole degrees, rounded up: what it leaves is what the warmer water leaves.

    Args:
        said: what was reported last, which stays while the temperature moves about a full degree.
    """
    if said is not None and said - 1 - _HYSTERESIS < measured <= said:
        return said
    return min(_HOTTEST, max(_COLDEST, math.ceil(measured)))


def _by_element(samples: Iterable[Sample], label: str) -> dict[str, list[float]]:
    """Numbers by the element that a series names; what is no finite number says nothing."""
    found: dict[str, list[float]] = {}
    for sample in samples:
        name, value = sample.metric.get(label, ""), sample.number()
        if name and math.isfinite(value):
            found.setdefault(name, []).append(value)
    return found
