"""`rackplane capacity`: the largest gang that could start now, and what stops one pod more."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rackplane.cli.output import add_output_arguments, console_for, is_data, print_data
from rackplane.cli.source import add_source_arguments, open_source, positive

if TYPE_CHECKING:  # Deciding takes half a second to import, and --help shall not.
    from rich.console import Console

    from rackplane.engine.planning.capacity import Capacity
    from rackplane.engine.planning.spares import Spares
    from rackplane.engine.state import State

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane capacity                                 whole nodes, at every level and power profile
  rackplane capacity --level leaf --profile MaxQ     one level, one profile
  rackplane capacity --gpus-per-pod 1                pods of one GPU
  rackplane capacity --segment-size 8                runs of 8 pods, each in one NVLink domain
  rackplane capacity --facility halls/ -o json       a folder of YAML, for programs

The figure is exact by the rules of placement: a gang of that size would start now, and one pod more would not. Queues,
quotas and what pods ask for beside GPUs are not looked at.
"""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "capacity",
        description="Finds the largest gang that could start now, for each fabric level and power profile, and what "
        "stops one pod more.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--level", metavar="LEVEL", help="nvlink, leaf, ..., or facility for no level")
    parser.add_argument("--profile", metavar="NAME", help="a power profile, such as MaxP or MaxQ")
    parser.add_argument(
        "--gpus-per-pod", type=positive, metavar="N", help="default: whole nodes, of each type"
    )
    parser.add_argument(
        "--segment-size", type=positive, metavar="S", help="pods that must share one NVLink domain"
    )
    add_output_arguments(parser)
    add_source_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the table; 0.

    Raises:
        CommandError: the source cannot be read, or there is no such level or profile.
    """
    from rackplane.engine.planning.capacity import capacities
    from rackplane.engine.planning.spares import spares

    state = open_source(options).state
    assert state is not None  # the source has listed everything
    _check(state, options)
    found = capacities(
        state,
        gpus_per_slot=options.gpus_per_pod,
        segment_slots=options.segment_size,
        levels=None if options.level is None else [_LEVELS.get(options.level, options.level)],
        profiles=None if options.profile is None else [options.profile],
    )
    if is_data(options):
        kept = [_spares_as_data(s) for s in spares(state)]
        print_data({"capacities": [_as_data(c) for c in found], "spares": kept}, options)
        return 0

    console = console_for(options)
    _show(found, console)
    _show_spares(spares(state), console)
    return 0


_LEVELS = {"facility": ""}
_REASON = 32
"""With less room for reasons beside the columns they have lines of their own."""
_NAMED = 6
"""Domains short of spares that are named."""


def _check(state: State, options: argparse.Namespace) -> None:
    from rackplane.cli.errors import CommandError, Exit, nearest
    from rackplane.engine.physics.draw import DEFAULT_PROFILE

    levels = [*state.facility.ladder, "facility"]
    if options.level is not None and options.level not in levels:
        hint = nearest(options.level, levels)
        raise CommandError(
            f"there is no level {options.level}{hint}; the levels are {', '.join(levels)}"
            if not hint
            else f"there is no level {options.level}{hint}",
            code=Exit.NO,
        )
    types = [t for t in state.facility.rack_types if t is not None]
    profiles = sorted({DEFAULT_PROFILE, *(cap.name for t in types for cap in t.caps)})
    if options.profile is not None and options.profile not in profiles:
        hint = nearest(options.profile, profiles) or f"; there are {', '.join(profiles)}"
        raise CommandError(f"no hardware profile has the power profile {options.profile}{hint}", code=Exit.NO)


def _level(level: str) -> str:
    return {"nvlink": "NVLink domain", "": "facility"}.get(level, level)


def _show(found: Sequence[Capacity], console: Console) -> None:
    from rich.text import Text

    from rackplane.cli.table import show_table
    from rackplane.cli.view import paragraph
    from rackplane.figures import count

    if not found:
        paragraph(console, "No usable rack has nodes of a known hardware profile, so no gang could start.")
        return
    groups: dict[tuple[str, int], list[Capacity]] = {}
    for c in found:
        groups.setdefault((c.node_type, c.gpus_per_slot), []).append(c)
    for i, ((name, gpus), rows) in enumerate(groups.items()):
        if i:
            console.print()
        title = f"The largest gang that could start now, in pods of {count(gpus, 'GPU')} ({name})"
        console.print(Text(title, "bold"), soft_wrap=True)
        console.print()
        show_table(
            console,
            ("LEVEL", "PROFILE", "PODS", "GPUS", "KW", "SPEED", "WHERE", "WHAT STOPS ONE MORE"),
            [_row(c) for c in rows],
            right=range(2, 6),
            styles=["" if c.slots else "dim" for c in rows],
            own_lines_under=_REASON,
        )


def _show_spares(kept: Sequence[Spares], console: Console) -> None:
    """How many nodes are kept free for the loss of others; the domains that are short of them by name."""
    from rackplane.cli.view import paragraph
    from rackplane.figures import count

    if not kept:
        return
    free, wanted = sum(len(s.nodes) for s in kept), count(sum(s.wanted for s in kept), "node")
    text = f"Kept free as spares, beside that: {free:,} of {wanted} in {count(len(kept), 'NVLink domain')}."
    short = [s for s in kept if s.missing]
    if short:
        named = ", ".join(f"{s.domain} has {len(s.nodes)} of {s.wanted}" for s in short[:_NAMED])
        more = f" and {len(short) - _NAMED} more" if len(short) > _NAMED else ""
        text += f" Short of spares: {named}{more}."
    console.print()
    paragraph(console, text)


def _row(c: Capacity) -> tuple[str, ...]:
    from rackplane.figures import kilowatts

    return (
        _level(c.level),
        c.profile,
        f"{c.slots:,}",
        f"{c.gpus:,}",
        kilowatts(c.nominal_watts),
        f"{c.relative_performance_percent} %" if c.slots else "",
        _where(c),
        _stop(c),
    )


def _where(c: Capacity) -> str:
    from rackplane.figures import count

    if not c.slots:
        return ""
    racks = count(len(c.racks), "rack")
    return f"{c.domain} ({racks})" if c.domain and c.racks != (c.domain,) else c.domain or racks


def _stop(c: Capacity) -> str:
    """The reason without the size of the gang; and whether the search ended before it was proved."""
    from rackplane.engine.model import RefusalKind

    message = c.stopped_by.message
    needs, _, rest = message.partition("; ")
    said = rest if needs.startswith("needs ") and rest else message
    return said if c.stopped_by.kind is RefusalKind.UNPLACEABLE else f"{said} (not proved)"


def _spares_as_data(s: Spares) -> dict[str, Any]:
    return {"nvlinkDomain": s.domain, "spareNodes": s.wanted, "nodes": list(s.nodes)}


def _as_data(c: Capacity) -> dict[str, Any]:
    from dataclasses import asdict

    refusal = c.stopped_by
    return {
        "nodeType": c.node_type,
        "gpusPerPod": c.gpus_per_slot,
        "level": c.level or "facility",
        "profile": c.profile,
        "pods": c.slots,
        "gpus": c.gpus,
        "domain": c.domain,
        "racks": list(c.racks),
        "nominalWatts": c.nominal_watts,
        "peakWatts": c.peak_watts,
        "relativePerformancePercent": c.relative_performance_percent,
        "stoppedBy": {
            "kind": refusal.kind,
            "cause": refusal.cause,
            "message": refusal.message,
            "tightest": None if refusal.tightest is None else asdict(refusal.tightest),
        },
    }
