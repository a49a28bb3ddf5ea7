"""One panel as SVG: numbers, lines, tables and heatmaps, each in a box of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any, Final

from tests.tools.pictures.figures import PALETTE, Series, colour, text, ticks

__all__ = ["Box", "heading", "panel"]

_INK, _SOFT, _LINE, _PAPER = "#1f2328", "#59636e", "#d1d9e0", "#ffffff"
_MOST_NAMED: Final = 6


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float


def heading(box: Box, words: str) -> str:
    """The title of a row."""
    return _words(box.x + 2, box.y + box.height * 0.72, words, size=15, weight=600)


def panel(box: Box, what: Mapping[str, Any], answers: Sequence[Sequence[Series]]) -> str:
    """The panel with its title.

    Args:
        answers: the series of each of its queries.
    """
    inner = Box(box.x + 10, box.y + 30, box.width - 20, box.height - 38)
    parts = [
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="5" fill="{_PAPER}" '
        f'stroke="{_LINE}"/>',
        _words(box.x + 10, box.y + 20, str(what["title"]), size=13, weight=600),
    ]
    if not any(answers):
        parts.append(_words(inner.x, inner.y + 20, "No data", fill=_SOFT))
    else:
        parts.extend(_DRAWN[what["type"]](inner, what, answers))
    return "\n".join(parts)


def _stat(box: Box, what: Mapping[str, Any], answers: Sequence[Sequence[Series]]) -> Iterator[str]:
    defaults, series = what["fieldConfig"]["defaults"], answers[0]
    named = what["options"]["textMode"] == "value_and_name"
    for k, each in enumerate(series[:3]):
        steps = defaults["thresholds"]["steps"]
        words = _mapped(each.last, defaults) or text(each.last, defaults["unit"])
        shown = each.name if named and not words.strip() else f"{each.name} {words}" if named else words
        size = 26 if len(series) == 1 else 15
        y = box.y + box.height * 0.62 + k * (size + 3) - (len(series[:3]) - 1) * size / 2
        yield _words(box.x, y, shown, size=size, weight=600, fill=colour(each.last, steps))


def _mapped(value: float, defaults: Mapping[str, Any]) -> str:
    for mapping in defaults["mappings"]:
        found = mapping["options"].get(f"{value:g}")
        if found:
            return str(found["text"])
    return ""


def _timeseries(box: Box, what: Mapping[str, Any], answers: Sequence[Sequence[Series]]) -> Iterator[str]:
    defaults = what["fieldConfig"]["defaults"]
    series = [each for answer in answers for each in answer]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    shown = sorted(series, key=lambda s: -max(abs(v) for _, v in s.points))
    legend = [s for s in series if s in shown[:_MOST_NAMED]]
    plot = Box(box.x + 52, box.y + 4, box.width - 60, box.height - 30 - 15 * ((len(legend) + 2) // 3))
    curves = _stacked(series) if stacked else [[(at, 0.0, v) for at, v in s.points] for s in series]
    values = [v for curve in curves for _, *both in curve for v in (both if stacked else both[1:])]
    low = min(defaults.get("min", min(values)), min(values))
    marks = ticks(low, max(*values, low), seconds=defaults["unit"] == "s")
    times = [at for curve in curves for at, _, _ in curve]
    first, last = min(times), max(max(times), min(times) + 1)
    every = min((b - a for a, b in pairwise(sorted(set(times)))), default=1.0)

    def x(at: float) -> float:
        return plot.x + (at - first) / (last - first) * plot.width

    def y(value: float) -> float:
        return plot.y + plot.height - (value - marks[0]) / (marks[-1] - marks[0]) * plot.height

    for mark in marks:
        yield _rule(plot.x, y(mark), plot.x + plot.width, y(mark), _LINE)
        yield _words(plot.x - 6, y(mark) + 4, text(mark, defaults["unit"]), size=10, fill=_SOFT, anchor="end")
    if defaults["custom"]["thresholdsStyle"]["mode"] == "line":
        for step in defaults["thresholds"]["steps"][1:]:
            if marks[0] <= step["value"] <= marks[-1]:
                at = y(step["value"])
                yield _rule(plot.x, at, plot.x + plot.width, at, colour(step["value"], [step]), dash=True)
    for k in range(5):
        at = first + (last - first) * k / 4
        yield _words(
            x(at), plot.y + plot.height + 14, f"{at - first:.0f} s", size=10, fill=_SOFT, anchor="middle"
        )
    colours = {id(s): PALETTE[k % len(PALETTE)] for k, s in enumerate(series)}
    for each, curve in zip(series, curves, strict=True):
        for run in _runs(curve, 2.5 * every):
            line = " ".join(f"{x(at):.1f},{y(top):.1f}" for at, _, top in run)
            if stacked:
                below = " ".join(f"{x(at):.1f},{y(base):.1f}" for at, base, _ in reversed(run))
                yield f'<polygon points="{line} {below}" fill="{colours[id(each)]}" fill-opacity="0.25"/>'
            yield f'<polyline points="{line}" fill="none" stroke="{colours[id(each)]}" stroke-width="1.6"/>'
    beside = min(3, max(1, len(legend)))
    width = box.width / beside
    for k, each in enumerate(legend):
        left, top = box.x + (k % beside) * width, plot.y + plot.height + 32 + 15 * (k // beside)
        yield f'<rect x="{left}" y="{top - 8}" width="9" height="9" fill="{colours[id(each)]}"/>'
        words = f"{each.name}  {text(each.last, defaults['unit'])}"
        yield _words(left + 13, top, _cut(words, width - 18), size=10.5)
    if len(series) > len(legend):
        more = f"and {len(series) - len(legend)} more"
        yield _words(box.x + box.width, box.y - 10, more, size=10, fill=_SOFT, anchor="end")


def _runs(
    curve: Sequence[tuple[float, float, float]], most: float
) -> Iterator[list[tuple[float, float, float]]]:
    """Parts of the curve without a gap of more seconds than that."""
    run: list[tuple[float, float, float]] = []
    for point in curve:
        if run and point[0] - run[-1][0] > most:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def _stacked(series: Sequence[Series]) -> list[list[tuple[float, float, float]]]:
    """Time, base and top: each on those before it."""
    base: dict[float, float] = {}
    curves = []
    for each in series:
        curve = [(at, base.get(at, 0.0), base.get(at, 0.0) + value) for at, value in each.points]
        base.update({at: top for at, _, top in curve})
        curves.append(curve)
    return curves


def _table(box: Box, what: Mapping[str, Any], answers: Sequence[Sequence[Series]]) -> Iterator[str]:
    renamed = what["transformations"][1]["options"]["renameByName"]
    own = [name for name in renamed if not name.startswith("Value #")]
    columns = [renamed[name] for name in renamed if name.startswith("Value #")]
    units = {o["matcher"]["options"]: o["properties"] for o in what["fieldConfig"]["overrides"]}
    lines: dict[tuple[str, ...], dict[str, float]] = {}
    for column, answer in zip(columns, answers, strict=True):
        for each in answer:
            lines.setdefault(tuple(each.labels.get(name, "") for name in own), {})[column] = each.last
    by = what["options"]["sortBy"][0]["displayName"] if what["options"]["sortBy"] else ""
    ordered = sorted(lines.items(), key=lambda line: (line[1].get(by, float("inf")), line[0]))
    width = box.width / (len(own) + len(columns))
    for k, name in enumerate([renamed[name] for name in own] + columns):
        yield _words(box.x + k * width, box.y + 12, name, size=11, weight=600, fill=_SOFT)
    yield _rule(box.x, box.y + 18, box.x + box.width, box.y + 18, _LINE)
    room = int((box.height - 22) / 18)
    for row, (labels, values) in enumerate(ordered[:room]):
        top = box.y + 34 + 18 * row
        for k, label in enumerate(labels):
            yield _words(box.x + k * width, top, _cut(label, width - 8), size=12)
        for k, column in enumerate(columns):
            value = values.get(column)
            unit, steps = units[column][0]["value"], units[column][1]["value"]["steps"]
            words = "" if value is None else text(value, unit)
            fill = _INK if value is None else colour(value, steps)
            yield _words(box.x + (len(own) + k) * width, top, words, size=12, fill=fill)
    if len(ordered) > room:
        more = f"and {len(ordered) - room} more"
        yield _words(box.x + box.width, box.y - 10, more, size=10, fill=_SOFT, anchor="end")


def _heatmap(box: Box, what: Mapping[str, Any], answers: Sequence[Sequence[Series]]) -> Iterator[str]:
    unit = what["fieldConfig"]["defaults"]["unit"]
    buckets = sorted(answers[0], key=lambda s: float(s.labels["le"]))
    plot = Box(box.x + 52, box.y + 4, box.width - 60, box.height - 26)
    times = sorted({at for s in buckets for at, _ in s.points})
    slots = min(60, len(times))
    counts: dict[tuple[int, int], float] = {}
    before: dict[float, float] = {}
    for k, each in enumerate(buckets):
        for at, value in each.points:
            slot = int((at - times[0]) / (times[-1] - times[0] + 1) * slots)
            counts[slot, k] = max(counts.get((slot, k), 0.0), value - before.get(at, 0.0))
        before.update(dict(each.points))
    most = max([*counts.values(), 1e-9])
    high, wide = plot.height / len(buckets), plot.width / slots
    for (slot, k), count in counts.items():
        if count > 0:
            x, y = plot.x + slot * wide, plot.y + plot.height - (k + 1) * high
            yield (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="#0072b2" '
                f'fill-opacity="{0.15 + 0.85 * count / most:.2f}"/>'
            )
    for k, each in enumerate(buckets):
        if k % max(1, len(buckets) // 6) == 0:
            bound = float(each.labels["le"])
            words = "more" if bound == float("inf") else text(bound, unit)
            top = plot.y + plot.height - k * high - 2
            yield _words(plot.x - 6, top, words, size=10, fill=_SOFT, anchor="end")
    yield _rule(plot.x, plot.y + plot.height, plot.x + plot.width, plot.y + plot.height, _LINE)


_DRAWN: Final = {"stat": _stat, "timeseries": _timeseries, "table": _table, "heatmap": _heatmap}


def _rule(x1: float, y1: float, x2: float, y2: float, stroke: str, *, dash: bool = False) -> str:
    more = ' stroke-dasharray="5 4"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{more}/>'


def _words(
    x: float,
    y: float,
    words: str,
    *,
    size: float = 12,
    weight: int = 400,
    fill: str = _INK,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def _cut(words: str, width: float) -> str:
    """As much as fits, by the width of most letters."""
    most = int(width / 6)
    return words if len(words) <= most else f"{words[: most - 1]}…"
