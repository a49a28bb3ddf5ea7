"""`rackplane drill`: what a loss would do, before it happens."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.losses import FORMS, changes, emergency_ratings
from rackplane.cli.output import add_output_arguments, console_for, is_data, print_data
from rackplane.cli.source import add_source_arguments, open_source
from rackplane.cli.works import add_times, plan

if TYPE_CHECKING:  # Deciding takes half a second to import, and --help shall not.
    from rich.console import Console

    from rackplane.core.machine import Machine
    from rackplane.engine.physics.loads import Violation
    from rackplane.engine.planning.drill import Drill, NextLoss, ZoneLoss
    from rackplane.engine.planning.works import Work
    from rackplane.engine.shedding.terms import Measure, Terms

__all__ = ["add"]

_EXAMPLES = f"""\
{FORMS}
examples:
  rackplane drill lose powerdomain/ups-a                one loss
  rackplane drill lose pd/ups-a cz/row-1/cdu-1          several at once
  rackplane drill restore powerdomain/ups-a             what its return would change
  rackplane drill lose rack/r1 --facility DIR -o json   a folder of YAML, for programs
  rackplane drill maintain pd/ups-a --start 2026-12-01T06:00:00Z --end 2026-12-01T18:00:00Z
                                                        a work, with all that is planned for the same time

Nothing is changed. What is lost counts as out of service from now on, and what runs goes on as it is: first what that
would exceed, then what the *next* single loss would. The gangs to cap or stop are a preview, in the order of mildness:
lower power profiles, then Sheddable gangs, then Checkpointable ones, each by priority; Protected ones last. Emergency
ratings are named, not used.

exit codes:
  0  every limit is kept, and no rack or gang is lost
  1  something would be exceeded, or lost; or what is named is not there
  3  the question could not be answered
"""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "drill",
        description="Takes elements out of service on paper and says what would be exceeded, what would go dark, and "
        "which gangs would have to be capped or stopped.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action",
        choices=("lose", "restore", "maintain"),
        help="take out of service, back into it, or for planned work",
    )
    parser.add_argument("what", nargs="+", metavar="WHAT", help="kind/name, see below")
    add_times(parser)
    add_output_arguments(parser)
    add_source_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what would happen; 0 if it is survived, 1 if not.

    Raises:
        CommandError: the source cannot be read, or something that is named is not there.
    """
    from rackplane.engine.planning.drill import drill

    machine = open_source(options)
    assert machine.state is not None  # the source has listed everything
    wanted = changes(machine, options.what, online=options.action == "restore")
    work = plan(machine, wanted, options) if options.action == "maintain" else None
    if work is None and (options.start is not None or options.end is not None):
        raise CommandError("--start and --end are for maintain", code=Exit.USAGE)
    beside = [_words_of(w) for w in work.beside] if work is not None else []
    found = drill(
        machine.state,
        [*wanted, *(c for w in beside for c in changes(machine, w, online=False))],
        _terms(machine),
    )
    refused = [c.words() for c in work.conflicts] if work is not None else []
    ratings = emergency_ratings(machine)
    if is_data(options):
        data = _as_data(found, ratings)
        if work is not None:
            data |= {"refused": refused, "plannedThen": [item for words in beside for item in words]}
        print_data(data, options)
    else:
        verb = {"lose": "Losing", "restore": "Restoring", "maintain": "Work on"}[options.action]
        extra = [f"Refused: {words}. Move one of them." for words in refused]
        if beside:
            extra.append(
                f"Planned for the same time: {', '.join(item for words in beside for item in words)}."
            )
        _show(found, ratings, f"{verb} {', '.join(options.what)}", console_for(options), extra)
    return Exit.NO if refused or not found.survives else Exit.YES


def _words_of(work: Work) -> list[str]:
    """A work as it would be written: coolingzone/row-1/cdu-1."""
    path = f"{work.kind.lower()}/{work.name}"
    return [f"{path}/{unit}" for unit in work.units] or [path]


def _terms(machine: Machine) -> dict[str, Terms]:
    from rackplane.core.gangs.decisions import booking_key
    from rackplane.core.shedding.terms import terms_of

    placed = {k: r for k, r in machine.gangs.items() if r.gang is not None and r.decision is not None}
    return {booking_key(key): terms_of(machine.world, record) for key, record in placed.items()}


# -- words -------------------------------------------------------------------------------------------


def _show(
    found: Drill,
    ratings: Mapping[str, tuple[int, int]],
    title: str,
    console: Console,
    extra: Sequence[str] = (),
) -> None:
    from rich.text import Text

    from rackplane.cli.table import show_table
    from rackplane.cli.view import paragraph
    from rackplane.figures import kilowatts

    refused = any(words.startswith("Refused") for words in extra)
    good = found.survives and not refused
    verdict = "every limit is kept, and no rack or gang is lost" if good else "not survived as it stands"
    if refused:
        verdict = "refused"
    console.print(Text(f"{title}: {verdict}.", "bold" if good else "bold red"), soft_wrap=True)
    for sentence in (*extra, *_sentences(found, ratings)):
        paragraph(console, sentence)
    if over := _without_twins(found.over):
        console.print()
        rows = [
            (
                v.row.label,
                *map(kilowatts, (v.load_watts, v.limit_watts, v.load_watts - v.limit_watts)),
                str(v.row.kind),
            )
            for v in over
        ]
        show_table(
            console, ("WOULD EXCEED", "LOAD KW", "LIMIT KW", "OVER KW", "LIMIT"), rows, right=range(1, 4)
        )
    if measures := found.plan.measures:
        console.print()
        rows = [
            (
                m.gang,
                "stop" if m.stops else f"cap at {m.profile}",
                m.terms.disruption,
                str(m.terms.priority),
                kilowatts(m.frees_watts),
                "" if m.stops else f"{m.relative_performance_percent} % of its speed",
            )
            for m in measures
        ]
        headings = ("GANG", "WOULD HAVE TO", "DISRUPTION", "PRIORITY", "FREES KW", "RUNS AT")
        show_table(console, headings, rows, right=(3, 4))


def _sentences(found: Drill, ratings: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    from rackplane.cli.words import names
    from rackplane.engine.explaining.phrases import kilowatts
    from rackplane.figures import count

    if found.dark:
        yield f"{count(len(found.dark), 'rack')} would be without power: {names(found.dark)}."
    if found.ended:
        yield f"{count(len(found.ended), 'gang')} would end with what they stand on: {names(found.ended)}."
    for v in _without_twins(found.over):
        rated = ratings.get(v.row.element)
        short = (
            f" Its emergency rating of {kilowatts(rated[0])} for {rated[1]:,} s is not counted on."
            if rated and v.row.label.startswith("power domain")
            else ""
        )
        yield f"{_capital(v.row.label)} would be at {_against(v)}.{short}"
    if already := _without_twins(found.already):
        yield f"Exceeded before as after: {'; '.join(f'{v.row.label} at {_against(v)}' for v in already)}."
    for zone in found.zones:
        yield _zone(zone)
    yield from _plan(found)
    for loss in found.next_losses:
        yield _next(loss)


def _plan(found: Drill) -> Iterator[str]:
    from rackplane.figures import count

    measures, remaining = found.plan.measures, _without_twins(found.plan.remaining)
    caps = [m for m in measures if not m.stops]
    stops = [m for m in measures if m.stops]
    if measures:
        parts = [
            f"{count(len(part), 'gang')} would have to be {word}"
            for part, word in ((caps, "capped"), (stops, "stopped"))
            if part
        ]
        aim = "to help" if remaining else "to keep every limit"
        yield f"{aim.capitalize()}, {' and '.join(parts)}.{_protected(measures)}"
    elif found.over and not remaining:
        yield "With the gangs that would end, every limit is kept again."
    if remaining:
        what = "; ".join(f"{v.row.label} at {_against(v)}" for v in remaining)
        yield f"Even so, what no gang causes would stay exceeded: {what}."


def _protected(measures: Sequence[Measure]) -> str:
    from rackplane.cli.words import names
    from rackplane.engine.shedding.terms import Disruption

    found = [m.gang for m in measures if m.terms.disruption is Disruption.PROTECTED]
    return f" Protected among them: {names(found)}." if found else ""


def _zone(zone: ZoneLoss) -> str:
    from rackplane.engine.explaining.phrases import kilowatts

    if zone.after_watts < zone.before_watts:
        return (
            f"Cooling zone {zone.name} would take {kilowatts(zone.after_watts)} of heat instead of "
            f"{kilowatts(zone.before_watts)}; it has {kilowatts(zone.heat_watts)} now."
        )
    return (
        f"Cooling zone {zone.name} would have no reserve any more: {zone.running} running, {zone.needed} needed. "
        "It takes as much heat as before."
    )


def _next(loss: NextLoss) -> str:
    from rackplane.cli.words import names
    from rackplane.figures import count

    parts = [f"{v.row.label} at {_against(v)}" for v in _without_twins(loss.over)]
    if loss.dark:
        parts.append(f"{count(len(loss.dark), 'rack')} without power ({names(loss.dark)})")
    return f"A next loss of {loss.loss.label} would no longer be survived: {', '.join(parts)}."


def _against(v: Violation) -> str:
    from rackplane.engine.explaining.phrases import against

    return against(round(v.load_watts), round(v.limit_watts))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _without_twins(found: Sequence[Violation]) -> list[Violation]:
    """Without peak limits that are exceeded exactly as the nominal ones beside them are."""
    from rackplane.engine.physics.rows import NOMINAL

    said = {
        (v.contingency, v.row.element, v.load_watts, v.limit_watts) for v in found if v.row.basis == NOMINAL
    }
    return [
        v
        for v in found
        if v.row.basis == NOMINAL or (v.contingency, v.row.element, v.load_watts, v.limit_watts) not in said
    ]


# -- data --------------------------------------------------------------------------------------------


def _as_data(found: Drill, ratings: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    def limit(v: Violation) -> dict[str, Any]:
        return {
            "limit": v.row.kind,
            "element": v.row.element,
            "feed": v.row.detail,
            "loadWatts": round(v.load_watts),
            "limitWatts": round(v.limit_watts),
            "overWatts": round(v.load_watts) - round(v.limit_watts),
        }

    return {
        "survives": found.survives,
        "exceeded": [limit(v) for v in found.over],
        "exceededBefore": [limit(v) for v in found.already],
        "racksWithoutPower": list(found.dark),
        "gangsEnded": list(found.ended),
        "coolingZones": [
            {
                "name": z.name,
                "beforeWatts": z.before_watts,
                "afterWatts": z.after_watts,
                "heatWatts": z.heat_watts,
                "runningUnits": z.running,
                "neededUnits": z.needed,
                "reserveGone": z.reserve_gone,
            }
            for z in found.zones
        ],
        "measures": [
            {
                "gang": m.gang,
                "action": "Stop" if m.stops else "Cap",
                "profile": m.profile,
                "relativePerformancePercent": m.relative_performance_percent,
                "freesWatts": m.frees_watts,
                "disruption": m.terms.disruption,
                "priority": m.terms.priority,
            }
            for m in found.plan.measures
        ],
        "stillExceeded": [limit(v) for v in found.plan.remaining],
        "nextLosses": [
            {
                "lost": n.loss.lost,
                "coolingZone": n.loss.zone,
                "secondTo": list(n.second_to),
                "exceeded": [limit(v) for v in n.over],
                "racksWithoutPower": list(n.dark),
            }
            for n in found.next_losses
        ],
        "emergencyRatings": [
            {"powerDomain": name, "watts": ratings[name][0], "seconds": ratings[name][1]}
            for name in dict.fromkeys(v.row.element for v in found.over)
            if name in ratings
        ],
    }
