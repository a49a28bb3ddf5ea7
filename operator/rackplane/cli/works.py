"""What `rackplane drill maintain` is asked about: the works that are meant, and those planned at the same time."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rackplane.cli.errors import CommandError, Exit

if TYPE_CHECKING:
    from rackplane.core.machine import Machine
    from rackplane.engine.planning.whatif import Change
    from rackplane.engine.planning.works import Conflict, Work

__all__ = ["Plan", "add_times", "plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The works on power and cooling that are meant, those planned for the same time, and which are refused."""

    own: tuple[Work, ...]
    beside: tuple[Work, ...]
    conflicts: tuple[Conflict, ...]


def add_times(parser: argparse.ArgumentParser) -> None:
    """The options that say when."""
    text = "with maintain: {} of the work, RFC 3339 (default: as planned in spec.maintenance)"
    parser.add_argument("--start", type=_time, metavar="TIME", help=text.format("start"))
    parser.add_argument("--end", type=_time, metavar="TIME", help=text.format("end"))


def _time(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-12-01T06:00:00Z") from None
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no offset: write 2026-12-01T06:00:00Z")
    return found.timestamp()


def plan(machine: Machine, wanted: Sequence[Change], options: argparse.Namespace) -> Plan:
    """The works that the changes stand for.

    Raises:
        CommandError: only one of the times is given, they are the wrong way round, or neither is and none is planned.
    """
    from rackplane.engine.planning.works import Works

    start, end = options.start, options.end
    if (start is None) != (end is None):
        raise CommandError(
            "give both --start and --end, or neither for what is planned in spec.maintenance", code=Exit.USAGE
        )
    if start is not None and end <= start:
        raise CommandError("--end is not after --start", code=Exit.USAGE)
    planned = machine.world.catalog.planned
    assert machine.state is not None  # the source has listed everything
    own = _own(wanted, planned.works, start, end)
    beside = tuple(
        work
        for work in planned.works
        if any(work.overlaps(each) for each in own)
        and not any((work.kind, work.name, work.units) == (each.kind, each.name, each.units) for each in own)
    )
    site = planned.site or Works(machine.state.facility.spec)
    found = (c for c in site.conflicts((*own, *beside)) if any(work in own for work in c.works))
    return Plan(own, beside, tuple(found))


def _own(
    wanted: Sequence[Change], planned: Sequence[Work], start: float | None, end: float | None
) -> tuple[Work, ...]:
    from rackplane.engine.planning.whatif import PowerChange, UnitChange
    from rackplane.engine.planning.works import Work

    units: dict[str, list[str]] = {}
    for change in wanted:
        if isinstance(change, UnitChange):
            units.setdefault(change.zone, []).append(change.unit)
    elements: list[tuple[str, str, tuple[str, ...]]] = [
        ("PowerDomain", c.name, ()) for c in wanted if isinstance(c, PowerChange)
    ]
    elements += [("CoolingZone", zone, tuple(names)) for zone, names in units.items()]
    found = []
    for kind, name, some in elements:
        if start is not None and end is not None:
            found.append(Work(kind, name, start, end, units=some))
            continue
        here = [
            w
            for w in planned
            if (w.kind, w.name) == (kind, name) and (not w.units or not some or {*w.units} & {*some})
        ]
        if not here:
            raise CommandError(
                f"no work is planned in spec.maintenance of {kind} {name}: give --start and --end",
                code=Exit.NO,
            )
        found.extend(here)
    return tuple(found)
