"""Rows in columns; the last column takes what is left of the width and is wrapped there."""

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
) -> None:
    """Print headings and rows.

    Args:
        right: columns (of figures) that are flush right.
        styles: a style for each row; none where there is no entry.
    """
    last = len(headings) - 1
    widths = [max(cell_len(row[i]) for row in (headings, *rows)) for i in range(last)]
    left = sum(width + len(_GAP) for width in widths)
    room = max(console.width - left, _LEAST)
    for number, row in enumerate((headings, *rows)):
        style = "bold" if not number else styles[number - 1] if number <= len(styles) else ""
        cells = [
            (" " * (width - cell_len(cell)) + cell if i in right else cell + " " * (width - cell_len(cell)))
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        wrapped = textwrap.wrap(row[last], room, break_on_hyphens=False) or [""]
        for i, part in enumerate(wrapped):
            line = Text(_GAP.join([*cells, part]) if not i else " " * left + part, style)
            line.rstrip()
            console.print(line, soft_wrap=True)
