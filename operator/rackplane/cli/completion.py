"""`rackplane completion`: what a shell has to read to complete commands, options and names."""

from __future__ import annotations

import argparse
from typing import Any

from rackplane.cli.errors import Exit

__all__ = ["add"]

_EXAMPLES = """\
examples:
  source <(rackplane completion bash)                                       in this shell; or in ~/.bashrc
  source <(rackplane completion zsh)                                        after compinit, in ~/.zshrc
  rackplane completion fish > ~/.config/fish/completions/rackplane.fish

kubectl completes its plugins by itself, where its own completion is set up and kubectl_complete-rackplane is on PATH
beside kubectl-rackplane; this command has nothing to do with that.
"""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "completion",
        description="Prints a script that makes a shell complete commands, options, and names of racks, elements, "
        "gangs and queues of the cluster.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="for which shell")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the script; 0."""
    from argcomplete.shell_integration import shellcode

    # Not `-o default`: where nothing is offered, a file is not meant either.
    print(shellcode(["rackplane"], shell=options.shell, complete_arguments=["-o", "nospace"]))
    return Exit.YES
