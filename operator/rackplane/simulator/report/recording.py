"""What a run keeps for its plots: a bounded number of points, however long it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rackplane.simulator.files import ELEMENTS, PLOTS_FORMAT, SERIES
from rackplane.simulator.gauge import Gauge, Span
from rackplane.simulator.limits import Meter
from rackplane.simulator.report.buckets import Buckets, How
from rackplane.simulator.report.spreads import sizes
from rackplane.simulator.summary import Summary

__all__ = ["Recording"]

_STRETCHES: Final = 480
_ELEMENT_STRETCHES: Final = 240
"""Of each element some 8 kB: a campus has a thousand of them."""
_KEPT: Final = 4
"""Elements of each type of which the whole course is written: those that were nearest to their limits."""
_SAMPLED: Final = {
    "reserved_peak_watts": How.MOST,
    "worst_headroom_watts": How.LEAST,
    "drawn_worst_headroom_watts": How.LEAST,
    "gpus_waiting": How.MEAN,
    "gangs_waiting": How.MEAN,
    "fragmentation": How.MEAN,
    "stranded_rack_watts": How.MEAN,
    "stranded_power_watts": How.MEAN,
    "stranded_budget_watts": How.MEAN,
    "stranded_liquid_watts": How.MEAN,
    "stranded_air_watts": How.MEAN,
}
"""Columns of series.csv, as they are at the moment of a sample."""
_SPAN: Final = {"low": How.LEAST, "mean": How.MEAN, "high": How.MOST}
_ELEMENT: Final = {
    "reserved_watts": How.MOST,
    "drawn_watts": How.MOST,
    "limit_watts": How.LEAST,
    "worst_headroom_watts": How.LEAST,
}


@dataclass(slots=True)
class _Peak:
    """One element: ``watts`` of the limit ``of`` when it was nearest to it; ``limit`` is the one of today."""

    kind: str
    name: str
    load: float = -1.0
    watts: int = 0
    of: int = 0
    at: int = 0
    limit: int = 0
    headroom: int | None = None
    loss: str = ""
    drawn: int | None = None
    first: int | None = None
    steady: bool = True
    """It has carried ``first`` watts all the time, within its limit: no gang has a say in that."""

    def carries(self, watts: int) -> None:
        """By what is reserved, now or at most since it was last told."""
        if self.first is None:
            self.first = watts
        self.steady = self.steady and watts == self.first


class Recording:
    """Filled with the samples of a run. What lies between two samples counts too where it costs nothing to know:
    GPUs held, watts of all racks and of each element, and seconds over a limit.

    Args:
        every: seconds between two samples.
        types: of elements, by kind and name.
    """

    def __init__(self, every: int, types: Mapping[tuple[str, str], str]) -> None:
        self._every, self._types = every, dict(types)
        self._series, self._elements = Buckets(most=_STRETCHES), Buckets(most=_ELEMENT_STRETCHES)
        self._peaks: dict[tuple[str, str], _Peak] = {}
        self._samples = 0
        self._over: dict[str, int] = {}
        self._tightest: dict[str, Any] | None = None

    def sample(
        self,
        now: int,
        row: Sequence[Any],
        elements: Sequence[Sequence[Any]],
        held: Gauge,
        reserved: Meter,
        drawn: Meter | None,
    ) -> None:
        """Take one, of rows of series.csv and elements.csv; nothing has changed since the meters were last told."""
        number, self._samples = self._samples, self._samples + 1
        known_elements = [dict(zip(ELEMENTS, of_element, strict=True)) for of_element in elements]
        for element in known_elements:
            # One that is new, such as an order: what has been since the last sample counts against its limit.
            key = (element["kind"], element["name"])
            self._peaks.setdefault(key, _Peak(*key, limit=element["limit_watts"]))
        if number:
            self._between(number - 1, now, held, reserved, drawn)
        else:
            self._begin(now, held, reserved, drawn)
        known = dict(zip(SERIES, row, strict=True))
        for name, how in _SAMPLED.items():
            value = known[name]
            self._series.add(number, name, how, None if value == "" else float(value))
        self._look_for_the_tightest(now, known)
        for element in known_elements:
            self._sample_element(number, now, element)

    def close(self, now: int, held: Gauge, reserved: Meter, drawn: Meter | None) -> None:
        """The run is over: what came after the last sample."""
        if self._samples:
            self._between(self._samples - 1, now, held, reserved, drawn)

    def as_data(self, now: int, summary: Summary) -> dict[str, Any]:
        """For plots.json: series by name, each with one value for each stretch of time."""
        named = ("gpus_busy", "reserved_watts", "drawn_watts")
        series: dict[str, Any] = {
            name: {part: _rounded(self._series.column((name, part))) for part in _SPAN} for name in named
        }
        for name in _SAMPLED:
            digits = 4 if name == "fragmentation" else 0
            series[name] = _rounded(self._series.column(name), digits)
        for name in ("seconds_over", "seconds_over_after_a_loss", "seconds_over_drawn"):
            series[name] = _rounded(self._series.column(name))
        # Switchgear for cooling units is full from the first second to the last where it is as large as they are.
        peaks = sorted(
            self._peaks.values(),
            key=lambda peak: (peak.steady and peak.load <= 1, -peak.load, peak.kind, peak.name),
        )
        return {
            "format": PLOTS_FORMAT,
            "seconds": now,
            "samples": self._samples,
            "stretch_seconds": self._series.samples * self._every,
            "series": series,
            "tightest": self._tightest,
            "element_stretch_seconds": self._elements.samples * self._every,
            "elements": [self._course(peak) for peak in self._nearest(peaks)],
            "peaks": [self._peak(peak) for peak in peaks],
            "sizes": sizes(summary),
        }

    # -- what comes in -------------------------------------------------------------------------------

    def _begin(self, now: int, held: Gauge, reserved: Meter, drawn: Meter | None) -> None:
        held.take(now)
        for meter in filter(None, (reserved, drawn)):
            meter.count(now)
            meter.power.take(now)
            meter.take_highest()

    def _between(self, number: int, now: int, held: Gauge, reserved: Meter, drawn: Meter | None) -> None:
        """What has been since that sample, the last one; it belongs to it."""
        self._span(number, "gpus_busy", held.take(now))
        for name, over, meter in (("reserved_watts", "", reserved), ("drawn_watts", "_drawn", drawn)):
            if meter is None:
                continue
            meter.count(now)
            self._span(number, name, meter.power.take(now))
            self._count(number, f"seconds_over{over}", meter.exceeded.seconds)
            if not over:
                after = meter.exceeded.after_a_loss_seconds
                self._count(number, "seconds_over_after_a_loss", after)
            for key, watts in meter.take_highest().items():
                self._carried(number, key, name, watts)

    def _span(self, number: int, name: str, span: Span) -> None:
        for part, how in _SPAN.items():
            self._series.add(number, (name, part), how, getattr(span, part))

    def _count(self, number: int, name: str, total: int) -> None:
        self._series.add(number, name, How.SUM, total - self._over.get(name, 0))
        self._over[name] = total

    def _carried(self, number: int, key: tuple[str, str], name: str, watts: int) -> None:
        peak = self._peaks.get(key)
        if peak is None:
            return
        self._elements.add(number, (key, name), How.MOST, watts)
        if name == "drawn_watts":
            peak.drawn = max(watts, peak.drawn or 0)
            return
        peak.carries(watts)
        if peak.limit and watts > peak.load * peak.limit:
            peak.load, peak.watts, peak.of = watts / peak.limit, watts, peak.limit
            peak.at = number * self._every

    def _sample_element(self, number: int, now: int, known: Mapping[str, Any]) -> None:
        key = (known["kind"], known["name"])
        peak = self._peaks[key]
        for name, how in _ELEMENT.items():
            value = known[name]
            self._elements.add(number, (key, name), how, None if value == "" else float(value))
        watts, limit, headroom = (
            known[name] for name in ("reserved_watts", "limit_watts", "worst_headroom_watts")
        )
        peak.limit, load = limit, watts / limit if limit > 0 else float(watts > 0)
        peak.carries(watts)
        if load > peak.load:
            peak.load, peak.watts, peak.of, peak.at = load, watts, limit, now
        if peak.headroom is None or headroom < peak.headroom:
            peak.headroom, peak.loss = headroom, known["worst_loss"]
        if known["drawn_watts"] != "":
            peak.drawn = max(known["drawn_watts"], peak.drawn or 0)

    def _look_for_the_tightest(self, now: int, known: Mapping[str, Any]) -> None:
        left = known["worst_headroom_watts"]
        if left != "" and (self._tightest is None or left < self._tightest["headroom_watts"]):
            self._tightest = {
                "seconds": now,
                "headroom_watts": left,
                "limit": known["worst_limit"],
                "loss": known["worst_loss"],
            }

    # -- what goes out -------------------------------------------------------------------------------

    def _type(self, peak: _Peak) -> str:
        return self._types.get((peak.kind, peak.name), peak.kind)

    def _nearest(self, peaks: Sequence[_Peak]) -> list[_Peak]:
        kept: dict[str, list[_Peak]] = {}
        for peak in peaks:
            of_type = kept.setdefault(self._type(peak), [])
            if len(of_type) < _KEPT:
                of_type.append(peak)
        return [peak for of_type in kept.values() for peak in of_type]

    def _course(self, peak: _Peak) -> dict[str, Any]:
        key = (peak.kind, peak.name)
        columns = {name: _rounded(self._elements.column((key, name))) for name in _ELEMENT}
        return {"kind": peak.kind, "name": peak.name, "type": self._type(peak), **columns}

    def _peak(self, peak: _Peak) -> dict[str, Any]:
        return {
            "kind": peak.kind,
            "name": peak.name,
            "type": self._type(peak),
            "load": round(peak.load, 4),
            "reserved_watts": peak.watts,
            "limit_watts": peak.of,
            "seconds": peak.at,
            "drawn_watts": peak.drawn,
            "worst_headroom_watts": peak.headroom,
            "worst_loss": peak.loss,
        }


def _rounded(values: Sequence[float | None], digits: int = 0) -> list[float | None]:
    return [None if v is None else (round(v, digits) if digits else round(v)) for v in values]
