"""The plots over time of several runs, with a line for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rackplane.simulator.report import courses
from rackplane.simulator.report.axes import SHARE, Scale, counted, watts
from rackplane.simulator.report.runs import Run
from rackplane.simulator.report.timecharts import Limit, Line, TimeChart, Values

__all__ = ["Drawn", "causes", "elements", "power", "use", "waste"]

Drawn = Sequence[tuple[Run, int]]
"""Runs that have plots, with the tone of each."""


def _chart(
    drawn: Drawn,
    id: str,
    title: str,
    reading: str,
    scale: Scale,
    values: Sequence[Values],
    totals: Sequence[str],
    **more: Any,
) -> TimeChart:
    """One line for each run, over the time of the longest."""
    lines = []
    key = "element_stretch_seconds" if id.startswith("element-") else "stretch_seconds"
    for (run, tone), course, total in zip(drawn, values, totals, strict=True):
        assert run.plots is not None
        stretch = float(run.plots[key])
        lines.append(Line(run.name, course, tone, total=total, stretch=stretch, weight=tone))
    seconds = max(float(run.plots["seconds"]) for run, _ in drawn if run.plots is not None)
    stretch = min(line.stretch or seconds for line in lines)
    return TimeChart(id, title, reading, scale, seconds, stretch, lines, **more)


def _series(drawn: Drawn, name: str, part: str = "") -> list[Values]:
    found: list[Values] = []
    for run, _ in drawn:
        assert run.plots is not None
        series = run.plots["series"][name]
        found.append(series[part] if part else series)
    return found


def _most(values: Sequence[Values]) -> float:
    return max((courses.highest(course)[0] for course in values), default=0.0)


def _same(label: str, values: Sequence[float | None]) -> list[Limit]:
    """A limit that is the same for all runs."""
    known = set(values)
    return [Limit(label, value) for value in known if value is not None] if len(known) == 1 else []


def use(drawn: Drawn) -> Iterator[TimeChart]:
    held, scale = _series(drawn, "gpus_busy", "mean"), counted("GPUs")
    totals = [f"{100 * run.summary['gpu_hours']['occupancy']:.1f} %" for run, _ in drawn]
    limits = _same("all GPUs", [run.data["facility"]["gpus"] for run, _ in drawn])
    yield _chart(
        drawn, "occupancy", "GPUs held", "Means of each stretch of time.", scale, held, totals, limits=limits
    )
    waiting = _series(drawn, "gpus_waiting")
    totals = [f"mean {courses.mean(course):,.0f} GPUs" for course in waiting]
    yield _chart(drawn, "waiting", "GPUs that waiting gangs ask for", "", scale, waiting, totals, height=120)


def power(drawn: Drawn) -> Iterator[TimeChart]:
    full = [run.data["facility"].get("full_watts") for run, _ in drawn]
    limits = _same("all nodes at full power", full)
    for name, title in (("reserved_watts", "Power reserved"), ("drawn_watts", "Power drawn, by the model")):
        values = _series(drawn, name, "mean")
        if any(v is not None for course in values for v in course):
            scale = watts(max(_most(values), *(f or 0 for f in full)))
            totals = [f"mean {scale.words(courses.mean(course))}" for course in values]
            yield _chart(
                drawn, name.replace("_", "-"), title, "Of all racks.", scale, values, totals, limits=limits
            )
    left = _series(drawn, "worst_headroom_watts")
    scale = watts(max(_most(left), *(abs(courses.lowest(course)[0]) for course in left)))
    totals = [f"least {scale.words(courses.lowest(course)[0])}" for course in left]
    reading = (
        "By what is reserved: what the element with the least left could still take, under its worst loss."
    )
    yield _chart(
        drawn, "headroom", "Headroom in the worst contingency", reading, scale, left, totals, zero="limit"
    )
    for name, title in (
        ("seconds_over", "Time over a limit, by reserved watts"),
        ("seconds_over_after_a_loss", "Time over a limit, had one loss more come"),
        ("seconds_over_drawn", "Time over a limit, by drawn watts"),
    ):
        values = _series(drawn, name)
        sums = [sum(v or 0 for v in course) for course in values]
        if any(sums):
            totals = [f"{total:,.0f} s in all" for total in sums]
            reading = "Seconds of each stretch of time; counted exactly, not sampled."
            yield _chart(
                drawn, name.replace("_", "-"), title, reading, counted("s"), values, totals, height=110
            )


def elements(drawn: Drawn) -> Iterator[TimeChart]:
    nearest: dict[str, tuple[float, tuple[str, str]]] = {}
    for run, _ in drawn:
        assert run.plots is not None
        for peak in run.plots["peaks"]:
            worst = nearest.get(peak["type"])
            if worst is None or peak["load"] > worst[0]:
                nearest[peak["type"]] = peak["load"], (peak["kind"], peak["name"])
    for number, (of_type, (_, (kind, name))) in enumerate(nearest.items()):
        kept, values, limits = [], [], []
        for run, tone in drawn:
            assert run.plots is not None
            for course in run.plots["elements"]:
                if (course["kind"], course["name"]) == (kind, name):
                    kept.append((run, tone))
                    values.append(course["reserved_watts"])
                    limits.append({v for v in course["limit_watts"] if v is not None})
        if not kept:
            continue
        scale = watts(max(_most(values), *(max(known, default=0) for known in limits)))
        totals = [f"most {scale.words(courses.highest(course)[0])}" for course in values]
        only = set().union(*limits)
        limit = [Limit("limit", value) for value in only] if len(only) == 1 else []
        missing = [run.name for run, _ in drawn if run not in [k for k, _ in kept]]
        reading = f"Not there, or not among the nearest, in {', '.join(missing)}." if missing else ""
        yield _chart(
            kept,
            f"element-{number}",
            f"{of_type} {name}",
            reading,
            scale,
            values,
            totals,
            limits=limit,
            height=130,
        )


def waste(drawn: Drawn) -> Iterator[TimeChart]:
    split = _series(drawn, "fragmentation")
    totals = [f"mean {100 * courses.mean(course):.1f} %" for course in split]
    reading = "The part of the free GPUs that the largest gang that could start would not get."
    yield _chart(drawn, "fragmentation", "Fragmentation", reading, SHARE, split, totals, height=140)


def causes(drawn: Drawn) -> Iterator[TimeChart]:
    """Stranded power of each run by itself, on the same axis."""
    stacks = []
    for run, _ in drawn:
        assert run.plots is not None
        stacks.append([run.plots["series"][name] for name in courses.CAUSES])
    sums = [[sum(v or 0 for v in at) for at in zip(*stack, strict=True)] for stack in stacks]
    top = _most(sums)
    scale = watts(top)
    for (run, tone), stack, total in zip(drawn, stacks, sums, strict=True):
        assert run.plots is not None
        lines = [
            Line(label, values, i, total=f"mean {scale.words(courses.mean(values))}")
            for i, (label, values) in enumerate(zip(courses.CAUSES.values(), stack, strict=True), 1)
            if courses.highest(values)[0] > 0
        ]
        yield TimeChart(
            f"stranded-{tone}",
            f"Stranded power by cause: {run.name}",
            f"{scale.words(courses.mean(total))} on average."
            if lines
            else "At no sample was any node without power.",
            scale,
            max(float(r.plots["seconds"]) for r, _ in drawn if r.plots is not None),
            float(run.plots["stretch_seconds"]),
            lines,
            kind="stack",
            height=130,
            top=top,
        )
