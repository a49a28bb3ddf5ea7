"""How a command ends: the codes that all of them share, and what it raises if it cannot do what it was asked."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

__all__ = ["CommandError", "Exit", "nearest"]


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    YES = 0
    """Done; or the answer is yes, or there was only something to show."""
    NO = 1
    """The answer is no, or nothing has that name."""
    USAGE = 2
    """What was asked makes no question: an option, or options that do not go together."""
    UNANSWERED = 3
    """No answer: a cluster that cannot be reached or does not let be asked, a file that cannot be read."""
    PARTLY = 4
    """Done but for something, which is named; or, of a trial, still open."""


class CommandError(Exception):
    """What is wrong and what to do, in words; `rackplane` prints it and exits with `code`."""

    def __init__(self, message: str, *, code: Exit = Exit.UNANSWERED) -> None:
        super().__init__(message)
        self.code = code


def nearest(name: str, names: Iterable[str]) -> str:
    """ "; did you mean ups-a?", to end a sentence about a name that is not there; empty if none is near."""
    import difflib

    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
