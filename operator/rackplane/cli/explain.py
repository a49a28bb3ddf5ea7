"""`rackplane explain`: why a gang waits, or what it holds where it runs."""

from __future__ import annotations

import argparse
from typing import Any

from rackplane.cli.errors import Exit
from rackplane.cli.output import add_output_arguments, console_for, is_data, print_data
from rackplane.cli.source import add_source_arguments

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane explain gang job-pretrain -n research     a gang of the cluster; "pretrain", its Job, will do
  rackplane explain gang -f job.yaml                  what would happen if this Job were submitted now?
  rackplane explain gang -f job.yaml --facility DIR   the same before there is a cluster
  kubectl rackplane explain gang pretrain -o json     for programs; watts are integers

The answer is worked out anew, by the operator's own rules, from what the cluster holds now: the queue is asked in its
order, so what goes first takes its place first. Where the status of the gang says something else, both are shown.

exit codes:
  0  it runs, it could start now, or it has finished
  1  it cannot start now, or there is no such gang
  3  the question could not be answered
"""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "explain",
        description="Says why a gang cannot start and what would help, or where it runs and what it reserves there.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("gang",), help="what to explain")
    parser.add_argument("name", nargs="?", metavar="NAME", help="the gang, or its Job; not needed with -f")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="default: the context's, else default")
    parser.add_argument(
        "-f", "--filename", metavar="FILE", help="a Job, or the pods of a gang, that is not submitted yet"
    )
    add_output_arguments(parser)
    add_source_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the explanation; 0 if the gang runs or could start, 1 if not.

    Raises:
        CommandError: the source or the file cannot be read, or there is no such gang.
    """
    from rackplane.cli.answer import answer, as_data
    from rackplane.cli.answer_view import show_answer

    found = answer(options)
    if is_data(options):
        print_data(as_data(found), options)
    else:
        show_answer(found, console_for(options))
    return Exit.YES if found.positive else Exit.NO
