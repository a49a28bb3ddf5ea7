"""`rackplane facility new`: the custom resources of a facility, from a few figures."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from rackplane.cli.errors import CommandError
from rackplane.cli.source import positive

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane facility new row --scheme N+1 --rows 1 --profile gb300-nvl72 --row-base 64000
  rackplane facility new hall --scheme 4N/3 --profile gb300-nvl72
  rackplane facility new campus --halls 22 --scheme 4N/3 --profile gb300-nvl72 --utility-rating 750000000
  rackplane facility new air --scheme N --rows 1 --profile dgx-h100 --nodes 4

schemes: N, N+1 (modules of one UPS), 2N, 3N/2, 4N/3, 5N/4 (each pair of UPS feeds as many rows), catcher, catcher-K.
What is not given is worked out: ratings are as large as the full facility needs after any loss it is built to survive.
Nothing is written that `rackplane validate` has errors for. The files say what to change.
"""
_WATTS = (
    ("rack-overhead", "what a rack draws beside its nodes (default: by profile)"),
    ("rack-limit", "of a rack (default: its peak)"),
    ("row-base", "what a row draws beside its racks (default: 0)"),
    ("row-rating", "of a row's busway, with N and N+1 (default: what it carries)"),
    ("ups-rating", "of a UPS (default: what it carries after any loss)"),
    ("utility-rating", "of the campus (default: what all halls need)"),
    ("cdu-capacity", "of a coolant distribution unit (default: 1300000)"),
    ("crah-capacity", "of an air handler (default: 110000)"),
)


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.parser`)."""
    parser = commands.add_parser(
        "facility",
        description="Writes the custom resources of a facility to start from: power path, cooling, racks, fabric.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("new",), help="new: write one")
    parser.add_argument("dir", metavar="DIR", help="the folder to write to")
    parser.add_argument("--scheme", required=True, metavar="NAME", help="redundancy: see below")
    parser.add_argument(
        "--profile",
        required=True,
        metavar="NAME",
        help="a HardwareProfile that is shipped, or a file with one",
    )
    parser.add_argument(
        "--halls", type=positive, default=1, metavar="N", help="halls that are alike (default: 1)"
    )
    parser.add_argument("--rows", type=positive, metavar="N", help="of a hall (default: one for each path)")
    parser.add_argument(
        "--pairs",
        metavar="LIST",
        help="pairs of UPS that rows are on, such as AB,AB,AC,AD,BC,BD (default: each pair once)",
    )
    parser.add_argument(
        "--switchboard", action="store_true", help="with N: a switchboard and no UPS, so no losses"
    )
    parser.add_argument("--racks", type=positive, default=8, metavar="N", help="of a row (default: 8)")
    parser.add_argument(
        "--nodes", type=positive, metavar="N", help="of a rack (default: 18 of an NVL72, else 4)"
    )
    parser.add_argument(
        "--queue", default="research", metavar="NAME", help="name of the queue (default: %(default)s)"
    )
    parser.add_argument(
        "--no-cooling", action="store_true", help="without cooling zones: heat holds nobody back"
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    watts = parser.add_argument_group("watts")
    for name, text in _WATTS:
        watts.add_argument(f"--{name}", type=positive, metavar="WATTS", help=text)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the folder, and say what it has; 0.

    Raises:
        CommandError: the figures make no facility, or the folder cannot be written.
    """
    from rackplane.cli.output import console_for
    from rackplane.figures import count
    from rackplane.simulator.facilities.design import Design, DesignError, parse_pairs, parse_scheme
    from rackplane.simulator.facilities.manifests import files_of
    from rackplane.simulator.facilities.writing import checked, profile_of, write

    given = {name.replace("-", "_"): getattr(options, name.replace("-", "_")) for name, _ in _WATTS}
    try:
        profile, text = profile_of(options.profile)
        design = Design(
            profile=profile,
            scheme=parse_scheme(options.scheme),
            halls=options.halls,
            rows=options.rows,
            pairs=parse_pairs(options.pairs) if options.pairs else (),
            switchboard=options.switchboard,
            racks=options.racks,
            nodes=options.nodes,
            queue=options.queue,
            cooling=not options.no_cooling,
            **{name: value for name, value in given.items() if value is not None},
        )
        design.check()
        files = files_of(design, profile_text=text, command=_command(options, given))
        _, findings = checked(files)
        write(files, options.dir, force=options.force)
    except DesignError as error:
        raise CommandError(str(error)) from error
    console = console_for()
    racks = design.halls * design.rows_of_a_hall * design.racks
    console.print(
        f"{options.dir}: {len(files)} files; {count(design.halls, 'hall')}, {racks:,} racks, {design.gpus:,} GPUs; "
        f"{design.halls * design.load_of_a_hall / 1e6:,.2f} MW of racks at peak, {design.scheme.name} with UPS of "
        f"{design.rating_of_a_ups / 1e6:,.2f} MW",
        highlight=False,
        markup=False,
    )
    if findings:
        text = f"`rackplane validate {options.dir}` has no errors, and {count(len(findings), 'more finding')}"
        console.print(text, highlight=False, markup=False)
    return 0


def _command(options: argparse.Namespace, watts: dict[str, int | None]) -> str:
    """The command as it can be given again."""
    words = ["rackplane", "facility", "new", "DIR", "--scheme", options.scheme, "--profile", options.profile]
    plain = {name: getattr(options, name) for name in ("halls", "rows", "pairs", "racks", "nodes", "queue")}
    usual = {"halls": 1, "racks": 8, "queue": "research"}
    for name, value in {**plain, **watts}.items():
        if value is not None and value != usual.get(name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    words += [
        f"--{name}" for name in ("switchboard", "no-cooling") if getattr(options, name.replace("-", "_"))
    ]
    return shlex.join(words)
