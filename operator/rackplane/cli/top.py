"""`rackplane top`: loads against limits, what the worst losses leave, and gangs by what they draw."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.output import add_output_arguments, console_for, is_data, print_data
from rackplane.cli.source import add_source_arguments

if TYPE_CHECKING:
    from rackplane.cli.top_board import Board

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane top                         the operator, power, cooling and gangs, every two seconds
  rackplane top racks                   racks by load against limit
  rackplane top gangs --once            gangs by draw, once
  rackplane top -o json | jq .totals    once, for programs: everything, whatever is looked at
  rackplane top power --facility DIR    a folder of YAML, once

Of a cluster it shows what the operator has written into the status of its objects, so it costs the API server five
short lists a time, and is as old as they are. Elements stand in the order of how full they would be after the loss that
is worst for them. While it runs: q leaves, o p c r g change what is looked at. In a pipe it is as with --once.

exit codes:
  0  shown
  3  the cluster or the folder cannot be read
"""
_LEAST = 0.5


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "top",
        description="Shows power domains, cooling zones and racks by load against limit, with the loss that is worst "
        "for each, gangs by draw, and who leads; refreshed until q is pressed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=("overview", "power", "cooling", "racks", "gangs"),
        default="overview",
        help="what to look at (default: %(default)s)",
    )
    parser.add_argument("--once", action="store_true", help="show it once, all of it, and end")
    parser.add_argument(
        "--seconds", type=_pause, default=2.0, metavar="S", help="between two looks (default: %(default)g)"
    )
    parser.add_argument(
        "--lease",
        default="rackplane-system/rackplane",
        metavar="NS/NAME",
        help="the operator's Lease (default: %(default)s)",
    )
    add_output_arguments(parser)
    add_source_arguments(parser)
    parser.set_defaults(run=run)


def _pause(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _LEAST <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from {_LEAST} to 3600")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Show it, once or until somebody leaves; 0.

    Raises:
        CommandError: the source cannot be read.
    """
    import asyncio

    if options.facility is not None:
        _show_once(_of_folder(options), options)
        return Exit.YES
    asyncio.run(_of_cluster(options))
    return Exit.YES


def _of_folder(options: argparse.Namespace) -> Board:
    from rackplane.cli.source import open_source, time_of
    from rackplane.cli.top_board import board_of_machine

    return board_of_machine(open_source(options), time_of(options))


async def _of_cluster(options: argparse.Namespace) -> None:
    from rackplane.cli.cluster import connected
    from rackplane.cli.top_board import board_of_cluster

    if options.at is not None:
        raise CommandError(
            "--at is for a folder: of a cluster it shows what is written there", code=Exit.USAGE
        )
    async with connected(options.kubeconfig, options.context, "ask a folder with --facility") as client:

        async def read() -> Board:
            return await board_of_cluster(client, lease=options.lease, now=time.time())

        if options.once or options.output != "text" or not sys.stdout.isatty():
            _show_once(await read(), options)
            return
        from rackplane.cli.top_live import live

        await live(read, console_for(options), pane=options.what, seconds=options.seconds)


def _show_once(board: Board, options: argparse.Namespace) -> None:
    if is_data(options):
        print_data(board.as_data(), options)
        return
    from rackplane.cli.top_view import screen

    console = console_for(options)
    ascii = not console.encoding.startswith("utf")
    for line in screen(board, pane=options.what, width=console.width, ascii=ascii):
        console.print(line, soft_wrap=True)
