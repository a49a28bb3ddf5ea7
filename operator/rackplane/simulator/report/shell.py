"""One HTML file around plots and tables: it opens from a disk, and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

import msgspec

from rackplane.floorplan.page import source_hash
from rackplane.simulator.report.markup import Markup, join, tag
from rackplane.simulator.report.timecharts import TimeChart

__all__ = ["document", "section", "tiles"]


@cache
def _asset(name: str) -> str:
    return (resources.files("rackplane.simulator.report") / "assets" / name).read_text(encoding="utf-8")


def document(
    title: str,
    said: str,
    top: Iterable[Markup],
    sections: Sequence[Markup],
    charts: Iterable[TimeChart],
    *,
    begin: int,
) -> str:
    """The whole page.

    Args:
        said: below the title.
        top: between the title and the first section.
        charts: those in the sections, whose values the script says.
        begin: the epoch second that second 0 is.
    """
    style, script = _asset("report.css"), _asset("report.js")
    data = {"begin": begin, "charts": {chart.id: chart.data() for chart in charts}}
    # In a script element only "<" can end it or begin a comment.
    text = msgspec.json.encode(data).decode().replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src {source_hash(script)}; style-src {source_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    choice = tag(
        "select", *(tag("option", name, value=name.lower()) for name in ("Auto", "Light", "Dark")), id="theme"
    )
    links = (tag("li", tag("a", words, href=f"#{anchor}")) for anchor, words in map(_heading, sections))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        tag("a", "To the figures", class_="skip", href="#main"),
        tag(
            "header",
            tag(
                "div",
                tag("div", tag("h1", title), tag("p", said, class_="said")),
                tag("label", "Theme ", choice, class_="theme", hidden=True),
                class_="top",
            ),
            tag("nav", tag("ul", *links), aria_label="Sections"),
        ),
        tag("main", *top, *sections, id="main"),
        tag("footer", "Made by rackplane simulate. Nothing on this page comes from anywhere else."),
        tag("script", Markup(text), type="application/json", id="data"),
        tag("script", Markup(script)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def section(anchor: str, heading: str, said: str | None, *content: Markup) -> Markup:
    """A part of the page that its top links to."""
    return tag(
        "section", tag("h2", heading, id=anchor), None if said is None else tag("p", said), join(*content)
    )


def _heading(part: Markup) -> tuple[str, str]:
    """Anchor and words of a section's heading; both are our own."""
    start = part.index('<h2 id="') + len('<h2 id="')
    anchor, _, rest = part[start:].partition('">')
    return anchor, rest.partition("</h2>")[0]


def tiles(items: Iterable[tuple[str, str, str, bool]]) -> Markup:
    """The first figures to look at: value, what is small beside it, what it is, and whether it is bad."""
    return tag(
        "dl",
        *(
            tag(
                "div",
                tag("dt", words),
                tag("dd", value, tag("small", f" {small}") if small else None),
                class_="tile bad" if bad else "tile",
            )
            for value, small, words, bad in items
        ),
        class_="tiles",
    )
