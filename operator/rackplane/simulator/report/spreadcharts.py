"""Tables with a plot in each row: how waits, and racks beyond the fewest, are spread over the jobs of one size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rackplane.figures import lasting
from rackplane.simulator.report.axes import place_of_wait, places_of_waits
from rackplane.simulator.report.markup import Markup, join, tag

__all__ = ["Sizes", "racks_table", "waits_table"]

Sizes = Sequence[tuple[str, int, Mapping[str, Any]]]
"""Runs by name, with the tone of each, and ``sizes`` of their plots.json."""
_ROW: Final = 26
_KEY: Final = (
    "Circle: the median. Thick: the middle half. Thin: from the 5th to the 95th percentile. Upright: the longest. "
    "The axis is logarithmic from a minute on."
)
_BEYOND: Final = ("the fewest", "+1", "+2", "+3", "+4 or more")


def _waited(seconds: float) -> str:
    """ "none", or how long."""
    return "none" if seconds < 1 else lasting(seconds)


def waits_table(runs: Sizes) -> Markup:
    """By size: jobs, who did not wait, median and 95th percentile, and on a logarithmic axis the spread."""
    longest = max(
        (of_size["wait_seconds"]["longest"] for _, _, sizes in runs for of_size in sizes.values()), default=0
    )
    ticks, end = places_of_waits(longest)
    heading = tag(
        "svg",
        *(
            tag(
                "text",
                t.text,
                class_="tick x minor" if t.minor else "tick x",
                x=f"{100 * t.place:.3f}%",
                y="12",
            )
            for t in ticks
        ),
        height="16",
        aria_hidden="true",
    )
    rows = []
    for name, tone, label, of_size in _rows(runs):
        waits = of_size["wait_seconds"]
        grid = [
            tag(
                "line", class_="grid", x1=f"{100 * t.place:.3f}%", x2=f"{100 * t.place:.3f}%", y1="0", y2=_ROW
            )
            for t in ticks
        ]
        plot = tag(
            "svg",
            *grid,
            *_spread(waits, end, tone),
            class_="spread",
            height=_ROW,
            role="img",
            aria_label=_told(waits),
        )
        rows.append(
            (
                name,
                label,
                tone,
                (
                    f"{of_size['jobs']:,}",
                    f"{100 * of_size['at_once']:.0f} %",
                    _waited(waits["p50"]),
                    _waited(waits["p95"]),
                    _waited(waits["longest"]),
                ),
                plot,
            )
        )
    headings = ("jobs", "at once", "median", "95th pct", "longest")
    table = _table("Waits by GPUs asked for", headings, heading, rows, several=len(runs) > 1)
    return join(table, tag("p", _KEY, class_="key"))


def racks_table(runs: Sizes) -> Markup:
    """By size: jobs, and in how many racks beyond the fewest they lay."""
    legend = tag(
        "ul",
        *(tag("li", tag("i", class_=f"patch step-{i}"), text) for i, text in enumerate(_BEYOND)),
        class_="legend steps",
    )
    rows = []
    for name, tone, label, of_size in _rows(runs):
        counts = of_size["racks_over_minimum"]
        known = sum(counts)
        if not known:
            continue
        parts, left = [], 0.0
        for i, count in enumerate(counts):
            share = 100 * count / known
            if count:
                parts.append(
                    tag(
                        "rect",
                        class_=f"part step-{i}",
                        x=f"{left:.3f}%",
                        width=f"{share:.3f}%",
                        y="5",
                        height=_ROW - 10,
                    )
                )
            left += share
        told = ", ".join(
            f"{100 * count / known:.0f} % in {text}"
            for count, text in zip(counts, _BEYOND, strict=True)
            if count
        )
        plot = tag("svg", *parts, class_="spread", height=_ROW, role="img", aria_label=told)
        mean = sum(i * count for i, count in enumerate(counts)) / known
        figures = (f"{known:,}", f"{100 * counts[0] / known:.0f} %", f"{mean:.2f}")
        rows.append((name, label, tone, figures, plot))
    headings = ("jobs", "at the fewest", "racks beyond, mean")
    return _table("Racks beyond the fewest, by GPUs asked for", headings, legend, rows, several=len(runs) > 1)


def _rows(runs: Sizes) -> Iterator[tuple[str, int, str, Mapping[str, Any]]]:
    """Run, tone, size and figures, all runs of one size after each other."""
    found = dict.fromkeys(size for _, _, sizes in runs for size in sizes)
    for size in sorted(found, key=lambda text: int(text.partition("-")[0].rstrip("+"))):
        for name, tone, sizes in runs:
            if size in sizes:
                yield name, tone, size, sizes[size]


def _spread(waits: Mapping[str, float], end: float, tone: int) -> Iterator[Markup]:
    """A thin line from the 5th to the 95th percentile, a thick one between the quartiles, the median, the longest."""
    at = {key: f"{100 * place_of_wait(value, end):.3f}%" for key, value in waits.items()}
    middle = _ROW / 2
    yield tag("line", class_=f"reach tone-{tone}", x1=at["p5"], x2=at["p95"], y1=middle, y2=middle)
    yield tag("line", class_=f"half tone-{tone}", x1=at["p25"], x2=at["p75"], y1=middle, y2=middle)
    yield tag(
        "line", class_=f"end tone-{tone}", x1=at["longest"], x2=at["longest"], y1=middle - 5, y2=middle + 5
    )
    yield tag("circle", class_=f"median tone-{tone}", cx=at["p50"], cy=middle, r="4.5")


def _told(waits: Mapping[str, float]) -> str:
    return (
        f"half of them {_waited(waits['p50'])}, the middle half from {_waited(waits['p25'])} to "
        f"{_waited(waits['p75'])}, one in twenty longer than {_waited(waits['p95'])}, "
        f"the longest {_waited(waits['longest'])}"
    )


def _table(
    caption: str,
    headings: Sequence[str],
    axis: Markup,
    rows: Sequence[tuple[str, str, int, Sequence[str], Markup]],
    *,
    several: bool,
) -> Markup:
    """The figures of each row and its plot. Roles are said, as narrow windows show rows that are none to a browser."""
    cells = [tag("th", "GPUs", role="columnheader", scope="col")]
    cells += [tag("th", "run", role="columnheader", scope="col")] if several else []
    cells += [tag("th", text, role="columnheader", scope="col", class_="figure") for text in headings]
    head = tag(
        "tr", *cells, tag("th", axis, role="columnheader", scope="col", class_="plot-cell"), role="row"
    )
    lines: list[Markup] = []
    before = ""
    for name, size, tone, figures, plot in rows:
        shown = size if size != before else ""
        first = tag(
            "th", shown or tag("span", size, class_="unseen"), role="rowheader", scope="row", class_="size"
        )
        run = (
            [tag("td", tag("i", class_=f"patch tone-{tone}"), name, role="cell", class_="run")]
            if several
            else []
        )
        texts = [
            tag("td", text, role="cell", class_="figure", data_label=heading)
            for text, heading in zip(figures, headings, strict=True)
        ]
        class_ = "another" if several and shown and before else None
        plotted = tag("td", plot, role="cell", class_="plot-cell")
        lines.append(tag("tr", first, *run, *texts, plotted, role="row", class_=class_))
        before = size
    return tag(
        "table",
        tag("caption", caption, class_="unseen"),
        tag("thead", head, role="rowgroup"),
        tag("tbody", *lines, role="rowgroup"),
        role="table",
        class_="rows",
    )
