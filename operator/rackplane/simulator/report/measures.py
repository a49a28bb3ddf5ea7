"""The figures that people judge a run by, and how each is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from rackplane.simulator.report.runs import Run
from rackplane.simulator.summary import SIZES

__all__ = ["MEASURES", "Figure", "Measure", "Unit", "change", "figures", "in_words"]


class Unit(StrEnum):
    """What a figure is counted in; shares and ratios are plain numbers."""

    COUNT = "count"
    SECONDS = "seconds"
    WAIT = "seconds of waiting"
    DAYS = "seconds of the run"
    GPU_HOURS = "GPU-hours"
    SHARE = "share"
    RATIO = "ratio"
    WATTS = "watts"
    ENERGY = "megawatt-hours"


_WORDS: Final[Mapping[Unit, Callable[[float], str]]] = {
    Unit.COUNT: lambda v: f"{v:,.0f}",
    Unit.SECONDS: lambda v: f"{v:,.0f} s",
    Unit.WAIT: lambda v: f"{v / 3600:,.2f} h",
    Unit.DAYS: lambda v: f"{v / 86_400:,.1f} d",
    Unit.GPU_HOURS: lambda v: f"{v:,.0f} GPU-h",
    Unit.SHARE: lambda v: f"{100 * v:,.1f} %",
    Unit.RATIO: lambda v: f"{v:,.2f}",
    Unit.WATTS: lambda v: f"{v / 1000:,.1f} kW",
    Unit.ENERGY: lambda v: f"{v:,.1f} MWh",
}


def in_words(unit: Unit, value: float | None) -> str:
    """ "77.24 h", "12.8 kW", "52.8 %"; a dash for what is not known."""
    return "-" if value is None else _WORDS[unit](value + 0.0)


def change(unit: Unit, before: float | None, after: float | None) -> str:
    """ "-20 %", of shares "+3.1 pt", from ten times on "x 12"; "" where nothing changed or nothing can be said."""
    if before is None or after is None or in_words(unit, before) == in_words(unit, after):
        return ""
    if unit is Unit.SHARE:
        return f"{100 * (after - before):+,.1f} pt"
    if before <= 0:
        return ""
    percent = round(100 * (after - before) / before)
    if percent >= 900:
        return f"x {after / before:,.0f}"
    return f"{percent:+,} %" if percent else ""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a run.

    Args:
        key: its name for programs; it stays.
        less_is_better: None: neither.
        find: None where a run does not have it.
    """

    key: str
    label: str
    unit: Unit
    less_is_better: bool | None
    find: Callable[[Run], float | None]


def _at(*path: str) -> Callable[[Run], float | None]:
    def find(run: Run) -> float | None:
        value: Any = run.summary
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        return None if value is None else float(value)

    return find


def _stranded(run: Run) -> float | None:
    means: Mapping[str, float] = run.summary.get("means", {})
    found = [value for name, value in means.items() if name.startswith("stranded_")]
    return sum(found) if found else None


def _tightest(run: Run) -> float | None:
    tightest = None if run.plots is None else run.plots.get("tightest")
    return None if tightest is None else float(tightest["headroom_watts"])


def _waits() -> Iterator[Measure]:
    for least, below in zip(SIZES, (*SIZES[1:], None), strict=True):
        name = f"{least}+" if below is None else f"{least}-{below - 1}"
        for part, words in (("median", "median"), ("p95", "95th pct")):
            yield Measure(
                f"wait_{part}_seconds_{name}_gpus",
                f"  {name} GPUs, {words}",
                Unit.WAIT,
                True,
                _at("wait_seconds_by_gpus", name, part),
            )


MEASURES: Final[Sequence[Measure]] = (
    Measure("jobs_over", "Jobs over", Unit.COUNT, None, _at("jobs", "over")),
    Measure("seconds", "Until the last is over", Unit.DAYS, True, _at("seconds")),
    Measure("wait_mean_seconds", "Waits, mean", Unit.WAIT, True, _at("wait_seconds", "mean")),
    Measure("wait_median_seconds", "Waits, median", Unit.WAIT, True, _at("wait_seconds", "median")),
    Measure("wait_p95_seconds", "Waits, 95th percentile", Unit.WAIT, True, _at("wait_seconds", "p95")),
    *_waits(),
    Measure("occupancy", "GPUs held", Unit.SHARE, False, _at("gpu_hours", "occupancy")),
    Measure("gpu_hours_held", "GPU-hours held", Unit.GPU_HOURS, None, _at("gpu_hours", "held")),
    Measure(
        "gpu_hours_done_again", "  of them done again", Unit.GPU_HOURS, True, _at("gpu_hours", "done_again")
    ),
    Measure("stops", "Stops", Unit.COUNT, True, _at("jobs", "stops")),
    Measure("racks_per_gang", "Racks per gang", Unit.RATIO, True, _at("racks_per_gang")),
    Measure("racks_over_minimum", "  beyond the fewest", Unit.RATIO, True, _at("racks_over_minimum")),
    Measure("fragmentation", "Fragmentation, mean", Unit.SHARE, True, _at("means", "fragmentation")),
    Measure("stranded_watts", "Stranded power, mean", Unit.WATTS, True, _stranded),
    Measure("tightest_headroom_watts", "Least headroom, worst loss", Unit.WATTS, None, _tightest),
    Measure(
        "seconds_over_a_limit",
        "Over a limit, reserved",
        Unit.SECONDS,
        True,
        _at("reserved", "seconds_over_a_limit"),
    ),
    Measure(
        "seconds_over_a_limit_after_a_loss",
        "  after one loss more",
        Unit.SECONDS,
        True,
        _at("reserved", "seconds_over_a_limit_after_a_loss"),
    ),
    Measure(
        "seconds_over_a_limit_drawn",
        "Over a limit, drawn",
        Unit.SECONDS,
        True,
        _at("drawn", "seconds_over_a_limit"),
    ),
    Measure(
        "megawatt_hours_reserved", "Energy reserved", Unit.ENERGY, None, _at("reserved", "megawatt_hours")
    ),
    Measure("megawatt_hours_drawn", "Energy drawn", Unit.ENERGY, None, _at("drawn", "megawatt_hours")),
)
"""In the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value beside what bounds it, in its unit.

    Args:
        limit: None: nothing bounds it.
        ratio: of the value to the limit; None: the limit is 0, or there is none.
        kept: whether the limit is one that must be kept, and is; None: it is no such limit.
        note: where, when, of what.
    """

    label: str
    unit: Unit
    value: float
    limit: float | None = None
    kept: bool | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Of the value to the limit."""
        return self.value / self.limit if self.limit else None


def figures(run: Run) -> Iterator[Figure]:
    """What the run promises and what it delivered, beside what bounds it."""
    summary, facility = run.summary, run.data["facility"]
    for name, words in (("reserved", "reserved"), ("drawn", "drawn")):
        found = summary.get(name)
        if found is None:
            continue
        over = found["seconds_over_a_limit"]
        worst = f"at worst {in_words(Unit.WATTS, found['worst_watts'])}: {found['worst']}" if over else ""
        yield Figure(f"Time over a limit by watts {words}", Unit.SECONDS, over, 0, not over, worst)
        after = found["seconds_over_a_limit_after_a_loss"]
        yield Figure("  the same had one loss more come", Unit.SECONDS, after, 0, not after)
    yield from _elements(run)
    hours, seconds = summary["gpu_hours"], summary["seconds"]
    yield Figure("GPU-hours held", Unit.GPU_HOURS, hours["held"], hours["there"], note="of those there were")
    yield Figure(
        "GPU-hours done again after stops", Unit.GPU_HOURS, hours["done_again"], hours["held"], note="of held"
    )
    full = facility.get("full_watts")
    if full and seconds:
        most = full * seconds / 3.6e9
        reserved = summary["reserved"]["megawatt_hours"]
        yield Figure("Energy reserved", Unit.ENERGY, reserved, most, note="of every node at full power")
        if summary.get("drawn") is not None:
            yield Figure(
                "Energy drawn", Unit.ENERGY, summary["drawn"]["megawatt_hours"], reserved, note="of reserved"
            )
        stranded = _stranded(run)
        if stranded is not None:
            yield Figure(
                "Stranded power, mean", Unit.WATTS, stranded, full, note="of every node at full power"
            )
    more = summary.get("racks_over_minimum")
    if more is not None:
        racks = summary["racks_per_gang"]
        yield Figure("Racks per gang, mean", Unit.RATIO, racks, racks - more, note="of the fewest possible")


def _elements(run: Run) -> Iterator[Figure]:
    if run.plots is None:
        return
    peaks = run.plots["peaks"]
    if peaks:
        fullest = peaks[0]
        load, limit = fullest["reserved_watts"], fullest["limit_watts"]
        yield Figure(
            "Fullest element", Unit.WATTS, load, limit, load <= limit, f"{fullest['type']} {fullest['name']}"
        )
    tightest = run.plots["tightest"]
    if tightest is not None:
        left = tightest["headroom_watts"]
        loss = f"losing {tightest['loss']}" if tightest["loss"] else "with nothing lost"
        yield Figure(
            "Least headroom in the worst contingency",
            Unit.WATTS,
            left,
            0,
            left >= 0,
            f"{tightest['limit']}, {loss}, day {tightest['seconds'] / 86_400:,.1f}",
        )
