"""The format of an answer: text for people, as wide as the terminal or in full, and JSON or YAML for programs."""

from __future__ import annotations

import argparse
import os
import sys
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:  # rich takes a tenth of a second to import.
    from rich.console import Console

__all__ = ["add_output_arguments", "console_for", "is_data", "is_wide", "print_data"]

_FORMATS = ("text", "wide", "json", "yaml")
_UNBOUNDED = 10_000
"""Characters that no line has."""


def add_output_arguments(parser: argparse._ActionsContainer) -> None:
    """The options for the format and for colours."""
    parser.add_argument(
        "-o",
        "--output",
        choices=_FORMATS,
        default="text",
        help="text, as wide as the terminal; wide, with every column and nothing cut; json or yaml, for programs "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: on a terminal, unless NO_COLOR is set (default: %(default)s)",
    )


def is_data(options: argparse.Namespace) -> bool:
    """Whether a program is to read the answer."""
    return options.output in ("json", "yaml")


def is_wide(options: argparse.Namespace) -> bool:
    """Whether every column is to be shown."""
    return bool(options.output == "wide")


def print_data(data: Any, options: argparse.Namespace) -> None:
    """Print what `json` takes, as the options say; keys keep their order."""
    import json

    text = json.dumps(data, indent=2)
    if options.output == "yaml":
        import yaml

        # By way of JSON: the safe dumper does not know enumerations and tuples for what they are.
        text = yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True, width=_UNBOUNDED).rstrip(
            "\n"
        )
    print(text)


def console_for(options: argparse.Namespace | None = None, file: IO[str] | None = None) -> Console:
    """A console as the options say: as wide as the terminal; in a pipe, or with ``-o wide``, as wide as need be."""
    from rich.console import Console

    file = sys.stdout if file is None else file
    color = "auto" if options is None else options.color
    console = Console(
        file=file,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal={"always": True, "never": False, "auto": None}[color],
        # As the convention has it: set and not empty.
        no_color={"always": False, "never": True, "auto": bool(os.environ.get("NO_COLOR"))}[color],
    )
    if not file.isatty() or (options is not None and is_wide(options)):
        console.width = _UNBOUNDED
    return console
