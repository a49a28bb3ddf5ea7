"""Rows in columns; the last column takes what is left of the width and is wrapped there, or has lines of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

__all__ = ["show_table"]

_GAP: Final = "  "
#: The least that the last column gets, however narrow the terminal.
_LEAST: Final = 24


def show_table(
    console: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[int] = (),
    styles: Sequence[str] = (),
    own_lines_under: int = 0,
) -> None:
    """Print headings and rows.

    Args:
        right: columns (of figures) that are flush right.
        styles: a style for each row; none where there is no entry.
        own_lines_under: with fewer characters left for it, the last column stands on lines of its own below each row.
    """
    last = len(headings) - 1
    widths = [max(cell_len(row[i]) for row in (headings, *rows)) for i in range(last)]
    left = sum(width + len(_GAP) for width in widths)
    below = console.width - left < own_lines_under
    indent = len(_GAP) if below else left
    room = max(console.width - indent, _LEAST)
    for number, row in enumerate((headings, *rows)):
        style = "bold" if not number else styles[number - 1] if number <= len(styles) else ""
        cells = [
            (" " * (width - cell_len(cell)) + cell if i in right else cell + " " * (width - cell_len(cell)))
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        wrapped = textwrap.wrap(row[last], room, break_on_hyphens=False) or [""]
        if below:
            # The heading of a column that is none would stand beside nothing.
            lines = [_GAP.join(cells), *(" " * indent + part for part in wrapped if number)]
        else:
            lines = [_GAP.join([*cells, wrapped[0]]), *(" " * indent + part for part in wrapped[1:])]
        for i, text in enumerate(lines):
            line = Text(text, "dim" if below and i else style)
            line.rstrip()
            if line.plain or not below:
                console.print(line, soft_wrap=True)
