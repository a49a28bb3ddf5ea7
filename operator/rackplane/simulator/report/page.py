"""The report of one run as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rackplane.figures import kilowatts
from rackplane.simulator.files import PLOTS, RUN
from rackplane.simulator.report import courses
from rackplane.simulator.report.markup import Markup, join, tag
from rackplane.simulator.report.measures import Figure, Unit, figures, in_words
from rackplane.simulator.report.runs import Run
from rackplane.simulator.report.shell import document, section, tiles
from rackplane.simulator.report.spreadcharts import racks_table, waits_table

__all__ = ["report"]

_NEAREST: Final = 12
"""Elements in the table of those that came nearest to their limits."""
_FILES: Final = (
    ("series.csv", "the facility at each sample"),
    ("elements.csv", "each power domain, cooling zone and budget at each sample"),
    ("jobs.csv", "every job"),
    ("events.csv", "what happened, and what the operator said"),
    (RUN, "what went in, and the summary"),
    (PLOTS, "what these plots are drawn from"),
    ("floor-plan.html", "the run on the floor plan"),
)


def report(run: Run) -> str:
    """The page; the run must have plots."""
    assert run.plots is not None
    facility, trace, summary = run.data["facility"], run.data["trace"], run.summary
    use, power, elements, waste = (
        list(make(run)) for make in (courses.use, courses.power, courses.elements, courses.waste)
    )
    sizes = [(run.name, 1, run.plots["sizes"])]
    sections = [
        section(
            "limits",
            "What it kept",
            "Each value beside what bounds it. Time over a limit is counted exactly, not sampled.",
            tag("div", tag("div", _figures(figures(run)), class_="scroll"), class_="panel"),
        ),
        section("use", "Use", None, *(chart.figure() for chart in use)),
        section(
            "waits",
            "Waits and racks",
            "Jobs that are over, by the GPUs that they asked for.",
            tag(
                "div",
                tag("h3", "From arrival to start"),
                waits_table(sizes),
                class_="panel",
            ),
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
            "Of each type the element that came nearest to its limit: what it carried at most in each stretch of "
            "time, with nothing lost. Losses are in the headroom above.",
            tag("div", *(chart.figure() for chart in elements), class_="grid-of"),
            tag("div", tag("div", _peaks(run, run.plots["peaks"]), class_="scroll"), class_="panel"),
        ),
        section("waste", "What could not be used", None, *(chart.figure() for chart in waste)),
        section("run", "The run", None, tag("div", _facts(run), class_="panel")),
    ]
    days = summary["seconds"] / 86_400
    said = (
        f"{summary['jobs']['over']:,} jobs in {days:,.1f} days on {facility['gpus']:,} GPUs in "
        f"{facility['racks']:,} racks; policy: {_policy(run)}; seed {run.data['seed']}."
    )
    title = f"{facility['name']}, jobs of {trace['file']}"
    top = [join(*_banner(run)), tiles(_tiles(run))]
    charts = [*use, *power, *elements, *waste]
    return document(title, said, top, sections, charts, begin=run.data["begin"])


def _policy(run: Run) -> str:
    command = str(run.data.get("command", ""))
    _, found, rest = command.partition("--policy ")
    return rest.split(" ")[0] if found else "the operator's defaults"


def _at(run: Run, seconds: float) -> str:
    return courses.at_day(seconds, run.summary["seconds"])


def _banner(run: Run) -> Iterator[Markup]:
    if run.data.get("stuck"):
        yield tag("p", f"The run did not end: {run.data['stuck']}", class_="banner")
    elif run.data.get("interrupted"):
        yield tag(
            "p", f"Broken off {_at(run, run.summary['seconds'])}: the figures end there.", class_="banner"
        )


def _tiles(run: Run) -> Iterator[tuple[str, str, str, bool]]:
    summary = run.summary
    assert run.plots is not None
    yield f"{100 * summary['gpu_hours']['occupancy']:.1f}", "%", "of GPU-hours held", False
    waits = summary["wait_seconds"]
    yield f"{waits['median'] / 3600:,.1f}", "h", "median wait", False
    yield f"{waits['p95'] / 3600:,.1f}", "h", "95th percentile of waits", False
    over = summary["reserved"]["seconds_over_a_limit"]
    yield f"{over:,}", "s", "over a limit, by reserved watts", bool(over)
    tightest = run.plots["tightest"]
    if tightest is not None:
        watts = tightest["headroom_watts"]
        yield kilowatts(watts), "kW", "least headroom in the worst contingency", watts < 0


def _figures(found: Iterator[Figure]) -> Markup:
    """Value, limit, ratio, and whether it was kept."""
    rows = []
    for figure in found:
        kept = {None: ("", "nothing"), True: ("kept", "verdict kept"), False: ("exceeded", "verdict broken")}
        said, class_ = kept[figure.kept]
        limit = "" if figure.limit is None else in_words(figure.unit, figure.limit)
        ratio = "" if figure.ratio is None else in_words(_ratio(figure), figure.ratio)
        rows.append(
            tag(
                "tr",
                tag("th", figure.label.strip(), scope="row", role="rowheader"),
                tag(
                    "td",
                    in_words(figure.unit, figure.value),
                    role="cell",
                    class_="figure",
                    data_label="value",
                ),
                tag("td", limit, role="cell", class_="figure", data_label="limit"),
                tag(
                    "td",
                    ratio,
                    role="cell",
                    class_="figure" if ratio else "figure nothing",
                    data_label="ratio",
                ),
                tag("td", said, role="cell", class_=class_),
                tag("td", figure.note, role="cell", class_="note"),
                role="row",
                class_="sub" if figure.label.startswith(" ") else None,
            )
        )
    heads = ("", "value", "limit", "ratio", "", "")
    columns = (tag("th", h, scope="col", role="columnheader", class_="figure" if h else None) for h in heads)
    caption = tag("caption", "Values, limits and their ratios", class_="unseen")
    return _folding(caption, tag("tr", *columns, role="row"), rows)


def _ratio(figure: Figure) -> Unit:
    return Unit.RATIO if figure.unit is Unit.RATIO else Unit.SHARE


def _folding(caption: Markup, head: Markup, rows: Sequence[Markup]) -> Markup:
    """A table whose rows are blocks in a narrow window; roles are said, as a browser then takes them for none."""
    body = tag("tbody", *rows, role="rowgroup")
    return tag("table", caption, tag("thead", head, role="rowgroup"), body, role="table", class_="folds")


def _peaks(run: Run, peaks: Sequence[Mapping[str, Any]]) -> Markup:
    heads = ("most reserved", "limit then", "ratio", "when", "most drawn", "least headroom")
    rows = []
    for peak in peaks[:_NEAREST]:
        left = peak["worst_headroom_watts"]
        cells = (
            (in_words(Unit.WATTS, peak["reserved_watts"]), False),
            (in_words(Unit.WATTS, peak["limit_watts"]), False),
            (in_words(Unit.SHARE, peak["load"]), peak["load"] > 1),
            (_at(run, peak["seconds"]).removeprefix("at "), False),
            (in_words(Unit.WATTS, peak["drawn_watts"]), False),
            (in_words(Unit.WATTS, left), left is not None and left < 0),
        )
        figures = (
            tag("td", text, role="cell", class_="figure worse" if bad else "figure", data_label=head)
            for (text, bad), head in zip(cells, heads, strict=True)
        )
        name = tag("th", f"{peak['type']} {peak['name']}", scope="row", role="rowheader")
        loss = tag("td", f"losing {peak['worst_loss'] or 'nothing'}", role="cell", class_="note")
        rows.append(tag("tr", name, *figures, loss, role="row"))
    columns = (tag("th", h, scope="col", role="columnheader", class_="figure") for h in heads)
    head = tag("tr", tag("th"), *columns, tag("th"), role="row")
    more = len(peaks) - _NEAREST
    caption = f"The {min(_NEAREST, len(peaks))} elements that came nearest to their limits"
    table = _folding(tag("caption", caption, class_="unseen"), head, rows)
    return join(table, tag("p", f"And {more:,} more in elements.csv.", class_="key") if more > 0 else None)


def _facts(run: Run) -> Markup:
    facility, trace, data = run.data["facility"], run.data["trace"], run.data
    digests = data["sha256"]
    left_out = "; ".join(f"{count:,} {why}" for why, count in trace["left_out"].items())
    scaling = ", ".join(f"{name} {value}" for name, value in trace["scaling"].items() if value is not None)
    rules = data["rules"]
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    items: list[tuple[str, object]] = [
        (
            "Facility",
            f"{facility['name']}: {facility['gpus']:,} GPUs, {facility['nodes']:,} nodes of "
            f"{facility['gpus_per_node']}, {facility['racks']:,} racks, queues {', '.join(facility['queues'])}",
        ),
        (
            "Trace",
            f"{trace['file']} ({trace['format']}): {trace['jobs']:,} jobs of {trace['lines']:,} lines, "
            f"{trace['gpu_hours']:,.0f} GPU-hours",
        ),
        ("Left out", left_out or "nothing"),
        ("Scaling", scaling),
        ("Policy", _policy(run)),
        (
            "What stops cost",
            f"checkpoints every {rules['checkpoint']:,} s, restart {rules['restart']:,} s, stop {rules['stop']:,} s"
            if rules["checkpoint"] > 0
            else f"checkpoints {'when told to stop' if rules['checkpoint'] == 0 else 'never'}, restart "
            f"{rules['restart']:,} s, stop {rules['stop']:,} s",
        ),
        ("Draws", "modelled (docs/simulator.md, The power model)" if data["draws"] else "not modelled"),
        ("Seed", data["seed"]),
        ("Samples", f"{run.plots['samples'] if run.plots else 0:,}, every {data['every']:,} s"),
        ("Versions", versions),
        *((f"SHA-256 of {name}", tag("code", digest)) for name, digest in digests.items()),
        ("Command", tag("code", data.get("command", ""))),
        ("Beside this page", join(*_files())),
    ]
    return tag("dl", *(join(tag("dt", name), tag("dd", value)) for name, value in items), class_="facts")


def _files() -> Iterator[Markup]:
    for number, (name, words) in enumerate(_FILES):
        yield join(tag("br") if number else None, tag("a", name, href=name), f": {words}")
