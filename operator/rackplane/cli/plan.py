"""`rackplane plan`: what-if questions about a facility, answered by the operator's own engine and runs of a trace."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.output import add_output_arguments, console_for, is_data, is_wide, print_data
from rackplane.cli.source import positive
from rackplane.cli.trace_runs import Help, above_zero, add_run_arguments, bar, natural, plan_of

if TYPE_CHECKING:  # What reads and decides takes half a second to import, and --help shall not.
    from rackplane.simulator.planning.answers import Answer
    from rackplane.simulator.running import Inputs

__all__ = ["add"]

_EXAMPLES = """\
questions:
  more-racks      how many more racks a power domain carries, with and without
                  cooling: --feed NAME [--hardware NAME] [--nodes N]; a trace
                  is not needed
  redundancy      what one redundancy scheme against another costs in waiting:
                  [--schemes 4N/3,2N]
  binding         which element binds first, and the GPUs it keeps idle
  power-profile   what a lower power profile for a queue would bring:
                  --queue NAME --profile NAME
  order           what an order of the grid would do:
                  [--percent 25] [--hours 3] [--at TIME] [--notice SECONDS]
                  [--feed NAME]

examples:
  rackplane plan --facility halls/ --question more-racks --feed ups-a
  rackplane plan --facility halls/ --trace jobs.csv --load 0.9 --question binding
  rackplane plan --facility halls/ --trace jobs.csv --question redundancy
  rackplane plan --facility halls/ --trace jobs.csv --question order --at 2d

policies, separated by commas:
{policies}

formats of traces:
{formats}

What each question does, with its output, is in docs/planning.md.
"""
_WIDTH: Final = 80
_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "more-racks": ("feed", "hardware", "nodes"),
    "redundancy": ("schemes",),
    "binding": (),
    "power-profile": ("queue", "profile"),
    "order": ("feed", "percent", "hours", "at", "notice"),
}
"""By question: the options that only some take."""
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "more-racks": ("feed",),
    "power-profile": ("queue", "profile"),
}


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "plan",
        description="Answers what-if questions about a facility: the operator's own engine, and runs of a trace on it.",
        epilog=_EXAMPLES,
        formatter_class=Help,
    )
    parser.add_argument("--facility", required=True, metavar="DIR", help="a folder of YAML, or one file")
    parser.add_argument("--trace", metavar="FILE", help="the jobs")
    parser.add_argument("--question", required=True, choices=tuple(_OWN), help="see below")
    own = parser.add_argument_group("the question")
    own.add_argument("--feed", metavar="NAME", help="a PowerDomain (order: default: all without parents)")
    own.add_argument(
        "--hardware",
        metavar="NAME",
        help="of the new racks: a HardwareProfile of the facility, one that ships with Rackplane, or a file "
        "(default: as the racks there)",
    )
    own.add_argument(
        "--nodes", type=positive, metavar="N", help="of a new rack (default: as the racks there)"
    )
    own.add_argument(
        "--schemes",
        metavar="LIST",
        help="N, N+1, 2N, 3N/2, 4N/3, ..., catcher-K, and as-is: the facility as described (default: 4N/3,2N)",
    )
    own.add_argument("--queue", metavar="NAME", help="whose gangs ask for the power profile")
    own.add_argument("--profile", metavar="NAME", help="a power profile, such as MaxQ")
    own.add_argument("--percent", type=_percent, metavar="P", help="less than is carried (default: 25)")
    own.add_argument("--hours", type=above_zero, metavar="H", help="that the order lasts (default: 3)")
    own.add_argument(
        "--at",
        metavar="TIME",
        help="when it begins: seconds, 2d 4h, or a date (default: halfway to the last arrival)",
    )
    own.add_argument(
        "--notice", type=natural, metavar="SECONDS", help="before that the operator hears of it (default: 0)"
    )
    add_run_arguments(parser)
    add_output_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the answer; 0.

    Raises:
        CommandError: the facility or the trace cannot be used, or options that the question does not take.
    """
    from rackplane.simulator.running import PlanError

    _check(options)
    try:
        answer = _ask(options)
    except PlanError as error:
        raise CommandError(str(error)) from error
    if is_data(options):
        print_data(answer.as_data(), options)
    else:
        _show(answer, options)
    return 0


def _check(options: argparse.Namespace) -> None:
    question = options.question
    taken = {name for names in _OWN.values() for name in names}
    for name in sorted(taken - set(_OWN[question])):
        if getattr(options, name) is not None:
            whose = " and ".join(other for other, names in _OWN.items() if name in names)
            raise CommandError(f"--{name} goes with --question {whose}, not with {question}", code=Exit.USAGE)
    for name in _NEEDED.get(question, ()):
        if getattr(options, name) is None:
            raise CommandError(f"--question {question} needs --{name}", code=Exit.USAGE)
    if options.trace is None and question != "more-racks":
        raise CommandError(f"--question {question} needs --trace: it is answered by runs", code=Exit.USAGE)


def _ask(options: argparse.Namespace) -> Answer:
    from rackplane.simulator.running import PlanError, read
    from rackplane.simulator.site import SiteError, load_site

    common = {
        "seed": options.seed,
        "every": options.every or 3_600,
        "bars": lambda name, total: bar(total, name),
    }
    if options.trace is None:
        try:
            site = load_site(options.facility)
        except SiteError as error:
            raise PlanError(str(error)) from error
        return _more_racks(options, site, None, common)
    inputs = read(plan_of(options))
    if options.question == "more-racks":
        return _more_racks(options, inputs.site, inputs, common)
    return _QUESTIONS[options.question](options, inputs, common)


def _more_racks(
    options: argparse.Namespace, site: Any, inputs: Inputs | None, common: Mapping[str, Any]
) -> Answer:
    from rackplane.simulator.planning.more_racks import more_racks

    return more_racks(
        site, feed=options.feed, hardware=options.hardware, nodes=options.nodes, inputs=inputs, **common
    )


def _redundancy(options: argparse.Namespace, inputs: Inputs, common: Mapping[str, Any]) -> Answer:
    from rackplane.simulator.planning.redundancy import redundancy

    return redundancy(inputs, schemes=(options.schemes or "4N/3,2N").split(","), **common)


def _binding(_options: argparse.Namespace, inputs: Inputs, common: Mapping[str, Any]) -> Answer:
    from rackplane.simulator.planning.binding import binding

    return binding(inputs, **common)


def _power_profile(options: argparse.Namespace, inputs: Inputs, common: Mapping[str, Any]) -> Answer:
    from rackplane.simulator.planning.power_profile import power_profile

    return power_profile(inputs, queue=options.queue, profile=options.profile, **common)


def _order(options: argparse.Namespace, inputs: Inputs, common: Mapping[str, Any]) -> Answer:
    from rackplane.simulator.facilityevents import seconds_of
    from rackplane.simulator.planning.order import order
    from rackplane.simulator.running import PlanError

    try:
        at = None if options.at is None else seconds_of(_number(options.at), inputs.begin)
    except ValueError as error:
        raise PlanError(f"--at {error}") from None
    return order(
        inputs,
        feed=options.feed,
        percent=25.0 if options.percent is None else options.percent,
        hours=options.hours or 3.0,
        at=at,
        notice=options.notice or 0,
        **common,
    )


_QUESTIONS: Final[Mapping[str, Callable[[argparse.Namespace, Inputs, Mapping[str, Any]], Answer]]] = {
    "redundancy": _redundancy,
    "binding": _binding,
    "power-profile": _power_profile,
    "order": _order,
}


def _show(answer: Answer, options: argparse.Namespace) -> None:
    """Within 80 columns, also in a pipe, unless more is asked for: an answer is pasted into mails."""
    from rackplane.cli.table import show_table
    from rackplane.cli.view import paragraph

    console = console_for(options)
    if not is_wide(options):
        console.width = min(console.width, _WIDTH)
    paragraph(console, answer.answer)
    for table in answer.tables:
        console.print()
        show_table(console, table.headings, table.rows, right=table.right)
    for note in answer.notes:
        console.print()
        paragraph(console, note)


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _percent(text: str) -> float:
    value = above_zero(text)
    if value >= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0 and below 100")
    return value
