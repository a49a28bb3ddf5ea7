"""The READMEs of the facilities as text: their figures and tables, in the form that the tests compute them in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rackplane.engine.state import State
from tests.examples.halls import FACILITIES, blind, booked_like, documents, fill, state_of

Figures = set[str]
_FENCED = re.compile(r"^```(?:sh|text|console|yaml)\n.*?^```", re.MULTILINE | re.DOTALL)
_FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)? (?:kW|W|%)(?!\w)")


def kw(watts: float) -> str:
    """1200000 -> "1,200 kW", 1237113 -> "1,237.1 kW"."""
    return f"{watts / 1000:,.1f}".removesuffix(".0") + " kW"


def percent(part: float, whole: float = 1.0) -> str:
    """ "66.7 %", "75 %"."""
    return f"{100 * part / whole:.1f}".removesuffix(".0") + " %"


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A table as the READMEs write it, an empty cell as one space."""
    rows = [list(head), *map(list, lines)]
    text = ["|" + "".join(f" {cell} |" if cell else " |" for cell in row) for row in rows]
    return "\n".join([text[0], "|" + "---|" * len(rows[0]), *text[1:]]) + "\n"


def prose(name: str) -> str:
    """The README without commands and their output."""
    return _FENCED.sub("", (FACILITIES / name / "README.md").read_text())


def figures(text: str) -> Figures:
    """Everything in kilowatts, watts and percent that it says."""
    return set(_FIGURE.findall(" ".join(text.split())))


def at_work(name: str) -> State:
    """The hall with every node at work, whether or not it survives a loss."""
    state = state_of(blind(documents(name)))
    fill(state)
    return booked_like(state, documents(name))
