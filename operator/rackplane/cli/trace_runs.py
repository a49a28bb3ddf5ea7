"""What commands that run a trace share: the options for the run, and the bar that shows how far it is."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rackplane.cli.source import positive

if TYPE_CHECKING:  # What reads and decides takes half a second to import, and --help shall not.
    from rackplane.simulator.running import Plan

__all__ = ["Help", "above_zero", "add_run_arguments", "bar", "natural", "plan_of"]

_DAY = 86_400


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The options for policy, events, trace and stops; facility and trace itself are the command's."""
    parser.add_argument(
        "--policy", default="", metavar="LIST", help="see below (default: the operator's defaults)"
    )
    parser.add_argument(
        "--events", metavar="FILE", help="what happens to the facility meanwhile, as YAML or JSON"
    )
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="of what is drawn (default: 0)")
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
        "--days", type=above_zero, metavar="N", help="only jobs of so many days from the first one on"
    )
    trace.add_argument("--first", type=positive, metavar="N", help="only so many jobs")
    trace.add_argument(
        "--load",
        type=above_zero,
        metavar="X",
        help="arrivals closer together, or apart, until jobs ask for X times the GPU time that there is until the last",
    )
    trace.add_argument("--faster", type=above_zero, metavar="X", help="arrivals X times closer together")
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
        type=natural,
        default=300,
        metavar="SECONDS",
        help="from its next place until a stopped job works again (default: 300)",
    )
    stops.add_argument(
        "--stop", type=natural, default=30, metavar="SECONDS", help="until its pods are gone (default: 30)"
    )


def plan_of(options: argparse.Namespace, *, out: str = "", force: bool = False) -> Plan:
    """The run that these options, with --facility and --trace, ask for."""
    from rackplane.simulator.running import Plan

    return Plan(
        facility=options.facility,
        trace=options.trace,
        out=out,
        force=force,
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


@contextmanager
def bar(total: int, name: str = "jobs") -> Iterator[Any]:
    """A bar of the jobs that are over, with the time that is left; on a terminal only.

    Args:
        total: jobs.
        name: of the run.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _now, _over: None  # it is told of every moment of a run
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[day]}"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(name, total=total, day="")

        def advance(now: int, over: int) -> None:
            progress.update(task, completed=over, day=f"day {now / _DAY:,.1f}")

        yield advance


class Help(argparse.RawDescriptionHelpFormatter):
    """Fills in the policies and formats when somebody asks for help: to import them takes a while."""

    def add_text(self, text: str | None) -> None:
        lists = "{policies}" in (text or "")
        super().add_text((text or "").format(policies=_policies(), formats=_formats()) if lists else text)


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


def natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 0")
    return int(text)


def above_zero(text: str) -> float:
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
