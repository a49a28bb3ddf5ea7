"""The commands, in the order of ``--help``, and the modules that they are in.

A command's module has ``add(commands)``, which calls ``commands.add_parser(...)`` as `argparse` has it on what it calls
the subparsers, without ``help=`` (that stands here), adds its arguments, and ends with
``parser.set_defaults(run=function)``. The function takes the parsed options and returns an exit code (see
`rackplane.cli.errors.Exit`); a `CommandError` that it raises is printed, and its code returned.

Only the module of the command that is asked for is imported: `rackplane --help` must not take a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

__all__ = ["COMMANDS", "add_command"]

COMMANDS: Final = {
    "tree": ("tree", "the power path, the cooling loops or the fabric, with loads as bars"),
    "explain": ("explain", "why a gang waits, or what it holds where it runs"),
    "queue": ("queue", "the queues with quota, use and share; who waits in one, in order, and why"),
    "top": ("top", "loads against limits, worst losses and gangs by draw, live"),
    "capacity": ("capacity", "the largest gang that could start now"),
    "drill": ("drill", "what a loss would exceed, and which gangs would have to give way"),
    "defrag": ("defrag", "moves that let a waiting gang start, or free whole domains"),
    "validate": ("validate", "a facility checked before it is applied"),
    "verify": ("verify", "compare the cluster with what its Gangs say"),
    "discover": ("discover", "racks and NVLink domains from the labels of nodes"),
    "import": ("exchange", "a facility from Slurm, DPS, Kueue, KAI, Volcano, Redfish or a spreadsheet"),
    "export": ("exchange", "the facility as a DPS topology, or as a Topology of Kueue or KAI"),
    "facility": ("facility", "a new facility in YAML, from a few figures"),
    "simulate": ("simulate", "a trace of jobs on a facility, in virtual time"),
    "compare": ("compare", "runs of simulate beside each other"),
    "plan": ("plan", "what-if questions about a facility, answered by runs of a trace"),
    "try": ("trial", "run one small job, to see that all works; it is deleted again"),
    "release": ("release", "break-glass: start everything that waits for a place, without one"),
    "replay": ("replay", "tell a recording of an operator to this version, and compare what it decides"),
    "uninstall": (
        "uninstall",
        "before helm uninstall: policies, operator and finalizers away, who waits is named",
    ),
    "node-agent": ("node_agent", "hold the GPUs of a node to its power cap"),
    "device-plugin": ("device_plugin", "mock GPUs for a node that has none"),
    "kind-demo": ("kind_demo", "what make kind-demo does once Rackplane is installed"),
    "completion": ("completion", "a script for bash, zsh or fish that completes commands, options and names"),
    "version": ("version", "print the version"),
}
"""By name: the module in `rackplane.cli`, and what ``--help`` says of it."""


def add_command(commands: Any, name: str, *, asked: bool) -> None:
    """Add the command to `argparse`'s subparsers; if it is not asked for, its name and help alone."""
    module, text = COMMANDS[name]
    if not asked:
        commands.add_parser(name, help=text, add_help=False)
        return
    import_module(f"rackplane.cli.{module}").add(_Only(name, text, commands.add_parser))


class _Only:
    """Subparsers that take one command; others of the same module are taken by nobody."""

    def __init__(self, name: str, text: str, add: Callable[..., argparse.ArgumentParser]) -> None:
        self._name, self._text, self._add = name, text, add

    def add_parser(self, name: str, **more: Any) -> argparse.ArgumentParser:
        if name != self._name:
            return argparse.ArgumentParser(prog=name, **more)
        return self._add(name, help=self._text, **more)
