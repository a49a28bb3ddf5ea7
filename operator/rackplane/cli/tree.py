"""`rackplane tree`: the power path, the cooling loops or the fabric, with loads as bars."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rackplane.cli.output import add_output_arguments, console_for, is_data, print_data
from rackplane.cli.source import add_source_arguments, open_source

if TYPE_CHECKING:  # Drawing and deciding take half a second to import, and --help shall not.
    from rackplane.cli.view import Tree
    from rackplane.core.machine import Machine

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane tree power                         the cluster that kubectl would ask
  rackplane tree power ups-a --racks           what hangs from one element, each rack
  rackplane tree power r3                      the way up from one rack
  rackplane tree cooling --facility halls/     a folder of YAML, before it is applied
  kubectl rackplane tree fabric -o json        for programs; watts are integers

A bar is the load now (solid), what the worst loss that the facility is built for would add (shaded), what is left, and
at its end (dotted) what of that is stranded: no free node can use it, even when all that can have started. "left kW" is
what the worst loss leaves, and "nearest limit" which loss and which limit that is. Standby feeds carry nothing until
every Active one is out. What stands in full further up is marked with an arrow and not repeated.
"""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "tree",
        description="Shows what every element carries, what it may carry, and the loss that is worst for it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("power", "cooling", "fabric"), help="which tree")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="an element or a rack: only what is below or above it"
    )
    parser.add_argument("-r", "--racks", action="store_true", help="a line for each rack")
    add_output_arguments(parser)
    add_source_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the tree; 0.

    Raises:
        CommandError: the source cannot be read, or nothing has that name.
    """
    machine = open_source(options)
    if is_data(options):
        print_data(_data(machine, options), options)
        return 0
    from rackplane.cli.view import show

    show(_tree(machine, options), console_for(options))
    return 0


def _tree(machine: Machine, options: argparse.Namespace) -> Tree:
    from rackplane.cli.cooling_tree import cooling_tree
    from rackplane.cli.fabric_tree import fabric_tree
    from rackplane.cli.power_tree import power_tree
    from rackplane.engine.reporting.reports import facility_report
    from rackplane.engine.reporting.stranded import stranded

    assert machine.state is not None  # the source has listed everything
    if options.what == "fabric":
        tree = fabric_tree(machine, name=options.name)
    else:
        make = power_tree if options.what == "power" else cooling_tree
        report, left = facility_report(machine.state), stranded(machine.state)
        tree = make(machine, report, left, name=options.name, each_rack=options.racks)
    tree.remarks += problems(machine)
    return tree


def _data(machine: Machine, options: argparse.Namespace) -> dict[str, Any]:
    from rackplane.cli.cooling_tree import cooling_data
    from rackplane.cli.fabric_tree import fabric_data
    from rackplane.cli.power_tree import power_data
    from rackplane.engine.reporting.reports import facility_report
    from rackplane.engine.reporting.stranded import stranded

    assert machine.state is not None
    if options.what == "fabric":
        data = fabric_data(machine, name=options.name)
    else:
        make = power_data if options.what == "power" else cooling_data
        data = make(machine, facility_report(machine.state), stranded(machine.state), name=options.name)
    return {**data, "problems": problems(machine)}


def problems(machine: Machine) -> list[str]:
    """What is wrong with the facility as configured, a sentence each: the figures may be lower for it."""
    assert machine.state is not None
    found = machine.world.catalog.problems(machine.state.facility)
    return [
        f"{kind} {name}: {p.message}; {p.remedy}." for (kind, name), of in sorted(found.items()) for p in of
    ]
