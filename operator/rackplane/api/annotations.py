"""Values of annotations, which anybody may have written."""

from __future__ import annotations

from typing import Final

__all__ = ["whole_number"]

_DIGITS: Final = 18
"""More are no number of anything here, and Python refuses to read more than 4,300."""


def whole_number(text: str | None) -> int | None:
    """The number that an annotation holds: ASCII digits and nothing else; None for anything else."""
    if text is None or not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        return None
    return int(text)
