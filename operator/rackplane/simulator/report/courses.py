"""The plots over time of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rackplane.simulator.report.axes import SHARE, counted, watts
from rackplane.simulator.report.runs import Run
from rackplane.simulator.report.timecharts import Limit, Line, TimeChart, Values

__all__ = [
    "CAUSES",
    "at_day",
    "elements",
    "fullest_of_each_type",
    "highest",
    "lowest",
    "mean",
    "power",
    "use",
    "waste",
]

CAUSES: Final = {
    "stranded_rack_watts": "rack limits",
    "stranded_power_watts": "power domains",
    "stranded_budget_watts": "budgets",
    "stranded_liquid_watts": "liquid cooling",
    "stranded_air_watts": "air cooling",
}
"""What keeps free nodes from being fed, as columns of series.csv, in words."""


def mean(values: Values) -> float:
    """Of what is known."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else 0.0


def highest(values: Values) -> tuple[float, int]:
    """The most and where it is; 0 if nothing is known."""
    return max(((v, -i) for i, v in enumerate(values) if v is not None), default=(0.0, 0))


def lowest(values: Values) -> tuple[float, int]:
    """The least and where it is; 0 if nothing is known."""
    return min(((v, i) for i, v in enumerate(values) if v is not None), default=(0.0, 0))


def at_day(seconds: float, of: float) -> str:
    """When it was in a run of so many seconds: "at day 4.5"; of a short run "at hour 2.5", "at minute 10"."""
    for unit, size in (("day", 86_400), ("hour", 3_600)):
        if of >= 2 * size:
            return f"at {unit} {seconds / size:,.1f}"
    return f"at minute {seconds / 60:,.0f}"


class _Plots:
    def __init__(self, run: Run) -> None:
        assert run.plots is not None  # who asks for plots has looked
        self.data = run.plots
        self.series: Mapping[str, Any] = run.plots["series"]
        self.stretch = float(run.plots["stretch_seconds"])
        self.seconds = float(run.plots["seconds"])

    def chart(
        self, id: str, title: str, reading: str, scale: Any, lines: Sequence[Line], **more: Any
    ) -> TimeChart:
        return TimeChart(id, title, reading, scale, self.seconds, self.stretch, lines, **more)

    def day(self, number: int) -> str:
        return at_day(abs(number) * self.stretch, self.seconds)

    def banded(self, name: str, label: str, tone: int, scale: Any) -> Line:
        found = self.series[name]
        total = f"mean {scale.words(mean(found['mean']))}"
        return Line(label, found["mean"], tone, found["low"], found["high"], total=total)


def use(run: Run) -> Iterator[TimeChart]:
    """GPUs held, and who waits."""
    p, gpus = _Plots(run), run.data["facility"]["gpus"]
    held, hours = p.series["gpus_busy"], run.summary["gpu_hours"]
    most, at = highest(held["high"])
    reading = (
        f"{100 * hours['occupancy']:.1f} % of the GPU-hours that there were; at most {most:,.0f} of {gpus:,} GPUs, "
        f"first {p.day(at)}. The band is least to most in each {_stretch(p.stretch)}."
    )
    line = p.banded("gpus_busy", "held", 1, counted("GPUs"))
    yield p.chart(
        "occupancy", "GPUs held", reading, counted("GPUs"), [line], limits=[Limit("all GPUs", gpus)]
    )
    waiting = p.series["gpus_waiting"]
    most, at = highest(waiting)
    gangs = highest(p.series["gangs_waiting"])[0]
    reading = (
        f"Gangs that waited asked for {most:,.0f} GPUs at most, {p.day(at)}; at most {gangs:,.0f} gangs waited."
        if most
        else "Nobody waited when a sample was taken."
    )
    lines = [Line("asked for", waiting, 2, total=f"mean {mean(waiting):,.0f} GPUs")]
    yield p.chart("waiting", "GPUs that waiting gangs ask for", reading, counted("GPUs"), lines, height=120)


def power(run: Run) -> Iterator[TimeChart]:
    """Watts of all racks, what is left in the worst contingency, and time over limits."""
    p, full = _Plots(run), run.data["facility"].get("full_watts")
    reserved, peak, drawn = (
        p.series["reserved_watts"],
        p.series["reserved_peak_watts"],
        p.series["drawn_watts"],
    )
    modelled = any(v is not None for v in drawn["mean"])
    scale = watts(max(highest(reserved["high"])[0], highest(peak)[0], full or 0))
    most, at = highest(reserved["high"])
    reading = f"Reserved {scale.words(mean(reserved['mean']))} on average, at most {scale.words(most)} {p.day(at)}. "
    lines = [p.banded("reserved_watts", "reserved", 1, scale)]
    if highest(peak)[0] > most:
        lines.append(
            Line("reserved, peaks", peak, 4, dashed=True, total=f"most {scale.words(highest(peak)[0])}")
        )
    if modelled:
        share = mean(drawn["mean"]) / mean(reserved["mean"]) if mean(reserved["mean"]) else 0
        reading += f"Drawn, by the model, {100 * share:.0f} % of that. "
        lines.append(p.banded("drawn_watts", "drawn", 3, scale))
    limits = [Limit("all nodes at full power", full)] if full else []
    yield p.chart("watts", "Power of all racks", reading.strip(), scale, lines, limits=limits)
    yield _headroom(p, modelled)
    over = _over(p, modelled)
    if over is not None:
        yield over


def _headroom(p: _Plots, modelled: bool) -> TimeChart:
    left, tightest = p.series["worst_headroom_watts"], p.data["tightest"]
    after = p.series["drawn_worst_headroom_watts"]
    scale = watts(max(abs(highest(left)[0]), abs(lowest(left)[0]), abs(highest(after)[0])))
    if tightest is None:
        reading = "No power domain, cooling zone or budget limits anything here."
    else:
        loss = f"after the loss of {tightest['loss']}" if tightest["loss"] else "with nothing lost"
        reading = (
            "What the element with the least left could still take, under the loss that is worst for it. "
            f"Least {at_day(tightest['seconds'], p.seconds)}: {scale.words(tightest['headroom_watts'])} at "
            f"{tightest['limit']}, {loss}."
        )
    lines = [Line("by reserved watts", left, 1, total=f"least {scale.words(lowest(left)[0])}")]
    if modelled:
        lines.append(Line("by drawn watts", after, 3, total=f"least {scale.words(lowest(after)[0])}"))
    return p.chart("headroom", "Headroom in the worst contingency", reading, scale, lines, zero="limit")


def _over(p: _Plots, modelled: bool) -> TimeChart | None:
    named = [
        ("seconds_over", "by reserved watts", 1),
        ("seconds_over_after_a_loss", "had one loss more come", 2),
        *([("seconds_over_drawn", "by drawn watts", 3)] if modelled else []),
    ]
    lines = []
    for name, label, tone in named:
        values, total = p.series[name], sum(v or 0 for v in p.series[name])
        if total:
            lines.append(Line(label, values, tone, total=f"{total:,.0f} s in all"))
    if not lines:
        return None
    reading = f"Seconds of each {_stretch(p.stretch)} in which any limit was exceeded; counted exactly, not sampled."
    return p.chart("over", "Time over a limit", reading, counted("s"), lines, kind="bars", height=110)


def fullest_of_each_type(courses: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first of each type: they are in the order of how near to their limits they came."""
    found: dict[str, Mapping[str, Any]] = {}
    for course in courses:
        found.setdefault(course["type"], course)
    return list(found.values())


def elements(run: Run) -> Iterator[TimeChart]:
    """Of each type of element the one that came nearest to its limit."""
    p = _Plots(run)
    stretch = float(p.data["element_stretch_seconds"])
    peaks = {(peak["kind"], peak["name"]): peak for peak in p.data["peaks"]}
    for number, course in enumerate(fullest_of_each_type(p.data["elements"])):
        peak = peaks[course["kind"], course["name"]]
        scale = watts(max(highest(course["reserved_watts"])[0], highest(course["limit_watts"])[0]))
        lines = [
            Line("reserved", course["reserved_watts"], 1, total=f"most {scale.words(peak['reserved_watts'])}")
        ]
        if peak["drawn_watts"] is not None:
            most = f"most {scale.words(peak['drawn_watts'])}"
            lines.append(Line("drawn", course["drawn_watts"], 3, total=most))
        known = [v for v in course["limit_watts"] if v is not None]
        constant = len(set(known)) == 1 and None not in course["limit_watts"]
        limit: float | Values = known[0] if constant else course["limit_watts"]
        reading = f"{100 * peak['load']:.0f} % of its limit at most, {at_day(peak['seconds'], p.seconds)}."
        yield TimeChart(
            f"element-{number}",
            f"{course['type']} {course['name']}",
            reading,
            scale,
            p.seconds,
            stretch,
            lines,
            limits=[Limit("limit", limit)],
            height=130,
        )


def waste(run: Run) -> Iterator[TimeChart]:
    """Free GPUs that no gang could have, and power that no node could."""
    p = _Plots(run)
    split = p.series["fragmentation"]
    most, at = highest(split)
    reading = (
        "The part of the free GPUs that the largest gang that could start would not get. "
        f"{100 * mean(split):.1f} % on average, at most {100 * most:.1f} % {p.day(at)}."
    )
    lines = [Line("out of reach", split, 1, total=f"mean {100 * mean(split):.1f} %")]
    yield p.chart("fragmentation", "Fragmentation", reading, SHARE, lines, height=140)
    causes = [(label, p.series[name], tone) for tone, (name, label) in enumerate(CAUSES.items(), 1)]
    sums = [sum(v or 0 for v in at) for at in zip(*(values for _, values, _ in causes), strict=True)]
    most, at = highest(sums)
    scale = watts(most)
    reading = "What free nodes would draw and a limit keeps from them, by what the limit belongs to. " + (
        f"{scale.words(mean(sums))} on average, at most {scale.words(most)} {p.day(at)}."
        if most
        else "At no sample was any node without power."
    )
    lines = [
        Line(label, values, tone, total=f"mean {scale.words(mean(values))}")
        for label, values, tone in causes
        if highest(values)[0] > 0
    ]
    yield p.chart("stranded", "Stranded power by cause", reading, scale, lines, kind="stack", height=140)


def _stretch(seconds: float) -> str:
    if seconds % 86_400 == 0:
        return "day" if seconds == 86_400 else f"{seconds / 86_400:,.0f} days"
    if seconds % 3_600 == 0:
        return "hour" if seconds == 3_600 else f"{seconds / 3_600:,.0f} hours"
    return f"{seconds:,.0f} s"
