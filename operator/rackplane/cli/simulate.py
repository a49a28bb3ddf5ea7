"""`rackplane simulate`: a trace of jobs on a facility in YAML, in virtual time."""

from __future__ import annotations

import argparse
import math
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rackplane.cli.errors import CommandError
from rackplane.cli.source import positive

if TYPE_CHECKING:  # What reads and decides takes half a second to import, and --help shall not.
    from rackplane.simulator.running import Plan
    from rackplane.simulator.simulation import Simulation

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane simulate --facility halls/ --trace jobs.csv --out run1
  rackplane simulate --facility halls/ --trace sacct.txt --load 0.9 --first 2000 --out run2
  rackplane simulate --facility halls/ --trace jobs.csv --policy reservations=0,no-preemption --out run3
  rackplane simulate --facility halls/ --trace jobs.csv --events losses.yaml --checkpoint 1800 --out run4

policies, separated by commas:
{policies}

formats of traces:
{formats}

The decisions are the operator's own. What is written, the rules for stops and the model of draws are in
docs/simulator.md. Ctrl-C ends a run early; what there is is written.
"""
_DAY = 86_400


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.parser`)."""
    parser = commands.add_parser(
        "simulate",
        help="a trace of jobs on a facility, in virtual time",
        description="Runs the jobs of a trace on a facility in YAML: the operator's own decisions, in virtual time.",
        epilog=_EXAMPLES,
        formatter_class=_Help,
    )
    parser.add_argument("--facility", required=True, metavar="DIR", help="a folder of YAML, or one file")
    parser.add_argument("--trace", required=True, metavar="FILE", help="the jobs")
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder for the results")
    parser.add_argument("--force", action="store_true", help="write over the results of another run")
    parser.add_argument(
        "--policy", default="", metavar="LIST", help="see below (default: the operator's defaults)"
    )
    parser.add_argument(
        "--events", metavar="FILE", help="what happens to the facility meanwhile, as YAML or JSON"
    )
    parser.add_argument("--seed", type=_natural, default=0, metavar="N", help="of what is drawn (default: 0)")
    parser.add_argument(
        "--start", type=_start, metavar="TIME", help="second 0 (default: 2024-01-01T00:00:00Z)"
    )
    parser.add_argument(
        "--every", type=positive, metavar="SECONDS", help="between two samples (default: 3600)"
    )
    parser.add_argument("--no-draws", action="store_true", help="do not model what nodes draw")
    trace = parser.add_argument_group("the trace")
    trace.add_argument("--format", default="auto", metavar="NAME", help="see below (default: by its columns)")
    trace.add_argument(
        "--bad-lines",
        type=_percent,
        default=1.0,
        metavar="PERCENT",
        help="of its lines that may be bad; more, and nothing is run (default: 1)",
    )
    trace.add_argument(
        "--days", type=_above_zero, metavar="N", help="only jobs of so many days from the first one on"
    )
    trace.add_argument("--first", type=positive, metavar="N", help="only so many jobs")
    trace.add_argument(
        "--load",
        type=_above_zero,
        metavar="X",
        help="arrivals closer together, or apart, until jobs ask for X times the GPU time that there is until the last",
    )
    trace.add_argument("--faster", type=_above_zero, metavar="X", help="arrivals X times closer together")
    trace.add_argument("--largest", type=positive, metavar="GPUS", help="leave out jobs that ask for more")
    trace.add_argument("--cap", type=positive, metavar="GPUS", help="jobs that ask for more ask for so many")
    trace.add_argument(
        "--sizes",
        choices=("gpus", "whole-nodes", "same-nodes"),
        default="gpus",
        help="on other nodes than the trace's: as many GPUs, these in whole nodes, or as many nodes (default: gpus)",
    )
    trace.add_argument(
        "--source-gpus", type=positive, metavar="N", help="GPUs of a node where the trace is from"
    )
    stops = parser.add_argument_group("what stops cost")
    stops.add_argument(
        "--checkpoint",
        type=_checkpoint,
        default=3_600,
        metavar="SECONDS",
        help="between two checkpoints; on-stop: one is written when a job is told to stop; never: it starts over "
        "(default: 3600)",
    )
    stops.add_argument(
        "--restart",
        type=_natural,
        default=300,
        metavar="SECONDS",
        help="from its next place until a stopped job works again (default: 300)",
    )
    stops.add_argument(
        "--stop", type=_natural, default=30, metavar="SECONDS", help="until its pods are gone (default: 30)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it, and say in a few lines what came of it; 0, or 130 after Ctrl-C.

    Raises:
        CommandError: the facility, the trace, the events or the folder cannot be used; or jobs wait for nothing.
    """
    from rackplane.simulator.running import Plan, PlanError

    plan = Plan(
        facility=options.facility,
        trace=options.trace,
        out=options.out,
        force=options.force,
        policy=options.policy,
        events=options.events,
        seed=options.seed,
        begin=options.start,
        every=options.every,
        draws=not options.no_draws,
        format=options.format,
        bad_lines=options.bad_lines,
        days=options.days,
        first=options.first,
        load=options.load,
        faster=options.faster,
        largest=options.largest,
        cap=options.cap,
        sizes=options.sizes,
        source_gpus=options.source_gpus,
        checkpoint=options.checkpoint,
        restart=options.restart,
        stop=options.stop,
    )
    try:
        return _run(plan)
    except PlanError as error:
        raise CommandError(str(error)) from error


def _run(plan: Plan) -> int:
    from rackplane.cli.view import console_for
    from rackplane.simulator.running import prepare

    console = console_for()
    prepared = prepare(plan)
    for line in prepared.notes:
        console.print(line, highlight=False, markup=False)
    with _bar(len(prepared.simulation.requests)) as advance, _ends_early(prepared.simulation):
        found = prepared.run(advance)
    for line in _told(found):
        console.print(line, highlight=False, markup=False)
    console.print(f"written to {plan.out}", highlight=False, markup=False)
    return 130 if found["interrupted"] else 0


@contextmanager
def _bar(total: int) -> Iterator[Any]:
    """A bar of the jobs that are over, with the time that is left; on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn("jobs"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[day]}")
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("jobs", total=total, day="")

        def advance(now: int, over: int) -> None:
            progress.update(task, completed=over, day=f"day {now / _DAY:,.1f}")

        yield advance


@contextmanager
def _ends_early(simulation: Simulation) -> Iterator[None]:
    """Ctrl-C ends the run at its next step, so that no row is half written; a second one ends everything."""
    before = signal.getsignal(signal.SIGINT)

    def end(*_: object) -> None:
        simulation.broken_off = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _told(found: Mapping[str, Any]) -> Iterator[str]:
    summary = found["summary"]
    jobs, waits, hours = summary["jobs"], summary["wait_seconds"], summary["gpu_hours"]
    if found["interrupted"]:
        yield f"ended early, at day {summary['seconds'] / _DAY:,.1f}"
    yield (
        f"{jobs['over']:,} jobs over in {summary['seconds'] / _DAY:,.1f} days; {jobs['stops']:,} stops, "
        f"{hours['done_again']:,.1f} GPU-hours done again"
    )
    yield (
        f"waits: mean {waits['mean'] / 3600:,.2f} h, median {waits['median'] / 3600:,.2f} h, "
        f"95th percentile {waits['p95'] / 3600:,.2f} h"
    )
    yield (
        f"GPUs held: {hours['held']:,.0f} of {hours['there']:,.0f} GPU-hours, {100 * hours['occupancy']:.1f} %; "
        f"racks a gang: {summary['racks_per_gang']:.2f}"
    )
    for name, said in (("reserved", "by what is reserved"), ("drawn", "by what is drawn")):
        if summary[name] is not None:
            yield (
                f"over a limit {said}: {summary[name]['seconds_over_a_limit']:,} s; after one loss more it would have "
                f"been {summary[name]['seconds_over_a_limit_after_a_loss']:,} s; "
                f"{summary[name]['megawatt_hours']:,.1f} MWh"
            )


class _Help(argparse.RawDescriptionHelpFormatter):
    """Fills in the policies and formats when somebody asks for help: to import them takes a while."""

    def add_text(self, text: str | None) -> None:
        super().add_text(text.format(policies=_policies(), formats=_formats()) if text == _EXAMPLES else text)


def _policies() -> str:
    from rackplane.simulator.policies import POLICIES

    return _table([(f"{name}={p.takes}" if p.takes else name, p.does) for name, p in POLICIES.items()])


def _formats() -> str:
    from rackplane.simulator.traces.reading import FORMATS

    return _table([(name, f.what) for name, f in FORMATS.items()])


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(
        f"  {name}\n      {text}" if len(name) > 18 else f"  {name:<18} {text}" for name, text in rows
    )


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 0")
    return int(text)


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 100")
    return value


def _checkpoint(text: str) -> int:
    from rackplane.simulator.progress import NEVER, ON_STOP

    named = {"on-stop": ON_STOP, "never": NEVER}
    return named[text] if text in named else positive(text)


def _start(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-01-01T00:00:00Z") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
