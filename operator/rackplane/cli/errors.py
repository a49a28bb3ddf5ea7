"""How a command ends that cannot do what it was asked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["CommandError", "nearest"]


class CommandError(Exception):
    """What is wrong and what to do, in words; `rackplane` prints it and exits with `code`."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def nearest(name: str, names: Iterable[str]) -> str:
    """ "; did you mean ups-a?", to end a sentence about a name that is not there; empty if none is near."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
