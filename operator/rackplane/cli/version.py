"""`rackplane version`."""

from __future__ import annotations

import argparse
from typing import Any

from rackplane import __version__
from rackplane.cli.errors import Exit
from rackplane.cli.output import add_output_arguments, is_data, is_wide, print_data

__all__ = ["add"]


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser("version", description="Prints the version.")
    add_output_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print it; with more than a line, what it runs on too."""
    import platform

    runs_on = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system().lower()}/{platform.machine()}"
    if is_data(options):
        print_data({"version": __version__, "python": runs_on, "platform": system}, options)
    else:
        print(f"rackplane {__version__}" + (f" ({runs_on}, {system})" if is_wide(options) else ""))
    return Exit.YES
