"""`rackplane defrag`: the cheapest moves that let a waiting gang start, or that make whole domains free."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.output import add_output_arguments, console_for, is_data, print_data
from rackplane.cli.source import add_source_arguments, open_source, positive, time_of

if TYPE_CHECKING:  # Deciding takes half a second to import, and --help shall not.
    from rich.console import Console

    from rackplane.core.offline.rehearsal import Tidying
    from rackplane.engine.planning.moves import Move, MovePlan

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane defrag --dry-run                                the first gang in the queue that moves let start
  rackplane defrag --dry-run --max-moves 2                  with two moves at most
  rackplane defrag --dry-run --max-gpu-hours 50             and no more than 50 GPU-hours of work lost
  rackplane defrag --dry-run --domains                      whole free domains, whoever waits
  rackplane defrag --dry-run --facility halls/ -o json      a folder of YAML, for programs

Gangs that wait are gone through in the order of the queue; where none of them can be helped, the plan is for whole free
domains. A moved gang is stopped and starts again from its last checkpoint somewhere else, so only Jobs are moved that
are not Protected, each to a place that it has been found to fit, at the power profile it has now.

Nothing is changed. The operator proposes moves to gangs that wait if it is started with --defragmentation=Propose, and
carries those out that keep within a budget with --defragmentation=Move (docs/defrag.md).

exit codes:
  0  there is a plan, or nothing to be done
  1  a gang waits, and no moves within these bounds let it start or free a domain
  3  the question could not be answered
"""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "defrag",
        description="Finds the cheapest moves of running gangs that let a waiting gang start, or make whole NVLink "
        "domains or racks free.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be moved, and move nothing; required"
    )
    parser.add_argument("--domains", action="store_true", help="free whole domains, whoever waits")
    parser.add_argument(
        "--max-moves",
        type=positive,
        default=8,
        metavar="N",
        help="gangs moved at most (default: %(default)s)",
    )
    parser.add_argument(
        "--max-gpu-hours",
        type=_hours,
        metavar="H",
        help="work lost at most, in GPU-hours since each gang's last checkpoint (default: any)",
    )
    add_output_arguments(parser)
    add_source_arguments(parser)
    parser.set_defaults(run=run)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 < hours < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of GPU-hours above 0")
    return hours


def run(options: argparse.Namespace) -> int:
    """Print the plan; 0 if there is one or nothing waits, 1 if there is none.

    Raises:
        CommandError: the source cannot be read, or carrying the moves out was asked for.
    """
    from rackplane.core.offline import rehearsal
    from rackplane.engine.planning.moves import Bounds

    if not options.dry_run:
        raise CommandError(
            "it plans, and moves nothing itself: add --dry-run. To have the operator carry such moves out, within a "
            "budget, start it with --defragmentation=Move (chart: defragmentation.mode). To move a gang by hand, set "
            "spec.suspend of its Job to true, and to false again when the gang that waits has started",
            code=Exit.USAGE,
        )
    lost = None if options.max_gpu_hours is None else int(options.max_gpu_hours * 3600)
    machine, now = open_source(options), time_of(options)
    if options.facility is not None:
        rehearsal.submit_all(machine, now)
        rehearsal.stand_in_all(machine, now)
    found = rehearsal.tidy(machine, Bounds(options.max_moves, lost), domains_only=options.domains)
    if is_data(options):
        print_data(_as_data(found), options)
    else:
        _show(found, console_for(options))
    return Exit.YES if found.plan is not None or not found.waiting else Exit.NO


# -- words -------------------------------------------------------------------------------------------


def _show(found: Tidying, console: Console) -> None:
    from rich.text import Text

    from rackplane.cli.table import show_table
    from rackplane.cli.view import paragraph

    if found.plan is None:
        console.print(Text("No moves to propose.", "bold"), soft_wrap=True)
        for sentence in _nothing(found):
            paragraph(console, sentence)
        return
    console.print(Text(_title(found.plan), "bold"), soft_wrap=True)
    for sentence in _sentences(found, found.plan):
        paragraph(console, sentence)
    console.print()
    rows = [
        (
            move.key,
            "Sheddable" if move.cost.sheddable else "Checkpointable",
            str(move.cost.priority),
            f"{move.gpus:,}",
            _gpu_hours(move.cost.lost),
            _racks(move.before.groups),
            _racks(move.after.groups),
        )
        for move in found.plan.moves
    ]
    headings = ("MOVE GANG", "DISRUPTION", "PRIORITY", "GPUS", "GPU-HOURS LOST", "FROM", "TO")
    show_table(console, headings, rows, right=(2, 3, 4))


def _title(plan: MovePlan) -> str:
    from rackplane.cli.words import names
    from rackplane.figures import count

    moves = count(len(plan.moves), "move")
    verb = "lets" if len(plan.moves) == 1 else "let"
    if plan.waiting is not None:
        return f"{moves} {verb} gang {plan.waiting} start."
    return f"{moves} {'makes' if len(plan.moves) == 1 else 'make'} {names(plan.domains)} whole."


def _sentences(found: Tidying, plan: MovePlan) -> Iterator[str]:
    from rackplane.cli.words import names
    from rackplane.engine.explaining.phrases import kilowatts
    from rackplane.figures import count

    if plan.placement is not None:
        place = plan.placement
        gpus = sum(place.gpus_of(slot) for slot in range(len(place.slots)))
        yield (
            f"It would have {count(gpus, 'GPU')} on {_racks(place.groups)}, {kilowatts(place.nominal_watts)} at "
            f"{place.power_profile}."
        )
    if plan.waiting is not None and plan.domains:
        yield f"Nothing would be left on {names(plan.domains)}."
    yield (
        f"The price: {count(plan.gpus, 'GPU')} stop and start again elsewhere, and {_gpu_hours(plan.lost_gpu_seconds)} "
        "GPU-hours of work are done twice."
    )
    if plan.waiting is not None:
        yield f"What it buys: {_bought(found)}."
        if plan.proved:
            yield "No cheaper moves let it start."
        else:
            yield "There may be cheaper moves: not every set of gangs was looked at."
    if found.passed_over:
        yield f"Of the gangs before it no moves help {names(found.passed_over)}."


def _bought(found: Tidying) -> str:
    if found.wait is None:
        return "nothing that is expected would let it start in the time that is looked ahead"
    return (
        f"it starts now instead of in {found.wait / 3600:,.1f} hours, which saves {found.saved_gpu_hours:,.1f} "
        "GPU-hours of waiting"
    )


def _nothing(found: Tidying) -> Iterator[str]:
    from rackplane.cli.words import names
    from rackplane.figures import count

    if found.waiting:
        yield (
            f"{count(len(found.waiting), 'gang')} wait{'s' if len(found.waiting) == 1 else ''} for a place: "
            f"{names(found.waiting)}."
        )
    else:
        yield "No gang waits for a place."
    if not found.movable:
        yield "No running gang may be moved: only Jobs that are not Protected are."
    elif found.waiting:
        yield (
            f"No moves of the {count(found.movable, 'gang')} that may be moved let one of them start or make a domain "
            "free, within these bounds."
        )
    else:
        yield f"No moves of the {count(found.movable, 'gang')} that may be moved make a domain free."


def _gpu_hours(seconds: int) -> str:
    return f"{seconds / 3600:,.1f}"


def _racks(groups: Any) -> str:
    from rackplane.cli.words import names

    nodes: dict[str, set[str]] = {}
    for group in groups:
        nodes.setdefault(group.rack, set()).update(group.nodes)
    if len(nodes) == 1:
        return names(sorted(next(iter(nodes.values()))), most=4)
    return names(list(nodes))


# -- data --------------------------------------------------------------------------------------------


def _as_data(found: Tidying) -> dict[str, Any]:
    plan = found.plan
    return {
        "waiting": list(found.waiting),
        "movable": found.movable,
        "plan": plan
        and {
            "starts": plan.waiting,
            "placement": plan.placement
            and {
                "powerProfile": plan.placement.power_profile,
                "nominalWatts": plan.placement.nominal_watts,
                "peakWatts": plan.placement.peak_watts,
                "assignment": _assignment(plan.placement.groups),
            },
            "domainsMadeWhole": list(plan.domains),
            "gpusMoved": plan.gpus,
            "gpuSecondsLost": plan.lost_gpu_seconds,
            "secondsSaved": found.wait,
            "gpuHoursSaved": round(found.saved_gpu_hours, 1),
            "cheapest": plan.proved,
            "moves": [_move(move) for move in plan.moves],
        },
    }


def _move(move: Move) -> dict[str, Any]:
    return {
        "gang": move.key,
        "disruption": "Sheddable" if move.cost.sheddable else "Checkpointable",
        "priority": move.cost.priority,
        "gpus": move.gpus,
        "gpuSecondsLost": move.cost.lost,
        "from": _assignment(move.before.groups),
        "to": _assignment(move.after.groups),
    }


def _assignment(groups: Any) -> list[dict[str, Any]]:
    return [{"nvlinkDomain": g.domain, "rack": g.rack, "nodes": list(g.nodes)} for g in groups]
