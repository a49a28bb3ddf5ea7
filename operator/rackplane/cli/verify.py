"""`rackplane verify`: whether the cluster is as its Gangs say, and of each difference what comes of it."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from rackplane.cli.errors import Exit
from rackplane.cli.output import add_output_arguments, is_data, print_data
from rackplane.cli.source import add_source_arguments, open_source

__all__ = ["add", "run"]

_EXAMPLES = """\
examples:
  rackplane verify                           after an upgrade, a restored etcd, or by hand-made changes
  rackplane verify -o json | jq '.[].kind'
  rackplane verify --facility dump/          of what was written down: kubectl get ... -o yaml

While an operator leads, what it is just about to write shows as a difference and is gone a second later: what is
still there at a second look is one.

exit codes:
  0  nothing differs
  1  something differs; it is named
  3  the cluster cannot be read
"""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "verify",
        description="Compares Jobs, pods and nodes with what the Gangs say of them, and explains each difference. "
        "Writes nothing.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source_arguments(parser)
    add_output_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare; 0 if nothing differs, 1 if something does.

    Raises:
        CommandError: it cannot be read.
    """
    from rackplane.core.offline.verifying import differences

    machine = open_source(options)
    found = differences(machine)
    if is_data(options):
        print_data([dataclasses.asdict(each) for each in found], options)
    else:
        for each in found:
            print(f"{each.kind}: {each.subject} {each.what}")
            print(f"  {each.then}")
        gangs = sum(record.decision is not None for record in machine.gangs.values())
        there = ", ".join(
            f"{number} {what}{'' if number == 1 else 's'}{more}"
            for number, what, more in (
                (gangs, "gang", " with a place"),
                (len(machine.world.pods), "pod", ""),
                (len(machine.world.nodes), "node", ""),
            )
        )
        count = f"{len(found)} difference{'' if len(found) == 1 else 's'}" if found else "nothing differs"
        print(f"{there}: {count}.")
    return Exit.NO if found else Exit.YES
