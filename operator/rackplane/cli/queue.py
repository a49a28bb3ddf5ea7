"""`rackplane queue`: what each queue may hold, holds and waits for; and who waits in one, in order, and why."""

from __future__ import annotations

import argparse
from typing import Any

from rackplane.cli.errors import Exit
from rackplane.cli.output import add_output_arguments, console_for, is_data, is_wide, print_data
from rackplane.cli.source import add_source_arguments, open_source, time_of

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane queue                              the tree of queues
  rackplane queue research                     who waits in research and the queues below it, in order
  rackplane queue research -o wide             with every column, whatever the width of the terminal
  rackplane queue -o json | jq '.waiting[] | select(.couldStart)'
  rackplane queue research --facility halls/   a folder of YAML

Everybody who waits is asked once, by the operator's own rules and in its order, as in its next pass: what goes first
takes its place first. When the first ten of all could start is worked out too. rackplane explain says more of one gang.

exit codes:
  0  shown
  1  there is no such queue
  3  the question could not be answered
"""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "queue",
        description="Shows the queues as a tree, with quota, use, share and who waits; or who waits in one of them, in "
        "order, with position, estimated start and reason.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="a queue: it, those below it, and who waits there"
    )
    add_output_arguments(parser)
    add_source_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the tree, or the line; 0.

    Raises:
        CommandError: the source cannot be read, or there is no such queue.
    """
    from rackplane.cli.queue_data import queues_of, waiting_in
    from rackplane.cli.queue_view import show_queues, show_waiting
    from rackplane.core.offline import rehearsal

    machine, now = open_source(options), time_of(options)
    if options.facility is not None:
        rehearsal.submit_all(machine, now)
    found = queues_of(machine, options.name)
    if is_data(options):
        waiting = waiting_in(machine, found, every=options.name is None)
        data = {"queues": [q.as_data() for q in found], "waiting": [w.as_data() for w in waiting]}
        print_data(data, options)
        return Exit.YES
    console = console_for(options)
    show_queues(found, console, now=now, every=options.name is None)
    if options.name is not None:
        waiting = waiting_in(machine, found, every=False)
        show_waiting(waiting, console, now=now, wide=is_wide(options))
    return Exit.YES
