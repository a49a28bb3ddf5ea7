"""Gangs that run count by their power profile where they may not count at what was learned, and at that again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from rackplane.core.gangs.booking import book_figure, learned_figure
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.statuses import rated
from rackplane.core.gangs.writing import gang_event, may_write, write
from rackplane.core.instructions import Instruction
from rackplane.core.learning.guard import Verdict
from rackplane.core.world import World

__all__ = ["follow_verdicts"]

_TOLD: Final[Mapping[Verdict, tuple[str, str]]] = {
    Verdict.EXCEEDED: (
        "DrawsMore",
        "counts by its power profile from now on: it draws more than its earlier runs",
    ),
    Verdict.UNREAD: (
        "PowerUnread",
        "counts by its power profile, and not at what earlier runs drew, until all of its nodes are read again",
    ),
    Verdict.LEARNED: ("PowerRead", "counts at what earlier runs drew again: its nodes are read"),
}


def follow_verdicts(world: World) -> Iterator[Instruction]:
    """Count them so at once, and write it."""
    verdicts = world.learning.guard.verdicts
    for key, verdict in list(verdicts.items()):
        record = world.gangs.get(key)
        if record is None or record.gang is None or record.decision is None or world.state is None:
            del verdicts[key]
            continue
        if record.previous is not None:
            continue  # it is being given other nodes: once that is over
        status, placement = record.gang.status, record.decision.placement
        metered = learned_figure(record.gang) if verdict is Verdict.LEARNED else ()
        if placement.metered != metered:
            held = world.state.held_gpus(booking_key(key))
            drawn = world.state.increments(held, placement.power_profile, metered)
            placement = replace(
                placement,
                metered=metered,
                nominal_watts=drawn.nominal_watts,
                liquid_watts=drawn.liquid_watts,
                air_watts=drawn.air_watts,
            )
            book_figure(world, record, placement)
        fields: dict[str, Any]
        if verdict is Verdict.EXCEEDED:
            written, fields = not status.learned, {"learned": None, "countsInFull": None}
        else:
            unread = verdict is Verdict.UNREAD
            written, fields = status.counts_in_full == unread, {"countsInFull": unread or None}
        if written:
            del verdicts[key]
        elif may_write(record) and world.now >= record.not_before:
            reason, text = _TOLD[verdict]
            yield from write(record, {**rated(placement), **fields, "message": text})
            yield from gang_event(record, warning=not metered, reason=reason, message=text)
