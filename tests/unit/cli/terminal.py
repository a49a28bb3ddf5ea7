"""A terminal of a given width for commands that are run in the process of the test."""

from __future__ import annotations

import io
import sys

import pytest

from rackplane.cli import parser

__all__ = ["Terminal", "shown"]


class Terminal(io.StringIO):
    """What a command takes for a terminal; its width is that of $COLUMNS."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, *words: str, width: int = 80, code: int = 0) -> list[str]:
    """The lines that a command prints on a terminal that wide, without colours."""
    file = Terminal()
    with monkeypatch.context() as patched:
        patched.setenv("COLUMNS", str(width))
        patched.setattr(sys, "stdout", file)
        assert parser.main([*words, "--color", "never"]) == code
    return file.getvalue().splitlines()
