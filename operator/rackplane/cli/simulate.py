"""`rackplane simulate`: a trace of jobs on a facility in YAML, in virtual time."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rackplane.cli.errors import CommandError
from rackplane.cli.trace_runs import Help, add_run_arguments, bar, plan_of

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
        description="Runs the jobs of a trace on a facility in YAML: the operator's own decisions, in virtual time.",
        epilog=_EXAMPLES,
        formatter_class=Help,
    )
    parser.add_argument("--facility", required=True, metavar="DIR", help="a folder of YAML, or one file")
    parser.add_argument("--trace", required=True, metavar="FILE", help="the jobs")
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder for the results")
    parser.add_argument("--force", action="store_true", help="write over the results of another run")
    add_run_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run it, and say in a few lines what came of it; 0, or 130 after Ctrl-C.

    Raises:
        CommandError: the facility, the trace, the events or the folder cannot be used; or jobs wait for nothing.
    """
    from rackplane.simulator.running import PlanError

    plan = plan_of(options, out=options.out, force=options.force)
    try:
        return _run(plan)
    except PlanError as error:
        raise CommandError(str(error)) from error


def _run(plan: Plan) -> int:
    from rackplane.cli.output import console_for
    from rackplane.simulator.running import prepare

    console = console_for()
    prepared = prepare(plan)
    for line in prepared.notes:
        console.print(line, highlight=False, markup=False)
    with bar(len(prepared.simulation.requests)) as advance, _ends_early(prepared.simulation):
        found = prepared.run(advance)
    for line in _told(found):
        console.print(line, highlight=False, markup=False)
    console.print(f"written to {plan.out}", highlight=False, markup=False)
    return 130 if found["interrupted"] else 0


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
