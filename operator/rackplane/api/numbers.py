"""Numbers in text that anybody may have written: annotations, labels, cells of a table."""

from __future__ import annotations

from typing import Final

__all__ = ["whole_number"]

_DIGITS: Final = 18
"""More are no number of anything here, and Python refuses to read more than 4,300."""


def whole_number(text: str | None) -> int | None:
    """The number that a text is: ASCII digits and nothing else; None for anything else."""
    if text is None or not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        return None
    return int(text)
