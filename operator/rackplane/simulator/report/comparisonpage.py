"""Runs beside each other as a page: the same plots with a line for each."""

from __future__ import annotations

from typing import Final

from rackplane.simulator.report import overlays
from rackplane.simulator.report.comparing import Comparison, said_of
from rackplane.simulator.report.markup import Markup, join, tag
from rackplane.simulator.report.measures import change, in_words
from rackplane.simulator.report.shell import document, section
from rackplane.simulator.report.spreadcharts import Sizes, racks_table, waits_table
from rackplane.simulator.report.timecharts import TimeChart

__all__ = ["MOST_RUNS", "comparison_page"]

MOST_RUNS: Final = 6
"""As many as there are colours that anybody can tell apart."""


def comparison_page(found: Comparison) -> str:
    """The page.

    Raises:
        ValueError: there are more than `MOST_RUNS` runs.
    """
    if len(found.runs) > MOST_RUNS:
        raise ValueError(
            f"at most {MOST_RUNS} runs can be told apart on one page, and there are {len(found.runs)}"
        )
    drawn = [(run, tone) for tone, run in enumerate(found.runs, 1) if run.plots is not None]
    sizes: Sizes = [(run.name, tone, run.plots["sizes"]) for run, tone in drawn if run.plots is not None]
    sections = [section("figures", "Figures", _judged(found), _panel(_measures(found)))]
    if found.differences:
        said = "What the runs were given that is not the same for all."
        sections.append(section("differences", "What differs", said, _panel(_differences(found))))
    groups: list[list[TimeChart]] = []
    if drawn:
        use, power, elements, waste, causes = (
            list(make(drawn))
            for make in (overlays.use, overlays.power, overlays.elements, overlays.waste, overlays.causes)
        )
        groups = [use, power, elements, waste, causes]
        sections += [
            section("use", "Use", None, *(chart.figure() for chart in use)),
            section(
                "waits",
                "Waits and racks",
                "Jobs that are over, by the GPUs that they asked for.",
                tag("div", tag("h3", "From arrival to start"), waits_table(sizes), class_="panel"),
                tag(
                    "div",
                    tag("h3", "Racks of each gang beyond the fewest that have as many GPUs"),
                    racks_table(sizes),
                    class_="panel",
                ),
            ),
            section("power", "Power and cooling", None, *(chart.figure() for chart in power)),
            section(
                "elements",
                "Nearest to their limits",
                "Of each type the element that came nearest to its limit in any run: what was reserved at most in each "
                "stretch of time.",
                tag("div", *(chart.figure() for chart in elements), class_="grid-of"),
            ),
            section(
                "waste",
                "What could not be used",
                None,
                *(chart.figure() for chart in waste),
                tag("div", *(chart.figure() for chart in causes), class_="grid-of"),
            ),
        ]
    sections.append(section("runs", "The runs", None, _panel(_runs(found))))
    names = [run.name for run in found.runs]
    title = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    ran: dict[str, list[str]] = {}
    for run in found.runs:
        where = f"{run.data['facility']['name']}, jobs of {run.data['trace']['file']}"
        ran.setdefault(where, []).append(run.name)
    said = "; ".join(f"{', '.join(of)}: {where}" if len(ran) > 1 else where for where, of in ran.items())
    top = []
    if found.warnings:
        top.append(
            tag("div", tag("ul", *(tag("li", warning) for warning in found.warnings)), class_="banner")
        )
    charts = [chart for group in groups for chart in group]
    return document(title, said, top, sections, charts, begin=found.runs[0].data["begin"])


def _panel(table: Markup) -> Markup:
    return tag("div", tag("div", table, class_="scroll"), class_="panel")


def _judged(found: Comparison) -> str | None:
    return f"Changes are against {found.runs[0].name}." if len(found.runs) > 1 else None


def _heads(found: Comparison) -> list[Markup]:
    return [
        tag("th", tag("i", class_=f"patch tone-{tone}"), run.name, scope="col", class_="figure")
        for tone, run in enumerate(found.runs, 1)
    ]


def _measures(found: Comparison) -> Markup:
    rows = []
    for row in found.rows:
        cells = []
        for i, value in enumerate(row.values):
            first = row.values[0]
            said = change(row.measure.unit, first, value) if i else ""
            better = None
            if said and row.measure.less_is_better is not None and value is not None and first is not None:
                better = "better" if (value < first) == row.measure.less_is_better else "worse"
            small = tag("small", f" {said}", class_=f"change {better or ''}".strip()) if said else None
            cells.append(tag("td", in_words(row.measure.unit, value), small, class_="figure"))
        class_ = "sub" if row.measure.label.startswith(" ") else None
        rows.append(tag("tr", tag("th", row.measure.label.strip(), scope="row"), *cells, class_=class_))
    head = tag("tr", tag("th"), *_heads(found))
    caption = tag("caption", "Figures of each run", class_="unseen")
    return tag("table", caption, tag("thead", head), tag("tbody", *rows), class_="across")


def _differences(found: Comparison) -> Markup:
    rows = (
        tag(
            "tr",
            tag("th", difference.what, scope="row"),
            *(tag("td", said_of(value), class_="figure") for value in difference.values),
        )
        for difference in found.differences
    )
    head = tag("tr", tag("th"), *_heads(found))
    caption = tag("caption", "What the runs were given that differs", class_="unseen")
    return tag("table", caption, tag("thead", head), tag("tbody", *rows), class_="across")


def _runs(found: Comparison) -> Markup:
    return tag(
        "dl",
        *(
            join(
                tag("dt", tag("i", class_=f"patch tone-{tone}"), run.name),
                tag("dd", tag("code", run.data.get("command", ""))),
            )
            for tone, run in enumerate(found.runs, 1)
        ),
        class_="facts",
    )
