"""A tree of things with bars and figures, as lines of a terminal.

A bar shows the load now (solid), what the worst case adds (shaded) and what is left, out of the limit. Colour appears
only on a terminal and never without NO_COLOR's consent; where the encoding is not UTF-8 everything is plain ASCII.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

__all__ = ["Branch", "Gauge", "Tree", "lines", "paragraph", "share", "show"]

#: Characters of a bar, at most and at least.
_BAR: Final = (24, 10)
_GAP: Final = "  "
#: The least that is left to the last column before it is cut.
_NOTE: Final = 24
#: The same where it has no line of its own to go to.
_SHORT: Final = 12
#: A load from which a bar is a warning, in parts of the limit.
_NEAR: Final = 0.95


@dataclass(frozen=True, slots=True)
class Gauge:
    """Parts of a limit: `load` now, `worst` after the worst loss, and at the far end what is `stranded` or `down`."""

    load: float
    worst: float = 0.0
    stranded: float = 0.0
    down: float = 0.0


def share(load: float, limit: float) -> float:
    """Parts of the limit; of no limit at all the least load is too much."""
    return load / limit if limit > 0 else 2.0 if load > 0 else 0.0


@dataclass(slots=True)
class Branch:
    """One line and what hangs from it."""

    name: str
    detail: str = ""
    gauge: Gauge | None = None
    figures: tuple[str, ...] = ()
    note: str = ""
    #: the note tells of something that is wrong
    alarm: bool = False
    #: it stands in full elsewhere
    reference: bool = False
    children: list[Branch] = field(default_factory=list)


@dataclass(slots=True)
class Tree:
    """A whole answer: headings, branches, and sentences below them."""

    #: heading of the names, of the bars ({worst} and {down} stand for what is drawn), and of the notes
    headings: tuple[str, str, str]
    #: headings of the figures
    figures: tuple[str, ...]
    roots: list[Branch]
    remarks: list[str] = field(default_factory=list)
    #: so many of the last figures a narrow terminal can do without
    spare: int = 0
    #: a line for each branch, whatever becomes of its note: for a screen of so many lines
    one_line: bool = False


def show(tree: Tree, console: Console) -> None:
    """Print the tree and its remarks."""
    for line in lines(tree, width=console.width, ascii=not console.encoding.startswith("utf")):
        console.print(line, soft_wrap=True)
    for remark in tree.remarks:
        paragraph(console, remark)


def paragraph(console: Console, text: str, *, label: str = "") -> None:
    """Print a sentence or more, wrapped at the width of a terminal and indented below its label."""
    width = max(console.width - cell_len(label), 20)
    for i, line in enumerate(textwrap.wrap(text, width, break_on_hyphens=False) or [""]):
        head = label if not i else " " * cell_len(label)
        console.print(Text().append(head, "dim").append(line), soft_wrap=True)


def lines(tree: Tree, *, width: int, ascii: bool) -> Iterator[Text]:
    """The lines of a tree, without its remarks.

    Args:
        width: of the terminal, in characters. Bars shrink first, then details and spare figures go, and at last notes
            have lines of their own.
        ascii: draw with ASCII only.
    """
    glyphs = _ASCII if ascii else _UNICODE
    rows = [row for root in tree.roots for row in _rows(root, "", "", glyphs)]
    layout = _layout(tree, rows, width)
    names, bars, notes = tree.headings
    bars = bars.format(worst=glyphs.worst, down=glyphs.down)
    heading = Text(
        _pad(names, layout.left) + _GAP + _pad(bars if cell_len(bars) <= layout.bar else "", layout.bar)
    )
    for i, column in layout.columns:
        heading.append(_GAP + tree.figures[i].rjust(column))
    heading.append(_GAP + (notes if not layout.below and any(row.branch.note for row in rows) else ""))
    heading.stylize("bold")
    yield _trimmed(heading)
    for row in rows:
        yield _trimmed(row.text(layout))
        if layout.below and row.branch.note:
            yield _trimmed(row.note(width))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Widths in characters: of the names, the bars, each column of figures (by its index), and the notes."""

    left: int
    bar: int
    columns: tuple[tuple[int, int], ...]
    note: int
    details: bool
    #: there is no room for notes beside the figures: they have lines of their own
    below: bool


def _layout(tree: Tree, rows: Sequence[_Row], width: int) -> _Layout:
    longest = max((cell_len(row.branch.note) for row in rows), default=0)
    if tree.one_line and longest:
        longest = max(longest, cell_len(tree.headings[2]))
    needed = min(longest, _SHORT if tree.one_line else _NOTE)
    shown = [
        (i, max(cell_len(heading), *(cell_len(row.figure(i)) for row in rows)))
        for i, heading in enumerate(tree.figures)
        if any(row.figure(i) for row in rows)
    ]
    kept = [(i, column) for i, column in shown if i < len(tree.figures) - tree.spare]
    for details, columns in ((True, shown), (False, shown), (False, kept)):
        left = max([cell_len(row.label(details=details)) for row in rows] + [cell_len(tree.headings[0])])
        fixed = left + sum(len(_GAP) + column for _, column in columns) + 2 * len(_GAP)
        # What something is matters less than which limit is nearest to it.
        if width - fixed - _BAR[1] >= needed:
            break
    below = width - fixed - _BAR[1] < needed and not tree.one_line
    bar = max(_BAR[1], min(_BAR[0], width - fixed - (0 if below else longest)))
    note = 0 if below else max(0, width - fixed - bar)
    return _Layout(left, bar, tuple(columns), note, details, below)


@dataclass(frozen=True, slots=True)
class _Glyphs:
    fork: str
    last: str
    pass_by: str
    load: str
    worst: str
    left: str
    stranded: str
    down: str
    over: str
    more: str
    above: str


_UNICODE: Final = _Glyphs("├─ ", "└─ ", "│  ", "█", "▒", "░", "·", "╳", "▶", "…", "↑")
_ASCII: Final = _Glyphs("|- ", "`- ", "|  ", "#", "+", ".", " ", "x", ">", "...", "^")


@dataclass(frozen=True, slots=True)
class _Row:
    guide: str
    #: what stands before a line below this one
    under: str
    branch: Branch
    glyphs: _Glyphs

    def label(self, *, details: bool) -> str:
        detail = f"  {self.branch.detail}" if self.branch.detail and details else ""
        above = f" {self.glyphs.above}" if self.branch.reference else ""
        return f"{self.guide}{self.branch.name}{detail}{above}"

    def figure(self, i: int) -> str:
        return self.branch.figures[i] if i < len(self.branch.figures) else ""

    def text(self, layout: _Layout) -> Text:
        branch, label = self.branch, self.label(details=layout.details)
        line = Text().append(self.guide, "dim")
        if branch.reference:
            line.append(label[len(self.guide) :], "dim")
        else:
            line.append(branch.name, "bold" if branch.children or branch.gauge else "")
            line.append(label[len(self.guide) + len(branch.name) :], "dim")
        line.append(" " * (layout.left - cell_len(label)) + _GAP)
        if branch.gauge is None:
            line.append(" " * layout.bar)
        else:
            _draw(line, branch.gauge, layout.bar, self.glyphs)
        for i, column in layout.columns:
            line.append(_GAP + self.figure(i).rjust(column))
        line.append(_GAP)
        if not layout.below:
            line.append(_cut(branch.note, layout.note, self.glyphs.more), "red" if branch.alarm else "")
        return line

    def note(self, width: int) -> Text:
        """The note as a line below."""
        room = width - cell_len(self.under)
        cut = _cut(self.branch.note, room, self.glyphs.more)
        return Text().append(self.under, "dim").append(cut, "red" if self.branch.alarm else "dim")


def _rows(branch: Branch, here: str, below: str, glyphs: _Glyphs) -> Iterator[_Row]:
    yield _Row(here, below + (glyphs.pass_by if branch.children else "   "), branch, glyphs)
    for i, child in enumerate(branch.children):
        last = i == len(branch.children) - 1
        yield from _rows(
            child,
            below + (glyphs.last if last else glyphs.fork),
            below + ("   " if last else glyphs.pass_by),
            glyphs,
        )


def _draw(line: Text, gauge: Gauge, width: int, glyphs: _Glyphs) -> None:
    worst = max(gauge.load, gauge.worst)
    over = worst > 1.0
    style = "red" if over else "yellow" if worst >= _NEAR else "green"
    room = width - over
    solid = _part(gauge.load, room)
    shaded = max(_part(worst, room), solid) - solid
    rest = room - solid - shaded
    down = min(_part(gauge.down, room), rest)
    stranded = min(_part(gauge.stranded, room), rest - down)
    line.append(glyphs.load * solid, style)
    line.append(glyphs.worst * shaded, style)
    line.append(glyphs.left * (rest - stranded - down), "dim")
    line.append(glyphs.stranded * stranded, "dim")
    line.append(glyphs.down * down, "red")
    line.append(glyphs.over if over else "", "red")


def _part(share: float, width: int) -> int:
    """Characters for a share: some for the least load, and all of them only for a full one."""
    if share <= 0:
        return 0
    if share >= 1:
        return width
    return min(max(round(share * width), 1), width - 1)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _cut(text: str, width: int, more: str) -> str:
    return text if cell_len(text) <= width else text[: max(width - len(more), 0)] + more[:width]


def _trimmed(line: Text) -> Text:
    line.rstrip()
    return line
