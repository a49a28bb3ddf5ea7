"""The pages of a run and of several: nothing from elsewhere, well-formed, legible, and with the figures of the runs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from rackplane.floorplan.page import source_hash
from rackplane.simulator.report.axes import counted
from rackplane.simulator.report.comparing import compare
from rackplane.simulator.report.comparisonpage import comparison_page
from rackplane.simulator.report.markup import Markup, join, tag
from rackplane.simulator.report.page import report
from rackplane.simulator.report.timecharts import Limit, Line, TimeChart
from tests.unit.floorplan.test_page import PAIR, contrast
from tests.unit.simulator.run_data import PLOTS, made

NASTY = "</script><img src=x onerror=alert(1)>"
CSS = (resources.files("rackplane.simulator.report") / "assets" / "report.css").read_text(encoding="utf-8")
COLOURS = {name: (light, dark) for name, light, dark in PAIR.findall(CSS)}


class Page(HTMLParser):
    """What a browser sees: elements that are closed in their order, ids, links, and words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.names: set[str] = set()
        self.links: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.names.add(tag)
        self.links |= {value or "" for key, value in attrs if key in ("href", "src")}
        if "id" in said:
            self.ids.append(said["id"] or "")
        assert not any(key == "style" or key.startswith("on") for key in said), (tag, said)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


PAGES = {
    "one run": lambda: report(made()),
    "several": lambda: comparison_page(compare([made("a"), made("b", policy__watts=False), made("c", None)])),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_one_file_that_asks_for_nothing(name: str) -> None:
    text = PAGES[name]()
    page = Page(text)
    files = {
        "series.csv",
        "elements.csv",
        "jobs.csv",
        "events.csv",
        "run.json",
        "plots.json",
        "floor-plan.html",
    }
    assert {link for link in page.links if not link.startswith("#")} == (
        files if name == "one run" else set()
    )
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"https?:|url\(|@import", text)
    assert not {"link", "img", "iframe", "object"} & page.names
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert f"script-src {source_hash(script)}; style-src {source_hash(style)};".replace("'", "&#x27;") in text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script)
    assert len(text) < 60_000


def test_the_report_says_what_the_run_did() -> None:
    words = Page(report(made())).text
    for said in (
        "hall, jobs of jobs.csv",
        "3 jobs in 1.0 days on 48 GPUs in 3 racks; policy: the operator's defaults; seed 0.",
        "Time over a limit by watts reserved32 s0 sexceededat worst 2.5 kW: budget order",
        "50.0 % of the GPU-hours that there were; at most 48 of 48 GPUs, first at hour 0.0.",
        "Least at hour 12.0: -1 kW at power domain ups-a, after the loss of ups-b.",
        "UPS ups-a90 % of its limit at most, at hour 0.0.",
        "Stranded power by cause",
        "10 kW on average, at most 21 kW at hour 8.0.",
        "2 ask for more than 48 GPUs",
        "rackplane simulate --facility hall --trace jobs.csv",
    ):
        assert said in words, said
    # Draws were not modelled, and nothing is said of them.
    assert "by drawn watts" not in words and "not modelled" in words


def test_what_users_call_things_stays_text() -> None:
    text = report(made(facility__name=NASTY, trace__file=NASTY, stuck=NASTY))
    page = Page(text)
    assert "img" not in page.names and page.text.count(NASTY) >= 3
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None and json.loads(found[1])["charts"]["occupancy"]["seconds"] == 86_400


def test_runs_beside_each_other_and_what_is_unfair_of_it() -> None:
    found = compare([made("a"), made("b", facility__name="4n3", summary__wait_seconds__p95=1_800.0)])
    words = Page(comparison_page(found)).text
    for said in (
        "b ran on another facility than a: 4n3 (48 GPUs), not hall (48 GPUs)",
        "Changes are against a.",
        "Waits, 95th percentile1.00 h0.50 h -50 %",
        "a: hall, jobs of jobs.csv; b: 4n3, jobs of jobs.csv",
        "Stranded power by cause: b",
    ):
        assert said in words, said
    with pytest.raises(ValueError, match="at most 6 runs can be told apart on one page, and there are 7"):
        comparison_page(compare([made(name) for name in "abcdefg"]))


def test_runs_without_plots_have_a_page_of_figures() -> None:
    page = Page(comparison_page(compare([made("old", None)])))
    assert "Waits, 95th percentile" in page.text and "svg" not in page.names


def test_an_element_that_one_run_did_not_keep_is_said() -> None:
    other = {**PLOTS, "elements": [], "peaks": []}
    words = Page(comparison_page(compare([made("a"), made("b", other)]))).text
    assert "UPS ups-aNot there, or not among the nearest, in b." in words


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_words_and_lines_stand_out(theme: int) -> None:
    ground = COLOURS["panel"][theme]
    words = ["ink", "muted", "accent", "alarm", "good", *(f"tone-{i}" for i in range(1, 7))]
    assert [name for name in words if contrast(COLOURS[name][theme], ground) < 4.5] == []
    assert contrast(COLOURS["edge"][theme], ground) >= 3


def chart(*lines: Line, kind: str = "lines", limits: tuple[Limit, ...] = ()) -> str:
    return TimeChart("c", "Title", "", counted("GPUs"), 40, 10, lines, limits, kind=kind, height=100).figure()


def test_lines_are_steps_broken_where_nothing_is_known() -> None:
    drawn = chart(Line("busy", [0, 10, None, 5], 1), limits=(Limit("all", 10),))
    assert re.findall(r'<path class="(.*?)" d="(.*?)">', drawn) == [
        ("limit", "M0 0H1000"),
        ("base", "M0 100.0H1000"),
        ("line tone-1", "M0 100H250V0H500M750 50H1000"),
    ]


def test_bands_areas_and_bars_are_filled_between_their_steps() -> None:
    band = chart(Line("busy", [5, 5], 1, low=[0, 0], high=[10, 5]))
    assert 'class="band tone-1" d="M0 0L250 0L250 50L500 50L500 100L0 100Z"' in band
    stack = chart(Line("a", [5, 5], 1), Line("b", [5, 0], 2), kind="stack")
    assert 'class="area tone-2" d="M0 0L250 0L250 50L500 50L500 50L0 50Z"' in stack
    bars = chart(Line("s", [0, 10], 3), kind="bars")
    assert 'class="bar tone-3" d="M250 0L500 0L500 100L250 100Z"' in bars


def test_names_at_the_edge_do_not_lie_on_each_other() -> None:
    drawn = chart(*(Line(name, [0, 0], 1) for name in ("a", "b", "a name that is too long for the edge")))
    found = re.findall(r'class="edge tone-1" x="100%" dx="8" y="([\d.]+)">(.*?)<', drawn)
    assert found == [("76", "a"), ("90", "b"), ("104", "a name that is too long…")]


def test_markup_escapes_what_is_no_markup() -> None:
    assert tag("a", "<b>", Markup("<i></i>"), None, class_="x", data_y='"', hidden=True, id=None) == (
        '<a class="x" data-y="&quot;" hidden>&lt;b&gt;<i></i></a>'
    )
    assert tag("line", x1=1.5, x2=2.0, viewBox="0 0") == '<line x1="1.5" x2="2" viewBox="0 0"></line>'
    assert join(tag("br"), "&") == "<br>&amp;"
